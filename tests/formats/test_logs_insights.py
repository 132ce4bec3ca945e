"""Logs Insights answers: counts by bin, the asked window, and answers that are not whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from incident_rca.errors import BadInput
from incident_rca.formats.parsed import Parsed
from tests.formats.builders import bucket, envelope, instant, kind_of, parse, rows, write

REQUEST = {
    "operation": "StartQuery",
    "startTime": int(instant("13:00").timestamp()),
    "endTime": int(instant("14:59:59").timestamp()),
    "queryString": "stats count(*) as requests by bin(1h), httpMethod, resourcePath, status",
}


def result(
    at: str = "2026-01-15 13:00:00.000",
    count: str = "5",
    *,
    status: str = "200",
    width: str = "1h",
    name: str = "requests",
) -> list[dict[str, str]]:
    cells = {
        name: count,
        f"bin({width})": at,
        "status": status,
        "resourcePath": "/a",
        "httpMethod": "GET",
        "@ptr": "x",
    }
    return [{"field": field, "value": value} for field, value in cells.items()]


def answer(*results: Any, matched: int = 5, scanned: int = 9, **given: Any) -> dict[str, Any]:
    return {
        "status": "Complete",
        "statistics": {"recordsMatched": float(matched), "recordsScanned": float(scanned)},
        "results": list(results),
    } | given


def read(folder: Path, response: Any, request: Any = REQUEST) -> Parsed:
    return parse("logs_insights", write(folder / "baseline.json", envelope(request, response)))


def test_a_bin_is_a_row(tmp_path: Path) -> None:
    parsed = read(tmp_path, answer(result(), result(status="502", count="2"), matched=7))
    first, second = rows(parsed, "baseline")
    assert (first["row"], second["row"]) == (1, 2)
    assert (first["at"], first["until"]) == (instant("13:00"), instant("14:00"))
    assert (first["method"], first["route"], first["status"]) == ("GET", "/a", 200)
    assert (first["requests"], second["requests"]) == (5, 2)
    assert first["records_scanned"] == 9
    assert (parsed.rows, parsed.unparsed, parsed.damage) == (2, 0, "")
    assert parsed.query == REQUEST["queryString"]
    assert parsed.resolution_seconds == 3600


def test_the_end_that_was_asked_for_is_inclusive(tmp_path: Path) -> None:
    parsed = read(tmp_path, answer(result()))
    assert parsed.asked is not None and parsed.covered == parsed.asked
    assert (parsed.asked.start, parsed.asked.end) == (instant("13:00"), instant("15:00"))


@pytest.mark.parametrize(
    ("width", "seconds"), [("30s", 30), ("5m", 300), ("1h", 3600), ("1d", 86400), ("5 m", 300)]
)
def test_a_bin_is_as_wide_as_it_says(tmp_path: Path, width: str, seconds: int) -> None:
    parsed = read(tmp_path, answer(result(width=width)))
    (row,) = rows(parsed, "baseline")
    assert (row["until"] - row["at"]).total_seconds() == parsed.resolution_seconds == seconds


@pytest.mark.parametrize("name", ["requests", "n", "count(*)"])
def test_the_count_has_one_of_its_usual_names(tmp_path: Path, name: str) -> None:
    (row,) = rows(read(tmp_path, answer(result(name=name))), "baseline")
    assert row["requests"] == 5


def test_no_match_is_an_answer(tmp_path: Path) -> None:
    parsed = read(tmp_path, answer(matched=0, scanned=400))
    assert (parsed.rows, parsed.unparsed, parsed.damage) == (0, 0, "")
    assert parsed.covered == parsed.asked is not None


@pytest.mark.parametrize(
    "broken",
    [
        result(at="yesterday"),
        result(count="many"),
        result(status="-"),
        result(width="1 fortnight"),
        result(name="p99"),
        result()[1:],
        [],
        None,
        7,
        "text",
        [None, 3],
    ],
)
def test_a_result_that_is_no_count_is_unparsed(tmp_path: Path, broken: Any) -> None:
    parsed = read(tmp_path, answer(broken, result()))
    assert (parsed.rows, parsed.unparsed) == (1, 1)
    assert [row["row"] for row in rows(parsed, "baseline")] == [2]


def test_rows_that_do_not_add_up_are_damage(tmp_path: Path) -> None:
    assert read(tmp_path, answer(result(), matched=6)).damage
    assert not read(tmp_path, answer(result(), matched=5)).damage


@pytest.mark.parametrize("status", ["Running", "Scheduled", "Failed", "Timeout", "Cancelled"])
def test_a_query_that_did_not_end_is_refused(tmp_path: Path, status: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, answer(result(), status=status))
    assert status in caught.value.message and caught.value.hint


def test_a_bare_answer_says_what_its_bins_cover(tmp_path: Path) -> None:
    later = result("2026-01-15 14:00:00.000")
    path = write(tmp_path / "a.json", json.dumps(answer(result(), later, matched=10)))
    parsed = parse("logs_insights", path, query="stats …")
    assert parsed.asked is None and parsed.covered is not None
    assert (parsed.covered.start, parsed.covered.end) == (instant("13:00"), instant("15:00"))
    assert parsed.query == "stats …"


@pytest.mark.parametrize(
    "response",
    [
        answer(results=None),
        answer(results={}),
        answer(statistics=None),
        answer(statistics={"recordsMatched": None, "recordsScanned": "?"}),
        {"status": "Complete", "statistics": {}},
        None,
        [],
        {"message": "AccessDenied"},
    ],
)
def test_another_answer_is_refused_or_read_but_never_a_crash(tmp_path: Path, response: Any) -> None:
    try:
        parsed = read(tmp_path, response)
    except BadInput as error:
        assert "baseline.json" in error.message
    else:
        assert parsed.rows == len(rows(parsed, "baseline"))


# --- counts and latencies of the window -----------------------------------------------------------

COUNTS = REQUEST | {
    "role": "counts",
    "queryString": "stats count(*) as requests by bin(1s) as second, httpMethod as method, "
    "resourcePath as route, status, errorResponseType as response_type, integrationStatus as "
    "integration_status, integration.status as backend_status, integration.error as error_text",
}
LATENCY = REQUEST | {
    "role": "latency",
    "queryString": "stats count(*) as requests_in_bucket by bin(60s) as second, httpMethod as "
    "method, resourcePath as route, status, ceil(log(greatest(latency, 1)) / log(1.02)) as "
    "latency_bucket",
}


def cells(**given: Any) -> list[dict[str, str]]:
    """A row of the answer by its aliases; None leaves a column out."""
    fields = {
        "second": "2026-01-15 13:00:05.000",
        "method": "GET",
        "route": "/a",
        "status": "200",
        "response_type": "-",
        "integration_status": "200",
        "backend_status": "200",
        "error_text": "-",
        "requests": "5",
    } | given
    return [{"field": k, "value": str(v)} for k, v in fields.items() if v is not None]


def failed(**given: Any) -> list[dict[str, str]]:
    return cells(**{"status": "502", "integration_status": "-", "backend_status": "-"} | given)


def test_only_100_to_599_is_a_status(tmp_path: Path) -> None:
    statuses = ["100", "599", "600", "99999", "0", "-502", "5e2"]
    parsed = read(tmp_path, answer(*(cells(status=status) for status in statuses)), COUNTS)
    found = sorted(row["status"] for row in rows(parsed, "gateway"))
    # Logs Insights itself writes a number as 5.0E2.
    assert (found, parsed.unparsed) == ([100, 500, 599], 4 * 5)


def test_counts_are_rows_of_the_gateway(tmp_path: Path) -> None:
    results = [
        cells(),
        failed(response_type="INTEGRATION_FAILURE", requests="2"),
        failed(integration_status="200", error_text="Lambda Customer Function Error: a"),
        failed(integration_status="200", error_text="Lambda Customer Function Error: b"),
    ]
    parsed = read(tmp_path, answer(*results, matched=17), COUNTS)
    assert (parsed.rows, parsed.unparsed, parsed.damage) == (3, 0, "")
    assert parsed.resolution_seconds == 1.0 and "baseline" not in parsed.frames
    found = rows(parsed, "gateway")
    assert {r["second"] for r in found} == {instant("13:00:05")}
    assert [(r["status"], r["error_type"], r["requests"]) for r in found] == [
        *((200, None, 5), (502, "function_error", 10), (502, "integration_network", 2))
    ]
    assert [(r["line_first"], r["line_last"]) for r in found] == [(1, 1), (3, 4), (2, 2)]
    assert all(r["latency_ms_bounds"] == [] == r["latency_ms_counts"] for r in found)


def test_a_column_that_the_format_lacks_proves_nothing(tmp_path: Path) -> None:
    bare = cells(
        status="502",
        **dict.fromkeys(("response_type", "integration_status", "backend_status", "error_text")),
    )
    request = COUNTS | {"queryString": "stats count(*) as requests by bin(1s) as second"}
    (row,) = rows(read(tmp_path, answer(bare), request), "gateway")
    assert row["error_type"] == "gateway_5xx_unexplained"


def test_routes_of_http_apis_and_websockets_are_told(tmp_path: Path) -> None:
    results = [
        cells(route="GET /items/{id}", method=None),
        cells(route="sendmessage", method=None, event_type="MESSAGE"),
        cells(route="$default", method="POST"),
        cells(route="$connect", method="-", event_type="CONNECT"),
        cells(route="PUT /items/{id}", method="-", event_type="-"),
        cells(route="/nothing", method="-"),
    ]
    parsed = read(tmp_path, answer(*results, matched=30), COUNTS)
    assert (parsed.unparsed, parsed.damage) == (0, "")
    assert {(r["method"], r["route"]) for r in rows(parsed, "gateway")} == {
        *(("GET", "/items/{id}"), ("WS", "sendmessage"), ("POST", "$default")),
        *(("WS", "$connect"), ("PUT", "/items/{id}"), ("-", "/nothing")),
    }


def test_requests_that_cannot_be_placed_are_counted(tmp_path: Path) -> None:
    results = [cells(), cells(status=None, requests="3"), cells(second="x"), cells(requests="x")]
    results.append(cells(status=3_000_000_000, requests="2"))
    parsed = read(tmp_path, answer(*results, matched=15), COUNTS)
    assert (parsed.rows, parsed.unparsed, parsed.damage) == (1, 3 + 5 + 1 + 2, "")


def test_counts_that_miss_records_are_damaged(tmp_path: Path) -> None:
    assert "5 requests" in read(tmp_path, answer(cells(), matched=6), COUNTS).damage


def test_latencies_are_histograms_that_merge_with_the_counts(tmp_path: Path) -> None:
    latencies = {37: 90, 128: 9, 29003: 1, 0.5: 4}
    results = [
        cells(latency_bucket=bucket(ms), requests_in_bucket=n, requests=None)
        for ms, n in latencies.items()
    ]
    parsed = read(tmp_path, answer(*results, matched=104), LATENCY)
    (row,) = rows(parsed, "gateway")
    assert (row["requests"], parsed.resolution_seconds, parsed.damage) == (0, 60.0, "")
    assert row["latency_ms_counts"] == [4, 90, 9, 1]
    for bound, ms in zip(row["latency_ms_bounds"], sorted(latencies), strict=True):
        assert max(ms, 1) * 0.999 - 1 <= bound <= max(ms, 1) * 1.0201


def test_the_bounds_are_those_of_the_buckets_that_the_log_falls_in(tmp_path: Path) -> None:
    from tests.formats.builders import request as line

    wanted = [1, 2, 37, 128, 500, 29003]
    log = write(tmp_path / "log", *(line(responseLatency=str(ms)) for ms in wanted))
    (logged,) = rows(parse("access_log", log), "gateway")
    results = [
        cells(latency_bucket=bucket(ms), requests_in_bucket=1, requests=None) for ms in wanted
    ]
    (asked,) = rows(read(tmp_path, answer(*results, matched=6), LATENCY), "gateway")
    assert list(logged["latency_ms_bounds"]) == wanted
    assert list(asked["latency_ms_bounds"]) == [int(1.02 ** bucket(ms)) for ms in wanted]


@pytest.mark.parametrize("odd", ["-3", "x", "1e9", None, "2.5"])
def test_an_odd_bucket_is_unparsed(odd: str | None, tmp_path: Path) -> None:
    results = [cells(latency_bucket=odd, requests_in_bucket="7", requests=None)]
    parsed = read(tmp_path, answer(*results, matched=7), LATENCY)
    assert (parsed.rows, parsed.unparsed, parsed.damage) == (0, 7, "")


def test_a_bare_answer_tells_its_role_by_its_columns(tmp_path: Path) -> None:
    for results, kind, requests in (
        (cells(), "gateway_counts", 5),
        (cells(latency_bucket=3, requests_in_bucket=5, requests=None), "gateway_latency", 0),
    ):
        path = write(tmp_path / "saved.json", json.dumps(answer(results)))
        assert kind_of(path) == kind
        parsed = parse(kind, path)
        (row,) = rows(parsed, "gateway")
        assert row["requests"] == requests
        assert "not at its arrival" in parsed.lacks[0]
    path = write(tmp_path / "saved.json", json.dumps(answer(result())))
    assert kind_of(path) == "logs_insights"
    assert parse("logs_insights", path).lacks == ()


def test_an_answer_that_broke_off_keeps_its_rows(tmp_path: Path) -> None:
    error = {"code": "ThrottlingException", "message": "Rate exceeded"}
    parsed = read(tmp_path, answer(cells(), matched=9, status="Running", error=error), COUNTS)
    assert parsed.rows == 1 and "ThrottlingException Rate exceeded" in parsed.damage


def test_a_role_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="role 'x'"):
        read(tmp_path, answer(cells()), COUNTS | {"role": "x"})


def test_what_the_console_saves_as_csv_is_read(tmp_path: Path) -> None:
    saved = write(
        tmp_path / "logs-insights-results.csv",
        "bin(1h),httpMethod,resourcePath,status,requests",
        "2026-01-15 13:00:00.000,GET,/a,200,5",
        '2026-01-15 14:00:00.000,GET,"/a,b",502,2',
        "2026-01-15 14:00:00.000,GET",
    )
    assert kind_of(saved) == "logs_insights"
    parsed = parse("logs_insights", saved)
    assert (parsed.rows, parsed.unparsed, parsed.damage) == (2, 1, "")
    found = rows(parsed, "baseline")
    assert [(r["row"], r["route"], r["requests"]) for r in found] == [(1, "/a", 5), (2, "/a,b", 2)]
    assert found[0]["records_scanned"] is None
    assert parsed.covered is not None
    assert (parsed.covered.start, parsed.covered.end) == (instant("13:00"), instant("15:00"))


def test_the_baseline_of_an_http_api_has_its_methods(tmp_path: Path) -> None:
    fields = {"bin(30m)": "2026-01-15 13:00:00.000", "route": "GET /a", "status": "200"}
    row = [{"field": k, "value": v} for k, v in (fields | {"requests": "5"}).items()]
    (found,) = rows(read(tmp_path, answer(row), REQUEST | {"role": "baseline"}), "baseline")
    assert (found["method"], found["route"], found["requests"]) == ("GET", "/a", 5)


# --- arrivals ---------------------------------------------------------------------------------

ARRIVALS = {
    "role": "counts",
    "startTime": int(instant("13:00").timestamp()),
    "endTime": int(instant("14:00:58").timestamp()),
    "second": "arrival",
    "bin_seconds": 1,
    "window": {"start": "2026-01-15T13:00:00Z", "end": "2026-01-15T14:00:00Z"},
    "queryString": "fields floor(epoch / 1000) as second | stats count(*) as requests by second",
}
AT = int(instant("13:00:05").timestamp())


@pytest.mark.parametrize("shown", [f"{AT}", f"{AT}.0", f"{AT / 1e9}E9", f"{AT:e}".upper()])
def test_a_second_of_arrival_is_a_number(tmp_path: Path, shown: str) -> None:
    second = float(shown)
    parsed = read(tmp_path, answer(cells(second=shown)), ARRIVALS)
    (row,) = rows(parsed, "gateway")
    assert row["second"].timestamp() == second
    assert (parsed.unparsed, parsed.damage, parsed.lacks) == (0, "", ())


@pytest.mark.parametrize("odd", ["0", "-5", "17684870", f"{AT}.5", "NaN", "inf", "1e300", "", "x"])
def test_a_number_that_is_no_second_is_unparsed(tmp_path: Path, odd: str) -> None:
    parsed = read(tmp_path, answer(cells(second=odd)), ARRIVALS)
    assert (parsed.rows, parsed.unparsed, parsed.damage) == (0, 5, "")


def test_events_past_the_window_were_searched_for_its_requests(tmp_path: Path) -> None:
    parsed = read(tmp_path, answer(cells(second=AT)), ARRIVALS)
    assert parsed.asked is not None and parsed.covered == parsed.asked
    assert (parsed.asked.start, parsed.asked.end) == (instant("13:00"), instant("14:00"))


def test_requests_that_count_where_they_ended_say_so(tmp_path: Path) -> None:
    for second, said in (("event", True), ("arrival", False)):
        parsed = read(tmp_path, answer(cells(second=AT)), ARRIVALS | {"second": second})
        assert any("ended, not at its arrival" in lack for lack in parsed.lacks) is said


def test_a_bin_of_arrivals_is_as_wide_as_the_request_says(tmp_path: Path) -> None:
    half_hour = ARRIVALS | {"role": "baseline", "bin_seconds": 1800}
    at = int(instant("13:30").timestamp())
    results = [
        cells(second=at, route="GET /a", method=None, requests="1.0E3"),
        cells(second=at, route="sendmessage", method="-", event_type="MESSAGE"),
        cells(second=None, requests="7"),
    ]
    parsed = read(tmp_path, answer(*results, matched=1012), half_hour)
    found = rows(parsed, "baseline")
    assert [(r["method"], r["route"], r["requests"]) for r in found] == [
        *(("GET", "/a", 1000), ("WS", "sendmessage", 5))
    ]
    assert {(r["at"], r["until"]) for r in found} == {(instant("13:30"), instant("14:00"))}
    assert (parsed.resolution_seconds, parsed.unparsed, parsed.damage) == (1800.0, 1, "")
    ten = ARRIVALS | {"role": "latency", "bin_seconds": 10}
    buckets = cells(second=at, latency_bucket=3, requests_in_bucket=5, requests=None)
    assert read(tmp_path, answer(buckets), ten).resolution_seconds == 10.0


@pytest.mark.parametrize("odd", [0, -5, "x", None, 10**12, True])
def test_a_baseline_without_a_width_has_no_rows(tmp_path: Path, odd: Any) -> None:
    request = ARRIVALS | {"role": "baseline", "bin_seconds": odd}
    parsed = read(tmp_path, answer(cells(second=AT)), request)
    assert (parsed.rows, parsed.unparsed) == (0, 1)


@pytest.mark.parametrize("young", [True, False])
def test_a_young_answer_is_whole_as_far_as_it_goes(tmp_path: Path, young: bool) -> None:
    parsed = read(tmp_path, answer(cells(second=AT), provisional=young), ARRIVALS)
    assert (parsed.damage, parsed.rows) == ("", 1)
    assert parsed.covered == parsed.asked is not None


def test_what_broke_off_covers_what_came(tmp_path: Path) -> None:
    error = {"code": "TimeOver", "message": "x"}
    young = answer(cells(second=AT), error=error, provisional=True, matched=99)
    parsed = read(tmp_path, young, ARRIVALS)
    assert parsed.covered is not None and parsed.covered.seconds == 1
    assert parsed.damage.startswith("the answer broke off: TimeOver x")
