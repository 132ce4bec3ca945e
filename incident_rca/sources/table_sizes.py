"""Table sizes and how busy they are, from a live server's catalogs and statistics."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from incident_rca.errors import Unreachable
from incident_rca.migrations.operations import Relation
from incident_rca.migrations.sizes import TableSize, TableSizes, table_sizes
from incident_rca.sources.postgres import connect, named, reason_of, server_facts
from incident_rca.sources.postgres_rows import Row, read_rows

# 4,000 tables took a second; the default of half a second is for a sick server.
_TIMEOUT_MS = 60_000
_QUERY = "table_sizes"


def fetch_sizes(
    dsn: str,
    *,
    now: Callable[[], datetime],
    watch_seconds: float,
    sleep: Callable[[float], None],
) -> TableSizes:
    """The sizes of all tables of a database, and their writes and scans while it was watched.

    Statistics reach the server's counters about once a second, so less than a few seconds of
    watching say little; 0 leaves the rates out. Raises Unreachable.
    """
    import psycopg

    with connect(dsn, statement_timeout_ms=_TIMEOUT_MS) as connection:
        try:
            facts = server_facts(connection)
            first, since = read_rows(connection, _QUERY), now()
            if watch_seconds:
                sleep(watch_seconds)
                second, until = read_rows(connection, _QUERY), now()
            else:
                second, until = first, since
            domains = read_rows(connection, "constrained_domains")
            replica = connection.execute(b"SHOW in_hot_standby").fetchone()
        except psycopg.Error as error:
            raise Unreachable(
                f"PostgreSQL at {named(dsn)}: {reason_of(error)}",
                hint="run `incident-rca doctor` for what the role may read",
            ) from error
    seconds = (until - since).total_seconds()
    is_replica = replica is not None and replica[0] == "on"
    before = {(row["schema"], row["name"]): row for row in first}
    tables = [
        _size(row, before.get((row["schema"], row["name"])), seconds, is_replica) for row in second
    ]
    role = "replica" if is_replica else "primary"
    return table_sizes(
        tables,
        origin=named(dsn),
        as_of=until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        server=f"PostgreSQL {facts.version}, {role}",
        watched_seconds=round(seconds, 1),
        domains=frozenset(Relation(row["name"], row["schema"]) for row in domains),
    )


def _size(row: Row, before: Row | None, seconds: float, is_replica: bool) -> TableSize:
    def rate(counter: str) -> float | None:
        # Writes of a replica are those of replay, which its counters do not show.
        if not seconds or before is None or (is_replica and counter == "writes"):
            return None
        return round(float(max(0, row[counter] - before[counter]) / seconds), 3)

    return TableSize(
        schema=row["schema"],
        name=row["name"],
        kind=row["kind"],
        rows=row["rows"],
        bytes=row["bytes"],
        analyzed_at=row["analyzed_at"] or "",
        writes_per_second=rate("writes"),
        scans_per_second=rate("scans"),
        partitions=tuple(Relation(name, schema) for schema, name in row["partitions"]),
        is_nested=row["is_nested"],
        indexes=tuple(row["indexes"]),
        columns=dict(row["columns"]),
        not_null=tuple((column, name) for column, name in row["not_null"]),
        checks=tuple(row["checks"]),
        watched=tuple(row["watched"]),
        partition_key=tuple(row["partition_key"]),
        default_partition=Relation(*reversed(row["default_partition"]))
        if row["default_partition"]
        else None,
    )
