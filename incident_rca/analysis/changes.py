"""The `changes` table -> changes, each with the evidence of its events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.frames import values
from incident_rca.model import Case, Evidence, Span, System
from incident_rca.tables import Tables

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    name: str
    kind: str
    title: str
    service: str
    application: str
    start: Span
    end: Span
    evidence: tuple[Evidence, ...]


def changes_in(case: Case, tables: Tables) -> tuple[Change, ...]:
    """The changes that began in the window, in order of time."""
    inside = tables.changes[
        (tables.changes["at"] >= case.window.start) & (tables.changes["at"] < case.window.end)
    ].sort_values(["at", "name"], kind="stable")
    columns = ("at", "until", "kind", "name", "title", "service", "application")
    return tuple(
        _change(inside.iloc[[position]], *cells)
        for position, cells in enumerate(values(inside, *columns))
    )


def _change(row: pd.DataFrame, at: Any, until: Any, *texts: str | None) -> Change:
    kind, name, title, service, application = (text or "" for text in texts)
    start = instant(at)
    end = instant(until) or start
    return Change(
        name=name,
        kind=kind,
        title=title,
        service=service,
        application=application,
        start=Span(start, start),
        end=Span(end, end),
        evidence=rows_as_evidence(
            row,
            system=System.CHANGES,
            at=Span(start, end, "first to last event of the change"),
            seen=f"{kind}: {title} ({service or 'no service'})",
            first="row",
            last="row_last",
        ),
    )
