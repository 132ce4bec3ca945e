"""What a topology is inferred from, and what is too unclear for it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from incident_rca import pipeline, reported_case
from incident_rca.analysis.analyse import analyse
from incident_rca.analysis.inferred_topology import InferredTopology, infer_topology
from incident_rca.demo import prepare_demo
from incident_rca.model import (
    Analysis,
    Aspect,
    Basis,
    Case,
    Kind,
    Route,
    Service,
    Stance,
    Topology,
    Verdict,
)
from incident_rca.tables import Tables
from tests.analysis.cases import (
    LEAD_UP,
    RESERVE,
    TAIL,
    TOPOLOGY,
    Row,
    blocked,
    claims_of,
    codes,
    counted,
    failing,
    gauge,
    levels,
    made_case,
    made_tables,
    p99,
    served,
    steps,
    the,
)

BUCKETS = steps(-LEAD_UP, TAIL, 10)
METHOD = "stock.stock/reserve"
OUTAGE_SECONDS = 200
HUNG_MS = 30_000.0


def rates(seed: int) -> dict[float, int]:
    """A number of requests for each ten seconds, like no other seed's."""
    chance = random.Random(seed)
    return {second: chance.randint(5, 60) for second in BUCKETS}


ORDERS = rates(1)
HEALTH = rates(2)


def partly_like(numbers: dict[float, int]) -> dict[float, int]:
    """Numbers of which a third goes with others, as in services that share only their users."""
    return {s: round(0.4 * numbers[s]) + n for s, n in rates(9).items()}


def is_out(second: float) -> bool:
    return 0 <= second < OUTAGE_SECONDS


def arriving(name: str, numbers: dict[float, int], *, stops: bool = False) -> list[Row]:
    """The requests of a route that are served; where it `stops`, none comes during the outage."""
    return [served(s, name, requests=n) for s, n in numbers.items() if not (stops and is_out(s))]


def calls(numbers: dict[float, int], service: str, method: str) -> list[Row]:
    """Calls that succeed, counted in the ten seconds in which they came."""
    return [
        dict(row) | {"service": service, "method": method}
        for second, number in numbers.items()
        if not is_out(second)
        for row in codes(second, OK=number)
    ]


FAILED = failing(steps(0, OUTAGE_SECONDS, 1), "POST /orders", latency_ms=HUNG_MS + 20)
HUNG = p99(levels(50, HUNG_MS, 30, OUTAGE_SECONDS + 30))
ENDED = [row for second in steps(30, OUTAGE_SECONDS + 30, 10) for row in codes(second, INTERNAL=10)]


def gateway(*more: Row, failed: Sequence[Row] = FAILED) -> dict[str, Iterable[Row]]:
    rows = [*arriving("POST /orders", ORDERS, stops=True), *arriving("GET /health", HEALTH)]
    return {"gateway": [*rows, *more, *counted(failed)], "failures": failed}


def inferred(**rows: Iterable[Row]) -> InferredTopology:
    """What is inferred of a case; that it has a topology must not matter."""
    return infer_topology(made_case(), made_tables(**rows))


def left_out(found: InferredTopology, table: str, key: str) -> str:
    (reason,) = (i.reason for i in found.left_out if (i.table, i.key) == (table, key))
    return reason


def route(found: InferredTopology, name: str) -> Route | None:
    return next((r for r in found.topology.routes if r.name == name), None)


def service(found: InferredTopology, name: str = "stock") -> Service | None:
    return next((s for s in found.topology.services if s.name == name), None)


# --- routes -------------------------------------------------------------------------------------


def test_what_came_and_failed_together_is_linked_and_what_stayed_flat_is_not() -> None:
    letters = {s + 1: round(0.9 * n) for s, n in ORDERS.items()}
    mail = arriving("POST /mail", letters, stops=True)
    metrics = [*HUNG, *ENDED, *calls(ORDERS, "stock.stock", "reserve")]
    metrics += calls(HEALTH, "health.health", "check")
    found = inferred(
        **gateway(*mail),
        locks=blocked(0.5, 60, waiters=9),
        metrics=[*metrics, *gauge([100.0] * 120, metric="db.client.connections.max")],
    )
    assert found.topology == Topology(
        (
            Service(
                name="stock",
                grpc=(METHOD,),
                tables=("public.items",),
                pool_size=100,
                basis=Basis.INFERRED,
            ),
        ),
        (
            Route(method="POST", path="/orders", calls=(METHOD,), basis=Basis.INFERRED),
            Route(method="POST", path="/mail", follows=("POST /orders",), basis=Basis.INFERRED),
        ),
    )
    assert "stayed as usual while stock.stock/reserve did not" in left_out(
        found, "routes.GET /health", ""
    )
    assert "health.health/check" in str(found.left_out)
    assert all(i.evidence and i.reason for i in (*found.reasons, *found.left_out))


