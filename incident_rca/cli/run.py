"""`incident-rca run`: collect and report in one go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incident_rca.cli import collect, report
from incident_rca.cli import collect_options as options
from incident_rca.cli.follow import EVERY_SECONDS, until_over
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
from incident_rca.sources.tally import USUAL_SECONDS, USUAL_TOTAL_SECONDS

if TYPE_CHECKING:
    from incident_rca.model import Analysis


def run(
    case: CaseFolder,
    start: From = None,
    end: To = None,
    around: options.Around = None,
    window: options.Window = None,
    last: options.Last = None,
    tz: Zone = None,
    dsn: Dsn = None,
    recordings: options.Recordings = None,
    pgwatch_dsn: options.PgwatchDsn = None,
    performance_insights: options.PerformanceInsights = None,
    postgres_log: options.PostgresLog = None,
    log_line_prefix: LogLinePrefix = None,
    log_timezone: LogTimezone = None,
    title: options.Title = "",
    config: Config = None,
    timeout: options.Timeout = USUAL_SECONDS,
    total_timeout: options.TotalTimeout = USUAL_TOTAL_SECONDS,
    follow: Annotated[
        bool, typer.Option("--follow", help="While it is on: anew, until it is over or Ctrl-C.")
    ] = False,
    every: Annotated[
        float, typer.Option("--every", min=1, help="With --follow: seconds from round to round.")
    ] = EVERY_SECONDS,
    fail_on: report.FailOn = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Take a window above 24 h; overwrite an edited report.md."),
    ] = False,
    no_charts: report.NoCharts = False,
    no_page: report.NoPage = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Collect what is known of a window, and write its report: `collect`, then `report`.

    With --follow it does so again and again, says what is new and answers whether it is over.

    Example: incident-rca run INC-1 --from 14:10 --to now --dsn postgresql://me@db/orders
    """
    when = options.When(
        start=start, end=end, around=around, window=window, last=last, tz=tz, force=force
    )
    where = options.Where(
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
    how = options.How(title, config, force, quiet, with_charts=not no_charts, with_page=not no_page)
    done = until_over(case, when, where, how, every) if follow else _once(case, when, where, how)
    report.show(case, done, as_json=as_json, quiet=quiet)
    raise typer.Exit(report.exit_code(done, fail_on))


def _once(folder: Path, when: options.When, where: options.Where, how: options.How) -> Analysis:
    from incident_rca import pipeline

    done = collect.fetch(folder, when, where, how)
    if collect.exit_code(done.case) is ExitCode.NO_EVIDENCE:
        say("No source had anything of this window: there is nothing to report.", quiet=how.quiet)
        raise typer.Exit(ExitCode.NO_EVIDENCE)
    with progress(quiet=how.quiet) as step:
        return pipeline.report_case(
            folder,
            force=how.force,
            with_charts=how.with_charts,
            with_page=how.with_page,
            progress=step,
        )
