"""Requests that stop coming: found where they were planted, by arrivals that chance drew."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import pytest

from incident_rca.analysis.starvation import starvations
from incident_rca.model import (
    Analysis,
    Aspect,
    Case,
    Gap,
    Kind,
    Starvation,
    TimeWindow,
    Verdict,
)
from incident_rca.report.contract import to_contract
from incident_rca.report.markdown import to_markdown
from tests.analysis.cases import (
    LEAD_UP,
    OUTAGE,
    TAIL,
    Row,
    analysed,
    at,
    blocked,
    counted,
    made_case,
    made_tables,
    p99,
    second_of,
    served,
    steps,
    the,
    with_source,
)

SEEDS = range(6)
ROUTE = "POST /mail"


def drawn(
    seed: int,
    per_second: float,
    silences: Sequence[tuple[float, float]] = (),
    *,
    share: float = 0.0,
    name: str = ROUTE,
) -> list[Row]:
    """Poisson arrivals all through the window; of those in a silence only a share."""
    chance, found, second = random.Random(seed), [], -LEAD_UP
    while (second := second + chance.expovariate(per_second)) < TAIL:
        if not any(a <= second < b for a, b in silences) or chance.random() < share:
            found.append(second)
    return by_second(found, name)


def by_second(seconds: Sequence[float], name: str = ROUTE) -> list[Row]:
    """Requests rolled up as the log's reader does."""
    counts = Counter(math.floor(second) for second in seconds)
    return [served(second, name, requests=number) for second, number in sorted(counts.items())]


def found_in(rows: Sequence[Row], case: Case | None = None) -> tuple[Starvation, ...]:
    return starvations(case or made_case(), made_tables(gateway=rows))


def ends(starvation: Starvation) -> list[float | None]:
    spans = (starvation.onset, starvation.offset)
    return [second_of(instant) for span in spans for instant in (span.lo, span.hi)]


@pytest.mark.parametrize("per_second", [0.5, 2.0, 6.0])
def test_a_silence_is_found_with_both_ends(per_second: float) -> None:
    covered = []
    for seed in SEEDS:
        (found,) = found_in(drawn(seed, per_second, [(10, 130)]))
        begins, began, ends_, ended = ends(found)
        assert begins is not None and began is not None and ends_ is not None and ended is not None
        covered += [begins <= 10 <= began, ends_ <= 130 <= ended]
        assert max(began - begins, ended - ends_) <= 4 + 10 / per_second
        assert found.requests <= 2
        assert found.usual_per_minute == pytest.approx(60 * per_second, rel=0.5)
    assert fmean(covered) >= 0.9


@pytest.mark.parametrize("per_second", [0.02, 0.5, 4.0])
def test_chance_is_no_silence(per_second: float) -> None:
    assert [found_in(drawn(seed, per_second)) for seed in SEEDS] == [()] * len(SEEDS)


@pytest.mark.parametrize(("share", "number"), [(0.1, 1), (0.4, 0)])
def test_at_most_a_fifth_is_a_silence(share: float, number: int) -> None:
    found = [found_in(drawn(seed, 3.0, [(0, 300)], share=share)) for seed in SEEDS]
    assert [len(f) for f in found] == [number] * len(SEEDS)


def test_a_route_with_little_traffic_is_not_known_to_stop() -> None:
    """Two requests a minute that do not come for two minutes: by chance once in fifty."""
    assert found_in(drawn(1, 2 / 60, [(0, 120)])) == ()
    assert len(found_in(drawn(1, 2.0, [(0, 120)]))) == 1


def test_two_silences_are_two() -> None:
    found = found_in(drawn(1, 3.0, [(-200, -100), (0, 120)]))
    assert len(found) == 2


def test_what_has_not_come_again_has_an_open_end() -> None:
    (found,) = found_in(drawn(1, 3.0, [(100, TAIL)]))
    assert found.offset.hi is None and found.offset.lo is not None


def test_a_second_without_requests_is_no_episode() -> None:
    assert found_in(drawn(1, 50.0, [(0, 4)])) == ()
    assert len(found_in(drawn(1, 50.0, [(0, 8)]))) == 1


def test_traffic_that_falls_by_and_by_has_not_stopped() -> None:
    """An evening: twenty minutes in which a rate falls to nothing."""
    chance = random.Random(1)
    seconds = [chance.uniform(-LEAD_UP, TAIL) for _ in range(4_000)]
    evening = [s for s in seconds if chance.random() > ((s + LEAD_UP) / (TAIL + LEAD_UP)) ** 0.5]
    assert found_in(by_second(evening)) == ()


def test_the_end_of_a_surge_is_no_silence() -> None:
    """Ten minutes as usual, five of ten times as much, and as usual again."""
    surge = [row for row in drawn(2, 20.0) if at(-60) <= row["second"] < at(240)]
    assert found_in([*drawn(1, 2.0), *surge]) == ()


@pytest.mark.parametrize("every", [20.0, 60.0, 300.0])
def test_bunches_of_requests_are_not_silent_in_between(every: float) -> None:
    """A job that sends thirty requests every so often."""
    starts = steps(-LEAD_UP, TAIL, every)
    bunches = [second + n / 30 for second in starts for n in range(30)]
    assert found_in(by_second(bunches)) == ()


