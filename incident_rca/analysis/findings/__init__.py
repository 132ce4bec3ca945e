"""What to fix: one file a rule, and this list of them."""

from __future__ import annotations

from collections.abc import Callable

from incident_rca.analysis.findings import (
    blocking_index_build,
    blocking_migration,
    invalid_index,
    no_breaker_acted,
    no_deadline_acted,
)
from incident_rca.analysis.observations import Observations
from incident_rca.model import Finding, Severity

RULES: tuple[Callable[[Observations], tuple[Finding, ...]], ...] = (
    no_deadline_acted.findings,
    no_breaker_acted.findings,
    blocking_index_build.findings,
    blocking_migration.findings,
    invalid_index.findings,
)


def find_all(seen: Observations) -> tuple[Finding, ...]:
    """All findings, the most severe first."""
    found = [finding for rule in RULES for finding in rule(seen)]
    order = list(Severity)
    return tuple(sorted(found, key=lambda f: (order.index(f.severity), f.rule, f.statement)))
