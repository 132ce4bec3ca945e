"""gRPC latency, calls by status and pool gauges out of a server with the Prometheus HTTP API.

A rate needs two scrapes, so its window is twice the interval between them, and the interval is
measured: every value tells of such a window and of no instant within it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from incident_rca.errors import Unreachable
from incident_rca.formats.metric_names import Labels, labels_of, names_of, without_doubles
from incident_rca.model import TimeWindow
from incident_rca.model.services import PrometheusServer
from incident_rca.sources.answers import Absent, Answer, envelope
from incident_rca.sources.http import Failed
from incident_rca.sources.prometheus_api import Asking, asking, error_of, ranges
from incident_rca.sources.prometheus_scrapes import HOPELESS, Pace, gaps, metadata, pace_of
from incident_rca.sources.promql import any_of, duration, label, promql, selector
from incident_rca.sources.tally import Tally

SERVICE = "prometheus"
QUANTILES = {"p50": "0.5", "p95": "0.95", "p99": "0.99"}
_PARTS = ("_bucket", "_sum", "_count")
_NAMES_OF_A_QUESTION = 50
_UNITS = ("", "_seconds", "_milliseconds")


@dataclass(slots=True)
class _Round:
    """One collection: the server, the window, and the queries with their answers so far."""

    asking: Asking
    window: TimeWindow
    queries: list[dict[str, Any]]
    metrics: dict[str, dict[str, Any]]
    error: dict[str, str] | None = None

    @property
    def start(self) -> float:
        return self.window.start.timestamp()

    @property
    def end(self) -> float:
        return self.window.end.timestamp()

    @property
    def matchers(self) -> str:
        return self.asking.server.matchers

    def span(self) -> list[tuple[str, str]]:
        return [("start", f"{self.start:.3f}"), ("end", f"{self.end:.3f}")]


def latency(
    server: PrometheusServer,
    window: TimeWindow,
    *,
    asked_at: datetime,
    tally: Tally,
    environ: Mapping[str, str],
) -> Answer | Absent:
    """Percentiles and averages of the known latency metrics, or of `server.latency`.

    By service and method, over all status codes. Absent where no such metric has data in the
    window. Raises Unreachable where the server gave nothing, BadSettings where a header's variable
    is not set.
    """

    def ask_all(now: _Round) -> Absent | None:
        found = _histograms(now)
        if not found:
            return _no_metric(now, "gRPC latency histogram", "latency")
        for metric in found:
            pace = _paced(now, metric, f"{metric}_count")
            if pace is None:
                continue
            grouped = _by(now, metric, f"{metric}_bucket", ("owner", "service", "method"))
            _bounds(now, metric, grouped)
            first = now.start + pace.window
            buckets = selector(f"{metric}_bucket", now.matchers)
            for aggregate, quantile in QUANTILES.items():
                query = promql(
                    "latency_quantile",
                    quantile=quantile,
                    by="".join(f", {name}" for name in grouped),
                    selector=buckets,
                    window=duration(pace.window),
                )
                _ask_range(now, metric, aggregate, query, pace, first)
            query = promql(
                "latency_average",
                by=", ".join(grouped),
                sums=selector(f"{metric}_sum", now.matchers),
                counts=selector(f"{metric}_count", now.matchers),
                window=duration(pace.window),
            )
            _ask_range(now, metric, "avg", query, pace, first)
        return None

    return _collected(server, window, asked_at, tally, environ, ask_all)


def counts(
    server: PrometheusServer,
    window: TimeWindow,
    *,
    asked_at: datetime,
    tally: Tally,
    environ: Mapping[str, str],
) -> Answer | Absent:
    """Calls that ended, by service, method and status, in windows that follow on one another.

    Out of the counters that have a status (`…_handled_total`) and the histograms that have one.
    Absent and errors as of `latency`.
    """

    def ask_all(now: _Round) -> Absent | None:
        found = [(name, name) for name in without_doubles(_present(now, names_of("calls")))]
        found += [(metric, f"{metric}_count") for metric in _histograms(now)]
        if not found:
            return _no_metric(now, "counter of gRPC calls", "latency")
        for metric, series in found:
            pace = _paced(now, metric, series)
            if pace is None:
                continue
            grouped = _by(now, metric, series, ("owner", "service", "method", "status"))
            query = promql(
                "calls",
                by=", ".join(grouped),
                selector=selector(series, now.matchers),
                window=duration(pace.window),
            )
            whole = replace(pace, step=pace.window)
            _ask_range(now, metric, "count", query, whole, now.start + pace.window)
        return None

    return _collected(server, window, asked_at, tally, environ, ask_all)


def pool(
    server: PrometheusServer,
    window: TimeWindow,
    *,
    asked_at: datetime,
    tally: Tally,
    environ: Mapping[str, str],
) -> Answer | Absent:
    """The gauges that `server.pool` names, of the fullest instance of each pool.

    Absent where it names none, or none of them has data in the window; errors as of `latency`.
    """
    if not server.pool:
        return Absent(
            "no gauge of a connection pool is named",
            hint='name them: pool = { used = "hikaricp_connections_active", max = "…" }',
        )

    def ask_all(now: _Round) -> Absent | None:
        present = set(_present(now, server.pool.values()))
        for role, metric in server.pool.items():
            pace = _paced(now, metric, metric) if metric in present else None
            if pace is None:
                continue
            grouped = _by(now, metric, metric, ("owner",))
            query = promql(
                "pool_gauge",
                by=", ".join(grouped),
                selector=selector(metric, now.matchers),
                window=duration(pace.window),
            )
            _ask_range(now, metric, "last", query, pace, now.start + pace.step, role=role)
        return None if present else _no_metric(now, "gauge named in `pool`", "pool")

    return _collected(server, window, asked_at, tally, environ, ask_all)


def _collected(
    server: PrometheusServer,
    window: TimeWindow,
    asked_at: datetime,
    tally: Tally,
    environ: Mapping[str, str],
    ask_all: Callable[[_Round], Absent | None],
) -> Answer | Absent:
    """The envelope of what was answered until the end, or until the server stopped to answer."""
    with asking(server, tally=tally, environ=environ) as asked:
        now = _Round(asked, window, [], {})
        try:
            absent = ask_all(now)
        except Unreachable as error:
            if not any(q["result"] for q in now.queries if q["aggregate"] != "bounds"):
                raise
            now.error = error_of(error)
            absent = None
    if absent is not None:
        return absent
    series = [query for query in now.queries if query["aggregate"] != "bounds"]
    failed = [query["error"] for query in series if query.get("error")]
    if failed and len(failed) == len(series):
        raise Unreachable(failed[0]["message"], hint="narrow `matchers` or the window")
    request = {
        "url": server.url,
        "matchers": server.matchers,
        "latency": list(server.latency),
        "unit": server.unit if server.latency else "",
        "queries": list(dict.fromkeys(query["query"] for query in now.queries)),
    }
    response = {
        "queries": now.queries,
        "metrics": now.metrics,
        "warnings": asked.warnings,
        "error": now.error,
    }
    answer = envelope(SERVICE, request, response, window=window, asked_at=asked_at)
    offset = asked.clock_offset_seconds()
    return answer if offset is None else {**answer, "clock_offset_seconds": offset}


# --- what there is --------------------------------------------------------------------------------


def _present(now: _Round, names: Iterable[str], endings: Sequence[str] = ("",)) -> list[str]:
    """The names among these that have series in the window, in the order given.

    Values of labels cannot be asked for by POST, so that long lists are asked for in parts.
    """
    spelled = [s for name in names for s in dict.fromkeys((_underscored(name), name))]
    wanted = list(dict.fromkeys(name + ending for name in spelled for ending in endings))
    present: set[str] = set()
    for start in range(0, len(spelled), _NAMES_OF_A_QUESTION):
        matcher = any_of(spelled[start : start + _NAMES_OF_A_QUESTION], endings, now.matchers)
        parameters = [("match[]", matcher), *now.span()]
        present.update(now.asking.names("label/__name__/values", parameters))
    return [name for name in wanted if name in present]


def _underscored(name: str) -> str:
    """A name as Prometheus had to spell it before version 3.

    >>> _underscored("rpc.client.call.duration")
    'rpc_client_call_duration'
    """
    return "".join(c if c.isascii() and (c.isalnum() or c in "_:") else "_" for c in name)


def _histograms(now: _Round) -> list[str]:
    """The latency metrics that have buckets, without their part's ending."""
    asked = now.asking.server.latency or names_of("latency")
    bases = [name.removesuffix(part) for name in asked for part in _PARTS if name.endswith(part)]
    bases = [*bases, *(name for name in asked if not name.endswith(_PARTS))]
    endings = [f"{unit}_bucket" for unit in _UNITS]
    found = [name.removesuffix("_bucket") for name in _present(now, bases, endings)]
    return list(without_doubles(found))


