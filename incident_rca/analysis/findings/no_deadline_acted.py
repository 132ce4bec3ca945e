"""Calls hung far beyond any deadline that makes sense for a user who waits."""

from __future__ import annotations

from incident_rca.analysis.hypotheses.missing_deadline import as_callers_saw, hung_without_deadline
from incident_rca.analysis.observations import Observations
from incident_rca.model import Finding, Severity


def findings(seen: Observations) -> tuple[Finding, ...]:
    """One finding a method whose calls outlasted any plausible deadline."""
    limit = seen.case.thresholds.plausible_deadline_seconds
    return tuple(
        Finding(
            rule="no-deadline-acted",
            severity=Severity.CRITICAL,
            statement=(
                f"No deadline acted on {shift.service}.{shift.method}: calls lasted "
                f"{shift.plateau_in_words} and none ended with DEADLINE_EXCEEDED."
            ),
            remedy=(
                f"Set a deadline on every call of {shift.service}.{shift.method} (for example "
                f"{limit:g} s), and let the server stop its work and give its connection back when "
                "the deadline passes."
            ),
            evidence=shift.evidence,
        )
        for shift in as_callers_saw(seen)
        if hung_without_deadline(seen, shift)
    )
