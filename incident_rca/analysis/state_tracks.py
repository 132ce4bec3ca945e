"""What each second of an outage shows of locks, pools and calls, one track a question.

An instant that is known to lie in a span is taken at its middle, as for the seconds explained.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from incident_rca.analysis.attribution import holds
from incident_rca.analysis.coverage import of_what_failed
from incident_rca.analysis.evidence import (
    instant,
    rows_as_evidence,
    setting_as_evidence,
    source_as_evidence,
)
from incident_rca.analysis.frames import distinct, pieces, values
from incident_rca.analysis.hypotheses.lock_blocking import active_of
from incident_rca.analysis.latency import AGGREGATES, canonical_method
from incident_rca.analysis.lock_turns import in_turns
from incident_rca.analysis.lock_watch import watched_stretches
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.pool import PoolUsage, pool_usage
from incident_rca.analysis.waits import waits_of
from incident_rca.model import (
    Answer,
    Evidence,
    LatencyShift,
    Question,
    SourceState,
    Span,
    System,
)

if TYPE_CHECKING:
    import pandas as pd

Cited = tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """What one second shows: the answer, and what it is about."""

    answer: Answer
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One question over the seconds of an outage; `numbers` are counted, where anything is."""

    question: Question
    marks: tuple[Mark, ...]
    numbers: tuple[float | None, ...]
    evidence: Mapping[Mark, Cited] = field(hash=False)


NO, NOT_RECORDED = Mark(Answer.NO), Mark(Answer.NOT_RECORDED)


def tracks_of(seen: Observations, moments: Sequence[datetime]) -> tuple[Track, ...]:
    """The tracks of an outage at these moments of it, one a second, in the order of Question."""
    if not moments:
        return ()
    return (*_locks(seen, moments), _pools(seen, moments), *_calls(seen, moments))


def _track(
    question: Question,
    yes: Sequence[Sequence[tuple[str, Cited]]],
    is_known: Sequence[bool],
    no: Cited,
    unknown: Cited,
    numbers: Sequence[float | None] | None = None,
) -> Track:
    """`yes` has what holds in each second, named; where nothing does, it may not be known."""
    evidence = {NO: no, NOT_RECORDED: unknown}
    marks = []
    for held, known in zip(yes, is_known, strict=True):
        mark = NO if known else NOT_RECORDED
        if held:
            mark = Mark(Answer.YES, ", ".join(dict.fromkeys(name for name, _ in held)))
            cited = (e for _, some in held for e in some)
            evidence.setdefault(mark, tuple(dict.fromkeys(cited)))
        marks.append(mark)
    return Track(
        question=question,
        marks=tuple(marks),
        numbers=tuple(numbers or [None] * len(marks)),
        evidence=evidence,
    )


# --- locks ----------------------------------------------------------------------------------------


def _locks(seen: Observations, moments: Sequence[datetime]) -> tuple[Track, Track]:
    """Whether a lock was held that sessions waited for, and how many waited for any."""
    turns = [t.episode for t in in_turns(seen.lock_episodes)]
    held = [(active_of(seen, e), (e.relation, e.evidence)) for e in turns]
    yes = [[said for active, said in held if holds(active, at)] for at in moments]
    watched = watched_stretches(seen)
    is_known = [any(w.start <= at < w.end for w in watched) for at in moments]
    counts = _waiting(seen, moments)
    waiting = [said if number else [] for number, said in zip(counts, yes, strict=True)]
    no, unknown = _probes(seen, moments), _unseen(seen, System.POSTGRES, "a lock recording")
    return (
        _track(Question.LOCK_HELD, yes, is_known, no or unknown, unknown),
        _track(Question.WAITERS, waiting, is_known, no or unknown, unknown, counts),
    )


def _waiting(seen: Observations, moments: Sequence[datetime]) -> list[float | None]:
    """How many sessions waited for a lock at each moment."""
    locks = seen.locks
    waits = waits_of(locks[(locks["edge"] != "none") & locks["waiter"].notna()])
    starts, ends = sorted(w.start for w in waits), sorted(w.until for w in waits)
    return [float(bisect_right(starts, at) - bisect_right(ends, at)) for at in moments]


