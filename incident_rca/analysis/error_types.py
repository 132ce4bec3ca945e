"""The failures of the outage by type and status."""

from __future__ import annotations

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.frames import pieces
from incident_rca.analysis.gateway_failures import levels_in
from incident_rca.analysis.load_balancer import SEEN_IN, said_of, witnesses
from incident_rca.analysis.outage import failures_in
from incident_rca.model import ErrorBurst, ErrorType, Span, System
from incident_rca.tables import Tables

UNCLASSIFIED = "unclassified"


def error_types(tables: Tables, outage: ErrorBurst | None) -> tuple[ErrorType, ...]:
    """The failures of the outage by type and status, most first; their counts add up to all."""
    if outage is None:
        return ()
    inside = failures_in(tables, outage)
    inside = inside.assign(error_type=inside["error_type"].fillna(UNCLASSIFIED))
    seen_by_balancer = witnesses(inside, tables.load_balancer)
    types = []
    for (kind, status), rows in pieces(inside, "error_type", "status"):
        said = said_of(rows, seen_by_balancer, tables.load_balancer)
        types.append(
            ErrorType(
                type=kind,
                status=int(status),
                count=len(rows),
                share=len(rows) / len(inside),
                seen_in=tuple(sorted({*levels_in(rows["seen_in"]), *([SEEN_IN] if said else [])})),
                evidence=rows_as_evidence(
                    rows,
                    system=System.GATEWAY,
                    at=Span(instant(rows["at"].min()), instant(rows["at"].max()), "first to last"),
                    seen=f"{len(rows):,} failures of type {kind} with status {int(status)}",
                )
                + said,
            )
        )
    return tuple(sorted(types, key=lambda t: (-t.count, t.type, t.status)))
