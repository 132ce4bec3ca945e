"""The questions that are asked after each outage, answered as far as the evidence goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from incident_rca.model import (
    COUNTED_TWICE,
    Analysis,
    EndpointImpact,
    ErrorBurst,
    Kind,
    SourceState,
)
from incident_rca.report import followed
from incident_rca.report.numbers import grouped, percent
from incident_rca.report.summary import Code, Sentence
from incident_rca.report.told import CAUSES, of_kinds, of_statement, told_about
from incident_rca.report.wording import Clock, as_sentence, by_status

# RFC 9110, 9.2.1 and 9.2.2: what a server may be asked for again without doing it twice.
READS = frozenset({"GET", "HEAD", "OPTIONS"})
IDEMPOTENT = READS | {"PUT", "DELETE"}
# What the counts are, by whether some of the logs may count twice and whether some lack requests.
_BOUNDS = {
    (False, True): "The gateway's log is not whole, so this is the least that failed.",
    (True, False): f"Some requests {COUNTED_TWICE}, so this may be more than failed.",
    (True, True): (
        f"Some requests {COUNTED_TWICE} and one of the gateway's logs is not whole, so this may be "
        "more than failed, or less."
    ),
}


@dataclass(frozen=True, slots=True)
class Answered:
    """A question, what the evidence says to it, and what of it is recorded nowhere."""

    question: str
    told: tuple[Sentence, ...]
    not_recorded: str = ""


def answers(analysis: Analysis) -> tuple[Answered, ...]:
    """The questions about the largest outage; none where there is none."""
    outage = analysis.outage
    if outage is None:
        return ()
    failing = [e for e in analysis.endpoints if e.is_failing]
    return (
        Answered("Is it over?", (_is_over(analysis, outage),)),
        Answered("How many requests failed?", tuple(_failed(analysis, outage, failing))),
        _waited(failing),
        Answered(
            "Was something done in part, or charged, though the request failed?",
            tuple(_in_part(analysis, failing)),
            "what the requests that failed had written before, and whether it was kept: no source "
            "of this case reads the rows of tables, or what a payment provider has booked.",
        ),
        _again(analysis, outage, failing),
    )


def _is_over(analysis: Analysis, outage: ErrorBurst) -> Sentence:
    last = followed.last_outage(analysis) or outage
    return Sentence("{}", (followed.state(analysis),), last.evidence)


def _failed(
    analysis: Analysis, outage: ErrorBurst, failing: list[EndpointImpact]
) -> Iterator[Sentence]:
    whole = analysis.requests
    share = f" ({percent(analysis.failed_requests / whole)})" if whole else ""
    counts = (grouped(analysis.failed_requests), grouped(whole))
    yield Sentence(f"{{}} of {{}} requests in the outage{share}.", counts, outage.evidence)
    for e in failing:
        values = (Code(e.name), grouped(e.failed), grouped(e.requests), by_status(e.by_status))
        yield Sentence("{}: {} of {}, with HTTP {}.", values, e.evidence)
    if analysis.failures_not_logged:
        more = (grouped(analysis.failures_not_logged),)
        yield Sentence("The gateway counted {} more than its log holds.", more, outage.evidence)
    partial = [s for s in analysis.case.gateway_logs if s.state is SourceState.PARTIAL]
    if partial:
        is_twice = {COUNTED_TWICE in s.reason for s in partial}
        yield Sentence(_BOUNDS[True in is_twice, False in is_twice], (), outage.evidence)


def _waited(failing: list[EndpointImpact]) -> Answered:
    question = "How long did requests take?"
    told = tuple(
        Sentence("{}: p99 about {} ms in the outage, {}.", (Code(e.name), *_p99(e)), e.evidence)
        for e in failing
        if e.p99_ms is not None
    )
    unknown = [e.name for e in failing if e.p99_ms is None]
    return Answered(question, told, f"of {', '.join(unknown)}." if unknown else "")


def _p99(endpoint: EndpointImpact) -> tuple[str, str]:
    before = endpoint.baseline_p99_ms
    usual = "not known before" if before is None else f"about {before:,.0f} ms before"
    return f"{endpoint.p99_ms or 0:,.0f}", usual


def _in_part(analysis: Analysis, failing: list[EndpointImpact]) -> Iterator[Sentence]:
    by_name = {e.name: e for e in analysis.endpoints}
    failed = {e.name for e in failing}
    for route in analysis.case.topology.routes:
        after = [name for name in route.follows if name in failed]
        endpoint = by_name.get(route.name)
        if after and endpoint is not None:
            counts = "no request was logged in the outage"
            if endpoint.requests:
                counts = f"{grouped(endpoint.requests)} requests were logged in the outage, "
                counts += f"{grouped(endpoint.failed)} failed"
            values = (Code(route.name), Code(after[0]), counts)
            yield Sentence("{}, which follows the success of {}: {}.", values, endpoint.evidence)
    for event in of_kinds(analysis, told_about(analysis, *CAUSES), "sessions_terminated"):
        said = (Clock.of(analysis).span(event.at), as_sentence(event.title))
        pattern = "{}: {} PostgreSQL rolls back what such a session has not committed."
        yield Sentence(pattern, said, event.evidence)


def _again(analysis: Analysis, outage: ErrorBurst, failing: list[EndpointImpact]) -> Answered:
    told: list[Sentence] = []
    for endpoint in failing:
        if endpoint.method.upper() in IDEMPOTENT:
            pattern = "{}: yes by the rules of HTTP, which let {} be repeated (RFC 9110, 9.2.2)."
            values = (Code(endpoint.name), endpoint.method)
            told.append(Sentence(pattern, values, endpoint.evidence))
    retries = (h for h in analysis.hypotheses if h.kind is Kind.RETRY_STORM and h.incident == 1)
    told += [of_statement(h, "Whether callers did: ") for h in retries]
    if outage.ongoing:
        text = "The outage goes on: what is tried again now meets it as well."
        told.append(Sentence(text, (), outage.evidence))
    open_for = [e.name for e in failing if e.method.upper() not in IDEMPOTENT]
    unknown = (
        f"whether {', '.join(open_for)} may be: sent twice it may act twice, unless the server "
        "knows it again, and nothing here tells that it does."
    )
    return Answered("Is it safe to try again?", tuple(told), unknown if open_for else "")
