"""Who blocked whom in a lock episode, as an ASCII tree."""

from __future__ import annotations

from incident_rca.analysis.lock_words import held_in
from incident_rca.model import LockEpisode, Session
from incident_rca.redact import plain
from incident_rca.report.numbers import grouped
from incident_rca.report.safe_text import clean
from incident_rca.report.wording import Clock, lock_words, session_words
from incident_rca.window import format_duration

STATEMENT_LIMIT = 200


def blocking_tree(episode: LockEpisode, clock: Clock) -> str:
    """The holder at the root, what queued behind it, and who held the table without blocking."""
    holder = episode.root_holder
    lines = [
        clean(episode.object),
        f"{_line(holder)} holds {clean(held_in(episode, explained=True))}, "
        f"{clean(holder.state) or 'state unknown'}",
        f"|   from {clock.span(episode.held_start)} to {clock.span(episode.held_end)}",
        f"|   {_statement(holder)}",
    ]
    for session in episode.queue_amplifiers:
        wanted = clean(lock_words(session.mode))
        lines.append(f"+-- {_line(session)} waits for {wanted}; others queue behind it")
        lines.append(f"|   {_statement(session)}")
    lines.append(f"+-- {_waiters(episode, clock)}")
    lines += [
        f"(blocks nobody) {_holds(session)}, {clean(session.state)}"
        for session in episode.bystanders
    ]
    return "\n".join(lines)


def _holds(session: Session) -> str:
    return f"{_line(session)} holds {clean(lock_words(session.mode))}"


def _line(session: Session) -> str:
    return clean(session_words(session))


def _statement(session: Session) -> str:
    text = plain(session.statement, STATEMENT_LIMIT) or "(not recorded)"
    return f"{text}   [{basis_words(session)}]"


def basis_words(session: Session) -> str:
    """How it is known that a statement is the session's: `running`, its last, or recovered."""
    return {
        "running": "running",
        "last": "its last statement, perhaps not the one that took the lock",
        "recovered": "from an earlier sample or the server log",
    }.get(session.statement_basis, clean(session.statement_basis))


def waited_for(episode: LockEpisode) -> str:
    """What the waiters of an episode want: lock modes with their meaning, or rows."""
    if episode.is_on_rows:
        return "rows that it changed"
    return ", ".join(clean(lock_words(m)) for m in episode.waiter_modes) or "an unknown lock"


def _waiters(episode: LockEpisode, clock: Clock) -> str:
    names = ", ".join(clean(name) for name in episode.waiter_applications) or "unknown application"
    noun = "session" if episode.peak_waiters == 1 else "sessions"
    return (
        f"{grouped(episode.peak_waiters)} {noun} at the peak ({clock.span(episode.peak_at)}), "
        f"{grouped(episode.waiters_total)} in all, wait for {waited_for(episode)}: {names}; "
        f"together they waited {format_duration(episode.waiter_seconds)}{ended_words(episode)}"
    )


def ended_words(episode: LockEpisode) -> str:
    """How waits ended without the lock, as far as the server's log says."""
    gave_up = {name: n for name, n in episode.outcomes.items() if name != "granted"}
    words = ", ".join(f"{grouped(n)} {name.replace('_', ' ')}" for name, n in gave_up.items())
    return f"; {words}" if words else ""
