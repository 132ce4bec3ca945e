"""Request after request waited for a dependency that had long been known to fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incident_rca.analysis.observations import Observations
from incident_rca.model import EndpointImpact, Finding, Severity

if TYPE_CHECKING:
    import pandas as pd

RULE = "no-breaker-acted"
FEWEST_FAILURES = 100
# A breaker refuses at once: a failure below this share of the usual failing latency is fast.
FAST_SHARE = 0.1


def findings(seen: Observations) -> tuple[Finding, ...]:
    """One finding a failing endpoint none of whose failures was fast."""
    return tuple(
        _finding(endpoint, rows)
        for endpoint in seen.failing
        if len(rows := seen.failures_of([endpoint])) >= FEWEST_FAILURES and not _fast(rows)
    )


def _fast(rows: pd.DataFrame) -> int:
    return int((rows["latency_ms"] < FAST_SHARE * rows["latency_ms"].median()).sum())


def _finding(endpoint: EndpointImpact, rows: pd.DataFrame) -> Finding:
    quickest = float(rows["latency_ms"].min()) / 1000
    return Finding(
        rule=RULE,
        severity=Severity.HIGH,
        statement=(
            f"No circuit breaker acted on {endpoint.name}: all {len(rows):,} failing requests "
            f"waited {quickest:.1f} s or longer, to the last of the outage."
        ),
        remedy=(
            "Put a circuit breaker with a time-out around the call, so that requests fail at once "
            "while the dependency is down."
        ),
        evidence=endpoint.evidence,
    )
