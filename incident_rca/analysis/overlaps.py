"""Requests that stand in two files, as where two exports of a log overlap: each counts once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import combinations
from typing import TYPE_CHECKING

from incident_rca.analysis.logged_twice import Log, Pair, by_latency, less, logs_of
from incident_rca.analysis.names import counted
from incident_rca.model import COUNTED_TWICE, Case, SourceState, SourceStatus
from incident_rca.tables import Tables
from incident_rca.typed_frames import as_schema
from incident_rca.window import format_instant

if TYPE_CHECKING:
    import pandas as pd

_HINT = "import one of the two into a new case, or exports that do not overlap"


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """What of a file still counts: its rows of `gateway` and of `failures`."""

    rows: pd.DataFrame
    failures: pd.DataFrame

    @property
    def requests(self) -> int:
        return int(self.rows["requests"].sum())

    @property
    def failed(self) -> int:
        return int(self.rows.loc[self.rows["status"] >= 500, "requests"].sum())


@dataclass(frozen=True, slots=True)
class _Said:
    """What is to be said of a source; with a `hint` its counts cannot be trusted."""

    source: str
    text: str
    hint: str = ""


def counted_once(case: Case, tables: Tables) -> tuple[Case, Tables]:
    """The tables with each request of two files once, and the case whose sources say so.

    A request that both hold stays in the file that knows more of it, else in the one that sorts
    first. Where it cannot be told which requests both hold, all stay, and the source is partial.
    """
    if len(tables.gateway[["source", "file"]].drop_duplicates()) < 2:
        return case, tables
    logs = logs_of({s.name: s for s in case.sources}, tables)
    held = {log: _Held(log.rows, log.failures) for log in logs}
    taken: dict[Log, list[Pair]] = {log: [] for log in logs}
    said: list[_Said] = []
    alike: list[Pair] = []
    for pair in (Pair(*two) for two in combinations(logs, 2)):
        if pair.common is None:
            continue
        if not pair.is_proven:
            alike += [pair] if pair.alike else []
            continue
        before = held[pair.other]
        after = _without(pair, before, _not_yet_taken(pair, held, taken))
        if not pair.is_nested or not _is_sound(before, after):
            said.append(_mixed(pair))
            continue
        taken[pair.other].append(pair)
        if after.requests < before.requests:
            held[pair.other] = after
            said.append(_once(pair, before, after))
    # A third file may have settled it.
    may_be = ((p, p.at_most_shared(held[p.one].rows, held[p.other].rows)) for p in alike)
    said += [_alike(pair, requests) for pair, requests in may_be if requests]
    if not said:
        return case, tables
    changed = {log: left for log, left in held.items() if left.rows is not log.rows}
    gateway = _with(tables.gateway, [(log.rows, left.rows) for log, left in changed.items()])
    failures = [(log.failures, left.failures) for log, left in changed.items()]
    return _saying(case, said), replace(
        tables,
        gateway=as_schema(gateway, "gateway"),
        failures=as_schema(_with(tables.failures, failures), "failures"),
    )


# --- what is left of a file without what another holds --------------------------------------------


def _not_yet_taken(
    pair: Pair, held: Mapping[Log, _Held], taken: Mapping[Log, Sequence[Pair]]
) -> _Held:
    """What `pair.one` holds, less what the files hold that were taken from both of the pair.

    What was taken from `one` alone may stand in the other still.
    """

    def less_those(log: Log, ones: Sequence[Log]) -> _Held:
        pairs = [p for p in taken[log] if p.one in ones]
        if len(pairs) == len(taken[log]):
            return held[log]
        left = _Held(log.rows, log.failures)
        for number, p in enumerate(pairs):
            left = _without(p, left, less_those(p.one, [q.one for q in pairs[:number]]))
        return left

    return less_those(pair.one, [p.one for p in taken[pair.other]])


def _without(pair: Pair, other: _Held, one: _Held) -> _Held:
    if pair.is_timed:
        rows = _without_latencies(pair, other.rows, one.rows)
        keys = ["epoch", "kind", "request_id", "latency_ms"]
        return _Held(rows, _unmatched(pair, other.failures, one.failures, keys))
    return _Held(
        _without_counts(pair, other.rows, one.rows),
        _unmatched(pair, other.failures, one.failures, ["bin", "what"]),
    )


def _is_sound(before: _Held, after: _Held) -> bool:
    """Whether as many failed requests were taken out one by one as by their counts."""
    if not len(before.failures):
        return True
    return len(before.failures) - len(after.failures) == before.failed - after.failed


def _without_latencies(pair: Pair, rows: pd.DataFrame, taken: pd.DataFrame) -> pd.DataFrame:
    """The rows less the requests of the same second, kind and latency."""
    import numpy as np
    import pandas as pd

    from incident_rca.number_lists import NumberLists

    mine, others = pair.counts(rows), pair.counts(taken)
    shared = mine[mine.index.isin(others.index)].reset_index()
    keys = pd.MultiIndex.from_frame(rows[["epoch", "kind"]])
    is_touched = keys.isin(pd.MultiIndex.from_frame(shared[["epoch", "kind"]]))
    left = less(mine, others).reset_index()
    place = keys.get_indexer(pd.MultiIndex.from_frame(left[["epoch", "kind"]]))
    left = left.assign(row=place)[is_touched[place]]
    left = left.sort_values(["row", "latency"], kind="stable")
    requests = left.groupby("row")["requests"].sum()
    timed = left[left["latency"] >= 0]
    lengths = np.bincount(timed["row"], minlength=len(rows))[requests.index].astype(np.int64)
    reduced = rows.iloc[requests.index].assign(
        requests=requests.to_numpy(),
        latency_ms_bounds=NumberLists.of_lengths(timed["latency"].to_numpy(), lengths),
        latency_ms_counts=NumberLists.of_lengths(timed["requests"].to_numpy(), lengths),
    )
    return _in_order(rows[~is_touched], reduced)


def _without_counts(pair: Pair, rows: pd.DataFrame, taken: pd.DataFrame) -> pd.DataFrame:
    """The rows less as many requests of the same bin; of what is left no latency is known."""
    import numpy as np
    import pandas as pd

    from incident_rca.number_lists import NumberLists

    keys = pd.MultiIndex.from_arrays([pair.bins(rows["epoch"]), rows["what"]])
    shared = pair.counts(taken).reindex(keys, fill_value=0).to_numpy(dtype="int64")
    own = rows["requests"].to_numpy(dtype="int64")
    before = rows["requests"].groupby([keys.codes[0], keys.codes[1]]).cumsum().to_numpy() - own
    left = own - np.clip(shared - before, 0, own)
    is_touched = shared > 0
    reduced = rows[is_touched & (left > 0)]
    is_less = (left < own)[is_touched & (left > 0)]
    lengths = np.zeros(int(is_less.sum()), dtype=np.int64)
    nothing = NumberLists.of_lengths(np.empty(0, dtype=np.int64), lengths)
    less_known = reduced[is_less].assign(
        requests=left[is_touched & (left > 0)][is_less],
        latency_ms_bounds=nothing,
        latency_ms_counts=nothing,
    )
    return _in_order(rows[~is_touched], reduced[~is_less], less_known)


def _unmatched(
    pair: Pair, failures: pd.DataFrame, taken: pd.DataFrame, keys: list[str]
) -> pd.DataFrame:
    """The failures less one each that is alike in the other file."""
    import pandas as pd

    def numbered(frame: pd.DataFrame) -> pd.MultiIndex:
        known = frame.assign(
            bin=pair.bins(frame["epoch"]),
            request_id=frame["request_id"].fillna(""),
            latency_ms=frame["latency_ms"].fillna(-1.0),
        )[keys]
        return pd.MultiIndex.from_frame(known.assign(n=known.groupby(keys).cumcount()))

    return failures[~numbered(failures).isin(numbered(taken))]


def _with(
    frame: pd.DataFrame, changed: Sequence[tuple[pd.DataFrame, pd.DataFrame]]
) -> pd.DataFrame:
    """The frame with some of its rows in the place of others, in its order."""
    gone = [label for old, _ in changed for label in old.index]
    columns = list(frame.columns)
    return _in_order(frame[~frame.index.isin(gone)], *(new[columns] for _, new in changed))


def _in_order(*parts: pd.DataFrame) -> pd.DataFrame:
    """The rows of all parts in the order of the table that they are of."""
    import pandas as pd

    found: pd.DataFrame = pd.concat([part for part in parts if len(part)] or [parts[0]])
    return found.sort_index()


# --- what is said of it ---------------------------------------------------------------------------


def _once(pair: Pair, before: _Held, after: _Held) -> _Said:
    requests = before.requests - after.requests
    left = less(by_latency(before.rows), by_latency(after.rows)).index.get_level_values("epoch")
    stretch = _stretch(int(left.min()), int(left.max()))
    text = f"{counted(requests, 'request')} {stretch} stand in {pair.one.file} too: counted once"
    return _Said(pair.other.source, text)


def _mixed(pair: Pair) -> _Said:
    assert pair.common is not None
    ids = pair.shared_ids[0]
    what = counted(ids, "failed request") if ids else "requests"
    at_most = _at_most(pair.at_most_shared(pair.one.rows, pair.other.rows))
    text = (
        f"{at_most}: {what} of it stand in {pair.one.file} too, "
        f"{_stretch(*pair.common)}, and which others do is not known"
    )
    return _Said(pair.other.source, text, _HINT)


def _alike(pair: Pair, requests: int) -> _Said:
    assert pair.alike is not None
    text = (
        f"{_at_most(requests)}: it counts the same as {pair.one.file} in each second "
        f"{_stretch(*pair.alike)}, and whether these are the same requests is not known"
    )
    return _Said(pair.other.source, text, _HINT)


def _at_most(requests: int) -> str:
    return f"up to {counted(requests, 'request')} {COUNTED_TWICE}"


def _stretch(first: int, last: int) -> str:
    start, end = (datetime.fromtimestamp(at, UTC) for at in (first, last + 1))
    return f"from {format_instant(start)} to {format_instant(end)}"


def _saying(case: Case, said: Iterable[_Said]) -> Case:
    """The case with what is said of each source; one that may count twice is partial."""
    of: dict[str, list[_Said]] = {}
    for one in said:
        of.setdefault(one.source, []).append(one)
    return replace(case, sources=tuple(_with_words(s, of.get(s.name, [])) for s in case.sources))


def _with_words(source: SourceStatus, said: Sequence[_Said]) -> SourceStatus:
    if not said:
        return source
    hints = dict.fromkeys(text for text in (source.hint, *(s.hint for s in said)) if text)
    is_ok = source.state is SourceState.OK and not any(s.hint for s in said)
    return replace(
        source,
        state=SourceState.OK if is_ok else SourceState.PARTIAL,
        reason="; ".join(text for text in (source.reason, *(s.text for s in said)) if text),
        hint="; ".join(hints),
    )
