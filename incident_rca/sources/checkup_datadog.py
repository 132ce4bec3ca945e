"""The check-up of a Datadog account: keys, site, scopes, metrics, quota, and what it still holds.

Validate needs an API key alone, so that it tells a wrong key or site from a missing scope (Datadog
API reference, "Validate API key"). Every question only reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from incident_rca.errors import BadInput, Unreachable
from incident_rca.formats.datadog_answers import exchanges_of, series_of
from incident_rca.formats.metric_names import known, labels_of, names_of
from incident_rca.formats.metric_units import unit_of
from incident_rca.model import TimeWindow
from incident_rca.model.checkup import Check, CheckState, Checkup, PastSource, WouldShow
from incident_rca.model.services import DatadogAccount
from incident_rca.redact import plain
from incident_rca.sources.answers import Absent
from incident_rca.sources.checkup_held import (
    CHECKUP_SECONDS,
    clock_check,
    held,
    isolated,
    past_unknown,
    refused,
    throttled_check,
    whole,
)
from incident_rca.sources.clock import Clock
from incident_rca.sources.datadog_catalog import (
    Catalog,
    Metric,
    events_query,
    latency_queries,
)
from incident_rca.sources.datadog_client import METRICS_V1, Connection, Refused, access_of
from incident_rca.sources.datadog_events import ask_pages
from incident_rca.sources.datadog_timeseries import (
    MOST_POINTS,
    ask_all,
    got_seconds,
    requests_of,
    step_of,
)
from incident_rca.sources.tally import Tally

AUTHENTICATION_V1 = ("v1.api.authentication_api", "AuthenticationApi")
# A question that only asks whether it may be asked.
_MOMENT = timedelta(minutes=1)
_FINE_SECONDS = 300
_LITTLE_LEFT = 0.1
_DENIED = (401, 403)
_GRANT = "Organization Settings > Application Keys: give the key of {variable} the scope {scope}"


class _Listening(Connection):
    """A connection that also keeps what the headers say of the rate limits, by their names."""

    quotas: dict[str, Mapping[str, str]]

    def _object(self, data: bytes, headers: Mapping[str, str]) -> Mapping[str, Any]:
        if "x-ratelimit-limit" in headers:
            self.quotas[headers.get("x-ratelimit-name", "")] = headers
        return Connection._object(self, data, headers)


@dataclass(slots=True)
class _Asked:
    """One account while it is checked."""

    account: DatadogAccount
    connection: Connection
    window: TimeWindow
    now: datetime
    quotas: Mapping[str, Mapping[str, str]]
    catalog: Catalog
    denied: list[str] = field(default_factory=list)

    @property
    def tally(self) -> Tally:
        return self.connection.tally


def check_account(
    account: DatadogAccount, *, environ: Mapping[str, str], window: TimeWindow, clock: Clock
) -> Checkup:
    """The checks of an account, and whether its metrics hold `window`; it raises nothing.

    Without keys that are accepted nothing else is asked, and it counts as not reachable.
    """
    tally = Tally(clock)
    tally.begin(CHECKUP_SECONDS)
    try:
        access = access_of(account, environ)
    except Unreachable as error:
        return Checkup(account.name, (refused("keys", error, tally),), (), reachable=False)
    keys = Check("keys", CheckState.OK, f"{' and '.join(access.variables)} are set")
    quotas: dict[str, Mapping[str, str]] = {}
    listening = _Listening(account.name, access, tally)
    listening.quotas = quotas
    with listening as connection:
        asked = _Asked(account, connection, window, whole(clock.now()), quotas, Catalog(account))
        site = _site(asked)
        if site.state is CheckState.PROBLEM:
            return Checkup(account.name, (keys, site), (), reachable=False)
        checks = (keys, site, *_checks(asked))
        return Checkup(account.name, checks, tuple(_past_window(asked)), reachable=True)


def _site(asked: _Asked) -> Check:
    """Whether this site of Datadog takes the API key."""
    access = asked.connection.access
    variable = access.variables[0]
    try:
        answer = asked.connection.ask(AUTHENTICATION_V1, "validate")
    except Refused as error:
        if error.status == 404:
            found = f"{access.host} does not say whether it takes the key: no /api/v1/validate"
            return Check("site", CheckState.UNKNOWN, found)
        if error.status not in _DENIED:
            return refused("site", error, asked.tally)
        return _wrong_key(access.host, variable)
    except Unreachable as error:
        return refused("site", error, asked.tally)
    if answer.get("valid") is not True:
        return _wrong_key(access.host, variable)
    return Check("site", CheckState.OK, f"{access.host} takes the key of {variable}")


def _wrong_key(host: str, variable: str) -> Check:
    found = f"{host} refuses the key of {variable}: it is of another site, wrong, or revoked"
    cure = (
        "set `site` of [[datadog]], or DD_SITE, to the host after app. in the browser's address"
        f" (such as datadoghq.eu, us3.datadoghq.com), else {variable} to a key of this site"
    )
    return Check("site", CheckState.PROBLEM, found, cure)


def _checks(asked: _Asked) -> Iterator[Check]:
    scopes = tuple(_scopes(asked))
    yield from _application_key(asked, scopes)
    if "metrics_read" not in asked.denied:
        yield from isolated("latency", asked.tally, lambda: _latency(asked))
        yield from isolated("counts", asked.tally, lambda: _counts(asked))
        yield from isolated("pool", asked.tally, lambda: _pool(asked))
    yield _quota(asked.quotas)
    yield clock_check(asked.connection.offset.bounds)
    if slowed := throttled_check(asked.tally):
        yield slowed


# --- what the keys may ask ------------------------------------------------------------------------


def _scopes(asked: _Asked) -> Iterator[Check]:
    """Each scope that collecting needs, tried by a question about a minute."""
    moment = TimeWindow(asked.now - _MOMENT, asked.now)
    any_metric = Metric(name=names_of("latency")[0])

    def timeseries() -> object:
        queries = latency_queries(any_metric, scope=asked.account.scope, step=60)[:1]
        return ask_all(asked.connection, requests_of(queries, moment, 60))

    def metrics() -> object:
        since = int(moment.start.timestamp())
        return asked.connection.ask(METRICS_V1, "list_active_metrics", _from=since)

    def events() -> object:
        return ask_pages(asked.connection, moment, asked.account.events or events_query())

    tried: dict[str, tuple[Callable[[], object], str]] = {
        "timeseries_query": (timeseries, "latency, calls and pools can be asked for"),
        "metrics_read": (metrics, "metrics can be listed and described"),
        "events_read": (events, "deployments and other changes can be asked for"),
    }
    for scope, (ask, found) in tried.items():
        try:
            ask()
        except Unreachable as error:
            yield _scope_refused(asked, scope, error)
        else:
            yield Check(scope, CheckState.OK, found)


def _scope_refused(asked: _Asked, scope: str, error: Unreachable) -> Check:
    if not isinstance(error, Refused) or error.status not in _DENIED:
        return refused(scope, error, asked.tally)
    asked.denied.append(scope)
    cure = _GRANT.format(variable=asked.connection.access.variables[1], scope=scope)
    return Check(scope, CheckState.PROBLEM, plain(error.message, 300), cure)


def _application_key(asked: _Asked, scopes: tuple[Check, ...]) -> Iterator[Check]:
    """The scopes, or the application key in their place where it is refused everything."""
    variable = asked.connection.access.variables[1]
    if len(asked.denied) < len(scopes):
        yield from scopes
        return
    found = f"the key of {variable} is refused everything: it is wrong, revoked, or has no scope"
    needed = ", ".join(check.name for check in scopes)
    cure = f"set {variable} to an application key of this organisation with the scopes {needed}"
    yield Check("application_key", CheckState.PROBLEM, found, cure)


# --- metrics --------------------------------------------------------------------------------------


def _latency(asked: _Asked) -> Iterator[Check]:
    metrics = asked.catalog.latencies(asked.connection, asked.window)
    if isinstance(metrics, Absent):
        yield Check("latency", CheckState.PROBLEM, plain(metrics.reason, 300), metrics.hint)
        return
    missing = asked.catalog.missing(asked.connection, asked.window)
    lacking = [metric.name for metric in metrics if metric.name in missing]
    there = [metric for metric in metrics if metric.name not in missing]
    if lacking:
        found = f"{', '.join(map(plain, lacking))} has not reported since the window began"
        cure = "correct the names in `latency` of its [[datadog]] table"
        state = CheckState.WARNING if there else CheckState.PROBLEM
        yield Check("latency", state, found, cure)
    if there and not lacking:
        yield Check("latency", CheckState.OK, ", ".join(plain(m.name) for m in there))
    for metric in there:
        yield _percentiles(metric)
        yield _unit(asked, metric)


def _percentiles(metric: Metric) -> Check:
    name = f"percentiles of {plain(metric.name, 60)}"
    if metric.type == "histogram":
        parts = ", ".join(metric.parts)
        if any(part.endswith("percentile") for part in metric.parts):
            return Check(name, CheckState.OK, f"{parts}, of each host by itself")
        cure = "histogram_percentiles in the Agent's datadog.yaml, or send a distribution"
        return Check(name, CheckState.WARNING, f"none, but {parts}", cure)
    if metric.type == "distribution" and metric.has_percentiles:
        return Check(name, CheckState.OK, "a distribution with percentiles")
    if metric.type == "distribution":
        found = "switched off: only averages and maxima can be asked for"
        cure = f"Metrics > Summary > {plain(metric.name, 60)} > Configuration: enable percentiles"
        return Check(name, CheckState.WARNING, found, cure)
    found = f"none: it is a {plain(metric.type) or 'metric of unknown type'}"
    return Check(name, CheckState.WARNING, found, "send the latency as a distribution")


def _unit(asked: _Asked, metric: Metric) -> Check:
    name = f"unit of {plain(metric.name, 60)}"
    setting = asked.account.unit if metric.name in asked.account.latency else ""
    try:
        unit = unit_of(metric.name, setting=setting, payload=metric.unit)
    except BadInput as error:
        return Check(name, CheckState.PROBLEM, plain(error.message, 300), error.hint)
    words = {1000.0: "seconds", 1.0: "milliseconds", 0.001: "microseconds"}
    word = words.get(unit.factor_to_ms, "nanoseconds")
    return Check(name, CheckState.OK, f"{word}, as its {unit.basis} says")


def _counts(asked: _Asked) -> Iterator[Check]:
    metrics = asked.catalog.counts(asked.connection, asked.window)
    if isinstance(metrics, Absent):
        yield Check("counts", CheckState.WARNING, plain(metrics.reason, 300), metrics.hint)
        return
    names = ", ".join(plain(metric.name) for metric in metrics)
    if any(map(_has_status, metrics)):
        yield Check("counts", CheckState.OK, f"{names}, by status")
        return
    found = f"{names} counts calls, but has no tag with their status"
    cure = "without a status, a missing DEADLINE_EXCEEDED proves nothing: add the tag"
    yield Check("counts", CheckState.WARNING, found, cure)


def _has_status(metric: Metric) -> bool:
    """Whether a tag says how a call ended: one that it has, or that its name is known for."""
    by_name = known(metric.name)
    keys = metric.tag_keys if metric.tag_keys is not None else by_name.status if by_name else ()
    return labels_of(metric.name, dict.fromkeys(keys, "1")).status is not None


def _pool(asked: _Asked) -> Iterator[Check]:
    metrics = asked.catalog.gauges(asked.connection, asked.window)
    if isinstance(metrics, Absent):
        yield Check("pool", CheckState.WARNING, plain(metrics.reason, 300), metrics.hint)
        return
    missing = asked.catalog.missing(asked.connection, asked.window)
    lacking = [metric.name for metric in metrics if metric.name in missing]
    if lacking:
        found = f"{', '.join(map(plain, lacking))} has not reported since the window began"
        cure = "correct the names in `pool` of its [[datadog]] table"
        yield Check("pool", CheckState.WARNING, found, cure)
        return
    yield Check("pool", CheckState.OK, ", ".join(plain(metric.name) for metric in metrics))


def _quota(quotas: Mapping[str, Mapping[str, str]]) -> Check:
    """What is left of each rate limit that an answer told of (Datadog, "Rate Limits")."""
    if not quotas:
        return Check("quota", CheckState.UNKNOWN, "no answer told of a rate limit")
    told, scarce = [], False
    for name, headers in sorted(quotas.items()):
        limit, left = (_count(headers, key) for key in ("limit", "remaining"))
        if limit is None or left is None:
            continue
        scarce = scarce or left < _LITTLE_LEFT * limit
        period = _count(headers, "period")
        within = f" in {period:g} s" if period else ""
        told.append(f"{plain(name, 60) or 'rate limit'}: {left:g} of {limit:g} left{within}")
    if not told:
        return Check("quota", CheckState.UNKNOWN, "no answer told of a rate limit")
    if scarce:
        cure = "dashboards and monitors of the organisation share it: ask Datadog for a higher one"
        return Check("quota", CheckState.WARNING, "; ".join(told), cure)
    return Check("quota", CheckState.OK, "; ".join(told))


def _count(headers: Mapping[str, str], key: str) -> float | None:
    text = headers.get(f"x-ratelimit-{key}", "")
    return float(text) if text.isascii() and text.isdigit() else None


# --- what it still holds --------------------------------------------------------------------------


def _past_window(asked: _Asked) -> Iterator[PastSource]:
    """The metrics of latency: one question about the whole window, one about its last minutes."""
    if {"timeseries_query", "metrics_read"} & {*asked.denied}:
        return
    try:
        metrics = asked.catalog.latencies(asked.connection, asked.window)
        if isinstance(metrics, Absent):
            yield PastSource("latency", WouldShow.NO, plain(metrics.reason, 300))
            return
    except Unreachable as error:
        yield past_unknown("latency", error, asked.tally)
        return
    for metric in metrics:
        try:
            yield _held(asked, metric)
        except Unreachable as error:
            yield past_unknown(plain(metric.name, 60), error, asked.tally)
        except (BadInput, ValueError):
            why = "its answer holds no timeseries that can be read"
            yield PastSource(plain(metric.name, 60), WouldShow.UNKNOWN, why)


def _held(asked: _Asked, metric: Metric) -> PastSource:
    window, name = asked.window, plain(metric.name, 60)
    wide = max(int(window.seconds // MOST_POINTS) + 1, metric.interval_seconds or 1)
    instants = _instants(asked, metric, window, wide)
    if not instants:
        why = f"in buckets of {wide} s"
        return held(name, None, None, window, tolerance=timedelta(0), why=why)
    first, last = min(instants), max(instants) + timedelta(seconds=wide)
    fine = step_of(window, metric.interval_seconds)
    end = min(last, window.end)
    part = TimeWindow(max(window.start, end - timedelta(seconds=_FINE_SECONDS)), end)
    queries = latency_queries(metric, scope=asked.account.scope, step=fine)
    got = got_seconds(ask_all(asked.connection, requests_of(queries, part, fine)))
    told = f"buckets of {fine} s asked for, {got:g} s got" if got else f"buckets of {fine} s"
    tolerance = timedelta(seconds=max(2 * wide, 0.02 * window.seconds))
    return held(name, first, last, window, tolerance=tolerance, why=told)


def _instants(asked: _Asked, metric: Metric, window: TimeWindow, step: int) -> list[datetime]:
    """When the metric has a value, in buckets of `step` seconds."""
    queries = latency_queries(metric, scope=asked.account.scope, step=step)
    answer = ask_all(asked.connection, requests_of(queries, window, step))
    found: list[datetime] = []
    for exchange in exchanges_of({"response": answer}):
        if exchange.error:
            continue
        series, _, _ = series_of(exchange, "the answer", "", 1)
        for one in series:
            pairs = zip(one.times, one.values, strict=True)
            found += [at.astimezone(UTC) for at, value in pairs if value is not None]
    return found
