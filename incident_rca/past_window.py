"""What can be asked of PostgreSQL about a window that is over: each source as a Question."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from itertools import count, zip_longest
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from incident_rca.asking import Found, Outcome, Question
from incident_rca.errors import BadInput, BadSettings, Unreachable
from incident_rca.model import TimeWindow
from incident_rca.sources.answers import Absent, Answer

if TYPE_CHECKING:
    import psycopg

    from incident_rca.sources.performance_insights import Client
    from incident_rca.sources.postgres import ServerFacts

    Connection = psycopg.Connection[tuple[Any, ...]]

# Clocks of recorder, server and file system may differ by so much.
SLACK = timedelta(minutes=1)
# The incident is over: an answer may take longer than a recorder may ever hold a server up.
LIVE_TIMEOUT_MS = 5_000
HISTORY_TIMEOUT_MS = 20_000
NO_RECORDER = "no recorder ran"

Now = Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Where the past of PostgreSQL may be found.

    `recordings` is the recorder's folder, `dsns` are live servers, `instances` are DbiResourceIds
    (`db-ABC@eu-west-1`), `logs` are files of server logs, of which `log` says what they do not.
    """

    recordings: Path
    dsns: Sequence[str] = ()
    pgwatch_dsns: Sequence[str] = ()
    instances: Sequence[str] = ()
    logs: Sequence[Path] = ()
    log: Mapping[str, str] = field(default_factory=dict, hash=False)


def questions(past: Past, window: TimeWindow, *, now: Now) -> list[Question]:
    """One question a source; raises BadSettings where one is named twice, or its DSN is unclear."""
    asked = [
        *_recordings(past, window),
        *_live(past, now),
        *(_pgwatch(dsn, now) for dsn in past.pgwatch_dsns),
        *_insights(past.instances, now),
        *_logs(past),
    ]
    names = [question.name for question in asked]
    for name in names:
        if names.count(name) > 1:
            raise BadSettings(f"{name} is named twice", hint="name each source once")
    return asked


def server_name(dsn: str) -> str:
    """The name of a server among the sources, without anything secret: `db.example-5432-orders`."""
    from incident_rca.sources.postgres import place_of
    from incident_rca.sources.recording_files import folder_name

    return folder_name(place_of(dsn))


# --- recordings -------------------------------------------------------------------------------


def _recordings(past: Past, window: TimeWindow) -> Iterator[Question]:
    from incident_rca.sources.checkup_recordings import recorder_cure
    from incident_rca.sources.recording_files import segments

    base = past.recordings
    if past.dsns and not segments(base):
        for dsn in past.dsns:
            cure = recorder_cure(dsn, None).partition("\n")[0]
            yield _recording(base / server_name(dsn), f"before the next one: {cure}")
        return
    hint = "before the next one: incident-rca record --dsn URI"
    inside = [f for f in _folders(base) if _segments_of(f, window)]
    for folder in inside:
        yield _recording(folder, hint)
    if not inside:
        missing = Absent(f"{NO_RECORDER}: {base} holds nothing of the window", hint)
        kind = "lock_recording"
        yield Question(name=kind, kind=kind, ask=lambda _: missing, is_local=True)


def _folders(base: Path) -> list[Path]:
    """The folder itself where it has segments, and each folder below it."""
    below = [path for path in base.iterdir() if path.is_dir()] if base.is_dir() else []
    return [base, *sorted(below)]


def _recording(folder: Path, hint: str) -> Question:
    missing = Absent(f"{NO_RECORDER}: {folder} holds nothing of the window", hint)

    def ask(window: TimeWindow) -> Outcome:
        found = _segments_of(folder, window)
        return Found({f"{folder.name}.{path.name}": path for path in found}) if found else missing

    return Question(
        name=f"{folder.name}.recording",
        kind="lock_recording",
        ask=ask,
        is_continuous=True,
        is_local=True,
        without=missing,
    )


def _segments_of(folder: Path, window: TimeWindow) -> list[Path]:
    """The segments that may hold some of the window, by their names and last writes."""
    from incident_rca.sources.recording_files import segments

    found = segments(folder)
    inside = []
    for segment, following in zip_longest(found, found[1:]):
        written = datetime.fromtimestamp(segment.path.stat().st_mtime, UTC)
        end = min(written, following.start) if following else written
        if segment.start < window.end + SLACK and end > window.start - SLACK:
            inside.append(segment.path)
    return inside


# --- live servers, and what others recorded of them -------------------------------------------


def _live(past: Past, now: Now) -> Iterator[Question]:
    from incident_rca.sources import pgsentinel, residue

    if not past.dsns:
        missing = Absent(
            "no --dsn: no live server was asked what it still knows (pgsentinel, residue)",
            "name it: --dsn URI, PGHOST or PGSERVICE, or `service` in [postgres] of the settings",
        )
        yield Question(name="server_residue", kind="server_residue", ask=lambda _: missing)
    for dsn in past.dsns:
        name = server_name(dsn)
        for service, kind, fetch in (
            (pgsentinel.SERVICE, "pgsentinel_history", pgsentinel.fetch),
            (residue.SERVICE, "server_residue", residue.fetch),
        ):
            ask = partial(_ask_live, dsn, fetch, now)
            yield Question(name=f"{name}.{service}", kind=kind, ask=ask)
        if not past.logs:
            why = partial(_ask_of_log, dsn)
            yield Question(name=f"{name}.log", kind="postgres_log", ask=why)


