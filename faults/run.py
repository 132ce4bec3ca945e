"""`make faults`: commands that are disturbed, and whether anything is lost, doubled or wrong.

`SEED=n` draws other moments, `SHARE=0.1` a tenth of them. Prints a table, writes build/faults.json.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # when run as a script
from bench.figures import Figure, as_table, write_json
from faults import full_disk, kills, others, recorder, scenes, services, tested
from faults.commands import Place
from tests.cli.services import incident
from tests.lab.servers import Server, running_server
from tests.sources.blocked import in_transaction, waiters

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "build" / "faults.json"
PROCESSES = 2
WAITERS = 20
SCENES = {
    "collect": scenes.collect_scene,
    "import": scenes.import_scene,
    "report": scenes.report_scene,
}
# Two hundred kills: of what was written last most, of services fewest, for they take longest.
KILLS = {"collect": 60, "import": 60, "report": 40, "record": 30, "collect from services": 10}
INTERRUPTS = {"collect": 10, "import": 10, "report": 10}
FULL_DISKS = {"collect": 15, "import": 20, "report": 10}
LIMITS = {"collect": 5, "import": 10, "report": 5}
COUNTS = {
    "kill -9": KILLS,
    "Ctrl-C": INTERRUPTS,
    "full disk": FULL_DISKS,
    "file limit": LIMITS,
}
TWO_AT_ONCE = 10
# More than what any of them writes into one file, and less than it writes in all.
MOST_BYTES = 600_000


@dataclass(frozen=True, slots=True)
class Found:
    """What was done so often, and what was wrong; `problems` is None where it cannot be done."""

    name: str
    times: int
    problems: Sequence[str] | None


def main() -> int:
    """Runs every fault in a folder that is removed again; 1 where something was wrong."""
    begun = time.monotonic()
    seed, share = int(os.environ.get("SEED", "1")), float(os.environ.get("SHARE", "1"))
    with tempfile.TemporaryDirectory(prefix="incident-rca-faults-") as folder:
        found = []
        for each in all_faults(Path(folder), seed, share):
            found.append(each)
            wrong = "not allowed here" if each.problems is None else f"{len(each.problems)} wrong"
            print(f"{each.name}: {each.times} times, {wrong}", file=sys.stderr, flush=True)
    figures = [figure for each in found for figure in figures_of(each)]
    write_json(figures, TARGET)
    Console(highlight=False, markup=False, width=110).print(as_table(figures))
    problems = [problem for each in found for problem in each.problems or ()]
    took = time.monotonic() - begun
    print(f"seed {seed}, {took:.0f} s; written to {TARGET.relative_to(ROOT)}")
    print("\n".join(problems) or "nothing was lost, doubled or wrong")
    return 1 if problems else 0


def figures_of(found: Found) -> list[Figure]:
    """How often it was done, and of how many runs something was wrong."""
    if found.problems is None:
        return [Figure(f"{found.name}: not allowed here", 0, "times")]
    return [
        Figure(found.name, found.times, "times"),
        Figure(f"{found.name}: wrong", len(found.problems), "findings", "<= 0"),
    ]


def all_faults(folder: Path, seed: int, share: float) -> Iterator[Found]:
    """Each fault in turn, and what is tested of them elsewhere."""
    for part in (of_files, of_recorders, of_services):
        yield from part(folder, seed, share)
    for kind, times, failed in tested.counted(folder):
        yield Found(f"tested beside each source: {kind}", times, failed)


def some(count: int, share: float) -> int:
    """That share of a count, at least one."""
    return max(1, round(count * share))


# --- commands on files: forked by workers that do nothing else ------------------------------------


@contextmanager
def workers(count: int = PROCESSES) -> Iterator[ProcessPoolExecutor]:
    """Processes without threads of their own, from which commands are forked."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["faults.commands"])
    with ProcessPoolExecutor(count, mp_context=context) as pool:
        yield pool


