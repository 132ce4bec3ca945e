"""Logs Insights: a query over a stretch of time, all of its rows, however many pages they take.

StartQuery answers at most 100,000 rows, GetQueryResults 10,000 of them in a page (botocore's model
of CloudWatch Logs). A result that reaches the limit may lack rows: the stretch is halved and each
half asked on its own. What decides is the rows that come out, never the records that went in.

A query that counts at the arrival names the bounds of it itself (`{start}`, `{end}`), and is asked
of the events of `late_seconds` more, since a line is dated by the end of its request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from incident_rca.errors import Unreachable
from incident_rca.sources.aws_client import Caller, Refusal

MOST_ROWS = 100_000
ROWS_OF_A_PAGE = 10_000
# A query takes seconds to minutes; asking ever less often wastes no more than it has taken.
FIRST_POLL_SECONDS = 1.0
LONGEST_POLL_SECONDS = 10.0
# Too many queries at once in the account: others end in their own time.
MOST_WAITS_FOR_A_PLACE = 10
PLACE_PAUSE_SECONDS = 5.0
_UNDER_WAY = frozenset({"Scheduled", "Running", "Unknown"})

Rows = list[list[Mapping[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class InsightsQuery:
    """A query of one log group; `bin_seconds` is the width that a cut must not go through."""

    text: str
    log_group: str
    bin_seconds: int = 1
    late_seconds: int = 0

    def about(self, start: int, end: int) -> str:
        """The text for [start, end), whole seconds since 1970.

        >>> InsightsQuery(text="filter s >= {start} and s < {end}", log_group="g").about(5, 7)
        'filter s >= 5 and s < 7'
        """
        return self.text.replace("{start}", str(start)).replace("{end}", str(end))


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a query answers about a stretch of time; `error` says what of it is missing."""

    rows: Rows
    statistics: Mapping[str, float]
    error: Mapping[str, str] | None = None


def run_query(
    caller: Caller, query: InsightsQuery, start: int, end: int, *, most_rows: int = MOST_ROWS
) -> Stretch:
    """All rows about [start, end), whole seconds since 1970, in order of time.

    Where a later half fails, what came before is kept with the error. Raises Refusal or Unreachable
    where nothing came.
    """
    waiting, rows, total = [(start, end)], Rows(), Counter[str]()
    answered = False
    while waiting:
        first, last = waiting.pop()
        try:
            part = _one(caller, query, first, last, most_rows)
        except Unreachable as error:
            if not answered:
                raise
            code = error.code if isinstance(error, Refusal) else "TimeOver"
            missing = f"the answer ends at {first} of {end}: {error.message}"
            return Stretch(rows, total, {"code": code, "message": missing})
        middle = _middle(first, last, query.bin_seconds)
        if len(part.rows) >= most_rows and middle is not None and part.error is None:
            waiting += [(middle, last), (first, middle)]
            continue
        answered = True
        rows += part.rows
        total.update(part.statistics)
        if part.error is not None:
            return Stretch(rows, total, part.error)
        if len(part.rows) >= most_rows:
            said = f"more than {most_rows} rows in one bin at {first}: some are missing"
            return Stretch(rows, total, {"code": "Limit", "message": said})
        caller.count_rows(len(part.rows))
    return Stretch(rows, total)


def _middle(start: int, end: int, bin_seconds: int) -> int | None:
    """Where to cut, between two bins; bins begin at multiples of their width."""
    middle = (start + end) // 2 // bin_seconds * bin_seconds
    if middle <= start:
        middle += bin_seconds
    return middle if middle < end else None


def _one(caller: Caller, query: InsightsQuery, start: int, end: int, most_rows: int) -> Stretch:
    """The rows of one query that is started, waited for and read page by page."""
    query_id = _started(caller, query, start, end, most_rows)
    is_over = False
    try:
        answer = _completed(caller, query_id)
        is_over = True
        return _pages(caller, query_id, answer, most_rows)
    finally:
        # Time is over, or a person interrupts: a query that runs on costs and takes up a place.
        if not is_over:
            _stop(caller, query_id)


def _started(caller: Caller, query: InsightsQuery, start: int, end: int, most_rows: int) -> str:
    for wait in range(MOST_WAITS_FOR_A_PLACE):
        try:
            answer = caller.call(
                "start_query",
                "queryId",
                logGroupNames=[query.log_group],
                startTime=start,
                endTime=end - 1 + query.late_seconds,  # both ends are inclusive
                queryString=query.about(start, end),
                limit=most_rows,
            )
        except Refusal as refusal:
            if refusal.code != "LimitExceededException" or wait + 1 == MOST_WAITS_FOR_A_PLACE:
                raise
            caller.tally.pause(PLACE_PAUSE_SECONDS)
        else:
            return str(answer["queryId"])
    raise AssertionError("the last wait raises")


def _completed(caller: Caller, query_id: str) -> Mapping[str, Any]:
    """The first page of the whole result."""
    pause = FIRST_POLL_SECONDS
    while True:
        answer = caller.call(
            "get_query_results", "status", queryId=query_id, maxItems=ROWS_OF_A_PAGE
        )
        status = str(answer["status"])
        if status == "Complete":
            return answer
        if status not in _UNDER_WAY:
            raise Refusal(
                status,
                f"the Logs Insights query ended as {status}",
                hint="ask again, or for a shorter window: a query may run for 60 minutes",
            )
        caller.tally.pause(pause)
        pause = min(LONGEST_POLL_SECONDS, pause * 2)


def _pages(caller: Caller, query_id: str, first: Mapping[str, Any], most_rows: int) -> Stretch:
    rows: Rows = list(first.get("results", []))
    statistics = {k: float(v) for k, v in first.get("statistics", {}).items()}
    token, seen = first.get("nextToken"), set[str]()
    while token and len(rows) < most_rows:
        if token in seen:
            said = f"the same nextToken again after {len(rows)} rows"
            return Stretch(rows, statistics, {"code": "Pagination", "message": said})
        seen.add(token)
        try:
            page = caller.call(
                "get_query_results",
                "status",
                queryId=query_id,
                maxItems=ROWS_OF_A_PAGE,
                nextToken=token,
            )
        except Unreachable as error:
            code = error.code if isinstance(error, Refusal) else "TimeOver"
            said = f"only the first {len(rows)} rows came: {error.message}"
            return Stretch(rows, statistics, {"code": code, "message": said})
        rows += page.get("results", [])
        token = page.get("nextToken")
    return Stretch(rows, statistics)


def _stop(caller: Caller, query_id: str) -> None:
    """Stops a query, by a call of its own: there is no time left to wait for a turn."""
    try:
        caller.client.stop_query(queryId=query_id)
    except Exception:  # whatever it is, the reason why we stop is what is told
        return
