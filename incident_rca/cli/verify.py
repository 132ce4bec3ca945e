"""`incident-rca verify`: whether a case and its report are still what the evidence gives."""

from __future__ import annotations

import typer

from incident_rca.cli.terminal import CaseFolder, Json, Quiet, print_json, progress, say
from incident_rca.errors import ExitCode


def verify(case: CaseFolder, as_json: Json = False, quiet: Quiet = False) -> None:
    """Check file hashes, tables, report.json, charts and the generated parts of report.md.

    Exits with 3 and names each file that is not what it was.

    Example: incident-rca verify INC-2847
    """
    from incident_rca.verification import verify_case

    with progress(quiet=quiet) as step:
        checks = verify_case(case, step)
    changed = [c for c in checks if c.problem]
    if as_json:
        print_json([{"file": c.name, "ok": not c.problem, "problem": c.problem} for c in checks])
    for check in changed:
        say(f"changed  {check.name}: {check.problem}")
    if not changed:
        say(f"{case}: {len(checks)} files are as the evidence gives them", quiet=quiet)
    raise typer.Exit(ExitCode.INCOMPLETE if changed else ExitCode.COMPLETE)
