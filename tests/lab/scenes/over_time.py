"""Incidents with a course: episodes in a row, a restart, waiters that give up."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta

from tests.lab.scenes.index_builds import CREATE_INDEX, hold_index
from tests.lab.scenes.scene import scene, scene_on_own_server
from tests.lab.scenes.stage import INSERT, STOCK, Stage

TIMEOUT_SECONDS = 3


@scene
def two_episodes(stage: Stage) -> Generator[None]:
    """Two holders one after the other on a table; the second one waited for the first."""
    stage.prepare(*STOCK)
    index = hold_index(stage)
    first = stage.insert(index, 2)
    batch = stage.session("batch", "BEGIN")
    lock = "LOCK TABLE stock IN SHARE ROW EXCLUSIVE MODE"
    # It conflicts with the INSERTs that wait before it, too.
    waiting = stage.wait(
        index,
        batch,
        lock,
        "ShareRowExclusiveLock",
        soft=[insert.session.pid for insert in first],
    )
    yield
    stage.release(index)
    stage.settle(*first, waiting)
    second = stage.note_granted(waiting)
    stage.insert(second, 3)
    yield
    stage.release(second)


@scene
def same_holder_twice(stage: Stage) -> Generator[None]:
    """One session holds the table twice, in two transactions, with a quiet time in between."""
    stage.prepare(*STOCK)
    first = hold_index(stage)
    assert first.session is not None
    waits = stage.insert(first, 2)
    yield
    stage.release(first)
    stage.settle(*waits)
    yield
    first.session.run("BEGIN")
    second = stage.take(first.session, "DROP INDEX stock_quantity_idx", "AccessExclusiveLock")
    stage.insert(second, 3)
    yield
    stage.release(second)


@scene
def waiters_give_up(stage: Stage) -> Generator[None]:
    """Five of seven waiters give up, each in another way; of the two left, one has lost its client.

    Two of them have timeouts, so the body of the first act has that long.
    """
    stage.prepare(*STOCK)
    index = hold_index(stage)
    settings = {
        "patient": "SET lock_timeout = 0",
        "cancelled": "SET lock_timeout = 0",
        "terminated": "SET lock_timeout = 0",
        "ghost": "SET client_connection_check_interval = 0",
        "hung-up": "SET client_connection_check_interval = '100ms'",
        "lock-timeout": f"SET lock_timeout = '{TIMEOUT_SECONDS}s'",
        "statement-timeout": f"SET statement_timeout = '{TIMEOUT_SECONDS}s'",
    }
    waits = {
        name: stage.wait(
            index, stage.session(name, setting), INSERT.format(name), "RowExclusiveLock"
        )
        for name, setting in settings.items()
    }
    yield
    for name in ("lock-timeout", "statement-timeout"):
        began = waits[name].wait.began_after
        stage.settle(waits[name], after=began + timedelta(seconds=TIMEOUT_SECONDS))
    for name, function in [
        ("cancelled", "pg_cancel_backend"),
        ("terminated", "pg_terminate_backend"),
    ]:
        after = stage.control.now()
        stage.control.ask(f"SELECT {function}(%s)", waits[name].session.pid)
        stage.settle(waits[name], after=after)
    after = stage.control.now()
    for name in ("hung-up", "ghost"):
        waits[name].session.connection.close()
    stage.control.until_gone(waits["hung-up"].session.pid)
    stage.ended(waits["hung-up"], "terminated", after)
    yield
    stage.release(index)
    # It gets its lock and writes its row before it finds that nobody listens.
    stage.control.until_gone(waits["ghost"].session.pid)
    stage.ended(waits["ghost"], "granted", stage.last_release)
    stage.settle(waits["patient"])
    rows = waits["patient"].session.run("SELECT sku FROM stock WHERE quantity = 1 ORDER BY sku")
    assert rows == [("ghost",), ("patient",), ("sku-1",)]


@scene_on_own_server({})
def restart_in_the_middle(stage: Stage) -> Generator[None]:
    """The server crashes while they wait, and starts; then a new incident on the same table.

    After a restart the system may hand out the same pids again.
    """
    stage.prepare(*STOCK)
    index = hold_index(stage)
    waits = stage.insert(index, 3)
    yield
    after = stage.control.now()
    stage.restart()
    stage.released(index, after)
    stage.settle(*waits)
    yield
    again = stage.take(stage.session("migrate", "BEGIN"), CREATE_INDEX, "ShareLock")
    stage.insert(again, 2)
    yield
    stage.release(again)