@pytest.mark.parametrize(
    ("name", "latency_ms", "sign"),
    [
        ("POST /orders", HUNG_MS + 20, "lasted as long as the calls"),
        ("GET /stock/{id}", 5_000.0, "share a name"),
        ("POST /orders", 5_000.0, ""),
    ],
)
def test_trouble_in_the_same_time_needs_another_sign(
    name: str, latency_ms: float, sign: str
) -> None:
    failed = failing(steps(0, OUTAGE_SECONDS, 1), name, latency_ms=latency_ms)
    rows = [*arriving(name, ORDERS, stops=True), *counted(failed)]
    found = inferred(gateway=rows, failures=failed, metrics=HUNG)
    if sign:
        assert route(found, name) == Route(
            method=name.split()[0], path=name.split()[1], calls=(METHOD,), basis=Basis.INFERRED
        )
        assert sign in str([i.reason for i in found.reasons if i.key == "calls"])
    else:
        assert route(found, name) is None
        assert "nothing else ties" in left_out(found, f"routes.{name}", "calls")


def test_trouble_at_another_time_ties_nothing() -> None:
    """The same plateau, ten minutes early: the numbers alike are chance."""
    early = p99(levels(50, HUNG_MS, -300, -100))
    partly = calls(partly_like(ORDERS), "depot.depot", "take")
    found = inferred(**gateway(), metrics=[*early, *partly])
    assert route(found, "POST /orders") is None
    assert "no method is recorded" in left_out(found, "routes.POST /orders", "calls")


def test_two_methods_that_fit_equally_are_left_to_a_person() -> None:
    other = p99(levels(50, HUNG_MS, 30, OUTAGE_SECONDS + 30), service="depot.depot", method="take")
    found = inferred(**gateway(), metrics=[*HUNG, *other])
    assert route(found, "POST /orders") is None
    unclear = [i for i in found.left_out if i.table == "routes.POST /orders" and i.key == "calls"]
    assert {name for i in unclear for name in i.value} == {METHOD, "depot.depot/take"}
    # What came with the requests decides between the two.
    metrics = [*HUNG, *other, *calls(ORDERS, "depot.depot", "take")]
    decided = route(inferred(**gateway(), metrics=metrics), "POST /orders")
    assert decided is not None and decided.calls == ("depot.depot/take",)


def test_calls_that_only_fail_are_trouble_as_well() -> None:
    """No call is slow; they are refused at once, as many as requests fail."""
    refused = failing(steps(0, OUTAGE_SECONDS, 1), "POST /orders", status=503, latency_ms=9.0)
    ended = [row for s in steps(0, OUTAGE_SECONDS, 10) for row in codes(s, UNAVAILABLE=10)]
    found = inferred(**gateway(failed=refused), metrics=ended)
    (reason,) = (i.reason for i in found.reasons if i.key == "calls")
    assert "200 of its requests failed and 200 calls" in reason
    assert route(found, "POST /orders") is not None


def test_a_starved_route_whose_traffic_was_like_no_other_follows_none() -> None:
    mail = arriving("POST /mail", partly_like(ORDERS), stops=True)
    found = inferred(**gateway(*mail), metrics=HUNG)
    assert route(found, "POST /mail") is None
    assert "not clear enough" in left_out(found, "routes.POST /mail", "follows")


def test_a_route_whose_name_settings_cannot_hold_is_left_out() -> None:
    failed = failing(steps(0, OUTAGE_SECONDS, 1), "POST $default", latency_ms=HUNG_MS)
    rows = [*arriving("POST $default", ORDERS, stops=True), *counted(failed)]
    found = inferred(gateway=rows, failures=failed, metrics=HUNG)
    assert found.topology.routes == ()
    assert "can hold" in left_out(found, "routes.POST $default", "")


@pytest.mark.parametrize(
    ("number", "spread_ms", "seconds"), [(200, 0.05, 29.0), (200, 40.0, None), (10, 0.05, None)]
)
def test_a_limit_is_where_all_are_cut_off_alike(
    number: int, spread_ms: float, seconds: float | None
) -> None:
    failed: list[Row] = [
        dict(row) | {"error_type": "integration_timeout", "latency_ms": 29_000 + n * spread_ms}
        for n, row in enumerate(FAILED[:number])
    ]
    failed = [*failed, *FAILED[number:]]
    metrics = [*HUNG, *calls(ORDERS, "stock.stock", "reserve")]
    found = route(inferred(**gateway(failed=failed), metrics=metrics), "POST /orders")
    assert found is not None and found.timeout_seconds == seconds


