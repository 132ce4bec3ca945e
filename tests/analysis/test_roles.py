"""Which hypothesis started an outage: each rule in an incident that it decides."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from incident_rca.analysis.rates import binomial_tail, chance_of_more, high_stretch
from incident_rca.analysis.verdicts import what_would_change
from incident_rca.model import Analysis, Hypothesis, Kind, Role, SourceState, Verdict
from incident_rca.report.contract import to_json
from incident_rca.report.markdown import to_markdown
from tests.analysis.cases import (
    Row,
    analysed,
    at,
    blocked,
    codes,
    counted,
    failing,
    gauge,
    heartbeat,
    levels,
    made_case,
    p99,
    served,
    steps,
    the,
    usual,
)

ORDERS = "POST /orders"
SLOW = p99(levels(20, 8_000, 0, 130))
HOLDS = (Verdict.SUPPORTED, Verdict.WEAK)


def failures(
    status: int = 502, latency_ms: float = 8_000.0, kind: str = "backend_5xx"
) -> list[Row]:
    rows = failing(steps(0, 121, 2), "POST /orders", status=status, latency_ms=latency_ms)
    return [{**row, "error_type": kind} for row in rows]


def incident(
    failed: Sequence[Row],
    *,
    states: dict[str, SourceState] | None = None,
    watched: bool = True,
    gateway: Sequence[Row] = (),
    **rows: Sequence[Row],
) -> Analysis:
    """These failures of POST /orders; a recorder that saw nobody wait, unless locks are given."""
    case = made_case(states=states)
    counts = [heartbeat(second) for second in steps(-600, 600, 1)] if watched else []
    return analysed(
        case,
        failures=failed,
        gateway=[*usual("GET /items"), *usual("POST /orders"), *counted(failed), *gateway],
        session_counts=counts,
        **rows,
    )


def triggers(analysis: Analysis) -> list[Hypothesis]:
    """The asserted ones."""
    return [h for h in analysis.hypotheses if h.role is Role.TRIGGER and h.verdict in HOLDS]


def test_a_slow_service_without_a_lock_is_the_trigger() -> None:
    (found,) = triggers(incident(failures(), metrics=SLOW))
    assert (found.kind, found.object) == (Kind.DEPENDENCY_LATENCY, "stock.Reserve")


def test_a_lock_behind_it_makes_it_a_symptom() -> None:
    analysis = incident(failures(), metrics=SLOW, locks=blocked(-1, 122, waiters=40))
    (found,) = triggers(analysis)
    assert (found.kind, found.object) == (Kind.LOCK_BLOCKING, "shop.public.items")
    assert the(analysis, Kind.DEPENDENCY_LATENCY).role is Role.SYMPTOM


def test_where_nobody_watched_the_locks_nothing_is_blamed() -> None:
    analysis = incident(failures(), metrics=SLOW, states={"locks": SourceState.SKIPPED})
    assert triggers(analysis) == []
    assert the(analysis, Kind.UNKNOWN).verdict is Verdict.INSUFFICIENT
    assert the(analysis, Kind.DEPENDENCY_LATENCY).role is Role.SYMPTOM


def test_a_lock_that_few_waited_for_is_not_blamed_for_many() -> None:
    analysis = incident(failures(), metrics=SLOW, locks=blocked(-1, 122, waiters=2))
    assert the(analysis, Kind.LOCK_BLOCKING).verdict is Verdict.CONTRADICTED
    assert Kind.LOCK_BLOCKING not in [h.kind for h in triggers(analysis)]


def test_sessions_of_a_pool_that_wait_again_and_again_count_each_time() -> None:
    """Two connections, a deadline of 2 s: each request of the path waits in its turn, and fails."""
    waits = [
        row
        for n, start in enumerate(steps(0, 120, 2))
        for row in blocked(start, start + 1.9, waiters=1, first_pid=100 + n % 2, held_until=122)
    ]
    analysis = incident(failures(latency_ms=2_000.0), metrics=SLOW, locks=waits)
    (found,) = triggers(analysis)
    assert (found.kind, found.object) == (Kind.LOCK_BLOCKING, "shop.public.items")


def test_calls_that_are_refused_at_once_are_a_backend_failure() -> None:
    counts = [*codes(-60, ok=100), *codes(20, unavailable=61), *codes(60, unavailable=20)]
    (found,) = triggers(incident(failures(latency_ms=9.0), metrics=counts))
    assert (found.kind, found.object) == (Kind.BACKEND_FAILURE, "stock.Reserve")


def test_errors_after_a_long_wait_are_no_backend_failure() -> None:
    counts = [*codes(-60, ok=100), *codes(20, internal=61)]
    analysis = incident(failures(latency_ms=8_000.0), metrics=[*counts, *SLOW])
    found = the(analysis, Kind.BACKEND_FAILURE)
    assert (found.role, found.verdict) == (Role.RULED_OUT, Verdict.CONTRADICTED)


def test_a_route_that_nobody_answers_is_the_gateways_configuration() -> None:
    counts = [row for s in steps(-600, 0, 10) for row in codes(s, ok=20)]
    counts += [row for s in steps(0, 130, 10) for row in codes(s, ok=1)]
    failed = failures(latency_ms=2.0, kind="integration_network")
    (found,) = triggers(incident(failed, metrics=counts))
    assert (found.kind, found.object) == (Kind.GATEWAY_CONFIGURATION, "POST /orders")


def test_deadlocks_as_many_as_failures_are_the_trigger_and_few_are_not() -> None:
    def logged(number: int) -> list[Row]:
        said = {"kind": "deadlock", "database": "shop", "sqlstate": "40P01", "pid": 5}
        said |= {"statement": "UPDATE items SET n = n - $1", "application": "stock"}
        return [{**said, "at": at(second)} for second in steps(0, 120, 120 / number)]

    failed = failures(latency_ms=1_050.0)
    (found,) = triggers(incident(failed, server_events=logged(60)))
    assert (found.kind, found.object) == (Kind.DEADLOCK, "shop.public.items")
    few = incident(failed, server_events=logged(3))
    assert the(few, Kind.DEADLOCK).verdict is Verdict.CONTRADICTED and triggers(few) == []


def test_more_traffic_than_a_pool_can_serve_triggers_and_the_pool_sustains() -> None:
    more = [served(s, "POST /orders", requests=10) for s in steps(-20, 120, 1)]
    metrics = [*p99(levels(20, 8_000, 0, 130)), *gauge(levels(5, 100, -10, 120))]
    analysis = incident(failures(), metrics=metrics, gateway=more)
    (found,) = triggers(analysis)
    assert found.kind is Kind.TRAFFIC_SURGE
    assert the(analysis, Kind.POOL_EXHAUSTION).role is Role.SUSTAINER


def test_a_deadline_that_is_too_long_contributes() -> None:
    metrics = [*SLOW, *codes(20, deadline_exceeded=50, internal=2)]
    found = the(incident(failures(), metrics=metrics), Kind.MISSING_DEADLINE)
    assert found.role is Role.CONTRIBUTING and "too long" in found.statement


def test_without_an_outage_nothing_is_supported() -> None:
    analysis = analysed(gateway=usual("POST /orders"), locks=blocked(-1, 60), metrics=SLOW)
    assert all(h.verdict is not Verdict.SUPPORTED for h in analysis.hypotheses)


def test_each_verdict_says_what_would_change_it() -> None:
    analysis = incident(failures(), metrics=SLOW)
    slow = the(analysis, Kind.DEPENDENCY_LATENCY)
    assert slow.verdict is Verdict.SUPPORTED
    assert any("Without what" in text for text in what_would_change(slow))
    contradicted = the(analysis, Kind.TRAFFIC_SURGE)
    (text,) = what_would_change(contradicted)
    assert contradicted.claims[0].text in text
    alone = incident(failures(), metrics=SLOW, states={"metrics": SourceState.SKIPPED})
    (hidden,) = [h for h in alone.hypotheses if h.kind is Kind.BACKEND_FAILURE]
    assert any("whole answer" in t or "second system" in t for t in what_would_change(hidden))


def calls(second: float, number: float) -> list[Row]:
    return codes(second, deadline_exceeded=number)


def test_retries_that_outlast_what_began_them_sustain() -> None:
    """Two calls a second are usual; three times as many come while requests fail."""
    gateway = [served(s, "POST /orders", requests=2) for s in steps(-600, 600, 1)]
    failed = [{**row, "error_type": "backend_5xx"} for row in failing(steps(0, 121, 0.5), ORDERS)]
    counts = [row for s in steps(-600, 0, 10) for row in codes(s, ok=20)]
    counts += [row for s in steps(0, 120, 10) for row in calls(s, 60)]
    counts += [row for s in steps(120, 600, 10) for row in codes(s, ok=20)]
    server = p99(levels(20, 8_000, 0, 40), metric="grpc.server.duration")
    analysis = analysed(
        failures=failed,
        gateway=[*gateway[:600], *counted(failed), *gateway[721:]],
        metrics=[*counts, *server],
        session_counts=[heartbeat(second) for second in steps(-600, 600, 1)],
    )
    storm = the(analysis, Kind.RETRY_STORM)
    assert (storm.role, storm.verdict) == (Role.SUSTAINER, Verdict.SUPPORTED)
    (found,) = triggers(analysis)
    assert found.kind is Kind.DEPENDENCY_LATENCY
    assert storm.explains_seconds > found.explains_seconds > 0
    assert "3.0 calls for each request instead of 1.0" in storm.statement


def test_calls_that_hang_and_end_together_are_no_retries() -> None:
    """Two minutes of calls end in one bucket: more than came in it, no more than came."""
    gateway = [served(s, "POST /orders", requests=2) for s in steps(-600, 600, 1)]
    counts = [row for s in steps(-600, 0, 10) for row in codes(s, ok=20)]
    counts += [row for s in steps(0, 120, 10) for row in codes(s, ok=0)]
    counts += [*codes(120, ok=260), *(row for s in steps(130, 600, 10) for row in codes(s, ok=20))]
    failed = failing(steps(0, 121, 2), ORDERS)
    analysis = analysed(failures=failed, gateway=[*gateway, *counted(failed)], metrics=counts)
    assert the(analysis, Kind.RETRY_STORM).role is Role.RULED_OUT


def test_calls_that_queued_before_the_first_failure_are_no_retries() -> None:
    """Ten requests a second come for 20 s and five are served: the rest end within the outage."""
    gateway = [served(s, ORDERS, requests=10 if -20 <= s < 0 else 2) for s in steps(-600, 600, 1)]
    counts = [row for s in steps(-600, -20, 10) for row in codes(s, ok=20)]
    counts += [row for s in steps(-20, 20, 10) for row in codes(s, ok=50)]
    counts += [*codes(20, ok=60), *(row for s in steps(30, 600, 10) for row in codes(s, ok=20))]
    # Each request is one call: as many have come as have ended.
    assert sum(r["requests"] for r in gateway) == sum(row["value"] for row in counts)
    analysis = analysed(failures=failing(steps(0, 20, 1), ORDERS), gateway=gateway, metrics=counts)
    assert the(analysis, Kind.RETRY_STORM).role is Role.RULED_OUT


def test_a_method_whose_server_was_fast_waited_behind_the_one_that_was_slow() -> None:
    """Calls of both hang for their callers, `read` first; its server answers it as ever."""
    slow, usual_ms = levels(20, 8_000, 0, 130), levels(20, 20, 0, 0)
    by_caller = [*p99(slow), *p99(levels(20, 8_000, -10, 130), method="read")]
    by_server = p99(slow, metric="grpc.server.duration")
    of_read = p99(usual_ms, metric="grpc.server.duration", method="read")

    def found(*metrics: Row) -> dict[str, Role]:
        analysis = incident(failures(), metrics=metrics)
        latencies = [h for h in analysis.hypotheses if h.kind is Kind.DEPENDENCY_LATENCY]
        return {h.object.rpartition(".")[2].lower(): h.role for h in latencies}

    trigger, symptom = Role.TRIGGER, Role.SYMPTOM
    assert found(*by_caller) == {"read": trigger, "reserve": symptom}
    both = (*by_caller, *by_server, *of_read)
    assert found(*both) == {"read": symptom, "reserve": trigger}
    # Without its server's word it may have been slow itself.
    assert found(*by_caller, *by_server) == {"read": trigger, "reserve": symptom}


def test_sessions_that_take_turns_are_one_cause() -> None:
    turns = [
        row
        for n, start in enumerate(range(0, 120, 10))
        for row in blocked(start, start + 9, waiters=8, holder=7 + n, first_pid=100 + 10 * n)
    ]
    analysis = incident(failures(), locks=turns)
    assert len(analysis.lock_episodes) == 12
    (lock,) = [h for h in analysis.hypotheses if h.kind is Kind.LOCK_BLOCKING]
    assert lock.role is Role.TRIGGER and "11 other sessions in turn" in lock.statement
    assert lock.explains_seconds > 100


def test_two_outages_have_a_cause_each() -> None:
    """A lock fails orders; ten minutes later, apart from it, calls are refused at once."""
    first = failing(steps(-500, -400, 1), ORDERS, latency_ms=8_000.0)
    second = failing(steps(200, 260, 1), ORDERS, latency_ms=9.0)
    failed = [{**row, "error_type": "backend_5xx"} for row in (*first, *second)]
    counts = [row for s in steps(-600, 200, 10) for row in codes(s, ok=20)]
    counts += [row for s in steps(200, 260, 10) for row in codes(s, unavailable=10)]
    analysis = incident(failed, metrics=counts, locks=blocked(-501, -399, waiters=40))
    (other,) = analysis.other_incidents
    assert {(h.kind, h.incident) for h in triggers(analysis)} == {
        (Kind.LOCK_BLOCKING, 1),
        (Kind.BACKEND_FAILURE, other.number),
    }
    document = to_markdown(analysis)
    assert "Apart from it, outage 2, 14:26:20" in document and ", outage 2 · Verdict" in document
    (told,) = json.loads(to_json(analysis))["other_incidents"]
    assert told["impact"]["failed_requests"] == len(second) == other.failed_requests
    explained = sum(h.explains_seconds for h in analysis.hypotheses if h.incident == 2)
    whole = explained + other.unexplained_seconds
    assert whole == pytest.approx(other.outage.duration_seconds)


@pytest.mark.parametrize(("k", "n", "p"), [(1, 3, 0.5), (9, 10, 0.5), (30, 100, 0.2)])
def test_a_tail_is_the_sum_of_its_terms(k: int, n: int, p: float) -> None:
    from math import comb

    exact = sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))
    assert binomial_tail(k, n, p) == pytest.approx(1.0 if k <= n * p else exact, rel=1e-9)


def test_more_than_usual_is_unlikely_only_where_it_is_more() -> None:
    assert chance_of_more(10, 10, 100, 100) == 1.0
    assert chance_of_more(100, 10, 100, 100) < 1e-9


def test_the_stretch_is_where_the_counts_are_high() -> None:
    assert high_stretch([2, 2, 9, 8, 9, 2, 1], 2.0, 2.0) == (2, 4)
    assert high_stretch([0, 0, 0], 2.0, 2.0) is None
