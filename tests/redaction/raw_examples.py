"""One small raw file of each kind: JSON lines, one JSON document, or plain lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from incident_rca.formats import gateway_rollup, load_balancer_rollup
from tests.formats import builders
from tests.formats.builders import START_MS, Snapshot, header, probe, record, request
from tests.formats.load_balancer_lines import Line

START = START_MS // 1000
WINDOW = {"start": "2026-01-15T14:10:00Z", "end": "2026-01-15T14:55:00Z"}
ASKED = {"window": WINDOW, "database": "shop"}
GONE = {"status": "502", "integrationStatus": "502", "integration_status": "502"}
ACCESS = [
    request(n, requestId=f"d2d06980-8e84-4b16-a868-a56fe089a7{n:02d}", errorMessage="gone", **GONE)
    for n in range(16)
]
EXECUTION = [
    f"2026-01-15T14:10:0{n}.123Z (d2d06980-8e84-4b16-a868-a56fe089a76b) {text}"
    for n, text in enumerate(
        [
            "Starting execution for request: d2d06980",
            "HTTP Method: POST, Resource Path: /api/orders",
            "Execution failed due to configuration error: Invalid endpoint address",
            "Lambda execution failed with status 200 due to customer function error: gone",
            "Method completed with status: 502",
        ]
    )
]
POSTGRES = [
    record(
        "14:23:01",
        7,
        "deadlock detected",
        error_severity="ERROR",
        state_code="40P01",
        detail="Process 7 waits for ShareLock on transaction 5; blocked by process 8.\n"
        "Process 7: UPDATE t SET a = 1\nProcess 8: UPDATE t SET a = 2",
        statement="UPDATE t SET a = 1",
    ),
    builders.waiting("14:23:02", 9, [8]),
    record("14:23:03", 8, "duration: 30.5 ms  statement: CREATE INDEX i ON stock (sku)"),
    record(
        "14:23:04",
        9,
        "canceling statement due to lock timeout",
        error_severity="ERROR",
        state_code="55P03",
        statement="INSERT INTO stock VALUES (1)",
    ),
]
STDERR = [
    "2026-01-15 14:23:01.000 UTC [7] app@shop LOG:  process 7 still waiting for ShareLock on "
    "relation 16437 of database 5 after 1000.1 ms",
    "2026-01-15 14:23:01.000 UTC [7] app@shop DETAIL:  Process holding the lock: 8. Wait queue: 7.",
    "2026-01-15 14:23:01.000 UTC [7] app@shop STATEMENT:  CREATE INDEX i ON stock (sku)",
    "2026-01-15 14:23:02.000 UTC [7] app@shop ERROR:  canceling statement due to lock timeout",
    "2026-01-15 14:23:02.000 UTC [7] app@shop STATEMENT:  CREATE INDEX i ON stock (sku)",
]
LOCKS = [
    header(),
    probe("14:23:00", ["orders", "active", "Lock", "relation", 3]),
    Snapshot()
    .lock(1, "Share")
    .lock(2, "RowExclusive", granted=False)
    .session(1, "CREATE INDEX i ON stock (sku)")
    .session(2, "INSERT INTO stock VALUES (1)", wait_event_type="Lock", wait_event="relation")
    .line(),
]


def _table(**cells: Any) -> dict[str, Any]:
    return {"columns": list(cells), "rows": [list(cells.values())]}


def _of(service: str, request: Any, response: Any) -> dict[str, Any]:
    return {"service": service, "request": request, "asked_at": "2026-01-15T15:00:00Z"} | {
        "response": response
    }


def _event(number: int, message: str) -> dict[str, Any]:
    return {"timestamp": START_MS + number, "eventId": f"3{number:055d}", "message": message}


def _events(kind: str, messages: list[str]) -> list[str]:
    about = {"kind": kind, "selection": "all", "logGroupName": "g", "stage": "rest:a1/prod"}
    asked = _of("cloudwatch_logs", about | {"window": WINDOW}, {"complete": True, "error": None})
    return [json.dumps(asked), *(json.dumps(_event(n, m)) for n, m in enumerate(messages))]


def _insights(*names: str, **more: str) -> dict[str, Any]:
    cells = dict.fromkeys(names, "5") | more
    return _of(
        "cloudwatch_logs",
        {"operation": "StartQuery", "startTime": START, "endTime": START + 7200}
        | {"queryString": "stats count(*) as requests by bin(1h), httpMethod, status"},
        {"status": "Complete", "statistics": {"recordsMatched": 5.0, "recordsScanned": 9.0}}
        | {"results": [[{"field": k, "value": v} for k, v in cells.items()]]},
    )


RING = {"ring": {"oldest": WINDOW["start"], "newest": WINDOW["end"]}}
GATEWAY_CELLS = {"status": "502", "resourcePath": "/a", "httpMethod": "GET"}
DOCUMENTS: Mapping[str, Any] = {
    "gateway_counts": _insights("requests", second="2026-01-15 14:20:00.000", **GATEWAY_CELLS),
    "gateway_latency": _insights(
        "requests_in_bucket",
        latency_bucket="3",
        second="2026-01-15 14:20:00.000",
        **GATEWAY_CELLS,
    ),
    "logs_insights": _insights(
        "requests", **{"bin(1h)": "2026-01-15 14:00:00.000"}, **GATEWAY_CELLS
    ),
    "pgsentinel_history": _of("postgres", ASKED, RING | _table(
        ash_time="2026-01-15T14:20:00Z", datname="shop", pid=72, leader_pid=None,
        application_name="orders", backend_start=None, xact_start=None, wait_event_type="Lock",
        wait_event="relation", state="active", top_level_query="INSERT INTO stock VALUES (1)",
        query="INSERT INTO stock VALUES (1)", blockers=1, blockerpid=50, blocker_state="active",
    )),
    "pgwatch_history": _of("postgres", ASKED, _table(
        time="2026-01-15T14:23:00Z", dbname="shop-1",
        data={"other_mode": "ShareLock", "other_locktype": "relation", "waiting_pid": 1,
              "waiting_query": "INSERT INTO stock VALUES (1)", "other_pid": 2,
              "other_query": "CREATE INDEX i ON stock (sku)", "waiting_user": "app"},
        tag_data={"waiting_mode": "RowExclusiveLock", "waiting_locktype": "relation",
                  "waiting_table": "stock", "real_dbname": "shop"},
    )),
    "performance_insights": {
        "AlignedStartTime": WINDOW["start"], "AlignedEndTime": WINDOW["end"],
        "Identifier": "db-LAB",
        "MetricList": [
            {"Key": {"Metric": "db.load.avg", "Dimensions": {name: value}},
             "DataPoints": [{"Timestamp": "2026-01-15T14:21:00Z", "Value": 1.0}]}
            for name, value in (("db.wait_event.name", "Lock:relation"),
                                ("db.blocking_session.id", "7"),
                                ("db.blocking_sql.statement", "CREATE INDEX i ON stock (sku)"),
                                ("db.blocking_object.id", "stock"))
        ],
    },
    "server_residue": _of("postgres", ASKED, {
        "invalid_indexes": _table(schema="public", table="stock", index="i",
                                  definition="CREATE INDEX i ON stock (sku)", is_being_built=False),
        "statements": _table(kind="ddl", queryid="7", query="CREATE INDEX i ON stock (a)", calls=1,
                             max_ms=9.5, mean_ms=9.5),
        "migrations": [{"tool": "flyway", "schema": "public", "table": "history"}
                       | _table(name="V7", at="2026-01-15T14:22:00")],
    }),
    "datadog_metrics": _of("datadog", {"body": {"data": {"attributes": {
        "from": START_MS, "to": START_MS + 20_000, "interval": 10_000,
        "formulas": [{"formula": "a"}],
        "queries": [{"name": "a", "query": "p99:grpc.client.duration{env:prod} by {service}"}],
    }}}}, {"data": {"type": "timeseries_response", "attributes": {
        "series": [{"group_tags": ["service:orders", "rpc.method:reserve"], "query_index": 0,
                    "unit": [{"family": "time", "name": "millisecond"}, None]}],
        "times": [START_MS, START_MS + 10_000], "values": [[5.0, 7.0]]}}}),
    "datadog_events": _of("datadog", {"path": "/api/v2/events", "params": {
        "filter[query]": "source:migrations", "filter[from]": WINDOW["start"],
        "filter[to]": WINDOW["end"]}}, {"data": [{"id": "e1", "type": "event", "attributes": {
            "timestamp": "2026-01-15T14:22:58Z", "message": "rolled out", "tags": [
                "change:migration", "service:inventory", "application:migrate"],
            "attributes": {"title": "migration 7", "service": "inventory",
                           "aggregation_key": "m-7", "status": "ok"}}}]}),
    "prometheus_metrics": _of("prometheus", {"unit": "", "window": WINDOW}, {
        "queries": [{"name": "p99", "query": "histogram_quantile(0.99, x)", "metric": "x_seconds",
                     "aggregate": "p99", "covers_seconds": 30.0, "start": START, "end": START + 60,
                     "step": 15.0, "result": [{"metric": {
                         "job": "orders", "grpc_service": "inv.Inv", "grpc_method": "Reserve"},
                         "values": [[START, "0.25"], [START + 15, "1.5"]]}]}],
        "metrics": {}, "warnings": ["partial answer"], "error": None}),
    "cloudwatch_metrics": _of("cloudwatch_metrics", {
        "stage": "rest:a1/prod", "window": WINDOW, "MetricDataQueries": [
            {"Id": "m0", "MetricStat": {"Metric": {"MetricName": "5XXError"}, "Period": 60,
                                        "Stat": "Sum"}}]},
        {"pages": [{"MetricDataResults": [{"Id": "m0", "Timestamps": ["2026-01-15T14:10:00Z"],
                                           "Values": [3.0], "Messages": [
                                               {"Code": "ArithmeticError", "Value": "x"}]}]}],
         "error": {"code": "Throttling", "message": "slow down"}}),
}  # fmt: skip
OTLP = json.dumps({"resourceMetrics": [{
    "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "orders"}}]},
    "scopeMetrics": [{"metrics": [{"name": "rpc.client.call.duration", "unit": "s", "histogram": {
        "aggregationTemporality": 1, "dataPoints": [{
            "attributes": [{"key": "rpc.method", "value": {"stringValue": "pkg.Inv/Reserve"}},
                           {"key": "rpc.response.status_code", "value": {"stringValue": "OK"}}],
            "startTimeUnixNano": f"{START}000000000", "timeUnixNano": f"{START + 10}000000000",
            "count": "2", "sum": 1.0, "bucketCounts": ["1", "1"], "explicitBounds": [0.5]}]}}]}],
}]})  # fmt: skip
# What `rollup` writes: its question, a row for what is alike, and what the rows come to.
ROLLUP = [json.dumps(line) for line in (
    {"service": "incident_rca_rollup", "asked_at": "2026-01-15T15:00:00Z", "request": {
        "engine": "duckdb", "places": ["access.ndjson"], "statement": "SELECT count(*) AS requests",
        "bytes": 1, "columns": gateway_rollup.COLUMNS, "lacks": [], "window": WINDOW, "knows": {
            "response_type": True, "integration_status": True, "backend_status": True,
            "error_text": True}}},
    *([START + n, "POST", "/api/orders", 502, "-", "502", "502", "-", "-", "-", 2, [[7, 2]]]
      for n in range(24)),
    {"rows": 24, "requests": 48, "unread": 0, "unread_failures": 0, "error": ""},
)]  # fmt: skip

BALANCER_ROLLUP = [json.dumps(line) for line in (
    {"service": "incident_rca_load_balancer_rollup", "asked_at": "2026-01-15T15:00:00Z",
     "request": {"engine": "duckdb", "places": ["alb.log"], "statement": "SELECT", "bytes": 1,
                 "columns": load_balancer_rollup.COLUMNS, "window": WINDOW}},
    *([START + n, "app/shop/50dc6c495c0c9188", "POST", "/api/orders", 502, "-", "-",
       "LambdaUnhandled", 2, [[7, 2]]] for n in range(24)),
    {"rows": 24, "requests": 48, "unread": 0, "unread_failures": 0, "error": ""},
)]  # fmt: skip

JSON_LINES: Mapping[str, list[str]] = {
    "access_log": ACCESS,
    "cloudwatch_events": _events("access_log", ACCESS),
    "cloudwatch_postgres_log": _events("postgres_log", STDERR),
    "gateway_rollup": ROLLUP,
    "load_balancer_rollup": BALANCER_ROLLUP,
    "lock_recording": LOCKS,
    "postgres_log": POSTGRES,
    "otlp_metrics": [OTLP],
}
LINES: Mapping[str, list[str]] = {
    "exported_log": [f"2026-01-15T14:10:30.123Z {line}" for line in ACCESS],
    "execution_log": EXECUTION,
    "load_balancer_log": [str(Line(elb_status="502", second=float(n))) for n in range(24)],
    "postgres_log": STDERR,
}


def _text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


EXAMPLES: Mapping[str, tuple[bytes, ...]] = {
    **{kind: (json.dumps(document).encode(),) for kind, document in DOCUMENTS.items()},
    **{kind: (_text(lines),) for kind, lines in LINES.items()},
    **{kind: (_text(lines),) for kind, lines in JSON_LINES.items()},
    "concatenated_log": ("".join(ACCESS).encode(),),
    "postgres_log": (_text(JSON_LINES["postgres_log"]), _text(LINES["postgres_log"])),
}
