"""Orders between clocks: what is asserted is true whatever the clocks did within their bounds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from incident_rca.analysis.clocks import Sequence, clocks_of, offset_bounds, order_of, settled_by
from incident_rca.model import (
    Basis,
    Bounds,
    Case,
    ClockLink,
    Clocks,
    SourceState,
    SourceStatus,
    Span,
    System,
    TimeWindow,
)

ZERO = datetime(2026, 1, 15, 14, 23, tzinfo=UTC)
POSTGRES, GATEWAY = System.POSTGRES, System.GATEWAY


def at(seconds: float) -> datetime:
    return ZERO + timedelta(seconds=seconds)


def case(*bounds: tuple[System, float, float]) -> Clocks:
    """The clocks of a case with a source for each of these, whose times are as they were read."""
    known = clocks_of(made(*bounds))
    return replace(known, sources=tuple(replace(c, moved_seconds=0) for c in known.sources))


def made(*bounds: tuple[System, float, float]) -> Case:
    sources = tuple(
        SourceStatus(
            name=f"s{n}",
            system=system,
            kind="k",
            state=SourceState.OK,
            clock_offset_seconds=(lo, hi),
        )
        for n, (system, lo, hi) in enumerate(bounds)
    )
    window = TimeWindow(at(-3600), at(3600))
    return Case(id="c", title="", window=window, window_basis="given", sources=sources)


def span(lo: float | None, hi: float | None) -> Span:
    return Span(None if lo is None else at(lo), None if hi is None else at(hi))


SECONDS = st.integers(-5000, 5000).map(lambda ms: ms / 1000)
WIDTHS = st.integers(0, 3000).map(lambda ms: ms / 1000)
SHARES = st.integers(0, 100).map(lambda percent: percent / 100)


@st.composite
def readings(draw: st.DrawFn) -> tuple[float, tuple[float, float], Span]:
    """A true instant, its clock's bounds, and a span that holds what that clock showed."""
    true, width = draw(SECONDS), draw(WIDTHS)
    lo = draw(SECONDS) / 2
    hi = lo + width
    shown = true + lo + width * draw(SHARES)
    before, after = draw(WIDTHS), draw(WIDTHS)
    seen = span(
        draw(st.sampled_from([shown - before, None])), draw(st.sampled_from([shown + after, None]))
    )
    return true, (lo, hi), seen


@given(a=readings(), b=readings())
def test_an_asserted_order_is_true(
    a: tuple[float, tuple[float, float], Span], b: tuple[float, tuple[float, float], Span]
) -> None:
    """A clock that is ahead by an offset shows the true time plus that offset."""
    (a_true, a_bounds, a_seen), (b_true, b_bounds, b_seen) = a, b
    told = order_of(
        case((POSTGRES, *a_bounds), (GATEWAY, *b_bounds)), a_seen, POSTGRES, b_seen, GATEWAY
    )
    tolerance = 1e-5
    if told.sequence is Sequence.BEFORE:
        assert a_true < b_true + tolerance
    elif told.sequence is Sequence.AFTER:
        assert b_true < a_true + tolerance


@given(a=readings(), b=readings())
def test_the_order_is_the_same_from_both_sides(
    a: tuple[float, tuple[float, float], Span], b: tuple[float, tuple[float, float], Span]
) -> None:
    (_, a_bounds, a_seen), (_, b_bounds, b_seen) = a, b
    known = case((POSTGRES, *a_bounds), (GATEWAY, *b_bounds))
    one = order_of(known, a_seen, POSTGRES, b_seen, GATEWAY)
    other = order_of(known, b_seen, GATEWAY, a_seen, POSTGRES)
    mirrored = {Sequence.BEFORE: Sequence.AFTER, Sequence.AFTER: Sequence.BEFORE}
    assert other.sequence is mirrored.get(one.sequence, Sequence.INSEPARABLE)
    assert other.margin_seconds == one.margin_seconds


@given(lo=SECONDS, width=WIDTHS, gap=st.integers(1, 5000))
def test_one_clock_needs_no_offset(lo: float, width: float, gap: int) -> None:
    known = case((POSTGRES, -1000.0, 1000.0))
    a = span(lo, lo + width)
    b = span(lo + width + gap / 1000, lo + width + gap / 1000)
    told = order_of(known, a, POSTGRES, b, POSTGRES)
    assert told.sequence is Sequence.BEFORE
    assert abs(told.margin_seconds - gap / 1000) < 1e-5


