"""The `locks` table -> lock episodes: who held what, against whom, from when to when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from incident_rca.analysis import lock_bounds, lock_evidence
from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.frames import distinct, pieces, values
from incident_rca.analysis.lock_graph import UNKNOWN, with_roots
from incident_rca.analysis.lock_words import ROW_TYPES
from incident_rca.analysis.waits import Wait, peak_of, waits_of
from incident_rca.model import Case, Evidence, LockEpisode, Session, Span, System
from incident_rca.tables import Tables
from incident_rca.trace_ids import split_ids

if TYPE_CHECKING:
    import pandas as pd

POSTGRES_LOGS = ("postgres_log", "cloudwatch_postgres_log")
# Nobody waits for this long: what comes then is another episode.
PAUSE = timedelta(seconds=2)
# So many samples without a waiter are a pause, one may come late.
SAMPLES = 2
RECORDING = "lock_recording"
NOBODY = Session(
    pid=None, application="", mode="", state="", statement="", statement_basis="last", mode_basis=""
)


def lock_episodes(case: Case, tables: Tables, locks: pd.DataFrame) -> tuple[LockEpisode, ...]:
    """One episode a root holder, relation and stretch of time; the longest queue first.

    `locks` is the table of locks as `placed` gives it.
    """
    locks = locks[(locks["at"] >= case.window.start) & (locks["at"] < case.window.end)]
    locks = locks.assign(slack=_slack(case, locks))
    waiting = _explained(with_roots(locks[locks["edge"] != "none"]))
    episodes = [
        _episode(relation, root, stretch, locks, tables)
        for (_, relation, root), edges in pieces(waiting, "database", "relation", "root")
        for stretch in _stretches(edges, root, _pause(case))
    ]
    return tuple(sorted(episodes, key=lambda e: (-e.waiter_seconds, e.object)))


def _slack(case: Case, locks: pd.DataFrame) -> pd.Series[Any]:
    """How much later than written the instants of each row may be: a log cuts off its clock."""
    import pandas as pd

    logs = {s.name: s.resolution_seconds or 0.0 for s in case.sources if s.kind in POSTGRES_LOGS}
    slack = pd.to_timedelta(locks["source"].map(logs).fillna(0.0).astype(float), unit="s")
    # Nanoseconds reach to the year 2262 only, and a clock may stand anywhere.
    return slack.dt.as_unit("us")


def _explained(edges: pd.DataFrame) -> pd.DataFrame:
    """`edges` where each `unknown` one has the holder that another row of the same wait names.

    So a log, which knows how a wait ended, and a recording, which knows for whom it was, tell of
    one wait.
    """
    import pandas as pd

    is_unknown = edges["edge"] == "unknown"
    if not is_unknown.any() or is_unknown.all():
        return edges
    known, unknown = edges[~is_unknown], edges[is_unknown]
    told_of, tellers = _tellers(known, unknown)
    explained = unknown.iloc[told_of].reset_index(drop=True)
    columns = [str(c) for c in known if str(c).startswith(("holder", "held_"))]
    columns += ["edge", "relation", "lock_type", "database", "root", "deadlocked"]
    explained = explained.assign(
        **{column: known[column].iloc[tellers].reset_index(drop=True) for column in columns}
    )
    left = unknown.drop(unknown.index[sorted(set(told_of))])
    return pd.concat([known, explained, left], ignore_index=True)


def _tellers(known: pd.DataFrame, unknown: pd.DataFrame) -> tuple[list[int], list[int]]:
    """Positions of unknown rows, each with that of a known row of its wait, one for each root."""
    spans: dict[str, list[tuple[Any, Any, str, int]]] = {}
    columns = ("waiter", "wait_start", "at", "wait_end")
    for position, (waiter, start, at, end, root) in enumerate(values(known, *columns, "root")):
        spans.setdefault(waiter, []).append((start or at, end or at, root, position))
    told_of: list[int] = []
    tellers: list[int] = []
    for position, (waiter, start, at, end) in enumerate(values(unknown, *columns)):
        by_root = {
            root: number
            for begun, until, root, number in spans.get(waiter, ())
            if begun <= (end or at) and (start or at) <= until
        }
        told_of += [position] * len(by_root)
        tellers += by_root.values()
    return told_of, tellers


def _pause(case: Case) -> timedelta:
    """How long nobody may be seen to wait within one episode: between two samples nobody is."""
    recordings = [s.resolution_seconds or 0.0 for s in case.sources if s.kind == RECORDING]
    return max(PAUSE, timedelta(seconds=SAMPLES * max(recordings, default=0.0)))


def _stretches(edges: pd.DataFrame, root: str, pause: timedelta) -> Iterable[pd.DataFrame]:
    """The rows of one root and relation, cut where nobody waited, or another transaction held."""
    begins = edges["wait_start"].fillna(edges["at"])
    cuts: list[Any] = []
    until = None
    granted: list[Any] = []
    direct = frozenset(edges.loc[edges["holder"].eq(root).fillna(False), "waiter"])
    for wait in waits_of(edges):
        # Who got the lock from the root shows that the root had let it go.
        is_let_go = any(end < wait.start for end in granted)
        if until is not None and (wait.start > until + pause or is_let_go):
            cuts.append(wait.start)
            granted = []
        until = max(until, wait.until) if until else wait.until
        if wait.end is not None and wait.outcome == "granted" and wait.session in direct:
            granted.append(wait.end)
    for lower, upper in zip([None, *cuts], [*cuts, None], strict=True):
        inside = begins.notna()
        if lower is not None:
            inside &= begins >= lower
        if upper is not None:
            inside &= begins < upper
        yield from _transactions(edges[inside], root)


def _transactions(edges: pd.DataFrame, root: str) -> Iterable[pd.DataFrame]:
    """The rows cut where the root's transaction ended and its next one held the lock again."""
    held = edges[(edges["holder"] == root) & (edges["holder_mode_basis"] != "requested")]
    last_seen = held.groupby("held_since")["at"].max()
    begun = sorted(last_seen.index)
    cuts = [
        later
        for position, later in enumerate(begun[1:], start=1)
        if (last_seen[begun[:position]] < later).all()
    ]
    for lower, upper in zip([None, *cuts], [*cuts, None], strict=True):
        inside = edges["at"].notna()
        if lower is not None:
            inside &= edges["at"] >= lower
        if upper is not None:
            inside &= edges["at"] < upper
        if inside.any():
            yield edges[inside]