def _probes(seen: Observations, moments: Sequence[datetime]) -> Cited:
    counts = seen.tables.session_counts
    probes = counts[(counts["at"] >= moments[0]) & (counts["at"] <= moments[-1])]
    number = probes["at"].nunique()
    return rows_as_evidence(
        probes,
        system=System.POSTGRES,
        at=Span(moments[0], moments[-1], "the outage"),
        seen=f"{number:,} samples of who held and waited for locks in the outage",
        count=number,
    )


def _unseen(seen: Observations, system: System, what: str) -> Cited:
    """What says that something is not recorded: its sources that are not whole, else the case."""
    bad = [s for s in seen.sources_of(system) if s.state is not SourceState.OK]
    cited = tuple(e for s in bad for e in source_as_evidence(seen.case, s))
    return cited or setting_as_evidence(seen.case, f"{what} does not cover the whole outage")


# --- pools ----------------------------------------------------------------------------------------


def _pools(seen: Observations, moments: Sequence[datetime]) -> Track:
    """Whether a pool had no connection left, and how many were in use of the fullest one."""
    yes: list[list[tuple[str, Cited]]] = [[] for _ in moments]
    numbers: list[float | None] = [None] * len(moments)
    usages = tuple(
        replace(usage, used=_around(usage.used, moments))
        for usage in pool_usage(seen.case, seen.gauges)
    )
    of_pools = [_of_pool(seen, usage, moments) for usage in usages]
    for usage, cited in zip(usages, of_pools, strict=True):
        buckets = _buckets(usage.used)
        for position, at in enumerate(moments):
            used = _in_use(seen, usage, at, buckets(at))
            if used is not None:
                numbers[position] = max(numbers[position] or 0.0, used)
            if used is not None and used >= usage.size:
                yes[position].append((f"{usage.owner}: {usage.size} of {usage.size}", cited))
    is_known = [number is not None for number in numbers]
    no = tuple(e for cited in of_pools for e in cited)
    unknown = _unseen(seen, System.GRPC_METRICS, "a gauge of a pool with a known limit")
    return _track(Question.POOL_FULL, yes, is_known, no or unknown, unknown, numbers)


def _in_use(
    seen: Observations, usage: PoolUsage, at: datetime, in_bucket: float | None
) -> float | None:
    """How many connections were in use at that moment, as far as its bucket can tell.

    A bucket has the most of its time: where the pool became full or was freed in it, what it was at
    a moment beside that is not known.
    """
    pool = seen.pool
    if pool is None or pool.owner != usage.owner:
        return in_bucket
    until = pool.exhausted_until
    if holds((pool.exhausted_at.middle, until.middle if until.hi else None), at):
        return float(usage.size)
    is_full = in_bucket is not None and in_bucket >= usage.size
    edges = (pool.exhausted_at, until)
    near = any(e.first - usage.step <= at <= (e.hi or e.first) + usage.step for e in edges)
    return None if is_full and near else in_bucket


def _of_pool(seen: Observations, usage: PoolUsage, moments: Sequence[datetime]) -> Cited:
    if seen.pool is not None and seen.pool.owner == usage.owner:
        return seen.pool.evidence
    inside = usage.used
    return rows_as_evidence(
        inside,
        system=System.GRPC_METRICS,
        at=Span(moments[0], moments[-1], "the outage"),
        seen=f"pool {usage.owner} had up to {inside['value'].max():g} of {usage.size} in use",
        first="row",
    )


def _around(rows: pd.DataFrame, moments: Sequence[datetime]) -> pd.DataFrame:
    """The buckets that meet the outage; they are as wide as the widest of them."""
    width = timedelta(seconds=max(distinct(rows, "bucket_seconds"), default=0.0))
    found: pd.DataFrame = rows[(rows["at"] > moments[0] - width) & (rows["at"] <= moments[-1])]
    return found


