"""How large and how busy tables are: as `incident-rca stats` wrote it, or a server said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from incident_rca.errors import BadInput
from incident_rca.migrations.operations import Relation

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSize:
    """A table with its partitions: `rows` is None where the server was never told to count.

    `bytes` is without indexes, `is_nested` where partitions have partitions. `analyzed_at` is the
    oldest of its partitions, "" for never. Writes and reads are per second: rows written, and scans
    begun, while the server was watched. `columns` are types by name; `not_null` has the columns
    that cannot be null, each with the CHECK that says so or "", `checks` the valid CHECKs,
    `watched` the columns that a CHECK, or an index with expressions or a condition, mentions.
    """

    schema: str
    name: str
    kind: str
    rows: int | None
    bytes: int
    analyzed_at: str = ""
    writes_per_second: float | None = None
    scans_per_second: float | None = None
    partitions: tuple[Relation, ...] = ()
    is_nested: bool = False
    indexes: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    not_null: tuple[tuple[str, str], ...] = ()
    checks: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()
    partition_key: tuple[str, ...] = ()
    default_partition: Relation | None = None

    @property
    def is_partitioned(self) -> bool:
        return self.kind == "partitioned table"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSizes:
    """All tables of a database; `origin` says from where and `as_of` when.

    `domains` are those with a constraint.
    """

    origin: str
    as_of: str
    server: str = ""
    watched_seconds: float = 0.0
    tables: Mapping[Relation, TableSize] = field(default_factory=lambda: MappingProxyType({}))
    by_index: Mapping[Relation, Relation] = field(default_factory=lambda: MappingProxyType({}))
    domains: frozenset[Relation] = frozenset()

    def of(self, relation: Relation) -> TableSize | None:
        """The size of a relation whose schema is known."""
        return self.tables.get(relation)

    def table_of_index(self, index: Relation) -> Relation | None:
        return self.by_index.get(index)


def table_sizes(
    tables: list[TableSize],
    *,
    origin: str,
    as_of: str,
    server: str,
    watched_seconds: float,
    domains: frozenset[Relation] = frozenset(),
) -> TableSizes:
    """The sizes, found by table and by index."""
    return TableSizes(
        origin=origin,
        as_of=as_of,
        server=server,
        watched_seconds=watched_seconds,
        domains=domains,
        tables=MappingProxyType({Relation(t.name, t.schema): t for t in tables}),
        by_index=MappingProxyType(
            {Relation(i, t.schema): Relation(t.name, t.schema) for t in tables for i in t.indexes}
        ),
    )


def largest(of: Sequence[TableSizes]) -> TableSizes:
    """Several databases as one, such as the shards of an application: of each table the largest."""
    if len(of) == 1:
        return of[0]
    found: dict[Relation, TableSize] = {}
    for sizes in of:
        for relation, table in sizes.tables.items():
            known = found.get(relation)
            if known is None or _order(table) > _order(known):
                found[relation] = table
    return table_sizes(
        list(found.values()),
        origin=", ".join(sizes.origin for sizes in of),
        as_of=min(sizes.as_of for sizes in of),
        server=", ".join(dict.fromkeys(sizes.server for sizes in of)),
        watched_seconds=min(sizes.watched_seconds for sizes in of),
        domains=frozenset().union(*(sizes.domains for sizes in of)),
    )


def _order(table: TableSize) -> tuple[bool, int, int]:
    """Unknown is larger than anything that was counted."""
    return table.rows is None, table.rows or 0, table.bytes


def to_document(sizes: TableSizes) -> dict[str, Any]:
    """What `incident-rca stats` writes."""
    return {
        "stats_schema": SCHEMA,
        "origin": sizes.origin,
        "as_of": sizes.as_of,
        "server": sizes.server,
        "watched_seconds": sizes.watched_seconds,
        "domains": [[d.schema, d.name] for d in sorted(sizes.domains, key=str)],
        "tables": [
            {
                "schema": t.schema,
                "name": t.name,
                "kind": t.kind,
                "rows": t.rows,
                "bytes": t.bytes,
                "analyzed_at": t.analyzed_at or None,
                "writes_per_second": t.writes_per_second,
                "scans_per_second": t.scans_per_second,
                "partitions": [[p.schema, p.name] for p in t.partitions],
                "is_nested": t.is_nested,
                "indexes": list(t.indexes),
                "columns": dict(t.columns),
                "not_null": [list(pair) for pair in t.not_null],
                "checks": list(t.checks),
                "watched": list(t.watched),
                "partition_key": list(t.partition_key),
                "default_partition": [t.default_partition.schema, t.default_partition.name]
                if t.default_partition
                else None,
            }
            for _, t in sorted(sizes.tables.items(), key=lambda item: str(item[0]))
        ],
    }


def of_document(document: Any, name: str) -> TableSizes:
    """The sizes of a file that `stats` wrote; raises BadInput for any other file."""
    try:
        if document["stats_schema"] != SCHEMA:
            raise BadInput(
                f"{name}: written by another version (stats_schema {document['stats_schema']})",
                hint="write it anew: incident-rca stats --dsn … > stats.json",
            )
        tables = [
            TableSize(
                schema=str(t["schema"]),
                name=str(t["name"]),
                kind=str(t["kind"]),
                rows=None if t["rows"] is None else int(t["rows"]),
                bytes=int(t["bytes"]),
                analyzed_at=str(t.get("analyzed_at") or ""),
                writes_per_second=_number(t.get("writes_per_second")),
                scans_per_second=_number(t.get("scans_per_second")),
                partitions=tuple(Relation(str(n), str(s)) for s, n in t.get("partitions", ())),
                is_nested=bool(t.get("is_nested")),
                indexes=tuple(map(str, t.get("indexes", ()))),
                columns=MappingProxyType({c: str(k) for c, k in t.get("columns", {}).items()}),
                not_null=tuple((str(c), str(name)) for c, name in t.get("not_null", ())),
                checks=tuple(map(str, t.get("checks", ()))),
                watched=tuple(map(str, t.get("watched", ()))),
                partition_key=tuple(map(str, t.get("partition_key", ()))),
                default_partition=_relation(t.get("default_partition")),
            )
            for t in document["tables"]
        ]
        return table_sizes(
            tables,
            origin=str(document["origin"]),
            as_of=str(document["as_of"]),
            server=str(document.get("server", "")),
            watched_seconds=float(document.get("watched_seconds", 0)),
            domains=frozenset(
                Relation(str(name), str(schema)) for schema, name in document.get("domains", ())
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(
            f"{name}: not a file of `incident-rca stats`",
            hint="write one: incident-rca stats --dsn … > stats.json",
        ) from error


def _relation(value: Sequence[Any] | None) -> Relation | None:
    return Relation(str(value[1]), str(value[0])) if value else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
