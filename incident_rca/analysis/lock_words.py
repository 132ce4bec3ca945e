"""What a session of a lock episode holds, in words that are true of that type of lock."""

from __future__ import annotations

from collections.abc import Iterable

from incident_rca.lock_modes import MODES, in_words, meaning
from incident_rca.model import LockEpisode, Session

# PostgreSQL documentation, "pg_locks": who changed a row is found by its transaction id, and who
# waits for the row waits for that transaction's end.
ROW_TYPES = frozenset({"transactionid", "tuple", "spectoken"})
UNNAMED = "a prepared transaction whose name is not recorded"
_ON_RELATIONS = frozenset({"relation", "extend", "page"})


def who(session: Session) -> str:
    """`pid 4711 (worker)`, the name of a prepared transaction, or that nobody is proven.

    >>> nobody = Session(
    ...     pid=None, application="", mode="", state="", statement="", statement_basis="last"
    ... )
    >>> who(nobody)
    'a session that is not recorded'
    """
    if session.pid is None:
        return "a session that is not recorded"
    if session.pid == 0:
        known = session.session.startswith("prepared ")
        return (
            session.session.replace("prepared ", "prepared transaction ", 1) if known else UNNAMED
        )
    return f"pid {session.pid} ({session.application or 'no application name'})"


def held(mode: str, relation: str, lock_types: Iterable[str], *, explained: bool = False) -> str:
    """What is held: a table lock by its mode, a row lock as such, anything else by its name.

    >>> held("ShareLock", "public.orders", ["relation"], explained=True)
    'SHARE (blocks writes, not reads) on public.orders'
    >>> held("ExclusiveLock", "public.orders", ["transactionid", "tuple"])
    'a row lock on public.orders'
    >>> held("ExclusiveLock", "advisory lock [5,0,7,1]", ["advisory"])
    'advisory lock [5,0,7,1]'
    """
    types = frozenset(lock_types)
    if types and types <= ROW_TYPES:
        return f"a row lock on {relation}"
    if types and types <= {"virtualxid"}:
        return f"its transaction open ({relation})"
    if types and types <= {"extend"}:
        return f"the right to add pages to {relation}"
    if types and not types & _ON_RELATIONS:
        return relation
    if mode not in MODES:
        return f"a lock on {relation}"
    return f"{in_words(mode)}{f' ({meaning(mode)})' if explained else ''} on {relation}"


def held_in(episode: LockEpisode, *, explained: bool = False) -> str:
    """What the root of an episode holds; in a chain that is another relation than is waited for."""
    types = ("relation",) if episode.root_relation else episode.lock_types
    relation = episode.root_relation or episode.relation
    return held(episode.root_holder.mode, relation, types, explained=explained)
