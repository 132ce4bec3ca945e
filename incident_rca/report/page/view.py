"""What the templates of the page may name: the analysis, rows made from it, ways to write them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from incident_rca.analysis.lock_words import held_in
from incident_rca.model import (
    Analysis,
    Claim,
    Evidence,
    Hypothesis,
    Premise,
    Role,
    SourceState,
    Stance,
    System,
)
from incident_rca.report import what_if, wording
from incident_rca.report.actions import actions
from incident_rca.report.consoles import links
from incident_rca.report.contract import SCHEMA_VERSION, numbered_claims
from incident_rca.report.highlights import key_events, rows_on_screen
from incident_rca.report.impact import measures
from incident_rca.report.incomplete_sources import warnings as gaps
from incident_rca.report.numbers import percent
from incident_rca.report.page.failed_call import call_in_words, decisions
from incident_rca.report.page.swept_settings import panel
from incident_rca.report.page.timeline import charts
from incident_rca.report.state_rows import UNEXPLAINED, state_rows
from incident_rca.report.summary import best_of, has_support, of_role, sentences, support_of
from incident_rca.report.tree import basis_words, ended_words, waited_for
from incident_rca.window import format_duration, format_instant

ASIDE = (Role.COINCIDENT, Role.RULED_OUT)
# A row of a table shows so many ids, and the others when it is asked to.
IDS_IN_CELL = 3


@dataclass(frozen=True, slots=True)
class Cite:
    """A link to a piece of evidence."""

    id: str
    system: System


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the outage that goes to one cause; `start` and `width` are percent of it."""

    cause: str
    words: str
    anchor: str
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class CitedBy:
    """A place that rests on a piece of evidence."""

    label: str
    anchor: str


def view(analysis: Analysis) -> dict[str, Any]:
    """The names of the templates."""
    clock = wording.Clock.of(analysis)
    events = set(key_events(analysis, rows_on_screen(analysis)))
    return {
        "a": analysis,
        "case": analysis.case,
        "outage": analysis.outage,
        "schema_version": SCHEMA_VERSION,
        "clock": clock,
        "words": wording,
        "instant": format_instant,
        "duration": format_duration,
        "percent": percent,
        "cites": _cites_of(analysis),
        "ids_in_cell": IDS_IN_CELL,
        "summary": sentences(analysis),
        "has_support": has_support(analysis),
        "gaps": gaps(analysis),
        "measures": measures(analysis),
        "events": [(event, event in events) for event in analysis.timeline],
        "ranked": [h for h in analysis.hypotheses if h.role not in ASIDE],
        "aside": of_role(analysis, *ASIDE),
        "best_trigger": best_of(analysis, Role.TRIGGER),
        "best_sustainer": best_of(analysis, Role.SUSTAINER),
        "support_of": support_of,
        "claims_of": _claims_of,
        "explains": lambda h: wording.explains(analysis, h.explains_seconds, h.incident),
        "shares": shares(analysis),
        "states": state_rows(analysis),
        "actions": actions(analysis),
        "call": call_in_words(analysis),
        "decisions": decisions(analysis),
        "what_if": what_if,
        "premise_cites": lambda premise: _premise_cites(analysis, premise),
        "cited_by": _cited_by(analysis),
        "held_in": lambda episode: held_in(episode, explained=True),
        "waited_for": waited_for,
        "ended_words": ended_words,
        "basis_words": basis_words,
        "knows_locks": _knows_locks(analysis),
        "sections": _sections(analysis),
        "charts": charts(analysis),
        "links": links(analysis.case),
        "panel": panel(analysis.sweep) if analysis.sweep else None,
    }


def _knows_locks(analysis: Analysis) -> bool:
    """Whether a source that tells of locks was read: else that none is seen says nothing."""
    read = (SourceState.OK, SourceState.PARTIAL)
    return any(s.system is System.POSTGRES and s.state in read for s in analysis.case.sources)


def _sections(analysis: Analysis) -> tuple[tuple[str, str], ...]:
    """The sections of the page by their anchors, with their titles."""
    return (
        ("summary", "Summary"),
        ("timeline", "Timeline"),
        ("causes", "Causes"),
        ("impact", "Impact"),
        ("locks", "Locks and connections"),
        *((("flow", "A failed call"),) if decisions(analysis) else ()),
        ("actions", "What to change"),
        ("questions", "Open questions"),
        ("sources", "Data sources and gaps"),
        ("evidence", "Evidence"),
        ("glossary", "Glossary"),
    )


def shares(analysis: Analysis) -> tuple[Share, ...]:
    """The causes of the largest outage one after the other, and what is left without one."""
    if analysis.outage is None or analysis.outage.duration_seconds <= 0:
        return ()
    whole = analysis.outage.duration_seconds
    parts = [
        (h.id, f"{h.id} {h.role.value.replace('_', ' ')}", h.explains_seconds, f"#{h.id}")
        for h in analysis.hypotheses
        if h.explains_seconds > 0 and h.incident == 1
    ]
    parts.append((UNEXPLAINED, UNEXPLAINED, analysis.unexplained_seconds, "#questions"))
    made, start = [], 0.0
    for cause, words, seconds, anchor in parts:
        width = 100 * seconds / whole
        if seconds > 0:
            said = f"{words}: {wording.explains(analysis, seconds)}"
            made.append(Share(cause, said, anchor, round(start, 3), round(width, 3)))
        start += width
    return tuple(made)


def _cites_of(analysis: Analysis) -> Callable[[tuple[Evidence, ...]], tuple[Cite, ...]]:
    def cites(evidence: tuple[Evidence, ...]) -> tuple[Cite, ...]:
        systems = {analysis.evidence_ids[e.digest]: e.system for e in evidence}
        return tuple(Cite(short, systems[short]) for short in analysis.cite(evidence))

    return cites


def _claims_of(hypothesis: Hypothesis) -> list[tuple[str, list[tuple[str, Claim]]]]:
    """The claims for it and those against it, each with its number, under their headings."""
    claims = list(numbered_claims(hypothesis))
    return [
        (heading, [(number, claim) for number, claim in claims if claim.stance is stance])
        for heading, stance in (("For", Stance.FOR), ("Against", Stance.AGAINST))
    ]


def _premise_cites(analysis: Analysis, premise: Premise) -> tuple[Cite, ...]:
    known = tuple(e for e in premise.evidence if e.digest in analysis.evidence_ids)
    return _cites_of(analysis)(known) if known else ()


def _cited_by(analysis: Analysis) -> dict[str, list[CitedBy]]:
    """By the digest of a piece of evidence, the claims and findings that rest on it."""
    places: dict[str, list[CitedBy]] = defaultdict(list)
    for hypothesis in analysis.hypotheses:
        for number, claim in numbered_claims(hypothesis):
            for evidence in dict.fromkeys(claim.evidence):
                places[evidence.digest].append(CitedBy(number, f"#{number}"))
    for action in actions(analysis):
        for evidence in dict.fromkeys(action.finding.evidence):
            places[evidence.digest].append(CitedBy(action.id, f"#{action.id}"))
    return places
