"""The file of a rollup, whichever log it is of: its first line, its rows, and its last line.

Gzipped JSON lines, which `incident-rca rollup` writes. The first one says what was asked, the last
one counts the others, so what was cut off or lost on the way is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Generic, Protocol, TypeVar

import msgspec

from incident_rca.errors import BadInput
from incident_rca.formats.cloudwatch_messages import window_in
from incident_rca.formats.lines import Truncated, lines_of, object_of
from incident_rca.formats.logs_insights_rows import HIGHEST_BUCKET
from incident_rca.formats.parsed import Head, Parsed, RawInput, frame_of
from incident_rca.model import BUCKET_GROWTH, TimeWindow

if TYPE_CHECKING:
    import pandas as pd

# A line of the file may say of any number of requests that they failed, and each becomes a row: so
# many take an import 0.6 GB, and its report 1.8 GB of memory.
MOST_FAILURES = 2_000_000
NO_TEXT = "-"
# The highest latency of each bucket, in whole milliseconds.
BOUNDS_MS = [int(BUCKET_GROWTH**bucket) for bucket in range(HIGHEST_BUCKET + 1)]
_CENTURY = range(946_684_800, 4_102_444_800)
# More than any log has; sums of what a column may hold stay whole numbers of 64 bits.
_MOST = 10**12
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Line = TypeVar("_Line")


class Row(Protocol):
    """A line between the first and the last, whatever else it says of its requests."""

    @property
    def second(self) -> int: ...

    @property
    def requests(self) -> int: ...

    @property
    def latency_buckets(self) -> Sequence[tuple[int, int]]: ...

    def is_sound(self) -> bool:
        """Whether its numbers can be what they are said to be."""


RowOf = TypeVar("RowOf", bound=Row)


class Request(msgspec.Struct, frozen=True):
    """What was asked, as far as it matters to a reader."""

    lacks: tuple[str, ...] = ()
    statement: str = ""
    window: Any = None


RequestOf = TypeVar("RequestOf", bound=Request)


class _Service(msgspec.Struct, frozen=True):
    """The first line, as far as it says which rollup follows."""

    service: str


class _Foot(msgspec.Struct, frozen=True):
    """The last line."""

    rows: int
    requests: int
    unread: _Count = 0
    unread_failures: _Count = 0
    error: str = ""
    lacks: tuple[str, ...] = ()


_FOOT = msgspec.json.Decoder(_Foot)


@dataclass(slots=True)
class RollupFile(Generic[RequestOf, RowOf]):
    """What the lines of a file say, each row with its line."""

    request: RequestOf
    foot: _Foot | None = None
    rows: list[tuple[int, RowOf]] = field(default_factory=list)
    unparsed: int = 0
    damage: str = ""


def is_rollup(head: Head, service: str) -> bool:
    """Whether the first line says that this service's rollup follows."""
    first = object_of(head.lines[0]) if head.lines else None
    return first is not None and first.get("service") == service


def read_rollup(
    raw: RawInput, service: str, request: type[RequestOf], row: type[RowOf]
) -> RollupFile[RequestOf, RowOf]:
    """The lines of a file; raises BadInput where the first is none of this service."""
    lines = enumerate(lines_of(raw.path), start=1)
    file: RollupFile[RequestOf, RowOf] | None = None
    try:
        _, first = next(lines, (0, b""))
        if asked := _request_in(first, service, request):
            file = RollupFile(asked)
            _read_rows(file, lines, msgspec.json.Decoder(row))
    except Truncated as error:
        if file:
            file.damage = str(error)
    if file is None:
        raise BadInput(
            f"{raw.file}: its first line does not say of which rollup it is",
            hint="make it again by `incident-rca rollup`",
        )
    return file


def _request_in(line: bytes, service: str, request: type[RequestOf]) -> RequestOf | None:
    with suppress(ValueError, RecursionError):
        document = object_of(line) or {}
        if msgspec.convert(document, _Service).service == service:
            return msgspec.convert(document.get("request"), request)
    return None


def _read_rows(
    file: RollupFile[RequestOf, RowOf],
    lines: Iterable[tuple[int, bytes]],
    decoder: msgspec.json.Decoder[RowOf],
) -> None:
    for number, line in lines:
        if (row := _decoded(decoder, line)) and row.is_sound():
            file.rows.append((number, row))
        elif foot := _decoded(_FOOT, line):
            file.foot = foot
        else:
            file.unparsed += bool(line.strip())


def _decoded(decoder: msgspec.json.Decoder[_Line], line: bytes) -> _Line | None:
    """A line of this type, or None; of a key that is there twice the last one counts."""
    with suppress(ValueError, RecursionError):
        return decoder.decode(line)
    with suppress(ValueError, RecursionError):
        return msgspec.convert(object_of(line), decoder.type)
    return None


