"""What of an outage was measured at all: elsewhere, nothing is known not to have happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from incident_rca.analysis.evidence import instant, rows_as_evidence, setting_as_evidence
from incident_rca.analysis.frames import places, seconds_of
from incident_rca.analysis.latency import canonical_method
from incident_rca.analysis.latency_rises import FEWEST_BUCKETS
from incident_rca.model import Evidence, SourceState, SourceStatus, Span, System, TimeWindow

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from incident_rca.analysis.observations import Observations

T = TypeVar("T")

# What is seen of this share of an outage, its onset among it, is taken as seen of all of it.
MOST = 0.8
# A server that logs only what goes wrong is silent between two lines, and its clock is another.
BESIDE_LINES = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """A series that does not cover the outage: what it is, and the parts for which it has nothing.

    `evidence` are the rows that it has, or the sources that should have them.
    """

    name: str
    parts: tuple[TimeWindow, ...]
    evidence: tuple[Evidence, ...]

    @property
    def in_words(self) -> str:
        """What is missing, from when to when: `the calls of a.B from 14:22:30 to 14:46:18 UTC`."""
        times = " and ".join(f"from {p.start:%H:%M:%S} to {p.end:%H:%M:%S}" for p in self.parts)
        return f"{self.name} {times} UTC"


def parts_left_out(seen: Observations, stretches: Iterable[TimeWindow]) -> tuple[TimeWindow, ...]:
    """The parts of the outage that none of these stretches has; none where they have its onset and
    most of it, for then what it did is known.
    """
    outage = _time_of_outage(seen)
    if outage is None:
        return ()
    found, reached = [], outage.start
    for stretch in sorted(stretches, key=lambda s: (s.start, s.end)):
        if stretch.end <= outage.start or stretch.start >= outage.end:
            continue
        if stretch.start > reached:
            found.append(TimeWindow(reached, stretch.start))
        reached = max(reached, stretch.end)
    if reached < outage.end:
        found.append(TimeWindow(reached, outage.end))
    has_onset = not found or found[0].start > outage.start
    missing = sum(part.seconds for part in found)
    is_seen = has_onset and missing <= (1 - MOST) * outage.seconds
    return () if is_seen else tuple(found)


def _time_of_outage(seen: Observations) -> TimeWindow | None:
    """From the first failing arrival to the last one that is recorded."""
    if seen.outage is None or seen.outage.end.lo is None:
        return None
    start = seen.outage.start.first
    return TimeWindow(start, max(seen.outage.end.lo, start + timedelta(seconds=1)))


def measured_stretches(rows: pd.DataFrame) -> list[TimeWindow]:
    """When rows of `metrics` have values, scrapes that were missed between them included.

    Fewer buckets than make a rise may be missing, of a series that rarely has one as many of its
    own usual steps.
    """
    known = rows[rows["value"].notna() & rows["at"].notna()]
    if known.empty:
        return []
    starts, first = np.unique(seconds_of(known["at"]), return_index=True)
    widths = known["bucket_seconds"].fillna(0.0).to_numpy(dtype=float)[first]
    apart = np.diff(starts)
    step = max(float(widths.max()), float(np.median(apart)) if len(apart) else 0.0)
    cuts = np.flatnonzero(apart > (FEWEST_BUCKETS + 0.5) * step)
    begins, ends = starts[[0, *(cuts + 1)]], (starts + widths)[[*cuts, -1]]
    return [
        TimeWindow(_at(begin), _at(end))
        for begin, end in zip(begins, ends, strict=True)
        if end > begin
    ]


def _at(second: float) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def whole_stretches(source: SourceStatus) -> list[TimeWindow]:
    """What a source covers, cut at its gaps."""
    if source.covered is None:
        return []
    found, start = [], source.covered.start
    for gap in sorted(source.gaps, key=lambda g: g.window.start):
        if start < gap.window.start:
            found.append(TimeWindow(start, gap.window.start))
        start = max(start, gap.window.end)
    if start < source.covered.end:
        found.append(TimeWindow(start, source.covered.end))
    return found


def hole_of_logs(seen: Observations, kinds: Sequence[str], name: str) -> Hole | None:
    """What the logs of these formats that were read in full leave out of the outage."""
    logs = [
        s
        for s in seen.case.sources
        if s.kind in kinds and s.state is SourceState.OK and not s.blind
    ]
    stretches = [
        TimeWindow(s.start - BESIDE_LINES, s.end + BESIDE_LINES)
        for log in logs
        for s in whole_stretches(log)
    ]
    parts = parts_left_out(seen, stretches)
    if not parts:
        return None
    read = f"read: {', '.join(log.name for log in logs)}"
    return Hole(name=name, parts=parts, evidence=setting_as_evidence(seen.case, read))


def hole_of_rows(seen: Observations, rows: pd.DataFrame, name: str) -> Hole | None:
    """What these rows of `metrics`, all of one series, leave out of the outage."""
    known = rows[rows["value"].notna()]
    # What lies between two buckets is only taken as seen beside one that was.
    stretches = measured_stretches(known) if _meets_outage(seen, known) else ()
    parts = parts_left_out(seen, stretches)
    if not parts:
        return None
    told = known if len(known) else rows
    at = Span(instant(told["at"].min()), instant(told["at"].max()), "first to last bucket")
    cited = rows_as_evidence(
        told, system=System.GRPC_METRICS, at=at, seen=f"what is recorded of {name}", first="row"
    )
    return Hole(name=name, parts=parts, evidence=cited)


def _meets_outage(seen: Observations, known: pd.DataFrame) -> bool:
    outage = _time_of_outage(seen)
    if outage is None:
        return False
    starts = seconds_of(known["at"])
    ends = starts + known["bucket_seconds"].fillna(0.0).to_numpy(dtype=float)
    first, last = outage.start.timestamp(), outage.end.timestamp()
    return bool(((starts < last) & (ends > first)).any())


def holes_of_calls(seen: Observations, is_read: pd.Series[bool], what: str) -> tuple[Hole, ...]:
    """What the chosen rows of `metrics` leave out of the outage, of methods failing routes call.

    `what` names them: `the latencies`. All that measured a method count as one.
    """
    metrics = seen.tables.metrics
    by_method: dict[tuple[str, str], list[NDArray[np.int32]]] = {}
    for (service, method), some in places(metrics, is_read, "service", "method"):
        if service is not None and method is not None:
            by_method.setdefault(canonical_method(seen.case, service, method), []).append(some)
    wanted = of_what_failed(seen, by_method)
    found = (
        hole_of_rows(seen, metrics.iloc[np.concatenate(some)], f"{what} of {service}.{method}")
        for (service, method), some in sorted(wanted.items())
    )
    return tuple(hole for hole in found if hole is not None)


def of_what_failed(
    seen: Observations, by_method: Mapping[tuple[str, str], T]
) -> Mapping[tuple[str, str], T]:
    """Those of the methods that a failing route calls; all of them where none of these is known."""
    failing = {e.name for e in seen.failing}
    called = {c for r in seen.case.topology.routes if r.name in failing for c in r.calls}
    owners = {s.name: s.grpc for s in seen.case.topology.services}
    wanted = {
        (service, method): rows
        for (service, method), rows in by_method.items()
        if any(full in called and full.endswith(f"/{method}") for full in owners.get(service, ()))
    }
    return wanted or by_method
