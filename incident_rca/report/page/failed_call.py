"""What becomes of a call that fails: each decision, and which way the evidence says it went."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from incident_rca.analysis.findings.no_breaker_acted import RULE as NO_BREAKER_ACTED
from incident_rca.analysis.hypotheses.missing_deadline import DEADLINE_EXCEEDED
from incident_rca.analysis.roles import HOLDS
from incident_rca.model import (
    Analysis,
    Answer,
    Aspect,
    Claim,
    Evidence,
    Hypothesis,
    Kind,
    LatencyShift,
    Stance,
    Verdict,
)
from incident_rca.report.numbers import grouped
from incident_rca.report.wording import Clock, failed_of

NOT_TOLD = "Nothing in this case tells."
_NONE: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One question about a failed call, with both ways on; `answer` is the way that was seen."""

    question: str
    answer: Answer
    seen: str
    evidence: tuple[Evidence, ...]
    if_yes: str
    if_no: str


def call_in_words(analysis: Analysis) -> str:
    """The call that the decisions are about: the slowest method, or any call behind the gateway."""
    shift = _slowest(analysis)
    return f"{shift.service}.{shift.method}" if shift else "a call behind the gateway"


def decisions(analysis: Analysis) -> tuple[Decision, ...]:
    """The decisions in the order in which a caller meets them; none where nothing failed."""
    if analysis.outage is None:
        return ()
    made = (_deadline(analysis), _breaker(analysis), _retry(analysis), _connection(analysis))
    return (*made, _answered(analysis))


def _deadline(analysis: Analysis) -> Decision:
    shift = _slowest(analysis)
    known = _about(analysis, Kind.MISSING_DEADLINE, shift.evidence) if shift else None
    answer: Answer = Answer.NOT_RECORDED
    seen, evidence = NOT_TOLD, _NONE
    if shift and (cut := shift.status_counts.get(DEADLINE_EXCEEDED, 0)):
        answer, evidence = Answer.YES, shift.evidence
        seen = f"{grouped(cut)} calls ended with {DEADLINE_EXCEEDED}; calls took "
        seen += f"{shift.plateau_in_words}."
    elif shift and known is not None and known.verdict in HOLDS:
        answer, seen, evidence = Answer.NO, known.statement, shift.evidence
    return Decision(
        question="Does a deadline end the call?",
        answer=answer,
        seen=seen,
        evidence=evidence,
        if_yes="The caller is free at once. A server that stops work gives its connection back.",
        if_no="The caller waits, and holds what it has taken, until somebody else cuts the call.",
    )


def _breaker(analysis: Analysis) -> Decision:
    found = [f for f in analysis.findings if f.rule == NO_BREAKER_ACTED]
    return Decision(
        question="Does a circuit breaker refuse further calls?",
        answer=Answer.NO if found else Answer.NOT_RECORDED,
        seen=" ".join(f.statement for f in found) or NOT_TOLD,
        evidence=_joined(f.evidence for f in found),
        if_yes="Requests fail at once or get a substitute, and the dependency is left in peace.",
        if_no="Each new request makes the call anew and waits as long as the others.",
    )


def _retry(analysis: Analysis) -> Decision:
    storm = _about(analysis, Kind.RETRY_STORM)
    answer: Answer = Answer.NOT_RECORDED
    told: tuple[Claim, ...] = ()
    if storm is not None and storm.verdict is Verdict.SUPPORTED:
        answer, told = Answer.YES, storm.claims
    elif storm is not None and (told := _against_its_mechanism(storm)):
        answer = Answer.NO
    return Decision(
        question="Do callers try again and multiply the load?",
        answer=answer,
        seen=_sentences(claim.text for claim in told) or NOT_TOLD,
        evidence=_joined(claim.evidence for claim in told),
        if_yes="The load grows while the dependency is at its weakest.",
        if_no="The load stays what users bring.",
    )


def _connection(analysis: Analysis) -> Decision:
    pool, blamed = analysis.pool, _about(analysis, Kind.POOL_EXHAUSTION)
    answer: Answer = Answer.NOT_RECORDED
    seen, evidence = NOT_TOLD, _NONE
    if pool is not None:
        clock = Clock.of(analysis)
        answer, evidence = Answer.NO, pool.evidence
        seen = f"The pool of {pool.owner} was full, {pool.size} of {pool.size}, from "
        seen += f"{clock.span(pool.exhausted_at)} to {clock.span(pool.exhausted_until)}."
    elif blamed is not None and (told := _against_its_mechanism(blamed)):
        answer, evidence = Answer.YES, _joined(claim.evidence for claim in told)
        seen = _sentences(claim.text for claim in told)
    return Decision(
        question="Is a connection free for the next call?",
        answer=answer,
        seen=seen,
        evidence=evidence,
        if_yes="Other calls of the service go on.",
        if_no="Calls that need nothing of what is stuck fail as well: the failure spreads.",
    )


def _answered(analysis: Analysis) -> Decision:
    failing = [endpoint for endpoint in analysis.endpoints if endpoint.is_failing]
    seen = "; ".join(f"{e.name}: {failed_of(e)} failed" for e in failing)
    return Decision(
        question="Does the user get an answer that helps?",
        answer=Answer.NO if failing else Answer.NOT_RECORDED,
        seen=f"{seen}." if seen else NOT_TOLD,
        evidence=_joined(endpoint.evidence for endpoint in failing),
        if_yes="A substitute, a queued request, or a clear word when to come again.",
        if_no="An error of the gateway (5xx) after the whole wait.",
    )


def _slowest(analysis: Analysis) -> LatencyShift | None:
    return max(analysis.latency_shifts, key=lambda shift: shift.plateau_ms, default=None)


def _about(analysis: Analysis, kind: Kind, citing: tuple[Evidence, ...] = ()) -> Hypothesis | None:
    """The best hypothesis of a kind about the largest outage, and on that evidence if any."""
    ranked = (h for h in analysis.hypotheses if h.kind is kind and h.incident == 1)
    return next(
        (h for h in ranked if not citing or any(set(citing) & set(c.evidence) for c in h.claims)),
        None,
    )


def _against_its_mechanism(hypothesis: Hypothesis) -> tuple[Claim, ...]:
    """The claims that it did not happen; others only say that it is not the cause."""
    return tuple(
        claim
        for claim in hypothesis.claims
        if claim.stance is Stance.AGAINST and claim.aspect is Aspect.MECHANISM
    )


def _joined(evidence: Iterable[tuple[Evidence, ...]]) -> tuple[Evidence, ...]:
    return tuple(dict.fromkeys(piece for some in evidence for piece in some))


def _sentences(texts: Iterable[str]) -> str:
    return " ".join(f"{text[:1].upper()}{text[1:].rstrip('.')}." for text in texts)
