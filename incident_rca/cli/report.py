"""`incident-rca report`: the analysis of a case folder, as Markdown, page, JSON and a summary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incident_rca.cli.terminal import (
    CaseFolder,
    Config,
    From,
    Json,
    Quiet,
    To,
    Zone,
    err,
    out,
    print_json,
    progress,
    say,
    settings,
    window_of,
)
from incident_rca.errors import BadSettings, BadTemplate, ExitCode
from incident_rca.model import Severity
from incident_rca.report.profiles import LONGEST, Profile, rendered

if TYPE_CHECKING:
    from incident_rca.model import Analysis

FailOn = Annotated[
    Severity | None, typer.Option(help="Exit with 1 if a finding is this severe or more.")
]

As = Annotated[
    Profile | None, typer.Option("--profile", help="Print the report in the form that this takes.")
]
Template = Annotated[
    Path | None,
    typer.Option(
        exists=True, dir_okay=False, help="Print the report by a Jinja template of your own."
    ),
]
NoCharts = Annotated[bool, typer.Option("--no-charts", help="Write no charts/*.svg and *.png.")]
NoPage = Annotated[bool, typer.Option("--no-page", help="Write no report.html.")]


def report(
    case: CaseFolder,
    start: From = None,
    end: To = None,
    tz: Zone = None,
    config: Config = None,
    fail_on: FailOn = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Take a window above 24 h; overwrite an edited report.md."),
    ] = False,
    no_charts: NoCharts = False,
    no_page: NoPage = False,
    profile: As = None,
    template: Template = None,
    show_redactions: Annotated[
        bool,
        typer.Option("--show-redactions", help="Also print what is hidden: kinds, never values."),
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the report of a case as Markdown, page, JSON and charts, and print the summary.

    Example: incident-rca report INC-2847
    """
    from incident_rca import pipeline
    from incident_rca.importing import change_case

    if as_json and (profile or template):
        raise BadSettings(
            "--json prints report.json, --profile and --template print the document",
            hint="leave one of them out",
        )
    if start or end or config:
        loaded = settings(config)
        window = window_of(start, end, loaded, tz, force=force)
        change_case(case, settings=loaded.settings if config else None, window=window)
    with progress(quiet=quiet) as step:
        analysis = pipeline.report_case(
            case, step, force=force, with_charts=not no_charts, with_page=not no_page
        )
    if profile or template:
        typer.echo(_document(case, analysis, profile, template, quiet=quiet), nl=False)
    show(case, analysis, as_json=as_json, quiet=quiet, has_data=bool(profile or template))
    if show_redactions and not as_json:
        from incident_rca.report.contract import to_contract
        from incident_rca.report.redactions import screen

        # The document alone is the data: what goes to a file or a pipe is nothing else.
        (err() if profile or template else out()).print(screen(to_contract(analysis)))
    raise typer.Exit(exit_code(analysis, fail_on))


def _document(
    case: Path, analysis: Analysis, profile: Profile | None, template: Path | None, *, quiet: bool
) -> str:
    """The report by a team's template, else as it was written, in the form of a profile."""
    from incident_rca.pipeline import REPORT_MD
    from incident_rca.report.markdown import by_template

    if template is None:
        text = (case / REPORT_MD).read_text(encoding="utf-8")
    else:
        try:
            source = template.read_text(encoding="utf-8")
        except ValueError as error:
            raise BadTemplate(
                f"{template}: is no text in UTF-8", hint="a template is a text file in UTF-8"
            ) from error
        text = by_template(analysis, source, str(template))
    if profile is None:
        return text
    text = rendered(text, profile)
    longest = LONGEST.get(profile)
    if longest is not None and len(text) > longest:
        say(
            f"hint: {len(text):,} characters, and a field of {profile} takes {longest:,}: attach "
            "it as a file, or leave out the appendix",
            quiet=quiet,
        )
    return text


def show(
    case: Path, analysis: Analysis, *, as_json: bool, quiet: bool, has_data: bool = False
) -> None:
    """Prints the summary of a report unless other data was printed, or the report as JSON."""
    from incident_rca.pipeline import written_in
    from incident_rca.report.contract import to_contract
    from incident_rca.report.terminal_summary import summary
    from incident_rca.window import describe_window

    if as_json:
        print_json(to_contract(analysis))
    elif not quiet and not has_data:
        console = out()
        is_ascii = console.options.ascii_only
        console.print(summary(analysis, written_in(case), console.width, is_ascii=is_ascii))
    if not analysis.case.topology:
        say(
            "hint: this case has no topology, so no verdict is above weak but by ids of requests; "
            "the open questions of the report say which lines to add to incident-rca.toml",
            quiet=quiet,
        )
    elif not analysis.case.topology.is_stated:
        say(
            "hint: parts of the topology are inferred, so no verdict that rests on them is above "
            "weak; confirm them in incident-rca.toml and report again with --config",
            quiet=quiet,
        )
    if analysis.case.window_basis != "given":
        window = describe_window(analysis.case.window, "UTC")
        say(f"Window: {window}, the {analysis.case.window_basis}", quiet=quiet)


def exit_code(analysis: Analysis, fail_on: Severity | None) -> ExitCode:
    """3 where a source failed or is partial, else 1 where a finding is severe enough, else 0."""
    from incident_rca.pipeline import is_complete

    if not is_complete(analysis.case):
        return ExitCode.INCOMPLETE
    order = list(Severity)
    if fail_on and any(order.index(f.severity) <= order.index(fail_on) for f in analysis.findings):
        return ExitCode.FINDINGS
    return ExitCode.COMPLETE
