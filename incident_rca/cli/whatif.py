"""`incident-rca whatif`: what deadlines and circuit breakers would have done, by a model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from incident_rca.cli.terminal import (
    CaseFolder,
    Json,
    Quiet,
    err,
    out,
    print_json,
    progress,
    say,
)
from incident_rca.errors import BadSettings

if TYPE_CHECKING:
    from incident_rca.whatif.protection import Protection
    from incident_rca.whatif.sweep import Trial
    from incident_rca.whatif.traffic import Traffic

Breaker = Annotated[
    str, typer.Option(help="none, opossum, resilience4j or envoy, with the library's defaults.")
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="An option by its library's name, repeatable."
    ),
]
Deadline = Annotated[
    str | None, typer.Option(help="Time-out of a call: 2s, 500ms, 0s for none; else the library's.")
]
Retries = Annotated[int, typer.Option(min=0, help="How often a failed call is tried again.")]
Backoff = Annotated[str, typer.Option(help="How long before each retry.")]
Bulkhead = Annotated[
    int | None, typer.Option(min=1, help="How many calls a breaker has under way at most.")
]
Shared = Annotated[bool, typer.Option("--shared", help="One breaker for all routes.")]
Clients = Annotated[int, typer.Option(min=1, help="Processes that call, each with its breakers.")]
PoolSize = Annotated[
    int | None, typer.Option(min=1, help="Connections of the pool, where none is recorded.")
]
Keep = Annotated[bool, typer.Option("--keep", help="Keep it in the case; its reports show it.")]
Sweep = Annotated[bool, typer.Option("--sweep", help="Try a grid of settings instead of one.")]
Cancelled = Annotated[
    bool, typer.Option("--cancelled", help="In a sweep, calls that time out are cancelled too.")
]
Grid = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=V1,V2",
        help="Values to sweep of an option, deadline, retries, backoff or bulkhead; repeatable.",
    ),
]
Jobs = Annotated[int | None, typer.Option(min=1, help="Processes of a sweep; else one a core.")]
Export = Annotated[
    str | None,
    typer.Option(help="Print the settings for opossum, resilience4j, envoy, istio or as json."),
]


def whatif(
    case: CaseFolder,
    breaker: Breaker = "opossum",
    options: Options = None,
    deadline: Deadline = None,
    retries: Retries = 0,
    backoff: Backoff = "100ms",
    bulkhead: Bulkhead = None,
    shared: Shared = False,
    clients: Clients = 1,
    pool_size: PoolSize = None,
    keep: Keep = False,
    sweep: Sweep = False,
    grid: Grid = None,
    cancelled: Cancelled = False,
    jobs: Jobs = None,
    export: Export = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Replay the recorded requests of a case through a deadline and a circuit breaker.

    A model, not evidence: it says what it takes as given, and how well it fits what was recorded.

    Example: incident-rca whatif INC-2847 --deadline 2s --set volumeThreshold=5
    """
    from incident_rca.whatif.options import DEADLINE, protection_of

    _require_one_form(sweep=sweep, of_sweep=bool(grid or cancelled or jobs), export=export)
    protection = protection_of(
        breaker,
        options or [],
        deadline=deadline,
        cancels=cancelled,
        retries=retries,
        backoff=backoff,
        places=bulkhead,
        is_shared=shared,
        clients=clients,
    )
    if sweep:
        # A setting that is given is an axis of one value, unless the grid names it too.
        fixed = [*(options or []), *([] if deadline is None else [f"{DEADLINE}={deadline}"])]
        axes = [*fixed, *(grid or [])]
        _sweep(case, protection, axes, pool_size, jobs, keep=keep, as_json=as_json, quiet=quiet)
        return
    if export is not None:
        _export(case, protection, export, pool_size, quiet=quiet)
    else:
        _replay(case, protection, pool_size, as_json=as_json, quiet=quiet)
    if keep:
        _keep(case, protection, pool_size, quiet=quiet)


def _require_one_form(*, sweep: bool, of_sweep: bool, export: str | None) -> None:
    if of_sweep and not sweep:
        raise BadSettings("--grid, --cancelled and --jobs are for a sweep", hint="add --sweep")
    if sweep and export is not None:
        raise BadSettings(
            "--sweep tries many settings, --export takes one",
            hint="choose one of the front, and give its settings by --deadline and --set",
        )


