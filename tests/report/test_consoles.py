"""Links to Datadog and CloudWatch: only from what an answer says of itself, by its window."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from incident_rca.model import Analysis, SourceState, SourceStatus, System, TimeWindow
from incident_rca.report.consoles import links, links_of
from incident_rca.report.contract import to_contract
from incident_rca.report.markdown import to_markdown
from incident_rca.report.page.document import to_html
from tests.report.page_reading import read

WINDOW = TimeWindow(
    datetime(2026, 1, 15, 14, 10, tzinfo=UTC), datetime(2026, 1, 15, 14, 55, tzinfo=UTC)
)
SITE = {"site": "datadoghq.eu"}
METRICS = {"region": "eu-west-1", "ApiName": "shop (prod)", "Stage": "$default"}
ASKED_METRICS = "AWS/ApiGateway 5XXError Sum by 60 s, AWS/ApiGateway Latency p99 by 60 s"
LOGS = {"region": "eu-west-1", "log_group": "/aws/apigateway/shop-prod"}


def source(kind: str, query: str, console: dict[str, str]) -> SourceStatus:
    return SourceStatus(
        name="asked",
        system=System.GATEWAY,
        kind=kind,
        state=SourceState.OK,
        query=query,
        console=console,
    )


def url_of(kind: str, query: str, console: dict[str, str]) -> str:
    (link,) = links_of(source(kind, query, console), WINDOW)
    return link.url


def asked_of(url: str) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()}


def test_a_metric_is_shown_with_its_scope_and_the_window() -> None:
    query = "max:db.pool.used{env:prod,state:used} by {pool.name}"
    url = url_of("datadog_metrics", query, SITE)
    assert url.startswith("https://app.datadoghq.eu/metric/explorer?")
    assert asked_of(url) == {
        "exp_metric": "db.pool.used",
        "exp_scope": "env:prod,state:used",
        "exp_agg": "max",
        "exp_row_type": "metric",
        "from_ts": "1768486200000",
        "to_ts": "1768488900000",
        "live": "false",
    }


def test_each_metric_of_a_query_has_its_link_once_and_a_percentile_no_aggregate() -> None:
    query = " | ".join(f"{p}:grpc.{n}{{*}} by {{service}}" for n in "abcd" for p in ("p99", "p99"))
    found = links_of(source("datadog_metrics", query, {"site": "us5.datadoghq.com"}), WINDOW)
    assert [asked_of(link.url)["exp_metric"] for link in found] == ["grpc.a", "grpc.b", "grpc.c"]
    assert all(link.url.startswith("https://us5.datadoghq.com/") for link in found)
    assert not any("exp_agg" in link.url or "exp_scope" in link.url for link in found)


def test_events_are_searched_as_they_were_asked_for() -> None:
    asked = asked_of(url_of("datadog_events", "source:(deploy OR flyway) & x=1", SITE))
    assert asked["query"] == "source:(deploy OR flyway) & x=1"
    assert (asked["from_ts"], asked["to_ts"]) == ("1768486200000", "1768488900000")


def decoded(url: str) -> Any:
    """What the console reads of an address of Logs Insights, by the steps backwards."""
    once = unquote(url.partition("#logsV2:logs-insights")[2].replace("$", "%"))
    assert once.startswith("?queryDetail=")
    text = unquote(once.removeprefix("?queryDetail="))
    found: dict[str, Any] = {}
    inner = text.removeprefix("~(").removesuffix(")")
    for name, value in re.findall(r"(\w+)~(\(~'[^)]*\)|'[^~]*)(?:~|$)", inner):
        plain = value.removeprefix("(~").removesuffix(")")
        found[name] = bytes(
            unquote(plain.removeprefix("'").replace("*", "%"), "latin-1"), "latin-1"
        ).decode()
    return found


@given(st.text(min_size=1, max_size=80))
def test_a_query_of_logs_insights_comes_back_as_it_was(query: str) -> None:
    text = query.encode("utf-8", "replace").decode()
    for link in links_of(source("gateway_counts", query, LOGS), WINDOW):
        assert re.fullmatch(r"[\w:/.?=#$*-]+", link.url, re.ASCII)
        assert decoded(link.url) == {
            "start": "2026-01-15T14:10:00.000Z",
            "end": "2026-01-15T14:55:00.000Z",
            "timeType": "ABSOLUTE",
            "tz": "UTC",
            "editorString": text,
            "source": LOGS["log_group"],
        }


def test_the_address_is_that_which_the_console_writes() -> None:
    # The first of these is quoted from an address of the console (stackoverflow.com/q/69792825).
    url = url_of("gateway_counts", "fields @timestamp", LOGS)
    head = "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1"
    assert url.startswith(f"{head}#logsV2:logs-insights$3FqueryDetail$3D$257E$2528end$257E$2527")
    assert "$257EeditorString$257E$2527fields*20*40timestamp$257E" in url
    assert url.endswith("$257Esource$257E$2528$257E$2527*2faws*2fapigateway*2fshop-prod$2529$2529")


def test_metrics_of_a_stage_are_one_graph() -> None:
    url = url_of("cloudwatch_metrics", ASKED_METRICS, METRICS)
    head, _, graph = url.partition("#metricsV2:graph=")
    assert head == "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1"
    assert re.fullmatch(r"[\w.~*%-]+", graph, re.ASCII)
    place = "~'ApiName~'shop*20*28prod*29~'Stage~'*24default"
    assert unquote(graph) == (
        f"~(metrics~(~(~'AWS*2fApiGateway~'5XXError{place}~(stat~'Sum))"
        f"~(~'AWS*2fApiGateway~'Latency{place}~(stat~'p99)))~period~60~region~'eu-west-1"
        "~start~'2026-01-15T14*3a10*3a00.000Z~end~'2026-01-15T14*3a55*3a00.000Z"
        "~view~'timeSeries~stacked~false)"
    )


@pytest.mark.parametrize(
    ("region", "host"),
    [("cn-north-1", "console.amazonaws.cn"), ("us-gov-west-1", "console.amazonaws-us-gov.com")],
)
def test_other_partitions_have_consoles_of_their_own(region: str, host: str) -> None:
    url = url_of("gateway_latency", "fields a", LOGS | {"region": region})
    assert urlsplit(url).netloc == host


@pytest.mark.parametrize(
    ("kind", "query", "console"),
    [
        ("datadog_metrics", "avg:a.b{*}", {}),
        ("datadog_metrics", "", SITE),
        ("datadog_events", "host:<ip-1>", SITE),
        ("gateway_counts", "fields a", {"region": "eu-west-1"}),
        ("logs_insights", "fields a", LOGS),
        ("cloudwatch_metrics", "all of them", METRICS),
        ("cloudwatch_metrics", ASKED_METRICS, {"region": "eu-west-1"}),
        ("cloudwatch_metrics", ASKED_METRICS, METRICS | {"region": "", "site": "datadoghq.eu"}),
        ("access_log", "x", SITE),
        ("datadog_metrics", "avg:a.b{*}", {"site": "datadoghq.eu.evil.example"}),
        ("datadog_metrics", "avg:a.b{*}", {"site": "evil.example/datadoghq.eu"}),
        ("gateway_counts", "fields a", LOGS | {"region": "eu-west-1.evil.example/"}),
    ],
)
def test_where_anything_is_not_known_there_is_no_link(
    kind: str, query: str, console: dict[str, str]
) -> None:
    assert links_of(source(kind, query, console), WINDOW) == ()


def linked(analysis: Analysis) -> Analysis:
    asked = (
        source("gateway_counts", "fields `x` | filter a like /<b>|*c*/ [d](e)", LOGS),
        source("datadog_metrics", "avg:a.b{*}", SITE),
    )
    return replace(analysis, case=replace(analysis.case, sources=(*analysis.case.sources, *asked)))


def test_every_form_of_the_report_has_them(analysis: Analysis) -> None:
    whole = linked(analysis)
    urls = [link.url for link in links(whole.case)]
    assert len(urls) == 2
    tokens = MarkdownIt("commonmark").enable("table").parse(to_markdown(whole))
    inside = [child for token in tokens for child in token.children or ()]
    assert [t.attrs["href"] for t in inside if t.type == "link_open"][-2:] == urls
    away = [a for a in read(to_html(whole)).all("a") if not a.attributes["href"].startswith("#")]
    assert [a.attributes["href"] for a in away] == urls
    assert {a.attributes["rel"] for a in away} == {"noopener noreferrer"}
    told = to_contract(whole)["sources"]
    assert [link["url"] for s in told for link in s["links"]] == urls


def test_a_case_that_knows_no_site_has_none(analysis: Analysis) -> None:
    assert "In their own consoles" not in to_markdown(analysis)
    assert "own consoles" not in to_markdown(analysis) and "own consoles" not in to_html(analysis)
