"""A kept sweep as what the panel of the page looks up: every figure and every export, packed.

The page has no second model and no second wording. A setting of the sliders is a place in these
tables, and what it shows is what `whatif` prints for that setting.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from incident_rca.model import ReplayFigures, Sweep, SweptSetting, WhatIf
from incident_rca.report import what_if
from incident_rca.whatif.exports import FORMATS
from incident_rca.whatif.options import from_document
from incident_rca.whatif.protection import Protection
from incident_rca.whatif.sweep import protection_at

# The two ways that a call which timed out may go on, as the trials have them.
WAYS = {"cancelled": "cancelled", "left_running": "run on"}
_FILES = {"opossum": "js", "resilience4j": "yaml", "envoy": "yaml", "istio": "yaml", "json": "json"}
# A measure that a setting does not have counts nothing.
_NONE_COUNTED = "0"


@dataclass(slots=True)
class Packed:
    """Values, many of which are the same: each once, and where it is used its place in the list."""

    values: list[Any] = field(default_factory=list)
    _places: dict[Any, int] = field(default_factory=dict)

    def place(self, value: Any) -> int:
        """The place of a value, which is appended where it is new; it must be hashable."""
        found = self._places.setdefault(value, len(self.values))
        if found == len(self.values):
            self.values.append(value)
        return found


@dataclass(frozen=True, slots=True)
class Panel:
    """What the template names, and the tables that its script reads."""

    sweep: Sweep
    measures: tuple[tuple[str, str, str], ...]
    formats: tuple[tuple[str, str], ...]
    data: Markup


def panel(sweep: Sweep) -> Panel:
    """The panel of a sweep; it starts at the setting that loses fewest, calls running on."""
    measured = [_rows(sweep, one) for one in sweep.trials]
    names = _in_order(measured)
    data = {
        "start": next(iter((*sweep.front_left_running, *sweep.front_cancelled)), 0),
        "axes": [axis.values for axis in sweep.axes],
        "front": {"cancelled": sweep.front_cancelled, "left_running": sweep.front_left_running},
        "failed": _both(sweep, lambda figures: figures.failed),
        "refused": _both(sweep, lambda figures: figures.refused_healthy),
        "rows": [_packed_row(name, measured) for name in names],
        "held": _held(sweep),
        "exports": _exports(sweep),
    }
    as_it_was = {name: row for rows in measured for name, row in rows.items()}
    return Panel(
        sweep=sweep,
        measures=tuple(
            (name, as_it_was[name].recorded, as_it_was[name].unprotected) for name in names
        ),
        formats=tuple((name, _FILES[name]) for name in FORMATS),
        data=htmlsafe_json_dumps(data, dumps=json.dumps, separators=(",", ":"), sort_keys=True),
    )


def _rows(sweep: Sweep, one: SweptSetting) -> dict[str, what_if.Row]:
    """The measures of a setting by their names, worded as `whatif` words them."""
    tried = WhatIf(
        pool=sweep.pool,
        pool_size=sweep.pool_size,
        step_seconds=sweep.step_seconds,
        breaker=sweep.breaker,
        basis=sweep.basis,
        protection={},
        settings="",
        recorded=sweep.recorded,
        unprotected=sweep.unprotected,
        cancelled=one.cancelled,
        left_running=one.left_running,
        fit=sweep.fit,
        premises=(),
    )
    return {row.name: row for row in what_if.rows(tried)}


def _in_order(measured: Iterable[Mapping[str, what_if.Row]]) -> list[str]:
    """All names of measures; one that few settings have stands behind what it follows there."""
    names: list[str] = []
    for rows in measured:
        place = 0
        for name in rows:
            if name not in names:
                names.insert(place, name)
            place = names.index(name) + 1
    return names


def _both(sweep: Sweep, value: Callable[[ReplayFigures], int]) -> dict[str, list[int]]:
    return {way: [value(getattr(one, way)) for one in sweep.trials] for way in WAYS}


def _packed_row(name: str, measured: Sequence[Mapping[str, what_if.Row]]) -> dict[str, Any]:
    packed = Packed()
    places = {
        way: [
            packed.place(getattr(rows[name], way) if name in rows else _NONE_COUNTED)
            for rows in measured
        ]
        for way in WAYS
    }
    return {"values": packed.values, **places}


def _held(sweep: Sweep) -> dict[str, Any]:
    """The curves of connections held: as recorded, as the model has it, and of each trial."""
    packed = Packed()
    places = {
        way: [packed.place(getattr(one, way).held_by_step) for one in sweep.trials] for way in WAYS
    }
    recorded = packed.place(sweep.recorded.held_by_step)
    unprotected = packed.place(sweep.unprotected.held_by_step)
    return {
        "values": packed.values,
        **places,
        "recorded": recorded,
        "unprotected": unprotected,
        "size": sweep.pool_size,
    }


def _exports(sweep: Sweep) -> dict[str, Any]:
    """By format, what `whatif --export` prints for each setting, as places in a list of lines."""
    base = from_document(sweep.base)
    tried = [protection_at(base, one.settings) for one in sweep.trials]
    return {name: _packed_texts(sweep, name, tried) for name in FORMATS}


def _packed_texts(sweep: Sweep, name: str, tried: Sequence[Protection]) -> dict[str, Any]:
    export, lines, texts = FORMATS[name], Packed(), Packed()

    def place(protection: Protection) -> int:
        text = export(protection, sweep.pool)
        return texts.place(tuple(lines.place(line) for line in text.split("\n")))

    places = {
        way: [place(replace(one, cancels=way == "cancelled")) for one in tried] for way in WAYS
    }
    return {"lines": lines.values, "texts": texts.values, **places}
