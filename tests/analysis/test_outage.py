"""The outage among noise and blips, and what each endpoint suffered in it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from incident_rca.analysis.analyse import analyse
from incident_rca.model import Analysis, EndpointImpact, Impact, TimeWindow
from incident_rca.report.contract import to_json
from incident_rca.report.summary import sentences
from tests.analysis.cases import (
    LEAD_UP,
    OUTAGE,
    TAIL,
    Row,
    analysed,
    at,
    counted,
    failing,
    levels,
    made_case,
    made_tables,
    p99,
    second_of,
    served,
    steps,
    usual,
    with_source,
)

HALF = 1350.0  # of a window of 45 minutes
DAY = (-HALF - 86_400, -HALF)
NOISE = 0.05
SEEDS = range(20)


def noise(seed: int) -> list[float]:
    """Arrivals of a steady rate of errors all through 45 minutes."""
    chance, found, second = random.Random(seed), [], -HALF
    while (second := second + chance.expovariate(NOISE)) < HALF:
        found.append(second)
    return found


def of_failures(seconds: Sequence[float], *, with_baseline: bool = False) -> Analysis:
    """The analysis of failures in a window of 45 minutes, where the noise is usual or unknown."""
    answer = {
        "at": at(DAY[0]),
        "until": at(DAY[1]),
        "method": "GET",
        "route": "/items",
        "status": 502,
        "requests": round(86_400 * NOISE),
        "records_scanned": 100_000,
    }
    failures = failing(sorted(seconds))
    return analysed(
        made_case(window=(-HALF, HALF), baseline=DAY if with_baseline else None),
        failures=failures,
        gateway=counted(failures),
        baseline=[answer] if with_baseline else [],
    )


# --- noise ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_baseline", [False, True])
def test_evenly_spaced_errors_are_no_outage(with_baseline: bool) -> None:
    analysis = of_failures(steps(-HALF, HALF, 1 / NOISE), with_baseline=with_baseline)
    assert analysis.outage is None
    # Without an outage the counts are those of the window.
    assert analysis.failed_requests == len(steps(-HALF, HALF, 1 / NOISE))


@pytest.mark.parametrize("with_baseline", [False, True])
def test_a_steady_rate_of_errors_is_no_outage(with_baseline: bool) -> None:
    """Chance may make a burst of its own now and then: one in twenty windows is allowed."""
    analyses = [of_failures(noise(seed), with_baseline=with_baseline) for seed in SEEDS]
    assert sum(a.outage is not None for a in analyses) <= 1


@pytest.mark.parametrize(("served_beside", "is_outage"), [(0, True), (5400, False)])
def test_an_outage_that_fills_the_window_is_one_if_most_requests_failed(
    served_beside: int, is_outage: bool
) -> None:
    """Without a baseline: one request a second fails from the window's start to its end."""
    failures = failing(steps(-HALF, HALF, 1.0))
    others = [served(0.0, "POST /mail", requests=served_beside)] if served_beside else []
    analysis = analysed(
        made_case(window=(-HALF, HALF)), failures=failures, gateway=[*counted(failures), *others]
    )
    assert (analysis.outage is not None) is is_outage


@pytest.fixture(scope="module", params=[False, True], ids=["no baseline", "baseline"])
def edges(request: pytest.FixtureRequest) -> list[tuple[float, float]]:
    """First and last second of five minutes of two failures a second, found in eight noises."""
    found = []
    for seed in SEEDS[:8]:
        failures = [*noise(seed), *steps(0, 300, 0.5)]
        outage = of_failures(failures, with_baseline=request.param).outage
        assert outage is not None
        start, end = second_of(outage.start.lo), second_of(outage.end.lo)
        assert start is not None and end is not None
        found.append((start, end))
    return found


def test_a_burst_in_noise_begins_where_it_begins(edges: list[tuple[float, float]]) -> None:
    """An error of the noise may stand right before it."""
    assert sum(-10 <= start <= 0 for start, _ in edges) >= 6, edges


def test_a_burst_in_noise_ends_where_it_ends(edges: list[tuple[float, float]]) -> None:
    """An error of the noise may stand right behind it."""
    assert sum(295 <= end <= 315 for _, end in edges) >= 6, edges


