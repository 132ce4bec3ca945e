"""Requests that a failed line of the gateway and a waiting statement both name by an id.

Such an id is a mechanism edge: it says that this request waited, whatever any clock says. And by
causality each bounds the offset between the two clocks (Haba, US 8,995,472; Ristenpart and others,
2004): no statement of a request is seen before the request arrived, and a backend that answers does
so when its statement is over. The second holds only where the backend did answer, and not sooner
than the statement waited: who gave up leaves the statement waiting behind him.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import TYPE_CHECKING

from incident_rca.analysis.evidence import instant
from incident_rca.analysis.frames import values
from incident_rca.analysis.locks import POSTGRES_LOGS
from incident_rca.model import Case, ClockLink, SourceStatus
from incident_rca.tables import Tables
from incident_rca.trace_ids import ids_of_log, split_ids

if TYPE_CHECKING:
    import pandas as pd

# A source that tells arrivals no better bounds no clock.
COARSEST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Statement:
    """When the statements of an id were seen first, and when the last of them surely still was."""

    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class _Request:
    """The arrival of a failed request; `answered` is None where what is behind did not answer."""

    arrived: datetime
    answered: datetime | None
    latency_seconds: float


def ids_by_failure(failures: pd.DataFrame) -> list[tuple[str, ...]]:
    """The ids of each row of `failures`, in its order.

    An access log has all of a line's in `trace_ids`; what other logs know is in `request_id`.
    """
    return [
        ids_of_log(*split_ids(ids), *split_ids(request))
        for ids, request in values(failures, "trace_ids", "request_id")
    ]


def link_of(case: Case, tables: Tables) -> ClockLink | None:
    """What shared ids say of the server's clock against the gateway's; None where none is shared.

    The inequalities of all ids are intersected. Where that leaves nothing, a clock was set or an id
    was used twice: the bounds are None then, and the note says so.
    """
    statements = _statements(case, tables.locks)
    requests = _requests(case, tables.failures) if statements else {}
    shared = sorted(statements.keys() & requests.keys())
    if not shared:
        return None
    lo, hi = -inf, inf
    for identity in shared:
        statement, request = statements[identity], requests[identity]
        hi = min(hi, (statement.first - request.arrived).total_seconds())
        waited = (statement.last - statement.first).total_seconds()
        if request.answered is not None and waited <= request.latency_seconds:
            lo = max(lo, (statement.last - request.answered).total_seconds())
    number = len({requests[identity] for identity in shared})
    if lo > hi:
        note = "they exclude each other: a clock was set meanwhile, or an id was used twice"
        return ClockLink(requests=number, bounds=None, note=note)
    return ClockLink(requests=number, bounds=(lo, hi))


def _statements(case: Case, locks: pd.DataFrame) -> Mapping[str, _Statement]:
    """The waiting statements by id; `first` is late by what the source cuts off its instants."""
    cut = {s.name: timedelta(seconds=_cut_seconds(s)) for s in case.sources}
    known = locks[locks["waiter_trace_ids"].notna()]
    found: dict[str, _Statement] = {}
    columns = ("source", "waiter_trace_ids", "at", "wait_start", "wait_end")
    for source, ids, at, start, end in values(known, *columns):
        sampled = instant(at)
        if sampled is None:
            continue
        begun = min(instant(start) or sampled, sampled) + cut.get(source, timedelta())
        until = max(instant(end) or sampled, sampled)
        for identity in split_ids(ids):
            old = found.get(identity, _Statement(begun, until))
            found[identity] = _Statement(min(old.first, begun), max(old.last, until))
    return found


def _cut_seconds(source: SourceStatus) -> float:
    """What a server's log cuts off its clock; a recording is sampled, its instants are exact."""
    return (source.resolution_seconds or 0.0) if source.kind in POSTGRES_LOGS else 0.0


def _requests(case: Case, failures: pd.DataFrame) -> Mapping[str, _Request]:
    """The failed requests by id; of several with one id the first arrival and the last answer."""
    exact = {s.name: s.resolution_seconds or 0.0 for s in case.sources}
    found: dict[str, _Request] = {}
    columns = ("source", "at", "latency_ms", "integration_status", "error_type")
    rows = zip(values(failures, *columns), ids_by_failure(failures), strict=True)
    for (source, at, latency_ms, behind, kind), ids in rows:
        arrived, resolution = instant(at), exact.get(source, inf)
        if arrived is None or resolution > COARSEST_SECONDS or not ids:
            continue
        request = _request(arrived, latency_ms, resolution, answers=_answered(behind, kind))
        for identity in ids:
            found[identity] = _joined(found[identity], request) if identity in found else request
    return found


def _answered(integration_status: str | None, error_type: str | None) -> bool:
    """Whether what is behind the gateway answered: it has a status and did not run out of time."""
    return (integration_status or "").isdecimal() and error_type != "integration_timeout"


def _request(
    arrived: datetime, latency_ms: float | None, resolution: float, *, answers: bool
) -> _Request:
    latency_seconds = (latency_ms or 0.0) / 1000
    answered = arrived + timedelta(seconds=latency_seconds + resolution)
    return _Request(arrived, answered if answers and latency_ms else None, latency_seconds)


def _joined(one: _Request, other: _Request) -> _Request:
    answers = [r.answered for r in (one, other) if r.answered is not None]
    return _Request(
        min(one.arrived, other.arrived),
        max(answers) if len(answers) == 2 else None,
        max(one.latency_seconds, other.latency_seconds),
    )


def rows_with(
    frame: pd.DataFrame, ids: Iterable[tuple[str, ...]], wanted: frozenset[str]
) -> pd.DataFrame:
    """The rows of `frame`, whose ids are given in its order, that have one of the wanted ids."""
    import pandas as pd

    # By an index: an empty list of rows would be one of columns.
    has_one = pd.Series([not wanted.isdisjoint(of_row) for of_row in ids], frame.index, dtype=bool)
    return frame[has_one]
