"""Which of the fetched access-log lines are failed requests, and the ids of a few of each sort."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from incident_rca.formats.access_log.stage_format import LineFormat
from incident_rca.json_text import decode
from incident_rca.sources.access_log_queries import place_in

# Execution logs have some twenty lines a request: enough requests of each sort to show its cause.
MOST_REQUESTS = 96
MOST_OF_ONE_SORT = 24
_MOST_LINES_LOOKED_AT = 50_000
_SORT = (
    "status",
    "error.responseType",
    "integration.status",
    "integrationStatus",
    "integration.integrationStatus",
)
# A client may set the id itself: only what may stand in a pattern is asked for.
_ID = re.compile(r"[A-Za-z0-9_=-]{8,64}")
MOST_PATTERN_CHARACTERS = 1_024


@dataclass(frozen=True, slots=True)
class FailedRequest:
    """A request by its id, and when its line was written, in milliseconds since 1970."""

    request_id: str
    at_ms: int


@dataclass(slots=True)
class Failures:
    """What was seen while the lines went by: how many failed, and which requests to look into."""

    count: int = 0
    looked_at: int = 0
    sorts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    requests: list[FailedRequest] = field(default_factory=list)


def failed_lines(
    lines: Iterable[str], line_format: LineFormat, *, is_exact: bool, seen: Failures
) -> Iterator[str]:
    """The event lines whose request failed, or which cannot be read: no line is lost for that.

    `is_exact` says that the service chose them by the status itself. `seen` counts along.
    """
    for line in lines:
        wants_request = (
            len(seen.requests) < MOST_REQUESTS and seen.looked_at < _MOST_LINES_LOOKED_AT
        )
        if is_exact and not wants_request:
            seen.count += 1
            yield line
            continue
        event = json.loads(line)
        values = values_of(str(event.get("message", "")), line_format)
        status = values.get("status", "")
        if not is_exact and values and not _is_failure(status):
            continue
        if is_exact or _is_failure(status):
            seen.count += 1
        if wants_request:
            _look_at(seen, values, int(event["timestamp"]))
        yield line


def values_of(message: str, line_format: LineFormat) -> Mapping[str, str]:
    """The variables of one line; empty where it cannot be read."""
    if line_format.paths:
        try:
            document = decode(message.encode())
        except ValueError:
            document = None
        if isinstance(document, dict):
            return {name: _at(document, path) for name, path in line_format.paths.items()}
    if line_format.pattern is None:
        return {}
    found = line_format.pattern.fullmatch(message.rstrip("\n"))
    if found is None:
        return {}
    groups = found.groupdict()
    # Of a JSON format the keys are those of the JSON; the pattern's groups have other names.
    return {name: groups[key] for name, key in _groups(line_format) if groups.get(key) is not None}


def id_patterns(requests: Sequence[FailedRequest]) -> Iterator[tuple[str, list[FailedRequest]]]:
    """Filter patterns that match any of some ids, with the requests of each, in order of time.

    >>> [(p, len(r)) for p, r in id_patterns([FailedRequest(f"request-{n}", n) for n in range(2)])]
    [('?"request-0" ?"request-1"', 2)]
    """
    pattern, chosen = "", list[FailedRequest]()
    for request in sorted(requests, key=lambda r: r.at_ms):
        term = f'?"{request.request_id}"'
        longer = f"{pattern} {term}".strip()
        if len(longer) > MOST_PATTERN_CHARACTERS:
            yield pattern, chosen
            longer, chosen = term, []
        pattern, chosen = longer, [*chosen, request]
    if chosen:
        yield pattern, chosen


def _look_at(seen: Failures, values: Mapping[str, str], at_ms: int) -> None:
    seen.looked_at += 1
    request_id = values.get("requestId", "")
    sort = tuple(values.get(name, "") for name in _SORT)
    if _ID.fullmatch(request_id) and seen.sorts[sort] < MOST_OF_ONE_SORT:
        seen.sorts[sort] += 1
        seen.requests.append(FailedRequest(request_id, at_ms))


def _is_failure(status: str) -> bool:
    return len(status) == 3 and status.startswith("5") and status.isdigit()


def _at(document: Any, path: Sequence[str]) -> str:
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return "" if document is None else str(document)


def _groups(line_format: LineFormat) -> Iterator[tuple[str, str]]:
    """Each variable with its group in the pattern, which is named for its place in the format."""
    if not line_format.paths:
        yield from line_format.keys.items()
        return
    for name in line_format.keys:
        yield name, f"v{place_in(line_format.text, name)}"
