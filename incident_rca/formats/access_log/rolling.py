"""The pieces of a log, rolled up side by side -> the rows of `gateway` and `failures`.

Each piece is parsed once, to what is left of it: requests by second, route, status and type with
their latencies, and its failures. So memory is that of a few pieces and of what they come to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

from incident_rca.formats.access_log.pieces import Piece, cleaned, is_clean, lines_at
from incident_rca.formats.duckdb_session import define, fetch, run_file, side_by_side
from incident_rca.formats.lines import Truncated
from incident_rca.trace_ids import ids_of_log, joined_ids, split_ids

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

AT_ONCE = 2
# So many unreadable lines of a piece are looked at for a failure that is hidden in one.
MOST_SUSPECTS = 5000


class LostFailure(Exception):
    """Raised where a line that DuckDB cannot read is a failed request all the same."""


@dataclass(frozen=True, slots=True)
class Lines:
    """How lines are read.

    `prepare` tells a session once what holds for all of them, and `fields` is the query file that
    names their variables. `is_failure` is asked of those lines only that DuckDB could not read.
    """

    prepare: Callable[[duckdb.DuckDBPyConnection], None]
    fields: str
    is_failure: Callable[[bytes], bool]


def roll_up(
    session: duckdb.DuckDBPyConnection, pieces: Iterable[Piece], lines: Lines
) -> tuple[int, str]:
    """Rolls the pieces up in `session`: how many lines could not be read, and what was damaged.

    Raises LostFailure, ValueError where lines cannot be numbered, and whatever DuckDB does.
    """
    define(session, "access_log_rolled.sql")
    idle: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()
    for _ in range(AT_ONCE):
        connection = side_by_side(session)
        lines.prepare(connection)
        idle.put(connection)

    def unread_of(connection: duckdb.DuckDBPyConnection, piece: Piece) -> int:
        try:
            return _rolled_up(connection, piece, lines)
        finally:
            idle.put(connection)
            piece.path.unlink()

    damage = ""
    tasks: list[Future[int]] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for piece in pieces:
                tasks.append(pool.submit(unread_of, idle.get(), piece))
                if any(task.done() and task.exception() for task in tasks):
                    break
        except Truncated as error:
            damage = str(error)
    return sum(task.result() for task in tasks), damage


def _rolled_up(connection: duckdb.DuckDBPyConnection, piece: Piece, how: Lines) -> int:
    """Adds a piece to the others; how many of its lines could not be read, blank ones aside."""
    import duckdb

    try:
        unread = _read(connection, piece, how)
    except duckdb.Error:
        unread = None
    if unread is None or (len(unread) > piece.blank and not is_clean(piece)):
        clean = cleaned(piece)
        try:
            unread = _read(connection, clean, how)
            if unread is None:
                raise ValueError(f"its lines from {piece.first} on cannot be numbered")
            return _kept(connection, clean, unread, how)
        finally:
            clean.path.unlink()
    return _kept(connection, piece, unread, how)


def _read(connection: duckdb.DuckDBPyConnection, piece: Piece, how: Lines) -> list[int] | None:
    """The numbers of the lines that are no request; None where DuckDB did not count every line."""
    connection.execute("SET VARIABLE raw_path = ?", [str(piece.path)])
    connection.execute("SET VARIABLE first_line = ?", [piece.first])
    for name in (how.fields, "access_log_requests.sql", "access_log_piece.sql"):
        define(connection, name)
    count, unread = run_file(connection, "access_log_piece_lines.sql").fetchall()[0]
    return list(unread) if count == piece.lines else None


def _kept(
    connection: duckdb.DuckDBPyConnection, piece: Piece, unread: Sequence[int], how: Lines
) -> int:
    if any(how.is_failure(line) for line in lines_at(piece, unread[:MOST_SUSPECTS])):
        raise LostFailure
    define(connection, "access_log_keep.sql")
    return len(unread) - piece.blank


def gateway_rows(session: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """The requests by second, route, status and type, with their latencies, in this order."""
    import numpy as np

    from incident_rca.number_lists import NumberLists

    define(session, "access_log_gateway.sql")
    rows = fetch(run_file(session, "access_log_gateway_rows.sql"))
    buckets = run_file(session, "access_log_latencies.sql").fetchnumpy()
    lengths = np.bincount(np.asarray(buckets["row"]), minlength=len(rows))
    return rows.assign(
        latency_ms_bounds=NumberLists.of_lengths(np.asarray(buckets["bound"]), lengths),
        latency_ms_counts=NumberLists.of_lengths(np.asarray(buckets["requests"]), lengths),
    )


def failure_rows(session: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """The failed requests in the order of their lines, each with the trace ids that it names."""
    rows = fetch(run_file(session, "access_log_failures.sql"))
    ids = rows["logged_ids"].map(lambda text: joined_ids(ids_of_log(*split_ids(text))))
    return rows.assign(trace_ids=ids)
