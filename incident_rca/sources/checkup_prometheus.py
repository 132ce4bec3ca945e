"""The check-up of a server with the Prometheus HTTP API: what it has, how fine, and since when.

What is asked of the last minutes is what `collect` asks of a window, so that its own faults show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from incident_rca.errors import BadInput, BadSettings, Unreachable
from incident_rca.formats.metric_names import labels_of
from incident_rca.formats.metric_units import ceiling_of, unit_of
from incident_rca.model import TimeWindow
from incident_rca.model.checkup import Check, CheckState, Checkup, PastSource, WouldShow
from incident_rca.model.services import PrometheusServer
from incident_rca.redact import plain
from incident_rca.sources import prometheus
from incident_rca.sources.answers import Absent, Answer
from incident_rca.sources.checkup_held import (
    CHECKUP_SECONDS,
    clock_check,
    held,
    past_unknown,
    refused,
    whole,
)
from incident_rca.sources.clock import Clock
from incident_rca.sources.http import Failed
from incident_rca.sources.prometheus_api import Asking, asking, ranges
from incident_rca.sources.prometheus_scrapes import HOPELESS
from incident_rca.sources.promql import duration, promql, selector
from incident_rca.sources.tally import Tally

RECENT = timedelta(minutes=15)
# Gateways give up after 29 s or 30 s: a deadline of a caller may be as long (Amazon API Gateway
# Developer Guide, "Quotas").
PLAUSIBLE_DEADLINE_SECONDS = 30.0
# Into so many stretches a window is cut to see from when to when there are scrapes.
_LOOKS = 240


@dataclass(slots=True)
class _Asked:
    """One server while it is checked; `steps` has the interval of scrapes of each metric."""

    server: PrometheusServer
    environ: Mapping[str, str]
    tally: Tally
    clock: Clock
    steps: dict[str, float] = field(default_factory=dict)

    @property
    def recent(self) -> TimeWindow:
        now = whole(self.clock.now())
        return TimeWindow(now - RECENT, now)


def check_server(
    server: PrometheusServer, *, environ: Mapping[str, str], window: TimeWindow, clock: Clock
) -> Checkup:
    """The checks of a server, and whether its metrics hold `window`; it raises nothing."""
    tally = Tally(clock)
    tally.begin(CHECKUP_SECONDS)
    asked = _Asked(server, environ, tally, clock)
    try:
        with asking(server, tally=tally, environ=environ) as site:
            headers = tuple(_headers(server))
            reachable = tuple(_reachable(site, asked.recent))
            if any(check.state is CheckState.PROBLEM for check in reachable):
                return Checkup(server.name, (*headers, *reachable), (), reachable=False)
            checks = (*headers, *reachable, *_checks(asked))
            past = tuple(_past_window(asked, site, window))
            bounds = site.clock_offset_seconds()
    except BadSettings as error:
        cure = error.hint or "set the variables that `headers` names, each value on one line"
        check = Check("headers", CheckState.PROBLEM, error.message, cure)
        return Checkup(server.name, (check,), (), reachable=False)
    except Unreachable as error:
        check = refused("reachable", error, tally)
        return Checkup(server.name, (check,), (), reachable=False)
    offset = (bounds[0], bounds[1]) if bounds else None
    return Checkup(server.name, (*checks, clock_check(offset)), past, reachable=True)


def _headers(server: PrometheusServer) -> Iterator[Check]:
    names = ", ".join(sorted({*server.headers.values()}))
    if names:
        yield Check("headers", CheckState.OK, f"{names} set")
    if server.sigv4_region:
        yield Check("signature", CheckState.OK, "the AWS chain has credentials to sign with")


def _reachable(site: Asking, recent: TimeWindow) -> Iterator[Check]:
    """Whether it is there, and what it is; not all that speak the API say that."""
    start, end = recent.start.timestamp(), recent.end.timestamp()
    span = [("start", f"{start:.3f}"), ("end", f"{end:.3f}")]
    try:
        told = site.data("status/buildinfo", [])
    except Failed as error:
        if error.code in HOPELESS or error.code == "http_403":
            yield refused("reachable", error, site.tally)
            return
        told = None
    try:
        site.names("labels", [("match[]", selector("up", site.server.matchers)), *span])
    except Failed as error:
        yield refused("reachable", error, site.tally)
        return
    yield Check("reachable", CheckState.OK, f"{plain(site.server.url, 200)} answers")
    version = told.get("version") if isinstance(told, dict) else None
    if version:
        yield Check("version", CheckState.OK, plain(str(version), 60))
    else:
        yield Check("version", CheckState.UNKNOWN, "it does not say (no build information)")
    yield from _retention(site)


def _retention(site: Asking) -> Iterator[Check]:
    """How long it keeps what it has, where it says so: only Prometheus itself does."""
    try:
        told = site.data("status/runtimeinfo", [])
    except Failed:
        return
    retention = told.get("storageRetention") if isinstance(told, dict) else None
    if retention:
        yield Check("retention", CheckState.OK, plain(str(retention), 60))


# --- metrics --------------------------------------------------------------------------------------


def _checks(asked: _Asked) -> Iterator[Check]:
    answer, check = _answered(asked, "latency", prometheus.latency, CheckState.PROBLEM)
    yield check
    if answer is not None:
        yield from _metrics(asked, answer)
    answer, check = _answered(asked, "counts", prometheus.counts, CheckState.WARNING)
    yield check if answer is None or _has_status(answer) else _without_status(check)
    _, check = _answered(asked, "pool", prometheus.pool, CheckState.WARNING)
    yield check


def _answered(
    asked: _Asked, name: str, fetch: Callable[..., Answer | Absent], missing: CheckState
) -> tuple[Answer | None, Check]:
    """The answer about the last minutes, and the check of whether there is one."""
    try:
        answer = fetch(
            asked.server,
            asked.recent,
            asked_at=asked.clock.now(),
            tally=asked.tally,
            environ=asked.environ,
        )
    except Unreachable as error:
        return None, refused(name, error, asked.tally)
    if isinstance(answer, Absent):
        reason = plain(answer.reason, 300).replace("the window", "the last 15 minutes")
        return None, Check(name, missing, reason, answer.hint)
    errors = [q["error"]["message"] for q in answer["response"]["queries"] if q.get("error")]
    if ended := answer["response"]["error"]:
        errors.append(ended["message"])
    if errors:
        cure = "narrow the series by `matchers` of its [[prometheus]] table"
        return answer, Check(name, CheckState.WARNING, plain("; ".join(errors), 300), cure)
    found = ", ".join(plain(metric) for metric in answer["response"]["metrics"])
    return answer, Check(name, CheckState.OK, found)


def _has_status(answer: Answer) -> bool:
    """Whether any series that counts calls says how they ended."""
    series = ((q["metric"], one) for q in answer["response"]["queries"] for one in q["result"])
    return any(
        labels_of(metric, one.get("metric", {})).status is not None for metric, one in series
    )


def _without_status(check: Check) -> Check:
    cure = "without a status, a missing DEADLINE_EXCEEDED proves nothing: add its label"
    found = f"{check.found} counts calls, but no label says how they ended"
    return Check(check.name, CheckState.WARNING, found, cure)


def _metrics(asked: _Asked, answer: Answer) -> Iterator[Check]:
    """Unit, pace and ceiling of each histogram."""
    for metric, about in answer["response"]["metrics"].items():
        name = plain(metric, 60)
        bounds = _bounds(answer, metric)
        setting = asked.server.unit if asked.server.latency else ""
        yield _pace(asked, name, metric, about)
        try:
            unit = unit_of(metric, setting=setting, payload=about.get("unit"), bounds=bounds)
        except BadInput as error:
            message = plain(error.message, 300)
            yield Check(f"unit of {name}", CheckState.PROBLEM, message, error.hint)
            continue
        words = {1000.0: "seconds", 1.0: "milliseconds", 0.001: "microseconds"}
        word = words.get(unit.factor_to_ms, "nanoseconds")
        yield Check(f"unit of {name}", CheckState.OK, f"{word}, as its {unit.basis} says")
        yield _ceiling(name, bounds, unit.factor_to_ms)


def _pace(asked: _Asked, name: str, metric: str, about: Mapping[str, Any]) -> Check:
    step, window = about.get("scrape_interval_seconds"), about.get("window_seconds")
    if step is None or window is None or about.get("omitted"):
        found = str(about.get("omitted") or "fewer than two scrapes in the last 15 minutes")
        cure = "is the target up, and `scrape_interval` below 5 minutes?"
        return Check(f"scrapes of {name}", CheckState.WARNING, found, cure)
    asked.steps[metric] = float(step)
    found = f"every {step:g} s: a rate needs {window:g} s, so an onset is known to that"
    return Check(f"scrapes of {name}", CheckState.OK, found)


def _bounds(answer: Answer, metric: str) -> list[float]:
    """The bounds of its buckets, of all series together."""
    found = set()
    for query in answer["response"]["queries"]:
        if query["aggregate"] == "bounds" and query["metric"] == metric:
            for one in query["result"]:
                try:
                    found.add(float(one["metric"]["le"]))
                except (KeyError, TypeError, ValueError):
                    continue
    return sorted(found)


def _ceiling(name: str, bounds: Sequence[float], factor_to_ms: float) -> Check:
    """Whether a deadline would still be told from anything longer."""
    top = ceiling_of(bounds)
    if top is None:
        return Check(f"buckets of {name}", CheckState.UNKNOWN, "no bounds of buckets were answered")
    seconds = top * factor_to_ms / 1000
    if seconds >= PLAUSIBLE_DEADLINE_SECONDS:
        return Check(f"buckets of {name}", CheckState.OK, f"up to {seconds:g} s")
    found = f"a p99 above {seconds:g} s will read as at least {seconds:g} s"
    cure = f"add buckets up to {PLAUSIBLE_DEADLINE_SECONDS:g} s and above where it is recorded"
    return Check(f"buckets of {name}", CheckState.WARNING, found, cure)


# --- what it still holds --------------------------------------------------------------------------


def _past_window(asked: _Asked, site: Asking, window: TimeWindow) -> Iterator[PastSource]:
    """For each histogram, from when to when it has scrapes in the window: one question each."""
    if not asked.steps:
        yield PastSource("latency", WouldShow.UNKNOWN, "no metric to look for is known now")
    for metric, step in asked.steps.items():
        name = plain(metric, 60)
        look = max(window.seconds / _LOOKS, 2 * step)
        try:
            first, last = _span(site, f"{metric}_count", window, look)
        except Unreachable as error:
            yield past_unknown(name, error, asked.tally)
            continue
        yield held(
            name,
            first,
            last,
            window,
            tolerance=timedelta(seconds=look),
            why=f"a scrape every {step:g} s",
        )


def _span(
    site: Asking, series: str, window: TimeWindow, look: float
) -> tuple[datetime | None, datetime | None]:
    """Instants by which there was a first scrape, and a last one; raises Failed.

    It is looked for in stretches of `look` seconds: the first may have come earlier by so much.
    """
    query = promql(
        "scrapes_series", selector=selector(series, site.server.matchers), window=duration(look)
    )
    start, end = window.start.timestamp(), window.end.timestamp()
    ends: list[float] = []
    for part in ranges(site, query, first=min(start + look, end), last=end, step=look):
        if error := part.get("error"):
            raise Failed(error["code"], error["message"])
        found = [one for one in part["result"] if isinstance(one, dict)]
        ends += [float(value[0]) for one in found for value in one.get("values") or ()]
    if not ends:
        return None, None
    first, last = min(ends) if min(ends) < max(ends) else max(start, min(ends) - look), max(ends)
    return datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)
