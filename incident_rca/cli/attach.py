"""`incident-rca attach`: a report to the ticket; shown first, sent with --yes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incident_rca.cli.clock import SystemClock
from incident_rca.cli.terminal import (
    CaseFolder,
    Config,
    Json,
    Quiet,
    out,
    print_json,
    progress,
    say,
    settings,
)
from incident_rca.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from incident_rca.attaching import Parcel, Target
    from incident_rca.tickets.delivery import Outcome

USUAL_SECONDS = 120.0


def attach(
    case: CaseFolder,
    to: Annotated[
        list[str],
        typer.Option(
            "--to",
            metavar="TICKET",
            help="jira:INC-2847, github:owner/repo#12, pagerduty:ID, slack:#channel or "
            "file:FOLDER; repeatable.",
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Send it; without it, only show it.")] = False,
    resend: Annotated[
        bool,
        typer.Option("--resend", help="Send again what may have arrived when a connection broke."),
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds that all of one ticket may take.")
    ] = USUAL_SECONDS,
    config: Config = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Post a summary of a report to a ticket and attach its files, or update what is there.

    Shows exactly what would be sent; sends it with --yes. Tokens come from the environment, and
    `doctor` names them. Exits with 3 if part of it got there, with 4 if nothing did.

    Example: incident-rca attach INC-2847 --to jira:INC-2847 --to 'slack:#incidents' --yes
    """
    from incident_rca import pipeline
    from incident_rca.attaching import parcel_of, require_variables, target_of

    given = settings(config).settings
    targets = [target_of(one, given, os.environ) for one in dict.fromkeys(to)]
    for target in targets if yes else ():
        require_variables(target)
    with progress(quiet=quiet) as step:
        parcel = parcel_of(case, pipeline.analyse_case(case, step))
    if not yes:
        _show(parcel, targets, resend=resend, as_json=as_json, quiet=quiet)
        return
    told = [
        (target, _send(parcel, target, timeout, resend=resend, quiet=quiet or as_json))
        for target in targets
    ]
    if as_json:
        print_json([_told_as_json(target, outcomes) for target, outcomes in told])
    raise typer.Exit(_exit_code([outcome for _, outcomes in told for outcome in outcomes]))


def _send(
    parcel: Parcel, target: Target, timeout: float, *, resend: bool, quiet: bool
) -> list[Outcome]:
    """What became of each part, told as it is known."""
    from incident_rca import attaching
    from incident_rca.tickets.showing import outcome_as_text

    say(f"{target.to} at {target.at}", quiet=quiet)
    outcomes = []
    for outcome in attaching.attach(
        parcel,
        target,
        environ=os.environ,
        clock=SystemClock(),
        timeout_seconds=timeout,
        resends=resend,
    ):
        outcomes.append(outcome)
        if not quiet or not outcome.did.is_done:
            out().print(outcome_as_text(outcome), soft_wrap=True)
    return outcomes


def _show(
    parcel: Parcel, targets: Sequence[Target], *, resend: bool, as_json: bool, quiet: bool
) -> None:
    """Every request that would be sent, and that none was."""
    from incident_rca.attaching import rehearse
    from incident_rca.tickets.showing import (
        outcome_as_json,
        outcome_as_text,
        request_as_json,
        request_as_text,
    )

    shown = [(target, *rehearse(parcel, target, resends=resend)) for target in targets]
    if as_json:
        print_json(
            [
                {
                    **_place_as_json(target),
                    "missing": list(target.missing),
                    "requests": [request_as_json(r, target.system) for r in requests],
                    "problems": [outcome_as_json(problem) for problem in problems],
                }
                for target, requests, problems in shown
            ]
        )
        return
    for target, requests, problems in shown:
        say(f"{target.to} at {target.at}: {len(requests)} requests", quiet=quiet)
        for request in requests:
            out().print(request_as_text(request, target.system), soft_wrap=True)
        for problem in problems:
            say(outcome_as_text(problem))
        if target.missing:
            say(f"hint: set {' and '.join(target.missing)} before you send it", quiet=quiet)
    say("Nothing was sent: with --yes it is.", quiet=quiet)


def _place_as_json(target: Target) -> dict[str, Any]:
    return {"to": target.to, "at": target.at}


def _told_as_json(target: Target, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    from incident_rca.tickets.showing import outcome_as_json

    return {**_place_as_json(target), "outcomes": [outcome_as_json(o) for o in outcomes]}


def _exit_code(outcomes: Sequence[Outcome]) -> ExitCode:
    """0 where all of it is there, 3 where a part of it is, 4 where nothing is."""
    done = [outcome.did.is_done for outcome in outcomes]
    if all(done):
        return ExitCode.COMPLETE
    return ExitCode.INCOMPLETE if any(done) else ExitCode.NO_EVIDENCE
