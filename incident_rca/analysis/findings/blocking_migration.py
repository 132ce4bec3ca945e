"""A statement that held others up and that lint would have refused, other than an index build."""

from __future__ import annotations

from incident_rca.analysis.observations import Observations
from incident_rca.lock_modes import in_words
from incident_rca.migrations.incident import in_ci, rules_broken
from incident_rca.model import Finding, LockEpisode, Severity

# blocking-index-build says it of those, with the size of the table.
_OF_INDEXES = frozenset({"index-without-concurrently", "partitioned-index"})


def findings(seen: Observations) -> tuple[Finding, ...]:
    """One finding an episode whose holder ran such a statement, in the mode that it held.

    A holder's last statement need not be the one that took the lock, so it accuses nobody.
    """
    found = []
    for episode in seen.lock_episodes:
        holder = episode.root_holder
        knows = bool(holder.mode) and holder.statement_basis != "last"
        rules = rules_broken(holder.statement, holder.mode) if knows else ()
        if rules and not _OF_INDEXES & set(rules):
            found.append(_finding(episode, rules))
    return tuple(found)


def _finding(episode: LockEpisode, rules: tuple[str, ...]) -> Finding:
    holder = episode.root_holder
    return Finding(
        rule="blocking-migration",
        severity=Severity.MEDIUM,
        statement=(
            f"A migration held {in_words(holder.mode)} on {episode.relation} and stopped up to "
            f"{episode.peak_waiters} sessions."
        ),
        remedy=f"{in_ci(rules)} `incident-rca lint --explain {rules[0]}` says what to do instead.",
        evidence=(*episode.start_evidence, *episode.peak_evidence),
    )
