"""A statement that held others up and that lint would have refused, other than an index build."""

from __future__ import annotations

from collections.abc import Iterator

from incident_rca.analysis.observations import Observations
from incident_rca.lock_modes import in_words
from incident_rca.migrations.incident import OF_WAITING, held_too_long, in_ci, rules_broken
from incident_rca.model import Finding, LockEpisode, Session, Severity

# blocking-index-build says it of those, with the size of the table.
_OF_INDEXES = frozenset({"index-without-concurrently", "partitioned-index"})


def findings(seen: Observations) -> tuple[Finding, ...]:
    """One finding an episode whose holder did such work, or in which one waited in front of others.

    A session's last statement need not be the one that took the lock, so it accuses nobody.
    """
    return tuple(f for episode in seen.lock_episodes for f in _of_episode(episode))


def _of_episode(episode: LockEpisode) -> Iterator[Finding]:
    rules = held_too_long(_broken(episode.root_holder))
    if rules and not _OF_INDEXES & set(rules):
        yield _finding(episode, episode.root_holder, rules, "held")
    for session in episode.queue_amplifiers:
        if OF_WAITING in _broken(session):
            yield _finding(episode, session, (OF_WAITING,), "waited for")
            return


def _broken(session: Session) -> tuple[str, ...]:
    if not session.mode or session.statement_basis == "last":
        return ()
    return rules_broken(session.statement, session.mode)


def _finding(episode: LockEpisode, session: Session, rules: tuple[str, ...], what: str) -> Finding:
    return Finding(
        rule="blocking-migration",
        severity=Severity.MEDIUM,
        statement=(
            f"A statement of {session.application or 'a session'} {what} "
            f"{in_words(session.mode)} on {episode.relation}, with up to {episode.peak_waiters} "
            "sessions waiting."
        ),
        remedy=f"{in_ci(rules)} `incident-rca lint --explain {rules[0]}` says what to do instead.",
        evidence=(*episode.start_evidence, *episode.peak_evidence),
    )
