"""A partition attached, or created beside a default one: rows are read under the lock."""

from __future__ import annotations

from collections.abc import Iterator

from incident_rca.lock_modes import ACCESS_EXCLUSIVE
from incident_rca.migrations.locks import TableLock, Work
from incident_rca.migrations.operations import (
    AlterTable,
    Bound,
    CreateTable,
    Partition,
    Relation,
    quoted,
)
from incident_rca.migrations.rule import IMPATIENT, Context, Hit, Rule
from incident_rca.migrations.script import Statement


def check(statement: Statement, context: Context) -> Iterator[Hit]:
    match statement.operation:
        case AlterTable(table=parent, actions=(Partition(attach=True) as action,), kind="table"):
            partition = action.partition
            if not context.session.is_new(partition) and not context.has_check(partition):
                yield _of_partition(parent, action, context)
            yield from _of_default(parent, action.bound, context, is_parent_locked=False)
        case CreateTable(partition_of=Relation() as parent, bound=bound):
            yield from _of_default(parent, bound, context, is_parent_locked=True)


def _of_partition(parent: Relation, action: Partition, context: Context) -> Hit:
    partition = action.partition
    return Hit(
        lock=TableLock(partition, ACCESS_EXCLUSIVE, Work.SCAN),
        what=(
            f"reads every row of {partition} while nobody can read or write it, as no CHECK proves "
            f"that they belong into {parent}"
        ),
        rewrite=_rewrite(parent, action, context),
        # Nobody may be using it yet.
        is_certain=False,
    )


def _of_default(
    parent: Relation, bound: Bound | None, context: Context, *, is_parent_locked: bool
) -> Iterator[Hit]:
    default = context.default_partition(parent)
    if default is None or bound is None or bound.kind == "default":
        return
    if context.session.is_new(default) or context.has_check(default):
        return
    stopped = parent if is_parent_locked else default
    yield Hit(
        lock=TableLock(default, ACCESS_EXCLUSIVE, Work.SCAN),
        what=(
            f"reads every row of {default}, the default partition of {parent}, while nobody can "
            f"read or write {stopped}: none may belong into the new one"
        ),
        rewrite=(
            f"-- first a valid CHECK on {default} that its rows lie outside of the new partition,",
            "-- added NOT VALID and then validated, as constraint-without-not-valid says",
        ),
    )


def _rewrite(parent: Relation, action: Partition, context: Context) -> tuple[str, ...]:
    partition = action.partition
    name = quoted(f"{partition.name}_bound")
    condition = _condition(action.bound, context.partition_key(parent))
    if not condition:
        return (
            f"-- first a CHECK on {partition} that says what FOR VALUES says, and that the key is",
            "-- not null: added NOT VALID, then validated; drop it when the partition is attached",
        )
    size = context.size_of(parent)
    indexes = ", ".join(size.indexes) if size else ""
    return (
        *((f"-- first, CONCURRENTLY, what {partition} lacks of: {indexes}",) if indexes else ()),
        IMPATIENT,
        f"ALTER TABLE {partition} ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID;",
        f"ALTER TABLE {partition} VALIDATE CONSTRAINT {name};",
        f"ALTER TABLE {parent} {action.text};",
        f"ALTER TABLE {partition} DROP CONSTRAINT {name};",
    )


def _condition(bound: Bound | None, key: tuple[str, ...]) -> str:
    """What a partition's bound says, for a key of one column; "" for any other, and for hashes."""
    if bound is None or len(key) != 1 or not key[0]:
        return ""
    column = quoted(key[0])
    match bound:
        case Bound(kind="range", lower=(lower,), upper=(upper,)):
            parts = [f"{column} IS NOT NULL"]
            parts += [f"{column} >= {lower}"] if lower != "minvalue" else []
            parts += [f"{column} < {upper}"] if upper != "maxvalue" else []
            return " AND ".join(parts)
        case Bound(kind="list", values=values) if "NULL" not in values:
            return f"{column} IS NOT NULL AND {column} IN ({', '.join(values)})"
    return ""


RULE = Rule(
    name="attach-partition-scan",
    title="Partition attached without a CHECK that proves its rows",
    mode=ACCESS_EXCLUSIVE,
    why=(
        "ATTACH PARTITION reads all rows of the new partition under ACCESS EXCLUSIVE on it, and "
        "those of the default partition under ACCESS EXCLUSIVE on that, which every query of the "
        "parent may reach. CREATE TABLE … PARTITION OF reads the default partition too."
    ),
    instead=(
        "Add a CHECK that says what FOR VALUES says, NOT VALID, and VALIDATE it: ATTACH then reads "
        "nothing. Build the indexes of the parent on the partition before it, CONCURRENTLY, or "
        "ATTACH builds them. A table with any valid CHECK is taken to be proven."
    ),
    bad=(
        "ALTER TABLE events ATTACH PARTITION events_2024 "
        "FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"
    ),
    good=(
        "SET lock_timeout = '5s';\n"
        "ALTER TABLE events_2024 ADD CONSTRAINT events_2024_bound CHECK "
        "(at IS NOT NULL AND at >= '2024-01-01' AND at < '2025-01-01') NOT VALID;\n"
        "ALTER TABLE events_2024 VALIDATE CONSTRAINT events_2024_bound;\n"
        "ALTER TABLE events ATTACH PARTITION events_2024 "
        "FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');\n"
        "ALTER TABLE events_2024 DROP CONSTRAINT events_2024_bound;"
    ),
    check=check,
)
