"""The judge where it must say wrong, and where it must not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest

from incident_rca.analysis.analyse import analyse
from incident_rca.model import Aspect, Claim, Kind, Role, Span, Stance, Verdict
from score.blame import Blame, asserted
from score.cases import Told, told
from score.evidence import collected
from score.judge import judged, matched_onsets, named_by
from score.manifest import instant
from score.plans import SCENES
from score.truth import Expected, TrueIncident, truth_of

ITEMS = "shop.public.items"
INCIDENT = TrueIncident(
    kind="lock_blocking",
    objects=frozenset({ITEMS}),
    expected=Expected.NAME,
    outage=(400.0, 500.0),
    failures=99,
    trigger_seconds=100.0,
    sustained_seconds=None,
    is_ramp=False,
)


@cache
def case(kind: str) -> Told:
    """The first tuning seed of a scene."""
    return told(2 * list(SCENES).index(kind))


def lock_case() -> Told:
    """A case in which the lock is named, as its report says."""
    found = case("index build")
    assert asserted(found.analysis) == (Blame("lock_blocking", ITEMS),)
    return found


def test_right_is_the_cause_and_nothing_beside_it() -> None:
    right, other = Blame("lock_blocking", ITEMS), Blame("backend_failure", "stock.Reserve")
    table = Blame("lock_blocking", "shop.public.bills")
    for blames, is_right, is_wrong, abstains in (
        ([right], True, False, False),
        ([right, other], False, True, False),
        ([table], False, True, False),
        ([other], False, True, False),
        ([], False, False, True),
    ):
        named = named_by(INCIDENT, blames)
        assert (named.is_right, named.is_wrong, named.abstains) == (is_right, is_wrong, abstains)


def test_whoever_is_blamed_for_nothing_is_wrongly_blamed() -> None:
    named = named_by(None, [Blame("lock_blocking", ITEMS)])
    assert (named.expected, named.is_wrong) == (None, True)


def test_only_triggers_that_hold_are_blame() -> None:
    first = lock_case().analysis.hypotheses[0]
    for role, verdict, is_blame in (
        (Role.TRIGGER, Verdict.SUPPORTED, True),
        (Role.TRIGGER, Verdict.WEAK, True),
        (Role.TRIGGER, Verdict.INSUFFICIENT, False),
        (Role.SUSTAINER, Verdict.SUPPORTED, False),
        (Role.SYMPTOM, Verdict.SUPPORTED, False),
    ):
        changed = replace(first, role=role, verdict=verdict)
        analysis = replace(lock_case().analysis, hypotheses=(changed,))
        assert bool(asserted(analysis)) == is_blame, (role, verdict)


def test_another_table_and_another_kind_are_wrong() -> None:
    found = lock_case()
    first = found.analysis.hypotheses[0]
    for changed in (
        replace(first, object="shop.public.bills"),
        replace(first, kind=Kind.BACKEND_FAILURE),
    ):
        analysis = replace(found.analysis, hypotheses=(changed,))
        (named,) = judged(found.plan, found.truth, analysis).named
        assert named.is_wrong and not named.is_right


def test_a_blame_for_an_outage_that_is_not_there_is_wrong() -> None:
    quiet = case("quiet")
    blamed = replace(quiet.analysis, hypotheses=lock_case().analysis.hypotheses[:1])
    judgement = judged(quiet.plan, quiet.truth, blamed)
    assert [n.is_wrong for n in judgement.named] == [True]
    assert judgement.supports_in_quiet
    assert not judged(quiet.plan, quiet.truth, quiet.analysis).supports_in_quiet


def test_a_claim_that_the_cause_came_after_the_failures_is_a_wrong_order() -> None:
    found = lock_case()
    first = found.analysis.hypotheses[0]
    late = Claim(
        text="requests failed 9.0 s before the first session waited",
        stance=Stance.AGAINST,
        aspect=Aspect.ORDER,
        basis=first.claims[0].basis,
        evidence=first.claims[0].evidence,
    )
    analysis = replace(found.analysis, hypotheses=(replace(first, claims=(*first.claims, late)),))
    wrong = [o for o in judged(found.plan, found.truth, analysis).orders if o.is_wrong]
    assert len(wrong) == 1
    assert not [o for o in judged(found.plan, found.truth, found.analysis).orders if o.is_wrong]


def test_a_span_that_lies_elsewhere_is_outside_and_a_wide_one_is_wide() -> None:
    found = lock_case()
    (lock,) = found.analysis.lock_episodes[:1]
    (onset,) = [o for o in found.truth.onsets if o.what == "lock"]
    at = instant(onset.at + found.plan.observation.offsets["postgres"])
    for lo, hi, is_inside in ((-1.0, 1.0, True), (0.5, 1.0, False), (-2.0, -0.5, False)):
        span = Span(at + timedelta(seconds=lo), at + timedelta(seconds=hi))
        changed = replace(found.analysis, lock_episodes=(replace(lock, held_start=span),))
        (seen,) = [o for o in judged(found.plan, found.truth, changed).onsets if o.what == "lock"]
        assert seen.is_inside == is_inside
        assert seen.width == pytest.approx((hi - lo) / onset.resolution)


def test_an_onset_that_a_source_shows_and_nobody_found_is_outside() -> None:
    found = lock_case()
    (onset,) = [o for o in found.truth.onsets if o.what == "lock"]
    assert onset.is_shown
    missed = replace(found.analysis, lock_episodes=())
    (seen,) = [o for o in judged(found.plan, found.truth, missed).onsets if o.what == "lock"]
    assert not seen.is_inside and seen.width is None
    hidden = replace(found.truth, onsets=(replace(onset, is_shown=False),))
    whats = [o.what for o in judged(found.plan, hidden, missed).onsets]
    assert whats == ["outage"]


def test_a_sustainer_that_the_scene_has_none_of_is_a_wrong_blame() -> None:
    found = lock_case()
    first = found.analysis.hypotheses[0]
    for kind, verdict, sustainers, is_wrong in (
        (Kind.POOL_EXHAUSTION, Verdict.SUPPORTED, frozenset[str](), True),
        (Kind.POOL_EXHAUSTION, Verdict.INSUFFICIENT, frozenset[str](), False),
        (Kind.POOL_EXHAUSTION, Verdict.SUPPORTED, frozenset({"pool_exhaustion"}), False),
        (Kind.RETRY_STORM, Verdict.SUPPORTED, frozenset({"pool_exhaustion"}), True),
    ):
        more = replace(first, kind=kind, role=Role.SUSTAINER, verdict=verdict, object="stock")
        analysis = replace(found.analysis, hypotheses=(first, more))
        plan = replace(found.plan, sustainers=sustainers)
        (named,) = judged(plan, found.truth, analysis).named
        assert (named.is_wrong, named.is_right) == (is_wrong, not is_wrong), (kind, verdict)


def test_seconds_that_are_not_explained_are_an_error() -> None:
    found = lock_case()
    (right,) = judged(found.plan, found.truth, found.analysis).explained
    assert right.error < 0.05 * right.true
    first = found.analysis.hypotheses[0]
    halved = replace(first, explains_seconds=first.explains_seconds / 2)
    analysis = replace(found.analysis, hypotheses=(halved,))
    (half,) = judged(found.plan, found.truth, analysis).explained
    assert 0.45 * half.true < half.error < 0.55 * half.true


def test_the_truth_says_abstain_where_the_gateways_log_is_missing() -> None:
    """The same incident, collected without it: nothing is blamed."""
    plan = lock_case().plan
    seen = replace(plan.observation, missing=frozenset({"gateway"}))
    without = replace(plan, observation=seen)
    evidence = collected(without)
    truth = truth_of(without, evidence.simulation)
    assert [i.expected for i in lock_case().truth.incidents] == [Expected.NAME]
    assert [i.expected for i in truth.incidents] == [Expected.ABSTAIN]
    assert asserted(analyse(evidence.case, evidence.tables)) == ()


def test_a_rise_is_the_span_of_the_first_of_what_it_holds_only() -> None:
    found = lock_case()
    truth = found.truth
    latency = next(o for o in truth.onsets if o.what == "latency")
    again = replace(latency, at=latency.at + 5, since=latency.since + 5)
    twice = replace(truth, onsets=(*truth.onsets, again))
    spans = [s for o, s in matched_onsets(found.plan, twice, found.analysis) if o is again]
    assert spans == [None]
    alone = replace(truth, onsets=(again,))
    assert dict(matched_onsets(found.plan, alone, found.analysis))[again] is not None


def test_what_failed_before_its_cause_acted_is_nobodys_to_name() -> None:
    found = lock_case()
    evidence = collected(found.plan)
    served = evidence.simulation.trace.requests
    early = next(r for r in served if r.status >= 500 and not r.is_noise)
    served.append(replace(early, arrival=found.plan.causes[0].start - 60))
    (incident,) = truth_of(found.plan, evidence.simulation).incidents
    assert incident.expected is Expected.OPEN
    assert incident.outage[0] == found.plan.causes[0].start - 60
