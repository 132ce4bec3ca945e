"""What is not recorded of an outage rules nothing out: series and logs that leave out its onset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from incident_rca.model import (
    Analysis,
    Hypothesis,
    Kind,
    Role,
    SourceStatus,
    Stance,
    TimeWindow,
    Topology,
    Verdict,
)
from tests.analysis.cases import (
    OUTAGE,
    TAIL,
    TOPOLOGY,
    Row,
    analysed,
    at,
    blocked,
    claims_of,
    codes,
    counted,
    failing,
    gauge,
    levels,
    made_case,
    of_kind,
    p99,
    served,
    steps,
    the,
    usual,
    with_source,
)

# The outage is from 0 to 120, in buckets of 10 s; whether the one at each second is recorded.
COVERS = [
    pytest.param(lambda second: True, True, id="whole"),
    pytest.param(lambda second: second not in (-10, 0), True, id="some missed at its onset"),
    pytest.param(lambda second: second % 30 == 0, True, id="one bucket of three"),
    pytest.param(lambda second: second < 110, True, id="all but its end"),
    pytest.param(lambda second: second < -60, False, id="ends before it"),
    pytest.param(lambda second: second < 20, False, id="ends in it"),
    pytest.param(lambda second: second >= 60, False, id="begins in it"),
    pytest.param(lambda second: second >= 20, False, id="has most of it, but not its onset"),
    pytest.param(lambda second: not -30 <= second < 130, False, id="silent all through it"),
]


def beside_outage(*metrics: Row) -> Analysis:
    """The usual outage of `GET /items`, with these metrics."""
    return analysed(
        failures=OUTAGE, gateway=[*usual("GET /items"), *counted(OUTAGE)], metrics=metrics
    )


def recorded(values: Sequence[float], is_there: Callable[[float], bool]) -> list[float | None]:
    """The values of a series, without those that were not recorded."""
    times = steps(-600, TAIL, 10)
    return [v if is_there(second) else None for second, v in zip(times, values, strict=True)]


def asserts_what_is_known(found: Hypothesis, covers: bool) -> None:
    """That it is ruled out where the outage is covered, and left open, with why, where not."""
    if covers:
        assert (found.verdict, found.role) == (Verdict.CONTRADICTED, Role.RULED_OUT)
        return
    assert (found.verdict, found.role) == (Verdict.INSUFFICIENT, Role.CONTRIBUTING)
    (claim,) = claims_of(found, "absence", Stance.AGAINST)
    assert "not recorded of the outage" in claim.text
    assert claim.text.endswith("not recorded is not the same as did not happen")


@pytest.mark.parametrize(("is_there", "covers"), COVERS)
def test_calls_are_only_known_not_to_be_slow_where_they_were_timed(
    is_there: Callable[[float], bool], covers: bool
) -> None:
    analysis = beside_outage(*p99(recorded(levels(20, 20, 0, 0), is_there)))
    asserts_what_is_known(the(analysis, Kind.DEPENDENCY_LATENCY), covers)


def test_what_is_not_recorded_is_named_with_its_times() -> None:
    analysis = beside_outage(*p99(recorded(levels(20, 20, 0, 0), lambda second: second < -60)))
    (claim,) = claims_of(the(analysis, Kind.DEPENDENCY_LATENCY), "absence", Stance.AGAINST)
    assert "the latencies of stock.Reserve from 14:23:00 to 14:24:58 UTC" in claim.text


def test_latencies_of_what_did_not_fail_may_end() -> None:
    unrelated = p99([20.0] * 30, service="mail.mail", method="send")
    analysis = beside_outage(*p99(levels(20, 20, 0, 0)), *unrelated)
    asserts_what_is_known(the(analysis, Kind.DEPENDENCY_LATENCY), True)
    # And they rule nothing out for what did.
    late = p99(recorded(levels(20, 20, 0, 0), lambda second: second < -60))
    other = p99(levels(20, 20, 0, 0), service="mail.mail", method="send")
    asserts_what_is_known(the(beside_outage(*late, *other), Kind.DEPENDENCY_LATENCY), False)


@pytest.mark.parametrize(("is_there", "covers"), COVERS)
def test_a_pool_is_only_known_not_to_be_full_where_it_was_read(
    is_there: Callable[[float], bool], covers: bool
) -> None:
    limit = gauge([100.0] * 120, metric="db.client.connections.max")
    used = gauge(recorded(levels(20, 60, 0, 120), is_there))
    asserts_what_is_known(the(beside_outage(*limit, *used), Kind.POOL_EXHAUSTION), covers)


def test_a_limit_alone_says_nothing_of_what_was_in_use() -> None:
    limit = gauge([100.0] * 120, metric="db.client.connections.max")
    asserts_what_is_known(the(beside_outage(*limit), Kind.POOL_EXHAUSTION), False)


@pytest.mark.parametrize("kind", [Kind.BACKEND_FAILURE, Kind.RETRY_STORM])
@pytest.mark.parametrize(("is_there", "covers"), COVERS)
def test_calls_are_only_known_not_to_fail_or_to_be_more_where_they_were_counted(
    kind: Kind, is_there: Callable[[float], bool], covers: bool
) -> None:
    seconds = (second for second in steps(-600, TAIL, 10) if is_there(second))
    rows = [row for second in seconds for row in codes(second, OK=5)]
    asserts_what_is_known(the(beside_outage(*rows), kind), covers)


def logged_from(start: float, until: float, *deadlocks: float) -> Analysis:
    """The usual outage beside a server's log with lines of that time, with these deadlocks."""

    def covering(log: SourceStatus) -> SourceStatus:
        return replace(log, covered=TimeWindow(at(start), at(until)))

    lines = [
        {"at": at(second), "kind": "error", "pid": 5, "database": "shop", "sqlstate": "23505"}
        for second in (start, until)
    ]
    lines += [
        {
            "at": at(second),
            "kind": "deadlock",
            "pid": 5,
            "database": "shop",
            "sqlstate": "40P01",
            "statement": "UPDATE items SET n = 1",
        }
        for second in deadlocks
    ]
    return analysed(
        with_source(made_case(), "postgresql", covering),
        failures=OUTAGE,
        gateway=counted(OUTAGE),
        server_events=lines,
    )


