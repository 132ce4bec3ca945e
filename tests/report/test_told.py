"""Answers, cascade, options and ways to fail: what they say of cases that are not the usual one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from incident_rca.model import (
    Analysis,
    Impact,
    Kind,
    Role,
    Route,
    SourceState,
    Topology,
    Uncited,
    Verdict,
)
from incident_rca.report.answers import answers
from incident_rca.report.cascade import steps, sustained
from incident_rca.report.failure_modes import failure_modes, not_judged
from incident_rca.report.glossary import TERMS, terms_in
from incident_rca.report.options import Option, options
from incident_rca.report.summary import Sentence
from tests.report.incident import about_another_outage


def plain(told: tuple[Sentence, ...]) -> str:
    return "\n".join(sentence.plain for sentence in told)


def answer(analysis: Analysis, question: str) -> tuple[str, str]:
    """What is said to a question, and what is not recorded."""
    (found,) = [a for a in answers(analysis) if a.question.startswith(question)]
    return plain(found.told), found.not_recorded


def option(analysis: Analysis, name: str) -> Option:
    (found,) = [o for o in options(analysis) if name in o.name]
    return found


def without(analysis: Analysis, *roles: Role) -> Analysis:
    kept = tuple(h for h in analysis.hypotheses if h.role not in roles)
    return replace(analysis, hypotheses=kept)


def test_without_an_outage_nothing_is_told(analysis: Analysis) -> None:
    calm = replace(analysis, outage=None)
    assert answers(calm) == () and steps(calm) == () and sustained(calm) == ()
    assert options(calm) == () and failure_modes(calm) == ()


@pytest.mark.parametrize("part", [answers, steps, options])
def test_no_evidence_no_sentence(analysis: Analysis, part: object) -> None:
    assert callable(part) and analysis.outage is not None
    bare = tuple(replace(e, evidence=()) for e in analysis.endpoints)
    outage = replace(analysis.outage, evidence=())
    with pytest.raises(Uncited):
        part(replace(without(analysis, Role.TRIGGER), endpoints=bare, outage=outage))


def test_no_trigger_is_said_and_no_path_made_up(analysis: Analysis) -> None:
    found = steps(without(analysis, Role.TRIGGER))
    assert found[0].lead == "What may have started it"
    assert plain(found[0].told).startswith("What started the outage is not known")
    assert "How that reaches the requests" not in [step.lead for step in found]


def test_the_cascade_of_one_outage_tells_nothing_of_another(analysis: Analysis) -> None:
    text = "\n".join(plain(step.told) for step in steps(about_another_outage(analysis)))
    assert "H1" not in text and "H2" not in text
    assert "CREATE INDEX" not in text and "is not known" in text
    assert "First 502 on POST /api/orders" in text


def test_a_coincident_lock_is_no_step(analysis: Analysis) -> None:
    text = "\n".join(plain(step.told) for step in steps(analysis))
    assert "CREATE INDEX takes ShareLock" in text and "audit_log" not in text


def test_a_lock_that_is_contradicted_ends_nothing(analysis: Analysis) -> None:
    def ended(verdict: Verdict) -> str:
        lock = replace(analysis.hypotheses[0], role=Role.CONTRIBUTING, verdict=verdict)
        changed = replace(analysis, hypotheses=(lock, *analysis.hypotheses[1:]))
        (found,) = [plain(s.told) for s in steps(changed) if s.lead == "How it ended"]
        return found

    assert "Lock released" in ended(Verdict.WEAK)
    assert "Lock released" not in ended(Verdict.CONTRADICTED)
    assert "Lock released" not in ended(Verdict.INSUFFICIENT)


def test_a_change_that_began_before_is_a_start(analysis: Analysis) -> None:
    leads = {step.lead: plain(step.told) for step in steps(analysis)}
    assert "14:22:58: Migration 0042 started." in leads["What may have started it"]
    assert "Deploy of search" not in "\n".join(leads.values())
    denied = tuple(
        replace(h, verdict=Verdict.INSUFFICIENT) if h.kind is Kind.CHANGE else h
        for h in analysis.hypotheses
    )
    text = "\n".join(plain(s.told) for s in steps(replace(analysis, hypotheses=denied)))
    assert "Migration 0042" not in text


def test_what_sustained_it(analysis: Analysis) -> None:
    assert "H2 explains 1,157 s (82.8 % of the outage)." in plain(sustained(analysis))
    assert plain(sustained(without(analysis, Role.SUSTAINER))) == (
        "No hypothesis qualifies as the sustainer: H1 explains 240 s (17.2 % of the outage); "
        "unexplained: 0 s (0 % of the outage)."
    )
    nothing = replace(without(analysis, Role.SUSTAINER, Role.TRIGGER), unexplained_seconds=1397.0)
    assert plain(sustained(nothing)) == (
        "No hypothesis qualifies as the sustainer; unexplained: 1,397 s (100 % of the outage)."
    )


def test_what_was_not_logged_or_not_whole_is_the_least(analysis: Analysis) -> None:
    said, _ = answer(analysis, "How many")
    assert "more than its log holds" not in said and "the least" not in said
    sources = tuple(
        replace(s, state=SourceState.PARTIAL) if s in analysis.case.gateway_logs else s
        for s in analysis.case.sources
    )
    less = replace(analysis, failures_not_logged=31, case=replace(analysis.case, sources=sources))
    said, _ = answer(less, "How many")
    assert "The gateway counted 31 more than its log holds." in said
    assert "so this is the least that failed" in said


def test_a_route_that_follows_is_told_as_it_was_logged(analysis: Analysis) -> None:
    said, unknown = answer(analysis, "Was something done")
    assert said == "" and unknown.startswith("what the requests that failed had written")
    routes = (
        Route(method="POST", path="/api/payments/intent", follows=("POST /api/orders",)),
        Route(method="GET", path="/api/orders/{id}", follows=("GET /api/orders",)),
    )
    topology = Topology(routes=routes)
    known = replace(analysis, case=replace(analysis.case, topology=topology))
    said, _ = answer(known, "Was something done")
    assert said == (
        "POST /api/payments/intent, which follows the success of POST /api/orders: no request was "
        "logged in the outage."
    )
    some = tuple(
        replace(e, requests=3, failed=1) if e.route == "/api/payments/intent" else e
        for e in analysis.endpoints
    )
    said, _ = answer(replace(known, endpoints=some), "Was something done")
    assert said.endswith("3 requests were logged in the outage, 1 failed.")


def test_a_post_is_never_called_safe(analysis: Analysis) -> None:
    said, unknown = answer(analysis, "Is it safe")
    assert said.startswith("GET /api/inventory/{sku}: yes") and "POST" not in said
    assert unknown.startswith("whether POST /api/orders may be: ")
    assert analysis.outage is not None
    ongoing = replace(analysis, outage=replace(analysis.outage, ongoing=True))
    assert answer(ongoing, "Is it safe")[0].endswith("what is tried again now meets it as well.")


def test_latency_that_nobody_recorded_is_not_recorded(analysis: Analysis) -> None:
    said, unknown = answer(analysis, "How long")
    assert "POST /api/orders: p99 about 30,004 ms in the outage, about 51 ms before." in said
    assert unknown == ""
    bare = tuple(replace(e, p99_ms=None) for e in analysis.endpoints)
    said, unknown = answer(replace(analysis, endpoints=bare), "How long")
    assert said == "" and unknown == "of POST /api/orders, GET /api/inventory/{sku}."


def test_failing_fast_spares_little_where_failures_were_fast(analysis: Analysis) -> None:
    slow = option(analysis, "breaker")
    assert "about 30,004 ms, usually 51 ms, which failing at once spares" in plain(slow.speaks_for)
    fast = tuple(replace(e, p99_ms=60.0) for e in analysis.endpoints)
    quick = option(replace(analysis, endpoints=fast), "breaker")
    assert "spares little" in plain(quick.limits) and "p99" not in plain(quick.speaks_for)


def test_a_queue_is_for_writes(analysis: Analysis) -> None:
    queue = option(analysis, "queue")
    assert plain(queue.speaks_for).startswith("1,247 failing requests of POST /api/orders may be")
    assert "310 failing requests of GET /api/inventory/{sku} are reads" in plain(queue.limits)
    reads = tuple(e for e in analysis.endpoints if e.method == "GET")
    only = option(replace(analysis, endpoints=reads), "queue")
    assert only.speaks_for == () and "would have waited" not in plain(only.limits)


def test_a_cause_that_does_not_hold_is_no_limit(analysis: Analysis) -> None:
    lock = "H1 (wait for a lock, inventory.public.stock_reservations)"
    for name in ("breaker", "queue", "mesh"):
        assert lock in plain(option(analysis, name).limits)
    weak = tuple(
        replace(h, verdict=Verdict.INSUFFICIENT) if h.role is Role.TRIGGER else h
        for h in analysis.hypotheses
    )
    for name in ("breaker", "queue", "mesh"):
        assert "H1" not in plain(option(replace(analysis, hypotheses=weak), name).limits)


def test_more_traffic_is_what_a_guard_does_take_away(analysis: Analysis) -> None:
    surge = tuple(
        replace(h, kind=Kind.TRAFFIC_SURGE) if h.role is Role.TRIGGER else h
        for h in analysis.hypotheses
    )
    for name in ("breaker", "queue", "mesh"):
        assert "H1" not in plain(option(replace(analysis, hypotheses=surge), name).limits)


@pytest.mark.parametrize(
    ("verdict", "role", "part"),
    [
        (Verdict.SUPPORTED, Role.TRIGGER, "yes, candidate trigger"),
        (Verdict.WEAK, Role.SUSTAINER, "perhaps, candidate sustainer"),
        (Verdict.INSUFFICIENT, Role.CONTRIBUTING, "not known"),
        (Verdict.CONTRADICTED, Role.COINCIDENT, "none, coincident"),
        (Verdict.CONTRADICTED, Role.RULED_OUT, "none"),
    ],
)
def test_the_part_of_a_way_to_fail(
    analysis: Analysis, verdict: Verdict, role: Role, part: str
) -> None:
    first = replace(analysis.hypotheses[0], verdict=verdict, role=role)
    modes = failure_modes(replace(analysis, hypotheses=(first, *analysis.hypotheses[1:])))
    assert modes[0].name == "wait for a lock" and modes[0].part == part


def test_what_was_not_judged_is_named(analysis: Analysis) -> None:
    named = not_judged(analysis)
    assert "deadlock" in named and "wait for a lock" not in named
    judged = {mode.name for mode in failure_modes(analysis)}
    assert not judged & set(named)
    assert "connection pool used up" in not_judged(about_another_outage(analysis))


def test_an_outage_that_ends_with_its_trigger_does_not_outlast_it(analysis: Analysis) -> None:
    name = "an outage that outlasts its trigger"
    assert name in [mode.name for mode in failure_modes(analysis)]
    alone = without(analysis, Role.SUSTAINER)
    assert name not in [mode.name for mode in failure_modes(alone)]


def test_endpoints_as_usual_are_in_no_answer(analysis: Analysis) -> None:
    few = tuple(
        replace(e, failed=1, impact=Impact.UNAFFECTED) if e.route == "/api/orders/{id}" else e
        for e in analysis.endpoints
    )
    said = "\n".join(plain(a.told) for a in answers(replace(analysis, endpoints=few)))
    assert "/api/orders/{id}" not in said


def test_terms_are_found_as_words_and_the_longest_first() -> None:
    names = [t.name for t in terms_in("ACCESS SHARE, deadlines, p99; xp99 OKAY INTERNALS-x")]
    assert names == ["ACCESS SHARE", "deadline", "p99"]
    assert terms_in("") == ()
    assert [t.name for t in terms_in(" ; ".join(TERMS))] == list(TERMS)
