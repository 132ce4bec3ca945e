"""`incident-rca import`: files into a case folder, recognised by their content."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incident_rca.cli.terminal import (
    CaseFolder,
    Config,
    From,
    Json,
    Quiet,
    To,
    Zone,
    print_json,
    progress,
    say,
    settings,
    tell,
    window_of,
)
from incident_rca.errors import BadSettings, BadWindow, ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from incident_rca.importing import Imported
    from incident_rca.settings import Settings

LogLinePrefix = Annotated[
    str | None,
    typer.Option("--log-line-prefix", help="The server's log_line_prefix, if its log needs it."),
]
LogTimezone = Annotated[
    str | None,
    typer.Option("--log-timezone", help="The server's log_timezone, if its log is unclear."),
]
AccessLogFormat = Annotated[
    str, typer.Option("--access-log-format", help="The stage's access log format, if not clear.")
]


def import_files(
    case: CaseFolder,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files to add.")],
    kind: Annotated[
        str | None, typer.Option("--as", metavar="KIND", help="What the files are, if not clear.")
    ] = None,
    query: Annotated[
        str, typer.Option("--query", help="The query that a bare answer belongs to.")
    ] = "",
    metric: Annotated[
        str, typer.Option("--metric", help="The metric that a bare answer holds.")
    ] = "",
    log_line_prefix: LogLinePrefix = None,
    log_timezone: LogTimezone = None,
    access_log_format: AccessLogFormat = "",
    title: Annotated[str, typer.Option("--title", help="The incident's title.")] = "",
    start: From = None,
    end: To = None,
    tz: Zone = None,
    config: Config = None,
    force: Annotated[bool, typer.Option("--force", help="Take a window above 24 h.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Add files to a case folder: each is recognised, kept in raw/ and parsed.

    A file that cannot be read is refused and named; the others are kept.

    Example: incident-rca import INC-1 access.ndjson.gz postgresql.json p99.json
    """
    from incident_rca import case as case_folder
    from incident_rca import importing, pipeline
    from incident_rca.window import describe_window

    loaded = settings(config)
    window = window_of(start, end, loaded, tz, force=force)
    log = log_reading(log_line_prefix, log_timezone, loaded.settings, access_log_format)
    if config is not None and case_folder.exists(case):
        importing.change_case(case, settings=loaded.settings, window=None)
    with progress(quiet=quiet) as step:
        done = importing.import_files(
            case,
            files,
            settings=loaded.settings,
            window=window,
            reading=importing.Reading(kind=kind, query=query, metric=metric, log=log),
            title=title,
            progress=step,
        )
    if as_json:
        print_json(_as_json(case, done))
    _tell(done, quiet=quiet)
    shown = describe_window(done.case.window, tz or loaded.settings.timezone)
    basis = "" if done.case.window_basis == "given" else f", the {done.case.window_basis}"
    say(f"Window: {shown}{basis}\nNext: incident-rca report {case}", quiet=quiet)
    if done.refused:
        raise typer.Exit(done.refused[0].exit_code)
    complete = pipeline.is_complete(done.case)
    raise typer.Exit(ExitCode.COMPLETE if complete else ExitCode.INCOMPLETE)


def log_reading(
    prefix: str | None, zone: str | None, settings: Settings, access_log_format: str = ""
) -> Mapping[str, str]:
    """What flags, else settings, say of logs; raises BadSettings for an unknown zone."""
    from incident_rca.window import load_zone

    if zone:
        try:
            load_zone(zone)
        except BadWindow as error:
            raise BadSettings(f"--log-timezone: {error.message}", hint=error.hint) from error
    said = {
        "log_line_prefix": prefix or settings.postgres_log_line_prefix,
        "log_timezone": zone or settings.postgres_log_timezone,
        "access_log_format": access_log_format,
    }
    return {name: text for name, text in said.items() if text}


def _tell(done: Imported, *, quiet: bool) -> None:
    from incident_rca.pseudonyms import redacted_source
    from incident_rca.redact import redact_text

    for source in map(redacted_source, done.added):
        rows = f"{source.rows:,} rows" + (f", {source.unparsed} unreadable" * bool(source.unparsed))
        notes = f": {source.notes}" if source.notes else ""
        say(f"{source.state:8} {source.name} ({source.kind}, {rows}){notes}", quiet=quiet)
    for name in done.already_there:
        say(f"known    {redact_text(name)} is in the case already", quiet=quiet)
    for error in done.refused:
        tell(error)


def _as_json(case: Path, done: Imported) -> dict[str, Any]:
    from incident_rca.pseudonyms import redacted_source
    from incident_rca.redact import redact_text

    keys = ("name", "kind", "state", "rows", "unparsed")
    added = [redacted_source(source) for source in done.added]
    return {
        "case": str(case),
        "added": [
            {key: getattr(source, key) for key in keys} | {"reason": source.notes}
            for source in added
        ],
        "already_there": [redact_text(name) for name in done.already_there],
        "refused": [error.message for error in done.refused],
    }
