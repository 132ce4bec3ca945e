"""Index builds: held open after they are done, truly running, parallel, and CONCURRENTLY."""

from __future__ import annotations

from collections.abc import Generator

from tests.lab.scenes.scene import scene
from tests.lab.scenes.stage import STOCK, Stage, Taken

CREATE_INDEX = "CREATE INDEX stock_quantity_idx ON stock (quantity)"


def hold_index(stage: Stage) -> Taken:
    """A migration that built an index, and did not commit."""
    holder = stage.session("migrate", "BEGIN")
    return stage.take(holder, CREATE_INDEX, "ShareLock")


@scene
def create_index_held(stage: Stage) -> Generator[None]:
    """CREATE INDEX in a transaction left open, 12 INSERTs behind it, an idle reader beside it."""
    stage.prepare(*STOCK)
    stage.bystander("reporting", "SELECT count(*) FROM stock")
    index = hold_index(stage)
    stage.insert(index, 12)
    yield
    stage.release(index)


@scene
def create_index_held_then_select(stage: Stage) -> Generator[None]:
    """As above, and the holder ran SELECT 1 afterwards: its last statement is not the culprit."""
    stage.prepare(*STOCK)
    stage.bystander("reporting", "SELECT count(*) FROM stock")
    index = hold_index(stage)
    index.then("SELECT 1")
    stage.insert(index, 12)
    yield
    stage.release(index)


@scene
def create_index_running(stage: Stage) -> Generator[None]:
    """CREATE INDEX that truly runs, by a slow function in the index expression."""
    stage.prepare(*STOCK, slow_function(stage))
    stage.bystander("reporting", "SELECT count(*) FROM stock")
    builder = stage.session("migrate")
    statement = "CREATE INDEX stock_slow_idx ON stock (slow(quantity))"
    index = stage.take(builder, statement, "ShareLock", state="active")
    stage.insert(index, 4)
    yield
    finish_build(stage, index)


@scene
def parallel_index_build(stage: Stage) -> Generator[None]:
    """CREATE INDEX with two parallel workers, each with a granted ShareLock of its own."""
    stage.prepare(
        *STOCK,
        slow_function(stage),
        "INSERT INTO stock SELECT 'more-' || n, n FROM generate_series(1, 5000) n",
        "ALTER TABLE stock SET (parallel_workers = 2)",
    )
    builder = stage.session(
        "migrate",
        "SET maintenance_work_mem = '128MB'",
        "SET max_parallel_maintenance_workers = 2",
        "SET min_parallel_table_scan_size = 0",
    )
    statement = "CREATE INDEX stock_slow_idx ON stock (slow(quantity))"
    index = stage.take(builder, statement, "ShareLock", state="active")
    stage.workers.update(stage.control.until_workers(builder.pid, 2))
    stage.insert(index, 4)
    yield
    finish_build(stage, index)


def slow_function(stage: Stage) -> str:
    """An immutable function that sleeps until this scene's file is there; it takes no lock."""
    return f"""CREATE FUNCTION slow(n int) RETURNS int
        LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
        BEGIN
            WHILE (pg_stat_file('{gate(stage)}', true)).size IS NULL LOOP
                PERFORM pg_sleep(0.02);
            END LOOP;
            RETURN n;
        END $$"""


def gate(stage: Stage) -> str:
    """The file in the server's data folder that lets this scene's build go on."""
    return f"{stage.database}.go"


def finish_build(stage: Stage, index: Taken) -> None:
    assert index.session is not None
    after = stage.control.now()
    (stage.server.folder / "data" / gate(stage)).touch()
    assert index.session.outcome() == "granted"
    stage.released(index, after)


@scene
def concurrently_behind_old_transaction(stage: Stage) -> Generator[None]:
    """CREATE INDEX CONCURRENTLY waits for a transaction that only read another table.

    In its last phase it waits for every transaction with an older snapshot (docs, CREATE INDEX,
    Building Indexes Concurrently). ANALYZE in turn waits for the ShareUpdateExclusiveLock of it.
    """
    stage.prepare(*STOCK, "CREATE TABLE orders (id int)")
    reader = stage.session("reporting")
    begin = "BEGIN ISOLATION LEVEL REPEATABLE READ"
    old = stage.take(reader, begin, "ExclusiveLock", None, lock_type="virtualxid")
    old.then("SELECT count(*) FROM orders")
    build = stage.wait(
        old,
        "migrate",
        "CREATE INDEX CONCURRENTLY stock_quantity_idx ON stock (quantity)",
        "ShareLock",
        lock_type="virtualxid",
        relation=None,
    )
    stage.wait(
        old,
        "maintenance",
        "ANALYZE stock",
        "ShareUpdateExclusiveLock",
        edge="indirect",
        hard=[build.session.pid],
    )
    yield
    stage.release(old)
