"""CREATE INDEX on a partitioned table: all partitions are locked, and CONCURRENTLY is refused."""

from __future__ import annotations

from collections.abc import Iterator

from incident_rca.lock_modes import SHARE
from incident_rca.migrations.locks import TableLock, Work
from incident_rca.migrations.operations import (
    LEAF_INDEX,
    LEAF_TABLE,
    CreateIndex,
    Relation,
    quoted,
)
from incident_rca.migrations.rule import IMPATIENT, Context, Hit, Rule
from incident_rca.migrations.script import Statement
from incident_rca.migrations.sizes import TableSize
from incident_rca.model import Severity


def check(statement: Statement, context: Context) -> Iterator[Hit]:
    of = statement.operation
    if not isinstance(of, CreateIndex) or of.only or context.session.is_new(of.table):
        return
    size = context.size_of(of.table)
    if size is None or not size.is_partitioned:
        return
    if of.concurrently:
        yield Hit(
            lock=None,
            what=f"{of.table} is partitioned: PostgreSQL refuses CONCURRENTLY for it",
            rewrite=_rewrite(of, size),
            severity=Severity.HIGH,
        )
        return
    yield Hit(
        lock=TableLock(of.table, SHARE, Work.BUILD),
        what=f"builds an index on all partitions of {of.table} while nobody can write to any",
        rewrite=_rewrite(of, size),
    )


def _rewrite(of: CreateIndex, size: TableSize) -> tuple[str, ...]:
    name = of.name or f"{of.table.name}_idx"
    index = Relation(name, of.table.schema)
    steps = [IMPATIENT, of.parent_text.replace(LEAF_INDEX, quoted(name)) + ";"]
    steps.append("RESET lock_timeout;")
    if size.is_nested:
        return (*steps, "-- partitions have partitions: the same for each level, from below")
    attached: list[str] = []
    for partition in size.partitions:
        part = f"{partition.name}_{name}"[:63]
        text = of.leaf_text.replace(LEAF_INDEX, quoted(part))
        steps.append(text.replace(LEAF_TABLE, str(partition)) + ";")
        attached.append(f"ALTER INDEX {index} ATTACH PARTITION {Relation(part, partition.schema)};")
    return (*steps, IMPATIENT, *attached)


RULE = Rule(
    name="partitioned-index",
    title="Index built on a partitioned table",
    mode=SHARE,
    why=(
        "Each partition is locked against writes until the last one has its index. CONCURRENTLY is "
        "refused for the parent. Only a database or a --stats file tells that a table is "
        "partitioned."
    ),
    instead=(
        "Create the index ON ONLY the parent, which is instant and leaves it invalid, build it "
        "CONCURRENTLY on each partition, and attach them: with the last one it becomes valid."
    ),
    bad="CREATE INDEX events_kind_idx ON events (kind);",
    good=(
        "SET lock_timeout = '5s';\n"
        "CREATE INDEX events_kind_idx ON ONLY events (kind);\n"
        "RESET lock_timeout;\n"
        "CREATE INDEX CONCURRENTLY events_2025_kind_idx ON events_2025 (kind);\n"
        "CREATE INDEX CONCURRENTLY events_2026_kind_idx ON events_2026 (kind);\n"
        "SET lock_timeout = '5s';\n"
        "ALTER INDEX events_kind_idx ATTACH PARTITION events_2025_kind_idx;\n"
        "ALTER INDEX events_kind_idx ATTACH PARTITION events_2026_kind_idx;"
    ),
    check=check,
)
