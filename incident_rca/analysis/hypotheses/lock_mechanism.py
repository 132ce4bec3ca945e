"""Why the waiters of a lock episode could not go on, and how sure that is."""

from __future__ import annotations

from incident_rca.analysis.hypotheses.claims import claim_for
from incident_rca.analysis.lock_words import who
from incident_rca.lock_modes import conflicts, in_words
from incident_rca.model import Aspect, Basis, Claim, LockEpisode


def mechanism(episode: LockEpisode, *, is_guess: bool) -> Claim:
    """The claim; inferred where `is_guess`, or where a link of it was not seen itself."""
    text, basis = _reason(episode)
    return claim_for(
        Aspect.MECHANISM,
        text,
        episode.start_evidence,
        episode.peak_evidence,
        basis=Basis.INFERRED if is_guess else basis,
    )


def _reason(episode: LockEpisode) -> tuple[str, Basis]:
    held = episode.root_holder.mode
    if episode.root_holder.pid is None:
        text = (
            "sessions waited, so somebody held a lock that conflicts with what they asked for; who "
            "that was is not recorded"
        )
        return text, Basis.INFERRED
    if episode.root_relation:
        between = episode.queue_amplifiers[:1]
        name = who(between[0]) if between else "another session"
        return f"it blocked {name}, which held {episode.relation} and waited", Basis.INFERRED
    if episode.is_on_rows:
        text = (
            "its waiters wanted rows that it had changed: they could go on only at the end of its "
            "transaction"
        )
        return text, Basis.OBSERVED
    if not held or not episode.waiter_modes:
        return "it was named as what they waited for; the modes are not recorded", Basis.INFERRED
    waited = [m for m in episode.waiter_modes if conflicts(held, m)]
    if not waited:
        text = (
            "its waiters stood in the queue behind it, in modes that do not conflict with its own"
        )
        return text, Basis.INFERRED
    text = (
        f"{in_words(held)} conflicts with {', '.join(map(in_words, waited))}, which its waiters "
        "asked for: they could not go on before it was released"
    )
    return text, Basis.OBSERVED