def _no_metric(now: _Round, what: str, key: str) -> Absent:
    server = now.asking.server
    named = ", ".join(server.latency if key == "latency" else server.pool.values())
    among = f" ({named})" if named else ""
    return Absent(
        f"{server.name} has no {what}{among} with data in the window",
        hint=f"name yours in `{key}`; are `matchers` right, and was it recorded then?",
    )


def _by(now: _Round, metric: str, series: str, columns: tuple[str, ...]) -> list[str]:
    """The labels to group by, as PromQL writes them: those that say one of these columns."""
    parameters = [("match[]", selector(series, now.matchers)), *now.span()]
    given = now.asking.names("labels", parameters)
    said = {name: labels_of(metric, {name: "1"}) for name in given if name not in ("le",)}
    grouped = sorted(name for name, labels in said.items() if _says(labels, columns))
    return [label(name) for name in grouped]


def _says(labels: Labels, columns: tuple[str, ...]) -> bool:
    """Whether a label says one of these columns, and a status only where that is one of them."""
    if labels.status is not None:
        return "status" in columns
    return any(getattr(labels, column) is not None for column in columns)


def _paced(now: _Round, metric: str, series: str) -> Pace | None:
    """How often a metric is scraped; notes that, and the unit that the server knows for it.

    None where there is no rate to be had; a question about it that is refused costs that metric.
    """
    about = now.metrics.setdefault(metric, {})
    try:
        about.update(metadata(now.asking, metric))
        found = gaps(now.asking, series, now.window)
    except Failed as error:
        if error.code in HOPELESS:
            raise
        failed = {"name": f"{metric} scrapes", "query": "", "metric": metric}
        now.queries.append(
            {**failed, "aggregate": "scrapes", "result": [], "error": error_of(error)}
        )
        return None
    if not found:
        about["omitted"] = "fewer than two scrapes in the window"
        return None
    pace = pace_of(found)
    about.update(scrape_interval_seconds=pace.step, window_seconds=pace.window)
    if now.start + pace.window > now.end:
        about["omitted"] = f"scraped every {pace.step:g} s: the window is too short for a rate"
        return None
    return pace


