"""Hypotheses over all kinds: surges, deadlocks, seconds explained, ids, and tables that lack."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca import pipeline, reported_case
from incident_rca.analysis.analyse import analyse
from incident_rca.analysis.attribution import attribute
from incident_rca.analysis.evidence import short_ids
from incident_rca.analysis.verdicts import Candidate
from incident_rca.demo import prepare_demo
from incident_rca.model import (
    Analysis,
    Aspect,
    Basis,
    Case,
    Claim,
    ErrorBurst,
    Evidence,
    Hypothesis,
    Kind,
    Role,
    SourceState,
    Span,
    Stance,
    System,
    TimeWindow,
    Verdict,
)
from incident_rca.report.contract import to_json
from incident_rca.report.markdown import to_markdown
from incident_rca.tables import TABLE_NAMES, Tables
from tests.analysis.cases import (
    OUTAGE,
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
    second_of,
    served,
    steps,
    the,
    usual,
    with_source,
)

SEEN = Evidence(
    system=System.GATEWAY, source="s", at=Span.at(at(0)), seen="x", file="raw/f", rows=(1, 1)
)


# --- deadlocks ------------------------------------------------------------------------------------


def logged(second: float, kind: str, sqlstate: str | None = None) -> Row:
    """One line of the server's log."""
    return {
        "at": at(second),
        "kind": kind,
        "pid": 5,
        "database": "shop",
        "sqlstate": sqlstate,
        "message": kind,
    }


def with_log(*events: Row) -> Analysis:
    """The usual outage beside these lines of the server's log."""
    return analysed(failures=OUTAGE, gateway=counted(OUTAGE), server_events=events)


def test_a_deadlock_in_the_log_speaks_for_one() -> None:
    analysis = with_log(logged(-1, "deadlock", "40P01"), logged(0, "error", "23505"))
    found = the(analysis, Kind.DEADLOCK)
    assert claims_of(found, "mechanism", Stance.FOR)
    assert found.role is not Role.RULED_OUT
    # One system without a path to what failed never supports.
    assert found.verdict is Verdict.INSUFFICIENT


def test_a_log_without_a_deadlock_rules_it_out() -> None:
    found = the(with_log(logged(0, "error", "23505")), Kind.DEADLOCK)
    assert (found.role, found.verdict) == (Role.RULED_OUT, Verdict.CONTRADICTED)


def test_a_deadlock_outside_of_the_window_is_none() -> None:
    analysis = with_log(logged(-90_000, "deadlock", "40P01"), logged(0, "error", "23505"))
    assert not [h for h in of_kind(analysis, Kind.DEADLOCK) if h.role is not Role.RULED_OUT]


def test_without_a_log_it_is_not_known_whether_there_was_a_deadlock() -> None:
    case = made_case(states={"postgresql": SourceState.SKIPPED})
    found = the(analysed(case, failures=OUTAGE, gateway=counted(OUTAGE)), Kind.DEADLOCK)
    assert found.verdict is Verdict.INSUFFICIENT


# --- traffic --------------------------------------------------------------------------------------


def with_traffic(before: int, recent: int) -> Analysis:
    """The usual outage after so many requests a second, and so many in the last two minutes."""
    rows = [served(second, requests=before) for second in steps(-600, -120, 1)]
    rows += [served(second, requests=recent) for second in steps(-120, 0, 1)]
    return analysed(failures=OUTAGE, gateway=[*rows, *counted(OUTAGE)])


@pytest.mark.parametrize(("recent", "rose"), [(10, False), (19, False), (24, True), (80, True)])
def test_twice_the_usual_traffic_is_a_surge(recent: int, rose: bool) -> None:
    found = the(with_traffic(10, recent), Kind.TRAFFIC_SURGE)
    assert bool(claims_of(found, "mechanism", Stance.FOR)) is rose
    assert bool(claims_of(found, "mechanism", Stance.AGAINST)) is not rose
    assert (found.role is Role.RULED_OUT) is not rose
    assert found.verdict is (Verdict.INSUFFICIENT if rose else Verdict.CONTRADICTED)


def test_more_requests_after_the_first_failure_are_no_surge() -> None:
    rows = usual("GET /items", requests=10, every=1)
    rows += [served(s, requests=500) for s in steps(1, 100, 1)]
    found = the(analysed(failures=OUTAGE, gateway=[*rows, *counted(OUTAGE)]), Kind.TRAFFIC_SURGE)
    assert found.role is Role.RULED_OUT


