"""RDS Performance Insights: how many sessions waited on average, and on whom, second by second.

The dimension groups are those of botocore's model of GetResourceMetrics. Lock diagnostics belong to
Database Insights in Advanced mode (Amazon RDS User Guide, "Overview of Database Insights"), so each
group is asked for on its own and a refusal of one leaves the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from importlib import import_module
from typing import Any, Protocol

from incident_rca.errors import Unreachable
from incident_rca.model import TimeWindow
from incident_rca.redact import plain
from incident_rca.sources.answers import Answer, envelope, json_value

SERVICE = "performance_insights"
GROUPS = ("db.wait_event", "db.blocking_session", "db.blocking_sql", "db.blocking_object")
METRIC = "db.load.avg"
# Seconds for an hour are 3,600 points of each key; above it a minute has to do.
LONGEST_WINDOW_BY_SECOND = 3_600.0
MOST_PAGES = 400
_MOST_KEYS = 25  # of a group, and items of a page: the model's maximum of both
_NOT_OUR_ACCOUNT = frozenset(
    {
        "NotAuthorizedException",
        "AccessDeniedException",
        "UnrecognizedClientException",
        "ExpiredTokenException",
        "InvalidSignatureException",
    }
)


class Client(Protocol):
    """What is used of boto3's client `pi`."""

    def get_resource_metrics(self, **parameters: Any) -> Mapping[str, Any]: ...


def client_of(region: str | None = None, **settings: Any) -> Client:
    """boto3's client, with its chain of credentials; `settings` are boto3's own (endpoint_url, …).

    Throttled and broken calls are tried again in botocore's mode `standard`, four times at most.
    """
    config = import_module("botocore.config").Config(
        retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=5, read_timeout=20
    )
    client: Client = import_module("boto3").client(
        "pi", region_name=region, config=config, **settings
    )
    return client


def fetch(client: Client, window: TimeWindow, *, identifier: str, asked_at: datetime) -> Answer:
    """The load by each dimension group, page by page; `identifier` is the DbiResourceId (db-…).

    A group that is refused has its `error`, one whose pages break off what came before. Raises
    Unreachable where no group answered at all.
    """
    period = 1 if window.seconds <= LONGEST_WINDOW_BY_SECOND else 60
    request = {
        "ServiceType": "RDS",
        "Identifier": identifier,
        "StartTime": window.start,
        "EndTime": window.end,
        # Without it a point bears the end of its period.
        "PeriodAlignment": "START_TIME",
        "MaxResults": _MOST_KEYS,
    }
    groups = [_group(client, request, group, period) for group in GROUPS]
    if not any(group["pages"] for group in groups):
        raise _refusal(identifier, groups[0]["error"])
    return envelope(
        SERVICE,
        {"query": METRIC, **json_value(request)},
        {"groups": groups},
        window=window,
        asked_at=asked_at,
    )


def _group(client: Client, request: Mapping[str, Any], group: str, period: int) -> dict[str, Any]:
    """All pages of one group; seconds that the service refuses are asked for again in minutes."""
    answer = _pages(client, {**request, **_query(group), "PeriodInSeconds": period})
    refused = answer["error"] is not None and answer["error"]["code"] == "InvalidArgumentException"
    if refused and not answer["pages"] and period == 1:
        by_minute = _pages(client, {**request, **_query(group), "PeriodInSeconds": 60})
        if by_minute["pages"]:
            return {"group": group, "period_seconds": 60, **by_minute}
    return {"group": group, "period_seconds": period, **answer}


def _query(group: str) -> dict[str, Any]:
    return {"MetricQueries": [{"Metric": METRIC, "GroupBy": {"Group": group, "Limit": _MOST_KEYS}}]}


def _pages(client: Client, request: Mapping[str, Any]) -> dict[str, Any]:
    """The pages of a question, and the error that ended them, if one did."""
    exceptions = import_module("botocore.exceptions")
    unreadable = import_module("botocore.parsers").ResponseParserError
    pages: list[Any] = []
    tokens: set[str] = set()
    token: dict[str, str] = {}
    while True:
        try:
            page = client.get_resource_metrics(**request, **token)
        except exceptions.ClientError as error:
            said = error.response.get("Error", {})
            return _ended(pages, str(said.get("Code", "")), str(said.get("Message", "")))
        except (exceptions.BotoCoreError, unreadable) as error:
            return _ended(pages, type(error).__name__, str(error))
        if "MetricList" not in page:
            # botocore takes a page of HTML with status 200 for an answer without anything in it.
            return _ended(pages, "Unreadable", "what came is no answer of GetResourceMetrics")
        pages.append(json_value({k: v for k, v in page.items() if k != "ResponseMetadata"}))
        next_token = page.get("NextToken")
        if not next_token:
            return {"pages": pages, "error": None}
        if next_token in tokens or len(pages) >= MOST_PAGES:
            why = "the same NextToken again" if next_token in tokens else "too many pages"
            return _ended(pages, "Pagination", f"{why} after {len(pages)} pages")
        tokens.add(next_token)
        token = {"NextToken": next_token}


def _ended(pages: list[Any], code: str, message: str) -> dict[str, Any]:
    return {"pages": pages, "error": {"code": code, "message": plain(message)}}


def _refusal(identifier: str, error: Mapping[str, str]) -> Unreachable:
    if error["code"] in _NOT_OUR_ACCOUNT:
        hint = "the AWS credentials need pi:GetResourceMetrics on this instance"
    elif error["code"] == "InvalidArgumentException":
        hint = (
            "is Performance Insights on, the window within its retention (7 days by default), and "
            "the identifier the DbiResourceId (db-…), not the instance's name?"
        )
    else:
        hint = "ask again; the region and the network are to be checked first"
    return Unreachable(
        f"Performance Insights of {identifier}: {error['code']}: {error['message']}", hint=hint
    )