def test_what_is_not_recorded_is_not_silent() -> None:
    rows = drawn(1, 3.0, [(0, 120)])
    gap = Gap(window=TimeWindow(at(-1), at(121)))
    case = with_source(made_case(), "access", lambda s: replace(s, gaps=(gap,)))
    assert found_in(rows, case) == ()
    late = with_source(
        made_case(), "access", lambda s: replace(s, covered=TimeWindow(at(-LEAD_UP), at(2)))
    )
    assert found_in([r for r in rows if r["second"] < at(0)], late) == ()


def test_requests_that_may_still_run_when_the_log_ends_are_not_missing() -> None:
    """Logged when they end: of the last thirty seconds only the fast ones are there."""
    slow = [served(second, ROUTE, latency_ms=30_000) for second in steps(-300, 570, 1)]
    assert found_in(slow) == ()
    fast = [served(second, ROUTE) for second in steps(-300, 570, 1)]
    assert len(found_in(fast)) == 1


def test_coarse_bins_are_read_as_they_are() -> None:
    """Counts a minute, stamped at its start, are no silence of fifty-nine seconds."""
    minutes = [served(second, ROUTE, requests=60) for second in steps(-600, 600, 60)]
    case = with_source(made_case(), "access", lambda s: replace(s, resolution_seconds=60.0))
    assert found_in(minutes, case) == ()
    gone = [row for row in minutes if not at(0) <= row["second"] < at(120)]
    (found,) = found_in(gone, case)
    begins, began, ends_, ended = ends(found)
    assert begins == -60 and began == 0 and ends_ == 120 and ended == 180


def test_the_order_of_rows_changes_nothing() -> None:
    rows = drawn(1, 3.0, [(0, 120)])
    shuffled = random.Random(2).sample(rows, len(rows))
    one, other = found_in(rows), found_in(shuffled)
    assert [(s.onset, s.offset, s.requests) for s in one] == [
        (s.onset, s.offset, s.requests) for s in other
    ]


# --- what is said of it ---------------------------------------------------------------------------


def silent(locks: Sequence[Row] = (), metrics: Sequence[Row] = ()) -> Analysis:
    """No request fails; `GET /items`, which the lock's table is behind, stops for two minutes."""
    rows = drawn(1, 3.0, [(0, 120)], name="GET /items")
    return analysed(gateway=rows, locks=locks, metrics=metrics)


def test_an_outage_of_silence_is_seen() -> None:
    analysis = silent()
    assert analysis.outage is None
    assert [s.name for s in analysis.starvations] == ["GET /items"]
    kinds = [e.kind for e in analysis.timeline]
    assert "starved" in kinds and "starved_until" in kinds
    text = to_markdown(analysis)
    assert "Requests that stopped coming" in text and "But requests of `GET /items`" in text
    assert the(analysis, Kind.UNKNOWN).verdict is Verdict.INSUFFICIENT
    (told,) = to_contract(analysis)["starvations"]
    assert (told["route"], told["requests"]) == ("/items", 0) and told["evidence"]


def test_without_a_silence_nothing_is_said_of_one() -> None:
    analysis = analysed(gateway=drawn(1, 3.0))
    assert analysis.starvations == ()
    assert Kind.UNKNOWN not in {h.kind for h in analysis.hypotheses}
    assert "stopped coming" not in to_markdown(analysis)


@pytest.mark.parametrize(("start", "end", "number"), [(-5, 125, 1), (-300, -200, 0), (200, 300, 0)])
def test_a_lock_on_its_path_may_have_silenced_a_route(
    start: float, end: float, number: int
) -> None:
    lock = the(silent(locks=blocked(start, end)), Kind.LOCK_BLOCKING)
    claims = [c for c in lock.claims if c.aspect is Aspect.DOSE and "stopped meanwhile" in c.text]
    assert len(claims) == number
    assert lock.verdict is (Verdict.WEAK if number else Verdict.INSUFFICIENT)


def test_a_lock_on_another_path_has_not() -> None:
    locks = blocked(-5, 125, relation="public.letters", waiter_application="mail")
    lock = the(silent(locks=locks), Kind.LOCK_BLOCKING)
    assert not [c for c in lock.claims if "stopped meanwhile" in c.text]


def test_slow_calls_may_have_silenced_a_route() -> None:
    values = [30_000.0 if 0 <= second < 120 else 20.0 for second in steps(-LEAD_UP, TAIL, 10)]
    slow = the(silent(metrics=p99(values)), Kind.DEPENDENCY_LATENCY)
    assert [c for c in slow.claims if "stopped meanwhile" in c.text]


def test_a_route_that_starves_in_an_outage_is_dated_by_itself() -> None:
    rows = drawn(1, 3.0, [(40, 160)])
    analysis = analysed(failures=OUTAGE, gateway=[*counted(OUTAGE), *rows])
    (event,) = [e for e in analysis.timeline if e.kind == "starved"]
    assert event.at.lo is not None and 35 <= (second_of(event.at.lo) or 0) <= 41
