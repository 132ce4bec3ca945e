"""Waiting statements that carry the ids of failed requests: a path that the rows themselves say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.names import counted
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.paths import DependencyPath, path_from_relation
from incident_rca.analysis.shared_ids import ids_by_failure, rows_with
from incident_rca.model import Basis, Evidence, LockEpisode, Span, System
from incident_rca.trace_ids import IdKind, kind_of, split_ids

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedWaits:
    """The waiting statements of a lock that carry ids: `known`, and `failed` of failed requests.

    `routes` are those of these requests. `comparable` waiting statements have ids of a kind that
    nearly all failed requests have in the log as well: only of them a missing match says something.
    """

    known: int = 0
    failed: int = 0
    comparable: int = 0
    routes: tuple[str, ...] = ()
    waiting: tuple[Evidence, ...] = ()
    failing: tuple[Evidence, ...] = ()

    @property
    def in_words(self) -> str:
        """What ties the lock to the failures, whatever any clock says; "" where nothing does."""
        if not self.failed:
            return ""
        verb = "carries" if self.failed == 1 else "carry"
        return (
            f"{self.failed} of the {counted(self.known, 'waiting statement')} with an id {verb} "
            f"that of a failed request ({' and '.join(self.routes)})"
        )

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """The rows of both sides that say so; none where nothing does."""
        return (*self.waiting, *self.failing) if self.failed else ()


UNTIED = TracedWaits()
# "Nearly all": a log in which more of them lack an id may lack those that would match.
NEARLY_ALL = 0.9


def traced_waits(seen: Observations, episode: LockEpisode) -> TracedWaits:
    """What the ids of a lock's waiting statements say of the failed requests of this incident."""
    if not episode.waiter_ids:
        return UNTIED
    failures, ids = seen.tables.failures, ids_by_failure(seen.tables.failures)
    logged = frozenset(i for of_row in ids for i in of_row)
    shared = logged & {i for of_wait in episode.waiter_ids for i in of_wait}
    everywhere = _kinds_everywhere(ids)
    failed_rows = rows_with(failures, ids, shared)
    return TracedWaits(
        known=len(episode.waiter_ids),
        failed=sum(not shared.isdisjoint(of_wait) for of_wait in episode.waiter_ids),
        comparable=sum(any(kind_of(i) in everywhere for i in w) for w in episode.waiter_ids),
        routes=tuple(sorted(set(failed_rows["method"] + " " + failed_rows["route"]))),
        waiting=_waiting(seen, episode, shared),
        failing=_failing(failed_rows, shared),
    )


def path_of_lock(seen: Observations, episode: LockEpisode) -> DependencyPath | None:
    """The path from a lock to what failed: by topology or names, else by ids of both sides."""
    path = path_from_relation(seen, episode.relation, episode.waiter_applications)
    if path is not None and path.failing:
        return path
    traced = traced_waits(seen, episode)
    endpoints = tuple(e for e in seen.endpoints if e.name in traced.routes)
    if not any(e.is_failing for e in endpoints):
        return path
    return DependencyPath(
        service=path.service if path else ", ".join(episode.waiter_applications),
        methods=(),
        endpoints=endpoints,
        basis=Basis.OBSERVED,
        evidence=traced.evidence,
    )


def _kinds_everywhere(ids: list[tuple[str, ...]]) -> frozenset[IdKind]:
    """The kinds of ids that nearly all failures have."""
    kinds = Counter(kind for of_row in ids for kind in {kind_of(i) for i in of_row})
    return frozenset(k for k, number in kinds.items() if number >= NEARLY_ALL * len(ids))


def _waiting(
    seen: Observations, episode: LockEpisode, shared: frozenset[str]
) -> tuple[Evidence, ...]:
    """The rows of the waiting statements with one of the ids, or with any where none is shared."""
    locks = seen.tables.locks[seen.tables.locks["waiter_trace_ids"].notna()]
    cells = [split_ids(cell) for cell in locks["waiter_trace_ids"]]
    of_lock = frozenset(i for of_wait in episode.waiter_ids for i in of_wait)
    rows = rows_with(locks, cells, shared or of_lock)
    what = "failed requests" if shared else "requests"
    seen_text = f"statements that waited for {episode.relation} carry ids of {what}"
    return rows_as_evidence(rows, system=System.POSTGRES, at=_span(rows), seen=seen_text)


def _failing(rows: pd.DataFrame, shared: frozenset[str]) -> tuple[Evidence, ...]:
    text = f"failed requests whose ids {counted(len(shared), 'id')} of waiting statements equal"
    return rows_as_evidence(rows, system=System.GATEWAY, at=_span(rows), seen=text)


def _span(rows: pd.DataFrame) -> Span:
    if rows.empty:
        return Span(None, None)
    return Span(instant(rows["at"].min()), instant(rows["at"].max()), "first to last of them")