@pytest.mark.parametrize("seed", range(5))
def test_an_outage_that_begins_weakly_began_then(seed: int) -> None:
    """One failure in four seconds for two minutes, then six a second: the step is not the onset."""
    weak, strong = steps(0, 120, 4), steps(120, 220, 1 / 6)
    outage = of_failures([*noise(seed), *weak, *strong], with_baseline=True).outage
    assert outage is not None
    lo, hi = second_of(outage.onset.lo), second_of(outage.onset.hi)
    assert lo is not None and hi is not None and lo <= 0 and hi < 90
    assert -60 < (second_of(outage.start.lo) or 0.0) < 60


def test_what_is_no_outage_stays_listed() -> None:
    """Three failures within seconds, and one an hour before: the timeline has each."""
    analysis = of_failures([-1200.0, 0.0, 1.0, 2.0])
    assert analysis.outage is None
    blips = [second_of(e.at.lo) for e in analysis.timeline if e.kind == "blip"]
    assert blips == [-1200, 0, 1, 2]
    many = of_failures(steps(-HALF, HALF, 1 / NOISE))
    listed = [e for e in many.timeline if e.kind == "blip"]
    assert len(listed) == 51 and "85 more requests failed" in listed[-1].title


# --- edges ----------------------------------------------------------------------------------------


def test_no_failures_are_no_outage() -> None:
    analysis = analysed(gateway=usual("GET /items"))
    assert (analysis.outage, analysis.endpoints, analysis.phases) == (None, (), ())
    assert (analysis.failed_requests, analysis.unexplained_seconds) == (0, 0)
    assert to_json(analysis)


def test_an_empty_case_can_be_analysed() -> None:
    analysis = analysed()
    assert analysis.outage is None
    assert to_json(analysis)


def test_failures_outside_of_the_window_are_not_counted() -> None:
    outside = failing([*steps(-LEAD_UP - 60, -LEAD_UP, 1), *steps(TAIL, TAIL + 60, 1)])
    failures = [*outside, *OUTAGE]
    analysis = analysed(failures=failures, gateway=counted(failures))
    assert analysis.outage is not None
    assert (analysis.outage.failures, analysis.failed_requests) == (60, 60)
    assert analysis.outage.blips == ()
    assert analysed(failures=outside, gateway=counted(outside)).outage is None


def test_first_to_last_failing_arrival() -> None:
    outage = analysed(failures=OUTAGE, gateway=counted(OUTAGE)).outage
    assert outage is not None
    assert (second_of(outage.start.lo), second_of(outage.start.hi)) == (0, 0)
    assert (second_of(outage.end.lo), second_of(outage.end.hi)) == (118, 118)
    assert (outage.duration_seconds, outage.ongoing, outage.failures) == (118, False, 60)


def test_an_outage_at_the_windows_end_goes_on() -> None:
    failures = failing(steps(0, TAIL, 2))
    analysis = analysed(failures=failures, gateway=counted(failures))
    assert analysis.outage is not None
    assert analysis.outage.ongoing
    assert second_of(analysis.outage.end.lo) == TAIL - 2
    assert analysis.outage.end.hi is None
    assert analysis.phases[-1].name == "sustained"
    assert analysis.phases[-1].end is None
    assert "recovery" not in [phase.name for phase in analysis.phases]


def test_an_outage_ongoing_where_the_log_ends_early() -> None:
    """What was not read is not quiet: the log's own end counts."""
    case = with_source(
        made_case(), "access", lambda s: replace(s, covered=TimeWindow(at(-LEAD_UP), at(120)))
    )
    outage = analysed(case, failures=OUTAGE, gateway=counted(OUTAGE)).outage
    assert outage is not None and outage.ongoing


def test_a_failure_past_what_the_source_says_it_covers_is_no_error() -> None:
    failures = failing([0.0] * 200 + [0.1] * 300)
    case = with_source(
        made_case(), "access", lambda s: replace(s, covered=TimeWindow(at(-LEAD_UP), at(-500)))
    )
    outage = analysed(case, failures=failures, gateway=counted(failures)).outage
    assert outage is not None and outage.ongoing