@pytest.mark.parametrize(("took_ms", "rose"), [(200.0, False), (6_000.0, True)])
def test_a_rise_with_the_first_failure_counts_until_that_has_ended(
    took_ms: float, rose: bool
) -> None:
    """Nobody can try again before a request has failed: its first seconds are of new callers."""
    failures = failing(steps(0, 121, 2), latency_ms=took_ms)
    rows = [served(second, requests=10) for second in steps(-600, 0, 1)]
    rows += [served(second, requests=50) for second in steps(0, 100, 1)]
    analysis = analysed(failures=failures, gateway=[*rows, *counted(failures)])
    found = the(analysis, Kind.TRAFFIC_SURGE)
    assert bool(claims_of(found, "mechanism", Stance.FOR)) is rose


def test_callers_that_come_at_each_full_minute_are_no_surge() -> None:
    failures = failing(steps(0, 121, 2), latency_ms=8_000.0)
    lumps = [served(s + late, requests=60) for s in steps(-600, 200, 60) for late in (0, 7)]
    steady = [served(s, "GET /other") for s in steps(-600, 200, 1)]
    analysis = analysed(failures=failures, gateway=[*lumps, *steady, *counted(failures)])
    assert the(analysis, Kind.TRAFFIC_SURGE).role is Role.RULED_OUT


@pytest.mark.parametrize(("name", "rose"), [("POST /orders", True), ("POST /mail", False)])
def test_a_rise_on_the_routes_of_what_was_overrun_is_a_surge(name: str, rose: bool) -> None:
    """Two in three requests more in all, four times as many on one route."""
    rows = [served(s, "GET /other", requests=18) for s in steps(-600, 200, 1)]
    rows += [served(s, name, requests=20 if s >= -60 else 5) for s in steps(-600, 100, 1)]
    analysis = analysed(
        failures=OUTAGE,
        gateway=[*rows, *counted(OUTAGE)],
        metrics=p99(levels(100, 8_000, -50, 120)),
    )
    found = the(analysis, Kind.TRAFFIC_SURGE)
    assert bool(claims_of(found, "mechanism", Stance.FOR)) is rose


def test_a_log_that_begins_late_shows_no_surge() -> None:
    """Minutes that the log does not cover are not minutes without requests."""
    case = with_source(
        made_case(), "access", lambda s: replace(s, covered=TimeWindow(at(-120), at(600)))
    )
    rows = [served(second, requests=60) for second in steps(-120, 0, 1)]
    analysis = analysed(case, failures=OUTAGE, gateway=[*rows, *counted(OUTAGE)])
    for found in of_kind(analysis, Kind.TRAFFIC_SURGE):
        assert not claims_of(found, "mechanism", Stance.FOR)


# --- changes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("until", [None, -5.0, -1.0])
def test_a_change_may_have_no_end(until: float | None) -> None:
    change: Row = {
        "at": at(-5),
        "until": None if until is None else at(until),
        "kind": "deployment",
        "name": "d1",
        "title": "deploys stock",
        "service": "stock",
    }
    analysis = analysed(failures=OUTAGE, gateway=counted(OUTAGE), changes=[change])
    found = the(analysis, Kind.CHANGE)
    assert found.verdict is not Verdict.SUPPORTED
    assert found.explains_seconds == 0
    assert to_json(analysis)


def test_a_change_of_a_service_that_nothing_failing_calls_is_contradicted() -> None:
    change: Row = {"at": at(-5), "until": at(-5), "kind": "deployment", "name": "d1"}
    change = {**change, "title": "deploys mail", "service": "mail"}
    analysis = analysed(failures=OUTAGE, gateway=counted(OUTAGE), changes=[change])
    found = the(analysis, Kind.CHANGE)
    assert (found.role, found.verdict) == (Role.COINCIDENT, Verdict.CONTRADICTED)


# --- seconds explained ----------------------------------------------------------------------------

MILLISECONDS = st.integers(-100_000, 300_000).map(lambda ms: ms / 1000)
INTERVALS = st.tuples(MILLISECONDS, st.one_of(st.none(), st.integers(0, 200_000))).map(
    lambda pair: (pair[0], None if pair[1] is None else pair[0] + pair[1] / 1000)
)


@st.composite
def candidates(draw: st.DrawFn) -> Candidate:
    """A hypothesis of any role and verdict that was active at some time, or at none."""
    active = draw(st.one_of(st.none(), INTERVALS))
    claim = Claim(
        text="t",
        stance=Stance.FOR,
        aspect=Aspect.PATH,
        basis=Basis.OBSERVED,
        evidence=(SEEN,),
    )
    hypothesis = Hypothesis(
        kind=Kind.UNKNOWN,
        object="o",
        role=draw(st.sampled_from([Role.TRIGGER, Role.SUSTAINER, *Role])),
        verdict=draw(st.sampled_from(Verdict)),
        statement="s",
        claims=(claim,),
    )
    if active is None:
        return Candidate(hypothesis=hypothesis)
    end = None if active[1] is None else at(active[1])
    return Candidate(hypothesis=hypothesis, active=(at(active[0]), end))


