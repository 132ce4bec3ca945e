"""What the questions about one account's logs share: its stages, clients and stretches of time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from incident_rca.formats.access_log.stage_format import LineFormat, compile_format
from incident_rca.model.services import AwsAccount, GatewayStage
from incident_rca.sources.access_log_queries import LogQueries, queries_of
from incident_rca.sources.answers import Absent
from incident_rca.sources.aws_client import Caller, caller_of, place_of
from incident_rca.sources.gateway_stages import StageLogs, read_stage
from incident_rca.sources.log_shards import Shard
from incident_rca.sources.rate_limit import OF_THIS_PROCESS, Paces
from incident_rca.sources.tally import Tally

_WAIT_FOR_LOCK_SECONDS = 0.2


@dataclass(slots=True)
class Shared:
    """What the questions of one collection share: each stage and its failures are read once."""

    paces: Paces = OF_THIS_PROCESS
    _known: dict[tuple[str, ...], Any] = field(default_factory=dict)
    _locks: dict[tuple[str, ...], Lock] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    @contextmanager
    def alone(self, key: tuple[str, ...], tally: Tally) -> Iterator[dict[tuple[str, ...], Any]]:
        """What is known, while nobody else finds out what `key` names."""
        with self._lock:
            lock = self._locks.setdefault(key, Lock())
        while not lock.acquire(timeout=_WAIT_FOR_LOCK_SECONDS):
            tally.check()
        try:
            yield self._known
        finally:
            lock.release()


@dataclass(frozen=True, slots=True)
class KnownStage:
    """A stage with what reads its lines."""

    logs: StageLogs
    line_format: LineFormat
    queries: LogQueries


def known_stage(
    shared: Shared, account: AwsAccount, stage: GatewayStage, tally: Tally
) -> KnownStage | Absent:
    """The stage with its log format, or why it has none; raises Refusal where it is not read."""
    key = ("stage", account.name, stage.text)
    with shared.alone(key, tally) as answers:
        if key not in answers:
            answers[key] = _read_stage(shared, account, stage, tally)
        found: KnownStage | Absent = answers[key]
        return found


def _read_stage(
    shared: Shared, account: AwsAccount, stage: GatewayStage, tally: Tally
) -> KnownStage | Absent:
    logs = read_stage(account, stage, tally=tally, paces=shared.paces)
    if logs.absent is not None:
        return logs.absent
    try:
        line_format = compile_format(logs.format)
    except ValueError as error:
        return Absent(
            f"{stage.text} in {place_of(account)}: its access log cannot be read: {error}",
            "give the stage a JSON format with $context.status and $context.requestTimeEpoch",
        )
    return KnownStage(logs, line_format, queries_of(line_format))


@contextmanager
def calling(account: AwsAccount, service: str, tally: Tally, paces: Paces) -> Iterator[Caller]:
    """A caller whose client is closed at the end."""
    caller = caller_of(account, service, tally, paces)
    try:
        yield caller
    finally:
        caller.client.close()


def whole_seconds(start: datetime, end: datetime) -> Shard:
    """The whole seconds that hold [start, end)."""
    return Shard(
        milliseconds_of(start) // 1000 * 1000, -(-milliseconds_of(end, up=True) // 1000) * 1000
    )


def milliseconds_of(instant: datetime, *, up: bool = False) -> int:
    """Milliseconds since 1970, a fraction of one rounded down, or `up`."""
    whole, rest = divmod(instant - datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1))
    return whole + (1 if up and rest else 0)
