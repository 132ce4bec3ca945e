"""A failed CREATE INDEX CONCURRENTLY left an index that is kept up to date and never used."""

from __future__ import annotations

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.frames import pieces
from incident_rca.analysis.observations import Observations
from incident_rca.model import Finding, Severity, Span, System


def findings(seen: Observations) -> tuple[Finding, ...]:
    """One finding an invalid index of the live server (documentation of CREATE INDEX)."""
    residue = seen.tables.residue
    found = []
    invalid = residue[residue["kind"] == "invalid_index"]
    for (relation, name), rows in pieces(invalid, "relation", "name"):
        at = Span(None, instant(rows["at"].max()), "it was there when the server was asked")
        cited = rows_as_evidence(
            rows, system=System.POSTGRES, at=at, seen=f"index {name} on {relation}", first="row"
        )
        found.append(
            Finding(
                rule="invalid-index",
                severity=Severity.MEDIUM,
                statement=(
                    f"The index {name} on {relation} is invalid: its build did not finish. Each "
                    "write keeps it up to date, and no query uses it."
                ),
                remedy="DROP INDEX CONCURRENTLY it, then build it again with CONCURRENTLY.",
                evidence=cited,
            )
        )
    return tuple(found)
