"""An index was built without CONCURRENTLY on a table too large for it."""

from __future__ import annotations

import re

from incident_rca.analysis.locks import size_of
from incident_rca.analysis.observations import Observations
from incident_rca.lock_modes import SHARE
from incident_rca.migrations.incident import held_too_long, in_ci, rules_broken
from incident_rca.model import Evidence, Finding, LockEpisode, Severity

_BLOCKING_BUILD = re.compile(r"\s*create\s+(unique\s+)?index\s+(?!concurrently\b)", re.I)


def findings(seen: Observations) -> tuple[Finding, ...]:
    """One finding an episode whose holder built an index; an unknown size counts as large."""
    found = []
    for episode in seen.lock_episodes:
        holder = episode.root_holder
        if holder.mode != SHARE or not _BLOCKING_BUILD.match(holder.statement):
            continue
        size = size_of(seen.tables, episode.relation)
        if size is None or size[0] >= seen.case.thresholds.large_table_rows:
            found.append(_finding(episode, size))
    return tuple(found)


def _finding(episode: LockEpisode, size: tuple[float, tuple[Evidence, ...]] | None) -> Finding:
    rows = f"about {size[0]:,.0f} rows" if size else "an unknown number of rows"
    return Finding(
        rule="blocking-index-build",
        severity=Severity.MEDIUM,
        statement=(
            f"An index was built without CONCURRENTLY on {episode.relation} ({rows}): it blocked "
            f"up to {episode.peak_waiters} writing sessions."
        ),
        remedy=" ".join(
            [
                "Build it with CREATE INDEX CONCURRENTLY, outside a transaction, and refuse "
                "blocking builds on large tables before they reach production.",
                in_ci(held_too_long(rules_broken(episode.root_holder.statement, SHARE))),
            ]
        ).strip(),
        evidence=(*episode.start_evidence, *episode.peak_evidence, *(size[1] if size else ())),
    )
