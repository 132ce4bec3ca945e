"""The file that a rollup comes in: raw evidence, which `import` takes from whichever engine.

Gzipped JSON lines. The first says what was asked of whom, by which statement; then comes one line a
second, route, status and error, with its latency buckets; the last counts them all, so a file that
was cut off is known by it. formats/gateway_rollup.py reads it, that of a load balancer's log
formats/load_balancer_rollup.py.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from incident_rca.case import part_of
from incident_rca.formats import gateway_rollup, load_balancer_rollup
from incident_rca.formats.access_log.reading import knows_of
from incident_rca.formats.access_log.stage_format import LineFormat
from incident_rca.rollup import LATENCY, REQUEST, UNREAD_FAILURE, Answer, Asked, Engine, Plan, Row
from incident_rca.rollup.log_format import LogFormat
from incident_rca.sources.answers import in_utc


@dataclass(slots=True)
class Written:
    """What was written: rows, the requests that they count, and lines of the log that are none.

    `error` says what is missing of it, "" if nothing.
    """

    rows: int = 0
    requests: int = 0
    unread: int = 0
    unread_failures: int = 0
    error: str = ""


def write_rollup(
    path: Path, engine: Engine, asked: Asked, plan: Plan, *, asked_at: datetime
) -> Written:
    """Runs the plan and writes its rows as they come; the file is there in whole or not at all.

    Raises Unreachable where the engine fails.
    """
    answer = engine.run(asked, plan)
    written = Written()
    with part_of(path) as part, part.open("wb") as file:
        with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
            packed.write(_line(_head(engine, asked, plan, asked_at)))
            packed.writelines(map(_line, _rows(answer, written)))
            written.error = str(answer.said.get("error", ""))
            packed.write(_line({**answer.said, **asdict(written)}))
        # Before it has its name: what an engine was paid for is not read again after a power cut.
        file.flush()
        os.fsync(file.fileno())
    return written


def _head(engine: Engine, asked: Asked, plan: Plan, asked_at: datetime) -> dict[str, Any]:
    window = asked.window
    service, of_log = _of_log(plan.line_format)
    request = {
        "engine": engine.name,
        "places": engine.places,
        "statement": plan.statements[-1],
        "bytes": plan.bytes,
        **of_log,
        "window": window and {"start": in_utc(window.start), "end": in_utc(window.end)},
    }
    return {"service": service, "request": request, "asked_at": in_utc(asked_at)}


def _of_log(known: LogFormat) -> tuple[str, dict[str, Any]]:
    """Which rollup it is, what its rows are, and which facts the log could have shown."""
    if not isinstance(known, LineFormat):
        return load_balancer_rollup.SERVICE, {"columns": load_balancer_rollup.COLUMNS}
    return gateway_rollup.SERVICE, {
        "columns": gateway_rollup.COLUMNS,
        "knows": knows_of(known),
        "lacks": known.lacks,
    }


def _rows(answer: Answer, written: Written) -> Iterator[list[Any]]:
    """One list for all buckets of what is the same but for them; what is no request is counted."""
    for (kind, *key), group in groupby(answer.rows, key=_key):
        buckets = [(bucket, requests) for *_, bucket, requests in group]
        requests = sum(count for _, count in buckets)
        if kind in (REQUEST, LATENCY):
            counted = requests if kind == REQUEST else 0
            written.rows += 1
            written.requests += counted
            yield [*key, counted, [pair for pair in buckets if pair[0] >= 0]]
        else:
            written.unread += requests
            written.unread_failures += requests if kind == UNREAD_FAILURE else 0


def _key(row: Row) -> Row:
    return row[:-2]


def _line(value: Any) -> bytes:
    return msgspec.json.encode(value) + b"\n"
