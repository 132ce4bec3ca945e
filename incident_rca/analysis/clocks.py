"""Which of two spans came first, once the clocks they were read from are allowed for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from incident_rca.model import Case, SourceState, Span, System

_SILENT = frozenset({SourceState.FAILED, SourceState.SKIPPED})


class Sequence(StrEnum):
    BEFORE = "before"
    AFTER = "after"
    INSEPARABLE = "inseparable"


@dataclass(frozen=True, slots=True)
class Order:
    """How one span lies to another: `margin_seconds` is the gap that stays between them.

    Where they are inseparable the margin is negative: by that much the bounds would have to shrink.
    """

    sequence: Sequence
    margin_seconds: float


def offset_bounds(case: Case, system: System) -> tuple[float, float]:
    """The widest bounds of a system's clock against true time, in seconds.

    By the sources that told something: the clock of one that did not answer dates nothing.
    """
    of_system = [s for s in case.sources if s.system is system]
    bounds = [s.clock_offset_seconds for s in of_system if s.state not in _SILENT]
    bounds = bounds or [s.clock_offset_seconds for s in of_system]
    if not bounds:
        return (0.0, 0.0)
    return min(lo for lo, _ in bounds), max(hi for _, hi in bounds)


def order_of(case: Case, a: Span, a_system: System, b: Span, b_system: System) -> Order:
    """Whether `a` came before `b`: asserted only if their intervals stay apart (Allen, 1983).

    Two spans of one system share its clock, so no offset lies between them.
    """
    one_clock = a_system is b_system
    a_lo, a_hi = (0.0, 0.0) if one_clock else offset_bounds(case, a_system)
    b_lo, b_hi = (0.0, 0.0) if one_clock else offset_bounds(case, b_system)
    gap_before = _gap(a, b) + a_lo - b_hi
    gap_after = _gap(b, a) + b_lo - a_hi
    if gap_before > 0:
        return Order(Sequence.BEFORE, gap_before)
    if gap_after > 0:
        return Order(Sequence.AFTER, gap_after)
    return Order(Sequence.INSEPARABLE, max(gap_before, gap_after))


def _gap(a: Span, b: Span) -> float:
    """Seconds from the end of `a` to the start of `b`; minus infinity where one is open there."""
    if a.hi is None or b.lo is None:
        return float("-inf")
    return (b.lo - a.hi).total_seconds()