def _buckets(rows: pd.DataFrame) -> Callable[[datetime], float | None]:
    """The value of the bucket that a moment lies in; None where there is none."""
    known = sorted(
        (start, float(value), float(width))
        for at, value, width in values(rows, "at", "value", "bucket_seconds")
        if (start := instant(at)) is not None and value is not None and width is not None
    )
    starts = [start for start, _, _ in known]

    def value_at(at: datetime) -> float | None:
        position = bisect_right(starts, at) - 1
        if position < 0:
            return None
        start, value, width = known[position]
        return value if at < start + timedelta(seconds=width) else None

    return value_at


# --- calls ----------------------------------------------------------------------------------------


def _calls(seen: Observations, moments: Sequence[datetime]) -> tuple[Track, Track]:
    """Whether calls hung, for longer than any plausible deadline, and whether any were slow."""
    series = _latencies(seen, moments)
    coverage = [_buckets(rows) for rows in series]
    is_known = [
        bool(coverage)
        and all(c(at) is not None for c in coverage)
        and not any(_is_edge(s, at) for s in seen.latency_shifts)
        for at in moments
    ]
    # What was slow before the record began is no shift of it: only a look at the values tells.
    is_usual_known = seen.outage is not None and seen.outage.onset.lo is not None
    no = tuple(e for rows in series for e in _of_series(rows, moments))
    unknown = _unseen(seen, System.GRPC_METRICS, "the latency of the calls of what failed")
    longest_ms = seen.case.thresholds.plausible_deadline_seconds * 1000
    is_short = [
        known and (is_usual_known or all((c(at) or 0.0) <= longest_ms for c in coverage))
        for at, known in zip(moments, is_known, strict=True)
    ]
    hung = [s for s in seen.latency_shifts if s.plateau_ms > longest_ms]
    return (
        _track(Question.CALLS_HUNG, _shifted(hung, moments), is_short, no or unknown, unknown),
        _track(
            Question.METHODS_SLOW,
            _shifted(seen.latency_shifts, moments),
            [known and is_usual_known for known in is_known],
            no or unknown,
            unknown,
        ),
    )


def _shifted(
    shifts: Iterable[LatencyShift], moments: Sequence[datetime]
) -> list[list[tuple[str, Cited]]]:
    found = [
        (
            (s.onset.middle, s.offset.middle if s.offset.hi else None),
            (f"{s.service}.{s.method}", s.evidence),
        )
        for s in shifts
    ]
    return [[said for active, said in found if holds(active, at)] for at in moments]


def _is_edge(shift: LatencyShift, at: datetime) -> bool:
    """Whether the calls may have been slow already, or still, or as usual at that moment."""
    edges = (shift.onset, shift.offset)
    return any(e.lo is not None and e.hi is not None and e.lo <= at <= e.hi for e in edges)


def _latencies(seen: Observations, moments: Sequence[datetime]) -> list[pd.DataFrame]:
    """The latencies of each method that a failing route calls; of every one where none is known."""
    metrics = _around(seen.tables.metrics, moments)
    rows = metrics[
        metrics["aggregate"].isin(AGGREGATES) & metrics["method"].notna() & metrics["value"].notna()
    ]
    by_method: dict[tuple[str, str], pd.DataFrame] = {}
    for (service, method), some in pieces(rows, "service", "method"):
        by_method[canonical_method(seen.case, service, method)] = some.drop_duplicates("at")
    return list(of_what_failed(seen, by_method).values())


def _of_series(rows: pd.DataFrame, moments: Sequence[datetime]) -> Cited:
    inside = _around(rows, moments)
    service, method = (str(rows[c].iloc[0]) for c in ("service", "method"))
    return rows_as_evidence(
        inside,
        system=System.GRPC_METRICS,
        at=Span(moments[0], moments[-1], "the outage"),
        seen=f"{len(inside):,} buckets of the latency of {service}/{method} in the outage",
        first="row",
    )
