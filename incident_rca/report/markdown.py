"""The analysis as report.md: generated blocks, and placeholders for what only people know."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from incident_rca.analysis.roles import HOLDS
from incident_rca.model import (
    Analysis,
    Claim,
    Event,
    Hypothesis,
    LatencyShift,
    Premise,
    Role,
    Stance,
)
from incident_rca.redact import plain
from incident_rca.report import blocks, what_if, wording
from incident_rca.report.contract import SCHEMA_VERSION, numbered_claims, to_contract
from incident_rca.report.highlights import key_events, rows_on_screen
from incident_rca.report.impact import measures
from incident_rca.report.numbers import grouped, percent
from incident_rca.report.redactions import in_words
from incident_rca.report.safe_text import (
    NOTHING,
    Markdown,
    code_block,
    code_span,
    escape,
)
from incident_rca.report.state_rows import state_rows
from incident_rca.report.summary import (
    Code,
    Sentence,
    best_of,
    has_support,
    of_role,
    sentences,
    support_of,
    warnings,
)
from incident_rca.report.tree import blocking_tree
from incident_rca.window import format_duration, format_instant

IDS_IN_CELL = 3
IDS_IN_LINE = 6
ASIDE = (Role.COINCIDENT, Role.RULED_OUT)
LANGUAGES = {"postgres": "sql", "gateway": "text", "grpc_metrics": "text"}


def to_markdown(analysis: Analysis) -> str:
    """report.md, the same on each run; its generated blocks carry their hashes."""
    rendered = _environment().get_template("report.md.j2").render(_view(analysis))
    return blocks.seal(rendered)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("incident_rca.report", "templates"),
        # Autoescape is for HTML; `finalize` sees the value of every expression.
        autoescape=False,
        finalize=_finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"code": _code, "short": plain, "sentence": wording.as_sentence}
    return environment


def _finalized(value: object) -> Markdown:
    if isinstance(value, Markdown):
        return value
    if value is None:
        return Markdown(NOTHING)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Markdown(grouped(value))
    return escape(str(value))


def _code(text: str, limit: int = 120) -> Markdown:
    return code_span(plain(text, limit))


def _said(sentence: Sentence) -> Markdown:
    values = (
        code_span(value, in_table=False) if isinstance(value, Code) else escape(value)
        for value in sentence.values
    )
    return Markdown(sentence.pattern.format(*values))


def _view(analysis: Analysis) -> dict[str, Any]:
    """What the template may name: the analysis, rows made from it, ways to write times and ids."""
    clock = wording.Clock.of(analysis)
    limit = rows_on_screen(analysis)
    return {
        "a": analysis,
        "case": analysis.case,
        "outage": analysis.outage,
        "schema_version": SCHEMA_VERSION,
        "clock": clock,
        "instant": format_instant,
        "duration": format_duration,
        "percent": percent,
        "cell_ids": lambda evidence: wording.ids(analysis, evidence, IDS_IN_CELL),
        "line_ids": lambda evidence: wording.ids(analysis, evidence, IDS_IN_LINE),
        "words": wording,
        "summary": [(_said(sentence), sentence.evidence) for sentence in sentences(analysis)],
        "warnings": warnings(analysis),
        "measures": measures(analysis),
        "events": [_event(clock, event) for event in key_events(analysis, limit)],
        "all_events": [_event(clock, event) for event in analysis.timeline],
        "best_trigger": best_of(analysis, Role.TRIGGER),
        "triggers": of_role(analysis, Role.TRIGGER),
        "contributing": [h for h in of_role(analysis, Role.CONTRIBUTING) if h.verdict in HOLDS],
        "ranked": [h for h in analysis.hypotheses if h.role not in ASIDE],
        "aside": of_role(analysis, *ASIDE),
        "has_support": has_support(analysis),
        "support_of": support_of,
        "claims_for": lambda hypothesis: _claims(hypothesis, Stance.FOR),
        "claims_against": lambda hypothesis: _claims(hypothesis, Stance.AGAINST),
        "explains": lambda h: wording.explains(analysis, h.explains_seconds, h.incident),
        "states": state_rows(analysis),
        "findings": _findings(analysis),
        "tried": analysis.what_if,
        "what_if": what_if,
        "premise_ids": lambda premise: _premise_ids(analysis, premise),
        "trees": [code_block(blocking_tree(e, clock)) for e in analysis.lock_episodes],
        "call_codes": [_call_codes(shift) for shift in analysis.latency_shifts],
        "hidden": in_words(to_contract(analysis)),
        "queries": [
            (source.name, code_block(source.query, LANGUAGES.get(source.system.value, "text")))
            for source in analysis.case.sources
            if source.query
        ],
    }


def _premise_ids(analysis: Analysis, premise: Premise) -> Markdown:
    """The ids behind a premise in brackets; that it is assumed where nothing is behind it."""
    ids = what_if.cited(premise, analysis.evidence_ids)
    if not ids:
        return Markdown("" if premise.evidence else " (assumed)")
    return Markdown(f" [{', '.join(ids[:IDS_IN_CELL])}]")


def _event(clock: wording.Clock, event: Event) -> dict[str, Any]:
    return {
        "at": clock.span(event.at),
        "system": wording.SYSTEM_NAMES[event.system],
        "title": event.title,
        "evidence": event.evidence,
    }


def _claims(hypothesis: Hypothesis, stance: Stance) -> list[tuple[str, Claim]]:
    return [
        (number, claim) for number, claim in numbered_claims(hypothesis) if claim.stance is stance
    ]


def _findings(analysis: Analysis) -> list[dict[str, Any]]:
    ordered = sorted(analysis.findings, key=lambda f: wording.SEVERITY_ORDER.index(f.severity))
    return [
        {"id": f"A{number}", "finding": finding, "type": wording.remedy_type(finding.rule)}
        for number, finding in enumerate(ordered, start=1)
    ]


def _call_codes(shift: LatencyShift) -> dict[str, Any]:
    counts = ", ".join(f"{code}: {grouped(n)}" for code, n in sorted(shift.status_counts.items()))
    return {"name": f"{shift.service}.{shift.method}", "counts": counts, "evidence": shift.evidence}
