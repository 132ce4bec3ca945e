"""CloudWatch's own count of a stage's requests and failures: what the logs are checked against.

Metrics, dimensions and units are those of the Amazon API Gateway Developer Guide; pages, statuses
and limits those of botocore's model of GetMetricData. GetMetricData answers no units: the unit is
asked for, where another one would mislead.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from incident_rca.errors import Unreachable
from incident_rca.model import TimeWindow
from incident_rca.model.services import AwsAccount, GatewayStage
from incident_rca.queries import load_query
from incident_rca.sources.answers import Absent, Answer, envelope, in_utc, json_value
from incident_rca.sources.aws_client import Caller, Refusal, caller_of, place_of
from incident_rca.sources.rate_limit import OF_THIS_PROCESS, Paces
from incident_rca.sources.tally import Tally

SERVICE = "cloudwatch_metrics"
NAMESPACE = "AWS/ApiGateway"
MOST_PAGES = 200
# A metric that met with an error inside of the service is asked for again this often.
MOST_TRIES = 3
TRY_PAUSE_SECONDS = 1.0
# How long points of each period are kept (Amazon CloudWatch User Guide, "Metrics retention").
_PERIODS = ((timedelta(days=15), 60), (timedelta(days=63), 300), (timedelta(days=455), 3600))


def fetch(
    account: AwsAccount,
    stage: GatewayStage,
    window: TimeWindow,
    *,
    asked_at: datetime,
    tally: Tally,
    paces: Paces = OF_THIS_PROCESS,
) -> Answer | Absent:
    """The metrics of queries/cloudwatch/metrics_*.toml for one stage, as the service's pages.

    In whole periods around the window. An answer that breaks off keeps what came and has its
    `error`; so has one whose metrics are not whole. Absent for WebSocket APIs and for windows that
    CloudWatch no longer keeps; Unreachable where it gave nothing at all.
    """
    if stage.protocol == "websocket":
        return Absent(
            f"{stage.text}: CloudWatch counts messages of WebSocket APIs, not 5xx",
            "its access log alone says which requests failed",
        )
    period = next((p for kept, p in _PERIODS if asked_at - window.start <= kept), None)
    if period is None:
        return Absent(f"{stage.text}: CloudWatch keeps metrics for 455 days only")
    dimensions = _dimensions(account, stage, tally, paces)
    caller = caller_of(account, "cloudwatch", tally, paces)
    try:
        queries = list(_queries(stage, dimensions, period))
        start, end = _whole(window, period)
        pages, error = _tried(caller, queries, {"StartTime": start, "EndTime": end})
        return {
            **envelope(
                SERVICE,
                {
                    "operation": "GetMetricData",
                    "stage": stage.text,
                    "query": ", ".join(_named(query) for query in queries),
                    "MetricDataQueries": queries,
                    "StartTime": in_utc(start),
                    "EndTime": in_utc(end),
                    **_console(caller.console_region, dimensions),
                },
                {"pages": pages, "error": error},
                window=window,
                asked_at=asked_at,
            ),
            **({"clock_offset_seconds": list(offset)} if (offset := caller.offset.bounds) else {}),
        }
    finally:
        caller.client.close()


def _console(region: str, dimensions: Sequence[Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """What leads to the same metrics in the service's own console."""
    named = {dimension["Name"]: dimension["Value"] for dimension in dimensions}
    return {"console": {"region": region, **named}} if region else {}


def _dimensions(
    account: AwsAccount, stage: GatewayStage, tally: Tally, paces: Paces
) -> list[dict[str, str]]:
    """What tells the stage from others; metrics of a REST API bear its name, not its id."""
    if stage.protocol == "rest":
        caller = caller_of(account, "apigateway", tally, paces)
        try:
            name = caller.call("get_rest_api", "name", restApiId=stage.api)["name"]
        finally:
            caller.client.close()
        api = {"Name": "ApiName", "Value": str(name)}
    else:
        api = {"Name": "ApiId", "Value": stage.api}
    return [api, {"Name": "Stage", "Value": stage.stage}]