@pytest.mark.parametrize("larger", ["first", "second"])
def test_the_larger_of_two_bursts_is_the_outage(larger: str) -> None:
    one, two = (30, 20) if larger == "first" else (20, 30)
    failures = failing([*steps(-300, -300 + one, 1), *steps(0, two, 1)])
    analysis = analysed(failures=failures, gateway=counted(failures))
    assert analysis.outage is not None
    assert second_of(analysis.outage.start.lo) == (-300 if larger == "first" else 0)
    assert analysis.outage.failures == analysis.failed_requests == 30
    assert analysis.outage.blips == ()
    (other,) = analysis.other_incidents
    assert second_of(other.outage.start.lo) == (0 if larger == "first" else -300)
    assert (other.number, other.failed_requests) == (2, 20)


def test_what_is_usual_is_not_what_the_outage_before_left_slow() -> None:
    failures = failing([*steps(-300, -280, 1), *steps(0, 30, 1)])
    slow = [served(second, requests=20, latency_ms=4_000) for second in steps(-280, -200, 1)]
    fast = [served(second, requests=20, latency_ms=30) for second in steps(-200, 120, 1)]
    analysis = analysed(
        failures=failures,
        gateway=[*counted(failures), *slow, *fast],
        metrics=p99(levels(20, 4_000, -300, -200)),
    )
    assert analysis.outage is not None and second_of(analysis.outage.start.lo) == 0
    (endpoint,) = analysis.endpoints
    assert endpoint.baseline_p99_ms == 30


def test_counts_are_of_the_outage_alone() -> None:
    failures = failing([-300.0, *steps(0, 121, 2)])
    analysis = analysed(failures=failures, gateway=[*counted(failures), *usual("GET /items")])
    assert analysis.failed_requests == 60
    (endpoint,) = analysis.endpoints
    assert (endpoint.failed, endpoint.requests) == (60, 60 + 2 * 60)
    assert endpoint.by_status == {502: 60}
    assert sum(t.count for t in analysis.error_types) == 60


def test_failures_without_a_type_are_counted_too() -> None:
    failures = [row | {"error_type": None} for row in map(dict, OUTAGE)]
    analysis = analysed(failures=failures, gateway=counted(failures))
    assert analysis.failed_requests == 60


def test_two_files_of_one_source_are_both_cited() -> None:
    tables = made_tables(failures=OUTAGE, gateway=counted(OUTAGE))
    failures = tables.failures.copy()
    failures.loc[30:, "file"] = "raw/access2"
    analysis = analyse(made_case(), replace(tables, failures=failures))
    assert analysis.outage is not None
    assert {e.file for e in analysis.evidence} >= {"raw/access", "raw/access2"}
    assert len(analysis.cite(analysis.outage.evidence)) == 2


@pytest.mark.parametrize("records", [None, 9])
def test_a_baseline_answer_may_lack_its_statistics(records: int | None) -> None:
    answer = {
        "at": at(-87_000),
        "until": at(-LEAD_UP),
        "method": "GET",
        "route": "/items",
        "status": 502,
        "requests": 2,
        "records_scanned": records,
    }
    analysis = analysed(made_case(baseline=(-87_000, -LEAD_UP)), baseline=[answer])
    assert [b.failures_by_status for b in analysis.baselines] == [{502: 2}]
    assert to_json(analysis)


# --- endpoints ------------------------------------------------------------------------------------

TWO_MINUTES = failing(steps(0, 120, 1))
BEFORE = [served(second, "POST /mail", requests=60) for second in steps(-LEAD_UP, 0, 60)]


def endpoint_of(
    rows: Sequence[Row], failures: Sequence[Row] = (), window: tuple[float, float] = (-LEAD_UP, 600)
) -> EndpointImpact:
    """What `POST /mail` suffered in an outage of `GET /items` that lasts two minutes."""
    analysis = analysed(
        made_case(window=window),
        failures=[*TWO_MINUTES, *failures],
        gateway=[*counted([*TWO_MINUTES, *failures]), *rows],
    )
    (found,) = [e for e in analysis.endpoints if e.name == "POST /mail"]
    return found


def during(requests: int, *, latency_ms: int = 20) -> list[Row]:
    """So many served requests in the outage."""
    return [served(30, "POST /mail", requests=requests, latency_ms=latency_ms)]


def failed(number: int) -> list[Row]:
    """So many failed requests, as fast as the others."""
    return failing([10 + n / 10 for n in range(number)], "POST /mail", latency_ms=20)


