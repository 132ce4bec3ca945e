"""The rollup of a log, and what an engine is that makes it: the question, the answer.

A rollup counts requests by second, route, status and what the type of their error follows from, and
their latencies in buckets that can be merged. It is the same whichever engine made it, and a case
needs nothing else of the log: only the rollup comes to the laptop. Its one definition is
queries/rollup/access_log.sql for a gateway's log, load_balancer.sql for a load balancer's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from incident_rca.formats.access_log.stage_format import LineFormat
from incident_rca.model import TimeWindow
from incident_rca.rollup.log_format import LogFormat
from incident_rca.sources.log_collection import whole_seconds

# A row has the columns of its definition, whose `kind` is one of these; `latency` is of an engine
# that counts latencies in wider bins than requests, so their number counts nothing.
REQUEST, LATENCY, UNREAD, UNREAD_FAILURE = "request", "latency", "unread", "unread_failure"
Row = tuple[Any, ...]
# Which columns of a row are whole numbers; the others are texts.
NUMBERS = frozenset({"second", "status", "elb_status", "latency_bucket", "requests"})
_END_OF_TIME = 2**40


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of an engine: the requests that arrived in `window`, or all of them.

    `line_format` is how a gateway's lines are to be read, None where the engine is to find out.
    """

    line_format: LineFormat | None = None
    window: TimeWindow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be run, and what that reads and costs; nothing has been run yet.

    `statements` are texts that an engineer may read and run; the last one is the rollup. `bytes`
    is None where only the service knows; `usd` is None where nothing is charged by the byte.
    `basis` says where both come from.
    """

    statements: tuple[str, ...]
    line_format: LogFormat
    bytes: int | None
    usd: float | None
    basis: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows, in the order of their columns; `said` is filled when the last one was taken.

    `said` has the engine's own figures (`bytes_scanned`, …), and `error` where rows are missing.
    """

    rows: Iterator[Row]
    said: dict[str, Any] = field(default_factory=dict)


class Engine(Protocol):
    """What makes a rollup of logs in one place."""

    @property
    def name(self) -> str:
        """As the command line calls it."""

    @property
    def places(self) -> tuple[str, ...]:
        """Where the logs are."""

    def plan(self, asked: Asked) -> Plan:
        """What would be run; raises BadInput where the lines' format is not clear."""

    def run(self, asked: Asked, plan: Plan) -> Answer:
        """Runs it. Rows come as they are made; what fails on the way raises Unreachable."""


def seconds_of(window: TimeWindow | None) -> tuple[int, int]:
    """The whole seconds since 1970 that hold a window, the end exclusive; without one, all."""
    if window is None:
        return 0, _END_OF_TIME
    whole = whole_seconds(window.start, window.end)
    return whole.start_ms // 1000, whole.end_ms // 1000
