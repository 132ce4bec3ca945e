"""`incident-rca lint`: which locks a migration takes, whom they block, and the safe way."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incident_rca import __version__
from incident_rca.cli.stats import WATCH_SECONDS, sizes_of
from incident_rca.cli.terminal import (
    Config,
    Dsn,
    Quiet,
    out,
    print_json,
    say,
    settings,
)
from incident_rca.errors import BadInput, ExitCode
from incident_rca.model import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from incident_rca.migrations.lint import FileReport, Surroundings
    from incident_rca.migrations.sizes import TableSizes
    from incident_rca.settings import Settings


class Format(StrEnum):
    """How the findings are written."""

    TERMINAL = "terminal"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


def lint(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE|FOLDER...", help="Migrations in SQL; - is standard input."),
    ] = None,
    dsn: Dsn = None,
    stats: Annotated[
        Path | None, typer.Option("--stats", help="Table sizes that `incident-rca stats` wrote.")
    ] = None,
    runner: Annotated[
        str | None,
        typer.Option(help="psql, sqitch, flyway, golang-migrate, alembic or django."),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.TERMINAL,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    fail_on: Annotated[
        Severity, typer.Option(help="Exit with 1 if a finding is this severe or more.")
    ] = Severity.HIGH,
    explain: Annotated[
        str | None, typer.Option("--explain", metavar="RULE", help="Print the page of a rule.")
    ] = None,
    config: Config = None,
    quiet: Quiet = False,
) -> None:
    """Check migrations for locks that stop an application, before they reach it.

    Without sizes (--dsn or --stats) each lock on an existing table is a warning; with them, one
    on a large table is an error. Exits with 3 if something could not be checked.

    Example: incident-rca lint migrations/ --stats stats.json --fail-on medium
    """
    if explain is not None:
        _explain(explain)
        return
    if not paths:
        raise BadInput("no file or folder is named", hint="incident-rca lint migrations/")
    around = _surroundings(settings(config).settings, runner, _sizes(dsn, stats))
    reports = _lint(paths, around)
    chosen = Format.JSON if as_json else form
    _write(reports, around.sizes, chosen)
    if chosen is not Format.TERMINAL:
        from incident_rca.migrations.told import coverage

        for line in coverage(reports, around.sizes, datetime.now(UTC)):
            say(line, quiet=quiet)
    raise typer.Exit(exit_code(reports, fail_on))


def exit_code(reports: Sequence[FileReport], fail_on: Severity) -> ExitCode:
    """1 for findings, else 4 if nothing could be read, 3 if something could not, else 0."""
    order = list(Severity)
    severest = [order.index(f.severity) for report in reports for f in report.findings]
    if severest and min(severest) <= order.index(fail_on):
        return ExitCode.FINDINGS
    if all(report.refused for report in reports):
        return ExitCode.NO_EVIDENCE
    if any(report.refused or report.not_checked for report in reports):
        return ExitCode.INCOMPLETE
    return ExitCode.COMPLETE


def _explain(name: str) -> None:
    from incident_rca.migrations.document import page
    from incident_rca.migrations.rules import BY_NAME
    from incident_rca.settings_document import nearest

    if name not in BY_NAME:
        hint = nearest(name, BY_NAME) or f"known: {', '.join(BY_NAME)}"
        raise BadInput(f"there is no rule `{name}`", hint=hint)
    sys.stdout.write(page(BY_NAME[name]))


def _sizes(dsn: list[str] | None, stats: Path | None) -> TableSizes | None:
    if dsn and stats:
        raise BadInput("--dsn and --stats exclude each other", hint="give one of them")
    if dsn:
        return sizes_of(dsn, WATCH_SECONDS)
    if stats is None:
        return None
    from incident_rca.json_text import decode
    from incident_rca.migrations.sizes import of_document

    try:
        document = decode(stats.read_bytes())
    except ValueError:
        document = None
    return of_document(document, str(stats))


def _surroundings(chosen: Settings, runner: str | None, sizes: TableSizes | None) -> Surroundings:
    from types import MappingProxyType

    from incident_rca.migrations.lint import Surroundings
    from incident_rca.migrations.operations import Relation
    from incident_rca.migrations.runners import RUNNERS
    from incident_rca.migrations.weighing import Thresholds
    from incident_rca.settings_document import nearest

    name = runner or chosen.lint_runner
    if name not in RUNNERS:
        hint = nearest(name, RUNNERS) or f"known: {', '.join(RUNNERS)}"
        raise BadInput(f"there is no runner `{name}`", hint=hint)
    per_table = {
        Relation(*reversed(table.replace('"', "").split(".", 1))): rows
        for table, rows in chosen.lint_large_tables.items()
    }
    return Surroundings(
        sizes=sizes,
        thresholds=Thresholds(
            large_table_rows=chosen.large_table_rows,
            per_table=MappingProxyType(per_table),
            rows_per_second=chosen.lint_index_rows_per_second or None,
        ),
        runner=RUNNERS[name],
        has_lock_timeout=chosen.lint_lock_timeout_elsewhere,
    )


def _lint(paths: list[Path], around: Surroundings) -> tuple[FileReport, ...]:
    from incident_rca.cli.migration_files import decoded, migration_files
    from incident_rca.migrations.lint import lint_files

    if [str(path) for path in paths] == ["-"]:
        return lint_files([("<stdin>", decoded(sys.stdin.buffer.read()))], around)
    files = migration_files(paths)
    return lint_files([(path.as_posix(), decoded(path.read_bytes())) for path in files], around)


def _write(reports: Sequence[FileReport], sizes: TableSizes | None, form: Format) -> None:
    match form:
        case Format.JSON:
            from incident_rca.migrations.as_json import to_json

            print_json(to_json(reports, sizes, __version__))
        case Format.SARIF:
            from incident_rca.migrations.as_sarif import to_sarif

            print_json(to_sarif(reports, __version__))
        case Format.GITHUB:
            from incident_rca.migrations.as_annotations import to_annotations

            for line in to_annotations(reports):
                sys.stdout.write(line + "\n")
        case Format.TERMINAL:
            from incident_rca.migrations.as_terminal import to_lines

            console = out()
            for text in to_lines(reports, sizes, datetime.now(UTC)):
                # A statement is one line, whatever the width, so that it can be copied.
                console.print(text, soft_wrap=True)
