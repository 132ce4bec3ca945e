"""Raw events by FilterLogEvents: whole or told, each once, whatever the service does."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from incident_rca.errors import Unreachable
from incident_rca.formats.access_log.stage_format import compile_format
from incident_rca.model import TimeWindow
from incident_rca.model.services import GatewayStage
from incident_rca.sources import cloudwatch_logs as source
from incident_rca.sources.access_log_queries import queries_of
from incident_rca.sources.answers import Absent
from incident_rca.sources.tally import Tally
from tests.formats.builders import kind_of, parse, rows
from tests.sources.cloudwatch_logs_server import BROKEN, HTML, THROTTLED, Fault, Service, refused
from tests.sources.gateway_scene import (
    CLF,
    END_MS,
    EXECUTION,
    FORMAT,
    GROUP,
    STAGE,
    START_MS,
    WINDOW,
    Request,
    account,
    lines_of_file,
    no_way_out,
    requests,
    rest_stage,
    running_stage,
    shared,
    tally_at,
)

TRUTH = requests()
# The window, 29 s that an integration may take and 30 s until its line has come in.
READ_END_MS = END_MS + 59_000
FAILED = [r for r in TRUTH if r.status >= 500 and START_MS <= r.written_ms < READ_END_MS]
FAILED_IDS = Counter(r.request_id for r in FAILED)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Service]:
    no_way_out(monkeypatch.setenv, tmp_path)
    with running_stage() as running:
        running.put(GROUP, [(r.written_ms, r.json()) for r in TRUTH])
        yield running


def errors(
    service: Service,
    spool: Path,
    *,
    tally: Tally | None = None,
    window: TimeWindow = WINDOW,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    path = source.errors(
        shared(), account(service), STAGE, window, tally=tally or tally_at(), spool=spool
    )
    assert isinstance(path, Path)
    return lines_of_file(path)


def ids(events: list[dict[str, Any]]) -> Counter[str]:
    return Counter(json.loads(event["message"])["requestId"] for event in events)


def asked_shards(service: Service) -> list[tuple[int, int]]:
    asked = service.asked("FilterLogEvents")
    return sorted({(body["startTime"], body["endTime"]) for body in asked})


def test_the_lines_of_failed_requests_are_fetched_with_what_was_asked(
    service: Service, tmp_path: Path
) -> None:
    tally = tally_at()
    header, events = errors(service, tmp_path, tally=tally)
    assert ids(events) == FAILED_IDS and len(FAILED) > 100
    assert [e["timestamp"] for e in events] == sorted(r.written_ms for r in FAILED)
    assert set(events[0]) == {"timestamp", "ingestionTime", "eventId", "logStreamName", "message"}
    assert header["service"] == "cloudwatch_logs"
    assert header["request"] == {
        "kind": "access_log",
        "selection": "errors",
        "logGroupName": GROUP,
        "format": FORMAT,
        "stage": STAGE.text,
        "window": {"start": "2026-01-15T14:20:00Z", "end": "2026-01-15T14:24:00Z"},
    }
    assert header["response"] == {
        "complete": True,
        "error": None,
        "provisional": False,
        "reconciled": {"counted": len(FAILED), "fetched": len(FAILED)},
    }
    assert len(header["clock_offset_seconds"]) == 2
    assert tally.rows == len(FAILED) + 1 and tally.throttled == 0  # one row of Logs Insights


def test_a_request_that_ended_after_the_window_is_there(service: Service, tmp_path: Path) -> None:
    late = [r for r in TRUTH if r.status >= 500 and r.arrived_ms < END_MS <= r.written_ms]
    _, events = errors(service, tmp_path)
    assert late and {r.request_id for r in late} <= ids(events).keys()


def test_the_file_is_read_by_its_format(service: Service, tmp_path: Path) -> None:
    path = source.errors(
        shared(), account(service), STAGE, WINDOW, tally=tally_at(), spool=tmp_path
    )
    assert isinstance(path, Path) and kind_of(path) == "cloudwatch_events"
    parsed = parse("cloudwatch_events", path)
    assert (parsed.damage, parsed.unparsed, parsed.asked) == ("", 0, WINDOW)
    arrived = {r.request_id for r in FAILED if START_MS <= r.arrived_ms < END_MS}
    assert arrived <= {row["request_id"] for row in rows(parsed, "failures")}


def test_a_status_that_is_a_number_is_found_too(service: Service, tmp_path: Path) -> None:
    service.stages["/restapis/a1b2c3/stages/prod"] = rest_stage(FORMAT, "numbers")
    service.put("numbers", [(r.written_ms, r.json(number=True)) for r in TRUTH])
    _, events = errors(service, tmp_path)
    assert ids(events) == FAILED_IDS


def test_lines_of_another_format_are_told_apart_by_the_format(
    service: Service, tmp_path: Path
) -> None:
    service.stages["/restapis/a1b2c3/stages/prod"] = rest_stage(CLF, "clf")
    service.put("clf", [(r.written_ms, r.clf()) for r in TRUTH])
    odd = "no line of this format 503 at all"
    service.put("clf", [(START_MS + 5, odd)])
    header, events = errors(service, tmp_path)
    messages = Counter(e["message"] for e in events)
    # What cannot be read is no row lost: the format counts it as unreadable.
    assert messages == Counter([*(r.clf() for r in FAILED), odd])
    assert header["response"]["reconciled"] == {"counted": len(FAILED), "fetched": len(FAILED)}


def test_json_that_breaks_in_its_error_is_found(service: Service, tmp_path: Path) -> None:
    text = '{"s":"$context.status","m":"$context.error.messageString","id":"$context.requestId"}'
    service.stages["/restapis/a1b2c3/stages/prod"] = rest_stage(text, "broken")
    line = '{"s":"504","m":" "Endpoint request timed out"","id":"a"}'
    fine = '{"s":"502","m":"-","id":"b"}'
    other = '{"s":"200","m":"-","id":"504"}'
    service.put("broken", [(START_MS, line), (START_MS + 1, fine), (START_MS + 2, other)])
    header, events = errors(service, tmp_path)
    assert [e["message"] for e in events] == [line, fine]
    assert header["response"]["reconciled"] == {"counted": 2, "fetched": 2}


def test_patterns_are_of_the_service_s_language() -> None:
    nested = compile_format('{"r": {"status": "$context.status"}}')
    assert queries_of(nested).failure_pattern.count("$.r.status") == 3
    dotted = compile_format('{"r-x": "$context.status", "route": "$context.routeKey"}')
    assert not queries_of(dotted).is_exact
    assert queries_of(dotted).failure_pattern == "%..r-x....5[0-9][0-9].,..route....%"
    for text in (CLF, "$context.status", "<a>$context.status</a>"):
        pattern = queries_of(compile_format(text)).failure_pattern
        assert pattern.startswith("%") and pattern.endswith("%") and len(pattern) < 1024
    touching = queries_of(compile_format("$context.status$context.httpMethod"))
    assert "touch" in touching.missing["counts"]


# --- seams ------------------------------------------------------------------------------------


def test_no_event_is_lost_or_doubled_at_a_seam(service: Service, tmp_path: Path) -> None:
    errors(service, tmp_path / "first")
    shards = asked_shards(service)
    assert len(shards) > 5
    # What they share with their neighbours is nothing, and nothing lies between them.
    for (_, end), (start, _) in pairwise(shards):
        assert start == end + 1
    assert (shards[0][0], shards[-1][1]) == (START_MS, READ_END_MS - 1)
    edges = sorted({at + n for shard in shards for at in shard for n in (-1, 0, 1)})
    service.stages["/restapis/a1b2c3/stages/prod"] = rest_stage(FORMAT, "edges")
    made = [Request(at, 0, "GET", "/health", 503, n) for n, at in enumerate(edges)]
    service.put("edges", [(r.written_ms, r.json()) for r in made])
    header, events = errors(service, tmp_path / "second")
    inside = [r for r in made if START_MS <= r.written_ms < READ_END_MS]
    assert ids(events) == Counter(r.request_id for r in inside)
    assert header["response"]["reconciled"] == {"counted": len(inside), "fetched": len(inside)}


def test_a_window_with_a_fraction_is_read_in_whole_seconds(
    service: Service, tmp_path: Path
) -> None:
    part = timedelta(milliseconds=1.5)
    header, _ = errors(service, tmp_path, window=TimeWindow(WINDOW.start + part, WINDOW.end + part))
    shards = asked_shards(service)
    assert (shards[0][0], shards[-1][1]) == (START_MS, READ_END_MS + 999)
    # Both ways of asking mean the same stretch, so their numbers may be held together.
    asked = service.asked("StartQuery")[-1]
    assert (asked["startTime"] * 1000, asked["endTime"] * 1000 + 999) == (
        shards[0][0],
        shards[-1][1],
    )
    assert (
        header["response"]["reconciled"]["counted"] == header["response"]["reconciled"]["fetched"]
    )


# --- faults -----------------------------------------------------------------------------------

PASSING = {
    "throttled": [THROTTLED] * 6,
    "empty pages": [Fault(page="empty")] * 9,
    "a repeated token": [Fault(page="stuck")] * 2,
    "a page twice": [Fault(page="again")] * 2,
    "html": [HTML] * 3,
    "broken": [BROKEN] * 3,
    "unavailable": [refused("ServiceUnavailableException", "", 503)] * 3,
    "one of each": [THROTTLED, Fault(page="empty"), HTML, Fault(page="again"), BROKEN],
}


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_leaves_the_data_whole(service: Service, tmp_path: Path, name: str) -> None:
    service.page_events = 7
    service.plan("FilterLogEvents", None, None, *PASSING[name])
    tally = tally_at()
    header, events = errors(service, tmp_path, tally=tally)
    assert ids(events) == FAILED_IDS
    assert header["response"]["complete"] and header["response"]["error"] is None
    assert tally.throttled == PASSING[name].count(THROTTLED)


def test_a_page_ends_at_a_megabyte_too(service: Service, tmp_path: Path) -> None:
    service.page_bytes = 1_500
    _, events = errors(service, tmp_path)
    assert ids(events) == FAILED_IDS and service.count("FilterLogEvents") > len(FAILED) / 8


def test_a_token_that_never_gets_on_is_told_and_the_others_are_whole(
    service: Service, tmp_path: Path
) -> None:
    service.plan("FilterLogEvents", *[Fault(page="stuck")] * 16)
    header, events = errors(service, tmp_path)
    assert header["response"]["complete"] is False
    assert header["response"]["error"]["code"] == "Pagination"
    assert header["response"]["reconciled"] is None
    assert FAILED_IDS >= ids(events) and len(events) > 0
    # The next time only what is missing is asked for.
    service.calls.clear()
    header, events = errors(service, tmp_path)
    assert ids(events) == FAILED_IDS and header["response"]["complete"]
    assert 1 <= service.count("FilterLogEvents") <= 4  # one for each shard that stood still


REFUSED = {
    "denied": (refused("AccessDeniedException", "not authorized"), "logs:FilterLogEvents"),
    "expired": (refused("ExpiredTokenException", "expired"), "sign in"),
    "no group": (refused("ResourceNotFoundException", "no such group"), "region"),
    "stays broken": (HTML, "ask again"),
    "stays throttled": (THROTTLED, "--timeout"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_service_that_gives_nothing_is_an_error_with_a_hint(
    service: Service, tmp_path: Path, name: str
) -> None:
    fault, hint = REFUSED[name]
    service.plan("FilterLogEvents", *[fault] * 99)
    with pytest.raises(Unreachable, match="FilterLogEvents in shop") as raised:
        errors(service, tmp_path)
    assert hint in raised.value.hint
    assert list(tmp_path.rglob("*.part")) == []


def test_what_came_before_a_refusal_is_kept_and_asked_for_no_more(
    service: Service, tmp_path: Path
) -> None:
    service.page_events = 5
    service.plan("FilterLogEvents", *[None] * 12, *[refused("ExpiredTokenException", "over")] * 9)
    header, first = errors(service, tmp_path)
    assert header["response"]["complete"] is False
    assert header["response"]["error"]["code"] == "ExpiredTokenException"
    assert 0 < len(first) < len(FAILED) and FAILED_IDS > ids(first)
    service.calls.clear()
    service.faults.clear()
    header, events = errors(service, tmp_path)
    assert ids(events) == FAILED_IDS and header["response"]["complete"]
    # Nothing that came is asked for again, but for the last millisecond of a shard that broke off.
    known = {event["timestamp"] for event in first}
    for start, end in asked_shards(service):
        assert len([at for at in known if start < at <= end]) == 0


def test_time_that_is_over_keeps_what_is_there(service: Service, tmp_path: Path) -> None:
    tally = tally_at()
    tally.until = 2.5
    service.page_events = 5
    header, first = errors(service, tmp_path, tally=tally)
    assert header["response"]["error"]["code"] == "TimeOver"
    assert 0 < len(first) < len(FAILED)
    done = asked_shards(service)
    service.calls.clear()
    header, events = errors(service, tmp_path)
    assert ids(events) == FAILED_IDS and header["response"]["complete"]
    assert not set(done) & set(asked_shards(service))


def test_a_whole_answer_is_not_fetched_twice(service: Service, tmp_path: Path) -> None:
    _, first = errors(service, tmp_path)
    service.calls.clear()
    _, second = errors(service, tmp_path)
    assert first == second and service.count("FilterLogEvents") == 0


def test_another_question_does_not_find_the_answers_of_this_one(
    service: Service, tmp_path: Path
) -> None:
    errors(service, tmp_path)
    service.stages["/restapis/a1b2c3/stages/prod"] = rest_stage(CLF, "clf")
    service.put("clf", [(r.written_ms, r.clf()) for r in TRUTH])
    _, events = errors(service, tmp_path)
    assert Counter(e["message"] for e in events) == Counter(r.clf() for r in FAILED)


def test_the_young_end_is_read_again_for_events_that_came_in_late(
    service: Service, tmp_path: Path
) -> None:
    late = Request(END_MS - 30_000, 10, "POST", "/api/orders", 502, 999_999)
    ingested_ms = END_MS + 600_000
    service.put(GROUP, [(late.written_ms, late.json())], ingested_ms)
    service.now_ms = END_MS + 300_000
    header, first = errors(service, tmp_path, tally=tally_at(WINDOW.end + timedelta(minutes=12)))
    assert header["response"]["provisional"] and header["response"]["complete"]
    assert parse("cloudwatch_events", tmp_path / "access_log.ndjson").damage == ""
    assert late.request_id not in ids(first)
    service.now_ms = ingested_ms
    service.calls.clear()
    header, second = errors(service, tmp_path, tally=tally_at(WINDOW.end + timedelta(hours=1)))
    assert header["response"]["provisional"] is False
    assert ids(second) == FAILED_IDS + Counter([late.request_id])
    # Twelve minutes after the end, the first minute of the window was old enough.
    assert asked_shards(service)[0][0] == START_MS + 60_000
    service.calls.clear()
    assert errors(service, tmp_path)[1] == second and service.count("FilterLogEvents") == 0


def test_two_numbers_that_differ_are_both_told(service: Service, tmp_path: Path) -> None:
    odd = FORMAT.replace("$context.status", "0502").replace("$context.", "")
    service.put(GROUP, [(START_MS + 1, odd)])  # a number above 500, but no text that begins with 5
    header, events = errors(service, tmp_path)
    assert ids(events) == FAILED_IDS
    expected = {"counted": len(FAILED) + 1, "fetched": len(FAILED)}
    assert header["response"]["reconciled"] == expected
    damage = parse("cloudwatch_events", tmp_path / "access_log.ndjson").damage
    assert f"counted {len(FAILED) + 1} failures, {len(FAILED)} lines" in damage


def test_lines_that_cannot_be_counted_are_fetched_all_the_same(
    service: Service, tmp_path: Path
) -> None:
    service.plan("StartQuery", refused("AccessDeniedException", "no"))
    header, events = errors(service, tmp_path)
    assert ids(events) == FAILED_IDS and header["response"]["complete"]
    assert header["response"]["reconciled"] is None
    assert "AccessDenied" in header["response"]["uncounted"]
    damage = parse("cloudwatch_events", tmp_path / "access_log.ndjson").damage
    assert "did not count the failures" in damage and "AccessDenied" in damage


def test_lines_of_a_format_that_cannot_be_counted_say_so(service: Service, tmp_path: Path) -> None:
    text = "$context.requestTimeEpoch $context.httpMethod$context.routeKey $context.status"
    service.stages["/restapis/a1b2c3/stages/prod"] = rest_stage(text, "touching")
    service.put("touching", [(START_MS, f"{START_MS} GETGET /a 502")])
    header, events = errors(service, tmp_path)
    assert len(events) == 1 and "touch" in header["response"]["uncountable"]
    parsed = parse("cloudwatch_events", tmp_path / "access_log.ndjson")
    assert parsed.damage == "" and "touch" in parsed.lacks[-1]


# --- execution logs and PostgreSQL ------------------------------------------------------------


def execution_lines(request: Request) -> list[tuple[int, str]]:
    said = ["Starting execution for request", f"Method completed with status: {request.status}"]
    times = (request.arrived_ms, request.written_ms)
    return [(at, f"({request.request_id}) {text}") for at, text in zip(times, said, strict=True)]


def fetch_execution(service: Service, folder: Path, stage: GatewayStage = STAGE) -> Any:
    return source.execution(
        shared(),
        account(service),
        stage,
        WINDOW,
        tally=tally_at(),
        spool=folder / "execution",
        errors_spool=folder / "errors",
    )


def test_the_execution_log_of_some_failed_requests_is_fetched(
    service: Service, tmp_path: Path
) -> None:
    lines = [line for request in TRUTH for line in execution_lines(request)]
    service.put(EXECUTION, sorted(lines))
    header, events = lines_of_file(fetch_execution(service, tmp_path))
    asked = header["request"]["requests"]
    assert asked["failed"] == len(FAILED) and 60 <= asked["asked"] <= 96
    found = {event["message"][1:37] for event in events}
    by_id = {r.request_id: r for r in FAILED}
    assert found <= by_id.keys() and len(found) == asked["asked"]
    assert set(Counter(by_id[f].status for f in found)) == {500, 502, 503, 504}
    assert max(Counter(by_id[f].status for f in found).values()) <= 24
    expected = Counter(text for f in found for _, text in execution_lines(by_id[f]))
    assert Counter(event["message"] for event in events) == expected
    assert header["request"]["kind"] == "execution_log"
    assert header["request"]["logGroupName"] == EXECUTION
    for body in service.asked("FilterLogEvents"):
        assert len(body.get("filterPattern", "")) <= 1024


def test_no_failed_request_needs_no_execution_log(service: Service, tmp_path: Path) -> None:
    service.stages["/restapis/a1b2c3/stages/prod"] = rest_stage(FORMAT, "quiet")
    service.put("quiet", [(START_MS, requests()[0].json())])
    assert isinstance(fetch_execution(service, tmp_path), Absent)


def test_an_http_api_has_no_execution_log(service: Service, tmp_path: Path) -> None:
    service.stages["/v2/apis/h1/stages/live"] = rest_stage()
    service.stages["/v2/apis/h1/integrations"] = {"items": []}
    absent = fetch_execution(service, tmp_path, GatewayStage("http", "h1", "live"))
    assert isinstance(absent, Absent) and "HTTP APIs have no execution log" in absent.reason


def test_failed_lines_are_fetched_once_for_both_questions(service: Service, tmp_path: Path) -> None:
    known = shared()
    spool = tmp_path / "errors"
    source.errors(known, account(service), STAGE, WINDOW, tally=tally_at(), spool=spool)
    service.calls.clear()
    source.execution(
        known,
        account(service),
        STAGE,
        WINDOW,
        tally=tally_at(),
        spool=tmp_path / "execution",
        errors_spool=spool,
    )
    assert {body["logGroupName"] for body in service.asked("FilterLogEvents")} == {EXECUTION}


def test_the_log_of_postgresql_is_fetched_whole_with_a_minute_more(
    service: Service, tmp_path: Path
) -> None:
    edges = (START_MS - 60_001, START_MS - 60_000, START_MS, END_MS + 59_999, END_MS + 60_000)
    lines = [(at, f"2026-01-15 UTC:app@shop:[{n}]:LOG:  ü\twaits") for n, at in enumerate(edges)]
    service.put("/aws/rds/cluster/shop/postgresql", lines)
    path = source.postgres(
        shared(),
        account(service),
        "/aws/rds/cluster/shop/postgresql",
        WINDOW,
        tally=tally_at(),
        spool=tmp_path,
    )
    assert isinstance(path, Path)
    header, events = lines_of_file(path)
    assert [(e["timestamp"], e["message"]) for e in events] == lines[1:4]
    assert (header["request"]["kind"], header["request"]["selection"]) == ("postgres_log", "all")
    assert header["response"]["reconciled"] is None and header["response"]["complete"]


# --- the stand-in -----------------------------------------------------------------------------


def test_the_bounds_of_the_stand_in_are_those_of_the_service(service: Service) -> None:
    service.put("bounds", [(at, "x") for at in (999, 1_000, 1_999, 2_000, 2_001, 2_999, 3_000)])
    asked = {"logGroupName": "bounds", "startTime": 1_000, "endTime": 2_000}
    found = service.answer("FilterLogEvents", asked)["events"]
    assert [event["timestamp"] for event in found] == [1_000, 1_999, 2_000]
    query = {
        "logGroupNames": ["bounds"],
        "startTime": 1,
        "endTime": 2,
        "queryString": "fields @timestamp",
    }
    started = service.answer("StartQuery", query)
    rows = service.answer("GetQueryResults", started)["results"]
    times = sorted(int(row[0]["value"]) for row in rows)
    assert times == [1_000, 1_999, 2_000, 2_001, 2_999]


@pytest.mark.parametrize(
    ("condition", "passed"),
    [
        ("a = 1 or b = 1 and c = 1", "a abc bc"),
        ("(a = 1 or b = 1) and c = 1", "abc bc"),
        ("not ispresent(a)", "bc c"),
        ("not ispresent(a) and ispresent(b) or b = 1 and c = 1", "abc bc"),
        ("toMillis(@timestamp) >= 2 and toMillis(@timestamp) < 4", "bc c"),
        ("floor(@timestamp / 2) * 2 = 2", "bc c"),
        ("a >= 0", "a abc"),
    ],
)
def test_conditions_of_the_stand_in_bind_as_those_of_the_service(
    service: Service, condition: str, passed: str
) -> None:
    names = ("a", "bc", "c", "abc")
    lines = [json.dumps({"name": name} | dict.fromkeys(name, "1")) for name in names]
    service.put("conditions", list(enumerate(lines, start=1)))
    started = service.answer(
        "StartQuery",
        {
            "logGroupNames": ["conditions"],
            "startTime": 0,
            "endTime": 1,
            "queryString": f"filter {condition} | fields name",
        },
    )
    rows = service.answer("GetQueryResults", started)["results"]
    assert sorted(row[0]["value"] for row in rows) == passed.split()


@pytest.mark.parametrize(
    ("action", "asked"),
    [
        ("StartQuery", {"queryString": "filter not status | fields x"}),
        ("StartQuery", {"queryString": "fields toMillis(status)"}),
        ("StartQuery", {"queryString": "filter status >= 500 | explode x"}),
        ("StartQuery", {"queryString": "stats median(x)"}),
        ("FilterLogEvents", {"filterPattern": "{ $.status ~ 5 }"}),
        ("FilterLogEvents", {"filterPattern": '%"5[0-9]"%'}),
    ],
)
def test_the_stand_in_refuses_what_it_cannot_read(
    service: Service, action: str, asked: dict[str, Any]
) -> None:
    times = {"startTime": 1, "endTime": 2, "logGroupName": GROUP, "logGroupNames": [GROUP]}
    with pytest.raises(Exception, match=r"unexpected|unknown|condition|unsupported|timestamp is"):
        service.answer(action, asked | times)
