"""`incident-rca collect`: what is still known of a window, fetched into a case folder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from incident_rca.cli.clock import SystemClock
from incident_rca.cli.collect_options import (
    Around,
    Force,
    How,
    Last,
    PerformanceInsights,
    PgwatchDsn,
    PostgresLog,
    Recordings,
    Timeout,
    Title,
    TotalTimeout,
    When,
    Where,
    Window,
)
from incident_rca.cli.import_files import LogLinePrefix, LogTimezone, log_reading
from incident_rca.cli.terminal import (
    CaseFolder,
    Config,
    Dsn,
    From,
    Json,
    Quiet,
    To,
    Zone,
    print_json,
    say,
    settings,
)
from incident_rca.cli.watching import cost, watching
from incident_rca.errors import BadSettings, BadWindow, ExitCode
from incident_rca.sources.tally import USUAL_SECONDS, USUAL_TOTAL_SECONDS

if TYPE_CHECKING:
    from incident_rca.collecting import Collected
    from incident_rca.model import Case, SourceStatus, TimeWindow
    from incident_rca.past_window import Past
    from incident_rca.settings import LoadedSettings

# libpq finds a server by these; its other variables only say how to reach it.
_NAMES_A_SERVER = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE")


def collect(
    case: CaseFolder,
    start: From = None,
    end: To = None,
    around: Around = None,
    window: Window = None,
    last: Last = None,
    tz: Zone = None,
    dsn: Dsn = None,
    recordings: Recordings = None,
    pgwatch_dsn: PgwatchDsn = None,
    performance_insights: PerformanceInsights = None,
    postgres_log: PostgresLog = None,
    log_line_prefix: LogLinePrefix = None,
    log_timezone: LogTimezone = None,
    title: Title = "",
    config: Config = None,
    timeout: Timeout = USUAL_SECONDS,
    total_timeout: TotalTimeout = USUAL_TOTAL_SECONDS,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch what PostgreSQL, gRPC metrics and API Gateway logs know of a window into a case folder.

    Flags and libpq's environment name PostgreSQL, incident-rca.toml the other services. Each source
    fails alone. Called again, it adds what is new and asks anew where it got nothing.

    Example: incident-rca collect INC-1 --from 14:10 --to 14:55 --dsn postgresql://me@db/orders
    """
    when = When(
        start=start, end=end, around=around, window=window, last=last, tz=tz, force=force
    )  # fmt: skip
    where = Where(
        dsn=dsn,
        recordings=recordings,
        pgwatch_dsn=pgwatch_dsn,
        performance_insights=performance_insights,
        postgres_log=postgres_log,
        log_line_prefix=log_line_prefix,
        log_timezone=log_timezone,
        timeout=timeout,
        total_timeout=total_timeout,
    )
    done = fetch(case, when, where, How(title, config, force, quiet))
    if as_json:
        print_json(_sources(done.case))
    code = exit_code(done.case)
    if code is ExitCode.NO_EVIDENCE:
        say("No source had anything of this window; the case says why.", quiet=quiet)
    else:
        say(f"Next: incident-rca report {case}", quiet=quiet)
    raise typer.Exit(code)


def fetch(folder: Path, when: When, where: Where, how: How) -> Collected:
    """Collects into the case and tells what came of each source."""
    from incident_rca import case as case_folder
    from incident_rca import collecting, importing
    from incident_rca.asked_services import Asking, questions_of
    from incident_rca.asking import Limits
    from incident_rca.past_window import questions
    from incident_rca.sources.tally import Tally
    from incident_rca.window import describe_window

    loaded = settings(how.config)
    window = window_asked(folder, when, loaded)
    clock = SystemClock()
    of_past = _past(where, loaded)
    asking = Asking(
        environ=os.environ, clock=clock, spool=folder / case_folder.SPOOL, log=of_past.log
    )
    past = questions(of_past, window, now=clock.now)
    asked = [
        *(replace(question, tally=Tally(clock)) for question in past),
        *questions_of(loaded.settings.services, asking),
    ]
    if how.config is not None and case_folder.exists(folder):
        importing.change_case(folder, settings=loaded.settings, window=None)
    say(f"Window: {describe_window(window, when.tz or loaded.settings.timezone)}", quiet=how.quiet)
    try:
        with watching(asked, quiet=how.quiet):
            done = collecting.collect(
                folder,
                asked,
                window=window,
                settings=loaded.settings,
                title=how.title,
                limits=Limits(source_seconds=where.timeout, total_seconds=where.total_timeout),
            )
    except KeyboardInterrupt:
        say("Interrupted: what was fetched is kept; the same command goes on.", quiet=how.quiet)
        raise
    _tell(done, {q.name: cost(q) for q in asked}, quiet=how.quiet)
    return done


