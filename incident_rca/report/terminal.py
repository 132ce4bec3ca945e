"""The analysis as rich renderables: what is read first, the timeline, a hypothesis, the sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from incident_rca.model import (
    Analysis,
    Claim,
    Event,
    Evidence,
    Hypothesis,
    Impact,
    Role,
    Severity,
    SourceState,
    Stance,
    System,
    Verdict,
)
from incident_rca.redact import plain
from incident_rca.report import wording
from incident_rca.report.contract import numbered_claims
from incident_rca.report.numbers import grouped, percent
from incident_rca.report.sparklines import sparklines
from incident_rca.report.state_rows import state_rows
from incident_rca.report.summary import best_of, has_support, sentences, warnings
from incident_rca.window import format_duration

ENDPOINTS_SHOWN = 5
ERROR_TYPES_SHOWN = 6
HYPOTHESES_SHOWN = 6
RULES_SHOWN = 4
IDS_SHOWN = 3
TIME_WIDTH = 11
# Five columns of less are too narrow for most words.
WIDTH_OF_COLUMNS = 100
COLUMNS = (System.POSTGRES, System.GRPC_METRICS, System.GATEWAY, System.CHANGES, System.SETTINGS)

_IMPACT_STYLE = {
    Impact.FAILED: "bold red",
    Impact.STARVED: "red",
    Impact.DEGRADED: "yellow",
    Impact.UNAFFECTED: "green",
}
_VERDICT_STYLE = {
    Verdict.SUPPORTED: "bold green",
    Verdict.WEAK: "yellow",
    Verdict.INSUFFICIENT: "dim",
    Verdict.CONTRADICTED: "red",
}
_STATE_STYLE = {
    SourceState.OK: "green",
    SourceState.EMPTY: "yellow",
    SourceState.PARTIAL: "yellow",
    SourceState.FAILED: "bold red",
    SourceState.SKIPPED: "dim",
}


def summary(analysis: Analysis, *, report_path: str) -> RenderableType:
    """The screen that an engineer reads first."""
    parts: list[RenderableType] = [*_heading(analysis), Text()]
    if analysis.endpoints:
        parts += [_endpoints(analysis)]
    parts += [*_error_types(analysis), Text()]
    if analysis.hypotheses:
        parts += [_hypotheses(analysis), Text()]
    parts += [_facts(analysis, report_path)]
    return Group(*parts)


def timeline(analysis: Analysis, width: int = 100, *, is_ascii: bool = False) -> RenderableType:
    """The series as lines on one axis, as wide as the terminal, above the merged timeline.

    That has a column for each system where there is room for them.
    """
    drawn = sparklines(analysis, width, is_ascii=is_ascii)
    lines = [Text(line, no_wrap=True) for line in drawn]
    events = _by_system(analysis) if width >= WIDTH_OF_COLUMNS else _below_each_other(analysis)
    return Group(*lines, Text(), events) if lines else events


def _by_system(analysis: Analysis) -> Table:
    """The merged timeline, with a column for each system that has an event."""
    told = {event.system for event in analysis.timeline}
    table = _timeline_table(analysis)
    shown = [system for system in COLUMNS if system in told]
    for system in shown:
        table.add_column(wording.SYSTEM_NAMES[system], overflow="fold", ratio=1)
    clock = wording.Clock.of(analysis)
    for event in analysis.timeline:
        cells = (_event(analysis, event) if event.system is system else Text() for system in shown)
        table.add_row(_when(clock, event), *cells)
    return table


def _below_each_other(analysis: Analysis) -> Table:
    """The merged timeline for a narrow terminal, where columns would break every word."""
    table = _timeline_table(analysis)
    table.add_column("system", no_wrap=True)
    table.add_column("event", overflow="fold", ratio=1)
    clock = wording.Clock.of(analysis)
    for event in analysis.timeline:
        name = Text(wording.SYSTEM_NAMES[event.system])
        table.add_row(_when(clock, event), name, _event(analysis, event))
    return table


def _timeline_table(analysis: Analysis) -> Table:
    """A table that begins with the time, and says below which systems have no event."""
    told = {event.system for event in analysis.timeline}
    silent = [wording.SYSTEM_NAMES[s] for s in COLUMNS[:4] if s not in told]
    caption = f"UTC. No event from: {', '.join(silent)}." if silent else "UTC."
    table = Table(box=None, pad_edge=False, caption=caption, caption_justify="left")
    table.add_column("time", no_wrap=True)
    return table


def _when(clock: wording.Clock, event: Event) -> Text:
    """A long span takes two lines, and leaves its width to what happened."""
    at = clock.span(event.at)
    return Text(at.replace("–", "\n–") if len(at) > TIME_WIDTH else at)


def chain(analysis: Analysis) -> Table:
    """Each hypothesis with its role, its verdict and the claim that weighs most."""
    table = Table(box=None, pad_edge=False)
    for name in ("", "role", "verdict", "because"):
        table.add_column(name, overflow="fold", no_wrap=name == "")
    ordered = sorted(
        analysis.hypotheses, key=lambda h: (h.incident, list(Role).index(h.role), h.rank)
    )
    for h in ordered:
        against = [c for c in h.claims if c.stance is Stance.AGAINST]
        is_against = bool(against) and h.verdict in (Verdict.CONTRADICTED, Verdict.INSUFFICIENT)
        claim = against[0] if is_against else h.claims[0]
        ids = wording.ids(analysis, claim.evidence, IDS_SHOWN)
        said = Text(f"{h.kind.value}, {plain(h.object, 100)}: {plain(claim.text, 300)} ")
        role = h.role.value.replace("_", " ")
        if analysis.other_incidents:
            role = f"{role}, outage {h.incident}"
        verdict = Text(h.verdict.value, style=_VERDICT_STYLE[h.verdict])
        table.add_row(Text(h.id), Text(role), verdict, said.append(ids, style="dim"))
    return table


def states(analysis: Analysis) -> Table:
    """What held in each stretch of the outages, and the hypothesis its seconds go to."""
    table = Table(box=None, pad_edge=False)
    for name in ("when", "seconds", "go to", "what held"):
        table.add_column(name, overflow="fold", justify="right" if name == "seconds" else "left")
    for row in state_rows(analysis, limit=len(analysis.states)):
        ids = wording.ids(analysis, row.evidence, IDS_SHOWN)
        said = Text(f"{plain(row.held, 300)} ").append(ids, style="dim")
        table.add_row(Text(row.when), Text(row.seconds), Text(row.cause), said)
    return table


def explanation(
    analysis: Analysis, hypothesis: Hypothesis, would_change: tuple[str, ...] = ()
) -> RenderableType:
    """A hypothesis with its claims, the evidence for each, and the rows behind the evidence."""
    title = f"{hypothesis.id}  {hypothesis.kind.value}  {plain(hypothesis.object)}"
    role = wording.role_words(analysis, hypothesis)
    verdict = Text("verdict ").append(
        hypothesis.verdict.value, style=_VERDICT_STYLE[hypothesis.verdict]
    )
    verdict.append(f": {wording.VERDICT_MEANINGS[hypothesis.verdict]}")
    explained = wording.explains(analysis, hypothesis.explains_seconds, hypothesis.incident)
    parts: list[RenderableType] = [
        Text(title, style="bold"),
        Text(f"{role}; {wording.sources_count(hypothesis)}; explains {explained}"),
        verdict,
        Text(),
        Text(wording.as_sentence(plain(hypothesis.statement, 600))),
    ]
    told: set[str] = set()
    for number, claim in numbered_claims(hypothesis):
        parts += [Text(), _claim(number, claim)]
        for evidence in dict.fromkeys(claim.evidence):
            (short,) = analysis.cite((evidence,))
            parts += _evidence(analysis, short, evidence, short in told)
            told.add(short)
    if hypothesis.confirm_by:
        parts += [Text(), Text(f"How to confirm: {plain(hypothesis.confirm_by, 600)}")]
    if would_change:
        parts += [Text(), Text("What would change the verdict:")]
        parts += [Padding(Text(plain(text, 600)), (0, 0, 0, 2)) for text in would_change]
    return Group(*parts)


def _heading(analysis: Analysis) -> list[RenderableType]:
    case, outage, clock = analysis.case, analysis.outage, wording.Clock.of(analysis)
    window = f"{case.window.start:%Y-%m-%d} {clock.window(case.window)} UTC"
    when = f"Window {window} ({format_duration(case.window.seconds)})"
    if outage is not None:
        end = ", still going on" if outage.ongoing else f" to {clock.span(outage.end)}, over"
        length = format_duration(outage.duration_seconds)
        when += f"   Outage {length}: {clock.span(outage.start)}{end}"
    said = [Text(plain(sentence.plain, 300)) for sentence in sentences(analysis)[:1]]
    return [
        Text(f"{plain(case.id, 40)}  {plain(case.title, 120)}".rstrip(), style="bold"),
        Text(when),
        *(said or [Text("This case holds no evidence, so nothing can be said.")]),
    ]


def _endpoints(analysis: Analysis) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("endpoint", overflow="fold")
    table.add_column("requests", justify="right", no_wrap=True)
    table.add_column("failed", justify="right", no_wrap=True)
    table.add_column("impact", overflow="fold")
    for endpoint in analysis.endpoints[:ENDPOINTS_SHOWN]:
        table.add_row(
            Text(plain(endpoint.name, 100)),
            Text(grouped(endpoint.requests)),
            Text(wording.failed_of(endpoint)),
            Text(wording.impact_words(endpoint), style=_IMPACT_STYLE[endpoint.impact]),
        )
    if len(analysis.endpoints) > ENDPOINTS_SHOWN:
        table.add_row(Text(_more(len(analysis.endpoints) - ENDPOINTS_SHOWN), style="dim"))
    return table


def _error_types(analysis: Analysis) -> list[RenderableType]:
    if not analysis.error_types:
        return []
    shown = analysis.error_types[:ERROR_TYPES_SHOWN]
    table = Table(box=None, pad_edge=False)
    table.add_column("error type", overflow="fold")
    table.add_column("status", no_wrap=True)
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    for error in shown:
        share = percent(error.share)
        row = (plain(error.type, 100), str(error.status), grouped(error.count), share)
        table.add_row(*map(Text, row))
    if len(analysis.error_types) > len(shown):
        table.add_row(Text(_more(len(analysis.error_types) - len(shown)), style="dim"))
    return [Text(), table]


def _hypotheses(analysis: Analysis) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    table.add_column("hypothesis, about", overflow="fold", ratio=1)
    table.add_column("role", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("sources", justify="right", no_wrap=True)
    table.add_column("explains", justify="right", no_wrap=True)
    for hypothesis in analysis.hypotheses[:HYPOTHESES_SHOWN]:
        table.add_row(
            Text(hypothesis.id),
            Text(f"{hypothesis.kind.value}, {plain(hypothesis.object, 100)}"),
            Text(hypothesis.role.value.replace("_", " ")),
            Text(hypothesis.verdict.value, style=_VERDICT_STYLE[hypothesis.verdict]),
            Text(str(len(hypothesis.systems))),
            Text(f"{grouped(hypothesis.explains_seconds)} s"),
        )
    if len(analysis.hypotheses) > HYPOTHESES_SHOWN:
        more = _more(len(analysis.hypotheses) - HYPOTHESES_SHOWN)
        table.add_row(Text(), Text(more, style="dim"))
    return table


def _facts(analysis: Analysis, report_path: str) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    if not has_support(analysis):
        table.add_row("No cause", Text("No hypothesis is supported by the data."))
    for label, role in (("Candidate", Role.TRIGGER), ("Kept going", Role.SUSTAINER)):
        if (best := best_of(analysis, role)) is not None:
            table.add_row(label, Text(f"{best.id}: {plain(best.statement, 300)}"))
    for other in analysis.other_incidents:
        table.add_row("Apart from it", Text(wording.other_outage(analysis, other)))
    if analysis.outage is not None:
        unexplained = wording.explains(analysis, analysis.unexplained_seconds)
        table.add_row("Unexplained", Text(unexplained))
    if analysis.contradictions:
        first = plain(analysis.contradictions[0].statement, 260)
        number = len(analysis.contradictions)
        table.add_row("Does not fit", Text(f"{number}; first: {first}" if number > 1 else first))
    if analysis.findings:
        table.add_row("Findings", _findings(analysis))
    for gap in warnings(analysis):
        text = f"{plain(gap.name, 60)}: {plain(gap.state, 100)}. Cost: {plain(gap.cost, 160)}"
        table.add_row(Text("Warning", style="bold yellow"), Text(text))
    table.add_row("Report", Text(plain(report_path, 300)))
    return table


def _findings(analysis: Analysis) -> Text:
    counts = Counter(finding.severity for finding in analysis.findings)
    tally = ", ".join(f"{counts[s]} {s.value}" for s in Severity if counts[s])
    ordered = sorted(analysis.findings, key=lambda f: wording.SEVERITY_ORDER.index(f.severity))
    rules = Counter(plain(finding.rule, 60) for finding in ordered)
    named = (f"{rule} ({n})" if n > 1 else rule for rule, n in list(rules.items())[:RULES_SHOWN])
    return Text(f"{tally}: {', '.join(named)}")


def _event(analysis: Analysis, event: Event) -> Text:
    text = Text(plain(event.title, 160))
    return text.append(f" {wording.ids(analysis, event.evidence, IDS_SHOWN)}", style="dim")


def _claim(number: str, claim: Claim) -> Text:
    is_for = claim.stance is Stance.FOR
    text = Text(f"{number} ").append(
        "for" if is_for else "against", style="green" if is_for else "red"
    )
    text.append(f", {claim.aspect.value} ({wording.ASPECT_MEANINGS[claim.aspect]})")
    text.append(f", {claim.basis.value}\n{wording.as_sentence(plain(claim.text, 600))}")
    return text


def _evidence(
    analysis: Analysis, short: str, evidence: Evidence, is_told: bool
) -> Iterable[RenderableType]:
    when = wording.Clock.of(analysis).span(evidence.at)
    line = Text(short, style="bold").append(
        f"  {when}  {plain(evidence.seen, 240)}", style="not bold"
    )
    line.append(f"  {plain(wording.rows_of(evidence), 240)}", style="not bold dim")
    yield Padding(line, (0, 0, 0, 2))
    if evidence.excerpt and is_told:
        yield Padding(Text("(its rows stand above)", style="dim"), (0, 0, 0, 4))
        return
    for row in evidence.excerpt:
        yield Padding(Text(plain(row, 420), style="dim"), (0, 0, 0, 4))


def _more(number: int) -> str:
    return f"+ {number} more in the report"