def outage_of(seconds: float, *, ongoing: bool = False) -> ErrorBurst:
    """An outage of so many seconds."""
    return ErrorBurst(
        start=Span.at(at(0)),
        onset=Span.at(at(0)),
        end=Span(at(seconds), None if ongoing else at(seconds)),
        duration_seconds=seconds,
        ongoing=ongoing,
        failures=2,
        blips=(),
        evidence=(SEEN,),
    )


def seconds_held(found: Sequence[Candidate], outage: ErrorBurst) -> float:
    """How long one of these held: by the middle of each second, the last of which is shorter."""
    duration, total, second = outage.duration_seconds, 0.0, 0
    while second < duration:
        length = min(1.0, duration - second)
        middle = at(second + length / 2)
        spans = [c.active for c in found if c.active]
        if any(start <= middle and (end is None or middle < end) for start, end in spans):
            total += length
        second += 1
    return total


@given(
    found=st.lists(candidates(), max_size=6),
    duration=st.integers(0, 120_000).map(lambda ms: ms / 1000),
    ongoing=st.booleans(),
)
def test_seconds_add_up_and_never_overlap(
    found: list[Candidate], duration: float, ongoing: bool
) -> None:
    """To the outage's duration: each second to a trigger, else to a sustainer, else to nothing."""
    outage = outage_of(duration, ongoing=ongoing)
    explained, unexplained = attribute(found, outage)
    total = sum(h.explains_seconds for h in explained)
    assert total + unexplained == pytest.approx(duration, abs=1e-6)
    assert [replace(h, explains_seconds=0.0) for h in explained] == [c.hypothesis for c in found]
    may = [c for c in found if c.hypothesis.verdict in (Verdict.SUPPORTED, Verdict.WEAK)]
    triggers = [c for c in may if c.hypothesis.role is Role.TRIGGER]
    sustainers = [c for c in may if c.hypothesis.role is Role.SUSTAINER]
    by_triggers = sum(h.explains_seconds for h in explained if h.role is Role.TRIGGER)
    assert by_triggers == pytest.approx(seconds_held(triggers, outage), abs=1e-6)
    assert total == pytest.approx(seconds_held([*triggers, *sustainers], outage), abs=1e-6)


@given(found=st.lists(candidates(), max_size=3))
def test_without_an_outage_nothing_is_explained(found: list[Candidate]) -> None:
    explained, unexplained = attribute(found, None)
    assert unexplained == 0
    assert all(h.explains_seconds == 0 for h in explained)


# --- evidence and its ids -------------------------------------------------------------------------

LOCKS = blocked(-1, 60)
METRICS = [
    *p99(levels(20, 30_000, 30, 130)),
    *codes(40, internal=9),
    *gauge(levels(5, 100, 20, 110)),
]


def whole(**more: Sequence[Row]) -> Analysis:
    """An incident with a lock, a pool and latencies, and more rows of any table."""
    rows = {
        "failures": OUTAGE,
        "gateway": [*counted(OUTAGE), *usual("GET /items")],
        "locks": LOCKS,
        "metrics": METRICS,
    }
    return analysed(None, **{k: [*rows.get(k, ()), *more.get(k, ())] for k in {*rows, *more}})


UNRELATED: Mapping[str, Sequence[Row]] = {
    "locks": blocked(200, 230, relation="public.letters", holder=9, first_pid=900),
    "changes": [
        {"at": at(-400), "until": at(-400), "kind": "flag", "name": "f", "title": "a flag"}
    ],
    "metrics": p99(levels(20, 900, 300, 400), service="mail.mail", method="send"),
    "server_events": [logged(-9, "error", "23505")],
}


@pytest.mark.parametrize("name", UNRELATED)
def test_ids_stay_when_unrelated_evidence_comes(name: str) -> None:
    before, after = whole(), whole(**{name: UNRELATED[name]})
    assert len(after.evidence) > len(before.evidence)
    for digest, known in before.evidence_ids.items():
        assert digest in after.evidence_ids
        assert after.evidence_ids[digest].startswith(known)


def test_every_citation_has_one_evidence() -> None:
    analysis = whole()
    ids = list(analysis.evidence_ids.values())
    assert len(ids) == len(set(ids)) == len(analysis.evidence)
    written = json.loads(to_json(analysis))
    assert {e["id"] for e in written["evidence"]} == set(ids)
    cited = set(re.findall(r"\b[LMGCS][0-9a-f]{4,}\b", json.dumps(written["hypotheses"])))
    assert cited <= set(ids)