def _replay(
    case: Path, protection: Protection, pool_size: int | None, *, as_json: bool, quiet: bool
) -> None:
    from incident_rca import pipeline, reported_case
    from incident_rca.analysis.analyse import concluded
    from incident_rca.analysis.observations import observe
    from incident_rca.report import what_if as shown
    from incident_rca.whatif.comparing import what_if

    with progress(quiet=quiet) as step:
        known, tables = pipeline.build_tables(case, step)
        step("analysing")
        observed = observe(*reported_case.reported(known, tables))
        evidence_ids = concluded(observed).evidence_ids
        step("replaying")
        found = what_if(observed[0], protection, pool_size)
    if as_json:
        print_json(shown.to_json(found, evidence_ids))
    else:
        out().print(shown.screen(found, evidence_ids))


def _keep(case: Path, protection: Protection, pool_size: int | None, *, quiet: bool) -> None:
    from incident_rca.replaying import Kept, keep

    keep(case, Kept(protection, pool_size))
    say(f"kept in {case}; `incident-rca report {case}` shows it", quiet=quiet)


def _traffic(case: Path, pool_size: int | None, *, quiet: bool) -> Traffic:
    from incident_rca import pipeline, reported_case
    from incident_rca.replaying import traffic_of

    with progress(quiet=quiet) as step:
        known, tables = pipeline.build_tables(case, step)
        step("reading the traffic")
        return traffic_of(*reported_case.reported(known, tables), pool_size)


def _export(
    case: Path, protection: Protection, wanted: str, pool_size: int | None, *, quiet: bool
) -> None:
    from incident_rca.whatif.exports import FORMATS

    known = FORMATS.get(wanted)
    if known is None:
        raise BadSettings(
            f"no format is called {wanted}", hint=f"it is one of {', '.join(FORMATS)}"
        )
    name = _traffic(case, pool_size, quiet=quiet).pool
    typer.echo(known(protection, name), nl=False)


def _sweep(
    case: Path,
    base: Protection,
    values: Sequence[str],
    pool_size: int | None,
    jobs: int | None,
    *,
    keep: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    from incident_rca.report import pareto
    from incident_rca.whatif import sweep as swept
    from incident_rca.whatif.comparing import as_it_was, as_sweep
    from incident_rca.whatif.protection import UNPROTECTED

    axes = swept.axes_of(base, values)
    protections = [swept.protection_at(base, one) for one in swept.combinations(axes)]
    traffic = _traffic(case, pool_size, quiet=quiet)
    found = _tried(traffic, protections, (False, True) if keep else (base.cancels,), jobs, quiet)
    # No protection is a setting too: no better one loses more than that.
    trials = [swept.trial(traffic, UNPROTECTED), *found[base.cancels]]
    front = swept.pareto_front(trials)
    *_, fit = as_it_was(traffic)
    if as_json:
        print_json(pareto.to_json(trials, front, fit))
    else:
        names = [axis.name for axis in axes if len(axis.values) > 1]
        out().print(pareto.screen(trials, front, names, fit))
    if keep:
        from incident_rca.replaying import keep_sweep

        ways = {"cancelled": found[True], "left_running": found[False]}
        keep_sweep(case, as_sweep(traffic, base, axes, pool_size, **ways))
        say(f"kept in {case}; `incident-rca report {case}` shows it", quiet=quiet)


def _tried(
    traffic: Traffic,
    protections: Sequence[Protection],
    ways: Sequence[bool],
    jobs: int | None,
    quiet: bool,
) -> dict[bool, list[Trial]]:
    """The trials of all protections, by whether calls that time out are cancelled."""
    from incident_rca.whatif.sweep import sweep

    asked = {c: [replace(one, cancels=c) for one in protections] for c in ways}
    found: dict[Protection, Trial] = {}
    every = [one for each in asked.values() for one in each]
    with _bar(len(every), quiet=quiet) as advance:
        for trial in sweep(traffic, every, jobs or os.cpu_count() or 1):
            found[trial.protection] = trial
            advance()
    return {cancels: [found[one] for one in each] for cancels, each in asked.items()}


@contextmanager
def _bar(number: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """What a sweep calls with each setting that was tried: a bar on a terminal, else nothing."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = err()
    if quiet or not console.is_terminal:
        yield lambda: None
        return
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("replaying", total=number)
        yield lambda: bar.advance(task)