def exit_code(case: Case) -> ExitCode:
    """4 where no source of the case has answered, 3 where one failed or is partial, else 0."""
    from incident_rca.collecting import ANSWERED
    from incident_rca.pipeline import is_complete
    from incident_rca.reported_case import with_gaps

    if not any(source.state in ANSWERED for source in case.sources):
        return ExitCode.NO_EVIDENCE
    return ExitCode.COMPLETE if is_complete(with_gaps(case)) else ExitCode.INCOMPLETE


def _now() -> datetime:
    return datetime.now(UTC)


def window_asked(folder: Path, when: When, loaded: LoadedSettings) -> TimeWindow:
    """The window that the flags name, else that of the case; raises BadWindow."""
    from incident_rca import case as case_folder
    from incident_rca.window import parse_window

    given = parse_window(
        start=when.start,
        end=when.end,
        around=when.around,
        window=when.window,
        last=when.last,
        now=_now(),
        timezone=when.tz or loaded.settings.timezone,
        force=when.force,
        max_hours=loaded.settings.max_window_hours,
    )
    if given is not None:
        return given
    if not case_folder.exists(folder):
        raise BadWindow(
            "a new case needs its window",
            hint="give --from 14:10 --to 14:55, --around 14:30 --window 30m, or --last 2h",
        )
    return case_folder.read_case(folder).window


def _past(where: Where, loaded: LoadedSettings) -> Past:
    """Where to ask: flags, else the environment, else the settings."""
    import platformdirs

    from incident_rca.past_window import Past

    of_file = loaded.settings
    recordings = where.recordings or (
        Path(of_file.postgres_recordings).expanduser()
        if of_file.postgres_recordings
        else platformdirs.user_state_path("incident-rca") / "recordings"
    )
    if where.recordings and not where.recordings.is_dir():
        raise BadSettings(f"--recordings {where.recordings}: is no folder", hint="check the path")
    return Past(
        recordings=recordings,
        dsns=where.dsn or _default_dsns(of_file.postgres_service),
        pgwatch_dsns=where.pgwatch_dsn or (),
        instances=_instances(where.performance_insights) or of_file.postgres_performance_insights,
        logs=where.postgres_log or (),
        log=log_reading(where.log_line_prefix, where.log_timezone, of_file),
    )


def _default_dsns(service: str) -> list[str]:
    if any(os.environ.get(name) for name in _NAMES_A_SERVER):
        return [""]
    return [f"service={service}"] if service else []


def _instances(given: list[str] | None) -> tuple[str, ...]:
    from incident_rca.settings_values import INSTANCE

    for instance in given or ():
        if not re.fullmatch(INSTANCE, instance):
            raise BadSettings(
                f"--performance-insights {instance!r}: is no DbiResourceId",
                hint="write db-ABC or db-ABC@eu-west-1; `aws rds describe-db-instances` shows it",
            )
    return tuple(dict.fromkeys(given or ()))


# --- what is told -------------------------------------------------------------------------------


def _tell(done: Collected, costs: Mapping[str, str], *, quiet: bool) -> None:
    from incident_rca.pseudonyms import redacted_source
    from incident_rca.redact import plain
    from incident_rca.reported_case import with_gaps

    answered = {source.name for source in done.answered}
    for source in with_gaps(done.case).sources:
        if source.name in answered:
            shown = redacted_source(source)
            say(plain(_line(shown, costs.get(source.name, "")), 2000), quiet=quiet)
            # A command to copy, with the address that was given on the command line.
            if source.hint:
                say(plain(f"hint:    {source.hint}", 2000), quiet=quiet)
    for name in done.known:
        say(f"known    {name} is in the case already", quiet=quiet)
    for name, reason in done.kept:
        say(plain(f"kept     {name} as it was: {reason}", 2000), quiet=quiet)


def _line(source: SourceStatus, cost: str) -> str:
    rows = f" ({source.rows:,} rows)" if source.files else ""
    rows = f" ({source.rows:,} rows; fetched {cost})" if source.files and cost else rows
    return f"{source.state:8} {source.name}{rows}{': ' * bool(source.notes)}{source.notes}"


def _sources(case: Case) -> object:
    """The sources as report.json has them."""
    from incident_rca.model import Analysis
    from incident_rca.pipeline import joined_tables
    from incident_rca.report.contract import to_contract
    from incident_rca.reported_case import reported

    told, _ = reported(case, joined_tables({}))
    nothing_analysed = Analysis(
        case=told,
        outage=None,
        baselines=(),
        requests=0,
        failed_requests=0,
        endpoints=(),
        error_types=(),
        lock_episodes=(),
        latency_shifts=(),
        pool=None,
        timeline=(),
        phases=(),
        hypotheses=(),
        unexplained_seconds=0.0,
        contradictions=(),
        findings=(),
        questions=(),
        evidence=(),
        evidence_ids={},
    )
    return to_contract(nothing_analysed)["sources"]
