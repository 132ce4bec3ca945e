"""CloudWatch Logs of a window: counts and failed lines of gateway stages, and logs of PostgreSQL.

Each entry answers one question about a window. Counts come by Logs Insights, so that millions of
lines cost a few calls; raw lines only of what failed, by FilterLogEvents. The two bounds of a
stretch differ: [a, b) is asked as FilterLogEvents(a, b - 1 ms) and StartQuery(a, b - 1 s), whole
seconds (botocore's model: both ends of both are inclusive). Where the format has the arrival,
requests count there ("second": "arrival" in the request), else where their line stands ("event").
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from incident_rca.errors import Unreachable
from incident_rca.model import TimeWindow
from incident_rca.model.services import AwsAccount, GatewayStage
from incident_rca.sources.access_log_queries import BIN_SECONDS
from incident_rca.sources.answers import Absent, Answer, envelope, in_utc
from incident_rca.sources.aws_client import Caller, Refusal
from incident_rca.sources.failed_requests import FailedRequest, Failures, failed_lines, id_patterns
from incident_rca.sources.log_collection import (
    KnownStage,
    Shared,
    calling,
    known_stage,
    whole_seconds,
)
from incident_rca.sources.log_events import Selection
from incident_rca.sources.log_insights import InsightsQuery, run_query
from incident_rca.sources.log_shards import Shard
from incident_rca.sources.log_spool import PROVISIONAL, offset_of, spooled
from incident_rca.sources.tally import Tally

INSIGHTS_SERVICE = "cloudwatch_logs_insights"
# A line is written when its request has ended, and comes in a little later.
LATE_ARRIVAL = timedelta(seconds=30)
POSTGRES_SLACK = timedelta(minutes=1)
BASELINE = timedelta(hours=24)


def counts(
    shared: Shared, account: AwsAccount, stage: GatewayStage, window: TimeWindow, *, tally: Tally
) -> Answer | Absent:
    """All requests of the window by second, route, status and type, as Logs Insights counts them.

    Raises Unreachable (also as Refusal) where nothing came.
    """
    return _insights(shared, account, stage, window, "counts", tally)


def latency(
    shared: Shared, account: AwsAccount, stage: GatewayStage, window: TimeWindow, *, tally: Tally
) -> Answer | Absent:
    """The latencies by route and ten seconds (more in a long window), in buckets.

    Raises as `counts`.
    """
    return _insights(shared, account, stage, window, "latency", tally)


def baseline(
    shared: Shared, account: AwsAccount, stage: GatewayStage, window: TimeWindow, *, tally: Tally
) -> Answer | Absent:
    """The requests of the 24 h before the window by whole half hours; raises as `counts`."""
    width = BIN_SECONDS["baseline"]
    end = datetime.fromtimestamp(int(window.start.timestamp()) // width * width, UTC)
    return _insights(shared, account, stage, TimeWindow(end - BASELINE, end), "baseline", tally)


def errors(
    shared: Shared,
    account: AwsAccount,
    stage: GatewayStage,
    window: TimeWindow,
    *,
    tally: Tally,
    spool: Path,
) -> Path | Absent:
    """A file in `spool` with the lines of the requests that failed; what is there stays.

    It reads on past the window's end by the stage's longest time-out, for requests that ended
    later. Raises as `counts`; called again with the same spool, only what is missing is asked for.
    """
    found = _errors(shared, account, stage, window, tally, spool)
    return found if isinstance(found, Absent) else found[0]


def execution(
    shared: Shared,
    account: AwsAccount,
    stage: GatewayStage,
    window: TimeWindow,
    *,
    tally: Tally,
    spool: Path,
    errors_spool: Path,
) -> Path | Absent:
    """A file in `spool` with the execution log of some of the requests that failed.

    The ids are those of `errors`, which is asked where it has not been. Raises as `counts`.
    """
    known = known_stage(shared, account, stage, tally)
    if isinstance(known, Absent):
        return known
    group = known.logs.execution_log_group
    if not group:
        return _why_no_execution_log(stage)
    found = _errors(shared, account, stage, window, tally, errors_spool)
    if isinstance(found, Absent):
        return found
    _, failures = found
    if not failures.requests:
        return Absent(
            f"{stage.text}: no failed request with an id to look for in the execution log",
            "" if "requestId" in known.line_format.keys else "put $context.requestId in the format",
        )
    late = _late(known)
    parts = [
        (Selection(log_group=group, pattern=pattern), _around(requests, late))
        for pattern, requests in id_patterns(failures.requests)
    ]
    request = {
        "kind": "execution_log",
        "selection": "errors",
        "logGroupName": group,
        "format": "",
        "stage": stage.text,
        "requests": {"asked": len(failures.requests), "failed": failures.count},
    }
    with calling(account, "logs", tally, shared.paces) as caller:
        return spooled(caller, parts, window=window, spool=spool, request=request)


def postgres(
    shared: Shared,
    account: AwsAccount,
    log_group: str,
    window: TimeWindow,
    *,
    tally: Tally,
    spool: Path,
) -> Path | Absent:
    """A file in `spool` with all lines of a log group of PostgreSQL, a minute more on each side.

    Raises and resumes as `errors`.
    """
    whole = whole_seconds(window.start - POSTGRES_SLACK, window.end + POSTGRES_SLACK)
    parts = [(Selection(log_group=log_group), whole)]
    request = {
        "kind": "postgres_log",
        "selection": "all",
        "logGroupName": log_group,
        "format": "",
        "stage": "",
    }
    with calling(account, "logs", tally, shared.paces) as caller:
        return spooled(caller, parts, window=window, spool=spool, request=request)


# --- counts -----------------------------------------------------------------------------------


def _insights(
    shared: Shared,
    account: AwsAccount,
    stage: GatewayStage,
    window: TimeWindow,
    role: str,
    tally: Tally,
) -> Answer | Absent:
    known = known_stage(shared, account, stage, tally)
    if isinstance(known, Absent):
        return known
    if role in known.queries.missing:
        return Absent(f"{stage.text}: {known.queries.missing[role]}", "add it to the log format")
    asked_at = tally.clock.now()
    whole = whole_seconds(window.start, window.end)
    start, end = whole.start_ms // 1000, whole.end_ms // 1000
    text, bin_seconds = known.queries.over(role, window.seconds)
    is_by_arrival = known.queries.is_by_arrival
    query = InsightsQuery(
        text=text,
        log_group=known.logs.access_log_group,
        bin_seconds=bin_seconds,
        late_seconds=math.ceil(_late(known).total_seconds()) if is_by_arrival else 0,
    )
    with calling(account, "logs", tally, shared.paces) as caller:
        found = run_query(caller, query, start, end)
        offset = offset_of(caller)
        region = caller.console_region
    response = {
        "status": "Complete",
        "results": found.rows,
        "statistics": dict(found.statistics),
        "provisional": asked_at - window.end < PROVISIONAL,
    }
    if found.error is not None:
        response["error"] = dict(found.error)
    request = {
        "role": role,
        "queryString": query.about(start, end),
        "startTime": start,
        "endTime": end - 1 + query.late_seconds,
        "second": "arrival" if is_by_arrival else "event",
        "bin_seconds": bin_seconds,
        "logGroupNames": [query.log_group],
        "stage": stage.text,
        "format": known.logs.format,
        **({"console": {"region": region, "log_group": query.log_group}} if region else {}),
    }
    answer = envelope(INSIGHTS_SERVICE, request, response, window=window, asked_at=asked_at)
    return {**answer, **offset}


def _counted(caller: Caller, known: KnownStage, whole: Shard) -> int:
    """How many requests failed in a stretch, as Logs Insights counts them."""
    query = InsightsQuery(
        text=known.queries.texts["failures"], log_group=known.logs.access_log_group
    )
    found = run_query(caller, query, whole.start_ms // 1000, whole.end_ms // 1000)
    if found.error is not None:
        raise Refusal(found.error["code"], found.error["message"], hint="collect again")
    cells = [cell for row in found.rows for cell in row if cell.get("field") == "failed"]
    return sum(int(float(cell["value"])) for cell in cells)


# --- raw lines --------------------------------------------------------------------------------


def _errors(
    shared: Shared,
    account: AwsAccount,
    stage: GatewayStage,
    window: TimeWindow,
    tally: Tally,
    spool: Path,
) -> tuple[Path, Failures] | Absent:
    """The file of failed lines with what was seen in it, once in a collection."""
    known = known_stage(shared, account, stage, tally)
    if isinstance(known, Absent):
        return known
    if "status" not in known.line_format.keys:
        return Absent(f"{stage.text}: {known.queries.missing['failures']}", "add it to the format")
    key = ("errors", account.name, stage.text, in_utc(window.start), in_utc(window.end))
    with shared.alone(key, tally) as answers:
        if key not in answers:
            answers[key] = _fetch_errors(shared, account, known, window, tally, spool)
        found: tuple[Path, Failures] = answers[key]
        return found


def _fetch_errors(
    shared: Shared,
    account: AwsAccount,
    known: KnownStage,
    window: TimeWindow,
    tally: Tally,
    spool: Path,
) -> tuple[Path, Failures]:
    whole = whole_seconds(window.start, window.end + _late(known))
    group = known.logs.access_log_group
    selection = Selection(log_group=group, pattern=known.queries.failure_pattern)
    request = {
        "kind": "access_log",
        "selection": "errors",
        "logGroupName": group,
        "format": known.logs.format,
        "stage": known.logs.stage.text,
    }
    seen = Failures()

    def chosen(lines: Iterable[str]) -> Iterable[str]:
        return failed_lines(lines, known.line_format, is_exact=known.queries.is_exact, seen=seen)

    with calling(account, "logs", tally, shared.paces) as caller:
        path = spooled(
            caller,
            [(selection, whole)],
            window=window,
            spool=spool,
            request=request,
            chosen=chosen,
            reconciled=lambda: _reconciled(caller, known, whole, seen),
        )
    return path, seen


def _reconciled(caller: Caller, known: KnownStage, whole: Shard, seen: Failures) -> dict[str, Any]:
    """Both numbers of failed requests, or why there is but one.

    `uncounted` may be had the next time; what is `uncountable` is so by the stage's format.
    """
    if "failures" in known.queries.missing:
        return {"uncountable": known.queries.missing["failures"]}
    try:
        counted = _counted(caller, known, whole)
    except Unreachable as error:
        return {"uncounted": error.message}
    return {"reconciled": {"counted": counted, "fetched": seen.count}}


def _why_no_execution_log(stage: GatewayStage) -> Absent:
    if stage.protocol == "http":
        return Absent(f"{stage.text}: HTTP APIs have no execution log", "")
    return Absent(
        f"{stage.text}: its execution log is off",
        f"before the next one: Stages > {stage.stage} > Logs: errors only, or errors and info",
    )


# --- lesser parts ---------------------------------------------------------------


def _late(known: KnownStage) -> timedelta:
    """How long after the arrival of a request its line may come in."""
    return timedelta(seconds=known.logs.timeout_seconds) + LATE_ARRIVAL


def _around(requests: list[FailedRequest], late: timedelta) -> Shard:
    """From the arrival of the first of some requests to well after the end of the last."""
    first, last = requests[0].at_ms, requests[-1].at_ms
    more = int(late.total_seconds() * 1000)
    return Shard((first - more) // 1000 * 1000, (last + more) // 1000 * 1000)
