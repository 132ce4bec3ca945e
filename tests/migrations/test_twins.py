"""The folder of migrations: each bad one breaks the rule that expected.tsv names, in that line, and
nothing else; its good twin breaks none. squawk is asked as well, and where it differs stands in
squawk.tsv with the reason.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sysconfig
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from incident_rca.migrations.lint import FileReport, Surroundings, lint_text
from incident_rca.migrations.rules import BY_NAME
from incident_rca.migrations.sizes import of_document

HERE = Path(__file__).parent
TWINS = sorted((HERE / "twins").glob("*.sql"))
SIZES = of_document(json.loads((HERE / "stats.json").read_text(encoding="utf-8")), "stats.json")


def table(name: str) -> list[dict[str, str]]:
    with (HERE / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


EXPECTED = {row["migration"]: (row["rule"], int(row["line"])) for row in table("expected.tsv")}


def report(path: Path) -> FileReport:
    return lint_text(path.read_text(encoding="utf-8"), Surroundings(sizes=SIZES))


def test_there_are_enough_and_each_has_its_twin() -> None:
    assert len(TWINS) >= 60
    names = {path.name.split(".")[0] for path in TWINS}
    assert names == EXPECTED.keys()
    assert len(TWINS) == 2 * len(names)


def test_every_rule_has_a_twin() -> None:
    assert {rule for rule, _ in EXPECTED.values()} == BY_NAME.keys()


@pytest.mark.parametrize("path", TWINS, ids=lambda path: path.stem)
def test_what_is_found(path: Path) -> None:
    name, kind, _ = path.name.split(".")
    found = report(path)
    assert [(f.rule, f.start.line) for f in found.findings] == (
        [EXPECTED[name]] if kind == "bad" else []
    )
    assert found.not_checked == ()


# --- a second opinion -------------------------------------------------------------------------

# What squawk calls our rules. Its other rules are about compatibility and style.
IN_SQUAWK = {
    "require-concurrent-index-creation": {"index-without-concurrently"},
    "require-concurrent-index-deletion": {"drop-index-without-concurrently"},
    "require-concurrent-reindex": {"reindex-without-concurrently"},
    "require-concurrent-partition-detach": {"detach-without-concurrently"},
    "ban-concurrent-index-creation-in-transaction": {"concurrently-in-transaction"},
    "constraint-missing-not-valid": {
        "constraint-without-not-valid",
        "foreign-key-without-not-valid",
        "unique-without-index",
        "statements-after-strong-lock",
    },
    "adding-foreign-key-constraint": {"foreign-key-without-not-valid"},
    "disallowed-unique-constraint": {"unique-without-index"},
    "adding-serial-primary-key-field": {"unique-without-index"},
    "adding-not-nullable-field": {"set-not-null"},
    "adding-required-field": {"set-not-null"},
    "changing-column-type": {"column-type-change"},
    "adding-field-with-default": {"column-default-rewrite"},
    "require-lock-timeout": {"no-lock-timeout"},
}


def squawk() -> dict[str, list[set[str]]]:
    program = Path(sysconfig.get_path("scripts")) / "squawk"
    done = subprocess.run(
        [program, "--reporter", "json", "--pg-version", "18", *TWINS],
        capture_output=True,
        text=True,
    )
    said: dict[str, list[set[str]]] = {}
    for finding in json.loads(done.stdout):
        if finding["rule_name"] in IN_SQUAWK:
            name = Path(finding["file"]).stem
            said.setdefault(name, []).append(IN_SQUAWK[finding["rule_name"]])
    return said


def differences() -> Iterator[tuple[str, str, str]]:
    """(file, rule, who says it): what only one of both finds."""
    theirs = squawk()
    assert theirs, "squawk said nothing at all"
    for path in TWINS:
        ours = {f.rule for f in report(path).findings}
        said = theirs.get(path.stem, [])
        for rule in sorted(ours - set().union(*said)):
            yield path.stem, rule, "lint"
        for rule in sorted({min(rules) for rules in said if not rules & ours}):
            yield path.stem, rule, "squawk"


def test_squawk_differs_only_where_we_want_it() -> None:
    wanted = table("squawk.tsv")
    used = set()
    surprising = []
    for name, rule, who in differences():
        lines = [
            number
            for number, row in enumerate(wanted)
            if fnmatch(name, row["file"]) and fnmatch(rule, row["rule"]) and row["who"] == who
        ]
        used.update(lines[:1])
        if not lines:
            surprising.append((name, rule, who))
    assert surprising == []
    unused = [row for number, row in enumerate(wanted) if number not in used]
    assert unused == [], "these differences do not exist any more"
