"""CloudWatch Logs Insights answers: counts -> `gateway`, or counts before the outage -> `baseline`.

What a query answers is said by `role` in the envelope's request:

- `counts`: all requests of the window (not the failed ones alone) by second, route, status and
  type. Its rows become `gateway` rows with `requests`.
- `latency`: the latencies of the same requests. Its rows become `gateway` rows with `requests` 0
  (the counts stand in the other answer) and the bucket in their histogram.
- `baseline`, or no role: counts by hour, route and status -> `baseline`.

When a request counts is said by `second` in the request: at its `arrival`, or that of its log
`event`, which is written when the request has ended. `bin_seconds` is the width of the bins.

A column's alias says what it is. A column is left out where the stage's format lacks its variable.

    second              seconds since 1970 of the arrival as a number, or bin(1s) as a time: of the
                        beginning of a wider bin for latencies and the baseline; `bin(1s)`, or
                        wider, without an alias too
    method              $context.httpMethod (none, and an event_type: a WebSocket's `WS`)
    event_type          $context.eventType
    route               $context.resourcePath, or $context.routeKey (`GET /x`: method and route)
    status              $context.status
    response_type       $context.error.responseType
    integration_status  $context.integrationStatus (or integration.integrationStatus)
    backend_status      $context.integration.status
    error_text          $context.integration.error, or integrationErrorMessage
    authorizer_error    $context.authorizer.error
    waf                 $context.wafResponseCode
    requests            count(*), of the rows of `counts` and `baseline`
    latency_bucket      whole number k = ceil(log(greatest(latency, 1)) / log(1.02)): the bucket up
                        to floor(1.02^k) milliseconds, as in queries/rollup/access_log.sql
    requests_in_bucket  count(*), of the rows of `latency`

An answer to several slices of a window is several files, or the results of all in one answer.
"""

from __future__ import annotations

from collections.abc import Mapping

from incident_rca.errors import BadInput
from incident_rca.formats import logs_insights_baseline as baseline
from incident_rca.formats import logs_insights_rows as gateway
from incident_rca.formats.insights_answer import (
    Answer,
    cells_of,
    columns_of,
    epoch_seconds_of,
    is_csv_head,
    read_answer,
)
from incident_rca.formats.parsed import Format, Head, Parsed, RawInput, frame_of
from incident_rca.model import System

BY_EVENT = "counts stand at the second in which a request ended, not at its arrival"


def recognises(head: Head) -> bool:
    """Whether the file is an answer of counts before the outage, enveloped, bare or as CSV."""
    return _role_of_head(head) not in (None, "counts", "latency")


def recognises_counts(head: Head) -> bool:
    """The same of counts of the window itself, by second."""
    return _role_of_head(head) == "counts"


def recognises_latency(head: Head) -> bool:
    """The same of latencies in buckets."""
    return _role_of_head(head) == "latency"


def _role_of_head(head: Head) -> str | None:
    """What the query of an answer asked for; None where the file is no such answer."""
    if head.document is None:
        if not head.lines or not is_csv_head(head.lines[0]):
            return None
        return _role_of([dict.fromkeys(columns_of(head.lines[0]), "")])
    answer = head.document.get("response", head.document)
    if not isinstance(answer, dict) or not answer.keys() >= {"results", "statistics"}:
        return None
    request = head.document.get("request")
    role = request.get("role") if isinstance(request, dict) else None
    results = answer["results"] if isinstance(answer["results"], list) else []
    return str(role) if role else _role_of([cells_of(result) for result in results[:1000]])


def parse(raw: RawInput) -> Parsed:
    """Counts and latencies, or the baseline; the asked window's end is inclusive in the request.

    Raises BadInput where the query had not ended, and the answer does not say why.
    """
    answer = read_answer(raw)
    if answer.status not in ("", "Complete") and not answer.error:
        raise BadInput(
            f"{raw.file}: the query's status is {answer.status}, not Complete",
            hint="fetch the results again once the query has ended",
        )
    role = answer.role or _role_of(answer.results)
    if role == "baseline":
        rows, unparsed, counted = baseline.rows_of(answer)
    elif role in ("counts", "latency"):
        rows, unparsed, counted = gateway.rows_of(answer, role, raw.work)
    else:
        raise BadInput(
            f"{raw.file}: its query has the role {role!r}",
            hint="known are counts, latency and baseline",
        )
    table = "baseline" if role == "baseline" else "gateway"
    said = (answer.damage, "" if answer.error else _difference(answer, counted))
    return Parsed(
        frames={table: frame_of(table, rows, raw)},
        rows=len(rows),
        unparsed=unparsed,
        damage="; ".join(text for text in said if text),
        asked=answer.asked,
        covered=(None if answer.error else answer.asked) or gateway.span_of(rows, answer),
        resolution_seconds=gateway.bin_seconds_of(rows, answer),
        query=answer.query or raw.query,
        console=answer.console,
        lacks=() if _is_by_arrival(answer, role) else (BY_EVENT,),
    )


def _is_by_arrival(answer: Answer, role: str) -> bool:
    """Whether requests count when they arrived, as the request says, or a number of seconds does.

    Of a hand-written baseline nothing is said: its bins are far wider than a request takes.
    """
    if answer.second or role == "baseline":
        return answer.second != "event"
    texts = [cells["second"] for cells in answer.results if "second" in cells]
    return bool(texts) and epoch_seconds_of(texts[0]) is not None


def _role_of(results: list[Mapping[str, str]]) -> str:
    names = {name for cells in results[:1000] for name in cells}
    if "latency_bucket" in names:
        return "latency"
    return "counts" if "second" in names else "baseline"


def _difference(answer: Answer, counted: int) -> str:
    if answer.matched is None or answer.matched == counted:
        return ""
    return f"its rows count {counted} requests, its statistics {answer.matched} matched records"


FORMAT = Format(
    kind="logs_insights",
    system=System.GATEWAY,
    title="CloudWatch Logs Insights answer: counts by time bin, route and status",
    recognises=recognises,
    parse=parse,
    cannot_show="single requests, and when within a time bin they came",
)
COUNTS = Format(
    kind="gateway_counts",
    system=System.GATEWAY,
    title="CloudWatch Logs Insights answer: all requests by second, route, status and type",
    recognises=recognises_counts,
    parse=parse,
    cannot_show="single requests",
)
LATENCY = Format(
    kind="gateway_latency",
    system=System.GATEWAY,
    title="CloudWatch Logs Insights answer: latencies in buckets by time bin and route",
    recognises=recognises_latency,
    parse=parse,
    cannot_show="latencies more exactly than 2 %, and when within a time bin they were",
)