@pytest.mark.parametrize(
    ("start", "until", "covers"),
    [(-500, 500, True), (2, 500, True), (60, 500, False), (-500, -30, False), (-500, 50, False)],
)
def test_a_log_only_rules_deadlocks_out_where_it_has_the_outage(
    start: float, until: float, covers: bool
) -> None:
    asserts_what_is_known(the(logged_from(start, until), Kind.DEADLOCK), covers)


def test_few_deadlocks_in_a_part_of_a_log_neither_explain_an_outage_nor_are_ruled_out() -> None:
    assert the(logged_from(-500, 500, 100, 110), Kind.DEADLOCK).verdict is Verdict.CONTRADICTED
    found = the(logged_from(90, 500, 100, 110), Kind.DEADLOCK)
    assert found.verdict is Verdict.INSUFFICIENT
    assert "lines of the server's log from 14:23:00" in found.claims[-1].text


def test_few_failing_calls_that_were_counted_in_a_part_are_not_all() -> None:
    failed = failing(steps(0, 121, 1), latency_ms=20)
    known = {
        until: [
            row
            for second in steps(-600, until, 10)
            for row in codes(second, OK=5, UNAVAILABLE=6.0 if 0 <= second < 20 else 0.0)
        ]
        for until in (20.0, TAIL)
    }
    verdicts = {
        until: of_kind(
            analysed(failures=failed, gateway=counted(failed), metrics=rows), Kind.BACKEND_FAILURE
        )[0].verdict
        for until, rows in known.items()
    }
    assert verdicts == {20.0: Verdict.INSUFFICIENT, TAIL: Verdict.CONTRADICTED}


# --- how many could wait for a lock at most -------------------------------------------------------

FEW = failing(steps(0, 121, 1))
NO_SIZE = Topology(
    services=tuple(replace(s, pool_size=None) for s in TOPOLOGY.services), routes=TOPOLOGY.routes
)


def behind_a_lock(topology: Topology, *metrics: Row) -> Hypothesis:
    """What is said of a lock that six sessions waited for while 121 requests failed."""
    slow = p99(levels(20, 30_000, 0, 120))
    return the(
        analysed(
            made_case(topology=topology),
            failures=FEW,
            gateway=[*(served(s) for s in steps(-600, 0, 5)), *counted(FEW)],
            locks=blocked(0.5, 121, waiters=6),
            metrics=[*slow, *metrics],
        ),
        Kind.LOCK_BLOCKING,
    )


def pool_of(size: float, used: float, owner: str = "stock-db") -> list[Row]:
    """The gauges of a pool of which so much is in use while requests fail."""
    return [
        *gauge([size] * 120, metric="db.client.connections.max", owner=owner),
        *gauge(levels(1, used, 0, 120), owner=owner),
    ]


def test_few_waiters_do_not_speak_against_a_lock_where_the_pool_has_no_more() -> None:
    assert behind_a_lock(Topology(), *pool_of(6, 6)).verdict is Verdict.WEAK
    assert behind_a_lock(NO_SIZE, *pool_of(6, 6)).verdict is Verdict.SUPPORTED


def test_a_pool_that_was_enlarged_to_end_an_outage_had_no_more_in_it() -> None:
    sizes = [6.0] * 80 + [100.0] * 40
    enlarged = [
        *gauge(sizes, metric="db.client.connections.max"),
        *gauge(levels(1, 6, 0, 120)),
    ]
    assert behind_a_lock(NO_SIZE, *enlarged).verdict is Verdict.SUPPORTED


def test_few_waiters_speak_against_a_lock_where_the_pool_is_known_to_be_larger() -> None:
    for found in (
        behind_a_lock(Topology(), *pool_of(100, 40)),
        behind_a_lock(NO_SIZE, *pool_of(100, 40)),
        behind_a_lock(TOPOLOGY),
    ):
        assert found.verdict is Verdict.CONTRADICTED
        assert "most of them waited for something else" in " ".join(c.text for c in found.claims)


@pytest.mark.parametrize("topology", [Topology(), NO_SIZE], ids=["none", "without sizes"])
def test_few_waiters_decide_nothing_where_nobody_knows_how_large_the_pool_is(
    topology: Topology,
) -> None:
    for metrics in ([], pool_of(100, 40, owner="mail-db")):
        found = behind_a_lock(topology, *metrics)
        assert found.verdict is Verdict.INSUFFICIENT
        (claim,) = claims_of(found, "absence", Stance.AGAINST)
        assert "how many connections stock has is not recorded" in claim.text
