"""The pieces of a log, rolled up side by side -> the rows of `gateway` and `failures`.

Each piece is parsed once, to what is left of it: requests by second, route, status and type with
their latencies, and its failures. So memory is that of a few pieces and of what they come to.
What is left of a piece is the caller's to say: `incident-rca rollup` keeps something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from incident_rca.formats.access_log.pieces import (
    Piece,
    chunks_at,
    cleaned,
    is_clean,
    lines_at,
    set_aside,
)
from incident_rca.formats.duckdb_session import define, fetch, run_file, side_by_side
from incident_rca.formats.lines import Truncated
from incident_rca.trace_ids import ids_of_log, joined_ids, split_ids

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

AT_ONCE = 2
# So many unreadable lines of a piece are looked at for a failure that is hidden in one.
MOST_SUSPECTS = 5000
# So many rows have their latencies put together at once.
ROWS_AT_ONCE = 4_096


class LostFailure(Exception):
    """Raised where a line that DuckDB cannot read is a failed request all the same."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The lines that a piece gave, how many are no request, and the numbers of those to look at."""

    lines: int
    unread: int
    suspects: Sequence[int]


@dataclass(frozen=True, slots=True)
class Lines:
    """How lines are read, and what is kept of them.

    `prepare` tells a session once what holds for all of them, and defines its views: they read the
    piece that the variables `raw_path` and `first_line` name when they are asked. `read` rolls it
    up, and `keep` adds that to the other pieces, less the `blank_lines`. `is_failure` is asked of
    suspects only: those that DuckDB could not read.
    """

    prepare: Callable[[duckdb.DuckDBPyConnection], None]
    read: Callable[[duckdb.DuckDBPyConnection], Counted]
    keep: Callable[[duckdb.DuckDBPyConnection], None]
    is_failure: Callable[[bytes], bool]


def roll_up(
    session: duckdb.DuckDBPyConnection, pieces: Iterable[Piece], lines: Lines
) -> tuple[int, str]:
    """Rolls the pieces up in `session`: how many lines could not be read, and what was damaged.

    Raises LostFailure, ValueError where lines cannot be numbered, and whatever DuckDB does.
    """
    # Each piece has a thread of ours; those of DuckDB would wait for them, and hold more.
    session.execute("SET threads = 1")
    idle: SimpleQueue[duckdb.DuckDBPyConnection | None] = SimpleQueue()
    for _ in range(AT_ONCE):
        idle.put(None)

    def unread_of(connection: duckdb.DuckDBPyConnection, piece: Piece) -> int:
        try:
            return _rolled_up(connection, piece, lines)
        finally:
            idle.put(connection)
            spares.add(set_aside(piece))

    damage = ""
    spares: set[Path] = set()
    tasks: list[Future[int]] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for piece in pieces:
                connection = idle.get() or _prepared(session, piece, lines)
                tasks.append(pool.submit(unread_of, connection, piece))
                if any(task.done() and task.exception() for task in tasks):
                    break
        except Truncated as error:
            damage = str(error)
    session.execute("RESET threads")
    for spare in spares:
        spare.unlink()
    return sum(task.result() for task in tasks), damage


def _prepared(
    session: duckdb.DuckDBPyConnection, piece: Piece, how: Lines
) -> duckdb.DuckDBPyConnection:
    """A connection whose views are defined, which asks for a piece that is there."""
    connection = side_by_side(session)
    _name(connection, piece)
    how.prepare(connection)
    return connection


def _name(connection: duckdb.DuckDBPyConnection, piece: Piece) -> None:
    connection.execute("SET VARIABLE raw_path = ?", [str(piece.path)])
    connection.execute("SET VARIABLE first_line = ?", [piece.first])


def _rolled_up(connection: duckdb.DuckDBPyConnection, piece: Piece, how: Lines) -> int:
    """Adds a piece to the others; how many of its lines could not be read, blank ones aside."""
    import duckdb

    try:
        counted = _read(connection, piece, how)
    except duckdb.Error:
        counted = None
    if counted is None or (counted.unread > piece.blank and not _is_clean(piece, counted)):
        clean = cleaned(piece)
        try:
            counted = _read(connection, clean, how)
            if counted is None:
                raise ValueError(f"its lines from {piece.first} on cannot be numbered")
            return _kept(connection, clean, counted, how)
        finally:
            clean.path.unlink()
    return _kept(connection, piece, counted, how)


def _is_clean(piece: Piece, counted: Counted) -> bool:
    """Whether the lines that could not be read are clean, so far as they are known."""
    are_known = len(counted.suspects) == counted.unread
    return is_clean(lines_at(piece, counted.suspects) if are_known else chunks_at(piece))


def _read(connection: duckdb.DuckDBPyConnection, piece: Piece, how: Lines) -> Counted | None:
    """What the piece gave; None where DuckDB did not count every line."""
    _name(connection, piece)
    counted = how.read(connection)
    return counted if counted.lines == piece.lines else None


def _kept(connection: duckdb.DuckDBPyConnection, piece: Piece, counted: Counted, how: Lines) -> int:
    if any(how.is_failure(line) for line in lines_at(piece, counted.suspects[:MOST_SUSPECTS])):
        raise LostFailure
    connection.execute("SET VARIABLE blank_lines = ?", [piece.blank])
    how.keep(connection)
    return counted.unread - piece.blank


def gateway_rows(session: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """The requests by second, route, status and type, with their latencies, in this order."""
    import numpy as np

    from incident_rca.number_lists import NumberLists, narrow

    define(session, "access_log_gateway.sql")
    rows = fetch(run_file(session, "access_log_gateway_rows.sql"))
    lengths = np.zeros(len(rows), dtype=np.int64)
    bounds, counts = [], []
    # Of all rows at once they would be larger than all else that is held.
    for first in range(0, max(len(rows), 1), ROWS_AT_ONCE):
        end = min(first + ROWS_AT_ONCE, len(rows))
        session.execute("SET VARIABLE first_row = ?", [first])
        session.execute("SET VARIABLE end_row = ?", [end])
        buckets = run_file(session, "access_log_latencies.sql").fetchnumpy()
        places = np.asarray(buckets["row"]) - first
        lengths[first:end] = np.bincount(places, minlength=end - first)
        bounds.append(narrow(np.asarray(buckets["bound"])))
        counts.append(narrow(np.asarray(buckets["requests"])))
    return rows.assign(
        latency_ms_bounds=NumberLists.of_lengths(np.concatenate(bounds), lengths),
        latency_ms_counts=NumberLists.of_lengths(np.concatenate(counts), lengths),
    )


def failure_rows(session: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """The failed requests in the order of their lines, each with the trace ids that it names."""
    rows = fetch(run_file(session, "access_log_failures.sql"))
    ids = rows["logged_ids"].map(lambda text: joined_ids(ids_of_log(*split_ids(text))))
    return rows.assign(trace_ids=ids)
