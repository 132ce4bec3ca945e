"""Datadog: latency and counts of gRPC calls, connection pools, and changes, each a source.

Read-only: the keys need the scopes timeseries_query, metrics_read and events_read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from incident_rca.errors import Unreachable
from incident_rca.model import TimeWindow
from incident_rca.model.services import DatadogAccount
from incident_rca.sources.answers import Absent, Answer, envelope, in_utc
from incident_rca.sources.clock import Clock
from incident_rca.sources.datadog_catalog import (
    Catalog,
    Metric,
    count_queries,
    events_query,
    latency_queries,
    pool_queries,
)
from incident_rca.sources.datadog_client import Connection, access_of
from incident_rca.sources.datadog_events import ask_pages
from incident_rca.sources.datadog_timeseries import (
    V2_PATH,
    Request,
    ask_all,
    got_seconds,
    requests_of,
    step_of,
)
from incident_rca.sources.tally import Tally

SERVICE = "datadog"
METRICS = "datadog_metrics"
EVENTS = "datadog_events"
_CHECK_NAMES = "check the names in `latency` and `pool` of its [[datadog]] table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One source of an account: `kind` is the format of its answer, `tally` what it has cost.

    `ask` gives the answer about a window, or why there is nothing to ask; it raises Unreachable
    where keys are missing or nothing was answered.
    """

    name: str
    kind: str
    ask: Callable[[TimeWindow], Answer | Absent]
    tally: Tally


def asked_of(
    account: DatadogAccount, *, environ: Mapping[str, str], clock: Clock
) -> tuple[Asked, ...]:
    """The sources of an account: `NAME.latency`, `NAME.counts`, `NAME.pool` and `NAME.events`.

    Nothing is asked yet. What the account says of its metrics is asked for once for all of them.
    """
    catalog = Catalog(account)

    def source(part: str, kind: str, fetch: Fetch) -> Asked:
        tally = Tally(clock)

        def ask(window: TimeWindow) -> Answer | Absent:
            with Connection(account.name, access_of(account, environ), tally) as connection:
                asked_at = clock.now()
                found = fetch(connection, window)
                if isinstance(found, Absent):
                    return found
                request, response = found
                if connection.access.site:
                    request = {**request, "console": {"site": connection.access.site}}
                answer = envelope(SERVICE, request, response, window=window, asked_at=asked_at)
                return {**answer, **_cost(connection), **_resolution(request, response)}

        return Asked(name=f"{account.name}.{part}", kind=kind, ask=ask, tally=tally)

    return (
        source("latency", METRICS, lambda c, w: _latency(catalog, c, w)),
        source("counts", METRICS, lambda c, w: _counts(catalog, c, w)),
        source("pool", METRICS, lambda c, w: _pool(catalog, c, w)),
        source("events", EVENTS, lambda c, w: ask_pages(c, w, account.events or events_query())),
    )


Found = tuple[dict[str, Any], dict[str, Any]]
Fetch = Callable[[Connection, TimeWindow], Found | Absent]


def _cost(connection: Connection) -> dict[str, Any]:
    """How many requests it took, and what the answers' dates show of the clock."""
    offset = connection.offset.bounds
    cost: dict[str, Any] = {"queries": connection.requests}
    return cost | ({"clock_offset_seconds": list(offset)} if offset else {})


def _latency(catalog: Catalog, connection: Connection, window: TimeWindow) -> Found | Absent:
    def queries(metric: Metric, step: int) -> list[str]:
        return latency_queries(metric, scope=catalog.account.scope, step=step)

    metrics = catalog.latencies(connection, window)
    return _series("latency", catalog, connection, window, metrics, queries)


def _counts(catalog: Catalog, connection: Connection, window: TimeWindow) -> Found | Absent:
    def queries(metric: Metric, step: int) -> list[str]:
        return count_queries(metric, scope=catalog.account.scope, step=step)

    metrics = catalog.counts(connection, window)
    return _series("counts", catalog, connection, window, metrics, queries)


def _pool(catalog: Catalog, connection: Connection, window: TimeWindow) -> Found | Absent:
    """As of `_series`, with what each query counts as `roles` of the request."""
    roles: dict[str, str] = {}

    def queries(metric: Metric, step: int) -> list[str]:
        found = pool_queries(catalog.account, metric, step=step)
        roles.update(found)
        return list(found)

    metrics = catalog.gauges(connection, window)
    found = _series("pool", catalog, connection, window, metrics, queries)
    if isinstance(found, Absent):
        return found
    request, response = found
    return request | {"roles": roles}, response


def _series(
    about: str,
    catalog: Catalog,
    connection: Connection,
    window: TimeWindow,
    metrics: tuple[Metric, ...] | Absent,
    queries_of: Callable[[Metric, int], list[str]],
) -> Found | Absent:
    """The request and what came of it.

    Raises Unreachable where the settings name nothing but metrics that do not report.
    """
    if isinstance(metrics, Absent):
        return metrics
    missing = set(catalog.missing(connection, window))
    there = [metric for metric in metrics if metric.name not in missing]
    lacking = [metric.name for metric in metrics if metric.name in missing]
    why = f"{', '.join(lacking)} has not reported since {in_utc(window.start)}"
    if not there:
        raise Unreachable(f"{catalog.account.name}: {why}", hint=_CHECK_NAMES)
    requests: list[Request] = []
    for step, queries in _by_step(about, window, there, queries_of):
        requests += requests_of(queries, window, step)
    response = ask_all(connection, requests)
    if lacking:
        said = [why, *([response["error"]["message"]] if "error" in response else [])]
        response["error"] = {"code": "NoSuchMetric", "message": "; ".join(said)}
    request = {
        "method": "POST",
        "path": V2_PATH,
        "about": about,
        "interval_seconds": min(r.step for r in requests),
        "scope": catalog.account.scope,
        "unit": catalog.account.unit,
    }
    return request, {"metrics": {m.name: m.described for m in metrics}, **response}


def _by_step(
    about: str,
    window: TimeWindow,
    metrics: Sequence[Metric],
    queries_of: Callable[[Metric, int], list[str]],
) -> Iterator[tuple[int, list[str]]]:
    """The bucket and the queries of each request: those of a metric, or of all gauges of pools."""
    steps = {metric.name: step_of(window, metric.interval_seconds) for metric in metrics}
    if about == "pool":
        step = max(steps.values())
        yield step, [query for metric in metrics for query in queries_of(metric, step)]
        return
    for metric in metrics:
        yield steps[metric.name], queries_of(metric, steps[metric.name])


def _resolution(request: Mapping[str, Any], response: Mapping[str, Any]) -> dict[str, Any]:
    """The width of a bucket that was asked for and the one that came, which may be wider."""
    if "slices" not in response:
        return {}
    got = got_seconds(response)
    asked = request["interval_seconds"]
    return {"resolution_seconds": {"asked": asked, "got": got}} if got else {}
