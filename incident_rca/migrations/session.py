"""What holds when a statement begins: transaction, timeouts, new tables, locks held so far."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from incident_rca.lock_modes import MODES
from incident_rca.migrations import operations as ops
from incident_rca.migrations.known import Known, known_after
from incident_rca.migrations.locks import TableLock, blocks_writes, locks_of

_OFF = re.compile(r"\s*0+(?:\.0+)?\s*(?:us|ms|s|min|h|d)?\s*")


@dataclass(frozen=True, slots=True)
class Held:
    """A lock that blocks writes and that the open transaction keeps; `line` is of its statement."""

    relation: ops.Relation
    mode: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The state before a statement; ROLLBACK returns to `begun`, ROLLBACK TO to a savepoint.

    `in_transaction` says why there is one: `BEGIN`, the runner's name, or "" for none; `implicit`
    is what it is again behind a COMMIT, because the server got the file as one string.
    `role_timeout` is whether the role sets lock_timeout, to which RESET returns. Relations are
    resolved: with the first schema of the search path where a name had none. `strongest` is the
    first of the strongest locks `held`.
    """

    in_transaction: str = ""
    implicit: str = ""
    begun: Session | None = None
    savepoints: Mapping[str, Session] = field(default_factory=dict)
    role_timeout: bool = False
    lock_timeout: bool = False
    local_timeout: bool | None = None
    search_path: str = "public"
    created: frozenset[ops.Relation] = frozenset()
    index_tables: Mapping[ops.Relation, ops.Relation] = field(default_factory=dict)
    known: Known = field(default_factory=dict)
    domains: frozenset[ops.Relation] = frozenset()
    held: Mapping[ops.Relation, Held] = field(default_factory=dict)
    strongest: Held | None = None

    @property
    def waits_forever(self) -> bool:
        """Whether a statement would wait for its lock without end."""
        return not (self.lock_timeout if self.local_timeout is None else self.local_timeout)

    def resolve(self, relation: ops.Relation) -> ops.Relation:
        """The relation with the schema that the search path gives it."""
        if relation.schema:
            return relation
        temporary = ops.Relation(relation.name, "pg_temp")
        if temporary in self.created:
            return temporary
        return ops.Relation(relation.name, self.search_path)

    def is_new(self, relation: ops.Relation) -> bool:
        """Whether the file itself created the relation, or the table of the index."""
        known = self.resolve(relation)
        return known in self.created or self.index_tables.get(known) in self.created

    def table_of_index(self, index: ops.Relation) -> ops.Relation | None:
        """The table of an index that these files created."""
        return self.index_tables.get(self.resolve(index))


def after(session: Session, operation: ops.Operation, line: int) -> Session:
    """The state behind a statement."""
    match operation:
        case ops.Transaction():
            return _after_transaction(session, operation)
        case ops.SetVariable():
            return _after_set(session, operation)
        case ops.ResetSession():
            timeout = session.role_timeout
            return replace(session, lock_timeout=timeout, local_timeout=None, search_path="public")
    known = known_after(session.known, operation, session.resolve)
    named = _with_names(replace(session, known=known), operation)
    return _with_held(named, locks_of(operation), line)


def _after_transaction(session: Session, operation: ops.Transaction) -> Session:
    match operation.kind:
        case "begin" if not session.in_transaction:
            return replace(session, in_transaction="BEGIN", begun=session)
        case "commit" | "prepare":
            return _chained(_ended(session), operation)
        case "rollback":
            return _chained(_ended(session.begun or session), operation)
        case "savepoint":
            points = {**session.savepoints, operation.savepoint: session}
            return replace(session, savepoints=points)
        case "rollback to" if operation.savepoint in session.savepoints:
            saved = session.savepoints[operation.savepoint]
            return replace(saved, savepoints=session.savepoints)
    return session


def _ended(session: Session) -> Session:
    return replace(
        session,
        in_transaction=session.implicit,
        begun=None,
        savepoints={},
        local_timeout=None,
        held={},
        strongest=None,
    )


def _chained(session: Session, operation: ops.Transaction) -> Session:
    if not operation.chain:
        return session
    return replace(session, in_transaction="BEGIN", begun=session)


def _after_set(session: Session, operation: ops.SetVariable) -> Session:
    if operation.name == "search_path":
        first = (operation.value or "public").split(",")[0].strip().strip('"')
        return replace(session, search_path=first if first not in ("", "$user") else "public")
    if operation.name != "lock_timeout":
        return session
    if operation.value is None:
        is_set = session.role_timeout
    else:
        is_set = not _OFF.fullmatch(operation.value)
    if not operation.local:
        return replace(session, lock_timeout=is_set, local_timeout=None)
    # Outside of a transaction SET LOCAL changes nothing (the server only warns).
    return replace(session, local_timeout=is_set) if session.in_transaction else session


def _with_names(session: Session, operation: ops.Operation) -> Session:
    """What the file creates, drops and renames."""
    match operation:
        case ops.CreateTable(table=table, if_not_exists=False) if "%" not in table.name:
            name = ops.Relation(table.name, "pg_temp") if operation.temporary else table
            return replace(session, created=session.created | {session.resolve(name)})
        case ops.CreateIndex(table=table, name=name) if name:
            index = ops.Relation(name, session.resolve(table).schema)
            known = {**session.index_tables, index: session.resolve(table)}
            return replace(session, index_tables=known)
        case ops.ConstrainDomain(name=name):
            return replace(session, domains=session.domains | {session.resolve(name)})
        case ops.Drop(kind="table" | "materialized view", names=names):
            gone = {session.resolve(name) for name in names}
            return replace(session, created=session.created - gone)
        case ops.Rename(relation=relation, new_name=new, part="") if session.is_new(relation):
            old = session.resolve(relation)
            renamed = (session.created - {old}) | {ops.Relation(new, old.schema)}
            return replace(session, created=renamed)
        case ops.AlterTable(table=table, actions=actions, kind="table"):
            # From now on they are read through their parent.
            attached = {
                session.resolve(action.partition)
                for action in actions
                if isinstance(action, ops.Partition) and action.attach
            }
            if attached and not session.is_new(table):
                return replace(session, created=session.created - attached)
    return session


def _with_held(session: Session, locks: tuple[TableLock, ...], line: int) -> Session:
    if not session.in_transaction:
        return session
    new: dict[ops.Relation, Held] = {}
    strongest = session.strongest
    for lock in locks:
        relation = session.resolve(lock.relation)
        if not blocks_writes(lock.mode) or session.is_new(relation):
            continue
        old = session.held.get(relation)
        if old is None or MODES.index(lock.mode) > MODES.index(old.mode):
            new[relation] = Held(relation, lock.mode, line)
            if strongest is None or MODES.index(lock.mode) > MODES.index(strongest.mode):
                strongest = new[relation]
    if not new:
        return session
    return replace(session, held={**session.held, **new}, strongest=strongest)