@pytest.mark.parametrize(
    ("ok", "bad", "impact"),
    [
        (0, 120, Impact.FAILED),
        (12, 108, Impact.FAILED),  # 90 %
        (13, 107, Impact.DEGRADED),
        (0, 1, Impact.FAILED),
        (1, 9, Impact.FAILED),  # failed outranks starved
        (24, 0, Impact.STARVED),  # 20 % of 60 a minute
        (25, 0, Impact.UNAFFECTED),
        (0, 0, Impact.STARVED),
        (14, 10, Impact.STARVED),  # starved outranks degraded
        (117, 3, Impact.DEGRADED),
        (119, 1, Impact.UNAFFECTED),  # 0.1 expected, by chance once in ten outages
        (1000, 0, Impact.UNAFFECTED),
    ],
)
def test_the_impact_of_an_endpoint(ok: int, bad: int, impact: Impact) -> None:
    found = endpoint_of([*BEFORE, *(during(ok) if ok else [])], failed(bad))
    assert found.impact is impact
    assert (found.requests, found.failed) == (ok + bad, bad)
    assert (found.baseline_per_minute, found.incident_per_minute) == (60, (ok + bad) / 2)


@pytest.mark.parametrize(("latency_ms", "impact"), [(60, Impact.DEGRADED), (59, Impact.UNAFFECTED)])
def test_three_times_the_usual_p99_degrades(latency_ms: int, impact: Impact) -> None:
    found = endpoint_of([*BEFORE, *during(120, latency_ms=latency_ms)])
    assert (found.impact, found.p99_ms, found.baseline_p99_ms) == (impact, latency_ms, 20)


def test_one_slow_request_in_a_hundred_is_not_the_p99() -> None:
    rows = [*BEFORE, *during(99), served(31, "POST /mail", latency_ms=30_000)]
    assert endpoint_of(rows).p99_ms == 20
    rows = [*BEFORE, *during(98), served(31, "POST /mail", requests=2, latency_ms=30_000)]
    assert endpoint_of(rows).p99_ms == 30_000


def test_failures_as_usual_do_not_degrade() -> None:
    usually = failing(steps(-590, -90, 50), "POST /mail", latency_ms=20)
    found = endpoint_of([*BEFORE, *during(115)], [*usually, *failed(5)])
    assert (found.failed, found.impact) == (5, Impact.UNAFFECTED)


@pytest.mark.parametrize(
    ("before", "impact", "baseline"),
    [(30, Impact.STARVED, 60.0), (10, Impact.STARVED, 20.0), (9, Impact.UNAFFECTED, None)],
)
def test_half_a_minute_tells_what_is_usual_if_enough_came(
    before: int, impact: Impact, baseline: float | None
) -> None:
    """Of ten and more in 30 s none in 120 s is no chance; of nine a rate is not told."""
    lead = [served(second, "POST /mail") for second in steps(-30, 0, 30 / before)]
    found = endpoint_of(lead, window=(-30, 600))
    assert (found.impact, found.baseline_per_minute) == (impact, baseline)


def test_as_long_as_the_outage_a_lead_up_tells_that_nothing_came() -> None:
    found = endpoint_of(during(9))
    assert (found.baseline_per_minute, found.impact) == (0, Impact.UNAFFECTED)
    assert endpoint_of(during(9), window=(-100, 600)).baseline_per_minute is None


@pytest.mark.parametrize(("slow", "impact"), [(2, Impact.UNAFFECTED), (40, Impact.DEGRADED)])
def test_few_slow_requests_are_no_slower_route(slow: int, impact: Impact) -> None:
    """Both p99 are as slow; two of a hundred are so by chance where a hundred came before."""
    lead = [served(second, "POST /mail") for second in steps(-100, 0, 1)]
    rows = [served(30, "POST /mail", requests=slow, latency_ms=900), *during(100 - slow)]
    found = endpoint_of([*lead, *rows], window=(-100, 600))
    assert (found.p99_ms, found.baseline_p99_ms, found.impact) == (900, 20, impact)


@pytest.mark.parametrize(
    ("lead", "impact"), [(-30.0, Impact.UNAFFECTED), (-600.0, Impact.DEGRADED)]
)
def test_a_few_failures_need_a_lead_up_to_be_unusual(lead: float, impact: Impact) -> None:
    """Three of 120 in two minutes, where half a minute or ten had none."""
    calm = [row for row in BEFORE if row["second"] >= at(lead)]
    calm += [served(second, "POST /mail") for second in steps(-30, 0, 1)]
    found = endpoint_of([*calm, *during(117)], failed(3), window=(lead, 600))
    assert (found.failed, found.impact) == (3, impact)


