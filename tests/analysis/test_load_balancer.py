"""Load balancers beside the gateway's log and in its place: nothing is counted twice."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from incident_rca.analysis.frames import values
from incident_rca.analysis.load_balancer import promoted, route_of, said_of, witnesses
from incident_rca.model import Analysis
from incident_rca.tables import Tables
from tests.analysis.cases import (
    OUTAGE,
    Row,
    analysed,
    at,
    counted,
    failing,
    made_case,
    made_tables,
    second_of,
    steps,
    usual,
)
from tests.formats.builders import parse, write
from tests.formats.load_balancer_lines import Line

PUBLIC, INNER = "app/public/1", "app/inner/2"


def trace(number: int) -> str:
    return f"1-6968f7a0-{number:024x}"


def balanced(
    second: float,
    name: str = "GET /items",
    *,
    status: int = 502,
    target: int | None = 502,
    number: int | None = None,
    balancer: str = INNER,
    **columns: Any,
) -> Row:
    """One failed request as a load balancer saw it."""
    method, path = name.split(" ")
    answered_by = "load_balancer" if target is None else "target" if target == status else "altered"
    return {
        "second": at(second).replace(microsecond=0),
        "at": at(second),
        "load_balancer": balancer,
        "method": method,
        "path": path,
        "elb_status": status,
        "target_status": target,
        "answered_by": answered_by,
        "error_type": "backend_5xx" if target == status else "load_balancer_5xx",
        "trace_id": None if number is None else trace(number),
        "latency_ms": 20.0,
        "requests": 1,
        "latency_ms_bounds": [20],
        "latency_ms_counts": [1],
    } | columns


def many(rows: Iterable[Row], **columns: Any) -> list[Row]:
    """Requests that went well: as `gateway` rows are, of a load balancer."""
    return [
        {
            "second": row["second"],
            "load_balancer": INNER,
            "method": row["method"],
            "path": row["route"],
            "elb_status": row["status"],
            "target_status": row["status"],
            "answered_by": "target",
            "requests": row["requests"],
            "latency_ms_bounds": row["latency_ms_bounds"],
            "latency_ms_counts": row["latency_ms_counts"],
        }
        | columns
        for row in rows
    ]


def traced(failures: Iterable[Row]) -> list[Row]:
    """The failures with a trace id each."""
    return [dict(row) | {"trace_id": trace(n)} for n, row in enumerate(failures)]


def said(failures: list[Row], balancer: list[Row]) -> dict[str, int]:
    """What is said of all failures together, and by how many rows."""
    tables = made_tables(failures=failures, load_balancer=balancer)
    found = witnesses(tables.failures, tables.load_balancer)
    assert len(set(found.values())) == len(found)
    evidence = said_of(tables.failures, found, tables.load_balancer)
    return {e.seen.partition(": ")[2]: e.count for e in evidence}


TARGET_ITSELF = "the target itself answered 502 (elb_status = target_status)"
BALANCER_ITSELF = "the load balancer itself answered 502: no target answered"
GAVE_UP = "the gateway gave up on the load balancer before an answer came (elb_status 460)"


# --- beside the gateway -------------------------------------------------------------------------


def test_failures_are_joined_by_their_trace() -> None:
    failures = traced(failing(steps(0, 60, 2)))
    # At another time, on another path: the trace alone says that it is the same request.
    balancer = [
        balanced(300 + n, "GET /v2/things", number=n, target=502 if n % 3 else None)
        for n in range(len(failures))
    ]
    assert said(failures, balancer) == {TARGET_ITSELF: 20, BALANCER_ITSELF: 10}


def test_a_rollup_is_joined_by_time_beside_a_log_that_has_traces() -> None:
    failures = traced(failing([0.0, 5.0]))
    log = [balanced(0.1, number=0), balanced(5.1)]
    rollup = [balanced(5.2, target=None, source="rollup")]
    assert said(failures, log + rollup) == {TARGET_ITSELF: 1, BALANCER_ITSELF: 1}


def test_a_trace_that_no_load_balancer_has_is_joined_with_nothing() -> None:
    assert said(traced(failing([0.0])), [balanced(0.0, number=77), balanced(0.1)]) == {}


def test_without_traces_time_route_and_status_join() -> None:
    failures = failing([0.0, 10.0, 20.0], latency_ms=100.0)
    balancer = [
        balanced(0.05),
        balanced(10.05, "POST /items"),  # another route
        balanced(10.06, status=503, target=503),  # another status
        balanced(14.0),  # after the request at 10 was over
        balanced(20.05, target=None),
    ]
    assert said(failures, balancer) == {TARGET_ITSELF: 1, BALANCER_ITSELF: 1}


def test_a_rollup_has_no_traces_so_time_joins_failures_that_have_one() -> None:
    failures = traced(failing([0.4, 10.4], latency_ms=100.0))
    # Whole seconds: each stands before the failure that it is.
    assert said(failures, [balanced(0.0), balanced(10.0, target=None)]) == {
        TARGET_ITSELF: 1,
        BALANCER_ITSELF: 1,
    }


def test_an_inner_request_begins_while_the_outer_one_lasts() -> None:
    assert said(failing([0.0], latency_ms=30_000.0), [balanced(29.0)]) == {TARGET_ITSELF: 1}
    assert said(failing([0.0], latency_ms=5.0), [balanced(29.0)]) == {}
    assert said(failing([0.0]), [balanced(-5.0)]) == {}


def test_the_gateway_that_gave_up_is_the_client_that_closed() -> None:
    failures = failing([0.0], status=504, latency_ms=29_000.0)
    assert said(failures, [balanced(0.01, status=460, target=None)]) == {GAVE_UP: 1}


def test_paths_are_matched_with_the_routes_that_failed() -> None:
    failures = failing([0.0, 1.0], "GET /items/{sku}")
    balancer = [balanced(0.0, "GET /items/{id}"), balanced(1.0, "GET /items/blue")]
    assert said(failures, balancer) == {TARGET_ITSELF: 2}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("has_traces", [True, False])
def test_no_row_stands_for_two_failures(seed: int, has_traces: bool) -> None:
    chance = random.Random(seed)
    failures = failing(sorted(chance.uniform(0, 20) for _ in range(60)), latency_ms=500.0)
    balancer = [balanced(chance.uniform(0, 20)) for _ in range(chance.randrange(60))]
    if has_traces:
        failures = [dict(f) | {"trace_id": trace(chance.randrange(20))} for f in failures]
        balancer = [dict(b) | {"trace_id": trace(chance.randrange(20))} for b in balancer]
    found = said(failures, balancer)
    assert sum(found.values()) <= min(len(failures), len(balancer))
    if has_traces:
        # As many as both logs have of each trace: counted by hand.
        ours = [f["trace_id"] for f in failures]
        theirs = [b["trace_id"] for b in balancer]
        assert sum(found.values()) == sum(
            min(ours.count(t), theirs.count(t)) for t in set(ours) & set(theirs)
        )


def with_both(balancer: list[Row]) -> Analysis:
    failures = traced(OUTAGE)
    return analysed(
        failures=failures,
        gateway=[*counted(failures), *usual("GET /items")],
        load_balancer=balancer,
    )


def test_the_error_types_cite_the_load_balancer_and_count_as_before() -> None:
    without = with_both([])
    balancer = [balanced(second, number=n) for n, second in enumerate(steps(0, 121, 2))]
    beside = with_both([*balancer, *many(usual("GET /items", requests=1000))])
    (before,), (after,) = without.error_types, beside.error_types
    assert (before.seen_in, after.seen_in) == (("access",), ("access", "load_balancer"))
    assert (before.count, before.share) == (after.count, after.share)
    assert (without.requests, without.failed_requests) == (beside.requests, beside.failed_requests)
    assert without.endpoints == beside.endpoints
    (added,) = [e for e in after.evidence if e not in before.evidence]
    assert added.seen == f"60 of 60 failures: {TARGET_ITSELF}" and added.source == "balancer"
    assert added.digest in beside.evidence_ids


def test_a_load_balancer_that_saw_other_requests_is_not_cited() -> None:
    (kind,) = with_both([balanced(5.0, number=999)]).error_types
    assert kind.seen_in == ("access",)


# --- in the gateway's place ---------------------------------------------------------------------


def test_where_the_gateway_has_rows_the_tables_stay() -> None:
    tables = made_tables(gateway=counted(OUTAGE), load_balancer=[balanced(0.0)])
    assert promoted(made_case(), tables) is tables
    tables = made_tables(failures=OUTAGE, load_balancer=[balanced(0.0)])
    assert promoted(made_case(), tables) is tables
    assert promoted(made_case(), empty := made_tables()) is empty


def test_alone_it_is_the_gateway() -> None:
    failures = failing(steps(0, 121, 2), latency_ms=20.0)
    by_gateway = analysed(failures=failures, gateway=[*counted(failures), *usual("GET /items")])
    alone = analysed(
        load_balancer=[
            *(balanced(second) for second in steps(0, 121, 2)),
            *many(usual("GET /items")),
        ]
    )
    assert alone.outage is not None and by_gateway.outage is not None
    assert second_of(alone.outage.start.lo) == second_of(by_gateway.outage.start.lo) == 0
    assert alone.outage.failures == by_gateway.outage.failures == 60
    assert alone.requests == by_gateway.requests
    (ours,), (theirs,) = alone.endpoints, by_gateway.endpoints
    for column in ("name", "requests", "failed", "by_status", "p99_ms", "impact"):
        assert getattr(ours, column) == getattr(theirs, column)
    (kind,) = alone.error_types
    assert (kind.type, kind.status, kind.count, kind.seen_in) == (
        "backend_5xx",
        502,
        60,
        ("load_balancer",),
    )


def test_clients_that_closed_are_requests_and_no_failures() -> None:
    tables = promoted(
        made_case(),
        made_tables(load_balancer=[balanced(0.0, status=460, target=None), balanced(1.0)]),
    )
    assert list(tables.failures["status"]) == [502]
    assert sorted(tables.gateway["status"]) == [460, 502]
    assert int(tables.gateway["requests"].sum()) == 2 and not len(tables.load_balancer)


def test_promoted_tables_have_the_types_of_tables() -> None:
    rows = [balanced(0.0, number=1), balanced(1.0, target=None, error_reason="LambdaUnhandled")]
    empty, tables = made_tables(), promoted(made_case(), made_tables(load_balancer=rows))
    for name in ("gateway", "failures", "load_balancer"):
        assert getattr(tables, name).dtypes.map(str).equals(getattr(empty, name).dtypes.map(str))
    columns = ("line", "request_id", "integration_status", "message", "trace_id")
    assert list(values(tables.failures, *columns)) == [
        (1, trace(1), "502", None, trace(1)),
        (2, None, None, "LambdaUnhandled", None),
    ]


def test_of_load_balancers_behind_each_other_the_first_one_counts() -> None:
    numbers = range(40)
    outer = [balanced(n, number=n, balancer=PUBLIC) for n in numbers]
    inner = [balanced(n + 0.01, number=n, balancer=INNER) for n in numbers]
    inner += many(usual("GET /items"))
    assert requests(outer + inner) == requests(outer) == 40
    # Side by side, each has requests of its own: both count.
    beside = [balanced(n + 0.01, number=1000 + n, balancer=INNER) for n in numbers]
    assert requests(outer + beside) == 80
    # A client that tries again sends its trace twice to the same one: these are two requests.
    again = [balanced(n + 0.5, number=n, balancer=PUBLIC) for n in numbers]
    assert requests(outer + again) == 80


def requests(rows: list[Row]) -> int:
    tables: Tables = promoted(made_case(), made_tables(load_balancer=rows))
    return int(tables.gateway["requests"].sum())


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/items", "/items"),
        ("/items/", "/items"),
        ("/items/{id}", "/items/{sku}"),
        ("/items/blue", "/items/{sku}"),
        ("/items/blue/size", "/items/blue/size"),
        ("/2015-03-31/functions", "/2015-03-31/functions"),
        ("/{id}/functions", "/2015-03-31/functions"),
        ("/files/a/b/c", "/files/{proxy+}"),
        ("/files", "/files"),
        ("-", "-"),
    ],
)
def test_a_path_belongs_to_its_route(path: str, route: str) -> None:
    routes = [
        ("GET", "/items"),
        ("GET", "/items/{sku}"),
        ("POST", "/items/{id}/size"),
        ("GET", "/2015-03-31/functions"),
        ("ANY", "/files/{proxy+}"),
    ]
    assert route_of("GET", path, routes) == route


def test_from_lines_to_the_outage(tmp_path: Path) -> None:
    """A file alone: 100 requests a minute, of which those of two minutes fail at the target."""
    lines = []
    for n in range(2000):
        is_bad = 900 <= n < 1100
        status = "502" if is_bad else "200"
        lines.append(str(Line(second=n * 0.6, elb_status=status, target_status=status)))
    parsed = parse("load_balancer_log", write(tmp_path / "alb.log", *lines))
    tables = made_tables()
    tables = Tables(
        **{name: getattr(tables, name) for name in tables.__slots__}
        | {"load_balancer": parsed.frames["load_balancer"]}
    )
    filled = promoted(made_case(), tables)
    assert int(filled.gateway["requests"].sum()) == 2000
    assert list(filled.failures["line"]) == list(range(901, 1101))
