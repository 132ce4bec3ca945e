"""A what-if beside what was recorded: as a table, as JSON and on a screen; never as evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from textwrap import fill
from typing import Any, TypeAlias

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from incident_rca.model import Analysis, Fit, Premise, ReplayFigures, WhatIf
from incident_rca.report.numbers import grouped, optional, rounded
from incident_rca.report.safe_text import NOTHING, Markdown, code_block
from incident_rca.whatif.figures import coarser, steps_per_bar
from incident_rca.window import format_duration

LABEL = "model, not evidence"
TYPE_WORDS = {
    "error": "given up or failed by the backend",
    "gateway_limit": "given up by the gateway or a deadline",
    "timeout": "timed out by the protection",
    "refused": "refused by the breaker",
    "full": "refused, too many at once",
    "unanswered": "never answered",
}
# The third is that of the second against the first; the last two differ in what becomes of a call
# that timed out.
HEADINGS = ("recorded", "model as it was", "error", "with it, cancelled", "with it, running on")
CURVES = tuple(heading for heading in HEADINGS if heading != "error")
DOUBT = "Do not rely on it for this incident:"
_BARS = " ▁▂▃▄▅▆▇█"
_CURVE_WIDTH = 60
_HEADING_WIDTH = 10
_Four: TypeAlias = tuple[ReplayFigures, ReplayFigures, ReplayFigures, ReplayFigures]


@dataclass(frozen=True, slots=True)
class Row:
    """One measure, recorded and by the model; `error` is how far the model is off, as it was."""

    name: str
    recorded: str
    unprotected: str
    error: str
    cancelled: str
    left_running: str


def rows(what_if: WhatIf) -> Iterator[Row]:
    """Yields the figures side by side."""
    every = (what_if.recorded, what_if.unprotected, what_if.cancelled, what_if.left_running)
    yield _row("requests that failed", every, lambda f: f.failed, grouped)
    for route in what_if.recorded.by_route:
        yield _row(f"… of {route}", every, partial(_of_route, route), grouped)
    for kind, words in TYPE_WORDS.items():
        if any(figures.by_type.get(kind) for figures in every):
            yield _row(f"… {words}", every, partial(_of_type, kind), grouped)
    if any(figures.refused for figures in every):
        yield _row(
            "refused while the backend was well", every, lambda f: f.refused_healthy, grouped
        )
    yield _moment("first fast failure after", every, lambda f: f.first_fast_failure_seconds)
    yield _row("p50 of callers in the outage", every, lambda f: f.p50_ms, _latency)
    yield _row("p99 of callers in the outage", every, lambda f: f.p99_ms, _latency)
    size = grouped(what_if.pool_size)
    yield _row(f"most connections held, of {size}", every, lambda f: f.pool_peak, grouped)
    full = _moment("pool exhausted after", every, lambda f: f.pool_exhausted_after_seconds)
    # Without a gauge it is not known whether the pool was ever exhausted.
    yield replace(full, recorded=NOTHING) if what_if.recorded.pool_peak is None else full
    yield _row("pool exhausted for", every, lambda f: f.pool_exhausted_seconds, _seconds)


def _of_route(route: str, figures: ReplayFigures) -> int:
    return figures.by_route[route]


def _of_type(kind: str, figures: ReplayFigures) -> int:
    return figures.by_type.get(kind, 0)


def _moment(name: str, every: _Four, value: Callable[[ReplayFigures], float | None]) -> Row:
    """A moment told from the first failure on: how far it is off is a time, not a share."""
    found = [value(figures) for figures in every]
    cells = ["never" if one is None else _seconds(one) for one in found]
    off = NOTHING
    if found[0] is not None and found[1] is not None:
        apart = found[1] - found[0]
        off = f"{apart:+.1f} s" if abs(apart) >= 0.05 else "< 0.1 s"
    return Row(name, cells[0], cells[1], off, cells[2], cells[3])


def _row(
    name: str,
    every: _Four,
    value: Callable[[ReplayFigures], float | None],
    written: Callable[[float], str],
) -> Row:
    found = [value(figures) for figures in every]
    cells = [NOTHING if one is None else written(one) for one in found]
    return Row(name, cells[0], cells[1], error_in_words(found[0], found[1]), cells[2], cells[3])


def error_in_words(recorded: float | None, replayed: float | None) -> str:
    """How far a replayed figure is from the recorded one, in percent of that.

    >>> error_in_words(200, 199), error_in_words(0, 0), error_in_words(None, 3)
    ('-0.5 %', '0 %', '–')
    """
    if recorded is None or replayed is None:
        return NOTHING
    if recorded == replayed:
        return "0 %"
    if not recorded:
        return f"{replayed - recorded:+,.0f}"
    off = 100 * (replayed - recorded) / recorded
    return f"{off:+.1f} %" if abs(off) >= 0.05 else "< 0.1 %"


def _seconds(value: float) -> str:
    return format_duration(value if value >= 60 else round(value, 1))


def _latency(value: float) -> str:
    return f"{grouped(round(value))} ms"


def fit_in_words(fit: Fit) -> str:
    """One sentence on which requests the model without a protection tells rightly."""
    failed = fit.failed_in_both + fit.failed_only_recorded
    return (
        f"As it was, the model fails {grouped(fit.failed_in_both)} of the {grouped(failed)} "
        f"requests that failed, and {grouped(fit.failed_only_in_model)} others."
    )


def fit_in_contract(fit: Fit) -> dict[str, Any]:
    """The fit as report.json holds it."""
    return {
        "failed_in_both": fit.failed_in_both,
        "failed_only_recorded": fit.failed_only_recorded,
        "failed_only_in_model": fit.failed_only_in_model,
        "problems": list(fit.problems),
    }


def held_error(what_if: WhatIf) -> float | None:
    """By how many connections the model is off on average, where the pool's gauge says anything."""
    pairs = zip(what_if.recorded.held_by_step, what_if.unprotected.held_by_step, strict=True)
    apart = [abs(one - other) for one, other in pairs if one is not None and other is not None]
    return sum(apart) / len(apart) if apart else None