def _episode(
    relation: str, root: str, edges: pd.DataFrame, locks: pd.DataFrame, tables: Tables
) -> LockEpisode:
    waits = waits_of(edges)
    first, last = min(w.start for w in waits), max(w.until for w in waits)
    held = edges[edges["holder"] == root]
    # The root of a chain holds another relation, for which this one's holder waits.
    elsewhere = held.empty and root != UNKNOWN
    if elsewhere:
        held = locks[(locks["holder"] == root) & locks["at"].between(first, last)]
    holder = NOBODY if held.empty else _session(held)
    start = lock_bounds.start_of(held, edges)
    end = lock_bounds.end_of(edges, root, waits, tables)
    types = distinct(edges, "lock_type")
    peak, peak_at = peak_of(waits)
    idle = _bystanders(relation, locks, edges, first, last)
    started = (
        *lock_evidence.of_start(edges if held.empty else held, holder, relation, types, start),
        *lock_evidence.of_statement(tables.server_events, holder, start, end),
    )
    peaked = lock_evidence.of_peak(edges, relation, peak, peak_at)
    ended = lock_evidence.of_end(edges, relation, waits, end)
    return LockEpisode(
        database=next(iter(distinct(edges, "database")), ""),
        relation=relation,
        root_holder=holder,
        queue_amplifiers=_sessions(_amplifying(edges, root)),
        waiter_modes=distinct(edges, "waiter_mode"),
        waiter_applications=distinct(edges, "waiter_application"),
        held_start=start,
        held_end=end,
        peak_waiters=peak,
        peak_at=Span.at(peak_at, "the last of them began to wait"),
        waiters_total=len({w.session for w in waits}),
        waiter_seconds=lock_bounds.waiter_seconds(waits, end),
        bystanders=_sessions(idle),
        lock_types=types,
        root_relation=next(iter(distinct(held, "relation")), "") if elsewhere else "",
        deadlocked=bool(edges["deadlocked"].any()),
        outcomes=dict(sorted(Counter(w.outcome for w in waits if w.outcome).items())),
        waiter_ids=_waiter_ids(edges),
        waits=_number(waits, edges),
        waited_until=last,
        start_evidence=started,
        peak_evidence=peaked,
        end_evidence=ended,
        bystander_evidence=lock_evidence.of_bystanders(idle, relation),
        evidence=tuple(dict.fromkeys([*started, *peaked, *ended])),
    )


