"""`incident-rca record`: the flight recorder for lock evidence."""

from __future__ import annotations

import queue
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incident_rca.cli.clock import SystemClock
from incident_rca.cli.terminal import Dsn, Json, Quiet, err, print_json, say
from incident_rca.errors import BadSettings, BadWindow, ExitCode

if TYPE_CHECKING:
    from types import FrameType

    from rich.console import RenderableType

    from incident_rca.sources.recorder import Event, Stop
    from incident_rca.sources.recording_files import Limits, RecordingFiles

_SIZE = re.compile(r"(?P<number>[0-9]{1,15})(?P<unit>[KMGT]?)(?P<binary>i?)B")
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
SMALLEST_SIZE = 100_000


@dataclass(slots=True)
class Recording:
    """One server's recording as the status line and the summary show it."""

    dsn: str
    server: str
    folder: Path
    since: datetime | None = None
    waiting: int = 0
    probes: int = 0
    snapshots: int = 0
    gaps: int = 0
    bytes: int = 0
    lost_lines: int = 0
    state: str = "connecting"
    told: set[str] = field(default_factory=set)


def record(
    dsn: Dsn = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder; below it one folder a server.")
    ] = None,
    interval: Annotated[str, typer.Option("--interval", help="From probe to probe.")] = "1s",
    keep: Annotated[str, typer.Option("--keep", help="Delete what is older.")] = "48h",
    max_size: Annotated[
        str, typer.Option("--max-size", help="Delete the oldest beyond this, per server.")
    ] = "2GB",
    segment_size: Annotated[
        str, typer.Option("--segment-size", help="Begin a new file at this size, or each hour.")
    ] = "64MB",
    duration: Annotated[
        str | None, typer.Option("--for", help="End after this long; else on SIGINT or SIGTERM.")
    ] = None,
    print_unit: Annotated[
        bool, typer.Option("--print-unit", help="Print a systemd unit of this command, and exit.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Record who waits for which lock, all the time, so that it is known when somebody asks.

    One read-only connection a server, a probe each interval, a full snapshot while somebody waits.

    Example: incident-rca record --dsn postgresql://monitor@db.example/orders
    """
    from incident_rca.sources.recording_files import Limits

    seconds = _duration("--interval", interval).total_seconds()
    length = _duration("--for", duration).total_seconds() if duration else None
    limits = Limits(
        keep=_duration("--keep", keep),
        max_bytes=parse_size("--max-size", max_size),
        segment_bytes=parse_size("--segment-size", segment_size),
    )
    if print_unit:
        from incident_rca.cli.systemd_unit import unit_of

        options = {"--interval": interval, "--keep": keep, "--max-size": max_size}
        typer.echo(unit_of(dsn or [""], to, {**options, "--segment-size": segment_size}), nl=False)
        return
    recordings = _recordings(dsn or [""], to)
    with _stop_on_signals() as stop:
        error = _run(recordings, stop, limits, seconds, length, quiet=quiet)
    if error is not None:
        raise error
    if as_json:
        print_json([_as_json(recording) for recording in recordings])
    interrupted = stop.reason == "interrupted"
    raise typer.Exit(ExitCode.INTERRUPTED if interrupted else ExitCode.COMPLETE)


def parse_size(option: str, text: str) -> int:
    """The bytes that `64MB` or `2GiB` mean; raises BadSettings naming the option.

    >>> parse_size("--max-size", "64MB"), parse_size("--max-size", "2GiB")
    (64000000, 2147483648)
    """
    named = _SIZE.fullmatch(text.strip())
    if named is None:
        raise BadSettings(f"{option} {text!r} is not a size", hint="write 64MB, 2GB or 500MiB")
    base = 1024 if named["binary"] else 1000
    size = int(named["number"]) * int(base ** _POWERS[named["unit"]])
    if size < SMALLEST_SIZE:
        raise BadSettings(f"{option} {text} is too small", hint="write at least 100KB")
    return size


def _duration(option: str, text: str) -> timedelta:
    from incident_rca.window import parse_duration

    try:
        length = parse_duration(text.strip())
    except BadWindow as error:
        raise BadSettings(f"{option} {error.message}", hint=error.hint) from error
    if not length:
        raise BadSettings(f"{option} {text} is no time at all", hint="write at least 1s")
    return length


def _recordings(dsns: Sequence[str], to: Path | None) -> list[Recording]:
    import platformdirs

    from incident_rca.sources.postgres import named, place_of
    from incident_rca.sources.recording_files import folder_name

    base = to or platformdirs.user_state_path("incident-rca") / "recordings"
    folders = {folder_name(place_of(dsn)): dsn for dsn in dsns}
    if len(folders) < len(dsns):
        raise BadSettings("--dsn names one database twice", hint="name each database once")
    return [Recording(dsn, named(dsn), base / name) for name, dsn in folders.items()]


@contextmanager
def _stop_on_signals() -> Iterator[Stop]:
    """Ends the recorder in order on SIGINT and SIGTERM; a second signal does not wait for it."""
    from incident_rca.sources.recorder import Stop

    stop = Stop()
    reasons = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}

    def end(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.reason = reasons[signal.Signals(number)]
        stop.set()

    before = {number: signal.signal(number, end) for number in reasons}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --- one thread a server ------------------------------------------------------------------------

Message = tuple["Recording", "RecordingFiles | None", "Event | BaseException | None"]


def _run(
    recordings: Sequence[Recording],
    stop: Stop,
    limits: Limits,
    interval_seconds: float,
    length: float | None,
    *,
    quiet: bool,
) -> BaseException | None:
    """Records until told to end; returns the first error that no waiting cures."""
    messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
    if length is not None:
        timer = threading.Timer(length, _finish, (stop,))
        timer.daemon = True
        timer.start()
    for recording in recordings:
        threading.Thread(
            target=_record_one,
            args=(recording, stop, limits, interval_seconds, messages),
            daemon=True,
        ).start()
    first: BaseException | None = None
    running = len(recordings)
    with _status(recordings, quiet=quiet) as show:
        while running:
            recording, files, event = messages.get()
            if event is None:
                running -= 1
            elif isinstance(event, BaseException):
                first = first or event
                stop.set()
            else:
                for line in _take(recording, files, event):
                    say(line, quiet=quiet)
            show()
    return first


def _finish(stop: Stop) -> None:
    if not stop.is_set():
        stop.reason = "finished"
        stop.set()


def _record_one(
    recording: Recording,
    stop: Stop,
    limits: Limits,
    interval_seconds: float,
    messages: queue.SimpleQueue[Message],
) -> None:
    from incident_rca.sources import postgres, recorder
    from incident_rca.sources.recording_files import recording_folder

    try:
        with recording_folder(recording.folder, limits) as files:
            for event in recorder.record(
                connect=lambda: postgres.connect(recording.dsn),
                files=files,
                clock=SystemClock(stop),
                stop=stop,
                interval_seconds=interval_seconds,
            ):
                messages.put((recording, files, event))
    except BaseException as error:  # the main thread raises it
        messages.put((recording, None, error))
    finally:
        messages.put((recording, None, None))


# --- what is told -------------------------------------------------------------------------------


def _take(recording: Recording, files: RecordingFiles | None, event: Event) -> Iterator[str]:
    """Takes an event into the status and yields what is worth a line of its own."""
    from incident_rca.sources import recorder
    from incident_rca.sources.postgres import grant_of

    if files is not None:
        recording.bytes, recording.lost_lines = files.written_bytes, files.lost_lines
    server = recording.server
    match event:
        case recorder.Connected():
            recording.since = recording.since or datetime.now(UTC)
            path = event.path or recording.folder
            back = recording.state.startswith("no answer")
            yield f"{server}: {'answers again, ' * back}PostgreSQL {event.facts.version}, to {path}"
            if not event.facts.sees_all_sessions and "role" not in recording.told:
                recording.told.add("role")
                yield (
                    f"{server}: this role sees no states and no statements of others\n"
                    f"hint: {grant_of(event.facts)}"
                )
            recording.state = "recording"
        case recorder.Away():
            recording.gaps += not recording.state.startswith("no answer")
            state, recording.waiting = f"no answer ({event.reason})", 0
            # The pauses grow to a minute, but a server can be away for days: one line a reason.
            if state != recording.state:
                recording.state = state
                yield f"{server}: {event.reason}; trying again, in the end once a minute"
        case recorder.Probed():
            recording.probes += 1
            recording.snapshots += event.has_snapshot
            recording.waiting = event.waiting
            state = f"not written ({event.problem})" if event.problem else "recording"
            if state != recording.state:
                recording.gaps += bool(event.problem)
                recording.state = state
                yield f"{server}: {state}"
        case recorder.Ended():
            recording.state = event.reason
            yield f"{server}: {event.reason}; {_counts(recording)}"


def _counts(recording: Recording) -> str:
    lost = f", {recording.lost_lines} lines lost" * bool(recording.lost_lines)
    return (
        f"{recording.probes:,} probes, {recording.snapshots:,} snapshots, {recording.gaps} gaps, "
        f"{recording.bytes / 1e6:.1f} MB{lost}"
    )


@contextmanager
def _status(recordings: Sequence[Recording], *, quiet: bool) -> Iterator[Any]:
    """A function that shows the status: a line a server on a terminal, nothing elsewhere."""
    console = err()
    if quiet or not console.is_terminal:
        yield lambda: None
        return
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    def lines() -> RenderableType:
        return Group(*(Text(_line(r), no_wrap=True, overflow="ellipsis") for r in recordings))

    # Drawn when something happens: a clock of its own would cost more than the recording.
    with Live(lines(), console=console, auto_refresh=False, transient=True) as live:
        yield lambda: live.update(lines(), refresh=True)


def _line(recording: Recording) -> str:
    since = f"since {recording.since:%H:%M:%S}Z, " if recording.since else ""
    waiting = f"{recording.waiting} waiting, "
    return f"{recording.server}: {recording.state}, {since}{waiting}{_counts(recording)}"


def _as_json(recording: Recording) -> dict[str, Any]:
    keys = ("server", "probes", "snapshots", "gaps", "bytes", "lost_lines")
    row = {key: getattr(recording, key) for key in keys}
    return {"folder": str(recording.folder), **row, "ended": recording.state}
