"""The command line as real processes, forked with its modules loaded, and faults put into them.

Loading the modules takes a second in which a command touches nothing; forked after that, hundreds
of them can be killed in minutes. The forking process has no other threads.
"""

from __future__ import annotations

import faulthandler
import itertools
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from incident_rca.cli import main
from tests.cli.other_time import move
from tests.cli.running import Ran

# What commands load when they are needed: here before, once for all.
for _name in (
    "psycopg",
    "vl_convert",
    "incident_rca.asked_services",
    "incident_rca.collecting",
    "incident_rca.past_window",
    "incident_rca.report.charts.drawing",
    "incident_rca.sources.aws_client",
    "incident_rca.verification",
):
    import_module(_name)

PATIENCE_SECONDS = 300.0
# What a command changes on the disk, as Python's audit events name it.
_CHANGES = frozenset(
    {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "fcntl.flock"}
)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(frozen=True, slots=True)
class Struck:
    """A signal that the process gets at its `step`-th change on the disk, or a little later."""

    step: int
    signal: int = signal.SIGKILL
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a command runs: `clock` is a file that says by how much its clock is ahead."""

    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict, hash=False)
    clock: Path | None = None


def run(
    place: Place,
    *words: object,
    struck: Struck | None = None,
    file_limit: int | None = None,
    on_change: Callable[[], None] | None = None,
) -> Ran:
    """Runs a command to its end; a negative code is the signal that ended it.

    No file of it may grow above `file_limit` bytes.
    """
    process = start(place, *words, struck=struck, file_limit=file_limit, on_change=on_change)
    return ended(place, process)


def start(
    place: Place,
    *words: object,
    struck: Struck | None = None,
    file_limit: int | None = None,
    on_change: Callable[[], None] | None = None,
) -> int:
    """Starts a command; its process id."""
    process = os.fork()
    if process:
        return process
    code = 70
    try:
        code = _child(place, [str(word) for word in words], struck, file_limit, on_change)
    finally:
        os._exit(code)


def ended(place: Place, process: int) -> Ran:
    """What a started command gave, once it has ended or has been killed."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            break
        if time.monotonic() > end:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            said = _streams(place, process)[1].read_text(encoding="utf-8", errors="replace")
            raise AssertionError(f"a command hung for {PATIENCE_SECONDS:g} s: {said}")
        time.sleep(0.002)
    out, err = (
        path.read_text(encoding="utf-8", errors="replace") for path in _streams(place, process)
    )
    for path in _streams(place, process):
        path.unlink()
    return Ran(os.waitstatus_to_exitcode(status), out, err)


def steps_of(place: Place, *words: object) -> int:
    """How many changes on the disk a command makes that nobody disturbs."""
    seen, count = os.pipe()

    def counted() -> None:
        os.write(count, b".")

    run(place, *words, on_change=counted)
    os.close(count)
    with open(seen, "rb") as pipe:
        return len(pipe.read())


def _streams(place: Place, process: int) -> tuple[Path, Path]:
    # Not in the folder itself, whose disk may be full.
    return place.folder.parent / f"out-{process}", place.folder.parent / f"err-{process}"


def _child(
    place: Place,
    words: list[str],
    struck: Struck | None,
    file_limit: int | None,
    on_change: Callable[[], None] | None,
) -> int:
    os.chdir(place.folder)
    os.environ.clear()
    os.environ.update(_environment(place))
    time.tzset()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, path in zip((1, 2), _streams(place, os.getpid()), strict=True):
        stream = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(stream, number)
        os.close(stream)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)
    # One that hangs says where, shortly before it is given up.
    faulthandler.dump_traceback_later(PATIENCE_SECONDS - 10)
    if place.clock is not None:
        move(place.clock)
    if file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, resource.RLIM_INFINITY))
    if struck is not None:
        _strike(struck)
    if on_change is not None:
        _at_changes(on_change)
    sys.argv = ["incident-rca", *words]
    code: object = 0
    try:
        main()
    except SystemExit as error:
        code = error.code
    for stream_of in (sys.stdout, sys.stderr):
        if stream_of is not None:
            stream_of.flush()
    return int(code) if isinstance(code, int) else 1


def _environment(place: Place) -> dict[str, str]:
    kept = {key: os.environ[key] for key in ("PATH", "TMPDIR") if key in os.environ}
    home = str(place.folder)
    return {**kept, "HOME": home, "XDG_CONFIG_HOME": home, "COLUMNS": "100", **place.environ}


def _strike(struck: Struck) -> None:
    """Lets this process be struck at its n-th change: there, or while what follows is under way."""
    # Threads change things side by side: of two that count at once none may be lost.
    changes = itertools.count(1)

    def count() -> None:
        if next(changes) != struck.step:
            return
        if struck.delay_seconds:
            threading.Timer(struck.delay_seconds, os.kill, (os.getpid(), struck.signal)).start()
        else:
            os.kill(os.getpid(), struck.signal)

    _at_changes(count)


def _at_changes(call: Callable[[], None]) -> None:
    """Calls back before each change that this process makes on the disk, until it ends."""

    def heard(event: str, arguments: Sequence[object]) -> None:
        if event in _CHANGES or (event == "open" and _is_for_writing(arguments)):
            call()

    sys.addaudithook(heard)


def _is_for_writing(arguments: Sequence[object]) -> bool:
    flags = arguments[2]
    return isinstance(flags, int) and bool(flags & _WRITES)
