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


def _unless_all_refuse(operations: Sequence[Operation]) -> bool:
    """Flyway refuses a file that mixes both kinds (`mixed=false`, its default)."""
    return not all(refuses_transaction(operation) for operation in operations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """A tool; `wraps` says whether it puts a file of these statements into one transaction."""

    name: str
    how: str
    wraps: Callable[[Sequence[Operation]], bool] = field(repr=False)
    outside: str = ""


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
            wraps=_unless_all_refuse,
            outside="keep it in a file of its own: Flyway then runs it outside a transaction",
        ),
        Runner(
            name="golang-migrate",
            how="a file of several statements as one string, which is one transaction",
            wraps=_if_several,
            outside="keep it alone in its file, or set x-multi-statement=true",
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
