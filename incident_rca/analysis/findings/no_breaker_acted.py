"""Request after request waited for a dependency that had long been known to fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incident_rca.analysis.endpoints import percentile_ms
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.waited import FAST_SECONDS, floor_seconds, least_ms
from incident_rca.model import EndpointImpact, Finding, Severity

if TYPE_CHECKING:
    import pandas as pd

RULE = "no-breaker-acted"
FEWEST_FAILURES = 100
# A breaker refuses at once: a failure below this share of the usual failing latency is fast.
FAST_SHARE = 0.1


def findings(seen: Observations) -> tuple[Finding, ...]:
    """One finding a failing endpoint each of whose failures is known to have waited."""
    return tuple(
        _finding(endpoint, float(least.min()))
        for endpoint in seen.failing
        if len(least := least_ms(seen.case, seen.failures_of([endpoint]))) >= FEWEST_FAILURES
        and _have_all_waited(least, _usual_ms(seen, endpoint))
    )


def _usual_ms(seen: Observations, endpoint: EndpointImpact) -> float:
    """What its requests took before the outage, in ms: a median, as some were slow by then."""
    assert seen.outage is not None
    rows = seen.tables.gateway
    rows = rows[(rows["method"] == endpoint.method) & (rows["route"] == endpoint.route)]
    before = rows[(rows["second"] < seen.outage.start.first) & (rows["status"] < 500)]
    return percentile_ms(before, 0.5) or 0.0


def _have_all_waited(least: pd.Series[float], usual_ms: float) -> bool:
    """Whether no failure may be a breaker's, which skips the call and so makes nobody wait.

    Who waited took longer than a quick error does, and than a request that was served before. A
    failure whose time nobody measured may have been refused at once.
    """
    floor_ms = max(1000 * FAST_SECONDS, usual_ms, FAST_SHARE * float(least.median()))
    return bool((least > floor_ms).all())


def _finding(endpoint: EndpointImpact, quickest_ms: float) -> Finding:
    return Finding(
        rule=RULE,
        severity=Severity.HIGH,
        statement=(
            f"No circuit breaker acted on {endpoint.name}: all {endpoint.failed:,} failing "
            f"requests waited {floor_seconds(quickest_ms)} s or longer, to the last of the outage."
        ),
        remedy=(
            "Put a circuit breaker with a time-out around the call, so that requests fail at once "
            "while the dependency is down."
        ),
        evidence=endpoint.evidence,
    )