def test_the_margin_is_what_stays_between_them() -> None:
    known = case((POSTGRES, -0.5, 0.5), (GATEWAY, -2.0, 1.0))
    told = order_of(known, span(0, 1), POSTGRES, span(5, 6), GATEWAY)
    # True times: a in [-0.5, 1.5], b in [4, 8]; 2.5 s stay between.
    assert (told.sequence, told.margin_seconds) == (Sequence.BEFORE, 2.5)


def test_what_overlaps_by_offsets_is_inseparable_by_how_much() -> None:
    known = case((POSTGRES, -0.5, 0.5), (GATEWAY, -2.0, 1.0))
    told = order_of(known, span(0, 1), POSTGRES, span(2, 3), GATEWAY)
    # True times: a in [-0.5, 1.5], b in [1, 5]; the bounds would have to shrink by 0.5 s.
    assert (told.sequence, told.margin_seconds) == (Sequence.INSEPARABLE, -0.5)


@given(a=readings(), b=readings())
def test_what_would_settle_an_order_does(
    a: tuple[float, tuple[float, float], Span], b: tuple[float, tuple[float, float], Span]
) -> None:
    """With clocks known a little better than that, or with instants, the order is told."""
    (_, a_bounds, a_seen), (_, b_bounds, b_seen) = a, b
    told = order_of(
        case((POSTGRES, *a_bounds), (GATEWAY, *b_bounds)), a_seen, POSTGRES, b_seen, GATEWAY
    )
    text = settled_by(told)
    open_ended = None in (a_seen.lo, a_seen.hi, b_seen.lo, b_seen.hi)
    assert (told.distance is None) is open_ended
    if told.sequence is not Sequence.INSEPARABLE or told.distance is None:
        return
    # Below what is printed (0.01 s) rounding decides.
    for taken in (told.distance.spans_seconds, told.distance.clocks_seconds):
        assume(abs(told.distance.apart_seconds - taken) > 0.01)
    shift = sum(a_bounds) / 2 - sum(b_bounds) / 2
    tighter = case((POSTGRES, shift, shift), (GATEWAY, 0.0, 0.0))
    by_clocks = order_of(tighter, a_seen, POSTGRES, b_seen, GATEWAY).sequence
    assert ("clocks known" in text) == (by_clocks is not Sequence.INSEPARABLE)
    exact = order_of(
        case((POSTGRES, *a_bounds), (GATEWAY, *b_bounds)),
        Span(a_seen.middle, a_seen.middle),
        POSTGRES,
        Span(b_seen.middle, b_seen.middle),
        GATEWAY,
    )
    assert ("instants known" in text) == (exact.sequence is not Sequence.INSEPARABLE)


def test_an_order_that_no_bound_exists_for_needs_a_record() -> None:
    told = order_of(
        case((POSTGRES, 0, 0), (GATEWAY, 0, 0)), span(0, None), POSTGRES, span(5, 6), GATEWAY
    )
    assert "nothing but a record" in settled_by(told)
    known = case((POSTGRES, 0, 0), (GATEWAY, 0, 0))
    exact = order_of(known, span(1, 1), POSTGRES, span(1, 1), GATEWAY)
    assert "no bound" not in settled_by(exact)


def test_what_is_measured_of_the_server_holds_for_all_that_it_stamps() -> None:
    """Its log is by the clock that the recorder measured; other systems are not."""
    known = made((POSTGRES, -2.0, 2.0), (POSTGRES, -0.1, 0.2), (GATEWAY, -2.0, 2.0))
    kinds = ("postgres_log", "lock_recording", "access_log")
    sources = [replace(s, kind=k) for s, k in zip(known.sources, kinds, strict=True)]
    sources[1] = replace(sources[1], clock_offset_basis=Basis.OBSERVED)
    log, recording, access = clocks_of(replace(known, sources=tuple(sources))).sources
    assert (
        (log.bounds, log.basis.value)
        == ((-0.1, 0.2), "measured")
        == (
            recording.bounds,
            recording.basis.value,
        )
    )
    assert (access.bounds, access.basis.value) == ((-2.0, 2.0), "assumed")


