"""`incident-rca doctor`: whether an incident tonight could be explained, and what to change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incident_rca.cli.terminal import (
    Config,
    From,
    Json,
    Quiet,
    To,
    Zone,
    out,
    print_json,
    progress,
    settings,
    window_of,
)
from incident_rca.errors import ExitCode
from incident_rca.model import TimeWindow

if TYPE_CHECKING:
    from incident_rca.model.checkup import Checkup
    from incident_rca.settings import LoadedSettings

LAST_NIGHT = timedelta(hours=24)
AT_ONCE = 8


def doctor(
    dsn: Annotated[
        list[str] | None,
        typer.Option("--dsn", metavar="DSN", help="A server; may be repeated. Default: PG*."),
    ] = None,
    recordings: Annotated[
        Path | None,
        typer.Option("--recordings", metavar="FOLDER", help="Where `record --to` writes."),
    ] = None,
    start: From = None,
    end: To = None,
    tz: Zone = None,
    config: Config = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check PostgreSQL servers: could an incident tonight be explained, and one of last night?

    Everything is read-only. Each problem comes with the line that cures it. Exits with 1 if there
    is a problem, and with 4 if no server could be reached.

    Example: incident-rca doctor --dsn postgresql://me@db.example/orders
    """
    from concurrent.futures import ThreadPoolExecutor

    from incident_rca.model.checkup import CheckState
    from incident_rca.report.checkup import to_json
    from incident_rca.sources.checkup_recordings import read_recordings, recorder_cure
    from incident_rca.sources.postgres import named
    from incident_rca.sources.postgres_checkup import check_server

    loaded = settings(config)
    window = _window(start, end, loaded, tz)
    dsns = dsn or [""]
    for each in dsns:
        named(each)

    def check(each: str) -> Checkup:
        found = read_recordings(
            _folder(each, recordings), now=_now(), cure=recorder_cure(each, recordings)
        )
        return check_server(each, now=_now, window=window, recordings=found)

    with progress(quiet=quiet) as step, ThreadPoolExecutor(AT_ONCE) as pool:
        step("asking " + ", ".join(map(named, dsns)))
        checkups = list(pool.map(check, dsns))
    if as_json:
        print_json(to_json(checkups, window))
    else:
        _show(checkups, window, tz or loaded.settings.timezone)
    if not any(checkup.reachable for checkup in checkups):
        raise typer.Exit(ExitCode.NO_EVIDENCE)
    is_ill = any(checkup.in_state(CheckState.PROBLEM) for checkup in checkups)
    raise typer.Exit(ExitCode.FINDINGS if is_ill else ExitCode.COMPLETE)


def _now() -> datetime:
    return datetime.now(UTC)


def _window(
    start: str | None, end: str | None, loaded: LoadedSettings, tz: str | None
) -> TimeWindow:
    # A window that is only looked for costs nothing, however long it is.
    given = window_of(start, end, loaded, tz, force=True)
    if given is not None:
        return given
    now = _now().replace(microsecond=0)
    return TimeWindow(now - LAST_NIGHT, now)


def _show(checkups: list[Checkup], window: TimeWindow, timezone: str) -> None:
    from rich.text import Text

    from incident_rca.report import checkup as report
    from incident_rca.window import describe_window

    console = out()
    for number, checkup in enumerate(checkups):
        if number:
            console.print(Text())
        console.print(report.checks(checkup))
        console.print(Text())
        console.print(report.past_window(checkup, describe_window(window, timezone)))
        lines = report.cures(checkup)
        for line in [Text(), *lines] if lines else []:
            console.print(line, soft_wrap=True)


def _folder(dsn: str, base: Path | None) -> Path:
    """Where `incident-rca record` keeps the recordings of this server."""
    import platformdirs

    from incident_rca.sources.postgres import place_of
    from incident_rca.sources.recording_files import folder_name

    base = base or platformdirs.user_state_path("incident-rca") / "recordings"
    return base / folder_name(place_of(dsn))
