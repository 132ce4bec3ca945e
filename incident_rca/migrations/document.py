"""The page of a rule in docs/lint/, made from the rule itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from incident_rca.lock_modes import in_words, meaning
from incident_rca.migrations.rule import Rule
from incident_rca.migrations.runners import RUNNERS

INDEX = "README.md"
_RUNNERS = """
## How a file is run

`--runner`, or `[lint] runner` in the settings. What `alembic upgrade --sql` and
`manage.py sqlmigrate` print says BEGIN itself where there is a transaction: that is for `psql`.

| runner | runs | a statement that refuses a transaction |
| --- | --- | --- |
"""
_UNSEEN = """
## What it cannot see

- SQL that is put together at run time, files that a file includes, statements nested a hundred
  levels deep: these are counted as not checked. Functions that another file made.
- What neither the files given nor `--dsn` or `--stats` tell: the type that a column has, a CHECK
  that proves a column has no nulls, which tables are partitioned, default partitions, the table of
  an index. What is not known is told, not passed over; only partitions are not guessed.
- Whether a CHECK says as much as the bound of a partition: any valid one is taken to. Which indexes
  and foreign keys of the parent ATTACH PARTITION must still build and check.
- The rows that a change of type lets a foreign key look up again, types that are not built in, and
  the tables that ALTER DOMAIN checks.
- How long it would take where it runs: the seconds are the least, at rates that were measured in
  memory (`incident_rca/migrations/weighing.py`); set `index_rows_per_second` to what you measured.
- Locks that are no table locks: rows, advisory locks, the application's own.
"""


def page(rule: Rule) -> str:
    """A rule as Markdown."""
    lock = (
        f"**Lock:** {in_words(rule.mode)}, which {meaning(rule.mode)}."
        if rule.mode
        else "**Lock:** depends on the statement; the finding names it."
    )
    parts = [
        f"# {rule.name}",
        f"{rule.title}.",
        lock,
        f"## Why\n\n{rule.why}",
        f"```sql\n{rule.bad}\n```",
        f"## Instead\n\n{rule.instead}",
        f"```sql\n{rule.good}\n```",
        "## To ignore it\n\nAbove the statement, with the reason; a comment that ignores nothing "
        "is reported:",
        f"```sql\n-- incident-rca: ignore {rule.name} because …\n```",
    ]
    return "\n\n".join(parts) + "\n"


def pages(rules: Sequence[Rule]) -> Iterator[tuple[str, str]]:
    """The file name and text of each page, and of the one that lists them."""
    rows = [
        f"| [`{rule.name}`]({rule.name}.md) | {rule.title} | "
        f"{in_words(rule.mode) if rule.mode else '—'} |"
        for rule in rules
    ]
    head = (
        "# Rules of `incident-rca lint`\n\nMade from `incident_rca/migrations/rules/`, so "
        "change those and run `python docs/make_lint_pages.py`.\n\n"
        "| rule | what it finds | lock |\n| --- | --- | --- |\n"
    )
    runners = [
        f"| `{runner.name}` | {runner.how} | {runner.outside} |" for runner in RUNNERS.values()
    ]
    ways = _RUNNERS + "\n".join(runners) + "\n"
    yield INDEX, head + "\n".join(rows) + "\n" + ways + _UNSEEN
    for rule in rules:
        yield f"{rule.name}.md", page(rule)
