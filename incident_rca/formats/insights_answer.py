"""A Logs Insights answer as it was collected, printed or saved -> its rows as texts by column."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from incident_rca.formats.cloudwatch_messages import broke_off, damage_of, window_in
from incident_rca.formats.lines import Truncated, document_of, head_of, lines_of
from incident_rca.formats.parsed import END_SECOND, FIRST_SECOND, RawInput, console_of
from incident_rca.model import TimeWindow

_BIN = re.compile(r"bin\((\d{1,6})\s*(s|m|h|d)\)")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WIDEST_BIN_SECONDS = 366 * 86400
_COUNTS = ("requests", "requests_in_bucket", "n", "count(*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The rows of one query, each as texts by column, and what is said of it.

    A row that is none is empty. `second` says when requests count: at their `arrival`, or that of
    their log `event`; "" where it is not said. `matched` and `scanned` are its statistics, None
    where a saved answer has none. `error` says why the answer ends before its end, "" if it does
    not; `damage` that, and what else it says for which it is to be collected again.
    """

    results: list[Mapping[str, str]]
    role: str = ""
    status: str = ""
    query: str = ""
    asked: TimeWindow | None = None
    second: str = ""
    bin_seconds: int | None = None
    matched: int | None = None
    scanned: int | None = None
    error: str = ""
    damage: str = ""
    console: Mapping[str, str] = field(default_factory=dict, hash=False)


def is_csv_head(line: bytes) -> bool:
    """Whether a line names the columns of an answer saved as CSV."""
    names = columns_of(line)
    return any(n == "second" or _BIN.fullmatch(n) for n in names) and bool({*_COUNTS} & {*names})


def columns_of(line: bytes) -> list[str]:
    """The names in the first line of a CSV file, none where it is torn."""
    text = line.decode("utf-8", "replace")
    try:
        return [name.strip() for name in next(csv.reader([text]), [])]
    except csv.Error:
        return []


def read_answer(raw: RawInput) -> Answer:
    """The answer in a file; raises BadInput where it is no whole document and no CSV."""
    head = head_of(raw.path)
    if head.lines and head.document is None and is_csv_head(head.lines[0]):
        return _from_csv(raw)
    document = document_of(raw.path)
    answer = document.get("response", document)
    request = document.get("request", {}) if "response" in document else {}
    statistics = answer.get("statistics") or {}
    return Answer(
        results=[cells_of(result) for result in answer["results"]],
        role=str(request.get("role") or ""),
        status=str(answer.get("status") or ""),
        query=str(request.get("queryString", "")),
        asked=_asked(request),
        second=str(request.get("second") or ""),
        bin_seconds=_bin_seconds(request.get("bin_seconds")),
        matched=int(float(statistics.get("recordsMatched", 0))),
        scanned=int(float(statistics.get("recordsScanned", 0))),
        error=broke_off(answer),
        damage=damage_of(answer),
        console=console_of(request),
    )


def _from_csv(raw: RawInput) -> Answer:
    error = ""
    texts: list[str] = []
    try:
        texts += (line.decode("utf-8", "replace") for line in lines_of(raw.path))
    except Truncated as damage:
        error = str(damage)
    names: list[str] = []
    results: list[Mapping[str, str]] = []
    for cells in csv.reader(texts):
        if not cells:
            continue
        if not names:
            names = [name.strip() for name in cells]
            continue
        fits = len(cells) == len(names)
        results.append({n: v for n, v in zip(names, cells, strict=False) if v} if fits else {})
    return Answer(results=results, query=raw.query, error=error, damage=error)


def cells_of(result: Any) -> Mapping[str, str]:
    """One result as texts by column; empty where it is none."""
    if not isinstance(result, list):
        return {}
    return {str(c.get("field")): str(c.get("value")) for c in result if isinstance(c, dict)}


def _asked(request: Mapping[str, Any]) -> TimeWindow | None:
    """The window of a query, whose end is inclusive and a whole second (StartQuery).

    Where requests count at their arrival, events past the window were searched for its requests.
    """
    if request.get("second") == "arrival":
        return window_in(request)
    try:
        start = datetime.fromtimestamp(int(request["startTime"]), UTC)
        end = datetime.fromtimestamp(int(request["endTime"]) + 1, UTC)
        return TimeWindow(start, end)
    except (KeyError, ValueError):
        return None


def _bin_seconds(given: Any) -> int | None:
    is_width = type(given) is int and 0 < given <= _WIDEST_BIN_SECONDS
    return given if is_width else None


def bins_in(cells: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """The columns of a row that are a time bin's by their name, with its width in seconds.

    >>> list(bins_in({"bin(5m)": "2026-01-15 13:00:00.000", "status": "200"}))
    [('bin(5m)', 300)]
    """
    for name in cells:
        if found := _BIN.fullmatch(name):
            yield name, int(found[1]) * _UNIT_SECONDS[found[2]]


def bin_seconds_in(query: str) -> int | None:
    """The width of the first time bin that a query names, in seconds."""
    found = _BIN.search(query)
    return int(found[1]) * _UNIT_SECONDS[found[2]] if found else None


def instant_of(text: str) -> datetime:
    """The instant of a bin; raises ValueError where a text is none.

    Logs Insights writes a bin in UTC without saying so, and seconds since 1970 as any number.

    >>> instant_of("2026-01-15 14:23:21.000") == instant_of("1.768487001E9")
    True
    """
    seconds = epoch_seconds_of(text)
    if seconds is not None:
        return datetime.fromtimestamp(seconds, UTC)
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def epoch_seconds_of(text: str) -> int | None:
    """Whole seconds since 1970, of an instant of this century; None where a text is another.

    >>> [epoch_seconds_of(text) for text in ("1768487001", "1768487001.0", "20260115", "NaN")]
    [1768487001, 1768487001, None, None]
    """
    try:
        number = float(text)
    except ValueError:
        return None
    # A date without signs (20260115) is a smaller number.
    is_known = FIRST_SECOND <= number < END_SECOND and number.is_integer()
    return int(number) if is_known else None
