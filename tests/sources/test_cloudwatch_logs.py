"""Counts, latencies and baseline by Logs Insights: boto3's real client against a local service."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from incident_rca.errors import Unreachable
from incident_rca.model import TimeWindow
from incident_rca.model.services import AwsAccount, GatewayStage
from incident_rca.sources import cloudwatch_logs as source
from incident_rca.sources import log_insights
from incident_rca.sources.answers import Absent
from incident_rca.sources.aws_client import Caller
from incident_rca.sources.log_collection import calling, known_stage
from tests.formats.builders import kind_of, parse, rows
from tests.sources.cloudwatch_logs_server import BROKEN, HTML, THROTTLED, Fault, Service, refused
from tests.sources.gateway_scene import (
    CLF,
    END_MS,
    FORMAT,
    GROUP,
    STAGE,
    START,
    START_MS,
    UNDATED_FORMAT,
    WINDOW,
    HandClock,
    Request,
    account,
    no_way_out,
    requests,
    rest_stage,
    running_stage,
    shared,
    tally_at,
)

TRUTH = requests()
LATER = TimeWindow(WINDOW.end + timedelta(minutes=10), WINDOW.end + timedelta(minutes=20))
INSIDE = [r for r in TRUTH if START_MS <= r.arrived_ms < END_MS]
# What is searched past the window's end: 29 s that an integration may take, 30 s until its line
# has come in.
LATE_SECONDS = 59


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Service]:
    no_way_out(monkeypatch.setenv, tmp_path)
    with running_stage() as running:
        running.put(GROUP, [(r.written_ms, r.json()) for r in TRUTH])
        yield running


def cells(answer: Any) -> list[dict[str, str]]:
    assert isinstance(answer, Mapping)
    return [{cell["field"]: cell["value"] for cell in row} for row in answer["response"]["results"]]


def second_of(text: str) -> int:
    if text.isdigit():
        return int(text)
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def counted(answer: Any) -> Counter[tuple[Any, ...]]:
    found = Counter[tuple[Any, ...]]()
    for c in cells(answer):
        key = (second_of(c["second"]), c["method"], c["route"], int(c["status"]))
        found[(*key, c.get("response_type"))] += int(c["requests"])
    return found


def truth_by_second() -> Counter[tuple[Any, ...]]:
    return Counter((r.arrived_ms // 1000, r.method, r.route, r.status, r.type) for r in INSIDE)


def truth_by_event(*, with_type: bool) -> Counter[tuple[Any, ...]]:
    return Counter(
        (r.written_ms // 1000, r.method, r.route, r.status, r.type if with_type else None)
        for r in TRUTH
        if START_MS <= r.written_ms < END_MS
    )


def test_requests_are_counted_by_second_route_status_and_type(service: Service) -> None:
    tally = tally_at()
    answer = source.counts(shared(), account(service), STAGE, WINDOW, tally=tally)
    assert counted(answer) == truth_by_second()
    assert isinstance(answer, Mapping)
    assert answer["service"] == "cloudwatch_logs_insights"
    request = answer["request"]
    assert (request["role"], request["stage"], request["format"]) == ("counts", STAGE.text, FORMAT)
    assert request["logGroupNames"] == [GROUP]
    assert (request["second"], request["bin_seconds"]) == ("arrival", 1)
    # Both ends are inclusive, in seconds.
    asked = (START_MS // 1000, END_MS // 1000 - 1 + LATE_SECONDS)
    assert (request["startTime"], request["endTime"]) == asked
    statistics = answer["response"]["statistics"]
    assert statistics["recordsMatched"] == len(INSIDE)
    assert statistics["recordsScanned"] == sum(
        1 for r in TRUTH if START_MS <= r.written_ms < END_MS + 1000 * LATE_SECONDS
    )
    assert answer["response"]["status"] == "Complete" and "error" not in answer["response"]
    assert answer["response"]["provisional"] is False
    assert tally.rows == len(answer["response"]["results"])
    json.dumps(answer)


@pytest.mark.parametrize("role", ["counts", "latency", "baseline"])
def test_the_answer_is_read_by_its_format(service: Service, tmp_path: Path, role: str) -> None:
    ask = getattr(source, role)
    window = WINDOW if role != "baseline" else LATER
    answer = ask(
        shared(), account(service), STAGE, window, tally=tally_at(LATER.end + timedelta(hours=1))
    )
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(answer))
    kind = {"counts": "gateway_counts", "latency": "gateway_latency"}.get(role, "logs_insights")
    assert kind_of(path) == kind
    parsed = parse(kind, path)
    assert (parsed.damage, parsed.unparsed, parsed.lacks) == ("", 0, ())
    assert parsed.resolution_seconds == {"counts": 1, "latency": 10}.get(role, 1_800)
    table = rows(parsed, "baseline" if role == "baseline" else "gateway")
    if role == "latency":
        counted = sum(sum(row["latency_ms_counts"]) for row in table)
    else:
        counted = sum(row["requests"] for row in table)
    until = START_MS + 600_000 if role == "baseline" else END_MS
    since = until - 86_400_000 if role == "baseline" else START_MS
    assert counted == sum(1 for r in TRUTH if since <= r.arrived_ms < until) > 0
    if role != "baseline":
        assert parsed.asked == parsed.covered == WINDOW
        assert all(WINDOW.start <= row["second"] < WINDOW.end for row in table)


def test_a_format_that_is_no_json_is_cut_by_its_own_template(service: Service) -> None:
    service.stages["/restapis/a1b2c3/stages/prod"] = rest_stage(CLF, "clf")
    service.put("clf", [(r.written_ms, r.clf()) for r in TRUTH])
    answer = source.counts(shared(), account(service), STAGE, WINDOW, tally=tally_at())
    assert counted(answer) == truth_by_event(with_type=False)
    missing = source.latency(shared(), account(service), STAGE, WINDOW, tally=tally_at())
    assert isinstance(missing, Absent) and "responseLatency" in missing.reason


def test_lines_that_are_no_valid_json_are_cut_by_the_template_too(service: Service) -> None:
    text = '{"s": $context.status, "m": "$context.error.messageString", "r": "$context.routeKey"}'
    service.stages["/restapis/a1b2c3/stages/prod"] = rest_stage(text, "broken")
    line = '{"s": 504, "m": " "Endpoint request timed out"", "r": "GET /x"}'
    service.put("broken", [(START_MS, line), (START_MS + 1, line.replace("504", "200"))])
    answer = source.counts(shared(), account(service), STAGE, WINDOW, tally=tally_at())
    assert sorted((c["route"], c["status"], c["requests"]) for c in cells(answer)) == [
        ("GET /x", "200", "1"),
        ("GET /x", "504", "1"),
    ]


def test_latencies_come_in_buckets_that_can_be_merged(service: Service) -> None:
    answer = source.latency(shared(), account(service), STAGE, WINDOW, tally=tally_at())
    found = Counter[tuple[Any, ...]]()
    for c in cells(answer):
        key = (second_of(c["second"]), c["method"], c["route"], int(c["status"]))
        found[(*key, int(float(c["latency_bucket"])))] += int(c["requests_in_bucket"])
    expected = Counter[tuple[Any, ...]]()
    for r in INSIDE:
        # The smallest power that is not below the latency, found by multiplying.
        bucket, bound = 0, 1.0
        while bound < r.latency_ms and not math.isclose(bound, r.latency_ms):
            bucket, bound = bucket + 1, 1.02 ** (bucket + 1)
        expected[(r.arrived_ms // 10_000 * 10, r.method, r.route, r.status, bucket)] += 1
    assert found == expected


def test_a_long_window_has_wider_bins_of_latencies(service: Service) -> None:
    window = TimeWindow(WINDOW.end - timedelta(hours=1), WINDOW.end)
    answer = source.latency(shared(), account(service), STAGE, window, tally=tally_at())
    assert {second_of(c["second"]) % 300 for c in cells(answer)} == {0}
    assert isinstance(answer, Mapping) and answer["request"]["bin_seconds"] == 300


def test_the_baseline_is_the_day_before_in_whole_half_hours(service: Service) -> None:
    old = [Request(START_MS - n * 600_000, 5, "GET", "/health", 200, n) for n in range(160)]
    service.put(GROUP, [(r.written_ms, r.json()) for r in old])
    window = TimeWindow(START + timedelta(minutes=7), WINDOW.end + timedelta(hours=1))
    answer = source.baseline(shared(), account(service), STAGE, window, tally=tally_at(window.end))
    end = START_MS - 20 * 60_000  # 14:00, before 14:27
    inside = [r for r in [*old, *TRUTH] if end - 86_400_000 <= r.arrived_ms < end]
    found = Counter({(int(c["second"]), c["status"]): int(c["requests"]) for c in cells(answer)})
    halves = ((r.arrived_ms - START_MS + 1_200_000) // 1_800_000 for r in inside)
    assert found == Counter((end // 1000 + 1_800 * n, "200") for n in halves)
    assert len(inside) > 100 and isinstance(answer, Mapping)
    assert answer["response"]["statistics"]["recordsMatched"] == len(inside)
    assert answer["request"]["startTime"] == (end - 86_400_000) // 1000
    assert answer["request"]["endTime"] == end // 1000 - 1 + LATE_SECONDS


def test_no_request_at_all_is_an_answer_that_was_scanned_for(service: Service) -> None:
    window = TimeWindow(START + timedelta(days=1), START + timedelta(days=1, minutes=5))
    answer = source.counts(shared(), account(service), STAGE, window, tally=tally_at(window.end))
    assert isinstance(answer, Mapping)
    assert answer["response"]["results"] == []
    assert answer["response"]["statistics"]["recordsScanned"] == 0.0


def test_a_query_under_way_is_waited_for_and_its_part_is_not_taken(service: Service) -> None:
    service.polls = 4
    tally = tally_at()
    answer = source.counts(shared(), account(service), STAGE, WINDOW, tally=tally)
    assert counted(answer) == truth_by_second()
    assert service.count("GetQueryResults") == 5 and tally.clock.monotonic() > 2.0
    assert service.count("StopQuery") == 0


def test_all_pages_of_a_result_are_read(service: Service) -> None:
    service.page_rows = 100
    answer = source.counts(shared(), account(service), STAGE, WINDOW, tally=tally_at())
    assert counted(answer) == truth_by_second()
    assert service.count("GetQueryResults") == -(-len(cells(answer)) // 100)
    assert service.count("StartQuery") == 1


def run(service: Service, most_rows: int, bin_seconds: int = 1) -> log_insights.Stretch:
    tally = tally_at()
    known = known_stage(shared(), account(service), STAGE, tally)
    assert not isinstance(known, Absent)
    role = {1: "counts", 10: "latency"}[bin_seconds]
    query = log_insights.InsightsQuery(
        text=known.queries.over(role, 240.0)[0],
        log_group=GROUP,
        bin_seconds=bin_seconds,
        late_seconds=LATE_SECONDS,
    )
    with calling(account(service), "logs", tally, shared().paces) as caller:
        return log_insights.run_query(
            caller, query, START_MS // 1000, END_MS // 1000, most_rows=most_rows
        )


@pytest.mark.parametrize(("most_rows", "bin_seconds"), [(300, 1), (400, 10)])
def test_a_full_result_is_asked_in_halves_that_part_no_bin(
    service: Service, most_rows: int, bin_seconds: int
) -> None:
    whole = run(service, 100_000, bin_seconds)
    assert len(whole.rows) > 2 * most_rows
    service.calls.clear()
    halves = run(service, most_rows, bin_seconds)
    assert halves.error is None
    assert Counter(map(str, halves.rows)) == Counter(map(str, whole.rows))
    # Each record was matched once, in the stretches that were kept.
    assert halves.statistics["recordsMatched"] == whole.statistics["recordsMatched"]
    for asked in service.asked("StartQuery"):
        ends = (asked["startTime"], asked["endTime"] + 1 - LATE_SECONDS)
        assert [at % bin_seconds for at in ends] == [0, 0]
        assert all(str(at) in asked["queryString"] for at in ends)


def test_few_rows_of_many_records_are_not_asked_in_halves(service: Service) -> None:
    old = [Request(START_MS + n, 1, "GET", "/health", 200, n) for n in range(500)]
    service.put(GROUP, [(r.written_ms, r.json()) for r in old])
    window = TimeWindow(START, START + timedelta(seconds=1))
    source.counts(shared(), account(service), STAGE, window, tally=tally_at())
    assert service.count("StartQuery") == 1


def test_a_single_bin_that_is_full_is_told(service: Service) -> None:
    stretch = run(service, 1)
    assert stretch.error is not None and stretch.error["code"] == "Limit"


def test_a_later_half_that_fails_leaves_the_first_and_says_from_when(service: Service) -> None:
    whole = run(service, 100_000)
    most_rows = len(whole.rows) // 2 + 100
    service.plan("StartQuery", None, None, refused("AccessDeniedException", "not any more"))
    stretch = run(service, most_rows)
    middle = START_MS // 1000 + 120
    before = [str(row) for row in whole.rows if int(row[0]["value"]) < middle]
    assert Counter(map(str, stretch.rows)) == Counter(before)
    assert stretch.error is not None and str(middle) in stretch.error["message"]
    assert stretch.error["code"] == "AccessDeniedException"


def test_too_many_queries_at_once_are_waited_out(service: Service) -> None:
    service.plan("StartQuery", *[refused("LimitExceededException", "too many")] * 3)
    answer = source.counts(shared(), account(service), STAGE, WINDOW, tally=tally_at())
    assert counted(answer) == truth_by_second() and service.count("StartQuery") == 4


@pytest.mark.parametrize("fault", [THROTTLED, HTML, BROKEN, refused("InternalFailure", "", 500)])
@pytest.mark.parametrize("action", ["StartQuery", "GetQueryResults", "GetStage"])
def test_what_passes_is_tried_again(service: Service, action: str, fault: Any) -> None:
    service.plan(action, fault, fault)
    tally = tally_at()
    answer = source.counts(shared(), account(service), STAGE, WINDOW, tally=tally)
    assert counted(answer) == truth_by_second()
    assert tally.throttled == (2 if fault is THROTTLED else 0)


# --- arrival ----------------------------------------------------------------------------------


def stage_of(service: Service, group: str, lines: list[tuple[int, str]], text: str) -> None:
    """The stage writes this log now, in this format."""
    service.stages["/restapis/a1b2c3/stages/prod"] = rest_stage(text, group)
    service.put(group, lines)


def test_a_request_counts_once_in_the_window_in_which_it_arrived(service: Service) -> None:
    before = Request(START_MS - 1, 29_000, "GET", "/before", 504, 1)
    first = Request(START_MS, 0, "GET", "/first", 200, 2)
    timed_out = Request(END_MS - 1, 29_001, "GET", "/timed-out", 504, 3)
    after = Request(END_MS, 0, "GET", "/after", 200, 4)
    log = [before, first, timed_out, after]
    stage_of(service, "edges", [(r.written_ms, r.json()) for r in log], FORMAT)
    windows = {
        window: source.counts(shared(), account(service), STAGE, window, tally=tally_at())
        for window in (
            TimeWindow(WINDOW.start - timedelta(minutes=4), WINDOW.start),
            WINDOW,
            TimeWindow(WINDOW.end, WINDOW.end + timedelta(minutes=4)),
        )
    }
    found = [[(int(c["second"]), c["route"]) for c in cells(a)] for a in windows.values()]
    assert found == [
        [(START_MS // 1000 - 1, "/before")],
        [(START_MS // 1000, "/first"), (END_MS // 1000 - 1, "/timed-out")],
        [(END_MS // 1000, "/after")],
    ]


def test_the_truth_has_what_ends_in_another_window_than_it_began(service: Service) -> None:
    seconds = {second for second, *_ in counted(ask_for(service, "counts"))}
    assert (min(seconds), max(seconds)) == (START_MS // 1000, END_MS // 1000 - 1)
    for edge_ms in (START_MS, END_MS):
        assert sum(1 for r in TRUTH if r.arrived_ms < edge_ms <= r.written_ms) > 5


def ask_for(service: Service, role: str) -> Any:
    return getattr(source, role)(shared(), account(service), STAGE, WINDOW, tally=tally_at())


@pytest.mark.parametrize("role", ["counts", "latency"])
def test_without_the_arrival_in_the_format_requests_count_where_they_ended(
    service: Service, tmp_path: Path, role: str
) -> None:
    lines = [(r.written_ms, r.json(without="requestTimeEpoch")) for r in TRUTH]
    stage_of(service, "undated", lines, UNDATED_FORMAT)
    answer = ask_for(service, role)
    assert answer["request"]["second"] == "event"
    assert answer["request"]["endTime"] == END_MS // 1000 - 1
    if role == "counts":
        assert counted(answer) == truth_by_event(with_type=True)
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(answer))
    parsed = parse(f"gateway_{role}", path)
    assert "not at its arrival" in parsed.lacks[0]
    assert (parsed.asked, parsed.damage) == (WINDOW, "")


def test_an_arrival_in_whole_seconds_is_read_as_such(service: Service) -> None:
    # Those of HTTP APIs have ten digits.
    lines = [
        (r.written_ms, r.json().replace(f'"{r.arrived_ms}"', f'"{r.arrived_ms // 1000}"'))
        for r in TRUTH
    ]
    stage_of(service, "seconds", lines, FORMAT)
    assert counted(ask_for(service, "counts")) == truth_by_second()
    latencies = cells(ask_for(service, "latency"))
    assert sum(int(c["requests_in_bucket"]) for c in latencies) == len(INSIDE)


def test_the_baseline_of_an_http_api_has_its_routes(service: Service, tmp_path: Path) -> None:
    text = '{"e":"$context.requestTimeEpoch","k":"$context.routeKey","s":"$context.status"}'
    service.stages["/v2/apis/h1/stages/live"] = rest_stage(text, "http")
    service.stages["/v2/apis/h1/integrations"] = {"items": []}
    arrived = [START_MS // 1000 - 1_200 - n for n in (1, 1_800, 1_801, 86_400, 86_401)]
    line = '{{"e":"{}","k":"GET /a","s":"200"}}'
    service.put("http", [(at * 1000 + 500, line.format(at)) for at in sorted(arrived)])
    stage = GatewayStage("http", "h1", "live")
    answer = source.baseline(shared(), account(service), stage, WINDOW, tally=tally_at())
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(answer))
    found = rows(parse("logs_insights", path), "baseline")
    assert {(r["method"], r["route"], r["status"]) for r in found} == {("GET", "/a", 200)}
    assert [((r["until"] - START) / timedelta(minutes=1), r["requests"]) for r in found] == [
        *((-1_430, 1), (-50, 1), (-20, 2))
    ]


def test_a_line_without_its_arrival_is_counted_as_unreadable(
    service: Service, tmp_path: Path
) -> None:
    fine = [(r.written_ms, r.json()) for r in TRUTH]
    at = (START_MS - 1, START_MS, END_MS - 1, END_MS)
    odd = [(ms, TRUTH[0].json(without="requestTimeEpoch")) for ms in at]
    torn = [(START_MS + 5, '{"requestTimeEpoch": "17684')]
    stage_of(service, "odd", [*fine, *odd, *torn], FORMAT)
    answer = ask_for(service, "counts")
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(answer))
    parsed = parse("gateway_counts", path)
    assert (parsed.unparsed, parsed.damage) == (3, "")
    assert sum(row["requests"] for row in rows(parsed, "gateway")) == len(INSIDE)


def test_a_template_has_the_arrival_as_well(service: Service) -> None:
    text = "$context.requestTimeEpoch $context.httpMethod $context.resourcePath $context.status"
    lines = [(r.written_ms, f"{r.arrived_ms} {r.method} {r.route} {r.status}") for r in TRUTH]
    stage_of(service, "text", lines, text)
    assert +Counter({key[:4]: n for key, n in counted(ask_for(service, "counts")).items()}) == (
        Counter((r.arrived_ms // 1000, r.method, r.route, r.status) for r in INSIDE)
    )


def test_what_is_counted_to_compare_is_no_answer_of_its_own(
    service: Service, tmp_path: Path
) -> None:
    path = source.errors(
        shared(), account(service), STAGE, WINDOW, tally=tally_at(), spool=tmp_path
    )
    (query,) = service.asked("StartQuery")
    assert "count(*) as failed" in query["queryString"]
    # It is a number in the header of the lines; nothing else is there to be taken for raw data.
    assert isinstance(path, Path) and kind_of(path) == "cloudwatch_events"
    header = json.loads(path.read_text().splitlines()[0])
    assert header["response"]["reconciled"]["counted"] > 0
    assert [p for p in tmp_path.iterdir() if p.is_file()] == [path]
    answers = [ask_for(service, role) for role in ("counts", "latency", "baseline")]
    assert [a["request"]["role"] for a in answers] == ["counts", "latency", "baseline"]


def test_a_query_that_the_time_runs_out_on_is_stopped(service: Service) -> None:
    service.polls = 10_000
    tally = tally_at()
    tally.until = 60.0
    with pytest.raises(Unreachable, match="its time was over"):
        source.counts(shared(), account(service), STAGE, WINDOW, tally=tally)
    assert service.count("StopQuery") == 1 and all(q.stopped for q in service.queries.values())


class InterruptedClock(HandClock):
    """A person interrupts the first pause that is long enough to be one between two polls."""

    def sleep(self, seconds: float) -> None:
        if seconds >= log_insights.FIRST_POLL_SECONDS:
            raise KeyboardInterrupt
        super().sleep(seconds)


def test_a_query_that_a_person_interrupts_is_stopped(service: Service) -> None:
    service.polls = 10_000
    tally = tally_at()
    tally.clock = InterruptedClock(WINDOW.end)
    with pytest.raises(KeyboardInterrupt):
        source.counts(shared(), account(service), STAGE, WINDOW, tally=tally)
    assert service.count("StopQuery") == 1


def test_a_query_that_fails_is_an_error_with_its_state(service: Service) -> None:
    service.plan("GetQueryResults", Fault(status=200, body={"status": "Failed", "results": []}))
    with pytest.raises(Unreachable, match="Failed"):
        source.counts(shared(), account(service), STAGE, WINDOW, tally=tally_at())


def test_a_page_that_does_not_come_leaves_the_others(service: Service) -> None:
    service.page_rows = 100
    service.plan("GetQueryResults", None, None, *[refused("InvalidParameterException", "expired")])
    answer = source.counts(shared(), account(service), STAGE, WINDOW, tally=tally_at())
    assert len(cells(answer)) == 200
    assert isinstance(answer, Mapping)
    assert "only the first 200 rows" in answer["response"]["error"]["message"]


def test_a_window_that_ended_minutes_ago_is_provisional(service: Service) -> None:
    for minutes, provisional in ((14, True), (15, False)):
        tally = tally_at(WINDOW.end + timedelta(minutes=minutes))
        answer = source.counts(shared(), account(service), STAGE, WINDOW, tally=tally)
        assert isinstance(answer, Mapping)
        assert answer["response"]["provisional"] is provisional


def test_the_clock_of_the_service_is_bounded_by_its_dates(service: Service) -> None:
    tally = tally_at()
    service.clock_ahead_seconds = tally.clock.now().timestamp() - time.time() + 90
    answer = source.counts(shared(), account(service), STAGE, WINDOW, tally=tally)
    assert isinstance(answer, Mapping)
    low, high = answer["clock_offset_seconds"]
    # This clock only moves by pauses: a test that takes some seconds sees the other one move on.
    assert 85 < low < high and low <= 100 and high - low < 30


def test_a_stage_is_read_once_for_all_questions(service: Service) -> None:
    known = shared()
    for ask in (source.counts, source.latency, source.baseline):
        ask(known, account(service), STAGE, WINDOW, tally=tally_at())
    assert service.count("GetStage") == 1


def test_a_stage_without_an_access_log_says_how_to_switch_it_on(service: Service) -> None:
    service.stages["/restapis/a1b2c3/stages/prod"] = {"stageName": "prod"}
    answer = source.counts(shared(), account(service), STAGE, WINDOW, tally=tally_at())
    assert isinstance(answer, Absent)
    assert "writes no access log" in answer.reason and "update-stage" in answer.hint


DENIED = refused(
    "AccessDeniedException", "User: arn:aws:iam::123456789012:user/x is not authorized"
)
REFUSALS = {
    "denied": ("StartQuery", DENIED, "AccessDenied", "logs:StartQuery"),
    "denied later": ("GetQueryResults", DENIED, "AccessDenied", "logs:GetQueryResults"),
    "denied stage": ("GetStage", DENIED, "AccessDenied", "apigateway:GET"),
    "expired": ("StartQuery", refused("ExpiredTokenException", "expired"), "Expired", "sign in"),
    "no group": (
        "StartQuery",
        refused("ResourceNotFoundException", "The specified log group does not exist."),
        "log group does not exist",
        "region",
    ),
    "malformed": ("StartQuery", refused("MalformedQueryException", "at |"), "Malformed", "format"),
    "signature": (
        "StartQuery",
        refused(
            "InvalidSignatureException",
            "The signature does not match. The Canonical String for this request should have been "
            "'POST x-amz-security-token:FwoGZXIvYXdzEtoken'",
            403,
        ),
        "InvalidSignature",
        "clock",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_says_what_is_needed_and_no_secret(service: Service, name: str) -> None:
    action, fault, said, hint = REFUSALS[name]
    service.plan(action, *[fault] * 9)
    with pytest.raises(Unreachable, match=said) as raised:
        source.counts(shared(), account(service), STAGE, WINDOW, tally=tally_at())
    assert hint in raised.value.hint
    assert "shop (eu-west-1)" in raised.value.message and "\n" not in raised.value.message
    for secret in ("wJalrXUtnFEMIsecret", "FwoGZXIvYXdzEtoken", "AKIDEXAMPLE"):
        assert secret not in f"{raised.value.message} {raised.value.hint}"


def test_without_credentials_or_region_the_error_says_so(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unreachable, match="NoRegionError") as raised:
        ask_counts(service, region="")
    assert "region" in raised.value.hint
    with pytest.raises(Unreachable, match="ProfileNotFound"):
        ask_counts(service, profile="nobody")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    with pytest.raises(Unreachable, match="NoCredentialsError") as raised:
        ask_counts(service)
    assert "sign in" in raised.value.hint
    assert service.calls == []


def ask_counts(service: Service, **changed: Any) -> None:
    source.counts(shared(), account(service, **changed), STAGE, WINDOW, tally=tally_at())


def test_a_service_that_stays_broken_is_left(service: Service) -> None:
    service.plan("StartQuery", *[HTML] * 50)
    with pytest.raises(Unreachable, match="no answer of StartQuery"):
        ask_counts(service)
    assert service.count("StartQuery") == 4


def test_an_answer_says_in_which_region_and_group_it_can_be_asked_again(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "answer.json"

    def read() -> Mapping[str, str]:
        answer = source.counts(shared(), account(service), STAGE, WINDOW, tally=tally_at())
        path.write_text(json.dumps(answer))
        return parse("gateway_counts", path).console

    assert read() == {}
    # As if the local server stood for AWS itself.
    monkeypatch.setattr(Caller, "console_region", property(lambda self: "eu-west-1"))
    assert read() == {"region": "eu-west-1", "log_group": GROUP}


def test_the_region_of_a_stand_in_is_not_told(service: Service) -> None:
    client = SimpleNamespace(meta=SimpleNamespace(region_name="eu-west-1"))
    here, there = account(service), AwsAccount(region="eu-west-1")
    regions = [Caller(of, "logs", client, tally_at()).console_region for of in (here, there)]
    assert regions == ["", "eu-west-1"]
