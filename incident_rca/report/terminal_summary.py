"""What is read first in a terminal, on a wide screen as on a phone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from incident_rca.model import Analysis, Hypothesis, Impact, Role, Severity
from incident_rca.redact import plain
from incident_rca.report import wording
from incident_rca.report.incomplete_sources import warnings
from incident_rca.report.numbers import grouped, percent
from incident_rca.report.sparklines import sparklines
from incident_rca.report.summary import best_of, has_support, sentences, without_outage
from incident_rca.report.terminal import VERDICT_STYLE
from incident_rca.window import format_duration

ENDPOINTS_SHOWN = 5
ERROR_TYPES_SHOWN = 6
HYPOTHESES_SHOWN = 6
RULES_SHOWN = 4
# Below these a table breaks the names of relations, of routes, and of anything.
WIDTH_OF_HYPOTHESES, WIDTH_OF_ENDPOINTS, WIDTH_OF_LABELS = 100, 80, 60

_IMPACT_STYLE = {
    Impact.FAILED: "bold red",
    Impact.STARVED: "red",
    Impact.DEGRADED: "yellow",
    Impact.UNAFFECTED: "green",
}
WARNING = "Warning"
Fact = tuple[str, Text]


def summary(
    analysis: Analysis, written: Mapping[str, str], width: int = 100, *, is_ascii: bool = False
) -> RenderableType:
    """The screen that an engineer reads first; `written` names each output and where it is."""
    parts: list[RenderableType] = [*_heading(analysis), Text()]
    if drawn := sparklines(analysis, width, is_ascii=is_ascii):
        parts += [*(Text(line, no_wrap=True) for line in drawn), Text()]
    if analysis.endpoints:
        is_wide = width >= WIDTH_OF_ENDPOINTS
        parts += [_endpoint_table(analysis) if is_wide else _endpoint_list(analysis), Text()]
    if analysis.error_types:
        parts += [_error_types(analysis), Text()]
    if analysis.hypotheses:
        is_wide = width >= WIDTH_OF_HYPOTHESES
        parts += [_hypothesis_table(analysis) if is_wide else _hypothesis_list(analysis), Text()]
    facts = [*_facts(analysis), *((name, Text(plain(path, 300))) for name, path in written.items())]
    parts += [_fact_table(facts) if width >= WIDTH_OF_LABELS else _fact_list(facts)]
    return Group(*parts)


def _heading(analysis: Analysis) -> list[RenderableType]:
    case, outage, clock = analysis.case, analysis.outage, wording.Clock.of(analysis)
    window = f"{case.window.start:%Y-%m-%d} {clock.window(case.window)} UTC"
    when = [Text(f"Window {window} ({format_duration(case.window.seconds)})")]
    if outage is not None:
        end = ", still going on" if outage.ongoing else f" to {clock.span(outage.end)}, over"
        length = format_duration(outage.duration_seconds)
        when.append(Text(f"Outage {length}: {clock.span(outage.start)}{end}"))
    first = without_outage(analysis) or sentences(analysis)[:1]
    said = [Text(plain(sentence.plain, 300)) for sentence in first]
    return [
        Text(f"{plain(case.id, 40)}  {plain(case.title, 120)}".rstrip(), style="bold"),
        *when,
        *(said or [Text("This case holds no evidence, so nothing can be said.")]),
    ]


def _endpoint_table(analysis: Analysis) -> Group:
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
    return Group(table, *_left_out(len(analysis.endpoints) - ENDPOINTS_SHOWN))


def _endpoint_list(analysis: Analysis) -> Group:
    shown: list[RenderableType] = []
    for endpoint in analysis.endpoints[:ENDPOINTS_SHOWN]:
        impact = wording.impact_words(endpoint), _IMPACT_STYLE[endpoint.impact]
        counted = f"; {grouped(endpoint.requests)} requests, {wording.failed_of(endpoint)} failed"
        shown += [
            Text(plain(endpoint.name, 100), overflow="fold"),
            _indented(Text.assemble(impact, counted)),
        ]
    return Group(*shown, *_left_out(len(analysis.endpoints) - ENDPOINTS_SHOWN))


def _error_types(analysis: Analysis) -> Group:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("error type", overflow="fold")
    for error in analysis.error_types[:ERROR_TYPES_SHOWN]:
        share, status = percent(error.share), str(error.status)
        table.add_row(*map(Text, (grouped(error.count), share, status, plain(error.type, 100))))
    return Group(table, *_left_out(len(analysis.error_types) - ERROR_TYPES_SHOWN))


def _hypothesis_table(analysis: Analysis) -> Group:
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
            Text(_about(hypothesis)),
            Text(wording.role_name(hypothesis)),
            Text(hypothesis.verdict.value, style=VERDICT_STYLE[hypothesis.verdict]),
            Text(str(len(hypothesis.systems))),
            Text(f"{grouped(hypothesis.explains_seconds)} s"),
        )
    return Group(table, *_left_out(len(analysis.hypotheses) - HYPOTHESES_SHOWN))


def _hypothesis_list(analysis: Analysis) -> Group:
    shown: list[RenderableType] = []
    for hypothesis in analysis.hypotheses[:HYPOTHESES_SHOWN]:
        verdict = hypothesis.verdict.value, VERDICT_STYLE[hypothesis.verdict]
        explains = f"; explains {grouped(hypothesis.explains_seconds)} s"
        number = len(hypothesis.systems)
        about = f"{_about(hypothesis)}; {number} source{'s' * (number != 1)}"
        shown += [
            Text.assemble(f"{hypothesis.id} {wording.role_name(hypothesis)}, ", verdict, explains),
            _indented(Text(about, overflow="fold")),
        ]
    return Group(*shown, *_left_out(len(analysis.hypotheses) - HYPOTHESES_SHOWN))


def _facts(analysis: Analysis) -> Iterator[Fact]:
    if analysis.outage and not has_support(analysis):
        yield "No cause", Text("No hypothesis is supported by the data.")
    for label, role in (("Candidate", Role.TRIGGER), ("Kept going", Role.SUSTAINER)):
        if (best := best_of(analysis, role)) is not None:
            yield label, Text(f"{best.id}: {plain(best.statement, 300)}")
    for other in analysis.other_incidents:
        yield "Apart from it", Text(wording.other_outage(analysis, other))
    if analysis.outage is not None:
        unexplained = wording.explains(analysis, analysis.unexplained_seconds)
        yield "Unexplained", Text(unexplained)
    if analysis.contradictions:
        first = plain(analysis.contradictions[0].statement, 260)
        number = len(analysis.contradictions)
        yield "Does not fit", Text(f"{number}; first: {first}" if number > 1 else first)
    if analysis.findings:
        yield "Findings", _findings(analysis)
    for gap in warnings(analysis):
        text = f"{plain(gap.name, 60)}: {plain(gap.state, 100)}. Cost: {plain(gap.cost, 160)}"
        yield WARNING, Text(text)


def _fact_table(facts: Sequence[Fact]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, said in facts:
        table.add_row(_label(label), said)
    return table


def _fact_list(facts: Sequence[Fact]) -> Group:
    return Group(*(Text.assemble(_label(label), ": ", said) for label, said in facts))


def _label(label: str) -> Text:
    return Text(label, style="bold yellow" if label == WARNING else "bold")


def _findings(analysis: Analysis) -> Text:
    counts = Counter(finding.severity for finding in analysis.findings)
    tally = ", ".join(f"{counts[s]} {s.value}" for s in Severity if counts[s])
    ordered = sorted(analysis.findings, key=lambda f: wording.SEVERITY_ORDER.index(f.severity))
    rules = Counter(plain(finding.rule, 60) for finding in ordered)
    named = (f"{rule} ({n})" if n > 1 else rule for rule, n in list(rules.items())[:RULES_SHOWN])
    return Text(f"{tally}: {', '.join(named)}")


def _about(hypothesis: Hypothesis) -> str:
    return f"{hypothesis.kind.value}, {plain(hypothesis.object, 100)}"


def _indented(text: Text) -> Padding:
    return Padding(text, (0, 0, 0, 3))


def _left_out(number: int) -> Iterator[Text]:
    if number > 0:
        yield Text(f"+ {number} more in the report", style="dim")
