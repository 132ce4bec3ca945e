"""Queues on tables: readers behind an ALTER, several holders, chains, upgrades, LOCK TABLE."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from tests.lab.scenes.scene import scene
from tests.lab.scenes.stage import STOCK, Stage

SELECT = "SELECT count(*) FROM stock"
ALTER = "ALTER TABLE stock ADD COLUMN note text"


@scene
def alter_behind_idle_reader(stage: Stage) -> Generator[None]:
    """ALTER TABLE behind an idle reader, and SELECTs behind the ALTER."""
    stage.prepare(*STOCK)
    reader = stage.take(stage.session("reporting", "BEGIN"), SELECT, "AccessShareLock")
    alter = stage.wait(reader, "migrate", ALTER, "AccessExclusiveLock")
    for _ in range(5):
        stage.wait(
            reader,
            "inventory-service",
            SELECT,
            "AccessShareLock",
            edge="soft",
            hard=[],
            soft=[alter.session.pid],
        )
    yield
    stage.release(reader)


@scene
def two_holders(stage: Stage) -> Generator[None]:
    """Two idle readers block the same ALTER; it goes on only after both of them."""
    stage.prepare(*STOCK)
    first = stage.take(stage.session("reporting", "BEGIN"), SELECT, "AccessShareLock")
    second = stage.take(stage.session("analytics", "BEGIN"), SELECT, "AccessShareLock")
    stage.wait([first, second], "migrate", ALTER, "AccessExclusiveLock")
    yield
    stage.release(first)
    yield
    stage.release(second)


@scene
def chain_across_tables(stage: Stage) -> Generator[None]:
    """A blocks B on one table, B blocks C on another: C waits because of A."""
    stage.prepare(*STOCK, "CREATE TABLE orders (id int)")
    root = stage.session("migrate", "BEGIN")
    stock = stage.take(root, "LOCK TABLE stock IN ACCESS EXCLUSIVE MODE", "AccessExclusiveLock")
    middle = stage.session("order-service", "BEGIN", "LOCK TABLE orders IN EXCLUSIVE MODE")
    waiting = stage.wait(stock, middle, SELECT, "AccessShareLock")
    stage.wait(
        stock,
        "checkout",
        "INSERT INTO orders VALUES (1)",
        "RowExclusiveLock",
        relation="public.orders",
        edge="indirect",
        hard=[middle.pid],
    )
    yield
    stage.release(stock)
    stage.settle(waiting)
    middle.run("COMMIT")


@scene
def lock_upgrade(stage: Stage) -> Generator[None]:
    """A reader asks for a stronger lock and jumps the queue, as it holds what others wait for.

    It stands before the ALTER that began to wait earlier (src/backend/storage/lmgr/README), so the
    order of waitstart is not the order of the queue.
    """
    stage.prepare(*STOCK)
    reader = stage.take(stage.session("reporting", "BEGIN"), SELECT, "AccessShareLock")
    upgrader = stage.session("batch", "BEGIN", SELECT)
    alter = stage.wait(
        reader,
        "migrate",
        ALTER,
        "AccessExclusiveLock",
        hard=[reader.hold.pid, upgrader.pid],
    )
    upgrade = stage.wait(
        reader, upgrader, "LOCK TABLE stock IN ACCESS EXCLUSIVE MODE", "AccessExclusiveLock"
    )
    stage.wait(
        reader,
        "inventory-service",
        SELECT,
        "AccessShareLock",
        edge="soft",
        hard=[],
        soft=[alter.session.pid, upgrader.pid],
    )
    yield
    stage.release(reader)
    stage.settle(upgrade)
    upgrader.run("COMMIT")


@scene
def two_upgraders(stage: Stage) -> Generator[None]:
    """Two holders of a ShareLock both want to write, and an INSERT waits for both of them.

    The second one to ask would wait for one that waits for it: the server sees this without its
    detector and ends it at once (ProcSleep, src/backend/storage/lmgr/proc.c). Then the first one
    has the table, and is the root holder of the INSERT that still waits.
    """
    stage.prepare(*STOCK)
    lock = "LOCK TABLE stock IN SHARE MODE"
    upgrader = stage.session("batch", "BEGIN")
    after = stage.control.now()
    upgrader.run(lock)
    before = stage.control.now()
    other = stage.take(stage.session("import", "BEGIN"), lock, "ShareLock")
    update = "UPDATE stock SET quantity = 0"
    upgrade = stage.wait(other, upgrader, update, "RowExclusiveLock")
    (insert,) = stage.insert(other)
    insert.wait = replace(insert.wait, hard_behind=frozenset({other.hold.pid, upgrader.pid}))
    yield
    assert other.session is not None
    asked = stage.control.now()
    other.session.send(update)
    assert other.session.outcome() == "deadlock"
    stage.released(other, asked)
    stage.settle(upgrade)
    other.session.run("ROLLBACK")
    held = stage.note_granted(upgrade)
    held.hold = replace(
        held.hold, mode="ShareLock", statement=lock, taken_after=after, taken_before=before
    )
    held.waits.append((insert, "hard"))
    yield
    stage.release(held)


@scene
def lock_table_modes(stage: Stage) -> Generator[None]:
    """LOCK TABLE EXCLUSIVE: writers and SELECT FOR UPDATE wait, a plain reader does not."""
    stage.prepare(*STOCK)
    holder = stage.session("batch", "BEGIN")
    lock = stage.take(holder, "LOCK TABLE stock IN EXCLUSIVE MODE", "ExclusiveLock")
    stage.bystander("reporting", SELECT)
    stage.insert(lock, 2)
    select_for_update = "SELECT * FROM stock WHERE sku = 'sku-1' FOR UPDATE"
    stage.wait(lock, "checkout", select_for_update, "RowShareLock")
    yield
    stage.release(lock)