def _waiter_ids(edges: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    """The ids of each waiting statement that carries some, one a session and statement."""
    known = edges[edges["waiter_trace_ids"].notna()]
    carried = set(values(known, "waiter", "waiter_trace_ids"))
    return tuple(split_ids(ids) for _, ids in sorted(carried))


def _number(waits: tuple[Wait, ...], edges: pd.DataFrame) -> int:
    """How many waits there were; of those whose start is not recorded, at least one a session."""
    is_dated = edges["wait_start"].notna()
    dated = waits if is_dated.all() else waits_of(edges[is_dated])
    return max(len(dated), len({w.session for w in waits}))


def _amplifying(edges: pd.DataFrame, root: str) -> pd.DataFrame:
    """The rows of sessions that wait themselves and stop others whom the root would let pass.

    In a queue for one row everybody waits for the root in the end: there nobody is one.
    """
    direct = set(edges.loc[edges["holder"] == root, "waiter"])
    through = edges[(edges["holder"] != root) & edges["holder"].notna()]
    return through[~through["waiter"].isin(direct) & (through["lock_type"] != "tuple")]


def _bystanders(
    relation: str, locks: pd.DataFrame, edges: pd.DataFrame, first: Any, last: Any
) -> pd.DataFrame:
    """Who held a lock there in that time and blocked nobody in it."""
    around = locks[(locks["relation"] == relation) & locks["at"].between(first, last)]
    guilty = set(edges["holder"].dropna()) | set(edges["root"])
    return around[(around["edge"] == "none") & ~around["holder"].isin(guilty)]


def _sessions(rows: pd.DataFrame) -> tuple[Session, ...]:
    return tuple(_session(of_one) for _, of_one in pieces(rows, "holder"))


def _session(rows: pd.DataFrame) -> Session:
    """A holder as the best row shows it: modes that were seen granted before inferred ones.

    A row that shows no statement comes last. The statement may come from another source: what its
    last statement was says less than which one took a lock of that mode.
    """
    unsaid = rows["holder_statement_basis"].map({"running": 0, "recovered": 1}).fillna(2)
    ranked = rows.assign(
        rank=[0 if basis == "granted" else 1 for basis in rows["holder_mode_basis"]],
        row=rows["lock_type"].isin(sorted(ROW_TYPES)),
        unsaid=unsaid.where(rows["holder_statement"].fillna("") != "", 3),
    ).sort_values(["rank", "row", "unsaid", "at"], kind="stable")
    columns = ("application", "mode", "state", "statement", "statement_basis", "mode_basis")
    best = ranked.iloc[:1]
    cells = next(values(best, *(f"holder_{column}" for column in columns)))
    texts = dict(zip(columns, (text or "" for text in cells), strict=True))
    telling = ranked[(ranked["unsaid"] < 2) & (ranked["holder_mode"] == texts["mode"])]
    if texts["statement_basis"] == "last" and len(telling):
        texts |= {"statement": telling["holder_statement"].iloc[0], "statement_basis": "recovered"}
    (pid, key), *_ = values(best, "holder_pid", "holder")
    return Session(pid=pid, session=key, **texts)


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