def in_contract(analysis: Analysis) -> dict[str, Any]:
    """The key of report.json where the case keeps the settings of a what-if, else nothing."""
    if analysis.what_if is None:
        return {}
    return {"what_if": to_contract(analysis.what_if, analysis.evidence_ids)}


def to_contract(what_if: WhatIf, evidence_ids: Mapping[str, str]) -> dict[str, Any]:
    """The what-if as report.json holds it."""
    return {
        "label": LABEL,
        "pool": {"owner": what_if.pool, "size": what_if.pool_size},
        "breaker": what_if.breaker,
        "basis": what_if.basis,
        "protection": dict(what_if.protection),
        "recorded": figures_in_contract(what_if.recorded),
        "replayed_as_it_was": figures_in_contract(what_if.unprotected),
        "with_calls_cancelled": figures_in_contract(what_if.cancelled),
        "with_calls_left_running": figures_in_contract(what_if.left_running),
        "fit": fit_in_contract(what_if.fit),
        "connections_error": optional(held_error(what_if)),
        "assumptions": [
            {"text": premise.text, "evidence": cited(premise, evidence_ids)}
            for premise in what_if.premises
        ],
    }


def to_json(what_if: WhatIf, evidence_ids: Mapping[str, str]) -> dict[str, Any]:
    """The what-if as `whatif --json` prints it: as in report.json, with the curves of the pool."""
    curves = {
        "step_seconds": rounded(what_if.step_seconds),
        "recorded": list(what_if.recorded.held_by_step),
        "replayed_as_it_was": list(what_if.unprotected.held_by_step),
        "with_calls_cancelled": list(what_if.cancelled.held_by_step),
        "with_calls_left_running": list(what_if.left_running.held_by_step),
    }
    return {**to_contract(what_if, evidence_ids), "connections_held": curves}