def _queries(
    stage: GatewayStage, dimensions: Sequence[Mapping[str, str]], period: int
) -> Iterator[dict[str, Any]]:
    text = load_query(f"cloudwatch/metrics_{stage.protocol}.toml").text
    for number, wanted in enumerate(tomllib.loads(text)["metrics"]):
        yield {
            "Id": f"m{number}",
            "MetricStat": {
                "Metric": {
                    "Namespace": NAMESPACE,
                    "MetricName": wanted["metric"],
                    "Dimensions": dimensions,
                },
                "Period": period,
                "Stat": wanted["statistic"],
                **({"Unit": wanted["unit"]} if "unit" in wanted else {}),
            },
            "ReturnData": True,
        }


def _named(query: Mapping[str, Any]) -> str:
    asked = query["MetricStat"]
    return f"{NAMESPACE} {asked['Metric']['MetricName']} {asked['Stat']} by {asked['Period']} s"


def _whole(window: TimeWindow, period: int) -> tuple[datetime, datetime]:
    """The window in whole periods, since a part of one is answered as a whole one."""
    first = int(window.start.timestamp()) // period * period
    last = -(int(-window.end.timestamp() // period)) * period
    return datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)


def _tried(
    caller: Caller, queries: Sequence[Mapping[str, Any]], span: Mapping[str, datetime]
) -> tuple[list[Any], Mapping[str, str] | None]:
    """All pages; metrics that failed inside of the service are asked for again."""
    pages: list[Any] = []
    left = list(queries)
    for attempt in range(MOST_TRIES):
        if attempt:
            try:
                caller.tally.pause(TRY_PAUSE_SECONDS * 2 ** (attempt - 1))
            except Unreachable as late:
                return pages, {"code": "TimeOver", "message": late.message}
        added, error = _pages(caller, left, span)
        if not added and not pages and error is not None:
            raise error
        pages += added
        if error is not None:
            code = error.code if isinstance(error, Refusal) else "TimeOver"
            return pages, {"code": code, "message": error.message}
        statuses = {r["Id"]: r for page in added for r in page["MetricDataResults"]}
        left = [q for q in left if _status(statuses, q) == "InternalError"]
        if not left:
            break
    return pages, _unfinished(pages, queries, place_of(caller.account))


def _pages(
    caller: Caller, queries: Sequence[Mapping[str, Any]], span: Mapping[str, datetime]
) -> tuple[list[Any], Unreachable | None]:
    """The pages of a question, and the error that ended them, if one did."""
    pages: list[Any] = []
    tokens: set[str] = set()
    token: dict[str, str] = {}
    while True:
        try:
            page = caller.call(
                "get_metric_data",
                "MetricDataResults",
                MetricDataQueries=list(queries),
                ScanBy="TimestampAscending",
                **span,
                **token,
            )
        except Unreachable as error:
            return pages, error
        pages.append(json_value({k: v for k, v in page.items() if k != "ResponseMetadata"}))
        caller.count_rows(sum(len(r.get("Values", ())) for r in page["MetricDataResults"]))
        next_token = page.get("NextToken")
        if not next_token:
            return pages, None
        if next_token in tokens or len(pages) >= MOST_PAGES:
            why = "the same NextToken again" if next_token in tokens else "too many pages"
            said = f"{why} after {len(pages)} pages"
            return pages, Refusal("Pagination", said, hint="ask again, for a shorter window")
        tokens.add(next_token)
        token = {"NextToken": next_token}


def _status(results: Mapping[str, Any], query: Mapping[str, Any]) -> str:
    """The last word on a metric; a metric without any is complete and has no points."""
    return str(results.get(query["Id"], {}).get("StatusCode", "Complete"))


def _unfinished(
    pages: Sequence[Any], queries: Sequence[Mapping[str, Any]], place: str
) -> Mapping[str, str] | None:
    """What is still not whole on the last page that names it."""
    results = {r["Id"]: r for page in pages for r in page["MetricDataResults"]}
    for query in queries:
        status = _status(results, query)
        if status != "Complete":
            metric = query["MetricStat"]["Metric"]["MetricName"]
            said = "; ".join(
                str(m.get("Value", "")) for m in results[query["Id"]].get("Messages", ())
            )
            return {"code": status, "message": f"{metric} in {place} is not whole {said}".strip()}
    return None
