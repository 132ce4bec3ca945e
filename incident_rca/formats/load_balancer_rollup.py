"""Rollups of a load balancer's log, by whichever engine -> `load_balancer`.

`incident-rca rollup` writes them (rollup_lines.py). Each row is a list of these, as
queries/rollup/load_balancer.sql has them:

    second              seconds since 1970 of the arrival
    load_balancer, method, path
    elb_status, target_status
                        the target's is a text, `-` where no target answered
    action, error_reason
                        what else the type of an error follows from, `-` where there is nothing
    requests            how many
    latency_buckets     [[k, requests], ...]: latencies above 1.02^(k-1) and up to 1.02^k ms

Each failed request (5xx or 460) becomes a row of its own, at its second: its id stayed behind.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from incident_rca.formats.duckdb_session import define, fetch, open_session, run_file
from incident_rca.formats.load_balancer_log import NOT_IN_A_LOG
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

SERVICE = "incident_rca_load_balancer_rollup"
# As in queries/duckdb/load_balancer_rows.sql, whose files are of one load balancer each.
MOST_PATHS = 500
OTHER_PATHS = "/{other}"
_FIRST_FAILURE_STATUS = 500
_CLIENT_CLOSED = 460
_STATUSES = range(100, 600)
_TARGET_STATUS = re.compile(r"-|[1-9][0-9]{2}")
_Facts = tuple[int, str, str, str]
_Place = tuple[str, str]
# The error type, and who answered.
_Types = Mapping[_Facts, tuple[str | None, str]]


class _Row(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A line of the file."""

    second: int
    load_balancer: str
    method: str
    path: str
    elb_status: int
    target_status: str
    action: str
    error_reason: str
    requests: int
    latency_buckets: list[tuple[int, int]]

    @property
    def facts(self) -> _Facts:
        """What the type of an error follows from."""
        return self.elb_status, self.target_status, self.action, self.error_reason

    @property
    def place(self) -> _Place:
        """The load balancer, and the path that it was asked for."""
        return self.load_balancer, self.path

    @property
    def target(self) -> int | None:
        """The status of the target, None where none answered."""
        return None if self.target_status == NO_TEXT else int(self.target_status)

    @property
    def has_failed(self) -> bool:
        """Whether each of its requests has a row of its own."""
        return self.elb_status >= _FIRST_FAILURE_STATUS or self.elb_status == _CLIENT_CLOSED

    def is_sound(self) -> bool:
        """Whether its numbers can be what they are said to be."""
        is_target = _TARGET_STATUS.fullmatch(self.target_status) is not None
        is_counted = 0 < self.requests >= sum(requests for _, requests in self.latency_buckets)
        are_statuses = self.elb_status in _STATUSES and is_target
        return has_sound_numbers(self) and is_counted and are_statuses


COLUMNS = _Row.__struct_fields__
_Numbered = tuple[int, _Row]


def recognises(head: Head) -> bool:
    """Whether the first line says that a rollup of a load balancer's log follows."""
    return is_rollup(head, SERVICE)


def parse(raw: RawInput) -> Parsed:
    """The counts, with a row for each failed request.

    Raises BadInput where the first line is none of such a rollup.
    """
    import pandas as pd

    file: RollupFile[Request, _Row] = read_rollup(raw, SERVICE, Request, _Row)
    rows = list(_by_usual_paths(file.rows))
    types = _types(rows, raw)
    counted = frame_of("load_balancer", _counts(rows, types), raw)
    failed = failed_rows(
        "load_balancer",
        ((number, row) for number, row in rows if row.has_failed),
        lambda number, row, latency_ms: _failure(number, row, types, latency_ms),
        raw,
    )
    frames = [frame for frame in (counted, failed) if len(frame)] or [counted]
    joined = pd.concat(frames, ignore_index=True)
    ordered = joined.sort_values(["second", "line_first"], kind="stable", ignore_index=True)
    return parsed_rollup(file, {"load_balancer": ordered}, *_lacks(rows))


