"""A sweep on a screen and in reports: the settings that no other one beats, of all tried."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from incident_rca.model import Analysis, Fit, ReplayFigures, Sweep, SweptSetting
from incident_rca.report.numbers import grouped
from incident_rca.report.safe_text import NOTHING
from incident_rca.report.what_if import LABEL, figures_in_contract, fit_in_contract, fit_on_screen
from incident_rca.whatif.options import setting, to_document
from incident_rca.whatif.protection import UNPROTECTED
from incident_rca.whatif.sweep import Trial

_WIDTH, _HEIGHT = 64, 14
_TRIED, _BEST = "·", "●"


def screen(
    trials: Sequence[Trial], front: Sequence[Trial], names: Sequence[str], fit: Fit
) -> RenderableType:
    """The Pareto front as a table and a drawing; `names` are the settings that were swept."""
    title = Text(f"{len(trials):,} settings tried  ", style="bold")
    title.append(LABEL, style="bold yellow")
    return Group(
        title,
        Text(
            "No other one loses fewer requests and refuses as few healthy ones as these do. Calls "
            f"that time out {_ends(trials)} at the backend."
        ),
        *fit_on_screen(fit),
        Text(),
        _table(trials, front, names),
        Text(),
        Text(drawing(trials, front)),
    )


def _table(trials: Sequence[Trial], front: Sequence[Trial], names: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("lost", "healthy refused", "alike", "p99", "most held"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("settings", overflow="fold")
    for one in front:
        lost, refused, p99, held = weighed(one.figures)
        alike = sum(_place_of(other) == _place_of(one) for other in trials)
        table.add_row(lost, refused, grouped(alike), p99, held, _settings(one, names))
    return table


def weighed(figures: ReplayFigures) -> tuple[str, str, str, str]:
    """What a front is told by: requests lost, healthy ones refused, the p99, connections held."""
    p99 = NOTHING if figures.p99_ms is None else f"{grouped(round(figures.p99_ms))} ms"
    held = NOTHING if figures.pool_peak is None else grouped(figures.pool_peak)
    return grouped(figures.failed), grouped(figures.refused_healthy), p99, held


def _settings(one: Trial, names: Sequence[str]) -> str:
    if one.protection == UNPROTECTED:
        return "no protection"
    return ", ".join(f"{name} {setting(one.protection, name)}" for name in names)


def _ends(trials: Sequence[Trial]) -> str:
    return "are cancelled" if any(one.protection.cancels for one in trials) else "run on"


def _place_of(one: Trial) -> tuple[int, int]:
    return one.figures.failed, one.figures.refused_healthy


def drawing(trials: Sequence[Trial], front: Sequence[Trial]) -> str:
    """Requests lost (down, logarithmic) against healthy ones refused (across, logarithmic)."""
    lost = [one.figures.failed for one in trials]
    refused = [one.figures.refused_healthy for one in trials]
    top, bottom = math.log1p(max(lost)), math.log1p(min(lost))
    left, right = math.log1p(min(refused)), math.log1p(max(refused))
    grid = [[" "] * _WIDTH for _ in range(_HEIGHT)]
    for sign, shown in ((_TRIED, trials), (_BEST, front)):
        for one in shown:
            down = _place(top - math.log1p(one.figures.failed), top - bottom, _HEIGHT)
            across = math.log1p(one.figures.refused_healthy) - left
            grid[down][_place(across, right - left, _WIDTH)] = sign
    ends = [f"{max(lost):,}", f"{min(lost):,}"]
    margin = max(len(end) for end in ends)
    labels = [ends[0], *[""] * (_HEIGHT - 2), ends[1]]
    lines = [f"{label:>{margin}} │{''.join(row)}" for label, row in zip(labels, grid, strict=True)]
    low, high = f"{min(refused):,}", f"{max(refused):,}"
    across_label = f"{low}{high:>{_WIDTH - len(low)}}"
    axis = " " * margin + " └" + "─" * _WIDTH
    legend = (
        f"lost (down) by healthy requests refused (across); {_BEST} beaten by none, {_TRIED} tried"
    )
    return "\n".join([*lines, axis, f"{' ' * margin}  {across_label}", legend])


def _place(distance: float, whole: float, cells: int) -> int:
    return round(distance / whole * (cells - 1)) if whole > 0 else 0


def to_json(trials: Sequence[Trial], front: Sequence[Trial], fit: Fit) -> dict[str, Any]:
    """Every trial, those of the front first, for another program."""
    best = set(front)
    ordered = [*front, *(one for one in trials if one not in best)]
    return {
        "label": LABEL,
        "fit": fit_in_contract(fit),
        "trials": [
            {
                "protection": to_document(one.protection),
                **figures_in_contract(one.figures),
                "pool_exhausted": one.figures.pool_exhausted_after_seconds is not None,
                "on_front": one in best,
            }
            for one in ordered
        ],
    }


def front_rows(sweep: Sweep) -> Iterator[tuple[str, ...]]:
    """Yields what becomes of calls that time out, the figures of `weighed`, and the settings."""
    for one in _front(sweep, sweep.front_cancelled):
        yield "cancelled", *weighed(one.cancelled), _in_words(sweep, one)
    for one in _front(sweep, sweep.front_left_running):
        yield "run on", *weighed(one.left_running), _in_words(sweep, one)


def _front(sweep: Sweep, places: Sequence[int]) -> list[SweptSetting]:
    return [sweep.trials[place] for place in places]


def _in_words(sweep: Sweep, one: SweptSetting) -> str:
    swept = [axis.name for axis in sweep.axes if len(axis.values) > 1]
    return ", ".join(f"{name} {one.settings[name]}" for name in swept)


def in_contract(analysis: Analysis) -> dict[str, Any]:
    """The key of report.json where the case keeps a sweep, else nothing: its axes and its fronts.

    The figures of every other setting stay in the file that the case keeps.
    """
    sweep = analysis.sweep
    if sweep is None:
        return {}
    cancelled = _front(sweep, sweep.front_cancelled)
    running = _front(sweep, sweep.front_left_running)
    document = {
        "label": LABEL,
        "pool": {"owner": sweep.pool, "size": sweep.pool_size},
        "breaker": sweep.breaker,
        "basis": sweep.basis,
        "fit": fit_in_contract(sweep.fit),
        "base": dict(sweep.base),
        "axes": [{"name": axis.name, "values": list(axis.values)} for axis in sweep.axes],
        "settings_tried": len(sweep.trials),
        "front_with_calls_cancelled": [
            {"settings": dict(one.settings), **figures_in_contract(one.cancelled)}
            for one in cancelled
        ],
        "front_with_calls_left_running": [
            {"settings": dict(one.settings), **figures_in_contract(one.left_running)}
            for one in running
        ],
    }
    return {"what_if_sweep": document}
