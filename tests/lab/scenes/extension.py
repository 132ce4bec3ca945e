"""The lock on the extension of a relation: it lasts microseconds, unless its holder is stopped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator
from threading import Event, Timer

from tests.lab.scenes.scene import scene
from tests.lab.scenes.session import Session, until
from tests.lab.scenes.stage import Stage

# Longer than the two looks take, shorter than anybody's patience.
RESCUE_SECONDS = 0.5
BULK_LOAD = "INSERT INTO photos SELECT repeat('x', 5000) FROM generate_series(1, 30000)"
INSERT = "INSERT INTO photos VALUES (repeat('x', 5000))"


@scene
def relation_extension(stage: Stage) -> Generator[None]:
    """A backend is stopped (SIGSTOP) while it makes its table longer; other INSERTs wait for it.

    It is stopped at random moments until pg_locks shows that it was at the right one. The rows are
    so wide that each needs a new page. Each session has inserted before, so it remembers a page:
    else it would look for room on the last one, which is the very page being added
    (RelationGetBufferForTuple, src/backend/access/heap/hio.c).
    """
    stage.prepare(
        "CREATE UNLOGGED TABLE photos (image text)",
        "ALTER TABLE photos ALTER COLUMN image SET STORAGE PLAIN",
    )
    probe = stage.session("probe", "SET lock_timeout = '100ms'", INSERT)
    services = [stage.session("inventory-service", INSERT) for _ in range(2)]
    loader = stage.session("bulk-load", INSERT)
    extension = stage.take(
        loader,
        BULK_LOAD,
        "ExclusiveLock",
        "public.photos",
        lock_type="extend",
        state="active",
        until_taken=lambda: until(lambda: caught_extending(stage, loader, probe), "an extension"),
    )
    try:
        for number, service in enumerate(services):
            stage.wait(
                extension,
                service,
                INSERT,
                "ExclusiveLock",
                lock_type="extend",
                relation="public.photos",
                soft=[earlier.pid for earlier in services[:number]],
            )
        yield
        after = stage.control.now()
        # It finds this as soon as it goes on, so it takes the lock no second time.
        stage.control.ask("SELECT pg_cancel_backend(%s)", loader.pid)
    finally:
        os.kill(loader.pid, signal.SIGCONT)
    assert loader.outcome() == "cancelled"
    stage.released(extension, after)


def caught_extending(stage: Stage, loader: Session, probe: Session) -> bool:
    """Stops a backend, and leaves it stopped if others wait for its lock on an extension then.

    It may be stopped with something else in its hands that the looks need, or a new session, which
    then hang: so a timer lets it go on if they take too long.
    """
    query = """SELECT EXISTS (SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE pid = %s AND locktype = 'extend' AND granted)"""
    rescued = Event()

    def rescue() -> None:
        rescued.set()
        os.kill(loader.pid, signal.SIGCONT)

    timer = Timer(RESCUE_SECONDS, rescue)
    os.kill(loader.pid, signal.SIGSTOP)
    timer.start()
    time.sleep(0.005)
    caught = bool(stage.control.ask(query, loader.pid))
    if caught:
        probe.send(INSERT)
        caught = probe.outcome() == "lock_timeout"
    if caught:
        stage.server.connect().close()
    timer.cancel()
    timer.join()
    if not caught:
        os.kill(loader.pid, signal.SIGCONT)
    return caught and not rescued.is_set()
