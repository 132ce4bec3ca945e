"""`incident-rca demo`: the main job, offline, on the reference incident."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from incident_rca.cli.report import exit_code, show
from incident_rca.cli.terminal import Json, Quiet, progress, say


def demo(
    sample: Annotated[
        str,
        typer.Argument(
            metavar="[SAMPLE]",
            help="inc-2847, lab-index-build or lab-unrelated-lock.",
            show_default=False,
        ),
    ] = "inc-2847",
    into: Annotated[
        Path, typer.Option("--into", help="The folder to write the case and its report to.")
    ] = Path("incident-rca-demo"),
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the root-cause analysis of a sample incident: no network, no set-up.

    The first sample is reconstructed from an incident's document, the others were re-enacted on
    real servers: an index build, and a lock that has nothing to do with the outage beside it.

    Example: incident-rca demo
    """
    from incident_rca import pipeline
    from incident_rca.demo import prepare_demo

    case = prepare_demo(into, sample)
    with progress(quiet=quiet) as step:
        analysis = pipeline.report_case(case, progress=step)
    show(case, analysis, as_json=as_json, quiet=quiet)
    say(
        f"""
Next, on this case:
  incident-rca timeline {case}      all systems on one timeline
  incident-rca explain {case} H1    a hypothesis with the rows behind each claim
  incident-rca verify {case}        nothing was changed since
To explore in a browser: {case}/report.html
On your own evidence:
  incident-rca import INC-1 FILE...   recognises each file by its content
  incident-rca report INC-1""",
        quiet=quiet,
    )
    raise typer.Exit(exit_code(analysis, None))
