"""Links to where the services that were asked show the same: their own pages, the same window.

Only from what an answer says of itself: a file that tells no site and no region has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from incident_rca.console_names import known_console
from incident_rca.model import Case, SourceStatus, TimeWindow
from incident_rca.secret_shapes import PLACEHOLDER

MOST_LINKS = 3
# Percentiles are asked for in another way there, so of them only metric and scope are named.
_QUERY = re.compile(r"(?P<aggregate>\w+):(?P<metric>[\w.]+)\{(?P<scope>[^{}]*)\}")
_AGGREGATES = frozenset({"avg", "max", "min", "sum"})
# How sources/cloudwatch_metrics.py names what it asked for.
_METRIC = re.compile(r"(?P<namespace>[\w/]+) (?P<metric>\w+) (?P<stat>\w+) by (?P<period>\d+) s")
_DIMENSIONS = ("ApiName", "ApiId", "Stage")
# Where the partitions of AWS that are not its usual one have their console.
_AWS = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com"}


@dataclass(frozen=True, slots=True)
class Link:
    """An address outside; it holds nothing that Markdown or HTML would read as markup."""

    source: str
    title: str
    url: str


def links(case: Case) -> tuple[Link, ...]:
    """The links of all sources, in their order."""
    return tuple(link for source in case.sources for link in links_of(source, case.window))


def links_of(source: SourceStatus, window: TimeWindow) -> tuple[Link, ...]:
    """The links of a source, MOST_LINKS at most; none where a part of its query is hidden."""
    if not source.query or PLACEHOLDER.search(source.query):
        return ()
    # The manifest may have been written by somebody else, too.
    console = known_console(source.console)
    site, region, group = (console.get(name) for name in ("site", "region", "log_group"))
    found: Iterator[tuple[str, str]] = iter(())
    if site and source.kind == "datadog_metrics":
        found = _metrics(site, source.query, window)
    elif site and source.kind == "datadog_events":
        found = _events(site, source.query, window)
    elif region and group and source.kind in ("gateway_counts", "gateway_latency"):
        found = _insights(region, group, source.query, window)
    elif region and source.kind == "cloudwatch_metrics":
        named = [(name, console[name]) for name in _DIMENSIONS if name in console]
        found = _graph(region, named, source.query, window)
    made = dict.fromkeys(Link(source.name, title, url) for title, url in found)
    return tuple(made)[:MOST_LINKS]


# --- Datadog ----------------------------------------------------------------------------------


def _page_of(site: str) -> str:
    """The address of its pages: sites of two labels have them below `app` (Datadog, "Sites")."""
    return f"https://{'app.' if site.count('.') == 1 else ''}{site}"


def _span(window: TimeWindow) -> dict[str, str]:
    """The window as their addresses have it, in milliseconds, and not moving on with the clock."""
    return {
        "from_ts": str(_milliseconds(window.start)),
        "to_ts": str(_milliseconds(window.end)),
        "live": "false",
    }


def _metrics(site: str, query: str, window: TimeWindow) -> Iterator[tuple[str, str]]:
    for found in _QUERY.finditer(query):
        asked = {"exp_metric": found["metric"]}
        if found["scope"] not in ("", "*"):
            asked["exp_scope"] = found["scope"]
        if found["aggregate"] in _AGGREGATES:
            asked["exp_agg"] = found["aggregate"]
        address = urlencode({**asked, "exp_row_type": "metric", **_span(window)}, quote_via=quote)
        yield f"{found['metric']} in Datadog", f"{_page_of(site)}/metric/explorer?{address}"


def _events(site: str, query: str, window: TimeWindow) -> Iterator[tuple[str, str]]:
    address = urlencode({"query": query, **_span(window)}, quote_via=quote)
    yield "events in Datadog", f"{_page_of(site)}/event/explorer?{address}"


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


# --- AWS --------------------------------------------------------------------------------------


def _insights(region: str, group: str, query: str, window: TimeWindow) -> Iterator[tuple[str, str]]:
    """The query in Logs Insights, its address as the console itself writes it.

    An object is `~(name~value~...)`, a list `~(~value...)`, a text begins with a quote and has its
    bytes as `*2f`; all of it is escaped twice, with `$` for the percent sign of the second time.
    """
    told = {
        "end": _text(_instant(window.end)),
        "start": _text(_instant(window.start)),
        "timeType": _text("ABSOLUTE"),
        "tz": _text("UTC"),
        "editorString": _text(query),
        "source": f"(~{_text(group)})",
    }
    detail = "~(" + "~".join(f"{name}~{value}" for name, value in told.items()) + ")"
    once = re.sub(r"[~()']", lambda sign: f"%{ord(sign[0]):02X}", detail)
    twice = quote(f"?queryDetail={once}", safe="*").replace("%", "$")
    yield (
        "the query in CloudWatch Logs Insights",
        f"{_cloudwatch(region)}#logsV2:logs-insights{twice}",
    )


def _graph(
    region: str, dimensions: list[tuple[str, str]], query: str, window: TimeWindow
) -> Iterator[tuple[str, str]]:
    """The metrics of a stage as one graph, written as the detail of a query of Logs Insights is."""
    asked = list(_METRIC.finditer(query))
    if not asked or not dimensions:
        return
    place = "".join(f"~{_text(name)}~{_text(value)}" for name, value in dimensions)
    metrics = "".join(
        f"~(~{_text(found['namespace'])}~{_text(found['metric'])}{place}"
        f"~(stat~{_text(found['stat'])}))"
        for found in asked
    )
    told = {
        "metrics": f"({metrics})",
        "period": asked[0]["period"],
        "region": _text(region),
        "start": _text(_instant(window.start)),
        "end": _text(_instant(window.end)),
        "view": _text("timeSeries"),
        "stacked": "false",
    }
    graph = "~(" + "~".join(f"{name}~{value}" for name, value in told.items()) + ")"
    yield (
        "the metrics in CloudWatch",
        f"{_cloudwatch(region)}#metricsV2:graph={quote(graph, safe='~*')}",
    )


def _cloudwatch(region: str) -> str:
    named = next((host for start, host in _AWS.items() if region.startswith(start)), None)
    return f"https://{named or f'{region}.console.aws.amazon.com'}/cloudwatch/home?region={region}"


def _text(text: str) -> str:
    """A text of such an object.

    >>> _text("/aws/x y")
    "'*2faws*2fx*20y"
    """
    signs = (
        chr(byte) if (chr(byte).isalnum() and byte < 128) or byte in b"-._" else f"*{byte:02x}"
        for byte in text.encode("utf-8", "replace")
    )
    return "'" + "".join(signs)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
