"""Rollups of a gateway's log, by whichever engine -> `gateway` and `failures`.

`incident-rca rollup` writes them: gzipped JSON lines. The first says what was asked, the last
counts the others, each of which is a list of these, as queries/rollup/access_log.sql has them:

    second              seconds since 1970 of the arrival
    method, route
    status
    response_type, integration_status, backend_status, error_text, authorizer_error, waf
                        what the type of an error follows from, `-` where there is nothing
    requests            how many
    latency_buckets     [[k, requests], ...]: latencies above 1.02^(k-1) and up to 1.02^k ms

A row of no requests has latencies that are counted in wider bins than the requests are. Each failed
request (status 5xx) becomes a row of `failures`, at its second: its id and its words stayed behind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec

from incident_rca.errors import BadInput
from incident_rca.formats.cloudwatch_messages import window_in
from incident_rca.formats.error_types import error_types_of
from incident_rca.formats.lines import Truncated, lines_of, object_of
from incident_rca.formats.logs_insights_rows import BUCKET_GROWTH, HIGHEST_BUCKET, STATUSES
from incident_rca.formats.parsed import Format, Head, Parsed, RawInput, frame_of
from incident_rca.model import System, TimeWindow

if TYPE_CHECKING:
    import pandas as pd

SERVICE = "incident_rca_rollup"
# A line of the file may say of any number of requests that they failed, and each becomes a row: so
# many take an import 0.6 GB, and its report 1.8 GB of memory.
MOST_FAILURES = 2_000_000
_NO_TEXT = "-"
_BOUNDS = [int(BUCKET_GROWTH**bucket) for bucket in range(HIGHEST_BUCKET + 1)]
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Line = TypeVar("_Line")


class _Knows(msgspec.Struct, frozen=True):
    """Which facts an absent value proves to be absent, as `error_types_of` takes them."""

    response_type: bool
    integration_status: bool
    backend_status: bool
    error_text: bool


class _Request(msgspec.Struct, frozen=True):
    """What was asked, as far as it matters to a reader."""

    knows: _Knows
    lacks: tuple[str, ...] = ()
    statement: str = ""
    window: Any = None


class _Head(msgspec.Struct, frozen=True):
    """The first line."""

    service: str
    request: _Request


class _Foot(msgspec.Struct, frozen=True):
    """The last line."""

    rows: int
    requests: int
    unread: _Count = 0
    unread_failures: _Count = 0
    error: str = ""
    lacks: tuple[str, ...] = ()


class _Row(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A line of the file."""

    second: int
    method: str
    route: str
    status: int
    response_type: str
    integration_status: str
    backend_status: str
    error_text: str
    authorizer_error: str
    waf: str
    requests: int
    latency_buckets: list[tuple[int, int]]

    @property
    def facts(self) -> tuple[int | str, ...]:
        """What the type of an error follows from."""
        return (
            self.status,
            self.response_type,
            self.integration_status,
            self.backend_status,
            self.error_text,
            self.authorizer_error,
            self.waf,
        )

    def is_sound(self) -> bool:
        """Whether its numbers can be what they are said to be."""
        in_this_century = 946_684_800 <= self.second < 4_102_444_800
        buckets = all(0 <= k <= HIGHEST_BUCKET and n > 0 for k, n in self.latency_buckets)
        is_status = self.status in STATUSES
        return in_this_century and buckets and is_status and self.requests >= 0


COLUMNS = _Row.__struct_fields__
_HEAD = msgspec.json.Decoder(_Head)
_ROW = msgspec.json.Decoder(_Row)
_FOOT = msgspec.json.Decoder(_Foot)


@dataclass(slots=True)
class _File:
    """What the lines of a file say, each row with its line."""

    request: _Request
    foot: _Foot | None = None
    rows: list[tuple[int, _Row]] = field(default_factory=list)
    unparsed: int = 0
    damage: str = ""


def recognises(head: Head) -> bool:
    """Whether the first line says that a rollup follows."""
    first = object_of(head.lines[0]) if head.lines else None
    return first is not None and first.get("service") == SERVICE


def parse(raw: RawInput) -> Parsed:
    """The counts, with a row for each failed request.

    Raises BadInput where the first line is none of a rollup.
    """
    file = _read(raw)
    types = _types(file, raw)
    return Parsed(
        frames={
            "gateway": frame_of("gateway", _counts(file, types), raw),
            "failures": _failures(file, types, raw),
        },
        rows=len(file.rows),
        unparsed=file.unparsed + (file.foot.unread if file.foot else 0),
        damage=_damage(file),
        asked=window_in({"window": file.request.window}),
        covered=_covered(file),
        resolution_seconds=1.0,
        query=file.request.statement,
        lacks=_lacks(file),
    )


def _read(raw: RawInput) -> _File:
    lines = enumerate(lines_of(raw.path), start=1)
    file: _File | None = None
    try:
        _, first = next(lines, (0, b""))
        if (head := _decoded(_HEAD, first)) and head.service == SERVICE:
            file = _File(head.request)
            _read_rows(file, lines)
    except Truncated as error:
        if file:
            file.damage = str(error)
    if file is None:
        raise BadInput(
            f"{raw.file}: its first line does not say of which rollup it is",
            hint="make it again by `incident-rca rollup`",
        )
    return file


