"""Locks on rows: chains, deadlock, prepared transactions, foreign keys.

A row's lock stands in the row itself; who wants it waits for the holder's transaction id, and
behind the first of them for the tuple (src/backend/access/heap/README.tuplock).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from tests.lab.scenes.scene import scene
from tests.lab.scenes.stage import DETECTOR_SECONDS, STOCK, Stage, Taken
from tests.lab.scenes.truth import Hold

UPDATE = "UPDATE stock SET quantity = quantity - 1 WHERE sku = 'sku-1'"

INSERT_CHILD = "INSERT INTO shelf VALUES ({}, 1)"


@scene
def row_lock_chain(stage: Stage) -> Generator[None]:
    """A updates a row; B waits for A's transaction, C and D for the tuple that B has locked."""
    stage.prepare(*STOCK)
    holder = stage.session("checkout", "BEGIN")
    row = stage.take(holder, UPDATE, "ExclusiveLock", lock_type="transactionid")
    first = stage.wait(
        row, "inventory-service", UPDATE, "ShareLock", lock_type="transactionid", relation=None
    ).session.pid
    behind: list[int] = []
    for _ in range(2):
        waiting = stage.wait(
            row,
            "inventory-service",
            UPDATE,
            "ExclusiveLock",
            lock_type="tuple",
            edge="indirect",
            hard=[first],
            soft=behind,
        )
        behind = [*behind, waiting.session.pid]
    yield
    stage.release(row)


@scene
def deadlock(stage: Stage) -> Generator[None]:
    """Two transactions update two rows in opposite order, until the detector ends one of them."""
    stage.prepare(*STOCK)
    sessions = [stage.session(name, "BEGIN") for name in ("checkout", "restock")]
    sessions[0].run(f"SET LOCAL deadlock_timeout = '{DETECTOR_SECONDS}s'")
    sessions[1].run("SET LOCAL deadlock_timeout = '60s'")
    update = "UPDATE stock SET quantity = 0 WHERE sku = 'sku-{}'"
    one, two = (
        stage.take(session, update.format(n), "ExclusiveLock", lock_type="transactionid")
        for n, session in enumerate(sessions, 1)
    )
    waits = [
        stage.wait(
            other,
            session,
            update.format(n),
            "ShareLock",
            lock_type="transactionid",
            relation=None,
        )
        for other, session, n in [(two, sessions[0], 2), (one, sessions[1], 1)]
    ]
    stage.circle(one, two)
    yield
    stage.break_circle(victim=one, waits=waits)
    stage.release(two)


@scene
def prepared_transaction(stage: Stage) -> Generator[None]:
    """A prepared transaction, which is no session any more, holds a row and the whole table."""
    stage.prepare(*STOCK)
    session = stage.session("payment")
    gid = f"{stage.database}_payment"
    session.run("BEGIN")
    row = stage.take(session, UPDATE, "ExclusiveLock", lock_type="transactionid")
    lock = "LOCK TABLE stock IN SHARE ROW EXCLUSIVE MODE"
    table = stage.take(session, lock, "ShareRowExclusiveLock")
    session.run(f"PREPARE TRANSACTION '{gid}'")
    for taken in (row, table):
        taken.hold = prepared(taken.hold)
    stage.truth.prepared = (gid,)
    row_read = "SELECT * FROM stock WHERE sku = 'sku-1' FOR UPDATE"
    stage.wait(row, "checkout", row_read, "ShareLock", lock_type="transactionid", relation=None)
    stage.insert(table, 2)
    yield
    after = stage.control.now()
    stage.prepare(f"COMMIT PREPARED '{gid}'")
    for taken in (row, table):
        stage.released(taken, after)


def prepared(hold: Hold) -> Hold:
    """The hold after PREPARE TRANSACTION, when it belongs to no session."""
    return replace(
        hold, pid=0, backend_start=None, application="", last_statement="", state="prepared"
    )


@scene
def foreign_key(stage: Stage) -> Generator[None]:
    """A DELETE of a parent row is not committed; INSERTs of children wait for it."""
    stage.prepare(
        "CREATE TABLE warehouse (id int PRIMARY KEY)",
        "CREATE TABLE shelf (id int, warehouse int REFERENCES warehouse)",
        "INSERT INTO warehouse VALUES (1), (2)",
    )
    holder = stage.session("admin", "BEGIN")
    parent = stage.take(
        holder,
        "DELETE FROM warehouse WHERE id = 1",
        "ExclusiveLock",
        "public.warehouse",
        lock_type="transactionid",
    )
    for n in range(3):
        insert_child(stage, parent, n)
    yield
    stage.release(parent, "ROLLBACK")


def insert_child(stage: Stage, parent: Taken, number: int) -> None:
    """The check of the key locks the parent row FOR KEY SHARE, and so waits for its deleter."""
    stage.wait(
        parent,
        "inventory-service",
        INSERT_CHILD.format(number),
        "ShareLock",
        lock_type="transactionid",
        relation=None,
    )
