"""`incident-rca timeline`: all systems on one timeline, one column a system."""

from __future__ import annotations

from incident_rca.cli.terminal import CaseFolder, Json, Quiet, out, print_json, progress


def timeline(case: CaseFolder, as_json: Json = False, quiet: Quiet = False) -> None:
    """Show the merged timeline of a case in the terminal.

    Example: incident-rca timeline INC-2847
    """
    from incident_rca import pipeline
    from incident_rca.report import terminal
    from incident_rca.report.contract import to_contract

    with progress(quiet=quiet) as step:
        analysis = pipeline.analyse_case(case, step)
    if as_json:
        print_json(to_contract(analysis)["timeline"])
    else:
        console = out()
        is_ascii = console.options.ascii_only
        console.print(terminal.timeline(analysis, console.width, is_ascii=is_ascii))