@pytest.mark.parametrize(
    ("log", "recording", "both"),
    [((-0.5, 0.1), (-0.1, 0.2), (-0.1, 0.1)), ((-0.5, -0.3), (0.1, 0.2), (-0.5, 0.2))],
)
def test_two_measurements_of_one_clock_hold_both(
    log: Bounds, recording: Bounds, both: Bounds
) -> None:
    """Where they exclude each other the clock was set meanwhile: it was once in each."""
    known = made((POSTGRES, *log), (POSTGRES, *recording))
    sources = tuple(
        replace(s, kind=kind, clock_offset_basis=Basis.OBSERVED)
        for s, kind in zip(known.sources, ("postgres_log", "lock_recording"), strict=True)
    )
    assert [c.bounds for c in clocks_of(replace(known, sources=sources)).sources] == [both, both]


@pytest.mark.parametrize("kind", ["load_balancer_log", "load_balancer_rollup"])
def test_ids_in_the_gateways_log_say_nothing_of_a_load_balancers_clock(kind: str) -> None:
    known = made((POSTGRES, -0.1, 0.1), (GATEWAY, -60.0, 60.0), (GATEWAY, -60.0, 60.0))
    server, access, balancer = known.sources
    sources = (
        replace(server, kind="lock_recording", clock_offset_basis=Basis.OBSERVED),
        replace(access, kind="access_log"),
        replace(balancer, kind=kind),
    )
    link = ClockLink(requests=3, bounds=(-40.5, -39.5))
    _, by_ids, declared = clocks_of(replace(known, sources=sources), link).sources
    assert by_ids.bounds == pytest.approx((39.4, 40.6)) and by_ids.basis.value == "shared_ids"
    assert (declared.bounds, declared.basis.value) == ((-60.0, 60.0), "assumed")


@pytest.mark.parametrize(("other", "is_kept"), [((39.0, 41.0), True), ((-2.0, 2.0), False)])
def test_ids_tie_no_sources_that_are_moved_apart(other: Bounds, is_kept: bool) -> None:
    """They were compared by the times as logged, of which only one is put right."""
    known = made((POSTGRES, -0.1, 0.1), (GATEWAY, 39.9, 40.1), (GATEWAY, *other))
    kinds = ("lock_recording", "access_log", "access_log")
    sources = tuple(
        replace(s, kind=kind, clock_offset_basis=Basis.OBSERVED)
        for s, kind in zip(known.sources, kinds, strict=True)
    )
    link = ClockLink(requests=3, bounds=(-40.5, -39.5))
    found = clocks_of(replace(known, sources=sources), link)
    assert [c.moved_seconds for c in found.sources] == [0, 40, 40 * is_kept]
    assert found.link is not None and (found.link.bounds is not None) is is_kept


def test_equal_instants_are_inseparable() -> None:
    known = case((POSTGRES, 0.0, 0.0), (GATEWAY, 0.0, 0.0))
    assert order_of(known, span(1, 1), POSTGRES, span(1, 1), GATEWAY).sequence is (
        Sequence.INSEPARABLE
    )


def test_an_open_end_that_matters_is_inseparable() -> None:
    known = case((POSTGRES, 0.0, 0.0), (GATEWAY, 0.0, 0.0))
    for a, b in ((span(0, None), span(5, 6)), (span(0, 1), span(None, 6))):
        told = order_of(known, a, POSTGRES, b, GATEWAY)
        assert told.sequence is Sequence.INSEPARABLE
    assert order_of(known, span(None, 1), POSTGRES, span(5, None), GATEWAY).sequence is (
        Sequence.BEFORE
    )


@given(bounds=st.lists(st.tuples(SECONDS, WIDTHS), min_size=1, max_size=4))
def test_the_widest_bounds_of_a_system_count(bounds: list[tuple[float, float]]) -> None:
    known = case(*((POSTGRES, lo, lo + width) for lo, width in bounds), (GATEWAY, -99.0, 99.0))
    lo, hi = offset_bounds(known, POSTGRES)
    assert lo == min(each for each, _ in bounds)
    assert hi == max(each + width for each, width in bounds)


@pytest.mark.parametrize("state", [SourceState.SKIPPED, SourceState.FAILED])
def test_the_clock_of_a_source_that_told_nothing_widens_no_bounds(state: SourceState) -> None:
    known = made((POSTGRES, -0.1, 0.1), (POSTGRES, -2.0, 2.0))
    told, silent = known.sources
    known = replace(known, sources=(told, replace(silent, state=state)))
    assert offset_bounds(clocks_of(known), POSTGRES) == (-0.1, 0.1)