def figures_in_contract(figures: ReplayFigures) -> dict[str, Any]:
    """Figures as report.json holds them, without the curve."""
    return {
        "requests": figures.requests,
        "failed": figures.failed,
        "by_type": dict(figures.by_type),
        "by_route": dict(figures.by_route),
        "refused": figures.refused,
        "refused_healthy": figures.refused_healthy,
        "first_fast_failure_seconds": optional(figures.first_fast_failure_seconds),
        "p50_ms": optional(figures.p50_ms),
        "p99_ms": optional(figures.p99_ms),
        "pool_peak": figures.pool_peak,
        "pool_exhausted_after_seconds": optional(figures.pool_exhausted_after_seconds),
        "pool_exhausted_seconds": optional(figures.pool_exhausted_seconds),
    }


def cited(premise: Premise, evidence_ids: Mapping[str, str]) -> list[str]:
    """The ids of what a premise rests on, as far as the report cites it anyway."""
    found = (evidence_ids.get(evidence.digest) for evidence in premise.evidence)
    return list(dict.fromkeys(one for one in found if one is not None))


def screen(what_if: WhatIf, evidence_ids: Mapping[str, str]) -> RenderableType:
    """The what-if on a terminal: the figures, the curves of the pool, the assumptions."""
    title = Text(f"What if the calls of {what_if.pool} had been protected?  ", style="bold")
    title.append(LABEL, style="bold yellow")
    return Group(
        title,
        Text(f"{what_if.breaker}, {what_if.basis}: {what_if.settings}"),
        *fit_on_screen(what_if.fit),
        Text(),
        _table(what_if),
        Text(),
        _curves(what_if),
        Text(),
        Text("What the model takes as given", style="bold"),
        *(Padding(_premise(premise, evidence_ids), (0, 0, 0, 2)) for premise in what_if.premises),
    )


def fit_on_screen(fit: Fit) -> Iterator[Text]:
    """Yields how far the model can be relied on, line by line."""
    yield Text(fit_in_words(fit))
    if fit.problems:
        yield Text(DOUBT, style="bold red")
        yield from (Text(f"  - {problem}") for problem in fit.problems)


def _table(what_if: WhatIf) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    # On a narrow screen the measures' names are broken, not the figures.
    table.add_column("")
    for heading in HEADINGS:
        table.add_column(fill(heading, _HEADING_WIDTH), justify="right", no_wrap=True)
    for row in rows(what_if):
        cells = (row.recorded, row.unprotected, row.error, row.cancelled, row.left_running)
        table.add_row(Text(row.name), *cells)
    return table


def _curves(what_if: WhatIf) -> Group:
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, bars in curves(what_if):
        table.add_row(name, Text(bars))
    return Group(Text(curves_title(what_if)), table)


def curves_title(what_if: WhatIf) -> str:
    """What the curves show, and how far the model as it was is off."""
    error = held_error(what_if)
    said = "" if error is None else f"; the model is off by {error:.1f} on average, as it was"
    return f"Connections held over the window, of {what_if.pool_size}{said}"


def curves_block(what_if: WhatIf) -> Markdown:
    """The curves as a block of Markdown."""
    width = max(map(len, CURVES))
    return code_block("\n".join(f"{name:<{width}}  {bars}" for name, bars in curves(what_if)))


def curves(what_if: WhatIf) -> Iterator[tuple[str, str]]:
    """Yields what is drawn and its line of bars."""
    drawn = (what_if.recorded, what_if.unprotected, what_if.cancelled, what_if.left_running)
    for name, figures in zip(CURVES, drawn, strict=True):
        yield name, curve(figures.held_by_step, what_if.pool_size)


def curve(held: tuple[int | None, ...], size: int, width: int = _CURVE_WIDTH) -> str:
    """Connections held as a line of bars; a dot where nothing is known.

    >>> curve((0, 50, 100, None), 100, 4)
    ' ▄█·'
    """
    bars = []
    for most in coarser(held, steps_per_bar(len(held), width)):
        share = None if most is None else most / size
        bars.append("·" if share is None else _BARS[min(8, -(-int(share * 1000) * 8 // 1000))])
    return "".join(bars)


def _premise(premise: Premise, evidence_ids: Mapping[str, str]) -> Text:
    ids = cited(premise, evidence_ids)
    basis = f" [{', '.join(ids[:3])}]" if ids else " (assumed)" if not premise.evidence else ""
    return Text(f"- {premise.text}{basis}")