# --- services -----------------------------------------------------------------------------------


def test_a_table_that_two_services_wait_for_belongs_to_neither() -> None:
    metrics = [*HUNG, *p99(levels(50, 50, 0, 1), service="depot.depot", method="take")]
    locks = blocked(0.5, 60) + blocked(0.5, 60, first_pid=200, waiter_application="depot")
    found = inferred(**gateway(), locks=locks, metrics=metrics)
    assert all(not s.tables for s in found.topology.services)
    assert "depot, stock" in " ".join(i.reason for i in found.left_out if i.key == "tables")


def test_a_table_of_sessions_like_no_service_or_without_a_schema_is_left_out() -> None:
    for locks, word in (
        (blocked(0.5, 60, waiter_application="billing"), "no gRPC service"),
        (blocked(0.5, 60, relation="items"), "schema is not recorded"),
    ):
        found = inferred(**gateway(), locks=locks, metrics=HUNG)
        assert all(not s.tables for s in found.topology.services)
        assert word in " ".join(i.reason for i in found.left_out if i.key == "tables")


def test_a_pool_is_stated_where_one_size_of_one_pool_is_recorded() -> None:
    def size(*gauges: Row) -> int | None:
        stock = service(inferred(**gateway(), metrics=[*HUNG, *gauges]))
        assert stock is not None
        return stock.pool_size

    maximum = "db.client.connections.max"
    one = gauge([40.0] * 20, metric=maximum)
    assert size(*one) == 40
    assert size(*one, *gauge([60.0] * 20, metric=maximum, start=0.0)) is None
    assert size(*one, *gauge([40.0] * 20, metric=maximum, owner="stock-replica")) is None
    assert size(*gauge([40.0] * 20, metric=maximum, owner="billing-db")) is None
    assert size(*gauge([0.0] * 20, metric=maximum)) is None
    assert size(*gauge([40.0] * 20)) is None


def test_services_of_one_company_are_told_apart() -> None:
    metrics = p99(levels(50, HUNG_MS, 30, 230), service="acme.stock.v1.StockService")
    metrics += p99(levels(50, HUNG_MS, 30, 230), service="acme.mail.v1.MailService", method="send")
    found = inferred(**gateway(), metrics=metrics, locks=blocked(0.5, 60))
    assert [(s.name, s.tables) for s in found.topology.services] == [
        ("mail", ()),
        ("stock", ("public.items",)),
    ]


def test_without_an_outage_who_waited_is_known_all_the_same() -> None:
    found = inferred(metrics=HUNG, locks=blocked(0.5, 60))
    assert found.topology.routes == ()
    stock = service(found)
    assert stock is not None and stock.tables == ("public.items",)


def test_nothing_gives_nothing() -> None:
    assert inferred() == InferredTopology(topology=Topology(), reasons=(), left_out=())


# --- what is inferred stays so ------------------------------------------------------------------


def marked(topology: Topology, *, services: bool, routes: bool) -> Topology:
    """A topology with the mark on its services, its routes or both."""
    basis = {True: Basis.INFERRED, False: Basis.OBSERVED}
    return Topology(
        tuple(replace(s, basis=basis[services]) for s in topology.services),
        tuple(replace(r, basis=basis[routes]) for r in topology.routes),
    )


def lock_analysis(topology: Topology, relation: str = "public.items") -> Analysis:
    failed = failing(steps(1, 60, 1), "POST /orders", latency_ms=HUNG_MS)
    rows = [*arriving("POST /orders", ORDERS), *arriving("GET /health", HEALTH), *counted(failed)]
    tables = made_tables(
        gateway=rows,
        failures=failed,
        locks=blocked(0.5, 61, waiters=9, relation=relation),
        metrics=p99(levels(50, HUNG_MS, 30, 90)),
    )
    return analyse(made_case(topology=topology), tables)


