"""The `locks` table -> lock episodes: who held what, against whom, from when to when."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from incident_rca.analysis import lock_evidence
from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.frames import distinct, pieces, values
from incident_rca.analysis.waits import Wait, peak_of, waits_of
from incident_rca.model import Case, Evidence, LockEpisode, Session, Span, System
from incident_rca.tables import Tables

if TYPE_CHECKING:
    import pandas as pd

# Waiters wake one after the other: the first of them shows the release.
RELEASE_SPREAD = timedelta(seconds=1)
# A statement's duration is logged a moment after its lock is gone.
LOG_LAG = timedelta(milliseconds=100)


def lock_episodes(case: Case, tables: Tables) -> tuple[LockEpisode, ...]:
    """One episode a root holder, relation and stretch of time; the longest queue first."""
    locks = tables.locks.assign(relation=_names(case, tables))
    locks = locks[(locks["at"] >= case.window.start) & (locks["at"] < case.window.end)]
    waiting = locks[locks["edge"].isin(["hard", "soft"])]
    episodes = [
        _episode(relation, root, stretch, locks, tables)
        for (relation,), edges in pieces(waiting, "relation")
        for (root,), of_root in pieces(edges.assign(root=_roots(edges)), "root")
        for stretch in _stretches(of_root)
    ]
    return tuple(sorted(episodes, key=lambda e: (-e.waiter_seconds, e.object)))


def _names(case: Case, tables: Tables) -> list[str]:
    """The relation of each row as `schema.table`, by its OID where a source knows it.

    A log names a relation by OID and by what its statements wrote; the schema comes from the
    recorder, else from the one table of the topology that ends so, else it stays unsaid.
    """
    known = {
        (database, oid): relation
        for database, oid, relation in values(tables.relations, "database", "oid", "relation")
    }
    owned: dict[str, list[str]] = {}
    for service in case.topology.services:
        for table in service.tables:
            owned.setdefault(table.rpartition(".")[2], []).append(table)
    names = []
    for database, relation, oid in values(tables.locks, "database", "relation", "relation_oid"):
        candidates = owned.get(relation, []) if "." not in relation else []
        by_topology = candidates[0] if len(candidates) == 1 else relation
        names.append(known.get((database, oid), by_topology))
    return names


def _roots(edges: pd.DataFrame) -> list[int]:
    """Whom each edge's waiter waits for in the end: a holder that waits for nobody there.

    In a circle it is the smallest process id of it, so that any order of rows gives the same.
    """
    behind: dict[int, int] = {}
    for waiter, holder in values(edges, "waiter_pid", "holder_pid"):
        behind.setdefault(waiter, holder)
    roots = {}
    for holder in distinct(edges, "holder_pid"):
        chain = [holder]
        while (ahead := behind.get(chain[-1])) is not None and ahead not in chain:
            chain.append(ahead)
        roots[holder] = chain[-1] if ahead is None else min(chain[chain.index(ahead) :])
    return [roots[holder] for (holder,) in values(edges, "holder_pid")]


def _stretches(edges: pd.DataFrame) -> Iterable[pd.DataFrame]:
    """The rows of one root and relation, cut where nobody waited for a while."""
    waits = waits_of(edges)
    cuts: list[datetime] = []
    until: datetime | None = None
    for wait in waits:
        if until is not None and wait.start > until + timedelta(seconds=2):
            cuts.append(wait.start)
        until = max(until, wait.until) if until else wait.until
    begins = edges["wait_start"].fillna(edges["at"])
    for lower, upper in zip([None, *cuts], [*cuts, None], strict=True):
        inside = begins.notna()
        if lower is not None:
            inside &= begins >= lower
        if upper is not None:
            inside &= begins < upper
        yield edges[inside]


def _episode(
    relation: str, root: int, edges: pd.DataFrame, locks: pd.DataFrame, tables: Tables
) -> LockEpisode:
    waits = waits_of(edges)
    first, last = min(w.start for w in waits), max(w.until for w in waits)
    held = edges[edges["holder_pid"] == root]
    if held.empty:
        # The root waited at another time: in this stretch its waiters had a holder of their own.
        root = int(edges["holder_pid"].mode().iloc[0])
        held = edges[edges["holder_pid"] == root]
    holder, start, end = _session(held, root), _start(held, first), _end(edges, waits, tables)
    peak, peak_at = peak_of(waits)
    around = locks[(locks["relation"] == relation) & locks["at"].between(first, last)]
    idle = around[(around["edge"] == "none") & (around["holder_pid"] != root)]
    started = (
        *lock_evidence.of_start(held, holder, relation, start),
        *lock_evidence.of_statement(tables.server_events, holder, start, end),
    )
    peaked = lock_evidence.of_peak(edges, relation, peak, peak_at)
    ended = lock_evidence.of_end(edges, relation, waits, end)
    return LockEpisode(
        database=next(iter(distinct(edges, "database")), ""),
        relation=relation,
        root_holder=holder,
        queue_amplifiers=_sessions(edges[edges["holder_pid"] != root]),
        waiter_modes=distinct(edges, "waiter_mode"),
        waiter_applications=distinct(edges, "waiter_application"),
        held_start=start,
        held_end=end,
        peak_waiters=peak,
        peak_at=Span.at(peak_at, "the last of them began to wait"),
        waiters_total=len({w.pid for w in waits}),
        waiter_seconds=_waiter_seconds(waits, end),
        bystanders=_sessions(idle),
        start_evidence=started,
        peak_evidence=peaked,
        end_evidence=ended,
        bystander_evidence=lock_evidence.of_bystanders(idle, relation),
        evidence=tuple(dict.fromkeys([*started, *peaked, *ended])),
    )


def _sessions(rows: pd.DataFrame) -> tuple[Session, ...]:
    return tuple(_session(of_pid, pid) for (pid,), of_pid in pieces(rows, "holder_pid"))


def _waiter_seconds(waits: tuple[Wait, ...], end: Span) -> float:
    """How long all waited together; who was seen last of all waited until the release."""
    last_seen = max(wait.seen_until for wait in waits)

    def until(wait: Wait) -> datetime:
        stayed = wait.seen_until == last_seen and end.hi is not None
        return wait.end or (max(last_seen, end.middle) if stayed else wait.seen_until)

    return sum((until(wait) - wait.start).total_seconds() for wait in waits)


def _session(rows: pd.DataFrame, pid: int) -> Session:
    """A holder as the best row shows it: modes that were seen granted before inferred ones."""
    ranked = rows.assign(
        rank=[0 if basis == "granted" else 1 for basis in rows["holder_mode_basis"]]
    ).sort_values(["rank", "at"], kind="stable")
    columns = ("application", "mode", "state", "statement", "statement_basis", "mode_basis")
    best = next(values(ranked.iloc[:1], *(f"holder_{column}" for column in columns)))
    texts = dict(zip(columns, (text or "" for text in best), strict=True))
    return Session(pid=pid, **texts)


def _start(held: pd.DataFrame, first_wait: datetime) -> Span:
    """The lock was taken after its statement or transaction began and before somebody waited."""
    since = instant(held["held_since"].max())
    if since is None or since > first_wait:
        return Span(None, first_wait, "when the lock was taken is not recorded")
    return Span(since, first_wait, "between the holder's statement and the first waiter")


def _end(edges: pd.DataFrame, waits: tuple[Wait, ...], tables: Tables) -> Span:
    """The release lies between the last sign of the hold and the first sign that it is over."""
    last_seen = max(w.seen_until for w in waits)
    ends = sorted(w.end for w in waits if w.end is not None)
    held_until = instant(edges["held_until"].min())
    signs: list[datetime] = []
    if ends:
        # The last waits of all ended with the lock; those that ended before had given up.
        with_lock = ends[-1] - RELEASE_SPREAD
        if held_until is not None and held_until <= ends[-1]:
            with_lock = held_until - LOG_LAG
        signs.append(min(e for e in ends if e >= with_lock))
    later = tables.session_counts.loc[tables.session_counts["at"] > last_seen, "at"]
    sampled = edges["wait_end"].isna().any()
    if sampled and len(later):
        signs.append(later.min().to_pydatetime())
    if not signs:
        return Span(last_seen, None, "no sign of the release was recorded")
    over = min(signs)
    lower = [i for i in (last_seen if sampled else None, held_until) if i]
    return Span(
        min(max(lower, default=over), over),
        over,
        "between the last sign of the lock and its release",
    )


def size_of(tables: Tables, relation: str) -> tuple[float, tuple[Evidence, ...]] | None:
    """The rows of a relation by `reltuples`, which are -1 where it was never analysed."""
    rows: Any = tables.relations[tables.relations["relation"] == relation]
    if rows.empty or float(rows["reltuples"].iloc[0]) < 0:
        return None
    first = rows.iloc[[0]]
    tuples, at = float(first["reltuples"].iloc[0]), instant(first["at"].iloc[0])
    cited = rows_as_evidence(
        first,
        system=System.POSTGRES,
        at=Span(at, at),
        seen=f"{relation} holds about {tuples:,.0f} rows (reltuples)",
    )
    return tuples, cited
