"""The locks of a running server as a tree for a terminal, with what would end each blocker."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from incident_rca.analysis.lock_words import ROW_TYPES, who
from incident_rca.analysis.names import counted
from incident_rca.lock_modes import MODES, in_words
from incident_rca.model.live import Blocker, LiveLocks, Waiting
from incident_rca.redact import plain
from incident_rca.report.numbers import grouped
from incident_rca.report.safe_text import clean
from incident_rca.window import format_duration

STATEMENT_LIMIT = 300
_BASIS = {
    "running": "running",
    "last": "its last statement, perhaps not the one that took the lock",
    "recovered": "from earlier in its transaction",
}


def live_view(live: LiveLocks) -> RenderableType:
    """One server: each root blocker with the sessions behind it, or that nobody waits."""
    parts: list[RenderableType] = [_heading(live)]
    if live.blind:
        parts.append(Text(f"Hidden: {live.blind}.", style="yellow"))
    if live.cure:
        parts.append(Text(f"  {clean(live.cure)}", no_wrap=True, overflow="ignore"))
    for blocker in live.blockers:
        parts += [Text(), _tree(blocker, live.at), *_way_out(blocker)]
    return Group(*parts)


def _heading(live: LiveLocks) -> Text:
    text = Text(clean(live.server), style="bold")
    text.append(f"  {live.at:%Y-%m-%d %H:%M:%S} UTC  ")
    if live.sessions is not None:
        text.append(f"{counted(live.sessions, 'session')}  ")
    if not live.blockers and not live.waiting:
        return text.append("no session waits for a lock", style="green")
    if not live.blockers:
        # The probe counted a wait that was over when the locks were read, a moment later.
        return text.append("a wait ended while we looked; nobody waits now", style="green")
    waiting = "session waits" if live.waiting == 1 else "sessions wait"
    return text.append(f"{grouped(live.waiting)} {waiting} for locks", style="bold red")


def _tree(blocker: Blocker, at: datetime) -> Tree:
    session = blocker.session
    label = Text()
    label.append(clean(who(session)), style="bold red")
    if blocker.held:
        label.append(f" holds {clean('; '.join(blocker.held))}")
    if blocker.deadlocked:
        label.append("  deadlock: those below wait for each other", style="bold magenta")
    label.append(f"\n{clean(_state(blocker, at))}", style="dim")
    if session.statement:
        label.append(f"\n{plain(session.statement, STATEMENT_LIMIT)}")
        label.append(f"  [{_BASIS.get(session.statement_basis, '')}]", style="dim")
    tree = Tree(label, guide_style="dim")
    _add(tree, blocker.waiting, at)
    return tree


def _state(blocker: Blocker, at: datetime) -> str:
    state = blocker.session.state or "state not visible"
    if blocker.state_since:
        state += f" for {_length(at, blocker.state_since)}"
    if blocker.transaction_start:
        state += f", its transaction began {_length(at, blocker.transaction_start)} ago"
    where = f", database {blocker.database}" if blocker.database else ""
    return f"{state}{where}"


def _length(at: datetime, since: datetime) -> str:
    return format_duration(max(0.0, round((at - since).total_seconds(), 1)))


def _add(tree: Tree, waiting: Iterable[Waiting], at: datetime) -> None:
    for branch in waiting:
        _add(tree.add(_line(branch, at)), branch.behind, at)


def _line(branch: Waiting, at: datetime) -> Text:
    text = Text()
    if branch.count > 1:
        name = clean(branch.session.application) or "sessions without a name"
        text.append(f"{grouped(branch.count)} × {name}", style="yellow")
        text.append(" wait")
    else:
        text.append(clean(who(branch.session)), style="yellow")
        text.append(" waits")
    text.append(f" for {_wanted(branch)}")
    if branch.since:
        longest = "the longest " if branch.count > 1 else ""
        text.append(f", {longest}for {_length(at, branch.since)}")
    if branch.is_soft:
        text.append(", queued behind it", style="dim")
    if branch.behind and not branch.is_soft:
        text.append(", and stops those below", style="magenta")
    if branch.session.statement:
        text.append(f"\n{plain(branch.session.statement, STATEMENT_LIMIT)}", style="dim")
    return text


def _wanted(branch: Waiting) -> str:
    relation = clean(branch.relation)
    if set(branch.lock_types) <= ROW_TYPES:
        return f"a row of {relation}"
    if branch.session.mode in MODES and "relation" in branch.lock_types:
        return f"{in_words(branch.session.mode)} on {relation}"
    if set(branch.lock_types) == {"extend"}:
        return f"its turn to add pages to {relation}"
    return relation


def _way_out(blocker: Blocker) -> Iterable[RenderableType]:
    """What would end a blocker; each command on a line of its own that is never broken."""
    way = blocker.way_out
    if not way.commands:
        yield Text("who holds the lock cannot be named, so nothing is proposed", style="dim")
        return
    which = "To end it" if len(way.commands) == 1 else "To end it, one of these"
    yield Text(f"{which} (not run):", style="bold")
    for command in way.commands:
        yield Text(f"  {clean(command)}", no_wrap=True, overflow="ignore")
    yield Text(f"Undoes: {way.undoes}.")
    yield Text(f"Then: {way.then}{f'; {way.still}' if way.still else ''}.")
