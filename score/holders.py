"""The sessions that hold what others wait for: one process for each kind of lock."""

from __future__ import annotations

from score.causes import BehindReader, HeldRow, HeldTable
from score.engine import Process
from score.lock_table import (
    ACCESS_EXCLUSIVE,
    ACCESS_SHARE,
    ROW,
    ROW_EXCLUSIVE,
    Session,
    Tag,
)
from score.simulator import Simulation
from score.trace import Hold, Logged
from score.world import CHANGES

COUNTS = "SELECT count(*) FROM that"


def hold_table(simulation: Simulation, number: int, cause: HeldTable) -> Process[None]:
    """Takes the table as soon as it gets it and keeps it to the end; idle where `last` is said."""
    session = simulation.connect(cause.application)
    granted = yield from _take(
        simulation, session, (cause.table, None), cause.mode, cause.statement
    )
    if cause.last:
        session.query = cause.last
        session.pause(simulation.engine.now)
    yield max(0.0, cause.end - simulation.engine.now)
    simulation.locks.finish(session)
    simulation.trace.holds.append(Hold(number, granted, simulation.engine.now))


def read_and_forget(simulation: Simulation, number: int, cause: BehindReader) -> Process[None]:
    """Reads, stays idle in its transaction, and ends it when somebody notices."""
    reader = simulation.connect("reporting")
    query = COUNTS.replace("that", cause.table.rpartition(".")[2])
    granted = yield from _take(simulation, reader, (cause.table, None), ACCESS_SHARE, query)
    reader.pause(simulation.engine.now)
    simulation.engine.start(_alter(simulation, cause), at=cause.alter_at)
    yield max(0.0, cause.end - simulation.engine.now)
    simulation.locks.finish(reader)
    simulation.trace.holds.append(Hold(number, granted, simulation.engine.now))


def _alter(simulation: Simulation, cause: BehindReader) -> Process[None]:
    session = simulation.connect("migrate")
    name = cause.table.rpartition(".")[2]
    statement = f"ALTER TABLE {name} ADD COLUMN note text"
    yield from _take(simulation, session, (cause.table, None), ACCESS_EXCLUSIVE, statement)
    yield 0.02
    simulation.locks.finish(session)


def hold_row(simulation: Simulation, number: int, cause: HeldRow) -> Process[None]:
    """Changes the hot row and leaves its transaction open."""
    session = simulation.connect(cause.application)
    statement = CHANGES.replace("that", cause.table.rpartition(".")[2])
    yield from _take(simulation, session, (cause.table, None), ROW_EXCLUSIVE, statement)
    granted = yield from _take(simulation, session, (cause.table, 1), ROW, statement)
    session.pause(simulation.engine.now)
    yield max(0.0, cause.end - simulation.engine.now)
    simulation.locks.finish(session)
    simulation.trace.holds.append(Hold(number, granted, simulation.engine.now))


def _take(
    simulation: Simulation, session: Session, tag: Tag, mode: str, statement: str
) -> Process[float]:
    """Runs a statement that needs a lock; returns when it was granted."""
    now = simulation.engine.now
    session.run(statement, now)
    if statement.startswith(("CREATE", "ALTER", "LOCK")):
        simulation.trace.log.append(Logged(now, "statement", session, statement))
    request = simulation.locks.acquire(session, tag, mode)
    if request is not None:
        yield from simulation.wait(request)
    return simulation.engine.now
