"""`incident-rca doctor`: whether an incident tonight could be explained, and what to change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incident_rca.cli.clock import SystemClock
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

    CheckUp = Callable[[], Checkup]

LAST_NIGHT = timedelta(hours=24)
AT_ONCE = 8
# libpq finds a server by these; its other variables only say how to reach it.
_NAMES_A_SERVER = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE")
NO_POSTGRES = (
    "PostgreSQL was not checked, since nothing names a server: give --dsn, set PGHOST, PGSERVICE or"
    " PGDATABASE, or `service` in [postgres] of incident-rca.toml"
)


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
    """Check PostgreSQL, Datadog, Prometheus and AWS: could an incident tonight be explained?

    And one of last night, or of the window given? --dsn, libpq's environment and incident-rca.toml
    name what is checked. Everything is read-only. Each problem comes with the line that cures it.
    Exits with 1 if there is a problem, and with 4 if nothing could be reached.

    Example: incident-rca doctor --dsn postgresql://me@db.example/orders
    """
    from concurrent.futures import ThreadPoolExecutor

    from incident_rca.model.checkup import CheckState
    from incident_rca.report.checkup import to_json

    loaded = settings(config)
    window = _window(start, end, loaded, tz)
    dsns = _dsns(dsn, loaded)
    if recordings is None and loaded.settings.postgres_recordings:
        recordings = Path(loaded.settings.postgres_recordings).expanduser()
    asked = [*_servers(dsns, recordings, window), *_services(loaded, window)]
    left_out = () if dsns else (NO_POSTGRES,)
    tickets = _tickets()
    with progress(quiet=quiet) as step, ThreadPoolExecutor(AT_ONCE) as pool:
        step("asking " + ", ".join(name for name, _ in asked))
        checkups = list(pool.map(lambda one: one[1](), asked))
    if as_json:
        print_json({**to_json(checkups, window, left_out), "tickets": tickets})
    else:
        _show(checkups, window, tz or loaded.settings.timezone, left_out)
        _show_tickets(tickets)
    if not any(checkup.reachable for checkup in checkups):
        raise typer.Exit(ExitCode.NO_EVIDENCE)
    is_ill = any(checkup.in_state(CheckState.PROBLEM) for checkup in checkups)
    raise typer.Exit(ExitCode.FINDINGS if is_ill else ExitCode.COMPLETE)


def _tickets() -> dict[str, dict[str, bool]]:
    """For each ticket system the variables that `attach` needs, and whether they are set."""
    from incident_rca.tickets import SYSTEMS

    return {
        system.name: {name: bool(os.environ.get(name)) for name in system.variables}
        for system in SYSTEMS
        if system.variables
    }


def _show_tickets(tickets: dict[str, dict[str, bool]]) -> None:
    from rich.text import Text

    state = {True: "set (masked)", False: "not set"}
    console = out()
    console.print(Text())
    console.print(Text("Tokens that `attach` needs, not tried out", style="bold"))
    for system, variables in tickets.items():
        said = ", ".join(f"{name} {state[is_set]}" for name, is_set in variables.items())
        console.print(Text(f"{system:<10} {said}", style="dim"))


def _dsns(given: list[str] | None, loaded: LoadedSettings) -> list[str]:
    """The PostgreSQL servers; without any named, libpq's own default where nothing else is."""
    if given:
        return given
    if any(os.environ.get(name) for name in _NAMES_A_SERVER):
        return [""]
    if service := loaded.settings.postgres_service:
        return [f"service={service}"]
    services = loaded.settings.services
    return [] if services.datadog or services.prometheus or services.aws else [""]


def _servers(
    dsns: list[str], recordings: Path | None, window: TimeWindow
) -> Iterator[tuple[str, CheckUp]]:
    """The name and the check-up of each PostgreSQL server; raises BadSettings for a bad DSN."""
    if not dsns:
        return
    from incident_rca.sources.checkup_recordings import read_recordings, recorder_cure
    from incident_rca.sources.postgres import named
    from incident_rca.sources.postgres_checkup import check_server

    def check(dsn: str) -> Checkup:
        cure = recorder_cure(dsn, recordings)
        found = read_recordings(_folder(dsn, recordings), now=_now(), cure=cure)
        return check_server(dsn, now=_now, window=window, recordings=found)

    for dsn in dsns:
        yield named(dsn), partial(check, dsn)


def _services(loaded: LoadedSettings, window: TimeWindow) -> Iterator[tuple[str, CheckUp]]:
    """The name and the check-up of each service that the settings name."""
    from incident_rca.sources import checkup_aws, checkup_datadog, checkup_prometheus

    services, clock = loaded.settings.services, SystemClock()
    of_datadog = partial(
        checkup_datadog.check_account, environ=os.environ, window=window, clock=clock
    )
    of_prometheus = partial(
        checkup_prometheus.check_server, environ=os.environ, window=window, clock=clock
    )
    of_aws = partial(checkup_aws.check_account, window=window, clock=clock)
    for account in services.datadog:
        yield account.name, partial(of_datadog, account)
    for server in services.prometheus:
        yield server.name, partial(of_prometheus, server)
    for cloud in services.aws:
        yield cloud.name, partial(of_aws, cloud)


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


def _show(
    checkups: list[Checkup], window: TimeWindow, timezone: str, left_out: Sequence[str]
) -> None:
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
    for sentence in left_out:
        console.print(Text())
        console.print(Text(sentence, style="dim"))


def _folder(dsn: str, base: Path | None) -> Path:
    """Where `incident-rca record` keeps the recordings of this server."""
    import platformdirs

    from incident_rca.sources.postgres import place_of
    from incident_rca.sources.recording_files import folder_name

    base = base or platformdirs.user_state_path("incident-rca") / "recordings"
    return base / folder_name(place_of(dsn))
