"""What a rule is: data for people, and a function that finds what breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from incident_rca.migrations import grammar
from incident_rca.migrations.column_types import ColumnType
from incident_rca.migrations.known import KnownTable
from incident_rca.migrations.locks import TableLock, Work
from incident_rca.migrations.operations import (
    Action,
    AddColumn,
    AddConstraint,
    AlterTable,
    Constraint,
    Relation,
)
from incident_rca.migrations.runners import Runner
from incident_rca.migrations.script import Statement
from incident_rca.migrations.session import Session
from incident_rca.migrations.sizes import TableSize, TableSizes
from incident_rca.model import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a rule may ask about a statement's surroundings."""

    session: Session
    sizes: TableSizes | None
    runner: Runner

    def size_of(self, relation: Relation) -> TableSize | None:
        return self.sizes.of(self.session.resolve(relation)) if self.sizes else None

    def is_partitioned(self, relation: Relation) -> bool:
        size = self.size_of(relation)
        return size is not None and size.is_partitioned

    def table_of_index(self, index: Relation) -> Relation | None:
        """The table of an index, from these files or from the server."""
        known = self.session.table_of_index(index)
        if known is None and self.sizes is not None:
            known = self.sizes.table_of_index(self.session.resolve(index))
        return known

    def type_of(self, table: Relation, column: str) -> ColumnType | None:
        """The type of a column: as these files left it, else as the server has it."""
        known, size = self._told(table)
        if column in known.types:
            return known.types[column]
        text = size.columns.get(column) if size else None
        return grammar.column_type(text) if text else None

    def is_not_null(self, table: Relation, column: str) -> bool:
        """Whether a constraint proves that a column has no nulls."""
        known, size = self._told(table)
        if any(check.not_null == column and check.is_valid for check in known.checks):
            return True
        return size is not None and any(
            proven == column
            and (name not in known.dropped if name else column not in known.nullable)
            for proven, name in size.not_null
        )

    def is_watched(self, table: Relation, column: str) -> bool:
        """Whether a CHECK mentions a column, or an index that has expressions or a condition."""
        known, size = self._told(table)
        return column in known.watched or (size is not None and column in size.watched)

    def has_check(self, table: Relation) -> bool:
        """Whether all rows of a table are known to keep some CHECK."""
        known, size = self._told(table)
        added = any(c.is_valid and not c.is_of_column for c in known.checks)
        return added or (size is not None and bool({*size.checks} - known.dropped))

    def is_constrained(self, kind: ColumnType | None) -> bool:
        """Whether a type is a domain with a constraint; an array of it is none."""
        if kind is None or kind.is_array:
            return False
        schema, _, name = kind.name.rpartition(".")
        domain = self.session.resolve(Relation(name, schema))
        return domain in self.session.domains or (
            self.sizes is not None and domain in self.sizes.domains
        )

    def partition_key(self, table: Relation) -> tuple[str, ...]:
        """The columns by which a table is partitioned, "" for an expression; () if not known."""
        known, size = self._told(table)
        return known.partition_key or (size.partition_key if size else ())

    def default_partition(self, table: Relation) -> Relation | None:
        known, size = self._told(table)
        found = known.default_partition or (size.default_partition if size else None)
        return None if found in known.detached else found

    def _told(self, table: Relation) -> tuple[KnownTable, TableSize | None]:
        """What these files and the server say of a table, if it still is that of the server."""
        known = self.session.known.get(self.session.resolve(table), KnownTable())
        return known, None if known.is_gone else self.size_of(table)


def actions_of(statement: Statement, context: Context) -> Iterator[tuple[Relation, Action]]:
    """Each action of an ALTER TABLE on a table that somebody may be using."""
    of = statement.operation
    if isinstance(of, AlterTable) and of.kind == "table" and not context.session.is_new(of.table):
        yield from ((of.table, action) for action in of.actions)


def constraints_of(
    statement: Statement, context: Context
) -> Iterator[tuple[Relation, Constraint, AddColumn | None]]:
    """Each constraint that an ALTER TABLE adds to such a table, with the column it came with."""
    for table, action in actions_of(statement, context):
        match action:
            case AddConstraint(constraint=constraint):
                yield table, constraint, None
            case AddColumn(constraints=constraints):
                yield from ((table, constraint, action) for constraint in constraints)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """What breaks a rule: the lock on `relation` and what is done under it.

    Work that grows with the table is weighed by its size, and at most medium unless it
    `is_certain`; any other has its own `severity`. `index` is what was named where the lock
    is on its table.
    """

    lock: TableLock | None
    what: str
    rewrite: tuple[str, ...] = ()
    severity: Severity = Severity.MEDIUM
    is_certain: bool = True
    index: Relation | None = None

    @property
    def is_weighed(self) -> bool:
        return self.lock is not None and self.lock.work in (Work.SCAN, Work.BUILD, Work.REWRITE)


# Before a statement that takes a strong lock for an instant: it gives up before others queue.
IMPATIENT = "SET lock_timeout = '5s';"

Check = Callable[[Statement, Context], Iterator[Hit]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; its page in docs/lint/ is made from this and from nothing else.

    `mode` is the lock it is about ("" where it is about several), `why` what happens in production,
    `instead` the recipe in words, `bad` and `good` the same change in both ways. What breaks a rule
    that is told `once` is folded into its first finding in a file.
    """

    name: str
    title: str
    mode: str
    why: str
    instead: str
    bad: str
    good: str
    check: Check = field(repr=False)
    once: bool = False
