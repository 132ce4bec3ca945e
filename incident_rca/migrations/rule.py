"""What a rule is: data for people, and a function that finds what breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

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
