"""Scenes that need settings which no other scene wants: 500 waiters, and a running autovacuum."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta

from tests.lab.scenes.index_builds import hold_index
from tests.lab.scenes.scene import scene_on_own_server
from tests.lab.scenes.session import until
from tests.lab.scenes.stage import DETECTOR_SECONDS, STOCK, Stage, Taken
from tests.lab.scenes.truth import Hold


@scene_on_own_server({"max_connections": "560"})
def five_hundred_waiters(stage: Stage) -> Generator[None]:
    """A held CREATE INDEX with 500 INSERTs behind it."""
    stage.prepare(*STOCK)
    stage.bystander("reporting", "SELECT count(*) FROM stock")
    index = hold_index(stage)
    stage.insert(index, 500)
    yield
    stage.release(index)


@scene_on_own_server({"autovacuum": "on", "autovacuum_naptime": "'1s'"})
def autovacuum_cancelled(stage: Stage) -> Generator[None]:
    """An autovacuum blocks an ALTER, and is cancelled for it after the ALTER's deadlock_timeout.

    The body has that long. A SELECT waits behind the ALTER only.
    """
    vacuum = start_autovacuum(stage)
    session = stage.session("migrate", f"SET deadlock_timeout = '{DETECTOR_SECONDS}s'")
    statement = "ALTER TABLE stock ADD COLUMN note text"
    alter = stage.wait(vacuum, session, statement, "AccessExclusiveLock")
    stage.wait(
        vacuum,
        "inventory-service",
        "SELECT count(*) FROM stock",
        "AccessShareLock",
        edge="soft",
        hard=[],
        soft=[session.pid],
    )
    yield
    after = alter.wait.began_after + timedelta(seconds=DETECTOR_SECONDS)
    stage.settle(alter, after=after)
    stage.released(vacuum, after)


def start_autovacuum(stage: Stage) -> Taken:
    """Makes a table with enough dead rows for the autovacuum to sleep over for a minute."""
    after = stage.control.now()
    stage.prepare(
        *STOCK,
        """ALTER TABLE stock SET (autovacuum_vacuum_threshold = 100,
            autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_insert_threshold = -1,
            autovacuum_analyze_threshold = 1000000000, autovacuum_vacuum_cost_delay = 100,
            autovacuum_vacuum_cost_limit = 1)""",
        "INSERT INTO stock SELECT 'more-' || n, n FROM generate_series(1, 100000) n",
        "DELETE FROM stock WHERE quantity % 2 = 0",
    )
    query = """SELECT a.pid, a.backend_start FROM pg_stat_activity a JOIN pg_locks l USING (pid)
        WHERE a.datname = %s AND a.backend_type = 'autovacuum worker'
        AND l.locktype = 'relation' AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted
        AND a.query LIKE '%%public.stock'"""
    ((pid, start),) = until(lambda: stage.control.rows(query, stage.database), "an autovacuum")
    hold = Hold(
        pid=pid,
        backend_start=start,
        application="",
        relation="public.stock",
        lock_type="relation",
        mode="ShareUpdateExclusiveLock",
        statement="autovacuum: VACUUM public.stock",
        last_statement="autovacuum: VACUUM public.stock",
        state="active",
        taken_after=after,
        taken_before=stage.control.now(),
    )
    return stage.note(Taken(None, hold))
