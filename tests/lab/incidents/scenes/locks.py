"""Scenes in which sessions wait for a lock that one session holds, and nobody else is to blame."""

from __future__ import annotations

import threading

from tests.lab.incidents.load import ARTICLES
from tests.lab.incidents.scenes.acts import (
    BUILD_INDEX,
    HELD_SECONDS,
    ON_RESERVATIONS,
    QUIET,
    WHOLE,
    build_index,
    misbehave,
)
from tests.lab.incidents.stack import Build
from tests.lab.incidents.stage import LEAD_SECONDS, Scene, Stage
from tests.lab.incidents.truth import (
    SHIPMENTS,
    STOCK,
    Expected,
    Part,
    trigger,
)

ON_STOCK = trigger("lock_blocking", STOCK)


def index_build(stage: Stage) -> None:
    """An index is built without CONCURRENTLY, and the migration's transaction stays open."""
    build_index(stage)


def concurrent_build(stage: Stage) -> None:
    """An index is built CONCURRENTLY: it waits for an old transaction, and nobody waits for it."""
    old, migration = stage.session("reporting"), stage.session("migrate")
    stage.until(LEAD_SECONDS)
    old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    old.execute("SELECT count(*) FROM stock_reservations")
    statement = BUILD_INDEX.replace("INDEX", "INDEX CONCURRENTLY").encode()
    building = threading.Thread(target=migration.execute, args=(statement,))
    with stage.beginning("build"):
        building.start()
    stage.until(LEAD_SECONDS + HELD_SECONDS)
    with stage.ending("build"):
        old.execute("COMMIT")
        building.join()


def idle_holder(stage: Stage) -> None:
    """A batch updates every article and leaves its transaction open."""
    batch = stage.session("price-batch")
    stage.until(LEAD_SECONDS)
    with stage.beginning("lock"):
        batch.execute("BEGIN")
        batch.execute("UPDATE stock SET quantity = quantity + 0")
    stage.until(LEAD_SECONDS + HELD_SECONDS)
    with stage.ending("lock"):
        batch.execute("ROLLBACK")


def alter_behind_reader(stage: Stage) -> None:
    """An ALTER TABLE waits for a reader's open transaction, and everybody else waits behind it."""
    reader, migration = stage.session("reporting"), stage.session("migrate")
    stage.until(LEAD_SECONDS - 2)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM stock")
    stage.until(LEAD_SECONDS)
    statement = b"ALTER TABLE stock ADD COLUMN shelf text"
    altering = threading.Thread(target=migration.execute, args=(statement,))
    with stage.beginning("lock"):
        altering.start()
    stage.until(LEAD_SECONDS + HELD_SECONDS)
    with stage.ending("lock"):
        reader.execute("COMMIT")
    altering.join()


def hot_basket(number: int, second: float) -> list[str]:
    """While the rush lasts, everybody wants one article."""
    is_rush = LEAD_SECONDS <= second < LEAD_SECONDS + HELD_SECONDS
    return ["sku-7" if is_rush else f"sku-{100 + number % (ARTICLES - 100)}"]


def hot_row(stage: Stage) -> None:
    """All orders want one article, whose row each holds for a third of a second."""
    misbehave(stage, "lock", "inventory", {"work_seconds": 0.35}, {"work_seconds": 0.0})


def unrelated_lock(stage: Stage) -> None:
    """An index of another table is built while the inventory waits for its slow supplier."""
    migration = stage.session("migrate")
    workers = [stage.session("warehouse-worker") for _ in range(3)]
    stage.until(LEAD_SECONDS)
    with stage.beginning("lock"):
        migration.execute("BEGIN")
        migration.execute("CREATE INDEX shipments_sku ON warehouse_shipments (sku)")
    ship = b"INSERT INTO warehouse_shipments (sku, parcels) VALUES ('sku-1', 1)"
    waiting = [threading.Thread(target=worker.execute, args=(ship,)) for worker in workers]
    for thread in waiting:
        thread.start()
    stage.until(LEAD_SECONDS + 0.7)
    with stage.beginning("slow supplier"):
        stage.stack.tell("inventory", supplier_seconds=2.5)
    stage.until(LEAD_SECONDS + HELD_SECONDS)
    with stage.ending("slow supplier"):
        stage.stack.tell("inventory", supplier_seconds=0.0)
    with stage.ending("lock"):
        migration.execute("COMMIT")
    for thread in waiting:
        thread.join()


def recorder_off(stage: Stage) -> None:
    """The index build again, but no recorder ran and the server's log is not kept."""
    build_index(stage)


def shifted_clock(stage: Stage) -> None:
    """The index build again, but the gateway's clock is 40 s behind all others."""
    build_index(stage)


# What the product assumes of a clock that nobody measured.
ASSUMED = (-2.0, 2.0)
INSUFFICIENT = Part(
    "lock_blocking", "a lock in PostgreSQL", "contributing", frozenset({"insufficient"})
)
SCENES = (
    Scene(index_build, Expected((ON_RESERVATIONS,)), WHOLE),
    Scene(concurrent_build, Expected(quiet=True), WHOLE, symptom=QUIET),
    Scene(idle_holder, Expected((ON_STOCK,)), WHOLE),
    Scene(alter_behind_reader, Expected((ON_STOCK,)), WHOLE),
    Scene(hot_row, Expected((ON_STOCK,)), WHOLE, basket=hot_basket, build=Build(pool_size=12)),
    Scene(
        unrelated_lock,
        Expected(
            (
                trigger("dependency_latency", "inventory.Reserve"),
                Part("lock_blocking", SHIPMENTS, "coincident", frozenset({"contradicted"})),
            )
        ),
        WHOLE,
    ),
    Scene(
        recorder_off,
        Expected((INSUFFICIENT,)),
        WHOLE,
        build=Build(is_recorded=False, has_server_log=False),
    ),
    Scene(
        shifted_clock,
        Expected((ON_RESERVATIONS,)),
        WHOLE,
        # The inventory gives up on a lock, so that some requests are answered after they waited.
        build=Build(gateway_ahead_seconds=-40.0, lock_timeout_ms=800),
        gateway_clock=ASSUMED,
    ),
)
