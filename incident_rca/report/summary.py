"""The few sentences and warnings that a reader sees first; every sentence cites evidence."""

from __future__ import annotations

from dataclasses import dataclass

from incident_rca.model import (
    Analysis,
    Claim,
    EndpointImpact,
    ErrorBurst,
    Evidence,
    Hypothesis,
    Impact,
    Kind,
    Role,
    Stance,
    Uncited,
    Verdict,
)
from incident_rca.report.numbers import grouped, percent, stretch
from incident_rca.report.wording import (
    Clock,
    by_status,
    end_of_record,
    explains,
    other_outage,
    sources_count,
)
from incident_rca.window import format_duration


class Code(str):
    """A value of a sentence that the document shows as code: a route, a relation."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Sentence:
    """A pattern of our own with `{}` for each of its values, and the evidence that carries it."""

    pattern: str
    values: tuple[str, ...]
    evidence: tuple[Evidence, ...]

    def __post_init__(self) -> None:
        if not self.evidence:
            raise Uncited(f"cites no evidence: {self.pattern!r}")

    @property
    def plain(self) -> str:
        return self.pattern.format(*self.values)


def sentences(analysis: Analysis) -> tuple[Sentence, ...]:
    """What users saw, what may have started it, what kept it going, what is open; at most six, and
    one more for each further outage.
    """
    outage = analysis.outage
    if outage is None:
        return _no_outage(analysis)
    made = [
        _what_users_saw(analysis, outage),
        _other_endpoints(analysis),
        _began_earlier(analysis, outage) or _before(analysis, outage),
        _trigger(analysis, outage),
        _sustainer(analysis),
        _state(analysis, outage),
        *(
            Sentence("Apart from it, {}.", (other_outage(analysis, other),), other.outage.evidence)
            for other in analysis.other_incidents
        ),
    ]
    return tuple(sentence for sentence in made if sentence is not None)


def without_outage(analysis: Analysis) -> tuple[Sentence, ...]:
    """What is known where no outage was found, for every place that would tell of one; else ()."""
    return sentences(analysis) if analysis.outage is None else ()


def has_support(analysis: Analysis) -> bool:
    """Whether any hypothesis is supported by the data."""
    return any(h.verdict is Verdict.SUPPORTED for h in analysis.hypotheses)


def of_role(analysis: Analysis, *roles: Role) -> tuple[Hypothesis, ...]:
    """The hypotheses with one of `roles`, best first."""
    return tuple(h for h in analysis.hypotheses if h.role in roles)


def best_of(analysis: Analysis, role: Role) -> Hypothesis | None:
    """The best hypothesis of a role about the largest outage; another outage has its own."""
    return next((h for h in of_role(analysis, role) if h.incident == 1), None)


def support_of(hypothesis: Hypothesis) -> tuple[Evidence, ...]:
    """One piece of evidence a claim, those for it first: enough to start reading from."""
    ordered = sorted(hypothesis.claims, key=lambda claim: claim.stance.value, reverse=True)
    return tuple(dict.fromkeys(claim.evidence[0] for claim in ordered))


def _what_users_saw(analysis: Analysis, outage: ErrorBurst) -> Sentence:
    clock = Clock.of(analysis)
    worst = _worst(analysis)
    when = (
        clock.span(outage.start),
        f"{outage.start.first:%Y-%m-%d}",
        format_duration(outage.duration_seconds),
    )
    ended = f"the end of {end_of_record(analysis)[0]}" if outage.ongoing else clock.span(outage.end)
    until = f"{'or earlier ' if outage.onset.lo is None else ''}to {ended}"
    if worst is None or not worst.requests:
        return Sentence(
            "{} requests failed (HTTP 5xx) from {} {} UTC on {} ({}).",
            (grouped(outage.failures), when[0], until, *when[1:]),
            outage.evidence,
        )
    share = percent(worst.failed / worst.requests)
    return Sentence(
        "Users of {} got HTTP {} from {} {} UTC on {} ({}): {} of its {} requests failed ({}).",
        (
            Code(worst.name),
            by_status(worst.by_status) or "5xx",
            when[0],
            until,
            *when[1:],
            grouped(worst.failed),
            grouped(worst.requests),
            share,
        ),
        outage.evidence,
    )


def _other_endpoints(analysis: Analysis) -> Sentence | None:
    worst = _worst(analysis)
    others = [e for e in analysis.endpoints if e is not worst]
    if not others:
        return None
    values: list[str] = []
    phrases: list[str] = []
    # Of what nobody asked for, and of which nothing usual is known, nobody knows.
    silent = [e for e in others if not e.requests and e.baseline_per_minute is None]
    well = [e for e in others if e.impact is Impact.UNAFFECTED and e not in silent]
    for group, words in (
        ([e for e in others if e.impact is Impact.FAILED], "also failed"),
        ([e for e in others if e.impact is Impact.STARVED], "stopped receiving requests"),
        ([e for e in others if e.impact is Impact.DEGRADED], "{was} degraded"),
        (well, "{was} not affected"),
        (silent, "received no request"),
    ):
        if group:
            was = "was" if len(group) == 1 else "were"
            phrases.append(f"{_listed(group)} {words.format(was=was)}")
            for endpoint in group:
                values.append(Code(endpoint.name))
                if endpoint.failed:
                    values.append(f"{grouped(endpoint.failed)} of {grouped(endpoint.requests)}")
    evidence = tuple(dict.fromkeys(e for endpoint in others for e in endpoint.evidence))
    return Sentence("; ".join(phrases) + ".", tuple(values), evidence)


def _worst(analysis: Analysis) -> EndpointImpact | None:
    """The endpoint with the largest share of failures, as the analysis ranks them."""
    return next((e for e in analysis.endpoints if e.failed), next(iter(analysis.endpoints), None))


def _listed(endpoints: list[EndpointImpact]) -> str:
    places = ["{} ({})" if endpoint.failed else "{}" for endpoint in endpoints]
    return places[0] if len(places) == 1 else ", ".join(places[:-1]) + f" and {places[-1]}"


def _began_earlier(analysis: Analysis, outage: ErrorBurst) -> Sentence | None:
    """That the beginning is not in the evidence, so nothing of it can tell what came first."""
    if outage.onset.lo is not None:
        return None
    return Sentence(
        "When it began is not known: too little is recorded before {} UTC to tell that nothing "
        "failed then. What began it may lie before; --from takes an earlier window.",
        (Clock.of(analysis).span(outage.start),),
        outage.evidence,
    )


def _before(analysis: Analysis, outage: ErrorBurst) -> Sentence | None:
    """That the status of the outage was not seen before it, with what was read to say so."""
    worst = _worst(analysis)
    statuses = sorted(worst.by_status) if worst else []
    used = [b for b in analysis.baselines if not set(statuses) & set(b.failures_by_status)]
    if not statuses or not used or len(used) < len(analysis.baselines):
        return None
    seconds = sum((b.end - b.start).total_seconds() for b in used)
    return Sentence(
        "In the {} before, none of {} recorded requests got HTTP {}.",
        (
            stretch(seconds),
            grouped(sum(b.records for b in used)),
            " or ".join(map(str, statuses)),
        ),
        tuple(e for b in used for e in b.evidence),
    )


def _trigger(analysis: Analysis, outage: ErrorBurst) -> Sentence:
    best = best_of(analysis, Role.TRIGGER)
    if best is None:
        return no_trigger(analysis, outage)
    is_supported = best.verdict is Verdict.SUPPORTED
    opening = "Candidate trigger" if is_supported else "The best candidate trigger, not supported:"
    return Sentence(
        opening + " {}: {} Verdict {}, {}; it explains {}.",
        (
            best.id,
            _closed(best.statement),
            best.verdict.value,
            sources_count(best),
            explains(analysis, best.explains_seconds),
        ),
        support_of(best),
    )


def no_trigger(analysis: Analysis, outage: ErrorBurst) -> Sentence:
    """That nothing qualifies as the trigger of the largest outage, and what may hide it."""
    pattern = "What started the outage is not known: no hypothesis qualifies as the trigger."
    hidden = _what_hides_it(analysis)
    if hidden is None:
        return Sentence(pattern, (), outage.evidence)
    return Sentence(f"{pattern[:-1]}; {{}}.", (hidden.text,), hidden.evidence)


def _what_hides_it(analysis: Analysis) -> Claim | None:
    """What the hypothesis about the rest names last: a cause that holds, but may have a deeper."""
    rest = (h for h in analysis.hypotheses if h.kind is Kind.UNKNOWN and h.incident == 1)
    named = [c for h in rest for c in h.claims if c.stance is Stance.AGAINST]
    return named[-1] if named else None


def _sustainer(analysis: Analysis) -> Sentence | None:
    best = best_of(analysis, Role.SUSTAINER)
    if best is None:
        return None
    explained = f"it explains {explains(analysis, best.explains_seconds)}"
    if not best.explains_seconds:
        explained = "it held while the trigger did, to which those seconds go"
    return Sentence(
        "What may have kept it going, {}: {} Verdict {}, {}; {}.",
        (
            best.id,
            _closed(best.statement),
            best.verdict.value,
            sources_count(best),
            explained,
        ),
        support_of(best),
    )


def _closed(statement: str) -> str:
    return statement.strip().rstrip(".") + "."


def _state(analysis: Analysis, outage: ErrorBurst) -> Sentence:
    clock = Clock.of(analysis)
    unexplained = explains(analysis, analysis.unexplained_seconds)
    if outage.ongoing:
        return Sentence(
            f"Unexplained: {{}}. The outage was still going on when {end_of_record(analysis)[0]} "
            "ended, at {} UTC.",
            (unexplained, clock.time(end_of_record(analysis)[1])),
            outage.evidence,
        )
    return Sentence(
        "Unexplained: {}. The outage is over: its last failing request arrived at {} UTC.",
        (unexplained, clock.span(outage.end)),
        outage.evidence,
    )


def _no_outage(analysis: Analysis) -> tuple[Sentence, ...]:
    evidence = _something_seen(analysis)
    if not evidence:
        return ()
    if not analysis.case.was_log_read:
        return (
            Sentence(
                "Whether users saw an outage cannot be told: this case holds no gateway log.",
                (),
                evidence,
            ),
        )
    if analysis.failures_not_logged:
        return (
            Sentence(
                "Whether users saw an outage cannot be told: the gateway counted {} more failures "
                "(HTTP 5xx) than its log holds.",
                (grouped(analysis.failures_not_logged),),
                evidence,
            ),
        )
    recorded = analysis.case.recorded
    if recorded is None:
        return (
            Sentence(
                "Whether users saw an outage cannot be told: the gateway's log holds nothing of "
                "this window.",
                (),
                evidence,
            ),
        )
    burst = ", in no burst" if analysis.failed_requests else ""
    is_whole = analysis.case.is_recorded_whole
    rest = "." if is_whole else "; the rest of the window is not recorded."
    return (
        Sentence(
            f"No outage was found from {{}} to {{}}: {{}} of {{}} requests failed (HTTP 5xx){burst}"
            f"{rest}",
            (
                f"{recorded.start:%Y-%m-%d %H:%M:%S}",
                f"{recorded.end:%Y-%m-%d %H:%M:%S} UTC",
                grouped(analysis.failed_requests) if analysis.failed_requests else "none",
                grouped(analysis.requests),
            ),
            evidence,
        ),
        *_silence(analysis),
    )


def _silence(analysis: Analysis) -> tuple[Sentence, ...]:
    """That requests stopped coming, which may be an outage that no status shows."""
    if not analysis.starvations:
        return ()
    clock = Clock.of(analysis)
    names = [Code(name) for name in dict.fromkeys(s.name for s in analysis.starvations)]
    return (
        Sentence(
            f"But requests of {', '.join('{}' for _ in names)} stopped coming, first at {{}} UTC: "
            "nobody asked, or what was asked hung and was never logged.",
            (*names, clock.span(analysis.starvations[0].onset)),
            tuple(e for s in analysis.starvations for e in s.evidence),
        ),
    )


def _something_seen(analysis: Analysis) -> tuple[Evidence, ...]:
    seen = [*analysis.looked_at, *(e for p in analysis.endpoints for e in p.evidence)]
    seen += [e for baseline in analysis.baselines for e in baseline.evidence]
    return tuple(dict.fromkeys(seen or analysis.evidence[:3]))