# --- queries --------------------------------------------------------------------------------------


def _bounds(now: _Round, metric: str, grouped: list[str]) -> None:
    """Notes the bounds of the buckets by series, without which a ceiling would not be seen."""
    query = promql(
        "latency_bounds",
        by="".join(f", {name}" for name in grouped),
        selector=selector(f"{metric}_bucket", now.matchers),
        window=duration(now.window.seconds),
    )
    about: dict[str, Any] = {"name": f"{metric} bounds", "query": query}
    about |= {"metric": metric, "aggregate": "bounds", "result": []}
    try:
        at = ("time", f"{now.end:.3f}")
        about["result"] = now.asking.result("query", [("query", query), at], "vector")
    except Failed as error:
        if error.code in HOPELESS:
            raise
        about["error"] = error_of(error)
    now.queries.append(about)


def _ask_range(
    now: _Round,
    metric: str,
    aggregate: str,
    query: str,
    pace: Pace,
    first: float,
    **more: str,
) -> None:
    """Appends the answers to one query, slice by slice."""
    about = {"name": f"{metric} {aggregate}", "query": query, "metric": metric}
    covers = pace.step if aggregate == "last" else pace.window
    about |= {"aggregate": aggregate, **more}
    for part in ranges(now.asking, query, first=first, last=now.end, step=pace.step):
        now.queries.append({**about, "covers_seconds": covers, **part})
        error = part.get("error")
        if error and error["code"] in HOPELESS:
            raise Failed(error["code"], error["message"])