class _Digested(Evidence):
    """Evidence whose hash is what its text says, so that hashes can be made to collide."""

    @property
    def digest(self) -> str:
        return self.seen


PREFIXES = st.lists(
    st.tuples(
        st.sampled_from(["", "abcd", "abcde", "abcdef0123", "a" * 40, "f" * 48]),
        st.integers(0, 40),
        st.sampled_from(System),
    ),
    max_size=25,
)


@given(made=PREFIXES, added=PREFIXES)
@settings(max_examples=60)
def test_short_ids_are_unique_prefixes_that_only_grow(
    made: list[tuple[str, int, System]], added: list[tuple[str, int, System]]
) -> None:
    def evidence(rows: list[tuple[str, int, System]]) -> list[Evidence]:
        found = {}
        for prefix, number, system in rows:
            digest = (prefix + hashlib.sha256(f"{number}{system}".encode()).hexdigest())[:64]
            found[digest] = _Digested(
                system=system, source="s", at=Span.at(at(0)), seen=digest, file="f", rows=None
            )
        return list(found.values())

    few, many = short_ids(evidence(made)), short_ids(evidence([*made, *added]))
    for ids in (few, many):
        assert len(set(ids.values())) == len(ids)
        assert all(digest.startswith(short[1:]) for digest, short in ids.items())
        assert all(5 <= len(short) <= 65 for short in ids.values())
        for short in ids.values():
            assert not any(o != short and o.startswith(short) for o in ids.values())
    assert all(many[digest].startswith(short) for digest, short in few.items())
    assert short_ids(reversed(evidence(made))) == few


# --- phases ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [-500, 20, 300])
@pytest.mark.parametrize("locks", [[], LOCKS])
def test_each_phase_ends_where_the_next_begins(start: float, locks: list[Row]) -> None:
    analysis = analysed(
        failures=OUTAGE,
        gateway=counted(OUTAGE),
        locks=locks,
        metrics=gauge(levels(5, 100, start, start + 90)),
    )
    phases = analysis.phases
    order = ["lead_up", "trigger", "propagation", "sustained", "recovery"]
    assert [p.name for p in phases] == [n for n in order if n in {p.name for p in phases}]
    for one, two in pairwise(phases):
        assert one.end == two.start, [(p.name, second_of(p.start)) for p in phases]
    is_known = any(h.role is Role.TRIGGER for h in analysis.hypotheses)
    assert ("trigger" in {p.name for p in phases}) == is_known


# --- tables that lack -----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Tables]:
    """The demo's case and its tables."""
    folder = prepare_demo(tmp_path_factory.mktemp("tables") / "INC-2847")
    case, tables = pipeline.build_tables(folder)
    return reported_case.with_absent_systems(case), tables


CHANCE = random.Random(2847)
SUBSETS = [
    *((name,) for name in TABLE_NAMES),
    *combinations(TABLE_NAMES, 2),
    *(tuple(n for n in TABLE_NAMES if CHANCE.random() < 0.6) for _ in range(30)),
    TABLE_NAMES,
]


@pytest.mark.parametrize("emptied", sorted(set(SUBSETS)), ids="+".join)
def test_any_table_may_be_empty(emptied: tuple[str, ...], sample: tuple[Case, Tables]) -> None:
    case, tables = sample
    left = replace(tables, **{name: getattr(tables, name).iloc[:0] for name in emptied})
    analysis = analyse(case, left)
    assert to_markdown(analysis)
    report = json.loads(to_json(analysis))
    explained = sum(h["explains"]["seconds"] for h in report["hypotheses"])
    if analysis.outage is None:
        assert "failures" in emptied
        assert explained == report["unexplained"]["seconds"] == 0
    else:
        assert explained + report["unexplained"]["seconds"] == 1397
    for found in analysis.hypotheses:
        assert found.verdict is not Verdict.SUPPORTED or len(found.systems) >= 2
    if "locks" in emptied:
        locks = of_kind(analysis, Kind.LOCK_BLOCKING)
        assert all(h.verdict is not Verdict.SUPPORTED for h in locks)


@pytest.mark.parametrize("state", [SourceState.FAILED, SourceState.SKIPPED])
def test_nothing_is_supported_without_the_gateway(state: SourceState) -> None:
    case = made_case(states={"access": state})
    analysis = analysed(case, locks=LOCKS, metrics=METRICS)
    assert all(h.verdict is not Verdict.SUPPORTED for h in analysis.hypotheses)
    assert all(h.explains_seconds == 0 for h in analysis.hypotheses)
