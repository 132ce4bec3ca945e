"""The check-up of logs in CloudWatch: a stage's access log, its execution log, PostgreSQL's log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from incident_rca.formats.access_log.stage_format import LineFormat
from incident_rca.model import TimeWindow
from incident_rca.model.checkup import Check, CheckState, PastSource, WouldShow
from incident_rca.model.services import AwsAccount, GatewayStage
from incident_rca.redact import plain
from incident_rca.sources.access_log_queries import LogQueries
from incident_rca.sources.aws_client import Caller, Refusal
from incident_rca.sources.checkup_held import held
from incident_rca.sources.gateway_stages import StageLogs
from incident_rca.sources.log_collection import calling, whole_seconds
from incident_rca.sources.log_insights import InsightsQuery, run_query
from incident_rca.sources.rate_limit import Paces
from incident_rca.sources.tally import Tally

# FilterLogEvents may answer pages without events before the first one that has some.
MOST_PAGES = 5
_MOMENT = timedelta(minutes=1)
_LACKS = "format lacks "
# Without these no request is read at all; without the others only less of it is known.
_FATAL = ("no request can be counted", "arrival is not in the line")
# What to add for each missing fact, by how its text begins; the protocols name some of it otherwise
# (Amazon API Gateway Developer Guide, variables for access logging).
_TO_ADD: Mapping[str, Mapping[str, str]] = {
    "requestTime*": {"": "requestTimeEpoch"},
    "httpMethod": {"": "httpMethod", "websocket": "eventType"},
    "resourcePath": {"": "routeKey", "rest": "resourcePath"},
    "responseLatency": {"": "responseLatency", "websocket": "integrationLatency"},
    "integration.*": {"": "integration.status"},
}


def check_format(stage: GatewayStage, line_format: LineFormat) -> Check:
    """What the lines of this format cannot tell, with the keys to add to a JSON one."""
    name = f"log format of {stage.text}"
    if not line_format.lacks:
        return Check(name, CheckState.OK, f"{line_format.kind}, with all that is read")
    lost = [text.removeprefix(_LACKS) for text in line_format.lacks]
    is_fatal = any(text.endswith(_FATAL) for text in lost)
    variables = dict.fromkeys(variable_to_add(text, stage.protocol) for text in lost)
    cure = ["add to the stage's access log format:"]
    cure += [f'"{variable}": "$context.{variable}"' for variable in variables]
    return Check(
        name,
        CheckState.PROBLEM if is_fatal else CheckState.WARNING,
        f"{line_format.kind}, lacks {'; '.join(lost)}",
        "\n".join(cure),
    )


def variable_to_add(lost: str, protocol: str) -> str:
    """The variable of `$context` that gives back what a text of LineFormat.lacks says is lost.

    >>> variable_to_add("requestTime*: a request's arrival is not in the line", "rest")
    'requestTimeEpoch'
    >>> variable_to_add("resourcePath, routeKey: no request can be counted", "http")
    'routeKey'
    """
    first = lost.partition(":")[0].partition(",")[0]
    choices = _TO_ADD.get(first, {"": first})
    return choices.get(protocol, choices[""])


def check_insights(
    caller: Caller, stage: GatewayStage, group: str, queries: LogQueries, window: TimeWindow
) -> Check:
    """Whether Logs Insights may be asked, tried over the window's last minute; raises Unreachable.

    Needs logs:StartQuery on the log group and logs:GetQueryResults.
    """
    name = f"Logs Insights of {stage.text}"
    if "failures" not in queries.texts:
        why = queries.missing.get("failures", "the format allows no query")
        return Check(name, CheckState.UNKNOWN, f"not tried: {why}")
    text, bin_seconds = queries.over("failures", _MOMENT.total_seconds())
    last = whole_seconds(max(window.start, window.end - _MOMENT), window.end)
    query = InsightsQuery(text=text, log_group=group, bin_seconds=bin_seconds)
    found = run_query(caller, query, last.start_ms // 1000, last.end_ms // 1000)
    if found.error is not None:
        raise Refusal(found.error["code"], found.error["message"], hint="ask again")
    scanned = found.statistics.get("recordsScanned", 0)
    return Check(name, CheckState.OK, f"permitted ({scanned:,.0f} lines in a minute)")


def check_lines(
    caller: Caller, name: str, group: str, window: TimeWindow, *, resolution: str
) -> tuple[Check, PastSource]:
    """Whether a log group may be read, and whether it holds the window; raises Unreachable.

    Needs logs:FilterLogEvents on the log group.
    """
    check = Check(name, CheckState.OK, f"{plain(group, 200)} can be read")
    tolerance = max(timedelta(minutes=10), (window.end - window.start) / 20)
    first = first_event(caller, group, window)
    if first is _UNTOLD:
        why = f"{MOST_PAGES} pages of answers had no line yet: nobody knows"
        return check, PastSource(name, WouldShow.UNKNOWN, why)
    if first is None:
        return check, held(name, None, None, window, tolerance=tolerance, why=resolution)
    tail = TimeWindow(max(window.start, window.end - tolerance), window.end)
    if first >= tail.start or isinstance(first_event(caller, group, tail), datetime):
        return check, held(name, first, window.end, window, tolerance=tolerance, why=resolution)
    minutes = tolerance.total_seconds() / 60
    why = f"{resolution}; lines from its beginning on, none in its last {minutes:.0f} minutes"
    return check, PastSource(name, WouldShow.PARTLY, why)


_UNTOLD = datetime(1, 1, 1, tzinfo=UTC)


def first_event(caller: Caller, group: str, window: TimeWindow) -> datetime | None:
    """When the first line of the window was written; None if there is none."""
    span = whole_seconds(window.start, window.end)
    token: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        page = caller.call(
            "filter_log_events",
            "events",
            logGroupName=group,
            startTime=span.start_ms,
            endTime=span.end_ms - 1,  # both ends are inclusive
            limit=1,
            **token,
        )
        if page["events"]:
            ms = int(page["events"][0]["timestamp"])
            return max(window.start, datetime.fromtimestamp(ms / 1000, UTC))
        if not page.get("nextToken"):
            return None
        token = {"nextToken": page["nextToken"]}
    return _UNTOLD


def check_execution_log(
    account: AwsAccount, logs: StageLogs, window: TimeWindow, *, tally: Tally, paces: Paces
) -> Check:
    """At which level the stage logs executions, and whether that log can be read."""
    stage = logs.stage
    name = f"execution log of {stage.text}"
    if stage.protocol == "http":
        return Check(name, CheckState.OK, "HTTP APIs have none")
    if not logs.execution_log_group:
        found = "off: why the gateway failed a request is known from its access log alone"
        cure = f"API Gateway > Stages > {plain(stage.stage)} > Logs: errors only, or all"
        return Check(name, CheckState.WARNING, found, cure)
    levels = ", ".join(sorted(levels_of(account, stage, tally=tally, paces=paces)))
    with calling(account, "logs", tally, paces) as caller:
        last = TimeWindow(max(window.start, window.end - _MOMENT), window.end)
        try:
            first_event(caller, logs.execution_log_group, last)
        except Refusal as refusal:
            if refusal.code != "ResourceNotFoundException":
                raise
            found = f"level {levels}, but {logs.execution_log_group} does not exist (yet)"
            cure = "has the stage served a request since? Its CloudWatch role must write logs"
            return Check(name, CheckState.WARNING, found, cure)
    return Check(name, CheckState.OK, f"level {levels}, in {logs.execution_log_group}")


def levels_of(
    account: AwsAccount, stage: GatewayStage, *, tally: Tally, paces: Paces
) -> frozenset[str]:
    """The levels of its methods or routes that are not off; raises Unreachable."""
    is_rest = stage.protocol == "rest"
    service = "apigateway" if is_rest else "apigatewayv2"
    with calling(account, service, tally, paces) as caller:
        if is_rest:
            answer = caller.call(
                "get_stage", "stageName", restApiId=stage.api, stageName=stage.stage
            )
            told = [one.get("loggingLevel") for one in answer.get("methodSettings", {}).values()]
        else:
            answer = caller.call("get_stage", "StageName", ApiId=stage.api, StageName=stage.stage)
            routes: list[Mapping[str, Any]] = [answer.get("DefaultRouteSettings", {})]
            routes += answer.get("RouteSettings", {}).values()
            told = [route.get("LoggingLevel") for route in routes]
    return frozenset(str(level) for level in told if level not in (None, "OFF"))


def check_postgres_log(
    caller: Caller, group: str, window: TimeWindow
) -> tuple[Check, PastSource | None]:
    """Whether PostgreSQL's log is exported there; raises Unreachable."""
    name = f"PostgreSQL log {plain(group, 120)}"
    try:
        return check_lines(caller, name, group, window, resolution="times as log_line_prefix has")
    except Refusal as refusal:
        if refusal.code != "ResourceNotFoundException":
            raise
        cure = (
            "check the name, `region` and `profile`; is the export on? aws rds modify-db-instance"
            " --cloudwatch-logs-export-configuration EnableLogTypes=postgresql"
        )
        return Check(name, CheckState.PROBLEM, "there is no such log group", cure), None
