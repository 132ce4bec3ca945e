"""Which of two spans came first, once the clocks they were read from are allowed for."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf, isfinite

from incident_rca.model import (
    LOAD_BALANCER_LOGS,
    Basis,
    Bounds,
    Case,
    ClockBasis,
    ClockLink,
    Clocks,
    SourceClock,
    SourceState,
    SourceStatus,
    Span,
    System,
)

_SILENT = frozenset({SourceState.FAILED, SourceState.SKIPPED})
# The server stamps these itself, so all of them are by its one clock.
_BY_THE_SERVER = frozenset(
    {
        *("lock_recording", "postgres_log", "cloudwatch_postgres_log"),
        *("pgsentinel_history", "pgwatch_history"),
    }
)
# Gateway rows are counted by whole seconds: a clock that is off by less moves none of them.
LEAST_MOVED_SECONDS = 1.0
# Instants have microseconds: a gap of less is what sums of floats leave.
NOISE_SECONDS = 1e-6


class Sequence(StrEnum):
    BEFORE = "before"
    AFTER = "after"
    INSEPARABLE = "inseparable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """How far two spans lie apart by their middles, and what takes off that.

    `spans_seconds` do the spans, `clocks_seconds` the bounds of the clocks.
    """

    apart_seconds: float
    spans_seconds: float
    clocks_seconds: float


@dataclass(frozen=True, slots=True)
class Order:
    """How one span lies to another: `margin_seconds` is the gap that stays between them.

    Where they are inseparable the margin is negative: by that much the bounds would have to shrink.
    `basis` is that of the clocks, None for one.
    """

    sequence: Sequence
    margin_seconds: float
    distance: Distance | None
    basis: ClockBasis | None


def offset_bounds(clocks: Clocks, system: System) -> Bounds:
    """The widest bounds of a system's clocks against true time, in seconds."""
    return _hull([c.left for c in clocks.sources if c.system is system])


def order_of(clocks: Clocks, a: Span, a_system: System, b: Span, b_system: System) -> Order:
    """Whether `a` came before `b`: asserted only if their intervals stay apart (Allen, 1983).

    Two spans of one system share its clock, so no offset lies between them.
    """
    (lo, hi), basis = _between(clocks, a_system, b_system)
    gap_before, gap_after = _gap(a, b) + lo, _gap(b, a) - hi
    distance = _distance(a, b, (lo, hi))
    if gap_before > NOISE_SECONDS:
        return Order(Sequence.BEFORE, gap_before, distance, basis)
    if gap_after > NOISE_SECONDS:
        return Order(Sequence.AFTER, gap_after, distance, basis)
    return Order(Sequence.INSEPARABLE, max(gap_before, gap_after), distance, basis)


def _distance(a: Span, b: Span, between: Bounds) -> Distance | None:
    """How far they lie apart; None where a side of one is open, or a bound of the clocks."""
    lo, hi = between
    if None in (a.lo, a.hi, b.lo, b.hi) or not (isfinite(lo) and isfinite(hi)):
        return None
    return Distance(
        apart_seconds=abs((b.middle - a.middle).total_seconds() + (lo + hi) / 2),
        spans_seconds=-(_gap(a, b) + _gap(b, a)) / 2,
        clocks_seconds=(hi - lo) / 2,
    )


def settled_by(order: Order) -> str:
    """What would separate two spans that are not: bounds of the clocks, a resolution, or both."""
    known = order.distance
    if known is None:
        return "one of the two has no bound there, so nothing but a record of it would settle it"
    clocks = known.apart_seconds - known.spans_seconds
    spans = known.apart_seconds - known.clocks_seconds
    ways = []
    if clocks > 0:
        ways.append(
            f"clocks known to better than ±{clocks:.2f} s (now ±{known.clocks_seconds:.2f} s)"
        )
    if spans > 0:
        ways.append(
            f"instants known to better than ±{spans:.2f} s (now ±{known.spans_seconds:.2f} s)"
        )
    if ways:
        return f"{' or '.join(ways)} would settle it"
    return (
        f"they lie about {known.apart_seconds:.2f} s apart: the clocks "
        f"(±{known.clocks_seconds:.2f} s) and the instants (±{known.spans_seconds:.2f} s) would "
        "both have to be known better than that"
    )


def clocks_of(case: Case, link: ClockLink | None = None) -> Clocks:
    """The clocks of a case: the tightest measured bounds win, else ids, else what is assumed.

    A source that told nothing has none, unless its whole system told nothing.
    """
    told = [s for s in case.sources if s.state not in _SILENT]
    heard = {s.system for s in told}
    told += [s for s in case.sources if s.system not in heard]
    server = frozenset(s.name for s in told if s.kind in _BY_THE_SERVER)
    # A load balancer stamps its own log; all else of the gateway is by the gateway's service.
    gateway = frozenset(
        s.name for s in told if s.system is System.GATEWAY and s.kind not in LOAD_BALANCER_LOGS
    )
    by_server = [_bounds(s) for s in told if s.name in server and _is_measured(s)]
    clocks = tuple(
        SourceClock(
            source=s.name,
            system=s.system,
            bounds=_common(by_server) if by_server and s.name in server else _bounds(s),
            basis=ClockBasis.MEASURED
            if _is_measured(s) or (by_server and s.name in server)
            else ClockBasis.ASSUMED,
        )
        for s in told
    )
    clocks, link = _linked(clocks, server, gateway, link)
    moved = {c.source: _moved(c.bounds) for c in clocks}
    steps = [{moved[name] for name in group} for group in (server, gateway)]
    if link is not None and any(len(step) > 1 for step in steps):
        link = replace(link, bounds=None, note="the sources of one system are not by one clock")
    return Clocks(tuple(replace(c, moved_seconds=moved[c.source]) for c in clocks), link)