def _ask_live(dsn: str, fetch: Callable[..., Outcome], now: Now, window: TimeWindow) -> Outcome:
    """The answer with the facts of the server that gave it."""
    from incident_rca.sources.postgres import connect

    with connect(dsn, statement_timeout_ms=LIVE_TIMEOUT_MS) as connection:
        facts = _facts(connection, dsn)
        answer = fetch(connection, window, asked_at=now())
    return {**answer, "server": _plain(facts)} if isinstance(answer, Mapping) else answer


def _ask_of_log(dsn: str, window: TimeWindow) -> Absent:
    """Why the server's log is not in the case, and how it gets there."""
    from incident_rca.sources.postgres import connect

    try:
        with connect(dsn, statement_timeout_ms=LIVE_TIMEOUT_MS) as connection:
            facts = _facts(connection, dsn)
    except Unreachable:
        return Absent("the server's log was not given", "give it: --postgres-log FILE")
    if not facts.log_lock_waits:
        return Absent(
            "log_lock_waits is off: the server's log has no lock waits",
            "before the next one: ALTER SYSTEM SET log_lock_waits = on; SELECT pg_reload_conf();",
        )
    options = ["--log-line-prefix", facts.log_line_prefix, "--log-timezone", facts.log_timezone]
    return Absent(
        "log_lock_waits is on, but the server's log was not given",
        f"give it: --postgres-log FILE {shlex.join(options)}",
    )


def _facts(connection: Connection, dsn: str) -> ServerFacts:
    import psycopg

    from incident_rca.sources.answers import unreachable
    from incident_rca.sources.postgres import named, server_facts

    try:
        return server_facts(connection)
    except psycopg.Error as error:
        raise unreachable(f"PostgreSQL at {named(dsn)}", error) from error


def _plain(facts: ServerFacts) -> dict[str, Any]:
    from incident_rca.sources.answers import in_utc

    return {**asdict(facts), "postmaster_start": in_utc(facts.postmaster_start)}


def _pgwatch(dsn: str, now: Now) -> Question:
    from incident_rca.sources import pgwatch
    from incident_rca.sources.postgres import connect

    def ask(window: TimeWindow) -> Outcome:
        with connect(dsn, statement_timeout_ms=HISTORY_TIMEOUT_MS) as connection:
            return pgwatch.fetch(connection, window, asked_at=now())

    return Question(name=f"{server_name(dsn)}.{pgwatch.SERVICE}", kind="pgwatch_history", ask=ask)


def _insights(instances: Sequence[str], now: Now) -> Iterator[Question]:
    from incident_rca.sources.performance_insights import SERVICE
    from incident_rca.sources.recording_files import folder_name

    # boto3's default session, of which clients are made, is not safe among threads.
    one_at_a_time = Lock()
    for instance in instances:
        identifier, _, region = instance.partition("@")
        ask = partial(_ask_insights, identifier, region or None, one_at_a_time, now)
        name = folder_name([part for part in (identifier, region) if part])
        yield Question(name=f"{name}.{SERVICE}", kind=SERVICE, ask=ask)


def _ask_insights(
    identifier: str, region: str | None, one_at_a_time: Lock, now: Now, window: TimeWindow
) -> Answer:
    from incident_rca.sources import performance_insights

    with one_at_a_time:
        client = _client(identifier, region)
    return performance_insights.fetch(client, window, identifier=identifier, asked_at=now())


def _client(identifier: str, region: str | None) -> Client:
    from incident_rca.sources.performance_insights import client_of

    try:
        return client_of(region)
    except import_module("botocore.exceptions").BotoCoreError as error:
        raise Unreachable(
            f"Performance Insights of {identifier}: {error}",
            hint=f"name its region ({identifier}@eu-west-1), and check the AWS profile",
        ) from error


# --- server logs ------------------------------------------------------------------------------


def _logs(past: Past) -> Iterator[Question]:
    taken: set[str] = set()
    for path in dict.fromkeys(path.resolve() for path in past.logs):
        stem = path.name.partition(".")[0] or "postgres_log"
        names = (f"{stem}-{number}" if number > 1 else stem for number in count(1))
        name = next(n for n in names if n not in taken)
        taken.add(name)
        yield Question(
            name=f"{name}.log",
            kind="postgres_log",
            ask=partial(_ask_file, path),
            is_local=True,
            reading=past.log,
        )


def _ask_file(path: Path, window: TimeWindow) -> Found:
    if not path.is_file():
        raise BadInput(f"{path}: is no file", hint="check the path")
    if path.stat().st_size == 0:
        raise BadInput(f"{path}: is empty", hint="fetch or copy the file again")
    return Found({path.name: path})
