"""Writes the rollups in the dialects of Spark and Trino from their sources: run it after a change.

sqlglot passes some of what a dialect has no word for on without saying so, and engines take some
words for different things. A source may have none of either: `traps_in` finds them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import sqlglot
from sqlglot import exp

FOLDER = Path(__file__).parent.parent / "queries" / "rollup"
SOURCES = (FOLDER / "access_log.sql", FOLDER / "load_balancer.sql")
ENGINES = {"spark": "Spark 4", "trino": "Athena (Trino)"}

# What it is, and what becomes of it.
TRAPS: tuple[tuple[type[exp.Expr], str], ...] = (
    (exp.PercentileCont, "quantile_cont becomes PERCENTILE_CONT, which Trino does not have"),
    (exp.Quantile, "quantiles, approximate ones too, are taken otherwise by each engine"),
    (exp.Median, "quantiles are taken otherwise by each engine"),
    (exp.ILike, "Trino has no ILIKE"),
    (exp.Greatest, "of a null and a number it is null in Trino"),
    (exp.Least, "of a null and a number it is null in Trino"),
    (exp.JSONExtract, "a torn line is read up to its tear by some engines"),
    (exp.JSONExtractScalar, "a torn line is read up to its tear by some engines"),
    (exp.StrToTime, "each engine has a form of its own for time zones"),
    (exp.Bracket, "out of a list's range it is an error in Spark and Trino"),
)


def traps_in(statement: exp.Expr) -> Iterator[str]:
    """What of a statement in DuckDB's dialect would mean something else in another one."""
    for kind, why in TRAPS:
        yield from (f"{found.sql('duckdb')}: {why}" for found in statement.find_all(kind))
    for group in statement.find_all(exp.Group):
        if group.args.get("all"):
            yield "GROUP BY ALL: passed through as it is to Trino, which does not have it"
    for division in statement.find_all(exp.Div):
        if not all(map(_is_double, (division.this, division.expression))):
            yield f"{division.sql('duckdb')}: Trino cuts whole numbers and rounds decimals"
    for cast in statement.find_all(exp.TryCast):
        if not cast.is_type("date") and not _is_guarded(cast):
            yield f"{cast.sql('duckdb')}: Spark takes `5d` for a number, and blanks around it"
    for replaced in statement.find_all(exp.RegexpReplace):
        if not (_replaces_all(replaced) or replaced.expression.name.startswith("^")):
            yield f"{replaced.sql('duckdb')}: other engines replace all that matches"
        if "\\" in replaced.args["replacement"].name:
            yield f"{replaced.sql('duckdb')}: Java calls a group `$1`"


def _replaces_all(replaced: exp.RegexpReplace) -> bool:
    modifiers = replaced.args.get("modifiers")
    return modifiers is not None and modifiers.name == "g"


def _is_double(value: exp.Expr) -> bool:
    """Whether an operand is a double in every dialect: `1.5` is a decimal in Trino."""
    if isinstance(value, exp.Literal):
        return "e" in str(value.this).lower()
    return isinstance(value, exp.Ln) or (isinstance(value, exp.Cast) and value.is_type("double"))


def _is_guarded(cast: exp.TryCast) -> bool:
    """Whether it is only reached where a pattern matched what is cast."""
    branch = cast.find_ancestor(exp.If)
    matches = branch.this.find_all(exp.RegexpLike) if branch else ()
    return any(match.this == cast.this for match in matches)


def in_dialect(source: Path, dialect: str) -> str:
    """The file of one rollup in one dialect.

    Raises ValueError where the source has a trap, sqlglot's UnsupportedError where the dialect has
    no word for something.
    """
    text = source.read_text(encoding="utf-8")
    title, _, columns = text.splitlines()[:3]
    statement = sqlglot.parse_one(text, read="duckdb")
    if traps := list(traps_in(statement)):
        raise ValueError("\n".join(traps))
    for replaced in statement.find_all(exp.RegexpReplace):
        # Others than DuckDB replace all anyway, and sqlglot would leave Trino a fourth argument.
        replaced.set("modifiers", None)
    translated = statement.sql(
        dialect, pretty=True, comments=False, unsupported_level=sqlglot.ErrorLevel.RAISE
    )
    made = f"-- source: {ENGINES[dialect]}; made from {source.name} by docs/make_rollup_sql.py"
    return "\n".join([title, made, columns, translated, ""])


def main() -> None:
    for source in SOURCES:
        for dialect in ENGINES:
            name = f"{source.stem}.{dialect}.sql"
            (FOLDER / name).write_text(in_dialect(source, dialect), encoding="utf-8")


if __name__ == "__main__":
    main()
