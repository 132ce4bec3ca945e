"""Events of CloudWatch Logs, collected and printed: every event once, and its place."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from incident_rca.errors import BadInput
from incident_rca.formats.parsed import Parsed
from tests.formats.builders import (
    START,
    START_MS,
    instant,
    kind_of,
    parse,
    request,
    rows,
    write,
    write_gzip,
)

COMPLETE = {"complete": True, "error": None}


def event(number: int, message: str, *, second: float = 0.0) -> dict[str, Any]:
    at = START_MS + round(second * 1000)
    return {
        "timestamp": at,
        "ingestionTime": at + 700,
        "eventId": f"3{number:055d}",
        "logStreamName": "s",
        "message": message,
    }


def header(kind: str = "access_log", response: Any = COMPLETE, **given: Any) -> dict[str, Any]:
    return {
        "service": "cloudwatch_logs",
        "request": {
            "kind": kind,
            "selection": "all",
            "logGroupName": "g",
            "format": "",
            "stage": "rest:a1b2c3/prod",
            "window": {"start": "2026-01-15T14:10:00Z", "end": "2026-01-15T15:10:00Z"},
        }
        | given,
        "asked_at": "2026-01-15T15:12:00Z",
        "response": response,
    }


def collected(folder: Path, first: dict[str, Any], *events: Any) -> Path:
    lines = (e if isinstance(e, str) else json.dumps(e) for e in (first, *events))
    return write(folder / "events.ndjson", *lines)


def failed(second: float = 0.0, **given: Any) -> str:
    passed = {"status": "502", "integrationStatus": "502", "integration_status": "502"}
    return request(second, **passed | given)


def read(path: Path) -> Parsed:
    return parse("cloudwatch_events", path)


def test_collected_events_are_lines_of_the_file(tmp_path: Path) -> None:
    events = [event(1, request(0)), event(2, failed(1)), event(3, failed(2))]
    path = collected(tmp_path, header(), *events, events[1])
    assert kind_of(path) == "cloudwatch_events"
    parsed = read(path)
    assert (parsed.rows, parsed.unparsed, parsed.damage) == (3, 0, "")
    failures = rows(parsed, "failures")
    assert [(r["line"], r["at"]) for r in failures] == [
        (3, START + timedelta(seconds=1)),
        (4, START + timedelta(seconds=2)),
    ]
    assert [r["error_type"] for r in failures] == ["backend_5xx", "backend_5xx"]
    assert sum(r["requests"] for r in rows(parsed, "gateway")) == 3
    assert parsed.covered == parsed.asked is not None
    assert (parsed.asked.start, parsed.asked.end) == (instant("14:10"), instant("15:10"))


def test_a_selection_of_errors_counts_no_requests(tmp_path: Path) -> None:
    path = collected(tmp_path, header(selection="errors"), event(1, failed()), event(2, failed(1)))
    parsed = read(path)
    assert len(rows(parsed, "failures")) == 2
    assert rows(parsed, "gateway") == []


def test_an_answer_without_an_event_is_empty_and_covers_its_window(tmp_path: Path) -> None:
    path = collected(tmp_path, header(selection="errors"))
    assert kind_of(path) == "cloudwatch_events"
    parsed = read(path)
    assert (parsed.rows, parsed.unparsed, parsed.damage) == (0, 0, "")
    assert parsed.covered == parsed.asked is not None


@pytest.mark.parametrize(
    ("response", "said"),
    [
        ({"complete": False, "error": None}, "not complete"),
        ({"complete": False, "error": {"code": "ThrottlingException", "message": "x"}}, "Throttl"),
    ],
)
def test_what_is_not_whole_says_so_and_keeps_what_came(
    response: Any, said: str, tmp_path: Path
) -> None:
    parsed = read(collected(tmp_path, header(response=response), event(1, failed(5))))
    assert said in parsed.damage and len(rows(parsed, "failures")) == 1
    assert parsed.covered is not None and parsed.covered.seconds < 1


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (
            {"reconciled": {"counted": 7, "fetched": 1}},
            "Logs Insights counted 7 failures, 1 lines were fetched",
        ),
        ({"uncounted": "StartQuery: AccessDenied"}, "did not count the failures: StartQuery"),
        ({"provisional": True}, ""),
        ({"reconciled": {"counted": 1, "fetched": 1}, "provisional": False}, ""),
        ({"reconciled": None}, ""),
    ],
)
def test_what_may_have_more_is_to_be_collected_again(
    response: Any, said: str, tmp_path: Path
) -> None:
    parsed = read(collected(tmp_path, header(response=COMPLETE | response), event(1, failed(5))))
    assert said in parsed.damage and bool(parsed.damage) is bool(said)
    # All of the window was read all the same.
    assert parsed.covered == parsed.asked is not None and len(rows(parsed, "failures")) == 1


def test_all_that_an_answer_says_of_itself_is_told(tmp_path: Path) -> None:
    response = {"complete": False, "error": {"code": "A", "message": "b"}}
    response |= {"uncounted": "no time"}
    damage = read(collected(tmp_path, header(response=response), event(1, failed(5)))).damage
    assert damage.startswith("the answer broke off: A b; Logs Insights did not count")


def test_failures_that_no_format_lets_count_are_no_damage(tmp_path: Path) -> None:
    response = COMPLETE | {"uncountable": "variables that touch"}
    parsed = read(collected(tmp_path, header(response=response), event(1, failed(5))))
    assert parsed.damage == ""
    assert "failures were not counted: variables that touch" in parsed.lacks


def test_torn_events_are_unparsed_and_renumber_nothing(tmp_path: Path) -> None:
    torn = json.dumps(event(1, failed()))[:80]
    path = collected(tmp_path, header(), torn, event(2, "junk"), "", event(3, failed()), '{"a": 1}')
    parsed = read(path)
    assert (parsed.rows, parsed.unparsed) == (1, 3)
    assert [row["line"] for row in rows(parsed, "failures")] == [5]


def test_a_torn_gzip_keeps_what_stands_before(tmp_path: Path) -> None:
    lines = [json.dumps(header())] + [json.dumps(event(n, failed(n))) for n in range(2000)]
    path = write_gzip(tmp_path / "events.gz", "\n".join(lines).encode())
    path.write_bytes(path.read_bytes()[:-500])
    parsed = read(path)
    assert parsed.damage and 100 < parsed.rows < 2000 and parsed.unparsed <= 1


def test_the_format_in_the_header_reads_the_messages(tmp_path: Path) -> None:
    text = "$context.requestTimeEpoch|$context.status|$context.httpMethod|$context.resourcePath"
    path = collected(
        tmp_path, header(format=text), event(1, f"{START_MS}|502|GET|/a"), event(2, "torn|x")
    )
    parsed = read(path)
    assert (parsed.rows, parsed.unparsed) == (1, 1)
    (row,) = rows(parsed, "failures")
    assert (row["line"], row["status"], row["route"]) == (2, 502, "/a")
    assert "format lacks integration.*: types not separable" in parsed.lacks


def test_without_a_time_in_the_format_the_event_dates_the_request(tmp_path: Path) -> None:
    text = '{"s": "$context.status", "r": "$context.routeKey", "l": "$context.responseLatency"}'
    message = '{"s": "504", "r": "GET /a", "l": "29000"}'
    parsed = read(collected(tmp_path, header(format=text), event(1, message, second=30)))
    (row,) = rows(parsed, "failures")
    assert row["at"] == START + timedelta(seconds=1)
    assert parsed.resolution_seconds == 1.0


def execution(*texts: str) -> list[dict[str, Any]]:
    return [event(n, f"(r-1) {text}", second=n / 1000) for n, text in enumerate(texts)]


EXECUTION = execution(
    "Starting execution for request: r-1",
    "HTTP Method: GET, Resource Path: /a",
    "Endpoint response body before transformations: {\n}",
    "Lambda execution failed with status 200 due to customer function error: one\ntwo",
    "Method completed with status: 502",
)


@pytest.mark.parametrize("has_header", [True, False])
def test_an_execution_log_is_grouped_by_request(has_header: bool, tmp_path: Path) -> None:
    first = [header("execution_log")] if has_header else []
    path = write(tmp_path / "e", *(json.dumps(e) for e in (*first, *EXECUTION)))
    assert kind_of(path) == "cloudwatch_events"
    (row,) = rows(read(path), "failures")
    assert (row["line"], row["at"]) == (4 + has_header, START)
    assert (row["status"], row["error_type"], row["seen_in"]) == (
        502,
        "function_error",
        "execution",
    )
    assert row["message"].endswith("customer function error: one\ntwo")


# --- what the command line prints -----------------------------------------------------------------


def printed(*events: dict[str, Any]) -> str:
    searched = [{"logStreamName": "s", "searchedCompletely": True}]
    return json.dumps({"events": list(events), "searchedLogStreams": searched}, indent=4)


def test_pages_of_filter_log_events_are_one_log(tmp_path: Path) -> None:
    pages = (
        printed(event(1, request(0)), event(2, failed(1))),
        printed(),
        printed(event(2, failed(1)), event(3, failed(2, responseLatency="29001"))),
    )
    path = write(tmp_path / "log.json", *pages)
    assert kind_of(path) == "cloudwatch_events"
    parsed = read(path)
    assert (parsed.rows, parsed.unparsed, parsed.asked) == (3, 0, None)
    # The event that two pages have is the second as well as the third: it is read at the first.
    assert [row["line"] for row in rows(parsed, "failures")] == [2, 4]
    assert sum(row["requests"] for row in rows(parsed, "gateway")) == 3


def test_envelopes_of_a_subscription_are_one_log(tmp_path: Path) -> None:
    def envelope(kind: str, *events: tuple[str, str]) -> bytes:
        listed = [{"id": i, "timestamp": 1768487000000, "message": m} for i, m in events]
        return gzip.compress(json.dumps({"messageType": kind, "logEvents": listed}).encode())

    path = tmp_path / "delivered"
    path.write_bytes(
        envelope("CONTROL_MESSAGE", ("", "CWL CONTROL MESSAGE: Checking health of destination."))
        + envelope("DATA_MESSAGE", ("1", failed(1)), ("2", request(2)))
        + envelope("DATA_MESSAGE", ("2", request(2)), ("3", "{torn"))
    )
    assert kind_of(path) == "cloudwatch_events"
    parsed = read(path)
    assert (parsed.rows, parsed.unparsed) == (2, 1)
    assert sum(row["requests"] for row in rows(parsed, "gateway")) == 2


def test_get_log_events_has_no_ids(tmp_path: Path) -> None:
    events = [{"timestamp": START_MS, "message": failed(), "ingestionTime": START_MS}] * 2
    tokens = {"nextForwardToken": "f/1", "nextBackwardToken": "b/1"}
    path = write(tmp_path / "log.json", json.dumps({"events": events} | tokens))
    assert kind_of(path) == "cloudwatch_events"
    parsed = read(path)
    assert (parsed.rows, len(rows(parsed, "failures"))) == (2, 2)


def test_a_print_of_errors_alone_counts_no_requests(tmp_path: Path) -> None:
    parsed = read(write(tmp_path / "log.json", printed(event(1, failed()), event(2, failed(1)))))
    assert (len(rows(parsed, "failures")), rows(parsed, "gateway")) == (2, [])


# --- logs of PostgreSQL ---------------------------------------------------------------------------


def test_a_log_of_postgres_gives_what_its_format_reads(tmp_path: Path) -> None:
    origin = "2026-01-15 14:10:05 UTC:10.0.0.1(5000):u@shop:[7]:"
    messages = [
        "2026-01-15 14:10:00 UTC::@:[1]:LOG:  checkpoint starting: time",
        f"{origin}LOG:  process 7 still waiting for RowExclusiveLock on relation 16437 of "
        "database 5 after 1000.123 ms",
        f"{origin}DETAIL:  Process holding the lock: 8. Wait queue: 7.",
        f"{origin}STATEMENT:  TRUNCATE stock",
    ]
    path = collected(
        tmp_path,
        header("postgres_log"),
        *(event(n, message) for n, message in enumerate(messages)),
    )
    assert kind_of(path) == "cloudwatch_postgres_log"
    parsed = parse("cloudwatch_postgres_log", path)
    plain = parse("postgres_log", write(tmp_path / "plain.log", *messages))
    assert (parsed.rows, parsed.unparsed) == (plain.rows, 0)
    (lock,), (wanted,) = rows(parsed, "locks"), rows(plain, "locks")
    assert (lock["waiter_pid"], lock["holder_pid"], lock["line"]) == (7, 8, 3)
    ignored = {"line", "file"}
    assert {k: v for k, v in lock.items() if k not in ignored} == {
        k: v for k, v in wanted.items() if k not in ignored
    }


def test_printed_events_of_postgres_stay_with_its_own_format(tmp_path: Path) -> None:
    stamped = "2026-01-15 14:10:00.000 UTC:10.0.0.1(5000):u@shop:[7]:LOG:  checkpoint starting"
    path = write(tmp_path / "log.json", printed(event(1, stamped)))
    assert kind_of(path) == "postgres_log"


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="the kind 'flow_log'"):
        read(collected(tmp_path, header("flow_log"), event(1, "x")))
