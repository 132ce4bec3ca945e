"""`incident-rca run`: collect and report in one go."""

from __future__ import annotations

from typing import Annotated

import typer

from incident_rca.cli import collect, report
from incident_rca.cli.import_files import LogLinePrefix, LogTimezone
from incident_rca.cli.terminal import (
    CaseFolder,
    Config,
    Dsn,
    From,
    Json,
    Quiet,
    To,
    Zone,
    progress,
    say,
)
from incident_rca.errors import ExitCode


def run(
    case: CaseFolder,
    start: From = None,
    end: To = None,
    around: collect.Around = None,
    window: collect.Window = None,
    last: collect.Last = None,
    tz: Zone = None,
    dsn: Dsn = None,
    recordings: collect.Recordings = None,
    pgwatch_dsn: collect.PgwatchDsn = None,
    performance_insights: collect.PerformanceInsights = None,
    postgres_log: collect.PostgresLog = None,
    log_line_prefix: LogLinePrefix = None,
    log_timezone: LogTimezone = None,
    title: collect.Title = "",
    config: Config = None,
    fail_on: report.FailOn = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Take a window above 24 h; overwrite an edited report.md."),
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Collect what is known of a window, and write its report: `collect`, then `report`.

    Example: incident-rca run INC-1 --from 14:10 --to now --dsn postgresql://me@db/orders
    """
    from incident_rca import pipeline

    when = collect.When(
        start=start, end=end, around=around, window=window, last=last, tz=tz, force=force
    )
    where = collect.Where(
        dsn=dsn,
        recordings=recordings,
        pgwatch_dsn=pgwatch_dsn,
        performance_insights=performance_insights,
        postgres_log=postgres_log,
        log_line_prefix=log_line_prefix,
        log_timezone=log_timezone,
    )
    done = collect.fetch(case, when, where, title=title, config=config, quiet=quiet)
    if collect.exit_code(done.case) is ExitCode.NO_EVIDENCE:
        say("No source had anything of this window: there is nothing to report.", quiet=quiet)
        raise typer.Exit(ExitCode.NO_EVIDENCE)
    with progress(quiet=quiet) as step:
        analysis = pipeline.analyse_case(case, step)
    pipeline.write_reports(case, analysis, force=force)
    report.show(case, analysis, as_json=as_json, quiet=quiet)
    raise typer.Exit(report.exit_code(analysis, fail_on))