def has_sound_numbers(row: Row) -> bool:
    """Whether second, requests and buckets can be what they are said to be."""
    buckets = all(0 <= k <= HIGHEST_BUCKET and 0 < n <= _MOST for k, n in row.latency_buckets)
    return row.second in _CENTURY and buckets and 0 <= row.requests <= _MOST


def parsed_rollup(
    file: RollupFile[RequestOf, RowOf], frames: dict[str, pd.DataFrame], *lacks: str
) -> Parsed:
    """What a file comes to: its frames, what it covers, what of it is missing or was unreadable."""
    return Parsed(
        frames=frames,
        rows=len(file.rows),
        unparsed=file.unparsed + (file.foot.unread if file.foot else 0),
        damage=_damage(file),
        asked=window_in({"window": file.request.window}),
        covered=_covered(file),
        resolution_seconds=1.0,
        query=file.request.statement,
        lacks=_lacks(file, lacks),
    )


def _damage(file: RollupFile[RequestOf, RowOf]) -> str:
    """What of the rollup is missing: told by the file, or by what its last line counts."""
    if file.foot is None:
        return file.damage or "its last line is missing: it was cut off"
    requests = sum(row.requests for _, row in file.rows)
    said = [file.damage, file.foot.error]
    if (len(file.rows), requests) != (file.foot.rows, file.foot.requests):
        said.append(
            f"its {len(file.rows):,} rows count {requests:,} requests, its last line says "
            f"{file.foot.rows:,} and {file.foot.requests:,}"
        )
    return "; ".join(text for text in said if text)


def _covered(file: RollupFile[RequestOf, RowOf]) -> TimeWindow | None:
    if not file.rows:
        return None
    seconds = [row.second for _, row in file.rows]
    return TimeWindow(instant_of(min(seconds)), instant_of(max(seconds)) + timedelta(seconds=1))


def _lacks(file: RollupFile[RequestOf, RowOf], more: Iterable[str]) -> tuple[str, ...]:
    lacks = [*file.request.lacks, *(file.foot.lacks if file.foot else ()), *more]
    if file.foot and file.foot.unread_failures:
        lacks.append(
            f"{file.foot.unread_failures:,} lines that no engine could read may tell of failed "
            "requests"
        )
    return tuple(lacks)


def instant_of(second: int) -> datetime:
    """The instant of a second since 1970."""
    return datetime.fromtimestamp(second, UTC)


def grouped_row(rows: Sequence[tuple[int, RowOf]]) -> dict[str, Any]:
    """What rows of one kind come to: requests, latencies by bound, first and last line."""
    latencies: dict[int, int] = {}
    for _, row in rows:
        for bucket, requests in row.latency_buckets:
            bound = BOUNDS_MS[bucket]
            latencies[bound] = latencies.get(bound, 0) + requests
    return {
        "requests": sum(row.requests for _, row in rows),
        "latency_ms_bounds": sorted(latencies),
        "latency_ms_counts": [latencies[bound] for bound in sorted(latencies)],
        "line_first": min(number for number, _ in rows),
        "line_last": max(number for number, _ in rows),
    }


def failed_rows(
    table: str,
    failed: Iterable[tuple[int, RowOf]],
    as_row: Callable[[int, RowOf, int | None], dict[str, Any]],
    raw: RawInput,
) -> pd.DataFrame:
    """One row of a table a failed request: those of one line differ by their latency at most.

    `as_row` takes a line's number, its row and a latency in ms. Raises BadInput where they are too
    many for this machine.
    """
    alike: list[dict[str, Any]] = []
    numbers: list[int] = []
    for number, row in failed:
        for latency_ms, requests in _latencies(row):
            alike.append(as_row(number, row, latency_ms))
            numbers.append(requests)
    if sum(numbers) > MOST_FAILURES:
        raise BadInput(
            f"{raw.file}: counts {sum(numbers):,} failed requests, at most {MOST_FAILURES:,} fit "
            "in a case",
            hint="make a rollup of a shorter window: --from and --to",
        )
    frame = frame_of(table, alike, raw)
    return frame.loc[frame.index.repeat(numbers)].reset_index(drop=True)


def _latencies(row: Row) -> Iterator[tuple[int | None, int]]:
    """Each latency of a row with how many of its requests have it; None where it is not known."""
    left = row.requests
    known = ((BOUNDS_MS[bucket], requests) for bucket, requests in row.latency_buckets)
    for latency_ms, requests in (*known, (None, left)):
        if taken := min(requests, left):
            yield latency_ms, taken
        left -= taken
