"""A case through the what-if model: its traffic, and what it keeps of settings and sweeps."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec

from incident_rca import case as case_folder
from incident_rca.analysis.observations import Observations, observe
from incident_rca.errors import BadInput, BadSettings, NotReplayable
from incident_rca.json_text import decode
from incident_rca.model import Case, Sweep, WhatIf
from incident_rca.one_writer import locked
from incident_rca.report.what_if import LABEL
from incident_rca.tables import Tables
from incident_rca.whatif.comparing import what_if
from incident_rca.whatif.options import from_document, to_document
from incident_rca.whatif.protection import Protection
from incident_rca.whatif.recorded import recorded_traffic
from incident_rca.whatif.sweep import protection_at, trial

if TYPE_CHECKING:
    from incident_rca.whatif.traffic import Traffic

KEPT = "whatif.json"
KEPT_SCHEMA = 1
KEPT_SWEEP = "whatif-sweep.json"
SWEEP_SCHEMA = 1
_Read = TypeVar("_Read")
_PoolSize = Annotated[int, msgspec.Meta(ge=1)]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a case keeps of a what-if: its settings, and a pool size that was given."""

    protection: Protection
    pool_size: int | None


def traffic_of(case: Case, tables: Tables, pool_size: int | None) -> Traffic:
    """The traffic of the largest incident of a case as reports show it."""
    return recorded_traffic(observe(case, tables)[0], pool_size)


def keep(folder: Path, kept: Kept) -> None:
    """Writes the settings into the case, in one step."""
    document = {
        "whatif_schema": KEPT_SCHEMA,
        "pool_size": kept.pool_size,
        "protection": to_document(kept.protection),
    }
    with locked(folder):
        case_folder.write_text(folder / KEPT, json.dumps(document, indent=2) + "\n")


def read_kept(folder: Path) -> Kept | None:
    """The settings that the case keeps, None where it keeps none; raises BadInput."""

    def read(document: Any) -> Kept:
        pool_size = msgspec.convert(document["pool_size"], _PoolSize | None)
        return Kept(from_document(document["protection"]), pool_size)

    written_by = f"incident-rca whatif {folder} --keep"
    return _read(folder / KEPT, "whatif_schema", KEPT_SCHEMA, read, written_by)


def _read(
    path: Path, key: str, schema: int, read: Callable[[Any], _Read], written_by: str
) -> _Read | None:
    """What a file of the case holds, None where there is none; raises BadInput."""
    if not path.is_file():
        return None
    try:
        document = decode(path.read_bytes())
        written = msgspec.convert(document[key], int)
        if written != schema:
            raise BadSettings(f"its schema is {written}, not {schema}")
        return read(document)
    except (BadSettings, KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"{path}: cannot be read ({error})",
            hint=f"delete it, or write it anew: {written_by}",
        ) from error


def kept_what_if(folder: Path, seen: Observations) -> WhatIf | None:
    """The what-if of the settings that the case keeps, None where there is none to show."""
    kept = read_kept(folder)
    if kept is None:
        return None
    try:
        return what_if(seen, kept.protection, kept.pool_size)
    except NotReplayable:
        # Its evidence has changed since: what cannot be replayed is not in the report.
        return None


def keep_sweep(folder: Path, sweep: Sweep) -> None:
    """Writes a sweep into the case, in one step: its results, which take long to find again."""
    document = msgspec.to_builtins(sweep)
    # They are read anew from the evidence.
    del document["premises"]
    text = json.dumps({"sweep_schema": SWEEP_SCHEMA, "label": LABEL, **document})
    with locked(folder):
        case_folder.write_text(folder / KEPT_SWEEP, text + "\n")


def read_kept_sweep(folder: Path) -> Sweep | None:
    """The sweep that the case keeps, without premises; None for none; raises BadInput."""
    written_by = f"incident-rca whatif {folder} --sweep --keep"
    return _read(folder / KEPT_SWEEP, "sweep_schema", SWEEP_SCHEMA, _sweep_of, written_by)


def _sweep_of(document: Any) -> Sweep:
    sweep = msgspec.convert(document, Sweep)
    from_document(sweep.base)
    number = len(sweep.trials)
    if number != math.prod(len(axis.values) for axis in sweep.axes):
        raise BadSettings(f"{number} trials are not every combination of its settings")
    if not all(0 <= n < number for n in sweep.front_cancelled + sweep.front_left_running):
        raise BadSettings("its front names a trial that there is not")
    return sweep


def sweep_problem(folder: Path, case: Case, tables: Tables) -> str | None:
    """What is wrong with the sweep that the case keeps, by replaying its fronts again.

    Empty where it is right, None where the case keeps none.
    """
    kept = read_kept_sweep(folder)
    if kept is None:
        return None
    try:
        traffic = traffic_of(case, tables, kept.given_pool_size)
    except NotReplayable as error:
        return f"is of other evidence: {error.message}"
    if kept.replayed != traffic.digest:
        return "is of other evidence: run whatif --sweep --keep again"
    base = from_document(kept.base)
    kept_figures = [
        *((place, True, kept.trials[place].cancelled) for place in kept.front_cancelled),
        *((place, False, kept.trials[place].left_running) for place in kept.front_left_running),
    ]
    for place, cancels, figures in kept_figures:
        protection = protection_at(base, kept.trials[place].settings)
        if trial(traffic, replace(protection, cancels=cancels)).figures != figures:
            return f"trial {place} is not what a replay gives"
    return ""


def kept_sweep(folder: Path, seen: Observations) -> Sweep | None:
    """The sweep that the case keeps, None where there is none or it is of other evidence."""
    kept = read_kept_sweep(folder)
    if kept is None:
        return None
    try:
        traffic = recorded_traffic(seen, kept.given_pool_size)
    except NotReplayable:
        return None
    return replace(kept, premises=traffic.premises) if kept.replayed == traffic.digest else None
