"""Load balancer logs: fields, types, numbers of lines, damage and counts against a plain oracle."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.formats import duckdb_session
from incident_rca.formats.parsed import Parsed
from incident_rca.queries import load_query
from tests.formats.builders import Row, kind_of, parse, rows, write, write_gzip
from tests.formats.load_balancer_lines import START, Line

NewFolder = Callable[[], Path]
QUERIES = Path(__file__).resolve().parents[2] / "queries" / "duckdb"
# The example of the user guide for a request that a target answered, with newer fields behind it.
GUIDE = (
    "http 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 "
    '10.0.0.1:80 0.000 0.001 0.000 200 200 34 366 "GET http://www.example.com:80/ HTTP/1.1" '
    '"curl/7.46.0" - - arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/'
    '73e2d6bc24d8a067 "Root=1-58337262-36d228ad5d99923122bbe354" "-" "-" 0 '
    '2018-07-02T22:22:48.364000Z "forward" "-" "-" "10.0.0.1:80" "200" "-" "-" TID_12 "-" "-" "-"'
)


def read(folder: Path, *lines: Line | str | bytes, **how: Any) -> Parsed:
    plain = [str(line) if isinstance(line, Line) else line for line in lines]
    return parse("load_balancer_log", write(folder / "alb.log", *plain, **how))


def only(folder: Path, line: Line | str) -> Row:
    (row,) = rows(read(folder, line), "load_balancer")
    return row


def test_the_example_of_the_guide(tmp_path: Path) -> None:
    path = write(tmp_path / "alb.log", GUIDE)
    assert kind_of(path) == "load_balancer_log"
    row = only(tmp_path, GUIDE)
    assert f"{row['second']:%Y-%m-%d %H:%M:%S}" == "2018-07-02 22:22:48"
    assert (row["load_balancer"], row["method"], row["path"]) == (
        "app/my-loadbalancer/50dc6c495c0c9188",
        "GET",
        "/",
    )
    assert (row["elb_status"], row["target_status"], row["answered_by"]) == (200, 200, "target")
    assert (row["error_type"], row["trace_id"], row["at"]) == (None, None, None)
    assert (row["latency_ms_bounds"], row["latency_ms_counts"], row["requests"]) == ([1], [1], 1)


NOBODY: Row = {"target_status": "-", "took": ("-1", "-1", "-1")}
TYPES: list[tuple[Row, str, str | None]] = [
    ({}, "target", None),
    ({"elb_status": "301", "target_status": "-", "actions": "redirect"}, "load_balancer", None),
    ({"elb_status": "404", "target_status": "404"}, "target", "backend_4xx"),
    ({"elb_status": "502", "target_status": "502"}, "target", "backend_5xx"),
    ({"elb_status": "503", "target_status": "503"}, "target", "backend_5xx"),
    (NOBODY | {"elb_status": "502"}, "load_balancer", "load_balancer_5xx"),
    (NOBODY | {"elb_status": "503", "target": "-"}, "load_balancer", "load_balancer_5xx"),
    (NOBODY | {"elb_status": "504"}, "load_balancer", "integration_timeout"),
    (NOBODY | {"elb_status": "460"}, "load_balancer", "client_abort"),
    ({"elb_status": "460", "target_status": "200"}, "altered", "client_abort"),
    (NOBODY | {"elb_status": "463"}, "load_balancer", "client_request"),
    (NOBODY | {"elb_status": "400"}, "load_balancer", "client_request"),
    (NOBODY | {"elb_status": "561", "actions": "authenticate"}, "load_balancer", "auth"),
    (NOBODY | {"elb_status": "401", "actions": "authenticate"}, "load_balancer", "auth"),
    (NOBODY | {"elb_status": "500", "reason": "AuthInvalidIdToken"}, "load_balancer", "auth"),
    (NOBODY | {"elb_status": "403", "actions": "waf"}, "load_balancer", "waf_blocked"),
    (NOBODY | {"elb_status": "503", "actions": "waf"}, "load_balancer", "waf_blocked"),
    (
        {"elb_status": "502", "target_status": "502", "actions": "waf,forward"},
        "target",
        "backend_5xx",
    ),
    (
        NOBODY | {"elb_status": "503", "actions": "waf,fixed-response"},
        "load_balancer",
        "fixed_response",
    ),
    (
        NOBODY | {"elb_status": "502", "reason": "LambdaUnhandled"},
        "load_balancer",
        "function_error",
    ),
    (
        NOBODY | {"elb_status": "502", "reason": "LambdaThrottling"},
        "load_balancer",
        "backend_throttled",
    ),
    (
        NOBODY | {"elb_status": "502", "reason": "LambdaInvalidResponse"},
        "load_balancer",
        "malformed_proxy_response",
    ),
    (
        NOBODY | {"elb_status": "502", "reason": "LambdaAccessDenied"},
        "load_balancer",
        "backend_permission",
    ),
    ({"elb_status": "502", "target_status": "200"}, "altered", "gateway_5xx_unexplained"),
]


@pytest.mark.parametrize(("fields", "answered_by", "error_type"), TYPES)
def test_each_tuple_has_its_type(
    tmp_path: Path, fields: Row, answered_by: str, error_type: str | None
) -> None:
    row = only(tmp_path, Line(**fields))
    assert (row["answered_by"], row["error_type"]) == (answered_by, error_type)
    has_row_of_its_own = row["elb_status"] >= 500 or row["elb_status"] == 460
    assert (row["at"] is not None) is has_row_of_its_own
    assert (row["trace_id"] is not None) is has_row_of_its_own


def test_only_100_to_599_is_a_status(tmp_path: Path) -> None:
    statuses = ["000", "099", "100", "200", "599", "600", "999", "-502", "+502", "5e2", "5020"]
    lines = [str(Line(elb_status=status, target_status="999")) for status in statuses]
    parsed = parse("load_balancer_log", write(tmp_path / "a.log", *lines))
    found = [(row["elb_status"], row["target_status"]) for row in rows(parsed, "load_balancer")]
    assert sorted(found) == [(100, 999), (200, 999), (599, 999)]
    assert parsed.unparsed == len(statuses) - 3


def test_a_failure_keeps_its_arrival_trace_and_reason(tmp_path: Path) -> None:
    line = Line(second=3.25, elb_status="502", reason="LambdaUnhandled", target_status="-")
    row = only(tmp_path, line)
    assert row["at"] == START + timedelta(seconds=3.25)
    assert row["trace_id"] == "1-6968f7a0-0123456789abcdef01234567"
    assert (row["error_reason"], row["line_first"], row["line_last"]) == ("LambdaUnhandled", 1, 1)


@pytest.mark.parametrize(
    ("trace", "kept"),
    [
        ("Self=1-6968f7a1-aaaaaaaaaaaaaaaaaaaaaaaa;Root=1-6968f7a0-bbbbbbbbbbbbbbbbbbbbbbbb", "b"),
        ("Root=1-6968f7a0-cccccccccccccccccccccccc;Parent=7;Sampled=1", "c"),
        ("Root=ada@example.com", None),
        ("-", None),
    ],
)
def test_only_a_trace_id_is_kept_of_the_header(
    tmp_path: Path, trace: str, kept: str | None
) -> None:
    row = only(tmp_path, Line(elb_status="502", target_status="-", trace=trace))
    assert row["trace_id"] == (f"1-6968f7a0-{kept * 24}" if kept else None)


@pytest.mark.parametrize(
    ("request_line", "method", "path"),
    [
        ("POST https://a.example:443/api/orders?token=abc HTTP/2.0", "POST", "/api/orders"),
        (
            "GET https://a.example:443/api/orders/4711/items/9 HTTP/1.1",
            "GET",
            "/api/orders/{id}/items/{id}",
        ),
        ("GET https://a.example:443/v2/stock/SKU-12345 HTTP/1.1", "GET", "/v2/stock/{id}"),
        ("GET https://a.example:443/api/{proxy+}/x HTTP/1.1", "GET", "/api/{proxy+}/x"),
        ("GET https://a.example:443/users/ada%40example.com HTTP/1.1", "GET", "/users/{id}"),
        (
            "GET https://a.example:443/u/7d444840-9dc0-11d1-b245-5ffdce74fad2 HTTP/1.1",
            "GET",
            "/u/{id}",
        ),
        ("GET wss://a.example:443/socket HTTP/1.1", "GET", "/socket"),
        ("GET http://a.example:80/ HTTP/1.1", "GET", "/"),
        ("- http://a.example:80- -", "-", "-"),
        ("- - - ", "-", "-"),
        ("", "-", "-"),
        ("M-SEARCH https://a.example:443* HTTP/1.1", "M-SEARCH", "-"),
    ],
)
def test_requests(tmp_path: Path, request_line: str, method: str, path: str) -> None:
    row = only(tmp_path, Line(request=request_line))
    assert (row["method"], row["path"]) == (method, path)


@pytest.mark.parametrize("agent", [r"say \"hi\" twice", 'say "hi', '"', "-", "", "x" * 8000])
def test_quotes_in_a_user_agent_do_no_harm(tmp_path: Path, agent: str) -> None:
    row = only(tmp_path, Line(second=1.5, agent=agent, elb_status="502", target_status="502"))
    assert (row["at"], row["error_type"]) == (START + timedelta(seconds=1.5), "backend_5xx")


@pytest.mark.parametrize("fields", [13, 14, 16, 17, 18, 20])
def test_a_line_from_before_the_arrival_was_logged(tmp_path: Path, fields: int) -> None:
    row = only(tmp_path, Line(second=2.5, elb_status="502", target_status="502", fields=fields))
    assert row["at"] == START + timedelta(seconds=2.5)
    assert row["error_type"] == "backend_5xx" and abs(row["latency_ms"] - 33) < 1e-6


@pytest.mark.parametrize("fields", [22, 25, 29, 30, 33, 35])
def test_a_line_with_fewer_or_more_fields(tmp_path: Path, fields: int) -> None:
    row = only(tmp_path, Line(second=2.5, elb_status="504", target_status="-", fields=fields))
    assert (row["at"], row["error_type"]) == (START + timedelta(seconds=2.5), "integration_timeout")


def test_steps_that_were_not_reached_are_no_latency_of_zero(tmp_path: Path) -> None:
    given = str(Line(**(NOBODY | {"elb_status": "504"})))
    answered = given.replace(
        "https 2026-01-15T14:10:00.000000Z", "https 2026-01-15T14:11:00.500000Z"
    )
    assert only(tmp_path, answered)["latency_ms"] == 60_500
    # Without the arrival there is neither: unknown is not zero.
    old = only(tmp_path, Line(**(NOBODY | {"elb_status": "504", "fields": 20})))
    assert (old["latency_ms"], old["latency_ms_counts"]) == (None, [])


def test_personal_data_does_not_come_in(tmp_path: Path) -> None:
    line = Line(
        request="GET https://a.example:443/users/ada@example.com?password=hunter2 HTTP/1.1",
        elb_status="502",
        target_status="-",
    )
    text = str(only(tmp_path, line))
    for private in ("ada", "hunter2", "203.0.113.9", "10.0.0.1"):
        assert private not in text


def test_lines_keep_their_numbers(tmp_path: Path) -> None:
    bad = Line(elb_status="502", target_status="502")
    parsed = read(tmp_path, Line(), "", "nonsense", bad, "  ", "https 2026", bad)
    found = [(r["line_first"], r["elb_status"]) for r in rows(parsed, "load_balancer")]
    assert found == [(1, 200), (4, 502), (7, 502)]
    assert (parsed.rows, parsed.unparsed) == (3, 2)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last_end", [True, False])
def test_ends_of_lines(tmp_path: Path, end: bytes, last_end: bool) -> None:
    bad = Line(elb_status="502", target_status="502")
    parsed = read(tmp_path, Line(), b"a\rb\rc", b"\xff\xfe", bad, end=end, last_end=last_end)
    assert [r["line_first"] for r in rows(parsed, "load_balancer")] == [1, 4]
    assert (parsed.rows, parsed.unparsed) == (2, 2)


def test_gzip_of_several_members_and_torn_gzip(tmp_path: Path) -> None:
    half = "".join(f"{Line(second=n / 10)}\n" for n in range(5000)).encode()
    path = write_gzip(tmp_path / "alb.log.gz", half, half)
    assert kind_of(path) == "load_balancer_log"
    whole = parse("load_balancer_log", path)
    assert (whole.rows, whole.unparsed, whole.damage) == (10_000, 0, "")
    packed = gzip.compress(half, mtime=0)
    path.write_bytes(packed[: len(packed) // 2])
    torn = parse("load_balancer_log", path)
    assert "gzip" in torn.damage and 0 < torn.rows < 5000 and torn.unparsed <= 1


def test_what_was_covered(tmp_path: Path) -> None:
    parsed = read(tmp_path, Line(second=7), Line(second=1.5), Line(second=4))
    assert parsed.covered is not None
    assert parsed.covered.start == START + timedelta(seconds=1.5)
    assert parsed.covered.end == START + timedelta(seconds=7.001)
    assert read(tmp_path, "nothing").covered is None


def test_paths_of_a_scanner_are_put_together(tmp_path: Path) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    odd = [
        Line(request=f"GET https://a.example:443/{a}{b}.php HTTP/1.1", elb_status="404")
        for a in letters
        for b in letters
    ]
    usual = [Line(), Line()]
    failed = Line(
        request="GET https://a.example:443/zz/fails HTTP/1.1", elb_status="502", target_status="502"
    )
    parsed = read(tmp_path, *odd, *usual, failed)
    counted = Counter[str]()
    for row in rows(parsed, "load_balancer"):
        counted[row["path"]] += row["requests"]
    assert counted["/api/orders"] == 2 and counted["/zz/fails"] == 1
    assert len(counted) == 501 and sum(counted.values()) == len(odd) + 3
    assert counted["/{other}"] == len(odd) - 498


@pytest.mark.parametrize(
    "lines",
    [
        ["{}"],
        ["2026-01-15T14:23:00Z GET /"],
        ["http 2026-01-15T14:23:00Z app/x"],
        # A connection log and one of a Classic Load Balancer are other formats.
        ["2023-10-04T17:05:15.514108Z 203.0.113.1 36280 443 TLSv1.2 - 0.009 - - - - Success -"],
    ],
)
def test_other_files_are_none(tmp_path: Path, lines: list[str]) -> None:
    assert kind_of(write(tmp_path / "x.log", *lines)) != "load_balancer_log"


def test_every_query_runs_and_gives_the_columns_that_it_names(tmp_path: Path) -> None:
    log = write(tmp_path / "alb.log", str(Line()))
    files = sorted(QUERIES.glob("load_balancer_*.sql"))
    assert len(files) == 5
    with duckdb_session.open_session(tmp_path) as session:
        session.execute("SET VARIABLE raw_path = ?", [str(log)])
        duckdb_session.define(session, "load_balancer_error_type.sql")
        duckdb_session.define(session, "load_balancer_requests.sql")
        facts = {"position": [0], "elb_status": [502], "target_status": [502]}
        session.register("candidates", pd.DataFrame(facts | {"action": "-", "error_reason": "-"}))
        for path in files:
            named = load_query(f"duckdb/{path.name}").headers["columns"].split(", ")
            if path.name == "load_balancer_requests.sql":
                assert session.table("balanced").columns == named
            elif path.name != "load_balancer_error_type.sql":
                assert duckdb_session.run_file(session, path.name).columns == named


# --- properties ---------------------------------------------------------------------------------

LINES = st.builds(
    Line,
    second=st.integers(0, 3_000_000).map(lambda n: n / 1e6),
    elb_status=st.sampled_from(["200", "404", "460", "502", "504"]),
    target_status=st.sampled_from(["-", "200", "502"]),
    took=st.sampled_from([("0.001", "0.250", "0.000"), ("-1", "-1", "-1")]),
    request=st.sampled_from(
        ["GET https://a:443/x HTTP/1.1", "PUT https://a:443/y/12345?z HTTP/1.1"]
    ),
    fields=st.sampled_from([25, 30, 35]),
)
GARBAGE = st.binary(max_size=50).map(lambda b: b.replace(b"\n", b" ").replace(b"\r", b" "))


@settings(deadline=None, max_examples=20, derandomize=True)
@given(mix=st.lists(LINES | GARBAGE, max_size=25))
def test_counts_and_numbers_are_those_of_a_plain_count(
    new_folder: NewFolder, mix: list[Line | bytes]
) -> None:
    parsed = read(new_folder(), *mix)
    good = [(n, line) for n, line in enumerate(mix, start=1) if isinstance(line, Line)]
    assert parsed.rows == len(good)
    blank = sum(
        isinstance(i, bytes) and not i.decode("utf-8", "replace").strip(" \t\f\v") for i in mix
    )
    assert parsed.unparsed == len(mix) - len(good) - blank
    counted = Counter(
        (line.arrived.replace(microsecond=0), line.elb_status, line.target_status)
        for _, line in good
    )
    found: Counter[Any] = Counter()
    for row in rows(parsed, "load_balancer"):
        target = "-" if row["target_status"] is None else str(row["target_status"])
        found[row["second"], str(row["elb_status"]), target] += row["requests"]
    assert found == counted
    failures = [r for r in rows(parsed, "load_balancer") if r["at"] is not None]
    assert {(r["line_first"], r["at"]) for r in failures} == {
        (n, line.arrived) for n, line in good if line.elb_status in ("460", "502", "504")
    }


@settings(deadline=None, max_examples=25, derandomize=True)
@given(data=st.data())
def test_a_damaged_line_is_never_an_exception(new_folder: NewFolder, data: st.DataObject) -> None:
    text = str(Line(elb_status="502", target_status="-"))
    lines = []
    for _ in range(4):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 40)))
        put = data.draw(st.text(st.characters(exclude_characters="\n\r"), max_size=8))
        lines.append(text[:start] + put + text[end:])
    parsed = read(new_folder(), str(Line()), *lines, str(Line()))
    blank = sum(not line.strip() for line in lines)
    assert parsed.rows + parsed.unparsed + blank == 6 and parsed.rows >= 2
    assert sum(row["requests"] for row in rows(parsed, "load_balancer")) == parsed.rows
