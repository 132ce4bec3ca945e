"""The gateway's log beside the gateway's own count: whether no 5xx in the log is no 5xx at all.

CloudWatch counts failures of a stage as `5XXError` (REST) or `5xx` (HTTP), by minute (Amazon API
Gateway Developer Guide). A log that lacks lines, or a filter that misses some, shows as a minute
with fewer failures than were counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from incident_rca.analysis.evidence import instant, rows_as_evidence, setting_as_evidence
from incident_rca.analysis.frames import values
from incident_rca.model import LOAD_BALANCER_LOGS, Case, Evidence, Span, System, TimeWindow
from incident_rca.tables import Tables
from incident_rca.typed_frames import plain

if TYPE_CHECKING:
    import pandas as pd

COUNTS_OF_FAILURES = ("5XXError", "5xx")
_FIRST_FAILURE_STATUS = 500


@dataclass(frozen=True, slots=True)
class BucketDifference:
    """A bucket in which both counts of 5xx differ; `counted` None where the service has no point.

    No point means that the service saw no request in it, or has not said so yet: not zero failures.
    """

    at: datetime
    logged: int
    counted: int | None


@dataclass(frozen=True, slots=True)
class Crosscheck:
    """Failures by log and by count over the buckets that both can speak of.

    `buckets` are those with a point, each `bucket_seconds` long. Logs go by arrival and the service
    by a clock of its own, so a failure may stand in neighbouring buckets: where the totals are the
    same, differences are of time only. `spilled` is what was counted in the first bucket and not
    logged there: those requests may have arrived before the window.
    """

    buckets: int
    bucket_seconds: float
    logged: int
    counted: int
    differences: tuple[BucketDifference, ...]
    spilled: int = 0

    @property
    def lacks(self) -> int:
        """How many failures that were counted the log must lack: none where time explains it."""
        return max(0, self.counted - self.logged - self.spilled)

    @property
    def agrees(self) -> bool:
        """Whether as many failures were logged as were counted."""
        return self.logged == self.counted


def crosscheck(tables: Tables, window: TimeWindow) -> Crosscheck | None:
    """Both counts in whole buckets of the window; None where the service's count is not there.

    All stages and all logs of the case are taken together.
    """
    counts = _counts(tables)
    if counts.empty:
        return None
    seconds = float(plain(counts["bucket_seconds"]).max())
    step = timedelta(seconds=seconds)
    counted: Counter[datetime] = Counter()
    for start, number in _by_bucket(counts, "at", "value", step):
        counted[start] += number
    logged: Counter[datetime] = Counter()
    gateway = tables.gateway
    failed = gateway[gateway["status"].fillna(0) >= _FIRST_FAILURE_STATUS]
    for start, number in _by_bucket(failed, "second", "requests", step):
        logged[start] += number
    whole = [
        start
        for start in sorted({*counted, *logged})
        if window.start <= start and start + step <= window.end
    ]
    first = whole[0] if whole else None
    return Crosscheck(
        buckets=sum(start in counted for start in whole),
        bucket_seconds=seconds,
        logged=sum(logged[start] for start in whole),
        counted=sum(counted[start] for start in whole),
        differences=tuple(
            BucketDifference(start, logged[start], counted.get(start))
            for start in whole
            if logged[start] != counted.get(start)
        ),
        spilled=max(0, counted[first] - logged[first]) if first else 0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LackingLog:
    """A gateway's log that holds fewer failures than the gateway counted, and both as evidence."""

    counted: int
    logged: int
    lacks: int
    evidence: tuple[Evidence, ...]


def lacking_log(case: Case, tables: Tables) -> LackingLog | None:
    """Where the log lacks failures; None where it does not, is not there or nothing counted them.

    A log that was not collected lacks nothing: its source says so.
    """
    logs = {s.name for s in case.gateway_logs if s.kind not in LOAD_BALANCER_LOGS}
    found = crosscheck(tables, case.window) if logs else None
    if found is None or not found.lacks:
        return None
    failed = tables.gateway[tables.gateway["status"].fillna(0) >= _FIRST_FAILURE_STATUS]
    at = Span(case.window.start, case.window.end, "whole buckets of the window")
    counts = _counts(tables)
    cited = rows_as_evidence(
        _inside(counts[counts["value"] > 0], "at", case.window),
        system=System.GATEWAY,
        at=at,
        seen=f"the gateway counted {found.counted:,} failures (5xx)",
        first="row",
        count=found.counted,
    )
    logged = rows_as_evidence(
        _inside(failed, "second", case.window),
        system=System.GATEWAY,
        at=at,
        seen=f"the gateway's log holds {found.logged:,} failures (5xx)",
        first="line_first",
        last="line_last",
        count=found.logged,
    )
    names = ", ".join(sorted(logs))
    return LackingLog(
        counted=found.counted,
        logged=found.logged,
        lacks=found.lacks,
        evidence=(*cited, *(logged or setting_as_evidence(case, f"{names}: no failure (5xx)"))),
    )


def _inside(frame: pd.DataFrame, at: str, window: TimeWindow) -> pd.DataFrame:
    inside: pd.DataFrame = frame[(frame[at] >= window.start) & (frame[at] < window.end)]
    return inside


def _counts(tables: Tables) -> pd.DataFrame:
    metrics = tables.metrics
    counts = metrics[
        metrics["metric"].isin(COUNTS_OF_FAILURES)
        & (metrics["aggregate"] == "count")
        & metrics["value"].notna()
    ]
    found: pd.DataFrame = counts[plain(counts["bucket_seconds"]) > 0]
    return found


def _by_bucket(
    frame: pd.DataFrame, at: str, number: str, step: timedelta
) -> Iterator[tuple[datetime, int]]:
    """Each row's number with the start of its bucket; buckets are aligned to the Unix time."""
    for when, many in values(frame, at, number):
        known = instant(when)
        if known is not None and many is not None:
            epoch = datetime.fromtimestamp(0, known.tzinfo)
            yield known - (known - epoch) % step, round(many)
