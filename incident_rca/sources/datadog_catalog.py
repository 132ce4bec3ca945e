"""What a Datadog account says of its metrics, and the queries that follow from it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from string import Template
from threading import Lock
from typing import Any

from incident_rca.formats.metric_names import known, labels_of, names_of, without_doubles
from incident_rca.model import TimeWindow
from incident_rca.model.services import DatadogAccount
from incident_rca.queries import load_query
from incident_rca.sources.answers import Absent
from incident_rca.sources.datadog_client import (
    AT_ONCE,
    METRICS_V1,
    METRICS_V2,
    Connection,
    Refused,
)

# Trace metrics are flushed so often (Datadog, "Trace Metrics").
_TRACE_SECONDS = 10
# The shortest look-back of list_tags_by_metric_name, by its own description.
_LEAST_LOOK_BACK_SECONDS = 14_400
_PART = re.compile(r"\d+percentile|median|max|avg")
_FILTERED = re.compile(r"(?P<name>[^{}]+)\{(?P<where>[^{}]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric as the account describes it; what it does not say is empty.

    `type`: `distribution`, `histogram` (DogStatsD's, by its `parts`), `gauge`, `count` or `rate`.
    `tag_keys` is None where they are unknown. `interval_seconds` is how often it is recorded.
    """

    name: str
    type: str = ""
    has_percentiles: bool = False
    unit: str = ""
    interval_seconds: int | None = None
    tag_keys: tuple[str, ...] | None = None
    parts: tuple[str, ...] = ()

    @property
    def described(self) -> dict[str, Any]:
        """The description as it is kept beside the answers."""
        return {
            "type": self.type,
            "percentiles": self.has_percentiles,
            "unit": self.unit,
            "interval_seconds": self.interval_seconds,
            "tag_keys": None if self.tag_keys is None else list(self.tag_keys),
        }


