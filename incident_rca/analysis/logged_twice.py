"""Which requests two files of a gateway's requests both hold, by their counts and their ids."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from incident_rca.analysis.frames import flat, pieces, seconds_of
from incident_rca.model import SourceStatus
from incident_rca.tables import Tables

if TYPE_CHECKING:
    import pandas as pd

# Files of these kinds hold counts by bins, with bounds of latencies.
_COUNTS = ("gateway_rollup", "gateway_counts")
# So many marks that two files share are no chance.
FEWEST_MARKS = 10
# So few requests are alike by chance, as where one file ends and the next begins.
_FEWEST_ALIKE = 3
_UNTIMED = -1


@dataclass(frozen=True, eq=False)
class Log:
    """The requests of one file and the failures among them.

    `rank` is 0 where each request's own latency is known, and higher the less is known. `rows` and
    `failures` are those of the tables, with their second since 1970 as `epoch`, a number for
    method, route and status as `what`, and one for these and the type of the error as `kind`.
    """

    source: str
    file: str
    rank: int
    bin_seconds: int
    rows: pd.DataFrame
    failures: pd.DataFrame

    @cached_property
    def stretch(self) -> tuple[int, int]:
        """The first and the last second with a request."""
        counted = self.rows.loc[self.rows["requests"] > 0, "epoch"]
        return int(counted.min()), int(counted.max())

    @cached_property
    def ids(self) -> pd.Series[int]:
        """The second of each failed request by its id; a client may choose an id twice."""
        known = self.failures[self.failures["request_id"].notna()]
        seconds = known.set_index("request_id")["epoch"]
        return seconds[~seconds.index.duplicated(keep=False)]


def logs_of(sources: Mapping[str, SourceStatus], tables: Tables) -> tuple[Log, ...]:
    """The files that count requests, those first that know most of each."""
    failures = _keyed(tables.failures[tables.failures["seen_in"] == "access"], "at")
    failed = dict(pieces(failures, "source", "file"))
    found = (
        Log(
            source=source,
            file=file,
            rank=_rank(sources.get(source), rows),
            bin_seconds=_bin_seconds(sources.get(source)),
            rows=rows,
            failures=failed.get((source, file), failures.iloc[:0]),
        )
        for (source, file), rows in pieces(_keyed(tables.gateway, "second"), "source", "file")
        if (rows["requests"] > 0).any()
    )
    return tuple(sorted(found, key=lambda log: (log.rank, log.source, log.file)))


def _rank(source: SourceStatus | None, rows: pd.DataFrame) -> int:
    if source is not None and source.kind in _COUNTS:
        return 2 + _COUNTS.index(source.kind)
    is_grouped = not rows.duplicated(["epoch", "kind"]).any()
    return 0 if is_grouped and len(flat(rows["latency_ms_bounds"])) else 1


def _bin_seconds(source: SourceStatus | None) -> int:
    if source is None or source.kind not in _COUNTS:
        return 1
    return max(1, math.ceil(source.resolution_seconds or 1.0))


def _keyed(frame: pd.DataFrame, instant: str) -> pd.DataFrame:
    import numpy as np
    from pandas.util import hash_pandas_object

    def number(*columns: str) -> Any:
        texts = frame[list(columns)].astype({"status": "Int64"})
        return hash_pandas_object(texts, index=False).to_numpy().view("int64")

    return frame.assign(
        epoch=np.floor(seconds_of(frame[instant])).astype("int64"),
        what=number("method", "route", "status"),
        kind=number("method", "route", "status", "error_type"),
    )


def by_latency(rows: pd.DataFrame) -> pd.Series[int]:
    """How many requests there are by second, kind and latency in ms; -1 is not known."""
    import numpy as np
    import pandas as pd

    lengths = rows["latency_ms_bounds"].array.lengths
    which = np.repeat(np.arange(len(rows)), lengths)
    timed = flat(rows["latency_ms_counts"])
    known = np.bincount(which, weights=timed, minlength=len(rows)).astype("int64")
    keys = rows[["epoch", "kind"]]
    every = pd.concat([keys.iloc[which], keys], ignore_index=True).assign(
        latency=np.concatenate([flat(rows["latency_ms_bounds"]), np.full(len(rows), _UNTIMED)]),
        requests=np.concatenate([timed, rows["requests"].to_numpy() - known]),
    )
    return _summed(every, "epoch", "kind", "latency")


def by_bin(rows: pd.DataFrame, bin_seconds: int) -> pd.Series[int]:
    """How many requests there are by the first second of a bin and what was asked."""
    binned = rows[["what", "requests"]].assign(epoch=_bins(rows["epoch"], bin_seconds))
    return _summed(binned, "epoch", "what")


def _bins(epochs: pd.Series[int], bin_seconds: int) -> pd.Series[int]:
    return epochs - epochs % bin_seconds


def _summed(rows: pd.DataFrame, *keys: str) -> pd.Series[int]:
    found = rows[rows["requests"] > 0].groupby(list(keys), sort=True)["requests"].sum()
    return found.astype("int64")


def marks_of(counts: pd.Series[int]) -> pd.Series[int]:
    """The second of each mark: what a file has in one of its seconds only.

    That is a number of requests of a kind, and all of a second's requests together: two files in
    which the same stand, at the same second, tell of the same requests. What comes again and again,
    as a health check does, is none: it is the same in the logs of two nodes as well.
    """
    import pandas as pd
    from pandas.util import hash_pandas_object

    epochs = counts.index.get_level_values("epoch")
    plain = counts.reset_index().drop(columns="epoch")
    one = hash_pandas_object(plain, index=False)
    whole = one.groupby(epochs.to_numpy()).sum()
    # A second's only count is no second mark of it.
    sizes = one.groupby(epochs.to_numpy()).size()
    whole = whole[sizes > 1]
    every = pd.concat(
        [
            pd.Series(epochs.to_numpy(), index=one.to_numpy()),
            pd.Series(whole.index.to_numpy(), index=whole.to_numpy()),
        ]
    )
    return every[~every.index.duplicated(keep=False)]


@dataclass(frozen=True, eq=False)
class Pair:
    """Two files whose seconds overlap; `one` knows at least as much of each request."""

    one: Log
    other: Log

    @property
    def is_timed(self) -> bool:
        """Whether requests can be told apart by their latencies."""
        return self.one.rank == self.other.rank == 0

    @property
    def bin_seconds(self) -> int:
        return max(self.one.bin_seconds, self.other.bin_seconds)

    @cached_property
    def common(self) -> tuple[int, int] | None:
        """The first and the last second of the stretch that both cover."""
        first = max(self.one.stretch[0], self.other.stretch[0])
        last, wide = min(self.one.stretch[1], self.other.stretch[1]), self.bin_seconds
        first, last = first - first % wide, last - last % wide + wide - 1
        return (first, last) if first <= last else None

    def bins(self, epochs: pd.Series[int]) -> pd.Series[int]:
        """The first second of the bin of each."""
        return _bins(epochs, self.bin_seconds)

    def counts(self, rows: pd.DataFrame) -> pd.Series[int]:
        """The requests of rows of either, as both can be compared, in the common stretch."""
        assert self.common is not None
        inside = rows[rows["epoch"].between(*self.common)]
        return by_latency(inside) if self.is_timed else by_bin(inside, self.bin_seconds)

    @cached_property
    def both(self) -> tuple[pd.Series[int], pd.Series[int]]:
        """The requests of each file in the common stretch."""
        return self.counts(self.one.rows), self.counts(self.other.rows)

    @cached_property
    def shared_ids(self) -> tuple[int, int]:
        """How many ids of failed requests stand in both at the same second; of how many at most."""
        assert self.common is not None
        one, other = (log.ids[log.ids.between(*self.common)] for log in (self.one, self.other))
        return _same(one, other)[0], min(len(one), len(other))

    @property
    def is_proven(self) -> bool:
        """Whether ids or marks show that both hold the same requests."""
        shared, most = self.shared_ids
        if shared and (shared >= FEWEST_MARKS or 2 * shared >= most):
            return True
        same, at_all = self._marks()
        return same >= FEWEST_MARKS and 2 * same >= at_all

    def _marks(self) -> tuple[int, int]:
        """How many marks stand in both at the same time, and how many stand in both at all."""
        return _same(*map(marks_of, self.both))

    def at_most_shared(self, one: pd.DataFrame, other: pd.DataFrame) -> int:
        """How many requests may stand in rows of both: as many as both have of a bin."""
        assert self.common is not None
        inside = (rows[rows["epoch"].between(*self.common)] for rows in (one, other))
        mine, others = (by_bin(rows, self.bin_seconds) for rows in inside)
        return int(others.sum() - less(others, mine).sum())

    @cached_property
    def alike(self) -> tuple[int, int] | None:
        """The stretch in each bin of which they count the same, where that asks why.

        It is the common one, or that without its first and last bin, which may be ragged. Of a
        single bin, counts without latencies are the same by chance.
        """
        assert self.common is not None
        if self.shared_ids[1]:
            return None
        (first, last), wide = self.common, self.bin_seconds
        stretches = ((first, last), (first + wide, last - wide))
        return next((s for s in stretches if self._counts_the_same(*s)), None)

    def _counts_the_same(self, first: int, last: int) -> bool:
        if last - first < (0 if self.is_timed else self.bin_seconds):
            return False
        one, other = (_between(counts, first, last) for counts in self.both)
        return int(one.sum()) >= _FEWEST_ALIKE and one.equals(other)

    @property
    def is_nested(self) -> bool:
        """Whether in each second one of them holds all that the other does.

        So it is where both are pieces of one log, however ragged their ends. Where each lacks some
        of the other's, requests that are alike may be two, and what is shared cannot be counted.
        """
        one, other = self.both
        both = less(one, other), less(other, one)
        lacking = [set(left.index.get_level_values("epoch")) for left in both]
        return not lacking[0] & lacking[1]


def _between(counts: pd.Series[int], first: int, last: int) -> pd.Series[int]:
    epochs = counts.index.get_level_values("epoch")
    return counts[(epochs >= first) & (epochs <= last)]


def _same(one: pd.Series[int], other: pd.Series[int]) -> tuple[int, int]:
    found = one.index.intersection(other.index)
    return int((one[found] == other[found]).sum()), len(found)


def less(counts: pd.Series[int], taken: pd.Series[int]) -> pd.Series[int]:
    """What of the counts is left when others are taken away."""
    left = counts - taken.reindex(counts.index, fill_value=0)
    return left[left > 0]
