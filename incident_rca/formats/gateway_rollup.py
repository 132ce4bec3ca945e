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

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from incident_rca.formats.error_types import error_types_of
from incident_rca.formats.logs_insights_rows import STATUSES
from incident_rca.formats.parsed import Format, Head, Parsed, RawInput, frame_of
from incident_rca.formats.rollup_lines import (
    NO_TEXT,
    Request,
    RollupFile,
    failed_rows,
    grouped_row,
    has_sound_numbers,
    instant_of,
    is_rollup,
    parsed_rollup,
    read_rollup,
)
from incident_rca.model import System

SERVICE = "incident_rca_rollup"


class _Knows(msgspec.Struct, frozen=True):
    """Which facts an absent value proves to be absent, as `error_types_of` takes them."""

    response_type: bool
    integration_status: bool
    backend_status: bool
    error_text: bool


class _Request(Request, frozen=True, kw_only=True):
    """What was asked of whom."""

    knows: _Knows


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
        return has_sound_numbers(self) and self.status in STATUSES


COLUMNS = _Row.__struct_fields__
_File = RollupFile[_Request, _Row]


def recognises(head: Head) -> bool:
    """Whether the first line says that a rollup follows."""
    return is_rollup(head, SERVICE)


def parse(raw: RawInput) -> Parsed:
    """The counts, with a row for each failed request.

    Raises BadInput where the first line is none of a rollup.
    """
    file = read_rollup(raw, SERVICE, _Request, _Row)
    types = _types(file, raw)
    failed = ((number, row) for number, row in file.rows if row.status >= 500)
    frames = {
        "gateway": frame_of("gateway", _counts(file, types), raw),
        "failures": failed_rows(
            "failures", failed, lambda n, row, ms: _failure(n, row, types[row.facts], ms), raw
        ),
    }
    return parsed_rollup(file, frames, "a rollup has no ids of requests, and whole seconds")


def _types(file: _File, raw: RawInput) -> dict[Any, str | None]:
    """The error type of what the rows say of errors, each once."""
    facts = sorted({row.facts for _, row in file.rows if row.requests})
    names = ("response_type", "integration_status", "backend_status")
    rows = [
        {
            "status": status,
            "message": "" if text == NO_TEXT else text,
            "authorizer_error": authorizer,
            "waf": waf,
            **{
                name: None if value == NO_TEXT else value
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
        yield {
            "second": instant_of(second),
            "method": method,
            "route": route,
            "status": status,
            "error_type": kind or None,
            **grouped_row(rows),
        }


def _failure(
    number: int, row: _Row, error_type: str | None, latency_ms: int | None
) -> dict[str, Any]:
    statuses = (row.integration_status, row.backend_status)
    return {
        "line": number,
        "at": instant_of(row.second),
        "method": row.method,
        "route": row.route,
        "status": row.status,
        "error_type": error_type,
        "integration_status": next((s for s in statuses if s != NO_TEXT), None),
        "message": None if row.error_text == NO_TEXT else row.error_text,
        "seen_in": "access",
        "latency_ms": latency_ms,
    }


FORMAT = Format(
    kind="gateway_rollup",
    system=System.GATEWAY,
    title="Rollup of an access log: requests by second, route, status and type, with latencies",
    recognises=recognises,
    parse=parse,
    cannot_show="single requests and their ids, and latencies more exactly than 2 %",
)
