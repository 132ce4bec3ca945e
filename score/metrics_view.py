"""What a metrics store shows of a trace: buckets of completed calls, and gauges of pools."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from score.trace import Called

Row = dict[str, Any]
Changes = Sequence[tuple[float, int, int]]
CALLER = "order-service"
LATENCY = "grpc.client.duration"


def bucket_rows(
    calls: Iterable[Called],
    pools: Mapping[str, tuple[int, Changes]],
    *,
    seconds: float,
    width: float,
    offset: float,
    lost: float,
    clock: Callable[[float], datetime],
    rng: random.Random,
) -> list[Row]:
    """The rows of `metrics`: a call is in the bucket in which it ends, by the store's clock.

    `offset` is that clock against true time. A bucket in which nothing ended has no row, and
    neither has one that was lost.
    """
    first, last = math.ceil(offset / width), math.floor((seconds + offset) / width)
    durations: Mapping[tuple[str, int], list[float]] = defaultdict(list)
    codes: Counter[tuple[str, int, str]] = Counter()
    for call in calls:
        bucket = math.floor((call.ended + offset) / width)
        if first <= bucket < last:
            durations[call.method, bucket].append(1000 * (call.ended - call.started))
            codes[call.method, bucket, call.code] += 1
    kept = {b for b in range(first, last) if rng.random() >= lost}

    def row(bucket: int, **columns: Any) -> Row:
        at = clock(bucket * width - offset)
        return {"at": at, "bucket_seconds": width, "unit": "count", **columns}

    rows = [
        row(bucket, metric=LATENCY, aggregate="p99", value=_p99(values), **_tags(method))
        | {"unit": "ms", "unit_basis": "payload"}
        for (method, bucket), values in sorted(durations.items())
        if bucket in kept
    ]
    rows += [
        row(bucket, metric=LATENCY, aggregate="count", status=code, value=float(n), **_tags(method))
        for (method, bucket, code), n in sorted(codes.items())
        if bucket in kept
    ]
    for service, (size, changes) in sorted(pools.items()):
        rows += [
            row(bucket, metric=f"db.client.connections.{name}", aggregate="max", value=float(value))
            | {"owner": f"{service}-db"}
            for bucket in sorted(kept)
            for name, value in _gauges(changes, size, bucket * width - offset, width)
        ]
    return rows


def _tags(method: str) -> Mapping[str, str]:
    service, _, name = method.casefold().partition("/")
    return {"owner": CALLER, "service": service, "method": name}


def _p99(values: list[float]) -> float:
    """The nearest rank."""
    ordered = sorted(values)
    return round(ordered[math.ceil(0.99 * len(ordered)) - 1], 3)


def _gauges(changes: Changes, size: int, start: float, width: float) -> Iterator[tuple[str, int]]:
    """The highest use of a pool in a bucket, with what it began with."""
    begin = max(0, bisect_right(changes, (start, size + 1, 0)) - 1)
    end = bisect_right(changes, (start + width, -1, 0))
    inside = changes[begin : max(end, begin + 1)]
    yield "usage", max(used for _, used, _ in inside)
    yield "max", size
    yield "pending_requests", max(pending for _, _, pending in inside)
