"""The rollup as one statement of each engine for lines of one format.

What reads a variable out of a line differs by engine: this is all that is not in access_log.sql. A
load balancer's lines are read by load_balancer.sql itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from incident_rca.formats.access_log.reading import NOWHERE, paths_of
from incident_rca.formats.access_log.stage_format import LineFormat
from incident_rca.formats.access_log.variables import VARIABLES
from incident_rca.queries import load_query
from incident_rca.rollup import NUMBERS
from incident_rca.rollup.log_format import LogFormat, query_of

_GROUP_NAME = re.compile(r"\?P<\w+>")


def spark_statement(log_format: LogFormat, seconds: tuple[int, int]) -> str:
    """The rollup of the view `lines`, whose one column is `value`."""
    columns = _columns(log_format, _of_spark)
    return _statement("spark", log_format, seconds, columns=columns)


def athena_statement(
    log_format: LogFormat, seconds: tuple[int, int], *, table: str, partitions: str
) -> str:
    """The rollup of a table whose one column is `line`, of some partitions."""
    columns = _columns(log_format, _of_trino)
    where = {"table": table, "partitions": partitions}
    return _statement("trino", log_format, seconds, columns=columns, **where)


def duckdb_piece(query: str, rollup: str = "") -> str:
    """What makes the table `piece` of a piece of a file; `rollup` may be another text of it."""
    return _filled(
        "rollup/piece.duckdb.sql",
        fields=without_header(_fields(query, "duckdb")),
        rollup=(rollup or without_header(f"rollup/{query}.sql")).removeprefix("WITH "),
    )


def duckdb_pieces(query: str) -> str:
    """What makes the table that the pieces of a rollup are added to."""
    names = load_query(f"rollup/{query}.sql").headers["columns"].split(", ")
    columns = (f'"{name}" {"BIGINT" if name in NUMBERS else "VARCHAR"}' for name in names)
    return _filled("rollup/pieces.duckdb.sql", columns=", ".join(columns))


def athena_table(table: str, location: str, *, form: str, first: str, unit: str) -> str:
    """The table of a place's lines; its partitions have names of a form, or it has none."""
    projected = "rollup/table_partitions.athena.sql"
    # In a quoted text of Hive a quotation mark stands behind a backslash.
    escaped = form.replace("'", "\\'")
    values = {"location": location, "form": escaped, "first": first, "unit": unit}
    return _filled(
        "rollup/table.athena.sql",
        table=table,
        location=location,
        partitioned="PARTITIONED BY (stretch string)\n" if form else "",
        projected=f"\n{_filled(projected, **values, stretch='{stretch}')}" if form else "",
    )


def _statement(
    dialect: str, log_format: LogFormat, seconds: tuple[int, int], **of_fields: str
) -> str:
    query = query_of(log_format)
    return _filled(
        "rollup/statement.sql",
        first_second=str(seconds[0]),
        end_second=str(seconds[1]),
        fields=_filled(_fields(query, dialect), **of_fields),
        rollup=without_header(f"rollup/{query}.{dialect}.sql").removeprefix("WITH "),
    )


def _fields(query: str, dialect: str) -> str:
    """The file that says how an engine comes by the relation `fields` of a rollup."""
    own = "" if query == "access_log" else f"{query}_"
    return f"rollup/{own}fields.{dialect}.sql"


def _filled(name: str, **values: str) -> str:
    """A query file with its `{…}` filled in, in one go: what is filled in may have such itself."""
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], without_header(name))


def without_header(name: str) -> str:
    """The text of a query file without the comments that it begins with."""
    lines = load_query(name).text.splitlines()
    return "\n".join(line for line in lines if not line.startswith("--"))


# --- how a variable is read -----------------------------------------------------------------------

Read = Callable[[LineFormat, str], str]
# Athena has ended a line at a carriage return.
_SPARK_LINE = r"trim(BOTH ' \t\r' FROM text)"


def _columns(line_format: LogFormat, read: Read) -> str:
    """Each column with the value of its variable, or null where the format has none."""
    if not isinstance(line_format, LineFormat):
        return ""
    names = load_query("duckdb/access_log_fields_flat.sql").headers["columns"].split(", ")[1:]
    quoted = {"path": "`path`" if read is _of_spark else '"path"'}
    cells = (
        f"{read(line_format, variable)} AS {quoted.get(name, name)}"
        for name, variable in zip(names, VARIABLES, strict=True)
    )
    return ",\n  ".join(cells)


def _of_spark(line_format: LineFormat, variable: str) -> str:
    path = _path(line_format, variable)
    inner = "".join(f"['{key}']" for key in path)
    place = _spark_text(f"${inner}")
    json = (
        f"coalesce(try_variant_get(document, {place}, 'string'), get_json_object(doubled, {place}))"
    )
    group = _group(line_format, variable)
    if not group:
        return json if path else "CAST(NULL AS STRING)"
    pattern = _spark_text(_pattern(line_format))
    matched = f"nullif(trim(BOTH ' \"' FROM regexp_extract({_SPARK_LINE}, {pattern}, {group})), '')"
    if not path:
        return matched
    is_json = "document IS NOT NULL OR doubled IS NOT NULL"
    return f"CASE WHEN {is_json} THEN {json} WHEN NOT is_joined THEN {matched} END"


def _of_trino(line_format: LineFormat, variable: str) -> str:
    path = _path(line_format, variable)
    inner = "".join(f'["{key}"]' for key in path)
    json = f"CASE WHEN is_json THEN json_extract_scalar(text, {_trino_text(f'${inner}')})"
    group = _group(line_format, variable)
    if not group:
        return f"{json} END" if path else "CAST(NULL AS VARCHAR)"
    pattern = _trino_text(_pattern(line_format))
    matched = f"nullif(trim(BOTH ' \"' FROM regexp_extract(trim(text), {pattern}, {group})), '')"
    return f"{json} WHEN NOT is_joined THEN {matched} END" if path else matched


def _path(line_format: LineFormat, variable: str) -> tuple[str, ...]:
    """The keys of a variable in a line's JSON, empty where it has none there."""
    path = paths_of(line_format)[variable] if line_format.kind == "json" else NOWHERE
    return () if path == NOWHERE else path


def _group(line_format: LineFormat, variable: str) -> int:
    """The number of a variable's group in the pattern, 0 where it has none."""
    name = line_format.groups.get(variable)
    if line_format.pattern is None or name is None:
        return 0
    return line_format.pattern.groupindex[name]


def _pattern(line_format: LineFormat) -> str:
    """The pattern of a whole line as Java reads it, with numbers for names."""
    assert line_format.pattern is not None
    return f"^{_GROUP_NAME.sub('', line_format.pattern.pattern)}$"


def _trino_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _spark_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
