"""A sweep on a screen: the settings that no other one beats, among all that were tried."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from incident_rca.report.numbers import grouped, optional
from incident_rca.report.safe_text import NOTHING
from incident_rca.report.what_if import LABEL
from incident_rca.whatif.options import to_document, written
from incident_rca.whatif.protection import UNPROTECTED
from incident_rca.whatif.sweep import Trial

_WIDTH, _HEIGHT = 64, 14
_TRIED, _BEST = "·", "●"


def screen(trials: Sequence[Trial], front: Sequence[Trial], names: Sequence[str]) -> RenderableType:
    """The Pareto front as a table and a drawing; `names` are the settings that were swept."""
    title = Text(f"{len(trials):,} settings tried  ", style="bold")
    title.append(LABEL, style="bold yellow")
    return Group(
        title,
        Text(
            "No other one loses fewer requests and refuses as few healthy ones as these do. Calls "
            f"that time out {_ends(trials)} at the backend."
        ),
        Text(),
        _table(trials, front, names),
        Text(),
        Text(drawing(trials, front)),
    )


def _table(trials: Sequence[Trial], front: Sequence[Trial], names: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("lost", "healthy refused", "alike", "p99", "most held"):
        table.add_column(heading, justify="right")
    table.add_column("settings")
    for one in front:
        p99 = NOTHING if one.p99_ms is None else f"{grouped(round(one.p99_ms))} ms"
        held = NOTHING if one.pool_peak is None else grouped(one.pool_peak)
        alike = sum(_weighed(other) == _weighed(one) for other in trials)
        settings = _settings(one, names)
        table.add_row(
            grouped(one.failed), grouped(one.refused_healthy), grouped(alike), p99, held, settings
        )
    return table


def _settings(one: Trial, names: Sequence[str]) -> str:
    if one.protection == UNPROTECTED:
        return "no protection"
    return ", ".join(f"{name} {written(one.protection, name)}" for name in names)


def _ends(trials: Sequence[Trial]) -> str:
    return "are cancelled" if any(one.protection.cancels for one in trials) else "run on"


def _weighed(one: Trial) -> tuple[int, int]:
    return one.failed, one.refused_healthy


def drawing(trials: Sequence[Trial], front: Sequence[Trial]) -> str:
    """Requests lost (down, logarithmic) against healthy ones refused (across, logarithmic)."""
    lost = [math.log1p(one.failed) for one in trials]
    refused = [math.log1p(one.refused_healthy) for one in trials]
    top, bottom = max(lost), min(lost)
    left, right = min(refused), max(refused)
    grid = [[" "] * _WIDTH for _ in range(_HEIGHT)]
    for sign, shown in ((_TRIED, trials), (_BEST, front)):
        for one in shown:
            down = _place(top - math.log1p(one.failed), top - bottom, _HEIGHT)
            across = _place(math.log1p(one.refused_healthy) - left, right - left, _WIDTH)
            grid[down][across] = sign
    ends = [f"{max(one.failed for one in trials):,}", f"{min(one.failed for one in trials):,}"]
    margin = max(len(end) for end in ends)
    labels = [ends[0], *[""] * (_HEIGHT - 2), ends[1]]
    lines = [f"{label:>{margin}} │{''.join(row)}" for label, row in zip(labels, grid, strict=True)]
    low = f"{min(one.refused_healthy for one in trials):,}"
    high = f"{max(one.refused_healthy for one in trials):,}"
    across_label = f"{low}{high:>{_WIDTH - len(low)}}"
    axis = " " * margin + " └" + "─" * _WIDTH
    legend = (
        f"lost (down) by healthy requests refused (across); {_BEST} beaten by none, {_TRIED} tried"
    )
    return "\n".join([*lines, axis, f"{' ' * margin}  {across_label}", legend])


def _place(distance: float, whole: float, cells: int) -> int:
    return round(distance / whole * (cells - 1)) if whole > 0 else 0


def to_json(trials: Sequence[Trial], front: Sequence[Trial]) -> dict[str, Any]:
    """Every trial, those of the front first, for another program."""
    best = set(front)
    ordered = [*front, *(one for one in trials if one not in best)]
    return {
        "label": LABEL,
        "trials": [
            {
                "protection": to_document(one.protection),
                "failed": one.failed,
                "refused_healthy": one.refused_healthy,
                "p99_ms": optional(one.p99_ms),
                "pool_peak": one.pool_peak,
                "pool_exhausted": one.pool_exhausted,
                "on_front": one in best,
            }
            for one in ordered
        ],
    }
