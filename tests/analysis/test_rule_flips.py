"""Each rule of roles and claims: the same evidence with and without what the rule asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import combinations

import pytest

from incident_rca.analysis.roles import DEPTH, SUSTAINERS, SYMPTOMS, with_roles
from incident_rca.analysis.verdicts import Candidate
from incident_rca.model import (
    Analysis,
    Aspect,
    Basis,
    Claim,
    Evidence,
    Hypothesis,
    Kind,
    Role,
    Service,
    SourceState,
    Span,
    Stance,
    System,
    Topology,
    Verdict,
)
from tests.analysis.cases import (
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
    heartbeat,
    levels,
    made_case,
    p99,
    steps,
    the,
    usual,
)

SEEN = Evidence(
    system=System.GATEWAY, source="s", at=Span.at(at(0)), seen="x", file="raw/f", rows=(1, 1)
)
HOLDING = (Verdict.SUPPORTED, Verdict.WEAK)
BY_DEPTH = sorted(DEPTH, key=lambda kind: DEPTH[kind])


def candidate(
    kind: Kind,
    role: Role = Role.TRIGGER,
    verdict: Verdict = Verdict.SUPPORTED,
    *,
    until: float | None = 60.0,
    service: str = "stock",
    hidden: str = "",
) -> Candidate:
    """A hypothesis as its kind proposes it, before roles are given."""
    claim = Claim(
        text="t",
        stance=Stance.FOR,
        aspect=Aspect.PATH,
        basis=Basis.OBSERVED,
        evidence=(SEEN,),
    )
    return Candidate(
        hypothesis=Hypothesis(
            kind=kind, object="o", role=role, verdict=verdict, statement="s", claims=(claim,)
        ),
        active=(at(0), None if until is None else at(until)),
        service=service,
        hidden=hidden,
    )


def roles(*candidates: Candidate) -> list[Role]:
    return [c.hypothesis.role for c in with_roles(candidates)]


# --- roles: what lies deeper ----------------------------------------------------------------------


@pytest.mark.parametrize(("deep", "high"), list(combinations(BY_DEPTH, 2)))
def test_the_deeper_of_two_on_one_path_is_the_trigger(deep: Kind, high: Kind) -> None:
    expected = Role.SYMPTOM if high in SYMPTOMS else Role.CONTRIBUTING
    assert roles(candidate(deep), candidate(high)) == [Role.TRIGGER, expected]
    assert roles(candidate(high), candidate(deep)) == [expected, Role.TRIGGER]


@pytest.mark.parametrize(("deep", "high"), list(combinations(BY_DEPTH, 2)))
def test_without_the_deeper_one_or_apart_from_it_the_other_is_a_trigger(
    deep: Kind, high: Kind
) -> None:
    assert roles(candidate(high)) == [Role.TRIGGER]
    both = [candidate(deep), candidate(high, service="mail")]
    assert roles(*both) == [Role.TRIGGER, Role.TRIGGER]
    gone = candidate(deep, verdict=Verdict.CONTRADICTED)
    assert roles(gone, candidate(high))[1] is Role.TRIGGER


@pytest.mark.parametrize("kind", BY_DEPTH)
@pytest.mark.parametrize("verdict", list(Verdict))
def test_only_what_holds_starts_an_outage(kind: Kind, verdict: Verdict) -> None:
    (role,) = roles(candidate(kind, verdict=verdict))
    may_be_unproven = kind is Kind.LOCK_BLOCKING and verdict is not Verdict.CONTRADICTED
    assert (role is Role.TRIGGER) is (verdict in HOLDING or may_be_unproven)


@pytest.mark.parametrize("kind", [k for k in BY_DEPTH if k is not Kind.LOCK_BLOCKING])
def test_what_may_hide_a_deeper_cause_is_no_trigger(kind: Kind) -> None:
    assert roles(candidate(kind)) == [Role.TRIGGER]
    assert roles(candidate(kind, hidden="nobody watched")) != [Role.TRIGGER]


@pytest.mark.parametrize("kind", BY_DEPTH[BY_DEPTH.index(Kind.LOCK_BLOCKING) + 1 :])
def test_a_lock_of_which_too_little_is_known_keeps_others_from_being_blamed(kind: Kind) -> None:
    lock = candidate(Kind.LOCK_BLOCKING, verdict=Verdict.INSUFFICIENT)
    assert roles(lock, candidate(Kind.DEADLOCK))[1] is Role.TRIGGER
    assert roles(lock, candidate(kind))[1] is not Role.TRIGGER
    assert roles(replace(lock, service="mail"), candidate(kind))[1] is Role.TRIGGER


@pytest.mark.parametrize("kind", sorted(SUSTAINERS))
@pytest.mark.parametrize(
    ("trigger_until", "until", "sustains"),
    [
        (60.0, 90.0, True),
        (60.0, None, True),
        (60.0, 60.0, False),
        (60.0, 30.0, False),
        (None, 90.0, False),
        (None, None, False),
    ],
)
def test_a_sustainer_outlasts_its_trigger(
    kind: Kind, trigger_until: float | None, until: float | None, sustains: bool
) -> None:
    trigger = candidate(Kind.LOCK_BLOCKING, until=trigger_until)
    found = roles(trigger, candidate(kind, Role.SUSTAINER, until=until))
    assert found == [Role.TRIGGER, Role.SUSTAINER if sustains else Role.CONTRIBUTING]


@pytest.mark.parametrize("kind", sorted(SUSTAINERS))
def test_beside_more_traffic_it_need_not(kind: Kind) -> None:
    surge = candidate(Kind.TRAFFIC_SURGE, until=90.0)
    assert roles(surge, candidate(kind, Role.SUSTAINER, until=60.0))[1] is Role.SUSTAINER


@pytest.mark.parametrize("role", [Role.COINCIDENT, Role.RULED_OUT, Role.CONTRIBUTING])
@pytest.mark.parametrize("kind", list(Kind))
def test_what_came_as_no_trigger_becomes_none(kind: Kind, role: Role) -> None:
    assert roles(candidate(kind, role)) == [role]


# --- claims: incidents with and without one thing -------------------------------------------------

WATCHED = [heartbeat(second) for second in steps(-600, 600, 1)]
HUNG = p99(levels(20, 30_000, 0, 130))
FAILED = failing(steps(0, 121, 2))


def incident(
    failed: Sequence[Row] = FAILED,
    *,
    topology: Topology = TOPOLOGY,
    states: dict[str, SourceState] | None = None,
    gateway: Sequence[Row] = (),
    **rows: Sequence[Row],
) -> Analysis:
    """Requests of GET /items that failed for two minutes, watched by a recorder."""
    return analysed(
        made_case(topology=topology, states=states),
        failures=failed,
        gateway=[*usual("GET /items"), *counted(failed), *gateway],
        session_counts=WATCHED,
        **rows,
    )


def lock(**columns: object) -> list[Row]:
    return [{**row, **columns} for row in blocked(-1, 122, waiters=40)]


def verdict_of(analysis: Analysis, kind: Kind) -> Verdict:
    return the(analysis, kind).verdict


def test_modes_that_do_not_conflict_or_are_not_known_make_it_weak() -> None:
    assert verdict_of(incident(locks=lock(), metrics=HUNG), Kind.LOCK_BLOCKING) is (
        Verdict.SUPPORTED
    )
    alone = verdict_of(incident(locks=lock()), Kind.LOCK_BLOCKING)
    assert alone is Verdict.SUPPORTED
    for changed in ({"waiter_mode": "AccessShareLock"}, {"holder_mode": None}):
        assert verdict_of(incident(locks=lock(**changed)), Kind.LOCK_BLOCKING) is Verdict.WEAK


def test_a_relation_that_nothing_failing_depends_on_is_coincident() -> None:
    found = the(incident(locks=lock()), Kind.LOCK_BLOCKING)
    other = the(incident(locks=lock(relation="public.letters")), Kind.LOCK_BLOCKING)
    assert (found.role, found.verdict) == (Role.TRIGGER, Verdict.SUPPORTED)
    assert (other.role, other.verdict) == (Role.COINCIDENT, Verdict.CONTRADICTED)


def test_an_inferred_topology_caps_at_weak() -> None:
    services = tuple(replace(s, basis=Basis.INFERRED) for s in TOPOLOGY.services)
    inferred = replace(TOPOLOGY, services=services)
    found = incident(locks=lock(), topology=inferred)
    assert verdict_of(found, Kind.LOCK_BLOCKING) is Verdict.WEAK


@pytest.mark.parametrize("start", [-1.0, 40.0])
def test_a_wait_that_began_after_the_first_failure_is_contradicted(start: float) -> None:
    found = the(incident(locks=blocked(start, 122, waiters=40)), Kind.LOCK_BLOCKING)
    assert (found.verdict is Verdict.CONTRADICTED) is (start > 0)
    assert bool(claims_of(found, "order", Stance.AGAINST)) is (start > 0)


@pytest.mark.parametrize("end", [125.0, 60.0])
def test_failures_that_go_on_speak_against_the_lock_alone(end: float) -> None:
    found = the(incident(locks=blocked(-1, end, waiters=40)), Kind.LOCK_BLOCKING)
    assert bool(claims_of(found, "recovery", Stance.FOR)) is (end > 120)
    assert bool(claims_of(found, "recovery", Stance.AGAINST)) is (end < 120)


def test_a_route_of_another_service_is_a_control_only_while_it_stays_well() -> None:
    well = usual("POST /mail")
    said = claims_of(the(incident(locks=lock(), gateway=well), Kind.LOCK_BLOCKING), "control", FOR)
    assert any("POST /mail" in claim.text for claim in said)
    ill = failing(steps(0, 121, 2), "POST /mail")
    found = incident([*FAILED, *ill], locks=lock(), gateway=[*well, *counted(ill)])
    said = claims_of(the(found, Kind.LOCK_BLOCKING), "control", FOR)
    assert not any("POST /mail" in claim.text for claim in said)


FOR = Stance.FOR


@pytest.mark.parametrize(("waiters", "fits"), [(40, True), (10, False)])
def test_as_many_waiters_as_failures_are_a_dose(waiters: int, fits: bool) -> None:
    """Forty requests have failed when the pool is full."""
    failed = failing(steps(0, 121, 0.5))
    full = gauge(levels(5, 100, 10, 130))
    found = incident(failed, locks=blocked(-1, 122, waiters=waiters), metrics=full)
    assert bool(claims_of(the(found, Kind.LOCK_BLOCKING), "dose", FOR)) is fits


@pytest.mark.parametrize(("freed", "verdict"), [(120, Verdict.SUPPORTED), (300, Verdict.WEAK)])
def test_a_pool_sustains_for_sure_only_where_its_release_ended_the_failures(
    freed: int, verdict: Verdict
) -> None:
    failed = failing(steps(0, 121, 2), latency_ms=2_000.0)
    metrics = gauge(levels(5, 100, 10, freed))
    found = the(
        incident(failed, locks=blocked(-1, 30, waiters=40), metrics=metrics), Kind.POOL_EXHAUSTION
    )
    assert (found.role, found.verdict) == (Role.SUSTAINER, verdict)


def test_a_service_without_tables_or_pool_hides_no_lock() -> None:
    """Slow calls that nobody watched: blamed only where no lock can be behind them."""
    bare = (Service(name="stock", grpc=TOPOLOGY.services[0].grpc), *TOPOLOGY.services[1:])
    states = {"locks": SourceState.SKIPPED, "postgresql": SourceState.SKIPPED}
    hidden = incident(states=states, metrics=HUNG)
    open_ = incident(states=states, topology=replace(TOPOLOGY, services=bare), metrics=HUNG)
    assert the(hidden, Kind.DEPENDENCY_LATENCY).role is not Role.TRIGGER
    assert the(open_, Kind.DEPENDENCY_LATENCY).role is Role.TRIGGER


def test_codes_beside_no_deadline_rule_one_out() -> None:
    hung = [*HUNG, *codes(60, internal=50)]
    acted = [*HUNG, *codes(60, internal=50, deadline_exceeded=20)]
    found = [the(incident(metrics=metrics), Kind.MISSING_DEADLINE) for metrics in (hung, acted)]
    assert found[0].verdict in HOLDING and found[0].role is Role.CONTRIBUTING
    assert (found[1].verdict, found[1].role) == (Verdict.CONTRADICTED, Role.RULED_OUT)


def test_more_of_one_system_is_one_system() -> None:
    """The gateway is the second system of a lock: without its log nothing is supported."""
    whole = incident(locks=lock())
    partial = incident(locks=lock(), states={"access": SourceState.PARTIAL})
    assert len(the(whole, Kind.LOCK_BLOCKING).systems) == 2
    assert verdict_of(whole, Kind.LOCK_BLOCKING) is Verdict.SUPPORTED
    assert verdict_of(partial, Kind.LOCK_BLOCKING) is Verdict.INSUFFICIENT


@pytest.mark.parametrize("kind", sorted(SUSTAINERS))
@pytest.mark.parametrize(("patience", "is_sustainer"), [(0, True), (19, True), (21, False)])
def test_what_fails_no_longer_than_requests_wait_was_kept_going_by_nothing(
    kind: Kind, patience: float, is_sustainer: bool
) -> None:
    """The trigger is over at 60 s, the last failing request arrives 20 s later."""
    found = with_roles(
        [candidate(Kind.LOCK_BLOCKING), candidate(kind, Role.SUSTAINER, until=90.0)],
        at(80.0),
        timedelta(seconds=patience),
    )
    assert (found[1].hypothesis.role is Role.SUSTAINER) is is_sustainer