def of_files(folder: Path, seed: int, share: float) -> Iterator[Found]:
    """Kills, interrupts, full disks, two processes, read-only folders and changes of clocks."""
    jobs: list[tuple[str, str, int]] = []
    for kind, counts in COUNTS.items():
        jobs += [(kind, n, some(c, share)) for n, c in counts.items() if n in SCENES]
    jobs.append(("two at once", "import", some(TWO_AT_ONCE, share)))
    jobs += [(kind, "import", 1) for kind in ("read-only", "change of clocks")]
    with workers() as pool:
        asked = [
            pool.submit(disturbed, *job, folder / f"{number}", seed)
            for number, job in enumerate(jobs)
        ]
        for future in asked:
            yield future.result()


def disturbed(kind: str, name: str, count: int, folder: Path, seed: int) -> Found:
    """One kind of fault in one command, so many times.

    Where nobody may mount a disk of his own, a limit on files stands for a full one.
    """
    folder.mkdir(parents=True)
    if kind == "full disk" and not full_disk.may_mount(folder):
        kind = "file limit"
    given = folder / "given"
    given.mkdir()
    scene = SCENES[name](given)
    place = kills.place_in(folder, 0)
    place = Place(folder=place.folder, environ={"TMPDIR": str(place.folder)})
    wanted = scenes.undisturbed(scene, place)
    scenes.fresh(place)
    problems: list[str] | None = []
    for found in _each(kind, scene, place, count, seed, wanted):
        problems = None if found is None or problems is None else [*problems, *found]
    return Found(f"{kind}, {name}", count, problems)


def _each(
    kind: str,
    scene: scenes.Scene,
    place: Place,
    count: int,
    seed: int,
    wanted: dict[str, bytes],
) -> Iterator[list[str] | None]:
    """What each time was wrong, None where the system does not let it be tried."""
    rooms = full_disk.rooms(scene, count, seed, MOST_BYTES)

    def struck_by(number: signal.Signals) -> Iterator[list[str]]:
        return kills.strikes(scene, place, count, seed, wanted, number)

    tries: dict[str, Callable[[], Iterator[list[str] | None]]] = {
        "kill -9": lambda: struck_by(signal.SIGKILL),
        "Ctrl-C": lambda: struck_by(signal.SIGINT),
        "full disk": lambda: (full_disk.on_small_disk(scene, place, r, wanted) for r in rooms),
        "file limit": lambda: (full_disk.under_limit(scene, place, r, wanted) for r in rooms),
        "two at once": lambda: (
            others.two_at_once(scene, place, f"{seed} two {number}", wanted)
            for number in range(count)
        ),
        "read-only": lambda: iter([others.on_read_only_disk(scene, place)]),
        "change of clocks": lambda: iter(
            [others.windows_of_a_change(place), others.logs_in_local_time(place)]
        ),
    }
    yield from tries[kind]()


# --- recorders and services: real servers ---------------------------------------------------------


@contextmanager
def blocked_server() -> Iterator[Server]:
    """A server on which sessions wait for a lock."""
    with running_server(18) as server:
        with server.connect() as setup:
            setup.execute("CREATE TABLE stock (sku int PRIMARY KEY, n int)")
        with (
            in_transaction(server, "LOCK TABLE stock"),
            waiters(server, WAITERS, "INSERT INTO stock VALUES (1)"),
        ):
            yield server


def of_recorders(folder: Path, seed: int, share: float) -> Iterator[Found]:
    """Recorders that are killed, and one whose clock goes back."""
    count = some(KILLS["record"], share)
    with blocked_server() as server, workers() as pool:
        killed = pool.submit(
            recorder.killed, kills.place_in(folder, 1), server.dsn, max(4, count), seed
        )
        back = pool.submit(recorder.clock_gone_back, kills.place_in(folder, 2), server.dsn)
        yield Found("kill -9, record", max(4, count), killed.result())
        yield Found("clock an hour back, record", 1, back.result())


def of_services(folder: Path, seed: int, share: float) -> Iterator[Found]:
    """Services that misbehave, and collections from them that are killed."""
    count = some(KILLS["collect from services"], share)
    with incident(folder) as running:
        wanted = services.undisturbed(running, folder)
        for kind in services.MISBEHAVIOURS:
            yield Found(f"services: {kind}", 1, services.misbehaving(running, folder, kind, wanted))
        yield Found(
            "kill -9, collect from services",
            count,
            services.killed(running, folder, count, seed, wanted),
        )


if __name__ == "__main__":
    sys.exit(main())
