"""Episodes as report.json has them: locks, latency shifts, pools, starvation and states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from incident_rca.model import (
    Analysis,
    LatencyShift,
    LockEpisode,
    PoolState,
    Session,
    Starvation,
    Stretch,
)
from incident_rca.report.contract_values import counts_of, ids_of, span_of
from incident_rca.report.numbers import optional, rounded
from incident_rca.report.state_rows import UNEXPLAINED
from incident_rca.window import format_instant


def lock_episodes(
    episodes: Iterable[LockEpisode], evidence_ids: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The lock episodes, in the shape that `locks --json` prints too."""
    return [
        _lock_episode(evidence_ids, number, episode)
        for number, episode in enumerate(episodes, start=1)
    ]


def _session(session: Session) -> dict[str, Any]:
    return {
        "pid": session.pid,
        "application": session.application,
        "mode": session.mode,
        "state": session.state,
        "statement": session.statement,
        "statement_basis": session.statement_basis,
    }


def _lock_episode(
    evidence_ids: Mapping[str, str], number: int, episode: LockEpisode
) -> dict[str, Any]:
    return {
        "id": f"LE{number}",
        "database": episode.database,
        "relation": episode.relation,
        "root_holder": _session(episode.root_holder),
        "queue_amplifiers": [_session(session) for session in episode.queue_amplifiers],
        "held": {"start": span_of(episode.held_start), "end": span_of(episode.held_end)},
        "peak_waiters": episode.peak_waiters,
        "waiters_total": episode.waiters_total,
        "waiter_seconds": rounded(episode.waiter_seconds),
        "lock_types": list(episode.lock_types),
        "deadlocked": episode.deadlocked,
        "outcomes": dict(episode.outcomes),
        "evidence": list(dict.fromkeys(evidence_ids[e.digest] for e in episode.evidence)),
    }


def shift_of(analysis: Analysis, shift: LatencyShift) -> dict[str, Any]:
    return {
        "service": shift.service,
        "method": shift.method,
        "metric": shift.metric
        if shift.aggregate == "p99"
        else f"{shift.metric} ({shift.aggregate})",
        "unit": shift.unit,
        "baseline_p99_ms": optional(shift.baseline_p99_ms),
        "peak_ms": rounded(shift.peak_ms),
        "onset": span_of(shift.onset),
        "offset": span_of(shift.offset),
        "plateau_ms": rounded(shift.plateau_ms),
        "censored": shift.censored,
        "status_counts": counts_of(shift.status_counts),
        "evidence": ids_of(analysis, shift.evidence),
    }


def pool_of(analysis: Analysis, pool: PoolState) -> dict[str, Any]:
    return {
        "owner": pool.owner,
        "size": pool.size,
        "size_basis": pool.size_basis,
        "exhausted_at": span_of(pool.exhausted_at),
        "fill_seconds": optional(pool.fill_seconds),
        "arrival_per_second": optional(pool.arrival_per_second),
        "consistent": pool.consistent,
        "note": pool.note,
        "evidence": ids_of(analysis, pool.evidence),
    }


def starvation_of(analysis: Analysis, starvation: Starvation) -> dict[str, Any]:
    return {
        "method": starvation.method,
        "route": starvation.route,
        "onset": span_of(starvation.onset),
        "offset": span_of(starvation.offset),
        "requests": starvation.requests,
        "usual_per_minute": rounded(starvation.usual_per_minute),
        "per_minute": rounded(starvation.per_minute),
        "evidence": ids_of(analysis, starvation.evidence),
    }


def stretch_of(analysis: Analysis, stretch: Stretch) -> dict[str, Any]:
    """A stretch of an outage; its cause is the id of a hypothesis, or `unexplained`."""
    return {
        "incident": stretch.incident,
        "start": format_instant(stretch.start),
        "end": format_instant(stretch.end),
        "seconds": rounded(stretch.seconds),
        "cause": stretch.cause.id if stretch.cause else UNEXPLAINED,
        **{
            state.question.value: {
                "answer": state.answer.value,
                "detail": state.detail,
                "number": optional(state.number),
                "evidence": ids_of(analysis, state.evidence),
            }
            for state in stretch.states
        },
    }
