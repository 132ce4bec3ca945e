"""How migration tools run a file: each statement on its own, or all of them in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from incident_rca.migrations.operations import (
    AlterTable,
    CreateIndex,
    Drop,
    Operation,
    Other,
    Partition,
    Reindex,
    Rewrite,
)


def refuses_transaction(operation: Operation) -> str:
    """The command that PostgreSQL runs outside of a transaction only; "" for any other.

    REFRESH MATERIALIZED VIEW CONCURRENTLY is none of them.
    """
    match operation:
        case CreateIndex(concurrently=True):
            return "CREATE INDEX CONCURRENTLY"
        case Drop(kind="index", concurrently=True):
            return "DROP INDEX CONCURRENTLY"
        case Reindex(concurrently=True):
            return "REINDEX CONCURRENTLY"
        case Reindex(kind="schema" | "system" | "database"):
            return f"REINDEX {operation.kind.upper()}"
        case Rewrite(command="VACUUM FULL"):
            return "VACUUM FULL"
        case Other(kind="vacuum"):
            return "VACUUM"
        case Rewrite(command="CLUSTER", tables=()):
            return "CLUSTER"
        case AlterTable(actions=(Partition(attach=False, concurrently=True),)):
            return "DETACH PARTITION CONCURRENTLY"
    return ""


def _never(_: Sequence[Operation]) -> bool:
    return False


def _always(_: Sequence[Operation]) -> bool:
    return True


def _if_several(operations: Sequence[Operation]) -> bool:
    """Several statements sent as one string are one transaction of the server's own making."""
    return len(operations) > 1


def _unless_flyway_knows_all(operations: Sequence[Operation]) -> bool:
    """Flyway refuses a file that mixes both kinds (`mixed=false`, its default)."""
    return not all(_known_to_flyway(operation) for operation in operations)


def _known_to_flyway(operation: Operation) -> bool:
    """What Flyway itself runs outside of a transaction (PostgreSQLParser.java, Flyway 11).

    It does not know that REINDEX INDEX and DETACH refuse one with CONCURRENTLY.
    """
    match operation:
        case CreateIndex() | Drop():
            return operation.concurrently
        case Reindex():
            return operation.kind not in ("index", "table")
        case Rewrite():
            return operation.command == "VACUUM FULL"
    return isinstance(operation, Other) and operation.kind == "vacuum"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """A tool; `wraps` says whether it puts a file of these statements into one transaction.

    `outside` is how a statement is kept out of that. With `one_string` the server gets the file as
    a whole, so that what follows a COMMIT in it is a transaction again.
    """

    name: str
    how: str
    wraps: Callable[[Sequence[Operation]], bool] = field(repr=False)
    outside: str
    one_string: bool = False


def way_out(runner: Runner, inside: str, *, in_body: bool) -> str:
    """What to do with a statement that PostgreSQL does not run where it stands.

    `inside` is the transaction's beginning as in a session: BEGIN, or the runner's name.
    """
    if in_body:
        return "write it as a statement of its own"
    return runner.outside if inside == runner.name else "end the transaction before it"


RUNNERS: Mapping[str, Runner] = {
    runner.name: runner
    for runner in (
        Runner(
            name="psql",
            how="each statement on its own, unless the file says BEGIN",
            wraps=_never,
            outside="leave BEGIN and COMMIT out of this file",
        ),
        Runner(
            name="sqitch",
            how="by psql: each statement on its own, unless the file says BEGIN",
            wraps=_never,
            outside="leave BEGIN and COMMIT out of this file",
        ),
        Runner(
            name="flyway",
            how="each file in a transaction, or none of it; a mix of both is refused",
            wraps=_unless_flyway_knows_all,
            outside=(
                "keep it alone in its file, with flyway.postgresql.transactional.lock=false; "
                "REINDEX and DETACH also need executeInTransaction=false in FILE.sql.conf"
            ),
        ),
        Runner(
            name="golang-migrate",
            how="a file of several statements as one string, which is one transaction",
            wraps=_if_several,
            outside="keep it alone in its file, or set x-multi-statement=true and lint it as psql",
            one_string=True,
        ),
        Runner(
            name="alembic",
            how="each migration in a transaction",
            wraps=_always,
            outside="run it in `with op.get_context().autocommit_block():`",
        ),
        Runner(
            name="django",
            how="each migration in a transaction",
            wraps=_always,
            outside="set `atomic = False` on the migration",
        ),
    )
}