def _lacks(rows: Iterable[_Numbered]) -> Iterator[str]:
    """What stays unknown where there are several: by trace ids, a raw log tells who is behind."""
    balancers = {row.load_balancer for _, row in rows}
    if len(balancers) > 1:
        yield (
            f"all {len(balancers)} load balancers of the rollup are counted: a request that passed "
            "through two of them counts twice, as a rollup has no trace ids to tell"
        )


def _by_usual_paths(rows: Sequence[_Numbered]) -> Iterator[_Numbered]:
    """The rows, with one path for all of a load balancer beyond those that fail most or are asked
    for most there.
    """
    failed, asked = Counter[_Place](), Counter[_Place]()
    for _, row in rows:
        asked[row.place] += row.requests
        failed[row.place] += row.requests * (row.elb_status >= _FIRST_FAILURE_STATUS)
    order = sorted(asked, key=lambda place: (-failed[place], -asked[place], place))
    ranks: Counter[str] = Counter()
    usual = set()
    for place in order:
        ranks[place[0]] += 1
        if ranks[place[0]] <= MOST_PATHS:
            usual.add(place)
    for number, row in rows:
        is_usual = row.place in usual
        yield number, row if is_usual else msgspec.structs.replace(row, path=OTHER_PATHS)


def _types(rows: Iterable[_Numbered], raw: RawInput) -> _Types:
    """The type of what the rows say of errors, each once, and who answered."""
    import pandas as pd

    facts = sorted({row.facts for _, row in rows})
    if not facts:
        return {}
    statuses, targets, actions, reasons = zip(*facts, strict=True)
    candidates = pd.DataFrame(
        {
            "position": range(len(facts)),
            "elb_status": statuses,
            "target_status": pd.array(
                [None if text == NO_TEXT else int(text) for text in targets], dtype="Int64"
            ),
            "action": pd.Series(actions, dtype="str"),
            "error_reason": pd.Series(reasons, dtype="str"),
        }
    )
    with open_session(raw.work) as session:
        session.register("candidates", candidates)
        define(session, "load_balancer_error_type.sql")
        found = fetch(run_file(session, "load_balancer_types_of_rows.sql"))
    types = [kind if isinstance(kind, str) else None for kind in found["error_type"].tolist()]
    return dict(zip(facts, zip(types, found["answered_by"].tolist(), strict=True), strict=True))


def _counts(rows: Iterable[_Numbered], types: _Types) -> Iterator[dict[str, Any]]:
    """One row for what did not fail in one second and has the same names and statuses."""
    groups: dict[tuple[Any, ...], list[_Numbered]] = {}
    for number, row in rows:
        if not row.has_failed:
            kind, _ = types[row.facts]
            names = (row.load_balancer, row.method, row.path, row.error_reason)
            key = (row.second, row.elb_status, row.target_status, *names, kind or "")
            groups.setdefault(key, []).append((number, row))
    for _, alike in sorted(groups.items()):
        yield _of_row(alike[0][1], types) | grouped_row(alike)


def _failure(number: int, row: _Row, types: _Types, latency_ms: int | None) -> dict[str, Any]:
    bounds = [] if latency_ms is None else [latency_ms]
    return _of_row(row, types) | {
        "at": instant_of(row.second),
        "latency_ms": latency_ms,
        "requests": 1,
        "latency_ms_bounds": bounds,
        "latency_ms_counts": [1] * len(bounds),
        "line_first": number,
        "line_last": number,
    }


def _of_row(row: _Row, types: _Types) -> dict[str, Any]:
    """What all requests of a row have in common, by the columns of the table."""
    error_type, answered_by = types[row.facts]
    return {
        "second": instant_of(row.second),
        "load_balancer": row.load_balancer,
        "method": row.method,
        "path": row.path,
        "elb_status": row.elb_status,
        "target_status": row.target,
        "answered_by": answered_by,
        "error_type": error_type,
        "error_reason": None if row.error_reason == NO_TEXT else row.error_reason,
    }


FORMAT = Format(
    kind="load_balancer_rollup",
    system=System.GATEWAY,
    title="Rollup of a load balancer's log: requests by second, path, statuses and type",
    recognises=recognises,
    parse=parse,
    cannot_show=(
        "single requests, their trace ids and fractions of a second, so not which load balancer "
        "stands behind another; latencies more exactly than 2 %; " + NOT_IN_A_LOG
    ),
)