@pytest.mark.parametrize(
    ("services", "routes", "verdict"),
    [
        (False, False, Verdict.SUPPORTED),
        (True, False, Verdict.WEAK),
        (False, True, Verdict.WEAK),
        (True, True, Verdict.WEAK),
    ],
)
def test_a_verdict_that_rests_on_a_mark_is_weak(
    services: bool, routes: bool, verdict: Verdict
) -> None:
    topology = marked(TOPOLOGY, services=services, routes=routes)
    analysis = lock_analysis(topology)
    hypothesis = the(analysis, Kind.LOCK_BLOCKING)
    assert hypothesis.verdict is verdict
    (path,) = claims_of(hypothesis, Aspect.PATH, Stance.FOR)
    is_marked = services or routes
    assert path.basis is (Basis.INFERRED if is_marked else Basis.OBSERVED)
    assert any("the line inferred = true" in q for q in analysis.questions) is is_marked
    # That a route is flat was the reason not to link it: it is no second sign of the same.
    assert bool(claims_of(hypothesis, Aspect.CONTROL, Stance.FOR)) is not is_marked


def test_a_mark_on_a_route_that_did_not_fail_does_not_matter() -> None:
    routes = tuple(
        replace(r, basis=Basis.INFERRED) if r.path == "/items" else r for r in TOPOLOGY.routes
    )
    hypothesis = the(lock_analysis(replace(TOPOLOGY, routes=routes)), Kind.LOCK_BLOCKING)
    assert hypothesis.verdict is Verdict.SUPPORTED


def test_what_an_inferred_topology_leaves_out_may_exist() -> None:
    """A stated topology without a path contradicts; one that is inferred does not know."""
    apart = "public.elsewhere"
    stated = the(lock_analysis(TOPOLOGY, apart), Kind.LOCK_BLOCKING)
    topology = marked(TOPOLOGY, services=True, routes=True)
    inferred_only = the(lock_analysis(topology, apart), Kind.LOCK_BLOCKING)
    assert stated.verdict is Verdict.CONTRADICTED
    assert inferred_only.verdict is not Verdict.CONTRADICTED
    assert RESERVE in str(topology)


# --- the sample ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Tables, Topology]:
    """The demo's case without its topology, its tables, and the topology as case.json has it."""
    folder: Path = prepare_demo(tmp_path_factory.mktemp("inferred") / "INC-2847")
    case, tables = pipeline.build_tables(folder)
    stated = case.topology
    return replace(reported_case.as_reported(case), topology=Topology()), tables, stated


def test_the_sample_gives_back_what_was_stated_of_it(
    sample: tuple[Case, Tables, Topology],
) -> None:
    case, tables, stated = sample
    found = infer_topology(case, tables)

    def facts(topology: Topology) -> set[tuple[str, str, str]]:
        """Each value as one fact; Datadog spells methods in lower case."""
        parts: list[Service | Route] = [*topology.services, *topology.routes]
        known = {
            (part.name, key, str(value).casefold())
            for part in parts
            for key in ("grpc", "tables", "calls", "follows")
            for value in getattr(part, key, ())
        }
        known |= {(s.name, "pool_size", str(s.pool_size)) for s in topology.services}
        return {fact for fact in known if fact[2] != "none"}

    assert facts(found.topology) == facts(stated)
    limits = {r.name: r.timeout_seconds for r in found.topology.routes if r.timeout_seconds}
    assert limits == {"GET /api/inventory/{sku}": 29.0}
    left = json.dumps([(i.table, i.key) for i in found.left_out])
    for name in ("services.pricing", "services.fulfillment-worker", "routes.GET /api/orders/{id}"):
        assert name in left


def test_a_report_with_the_inferred_topology_says_no_less_than_one_without(
    sample: tuple[Case, Tables, Topology],
) -> None:
    case, tables, _ = sample
    topology = infer_topology(case, tables).topology
    without = analyse(case, tables)
    with_it = analyse(replace(case, topology=topology), tables)
    confirmed = analyse(
        replace(case, topology=marked(topology, services=False, routes=False)), tables
    )
    # Retries need to know which routes call what, so they are told of only with a topology.
    known = [h for h in with_it.hypotheses if h.kind is not Kind.RETRY_STORM]
    pairs = list(zip(without.hypotheses, known, strict=True))
    assert [(a.kind, a.role, a.verdict) for a, _ in pairs] == [
        (b.kind, b.role, b.verdict) for _, b in pairs
    ]
    assert all(len(b.claims) >= len(a.claims) for a, b in pairs)
    assert len(with_it.contradictions) == len(without.contradictions)
    assert all(h.verdict is not Verdict.SUPPORTED for h in with_it.hypotheses)
    first = confirmed.hypotheses[0]
    assert (first.kind, first.verdict) == (Kind.LOCK_BLOCKING, Verdict.SUPPORTED)
