"""Where a stage of API Gateway writes its logs and in which format, as the stage itself says.

The access log's format is configuration ($context variables), so it is read and never guessed: it
stands in accessLogSettings of GetStage (botocore's models of apigateway and apigatewayv2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from incident_rca.model.services import AwsAccount, GatewayStage
from incident_rca.sources.answers import Absent
from incident_rca.sources.aws_client import Caller, Refusal, caller_of, place_of
from incident_rca.sources.rate_limit import OF_THIS_PROCESS, Paces
from incident_rca.sources.tally import Tally

# The longest that an integration may take where nobody set it (Amazon API Gateway Developer Guide,
# "Quotas": 29 s for REST and WebSocket APIs, 30 s for HTTP APIs).
USUAL_TIMEOUT_SECONDS: Mapping[str, float] = {"rest": 29.0, "http": 30.0, "websocket": 29.0}
MOST_PAGES = 20
_GROUP_IN_ARN = ":log-group:"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLogs:
    """The logs of one stage.

    `access_log_group` is empty where it writes no access log to CloudWatch, and `absent` says why;
    `execution_log_group` where it writes no execution log, or the API has none (HTTP).
    `timeout_seconds` is the longest that one of its integrations may take: a request's line is
    written only then. `clock_offset_seconds` bounds the service's clock against ours.
    """

    stage: GatewayStage
    format: str
    access_log_group: str
    absent: Absent | None
    execution_log_group: str
    timeout_seconds: float
    clock_offset_seconds: tuple[float, float] | None = None


def read_stage(
    account: AwsAccount, stage: GatewayStage, *, tally: Tally, paces: Paces = OF_THIS_PROCESS
) -> StageLogs:
    """The stage's logs; raises Refusal where the stage cannot be read at all.

    Time-outs that cannot be read are taken to be the usual ones.
    """
    is_rest = stage.protocol == "rest"
    caller = caller_of(account, "apigateway" if is_rest else "apigatewayv2", tally, paces)
    try:
        if is_rest:
            answer = caller.call(
                "get_stage", "stageName", restApiId=stage.api, stageName=stage.stage
            )
            settings = answer.get("accessLogSettings", {})
            destination, text = settings.get("destinationArn", ""), settings.get("format", "")
        else:
            answer = caller.call("get_stage", "StageName", ApiId=stage.api, StageName=stage.stage)
            settings = answer.get("AccessLogSettings", {})
            destination, text = settings.get("DestinationArn", ""), settings.get("Format", "")
        group = destination.partition(_GROUP_IN_ARN)[2].removesuffix(":*")
        return StageLogs(
            stage=stage,
            format=text,
            access_log_group=group,
            absent=None if group and text else _why_absent(account, stage, destination),
            execution_log_group=_execution_log_group(stage, answer),
            timeout_seconds=_timeout_seconds(caller, stage),
            clock_offset_seconds=caller.offset.bounds,
        )
    finally:
        caller.client.close()


def _why_absent(account: AwsAccount, stage: GatewayStage, destination: str) -> Absent:
    if ":firehose:" in destination:
        stream = destination.rpartition("/")[2]
        return Absent(
            f"{stage.text} in {place_of(account)} writes its access log to Firehose ({stream})",
            'name where the stream delivers it: access_logs = ["s3://bucket/prefix"] in [[aws]]',
        )
    where = (
        "aws apigateway update-stage"
        if stage.protocol == "rest"
        else ("aws apigatewayv2 update-stage --access-log-settings")
    )
    return Absent(
        f"{stage.text} in {place_of(account)} writes no access log",
        f"before the next one, switch it on: Stages > {stage.stage} > Logs (or {where}), with a "
        "JSON format that has requestId, requestTimeEpoch, httpMethod, resourcePath or routeKey, "
        "status, responseLatency, error.responseType and integration.*",
    )


def _execution_log_group(stage: GatewayStage, answer: Mapping[str, Any]) -> str:
    """The group that API Gateway writes to, where any method or route has logging on."""
    if stage.protocol == "rest":
        levels = [m.get("loggingLevel", "OFF") for m in answer.get("methodSettings", {}).values()]
        named = f"API-Gateway-Execution-Logs_{stage.api}/{stage.stage}"
    elif stage.protocol == "websocket":
        routes = [answer.get("DefaultRouteSettings", {}), *answer.get("RouteSettings", {}).values()]
        levels = [route.get("LoggingLevel", "OFF") for route in routes]
        named = f"/aws/apigateway/{stage.api}/{stage.stage}"
    else:
        return ""
    return named if any(level != "OFF" for level in levels) else ""


def _timeout_seconds(caller: Caller, stage: GatewayStage) -> float:
    usual = USUAL_TIMEOUT_SECONDS[stage.protocol]
    try:
        found = (
            _rest_timeouts(caller, stage)
            if stage.protocol == "rest"
            else (_http_timeouts(caller, stage))
        )
    except Refusal:
        return usual
    return max([usual, *(milliseconds / 1000 for milliseconds in found)])


def _rest_timeouts(caller: Caller, stage: GatewayStage) -> list[int]:
    found: list[int] = []
    position: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        page = caller.call(
            "get_resources",
            "items",
            restApiId=stage.api,
            embed=["methods"],
            limit=500,
            **position,
        )
        for resource in page["items"]:
            methods = resource.get("resourceMethods", {}).values()
            found += [m.get("methodIntegration", {}).get("timeoutInMillis", 0) for m in methods]
        if not page.get("position"):
            break
        position = {"position": page["position"]}
    return found


def _http_timeouts(caller: Caller, stage: GatewayStage) -> list[int]:
    found: list[int] = []
    token: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        page = caller.call("get_integrations", "Items", ApiId=stage.api, MaxResults="500", **token)
        found += [item.get("TimeoutInMillis", 0) for item in page["Items"]]
        if not page.get("NextToken"):
            break
        token = {"NextToken": page["NextToken"]}
    return found
