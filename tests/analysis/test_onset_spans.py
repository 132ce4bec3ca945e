"""The span of an onset: measured against bursts whose true onset is known because it was drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from statistics import fmean, median

import numpy as np
import pytest
from numpy.typing import NDArray

from incident_rca.analysis.onset_spans import onset_bounds
from incident_rca.analysis.onsets import bursts_in, quiet_rate
from incident_rca.model import Case, Kind, Span, Stance
from tests.analysis.cases import (
    analysed,
    blocked,
    claims_of,
    counted,
    failing,
    made_case,
    second_of,
    steps,
    the,
    usual,
    with_source,
)

START = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
LEAD = 1800.0
DAY = 86_400.0
RATES = (0.05, 0.2, 0.9, 5.0)
BASES = (0.0, 0.01)
RESOLUTIONS = (0.0, 1.0, 10.0, 60.0)
SEEDS = range(16)


@dataclass(frozen=True)
class Trial:
    """One burst that was found: what its span is, and when it truly began."""

    rate: float
    base: float
    resolution: float
    lo: float
    hi: float
    truth: float

    @property
    def covers(self) -> bool:
        return self.lo <= self.truth <= self.hi

    @property
    def resolved_seconds(self) -> float:
        """What the source resolves: its buckets, or where events are rarer the gap between two."""
        return max(self.resolution, 1 / self.rate)


def drawn(
    chance: np.random.Generator, rate: float, base: float, ramp: float
) -> tuple[NDArray[np.float64], float]:
    """Events and their true onset: thinned by a ramp, as Lewis and Shedler (1979) draw them."""
    truth = LEAD + chance.uniform(0, 60)
    end = truth + ramp + max(300.0, 80 / rate)
    noise = chance.uniform(0, end, chance.poisson(base * end))
    burst = chance.uniform(truth, end, chance.poisson(rate * (end - truth)))
    if ramp:
        burst = burst[chance.uniform(0, ramp, len(burst)) < burst - truth]
    return np.sort(np.concatenate([noise, burst])), truth


def trials(ramp: float) -> Iterator[Trial]:
    for rate, base, resolution, seed in product(RATES, BASES, RESOLUTIONS, SEEDS):
        chance = np.random.default_rng([seed, int(rate * 100), int(base * 100), int(resolution)])
        seconds, truth = drawn(chance, rate, base, ramp)
        if resolution:
            seconds = np.floor(seconds / resolution) * resolution
        quiet = quiet_rate(round(base * DAY), DAY)
        arrivals = [START + timedelta(seconds=float(second)) for second in seconds]
        found = [b for b in bursts_in(arrivals, quiet) if seconds[b.last] >= truth]
        if found:
            largest = max(found, key=lambda b: b.events)
            lo, hi = onset_bounds(seconds, largest.first, quiet, 0.0, resolution)
            yield Trial(rate, base, resolution, lo, hi, truth)


@pytest.fixture(scope="module")
def of_steps() -> list[Trial]:
    return list(trials(0.0))


@pytest.fixture(scope="module")
def of_ramps() -> list[Trial]:
    return list(trials(120.0))


def test_most_bursts_are_found(of_steps: list[Trial]) -> None:
    """All but those of five times the noise, which may stay below the alarm."""
    clear = [t for t in of_steps if t.base == 0 or t.rate >= 0.2]
    assert len(clear) == len(SEEDS) * len(RESOLUTIONS) * (len(RATES) * len(BASES) - 1)


def test_the_true_onset_of_a_step_is_covered(of_steps: list[Trial]) -> None:
    assert fmean(t.covers for t in of_steps) >= 0.9


def test_the_true_onset_of_a_ramp_is_covered(of_ramps: list[Trial]) -> None:
    assert fmean(t.covers for t in of_ramps) >= 0.9


def test_a_step_is_dated_to_two_buckets_where_buckets_hold_events(of_steps: list[Trial]) -> None:
    """Where events are rarer than buckets, nothing can date a step better than their gaps do."""
    full = [t for t in of_steps if t.rate * t.resolution >= 5]
    assert len(full) >= 160
    assert median((t.hi - t.lo) / t.resolution for t in full) <= 2.0
    assert median((t.hi - t.lo) / t.resolved_seconds for t in of_steps) <= 6.0


def test_a_step_alone_would_miss_ramps(of_ramps: list[Trial]) -> None:
    """Of an exact step the onset lies within three mean gaps before its first event, at 95 %."""
    steep = [t for t in of_ramps if t.rate >= 0.9 and t.resolution <= 1 and t.base == 0]
    late = [t for t in steep if t.hi - 3 / t.rate > t.truth]
    assert len(late) >= 0.8 * len(steep)
    assert fmean(t.covers for t in late) >= 0.8


def test_noise_before_does_not_move_it() -> None:
    """A failure ten minutes before, as a day has them, is no part of a burst of one a second."""
    burst = np.arange(0.0, 100.0, 1.0)
    alone = onset_bounds(np.append([-4000.0], burst), 1, 2 / DAY, -5000.0, 0.0)
    early = onset_bounds(np.append([-600.0], burst), 1, 2 / DAY, -5000.0, 0.0)
    assert early == pytest.approx(alone, abs=0.5)
    assert alone[0] > -20


def test_it_is_not_before_what_was_quiet() -> None:
    burst = np.arange(0.0, 2000.0, 20.0)
    assert onset_bounds(burst, 0, 1 / DAY, -7.0, 0.0)[0] == -7.0
    assert onset_bounds(burst, 0, 1 / DAY, -700.0, 0.0)[0] < -20.0


def test_a_coarser_clock_widens_it() -> None:
    chance = np.random.default_rng(7)
    exact = np.sort(chance.uniform(0, 300, 300))
    widths = []
    for resolution in (0.001, 10.0, 60.0):
        stamps = np.floor(exact / resolution) * resolution
        lo, hi = onset_bounds(stamps, 0, 1 / DAY, -900.0, resolution)
        widths.append(hi - lo)
    assert widths == sorted(widths) and widths[0] < 15 < widths[2]


def test_it_is_the_same_each_time() -> None:
    seconds, _ = drawn(np.random.default_rng(3), 0.9, 0.01, 120.0)
    once = onset_bounds(seconds, 20, 0.01, 0.0, 1.0)
    assert all(onset_bounds(seconds.copy(), 20, 0.01, 0.0, 1.0) == once for _ in range(3))


# --- what is said of it ---------------------------------------------------------------------------


def test_an_outage_has_an_onset_beside_its_first_failure() -> None:
    failures = failing(steps(0, 200, 5))
    outage = analysed(failures=failures, gateway=counted(failures)).outage
    assert outage is not None
    assert second_of(outage.start.lo) == second_of(outage.start.hi) == 0
    lo, hi = second_of(outage.onset.lo), second_of(outage.onset.hi)
    assert lo is not None and hi is not None
    assert -60 <= lo <= -5 and 0 <= hi < 15


def test_the_second_outage_does_not_begin_before_the_first_is_over() -> None:
    failures = failing([*steps(-300, -250, 1), *steps(0, 900, 4)])
    analysis = analysed(
        made_case(window=(-600, 1200)), failures=failures, gateway=counted(failures)
    )
    (other,) = analysis.other_incidents
    assert analysis.outage is not None and other.outage.start.first < analysis.outage.start.first
    lo = second_of(analysis.outage.onset.lo)
    assert lo is not None and lo >= -251


@pytest.mark.parametrize(("every", "asserted"), [(0.5, True), (10.0, False)])
def test_order_is_claimed_against_the_onset(every: float, asserted: bool) -> None:
    """A lock 4 s before the first of rare failures may have come after they began."""
    failures = failing(steps(0, 300, every))
    analysis = analysed(
        locks=blocked(-4, 310),
        failures=failures,
        gateway=[*counted(failures), *usual("GET /items")],
    )
    found = claims_of(the(analysis, Kind.LOCK_BLOCKING), "order", Stance.FOR)
    assert bool(found) is asserted


@pytest.mark.parametrize(("every", "asserted"), [(0.5, True), (10.0, False)])
def test_what_ended_before_rare_failures_may_have_met_them(every: float, asserted: bool) -> None:
    failures = failing(steps(0, 300, every))
    analysis = analysed(
        locks=blocked(-90, -6),
        failures=failures,
        gateway=[*counted(failures), *usual("GET /items")],
    )
    found = claims_of(the(analysis, Kind.LOCK_BLOCKING), "order", Stance.AGAINST)
    assert bool(found) is asserted


def width_of(span: Span) -> float:
    assert span.lo is not None and span.hi is not None
    return (span.hi - span.lo).total_seconds()


def test_seconds_of_the_log_widen_the_onset() -> None:
    failures = failing(steps(0, 120, 1))
    widths = []
    for resolution in (0.001, 60.0):
        outage = analysed(
            stamped_by(resolution), failures=failures, gateway=counted(failures)
        ).outage
        assert outage is not None
        widths.append(width_of(outage.onset))
    assert widths[1] > 2 * widths[0]


def stamped_by(seconds: float) -> Case:
    return with_source(made_case(), "access", lambda s: replace(s, resolution_seconds=seconds))