@dataclass(slots=True)
class Catalog:
    """The metrics of one account, asked for once by whichever of its sources comes first.

    An account that did not answer the first of them is not asked again by the others: each would
    only wait as long.
    """

    account: DatadogAccount
    _failure: Refused | None = None
    _active: frozenset[str] | Absent | None = None
    _metrics: dict[str, Metric] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def latencies(self, connection: Connection, window: TimeWindow) -> tuple[Metric, ...] | Absent:
        """The latency metrics that the settings name, or else those known by name that report."""
        active = self._names(connection, window)
        if self.account.latency:
            return self._described(connection, window, self.account.latency)
        if isinstance(active, Absent):
            return active
        parts = {name.rpartition(".")[0] for name in active if _PART.fullmatch(_last(name))}
        found = without_doubles(n for n in names_of("latency") if n in active | parts)
        if not found:
            return Absent(
                f"{self.account.name}: no gRPC latency metric that is known by name has reported",
                hint='name yours: latency = ["…"] in its [[datadog]] table',
            )
        return self._described(connection, window, found)

    def counts(self, connection: Connection, window: TimeWindow) -> tuple[Metric, ...] | Absent:
        """What counts calls by status: latency metrics, else counters that are known by name.

        Never both, since they count the same calls; calls without a status only where nothing else
        counts any.
        """
        active = self._names(connection, window)
        latencies = self.latencies(connection, window)
        counting = () if isinstance(latencies, Absent) else latencies
        counting = tuple(m for m in counting if count_queries(m, scope="*", step=1))
        if by_status := tuple(metric for metric in counting if _by(metric, "status")):
            return by_status
        names = () if isinstance(active, Absent) else active
        counters = without_doubles(name for name in names_of("calls") if name in names)
        if usable := self._described(connection, window, counters) or counting:
            return usable
        return Absent(
            f"{self.account.name}: no metric that counts calls has reported",
            hint="without counts by status, a missing DEADLINE_EXCEEDED proves nothing",
        )

    def gauges(self, connection: Connection, window: TimeWindow) -> tuple[Metric, ...] | Absent:
        """The gauges of connection pools that the settings name, or those known by name."""
        if self.account.pool:
            named = [_FILTERED.sub(r"\g<name>", text) for text in self.account.pool.values()]
            return self._described(connection, window, named)
        active = self._names(connection, window)
        if isinstance(active, Absent):
            return active
        roles = _templates("pool")["names"]
        names = [name for role in roles.values() for name in role if name in active]
        if not names:
            return Absent(
                f"{self.account.name}: no gauge of a connection pool that is known by name reports",
                hint='name yours: pool = { used = "…", max = "…" } in its [[datadog]] table',
            )
        return self._described(connection, window, names)

    def missing(self, connection: Connection, window: TimeWindow) -> tuple[str, ...]:
        """The metrics that the settings name and that have not reported since the window began.

        Empty where the keys have no right to list them: then nobody knows.
        """
        active = self._names(connection, window)
        if isinstance(active, Absent):
            return ()
        gauges = (_FILTERED.sub(r"\g<name>", text) for text in self.account.pool.values())
        histograms = {name.rpartition(".")[0] for name in active if _PART.fullmatch(_last(name))}
        return tuple(
            name for name in (*self.account.latency, *gauges) if name not in active | histograms
        )

    def _names(self, connection: Connection, window: TimeWindow) -> frozenset[str] | Absent:
        """The metrics that reported since the window began; Absent where the keys may not ask."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._active is None:
                try:
                    self._active = _active(connection, window)
                except Refused as refused:
                    self._failure = refused
                    raise
            return self._active

    def _described(
        self, connection: Connection, window: TimeWindow, names: Sequence[str]
    ) -> tuple[Metric, ...]:
        active = self._names(connection, window)
        names = tuple(dict.fromkeys(names))
        with self._lock:
            new = [name for name in names if name not in self._metrics]
            with ThreadPoolExecutor(AT_ONCE) as pool:
                for metric in pool.map(lambda n: _describe(connection, window, n, active), new):
                    self._metrics[metric.name] = metric
            return tuple(self._metrics[name] for name in names)


def _active(connection: Connection, window: TimeWindow) -> frozenset[str] | Absent:
    since = int(window.start.timestamp())
    try:
        answer = connection.ask(METRICS_V1, "list_active_metrics", _from=since)
    except Refused as refused:
        if refused.status not in (403, 404):
            raise
        return Absent(refused.message, refused.hint)
    names = answer.get("metrics")
    return frozenset(str(name) for name in names) if isinstance(names, list) else frozenset()


def _describe(
    connection: Connection, window: TimeWindow, name: str, active: frozenset[str] | Absent
) -> Metric:
    names = frozenset() if isinstance(active, Absent) else active
    parts = tuple(
        sorted(
            part
            for other in names
            if other.startswith(f"{name}.") and _PART.fullmatch(part := other[len(name) + 1 :])
        )
    )
    if parts and name not in names:
        told = _asked(connection, METRICS_V1, "get_metric_metadata", f"{name}.{parts[0]}")
        return Metric(
            name=name,
            type="histogram",
            unit=str(told.get("unit") or ""),
            interval_seconds=_interval(name, told),
            tag_keys=_tag_keys(connection, window, f"{name}.{parts[0]}"),
            parts=parts,
        )
    told = _asked(connection, METRICS_V1, "get_metric_metadata", name)
    configured = _attributes(_asked(connection, METRICS_V2, "list_tag_configuration_by_name", name))
    by_name = known(name)
    is_trace = by_name is not None and by_name.origin == "Datadog APM"
    usual = "distribution" if is_trace and by_name and by_name.kind == "latency" else ""
    return Metric(
        name=name,
        type=str(configured.get("metric_type") or told.get("type") or usual),
        # Those of traces always have them; of others the configuration says so, or there are none.
        has_percentiles=bool(configured.get("include_percentiles", usual == "distribution")),
        unit=str(told.get("unit") or ""),
        interval_seconds=_interval(name, told),
        tag_keys=_tag_keys(connection, window, name),
    )


def _interval(name: str, told: Mapping[str, Any]) -> int | None:
    stated = told.get("statsd_interval")
    if isinstance(stated, int) and not isinstance(stated, bool) and stated > 0:
        return stated
    return _TRACE_SECONDS if name.startswith("trace.") else None


def _tag_keys(connection: Connection, window: TimeWindow, name: str) -> tuple[str, ...] | None:
    back = (connection.tally.clock.now() - window.start).total_seconds()
    answer = _asked(
        connection,
        METRICS_V2,
        "list_tags_by_metric_name",
        name,
        window_seconds=max(_LEAST_LOOK_BACK_SECONDS, int(back)),
        filter_include_tag_values=False,
    )
    tags = _attributes(answer).get("tags")
    if not isinstance(tags, list):
        return None
    return tuple(sorted({str(tag).partition(":")[0] for tag in tags}))


def _asked(
    connection: Connection, api: tuple[str, str], operation: str, metric: str, **more: Any
) -> Mapping[str, Any]:
    """The answer about one metric, empty where the account has none: queries do without it."""
    try:
        return connection.ask(api, operation, metric_name=metric, **more)
    except Refused as refused:
        if refused.status in (400, 403, 404, 410):
            return {}
        raise


def _attributes(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    data = answer.get("data")
    attributes = data.get("attributes") if isinstance(data, dict) else None
    return attributes if isinstance(attributes, dict) else {}


def _last(name: str) -> str:
    return name.rpartition(".")[2]


# --- queries --------------------------------------------------------------------------------------


def latency_queries(metric: Metric, *, scope: str, step: int) -> list[str]:
    """The queries for a latency: percentiles only where the metric has them."""
    templates = _templates("latency")
    by = _by(metric, "owner", "service", "method")
    if metric.type == "histogram":
        of_part = templates["histogram"]
        return [
            _filled(of_part["avg" if part == "avg" else "value"], metric, scope, by, step, part)
            for part in metric.parts
        ]
    if metric.type == "distribution":
        kind = "percentiles" if metric.has_percentiles else "distribution"
    else:
        kind = "gauge"
    return [_filled(text, metric, scope, by, step) for text in templates[kind].values()]


def count_queries(metric: Metric, *, scope: str, step: int) -> list[str]:
    """The query that counts calls by status, none for a metric that cannot."""
    known_as = known(metric.name)
    is_counter = metric.type in ("count", "rate") or (known_as and known_as.kind == "calls")
    kind = metric.type if metric.type in ("distribution", "histogram") else ""
    kind = "count" if is_counter and not kind else kind
    by = _by(metric, "owner", "service", "method", "status")
    return [
        _filled(text, metric, scope, by, step)
        for text in _templates("counts").get(kind, {}).values()
    ]


def pool_queries(account: DatadogAccount, metric: Metric, *, step: int) -> dict[str, str]:
    """The queries for a gauge of a pool, each with what it counts: `used`, `max` or `pending`.

    The filter is that of the settings, or of its name. A gauge may count several things, told apart
    by their filters.
    """
    templates = _templates("pool")
    (text,) = templates["gauge"].values()
    by = _by(metric, "owner")
    found = {}
    for role, where in _roles(account, metric.name, templates):
        filters = [f for f in (account.scope, where) if f and f != "*"]
        found[_filled(text, metric, ",".join(filters) or "*", by, step)] = role
    return found


def _roles(
    account: DatadogAccount, metric: str, templates: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """What a gauge counts, and the filter for it."""
    usual = str(templates["where"].get(metric, ""))
    for role, text in account.pool.items():
        given = _FILTERED.fullmatch(text)
        if (given["name"] if given else text) == metric:
            yield role, given["where"] if given else usual
    if not account.pool:
        yield from ((role, usual) for role, names in templates["names"].items() if metric in names)


def events_query() -> str:
    """The search for changes where the settings have none."""
    return str(_templates("changes")["query"])


def _filled(template: str, metric: Metric, scope: str, by: str, step: int, part: str = "") -> str:
    return Template(template).substitute(
        metric=metric.name, scope=scope, by=by, step=step, part=part
    )


def _by(metric: Metric, *columns: str) -> str:
    """The tags to group by: those of the metric that say what a column of the table holds.

    Where its tags are unknown, those that its name is known for, and `service`.
    """
    keys = metric.tag_keys
    if keys is None:
        by_name = known(metric.name)
        named = [key for column in columns for key in getattr(by_name, column, ())[:1]]
        keys = tuple(dict.fromkeys([*named, "service"]))
    chosen = sorted({key for column in columns for key in _key_of(metric.name, keys, column)})
    return f" by {{{','.join(chosen)}}}" if chosen else ""


def _key_of(metric: str, keys: Sequence[str], column: str) -> Iterator[str]:
    """The key among `keys` that the table's column is read from."""
    # Values that name their key show which one is read; they hold nothing that a name is cut at.
    marks = {f"K{position}": key for position, key in enumerate(keys)}
    said = getattr(labels_of(metric, {key: mark for mark, key in marks.items()}), column)
    if said in marks:
        yield marks[said]


def _templates(name: str) -> Mapping[str, Any]:
    return tomllib.loads(load_query(f"datadog/{name}.toml").text)
