"""The `locks` table -> lock episodes: who held what, against whom, from when to when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.waits import Wait, peak_of, waits_of
from incident_rca.lock_modes import in_words
from incident_rca.model import Case, Evidence, LockEpisode, Session, Span, System
from incident_rca.tables import Tables

if TYPE_CHECKING:
    import pandas as pd


def lock_episodes(case: Case, tables: Tables) -> tuple[LockEpisode, ...]:
    """One episode a root holder, relation and stretch of time; the longest queue first."""
    locks = tables.locks.assign(relation=_names(case, tables))
    locks = locks[(locks["at"] >= case.window.start) & (locks["at"] < case.window.end)]
    waiting = locks[locks["edge"].isin(["hard", "soft"])]
    if waiting.empty:
        return ()
    roots = _roots(waiting)
    waiting = waiting.assign(root=[roots[int(pid)] for pid in waiting["holder_pid"]])
    episodes: list[LockEpisode] = []
    for (relation, root), edges in waiting.groupby(["relation", "root"], sort=True):
        for stretch in _stretches(edges):
            episodes.append(_episode(str(relation), int(root), stretch, locks, tables))
    return tuple(sorted(episodes, key=lambda e: (-e.waiter_seconds, e.object)))


def _names(case: Case, tables: Tables) -> list[str]:
    """The relation of each row as `schema.table`, by its OID where a source knows it.

    A log names a relation by OID and by what its statements wrote; the schema comes from the
    recorder, else from the one table of the topology that ends so, else it stays unsaid.
    """
    known = {
        (row.database, int(row.oid)): row.relation
        for row in tables.relations.itertuples()
        if row.oid == row.oid
    }
    owned: dict[str, list[str]] = {}
    for service in case.topology.services:
        for table in service.tables:
            owned.setdefault(table.rpartition(".")[2], []).append(table)
    names = []
    rows = zip(
        tables.locks["database"],
        tables.locks["relation"],
        tables.locks["relation_oid"],
        strict=True,
    )
    for database, relation, oid in rows:
        by_oid = known.get((database, int(oid))) if oid == oid and oid is not None else None
        candidates = owned.get(relation, []) if "." not in relation else []
        names.append(by_oid or (candidates[0] if len(candidates) == 1 else relation))
    return names


def _roots(edges: pd.DataFrame) -> Mapping[int, int]:
    """Whom each holder waits for in the end: itself where it waits for nobody."""
    behind: dict[int, int] = {}
    for waiter, holder in zip(edges["waiter_pid"], edges["holder_pid"], strict=True):
        behind.setdefault(int(waiter), int(holder))
    roots = {}
    for holder in {int(pid) for pid in edges["holder_pid"]}:
        chain = [holder]
        while (ahead := behind.get(chain[-1])) is not None and ahead not in chain:
            chain.append(ahead)
        roots[holder] = chain[-1]
    return roots


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
    holder = _session(held, root)
    start = _start(held, first)
    end = _end(edges, waits, tables)
    peak, peak_at = peak_of(waits)
    database = next((str(d) for d in edges["database"] if isinstance(d, str)), "")
    around = locks[(locks["relation"] == relation) & (locks["at"] >= first) & (locks["at"] <= last)]
    idle = around[(around["edge"] == "none") & (around["holder_pid"] != root)]
    amplifiers = edges[edges["holder_pid"] != root]
    evidence = _Cited(relation, root, holder, start, end, peak, peak_at)
    start_cited, peak_cited = evidence.of_start(held), evidence.of_peak(edges)
    end_cited = evidence.of_end(edges, waits, last)
    bystanders = {int(pid): _session(rows, int(pid)) for pid, rows in idle.groupby("holder_pid")}
    return LockEpisode(
        database=database,
        relation=relation,
        root_holder=holder,
        queue_amplifiers=tuple(
            _session(rows, int(pid)) for pid, rows in amplifiers.groupby("holder_pid")
        ),
        waiter_modes=tuple(sorted(set(edges["waiter_mode"].dropna()))),
        waiter_applications=tuple(sorted(set(edges["waiter_application"].dropna()))),
        held_start=start,
        held_end=end,
        peak_waiters=peak,
        peak_at=Span.at(peak_at, "the last of them began to wait"),
        waiters_total=len({w.pid for w in waits}),
        waiter_seconds=sum((_until(w, end) - w.start).total_seconds() for w in waits),
        bystanders=tuple(bystanders.values()),
        start_evidence=start_cited,
        peak_evidence=peak_cited,
        end_evidence=end_cited,
        bystander_evidence=_bystanders(idle, relation),
        evidence=tuple(dict.fromkeys([*start_cited, *peak_cited, *end_cited])),
    )


def _until(wait: Wait, end: Span) -> datetime:
    return wait.end or (max(wait.seen_until, end.middle) if end.hi else wait.seen_until)


def _session(rows: pd.DataFrame, pid: int) -> Session:
    """A holder as the best row shows it: modes that were seen granted before inferred ones."""
    ranked = rows.assign(
        rank=[0 if basis == "granted" else 1 for basis in rows["holder_mode_basis"]]
    ).sort_values(["rank", "at"], kind="stable")
    row = ranked.iloc[0]

    def text(column: str) -> str:
        return row[column] if isinstance(row[column], str) else ""

    return Session(
        pid=pid,
        application=text("holder_application"),
        mode=text("holder_mode"),
        state=text("holder_state"),
        statement=text("holder_statement"),
        statement_basis=text("holder_statement_basis"),
    )


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
    signs: list[datetime] = []
    if ends:
        middle = ends[len(ends) // 2]
        signs.append(min(e for e in ends if e >= middle - timedelta(seconds=1)))
    later = tables.session_counts.loc[tables.session_counts["at"] > last_seen, "at"]
    sampled = edges["wait_end"].isna().any()
    if sampled and len(later):
        signs.append(later.min().to_pydatetime())
    if not signs:
        return Span(last_seen, None, "no sign of the release was recorded")
    over = min(signs)
    lower = [i for i in (last_seen if sampled else None, instant(edges["held_until"].min())) if i]
    return Span(
        min(max(lower, default=over), over),
        over,
        "between the last sign of the lock and its release",
    )


class _Cited:
    """The evidence of one episode, worded once."""

    def __init__(
        self,
        relation: str,
        root: int,
        holder: Session,
        start: Span,
        end: Span,
        peak: int,
        peak_at: datetime,
    ) -> None:
        self.relation, self.root, self.holder = relation, root, holder
        self.start, self.end, self.peak, self.peak_at = start, end, peak, peak_at

    def of_start(self, held: pd.DataFrame) -> tuple[Evidence, ...]:
        mode = in_words(self.holder.mode) if self.holder.mode else "an unknown mode"
        seen = (
            f"pid {self.root} ({self.holder.application or 'no application name'}) held {mode} on "
            f"{self.relation}: {self.holder.statement or 'statement not recorded'}"
        )
        return rows_as_evidence(held, system=System.POSTGRES, at=self.start, seen=seen)

    def of_peak(self, edges: pd.DataFrame) -> tuple[Evidence, ...]:
        at_peak = edges[edges["at"] >= self.peak_at]
        found = at_peak if len(at_peak) else edges
        first = found[found["at"] == found["at"].min()]
        modes = ", ".join(in_words(m) for m in sorted(set(edges["waiter_mode"].dropna())))
        who = ", ".join(sorted(set(edges["waiter_application"].dropna())))
        return rows_as_evidence(
            first,
            system=System.POSTGRES,
            at=Span.at(self.peak_at),
            seen=f"{self.peak} sessions of {who} waited at once for {modes} on {self.relation}",
            count=self.peak,
        )

    def of_end(
        self, edges: pd.DataFrame, waits: tuple[Wait, ...], last: datetime
    ) -> tuple[Evidence, ...]:
        granted = sum(1 for w in waits if w.end is not None)
        rows = (
            edges[edges["wait_end"].notna()] if granted else edges[edges["at"] == edges["at"].max()]
        )
        return rows_as_evidence(
            rows,
            system=System.POSTGRES,
            at=self.end,
            seen=f"the lock on {self.relation} was released: {len(waits)} waits ended",
            count=len(waits),
        )


def _bystanders(idle: pd.DataFrame, relation: str) -> tuple[Evidence, ...]:
    cited: list[Evidence] = []
    for (pid, mode), rows in idle.groupby(["holder_pid", "holder_mode"], dropna=False):
        held = in_words(mode) if isinstance(mode, str) else "a lock of unrecorded mode"
        first, last = instant(rows["at"].min()), instant(rows["at"].max())
        cited += rows_as_evidence(
            rows,
            system=System.POSTGRES,
            at=Span(first, last, "first to last sample"),
            seen=f"pid {pid} held {held} on {relation}, which blocked none of the waiters",
        )
    return tuple(cited)


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