@pytest.mark.parametrize(("width", "usual_ms"), [(1.0, 5_000), (60.0, 20)])
def test_a_wide_bin_that_reaches_into_the_outage_is_no_lead_up(
    width: float, usual_ms: float
) -> None:
    """Latencies by the minute: that of the first failure begins before it and holds its own."""
    minutes = [second - 30 for second in steps(-540, 60, 60)]
    bins = [
        {**served(second, "POST /mail", latency_ms=20), "requests": 0, "latency_ms_counts": [60]}
        for second in minutes
    ]
    bins[-1] |= {"latency_ms_bounds": [5_000], "latency_ms_counts": [60]}
    assert minutes[-1] == -30
    case = with_source(made_case(), "access", lambda s: replace(s, resolution_seconds=width))
    analysis = analysed(case, failures=TWO_MINUTES, gateway=[*counted(TWO_MINUTES), *BEFORE, *bins])
    (found,) = [e for e in analysis.endpoints if e.name == "POST /mail"]
    assert found.baseline_p99_ms == usual_ms


def test_the_baseline_begins_where_the_log_begins() -> None:
    """Minutes that the log does not cover are not minutes without requests."""
    case = with_source(
        made_case(), "access", lambda s: replace(s, covered=TimeWindow(at(-300), at(TAIL)))
    )
    rows = [row for row in BEFORE if row["second"] >= at(-300)]
    analysis = analysed(
        case,
        failures=TWO_MINUTES,
        gateway=[*counted(TWO_MINUTES), *rows, *during(24)],
    )
    (found,) = [e for e in analysis.endpoints if e.name == "POST /mail"]
    assert (found.baseline_per_minute, found.impact) == (60, Impact.STARVED)


def test_without_failures_of_its_own_an_endpoint_cites_its_requests() -> None:
    found = endpoint_of([*BEFORE, *during(24)])
    assert (found.first_failure, found.last_failure, found.by_status) == (None, None, {})
    assert found.evidence


# --- what began before the record -------------------------------------------------------------


def within(*asked: Row, requests: int, healthy: int = 0) -> Analysis:
    """A window that begins within an outage, `healthy` requests before the first failure of it.

    A day before, each of 24 hours was asked for; of `GET /nightly` one answered, with `requests`.
    """
    failures = failing(steps(-HALF + 2, 0, 1.5))
    first = [served(-HALF, requests=healthy)] if healthy else []
    return analysed(
        made_case(window=(-HALF, HALF), baseline=DAY),
        failures=failures,
        gateway=[*first, *counted(failures), *asked],
        baseline=[hour(n, "/items", 600) for n in range(24)] + [hour(3, "/nightly", requests)],
    )


def hour(number: int, route: str, requests: int) -> Row:
    start = DAY[0] + 3600 * number
    counts = {"status": 200, "requests": requests, "records_scanned": 100_000}
    return {"at": at(start), "until": at(start + 3600), "method": "GET", "route": route} | counts


@pytest.mark.parametrize(
    ("requests", "impact"), [(150, Impact.UNAFFECTED), (24_000, Impact.STARVED)]
)
def test_hours_without_a_row_are_hours_without_a_request(requests: int, impact: Impact) -> None:
    analysis = within(served(HALF - 10, "GET /nightly"), requests=requests)
    (nightly,) = (e for e in analysis.endpoints if e.route == "/nightly")
    assert nightly.baseline_per_minute == pytest.approx(requests / (24 * 60))
    assert nightly.impact is impact


@pytest.mark.parametrize(("healthy", "is_known"), [(0, False), (1, True), (500, True)])
def test_requests_that_were_served_before_tell_when_it_began(healthy: int, is_known: bool) -> None:
    analysis = within(requests=10, healthy=healthy)
    assert analysis.outage is not None
    assert (analysis.outage.onset.lo is not None) is is_known


def test_a_route_of_which_nothing_is_known_is_not_said_to_be_well() -> None:
    analysis = within(served(HALF - 10, "GET /new"), requests=10)
    (said,) = (s for s in sentences(analysis) if "GET /new" in s.values)
    assert "received no request" in said.plain and "not affected" not in said.plain