def _linked(
    clocks: tuple[SourceClock, ...],
    server: frozenset[str],
    gateway: frozenset[str],
    link: ClockLink | None,
) -> tuple[tuple[SourceClock, ...], ClockLink | None]:
    """The clocks with what shared ids say of those that nobody measured.

    Where neither side is measured the gateway's stays as it is assumed: it dates the outage.
    """
    servers, gateways = ([c for c in clocks if c.source in group] for group in (server, gateway))
    if link is None or link.bounds is None or not servers or not gateways:
        return clocks, link
    lo, hi = link.bounds
    (server_lo, server_hi), (gateway_lo, gateway_hi) = (
        _hull([c.bounds for c in group]) for group in (servers, gateways)
    )
    is_known = [all(c.basis is ClockBasis.MEASURED for c in g) for g in (servers, gateways)]
    if all(is_known) and _meet((server_lo - gateway_hi, server_hi - gateway_lo), (lo, hi)) is None:
        note = "they contradict the measured clocks, so they were left out"
        return clocks, replace(link, bounds=None, note=note)
    if not (isfinite(lo) and isfinite(hi)):
        return clocks, link
    if is_known[0]:
        dated, bounds = gateway, (server_lo - hi, server_hi - lo)
    else:
        dated, bounds = server, (gateway_lo + lo, gateway_hi + hi)
    return tuple(_dated(c, bounds) if c.source in dated else c for c in clocks), link


def _dated(clock: SourceClock, bounds: Bounds) -> SourceClock:
    if clock.basis is ClockBasis.MEASURED:
        return clock
    return replace(clock, bounds=_meet(clock.bounds, bounds) or bounds, basis=ClockBasis.SHARED_IDS)


def _moved(bounds: Bounds) -> int:
    """The whole seconds to take off a clock that is surely off by at least one."""
    lo, hi = bounds
    surely = max(lo, -hi)
    return round((lo + hi) / 2) if surely >= LEAST_MOVED_SECONDS else 0


def _between(clocks: Clocks, a: System, b: System) -> tuple[Bounds, ClockBasis | None]:
    """Bounds of the clock of `a` minus that of `b`, and what they rest on; no basis for one."""
    if a is b:
        return (0.0, 0.0), None
    (a_lo, a_hi), (b_lo, b_hi) = offset_bounds(clocks, a), offset_bounds(clocks, b)
    bounds: Bounds = (a_lo - b_hi, a_hi - b_lo)
    of_both = [c.basis for c in clocks.sources if c.system in (a, b)]
    basis = next((s for s in reversed(ClockBasis) if s in of_both), ClockBasis.ASSUMED)
    link = _link_between(clocks, a, b)
    if link is None:
        return bounds, basis
    tighter = _meet(bounds, link) or link
    return tighter, basis if tighter == bounds else ClockBasis.SHARED_IDS


def _link_between(clocks: Clocks, a: System, b: System) -> Bounds | None:
    if clocks.link is None or {a, b} != {System.POSTGRES, System.GATEWAY}:
        return None
    moved = {c.system: c.moved_seconds for c in clocks.sources}
    bounds = clocks.link.moved(moved.get(System.POSTGRES, 0) - moved.get(System.GATEWAY, 0))
    if bounds is None or a is System.POSTGRES:
        return bounds
    return -bounds[1], -bounds[0]


def _is_measured(source: SourceStatus) -> bool:
    return source.clock_offset_basis is Basis.OBSERVED


def _bounds(source: SourceStatus) -> Bounds:
    lo, hi = source.clock_offset_seconds
    return lo, hi


def _common(bounds: Many[Bounds]) -> Bounds:
    """What lies in all of them; where two exclude each other, what lies in any."""
    common = max(lo for lo, _ in bounds), min(hi for _, hi in bounds)
    return common if common[0] <= common[1] else _hull(bounds)


def _hull(bounds: Many[Bounds]) -> Bounds:
    return min((lo for lo, _ in bounds), default=0.0), max((hi for _, hi in bounds), default=0.0)


def _meet(one: Bounds, other: Bounds) -> Bounds | None:
    lo, hi = max(one[0], other[0]), min(one[1], other[1])
    return (lo, hi) if lo <= hi else None


def _gap(a: Span, b: Span) -> float:
    """Seconds from the end of `a` to the start of `b`; minus infinity where one is open there."""
    if a.hi is None or b.lo is None:
        return -inf
    return (b.lo - a.hi).total_seconds()
