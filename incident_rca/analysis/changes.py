"""The `changes` table -> changes, each with the evidence of its events."""

from __future__ import annotations

from dataclasses import dataclass

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.model import Case, Evidence, Span, System
from incident_rca.tables import Tables


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
    found = []
    for position in range(len(inside)):
        row = inside.iloc[[position]]
        first = row.iloc[0]
        start, end = instant(first["at"]), instant(first["until"])

        def text(column: str, row: object = first) -> str:
            value = row[column]  # type: ignore[index]
            return value if isinstance(value, str) else ""

        found.append(
            Change(
                name=text("name"),
                kind=text("kind"),
                title=text("title"),
                service=text("service"),
                application=text("application"),
                start=Span(start, start),
                end=Span(end, end),
                evidence=rows_as_evidence(
                    row,
                    system=System.CHANGES,
                    at=Span(start, end, "first to last event of the change"),
                    seen=f"{text('kind')}: {text('title')} ({text('service') or 'no service'})",
                    first="row",
                ),
            )
        )
    return tuple(found)
