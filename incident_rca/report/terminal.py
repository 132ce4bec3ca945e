"""The analysis as rich renderables: the timeline, what held, a hypothesis with its rows."""

from __future__ import annotations

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
    Role,
    SourceState,
    Stance,
    System,
    Verdict,
)
from incident_rca.redact import plain
from incident_rca.report import wording
from incident_rca.report.contract import numbered_claims
from incident_rca.report.sparklines import sparklines
from incident_rca.report.state_rows import state_rows

IDS_SHOWN = 3
TIME_WIDTH = 11
# Five columns of less are too narrow for most words.
WIDTH_OF_COLUMNS = 100
# The times and the systems take 27, and words need as many.
WIDTH_OF_TABLE = 60
COLUMNS = (System.POSTGRES, System.GRPC_METRICS, System.GATEWAY, System.CHANGES, System.SETTINGS)

VERDICT_STYLE = {
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


def timeline(analysis: Analysis, width: int = 100, *, is_ascii: bool = False) -> RenderableType:
    """The series as lines on one axis, as wide as the terminal, above the merged timeline.

    That has a column for each system where there is room for them.
    """
    drawn = sparklines(analysis, width, is_ascii=is_ascii)
    lines = [Text(line, no_wrap=True) for line in drawn]
    if width >= WIDTH_OF_COLUMNS:
        events: RenderableType = _by_system(analysis)
    elif width >= WIDTH_OF_TABLE:
        events = _below_each_other(analysis)
    else:
        events = _list(analysis)
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


def _list(analysis: Analysis) -> Group:
    """The merged timeline for a phone: each event below its time and its system."""
    clock = wording.Clock.of(analysis)
    parts: list[RenderableType] = []
    for event in analysis.timeline:
        parts += [
            Text(f"{clock.span(event.at)}  {wording.SYSTEM_NAMES[event.system]}", style="bold"),
            Padding(_event(analysis, event), (0, 0, 0, 2)),
        ]
    return Group(*parts, Text(_caption(analysis), style="dim italic"))


def _caption(analysis: Analysis) -> str:
    """The zone of the times, and which systems have no event."""
    told = {event.system for event in analysis.timeline}
    silent = [wording.SYSTEM_NAMES[s] for s in COLUMNS[:4] if s not in told]
    return f"UTC. No event from: {', '.join(silent)}." if silent else "UTC."


def _timeline_table(analysis: Analysis) -> Table:
    """A table that begins with the time, and says below which systems have no event."""
    table = Table(box=None, pad_edge=False, caption=_caption(analysis), caption_justify="left")
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
        role = wording.role_name(h)
        if analysis.other_incidents:
            role = f"{role}, outage {h.incident}"
        verdict = Text(h.verdict.value, style=VERDICT_STYLE[h.verdict])
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
        hypothesis.verdict.value, style=VERDICT_STYLE[hypothesis.verdict]
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