def _read_rows(file: _File, lines: Iterable[tuple[int, bytes]]) -> None:
    for number, line in lines:
        if (row := _decoded(_ROW, line)) and row.is_sound():
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


def _damage(file: _File) -> str:
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


def _lacks(file: _File) -> tuple[str, ...]:
    lacks = [*file.request.lacks, *(file.foot.lacks if file.foot else ())]
    lacks.append("a rollup has no ids of requests, and whole seconds")
    if file.foot and file.foot.unread_failures:
        lacks.append(
            f"{file.foot.unread_failures:,} lines that no engine could read may tell of failed "
            "requests"
        )
    return tuple(lacks)


def _types(file: _File, raw: RawInput) -> dict[Any, str | None]:
    """The error type of what the rows say of errors, each once."""
    facts = sorted({row.facts for _, row in file.rows if row.requests})
    names = ("response_type", "integration_status", "backend_status")
    rows = [
        {
            "status": status,
            "message": "" if text == _NO_TEXT else text,
            "authorizer_error": authorizer,
            "waf": waf,
            **{
                name: None if value == _NO_TEXT else value
                for name, value in zip(names, those, strict=True)
            },
        }
        for status, *those, text, authorizer, waf in facts
    ]
    knows = msgspec.structs.asdict(file.request.knows)
    return dict(zip(facts, error_types_of(rows, raw.work, knows=knows), strict=True))


def _counts(file: _File, types: Mapping[Any, str | None]) -> Iterator[dict[str, Any]]:
    """One row a second, route, status and type."""
    groups: dict[tuple[Any, ...], list[tuple[int, _Row]]] = {}
    for number, row in file.rows:
        kind = types[row.facts] if row.requests else None
        key = (row.second, row.method, row.route, row.status, kind or "")
        groups.setdefault(key, []).append((number, row))
    for (second, method, route, status, kind), rows in sorted(groups.items()):
        latencies: Counter[int] = Counter()
        for _, row in rows:
            for bucket, requests in row.latency_buckets:
                latencies[_BOUNDS[bucket]] += requests
        yield {
            "second": datetime.fromtimestamp(second, UTC),
            "method": method,
            "route": route,
            "status": status,
            "error_type": kind or None,
            "requests": sum(row.requests for _, row in rows),
            "latency_ms_bounds": sorted(latencies),
            "latency_ms_counts": [latencies[bound] for bound in sorted(latencies)],
            "line_first": min(number for number, _ in rows),
            "line_last": max(number for number, _ in rows),
        }


def _failures(file: _File, types: Mapping[Any, str | None], raw: RawInput) -> pd.DataFrame:
    """One row a failed request: those of one row of the file differ by their latency at most.

    Raises BadInput where they are too many for this machine.
    """
    alike: list[dict[str, Any]] = []
    numbers: list[int] = []
    for number, row in file.rows:
        if row.status >= 500:
            for latency_ms, requests in _latencies(row):
                alike.append(_failure(number, row, types) | {"latency_ms": latency_ms})
                numbers.append(requests)
    if sum(numbers) > MOST_FAILURES:
        raise BadInput(
            f"{raw.file}: counts {sum(numbers):,} failed requests, at most {MOST_FAILURES:,} fit "
            "in a case",
            hint="make a rollup of a shorter window: --from and --to",
        )
    frame = frame_of("failures", alike, raw)
    return frame.loc[frame.index.repeat(numbers)].reset_index(drop=True)


def _latencies(row: _Row) -> Iterator[tuple[int | None, int]]:
    """Each latency of a row with how many of its requests have it; None where it is not known."""
    left = row.requests
    known = ((_BOUNDS[bucket], requests) for bucket, requests in row.latency_buckets)
    for latency_ms, requests in (*known, (None, left)):
        if taken := min(requests, left):
            yield latency_ms, taken
        left -= taken


def _failure(number: int, row: _Row, types: Mapping[Any, str | None]) -> dict[str, Any]:
    statuses = (row.integration_status, row.backend_status)
    return {
        "line": number,
        "at": datetime.fromtimestamp(row.second, UTC),
        "method": row.method,
        "route": row.route,
        "status": row.status,
        "error_type": types[row.facts],
        "integration_status": next((s for s in statuses if s != _NO_TEXT), None),
        "message": None if row.error_text == _NO_TEXT else row.error_text,
        "seen_in": "access",
    }


def _covered(file: _File) -> TimeWindow | None:
    if not file.rows:
        return None
    seconds = [row.second for _, row in file.rows]
    first, last = (datetime.fromtimestamp(s, UTC) for s in (min(seconds), max(seconds)))
    return TimeWindow(first, last + timedelta(seconds=1))


FORMAT = Format(
    kind="gateway_rollup",
    system=System.GATEWAY,
    title="Rollup of an access log: requests by second, route, status and type, with latencies",
    recognises=recognises,
    parse=parse,
    cannot_show="single requests and their ids, and latencies more exactly than 2 %",
)
