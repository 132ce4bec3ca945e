"""Locks that tempt to a wrong name: of no table, beside another, seen from elsewhere."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from tests.lab.scenes.index_builds import hold_index
from tests.lab.scenes.scene import scene
from tests.lab.scenes.stage import STOCK, Stage


@scene
def advisory_locks(stage: Stage) -> Generator[None]:
    """Session-level advisory locks of both forms, held by a session outside any transaction."""
    holder = stage.session("scheduler")
    one_key, two_keys = (
        stage.take(holder, statement, "ExclusiveLock", None, lock_type="advisory", state="idle")
        for statement in ("SELECT pg_advisory_lock(4711)", "SELECT pg_advisory_lock(7, 8)")
    )
    one_key.hold = replace(one_key.hold, last_statement=two_keys.hold.statement)
    for taken, application, statement, mode in [
        (one_key, "worker", "SELECT pg_advisory_lock(4711)", "ExclusiveLock"),
        (two_keys, "worker", "SELECT pg_advisory_xact_lock_shared(7, 8)", "ShareLock"),
        (two_keys, "cron", "SELECT pg_advisory_xact_lock_shared(7, 8)", "ShareLock"),
    ]:
        stage.wait(taken, application, statement, mode, lock_type="advisory", relation=None)
    yield
    stage.release(one_key, "SELECT pg_advisory_unlock_all()")
    stage.released(two_keys, stage.last_release)


@scene
def unrelated_lock_beside(stage: Stage) -> Generator[None]:
    """Beside a held CREATE INDEX: another episode on another table, and a lock nobody waits for."""
    stage.prepare(
        *STOCK,
        "CREATE SCHEMA audit",
        "CREATE TABLE audit.events (id int)",
        "CREATE TABLE price (id int)",
    )
    stage.bystander("batch", "LOCK TABLE price IN ACCESS EXCLUSIVE MODE")
    index = hold_index(stage)
    cleanup = stage.session("cleanup", "BEGIN")
    truncate = stage.take(cleanup, "TRUNCATE audit.events", "AccessExclusiveLock", "audit.events")
    stage.insert(index, 3)
    stage.wait(
        truncate,
        "audit-writer",
        "INSERT INTO audit.events VALUES (1)",
        "RowExclusiveLock",
        relation="audit.events",
    )
    yield
    stage.release(index)
    stage.release(truncate)


@scene
def without_privileges(stage: Stage) -> Generator[None]:
    """A held CREATE INDEX, looked at by a role that may not see the sessions of others."""
    role = f"{stage.database}_observer"
    stage.create_role(role)
    stage.prepare(*STOCK)
    stage.truth.dsn = stage.server.dsn_of(stage.database, role)
    stage.bystander("reporting", "SELECT count(*) FROM stock")
    index = hold_index(stage)
    stage.insert(index, 3)
    yield
    stage.release(index)


@scene
def template_clone(stage: Stage) -> Generator[None]:
    """The observer is in a clone, where the OID of the locked table belongs to another name."""
    stage.prepare(*STOCK)
    clone = stage.clone_database()
    stage.prepare("ALTER TABLE stock RENAME TO payroll", database=clone)
    stage.truth.dsn = stage.server.dsn_of(clone)
    stage.truth.wrong_names = frozenset({"payroll", "public.payroll"})
    index = hold_index(stage)
    stage.insert(index, 3)
    yield
    stage.release(index)
