"""Athena over HTTP: what it would read, refuses, runs and pages, and a service that misbehaves."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from incident_rca.errors import BadInput, BadSettings, BadWindow, Unreachable
from incident_rca.formats.access_log import given_format
from incident_rca.model import TimeWindow
from incident_rca.model.services import AwsAccount
from incident_rca.rollup import Asked, Row
from incident_rca.rollup.athena import Athena, Where, opened
from incident_rca.rollup.athena_places import Layout
from incident_rca.rollup.local_files import LocalFiles
from incident_rca.sources.rate_limit import Paces
from incident_rca.sources.tally import Tally
from tests.formats.builders import START, request, write
from tests.rollup.athena_server import (
    THROTTLED,
    TOO_MANY,
    Fault,
    Service,
)
from tests.rollup.logs import LOGS, NESTED
from tests.sources.gateway_scene import HandClock
from tests.sources.s3_server import Fault as Denied

WINDOW = TimeWindow(START, START + timedelta(minutes=30))
ASKED = Asked(window=WINDOW)
LINES = [request(n * 0.7, status=status) for n, status in enumerate([201, 502, 404] * 40)]


@pytest.fixture
def athena(service: Service) -> Iterator[Athena]:
    """Athena over s3://logs/gw."""
    with over(service) as engine:
        yield engine


@contextmanager
def over(service: Service, place: str = "s3://logs/gw", **where: str) -> Iterator[Athena]:
    """Athena over a place, with ten minutes of a clock that only its waits turn."""
    account = AwsAccount(region="eu-west-1", endpoint=service.url)
    tally = Tally(HandClock(datetime(2026, 1, 16, tzinfo=UTC)), until=600.0)
    with opened(account, Where(place=place, **where), tally, Paces(1000.0)) as engine:
        yield engine


def put(service: Service, key: str, lines: list[str], *, packed: bool = True) -> int:
    body = "".join(f"{line}\n" for line in lines).encode()
    body = gzip.compress(body, mtime=0) if packed else body
    service.bucket.put(key, body, START)
    return len(body)


def rows_of(athena: Athena, asked: Asked = ASKED) -> list[Row]:
    return list(athena.run(asked, athena.plan(asked)).rows)


def truth(folder: Path, lines: list[str], asked: Asked = ASKED) -> list[Row]:
    engine = LocalFiles((write(folder / "log", *lines),))
    return list(engine.run(asked, engine.plan(asked)).rows)


def hourly(service: Service, lines: list[str] = LINES) -> int:
    """The log as Firehose files it, with other hours and hidden objects; the bytes of its hour."""
    size = put(service, "gw/2026/01/15/14/a.gz", lines[::2])
    size += put(service, "gw/2026/01/15/14/b", lines[1::2], packed=False)
    put(service, "gw/2026/01/15/14/_hidden.gz", lines)
    put(service, "gw/2026/01/14/14/c.gz", lines)
    put(service, "gw/2026/01/15/20/d.gz", lines)
    return size


# --- what it reads, and says of it before ---------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "java", "folders"),
    [
        ("2026/01/15/14/", "yyyy/MM/dd/HH", ["2026/01/15/13", "2026/01/15/14", "2026/01/15/15"]),
        ("2026/01/15/", "yyyy/MM/dd", ["2026/01/15"]),
        ("dt=2026-01-15/", "'dt='yyyy-MM-dd", ["dt=2026-01-15"]),
        (
            "dt=2026-01-15/hour=14/",
            "'dt='yyyy-MM-dd/'hour='HH",
            [f"dt=2026-01-15/hour={hour}" for hour in (13, 14, 15)],
        ),
        (
            "year=2026/month=01/day=15/",
            "'year='yyyy/'month='MM/'day='dd",
            ["year=2026/month=01/day=15"],
        ),
        ("2026-01-15-14/", "yyyy-MM-dd-HH", ["2026-01-15-13", "2026-01-15-14", "2026-01-15-15"]),
        ("task/stream/", "", []),
        ("2026/01/", "", []),
        ("", "", []),
    ],
)
def test_folders_say_which_dates_they_hold(
    service: Service, athena: Athena, first: str, java: str, folders: list[str]
) -> None:
    size = put(service, f"gw/{first}a.gz", LINES)
    plan = athena.plan(ASKED)
    table, statement = plan.statements
    assert plan.bytes == size and plan.usd == pytest.approx(10e6 / 1e12 * 5)
    if not java:
        assert "PARTITIONED" not in table and "WHERE true" in " ".join(statement.split())
        assert "no folder names a date" in plan.basis
        return
    ddl = sqlglot.parse_one(table, read="athena")
    assert isinstance(ddl, exp.Create)
    properties = {
        p.name: p.args["value"].name
        for p in ddl.find_all(exp.Property)
        if p.name.startswith(("projection", "storage"))
    }
    assert properties["projection.stretch.format"].replace("\\", "") == java
    assert properties["storage.location.template"] == "s3://logs/gw/${stretch}/"
    assert f"WHERE stretch BETWEEN '{folders[0]}' AND '{folders[-1]}'" in statement


def test_the_sizes_are_those_of_the_hours_that_are_read(service: Service, athena: Athena) -> None:
    size = hourly(service)
    service.bucket.page_keys = 1
    assert athena.plan(ASKED).bytes == size
    answer = athena.run(ASKED, athena.plan(ASKED))
    list(answer.rows)
    assert answer.said["bytes_scanned"] == size
    assert "StartQueryExecution" in service.actions()


def test_a_terabyte_costs_five_dollars(service: Service, athena: Athena) -> None:
    hourly(service)
    service.workgroup["BytesScannedCutoffPerQuery"] = 10**13
    service.bucket.objects["gw/2026/01/15/14/b"].size = 2 * 10**12
    assert athena.plan(ASKED).usd == pytest.approx(10.0, rel=1e-4)


def test_planning_starts_no_query(service: Service, athena: Athena) -> None:
    hourly(service)
    athena.plan(ASKED)
    assert service.actions() == ["GetWorkGroup"]


# --- what is refused ------------------------------------------------------------------------------


def test_no_window_no_query(athena: Athena) -> None:
    with pytest.raises(BadWindow):
        athena.plan(Asked())


def test_a_workgroup_that_would_cancel_it(service: Service, athena: Athena) -> None:
    size = hourly(service)
    service.workgroup["BytesScannedCutoffPerQuery"] = size - 1
    with pytest.raises(BadSettings) as caught:
        athena.plan(ASKED)
    assert f"{size:,}" in caught.value.message
    assert "StartQueryExecution" not in service.actions()


def test_a_workgroup_that_is_disabled(service: Service, athena: Athena) -> None:
    service.state = "DISABLED"
    with pytest.raises(BadSettings):
        athena.plan(ASKED)


def test_a_workgroup_without_a_place_for_results(service: Service, athena: Athena) -> None:
    hourly(service)
    service.workgroup.clear()
    with pytest.raises(BadSettings) as caught:
        athena.plan(ASKED)
    assert "--results" in caught.value.hint
    with over(service, results="s3://mine/here") as named:
        rows_of(named)
    started = [asked for action, asked in service.calls if action == "StartQueryExecution"]
    assert {str(asked["ResultConfiguration"]) for asked in started} == {
        "{'OutputLocation': 's3://mine/here'}"
    }


@pytest.mark.parametrize("place", ["logs/gw", "s3://", "s3://logs/a'b", "s3://logs/${x}", "/tmp/a"])
def test_a_place_that_is_none(service: Service, place: str) -> None:
    with pytest.raises(BadSettings), over(service, place):
        pass


def test_a_database_that_is_none(service: Service) -> None:
    with pytest.raises(BadSettings), over(service, database="a; DROP TABLE b"):
        pass


def test_hours_without_an_object(service: Service, athena: Athena) -> None:
    put(service, "gw/2026/01/10/14/a.gz", LINES)
    with pytest.raises(BadInput):
        athena.plan(ASKED)


def test_a_bucket_that_is_not_there(service: Service) -> None:
    with over(service, "s3://other/gw") as engine, pytest.raises(Unreachable) as caught:
        engine.plan(ASKED)
    assert "NoSuchBucket" in caught.value.message


# --- what comes of it -----------------------------------------------------------------------------


def test_the_rows_are_those_of_duckdb(service: Service, athena: Athena, tmp_path: Path) -> None:
    hourly(service)
    service.page_rows = 7
    found = rows_of(athena)
    assert found == truth(tmp_path, LINES)
    assert len(found) > 3 * service.page_rows


@pytest.mark.parametrize("name", ["types", "values", "times", "torn", "timeouts of an HTTP API"])
def test_logs_of_every_kind(name: str, service: Service, athena: Athena, tmp_path: Path) -> None:
    lines = [line for line in LOGS[name].lines if isinstance(line, str)]
    put(service, "gw/2026/01/15/14/a.gz", lines)
    assert rows_of(athena) == truth(tmp_path, lines)


def test_keys_within_keys(service: Service, athena: Athena, tmp_path: Path) -> None:
    """The format's pattern, for lines that are no JSON, is left out: DuckDB cannot run Java's."""
    known = given_format(NESTED)
    assert known is not None
    asked = Asked(line_format=replace(known, pattern=None), window=WINDOW)
    lines = [line for line in LOGS["nested"].lines if isinstance(line, str)]
    put(service, "gw/2026/01/15/14/a.gz", lines)
    assert rows_of(athena, asked) == truth(tmp_path, lines, asked)


# --- a service that misbehaves --------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [THROTTLED, TOO_MANY, Fault(code="InternalServerException", status=500)]
)
@pytest.mark.parametrize(
    "action", ["GetWorkGroup", "StartQueryExecution", "GetQueryExecution", "GetQueryResults"]
)
def test_what_passes_is_waited_for(
    action: str, fault: Fault, service: Service, athena: Athena, tmp_path: Path
) -> None:
    hourly(service)
    service.faults[action] = [fault, fault]
    assert rows_of(athena) == truth(tmp_path, LINES)


@pytest.mark.parametrize("fault", [Fault(breaks=True), Fault(html=True)])
def test_a_start_whose_answer_is_lost_is_no_second_query(
    fault: Fault, service: Service, athena: Athena
) -> None:
    hourly(service)
    plan = athena.plan(ASKED)
    service.faults["StartQueryExecution"] = [Fault(), fault]
    assert list(athena.run(ASKED, plan).rows)
    assert service.actions().count("StartQueryExecution") == 3
    assert len(service.executions) == 2  # the table, and the rollup


def test_a_failure_that_passes_is_tried_again(service: Service, athena: Athena) -> None:
    hourly(service)
    failed = Fault(ends_as="FAILED", reason="GENERIC_INTERNAL_ERROR", retryable=True)
    service.faults["StartQueryExecution"] = [Fault(), failed]
    assert rows_of(athena)
    assert len(service.executions) == 3


@pytest.mark.parametrize(
    ("ending", "number"),
    [
        (Fault(ends_as="FAILED", reason="HIVE_BAD_DATA: no such line"), 2),
        (Fault(ends_as="CANCELLED", reason="Bytes scanned limit was exceeded"), 2),
        (Fault(ends_as="FAILED", reason="Query exhausted resources", retryable=True), 4),
    ],
)
def test_how_a_query_ended_is_told(
    ending: Fault, number: int, service: Service, athena: Athena
) -> None:
    hourly(service)
    service.faults["StartQueryExecution"] = [Fault(), ending, ending, ending]
    with pytest.raises(Unreachable) as caught:
        rows_of(athena)
    assert ending.ends_as in caught.value.message and ending.reason in caught.value.message
    assert len(service.executions) == number


def test_a_query_that_does_not_end_is_stopped(service: Service, athena: Athena) -> None:
    hourly(service)
    service.polls = 10**6
    with pytest.raises(Unreachable):
        rows_of(athena)
    assert [execution.is_stopped for execution in service.executions.values()] == [True]


def test_pages_that_go_round_in_circles(service: Service, athena: Athena) -> None:
    hourly(service)
    service.page_rows, service.same_token = 5, True
    with pytest.raises(Unreachable) as caught:
        rows_of(athena)
    assert "NextToken" in caught.value.message


def test_listings_that_go_round_in_circles(service: Service, athena: Athena) -> None:
    for n in range(3):
        put(service, f"gw/2026/01/15/14/{n}", LINES)
    service.bucket.page_keys, service.bucket.same_token = 1, True
    with pytest.raises(Unreachable) as caught:
        athena.plan(ASKED)
    assert "NextContinuationToken" in caught.value.message


def test_what_may_not_be_done_is_named(service: Service, athena: Athena) -> None:
    hourly(service)
    service.faults["StartQueryExecution"] = [Fault(code="AccessDeniedException")]
    with pytest.raises(Unreachable) as caught:
        rows_of(athena)
    assert "athena:StartQueryExecution" in caught.value.hint


@pytest.mark.parametrize("times", [1, 3])
def test_a_first_line_that_breaks_off_is_asked_for_again(
    times: int, service: Service, athena: Athena
) -> None:
    size = hourly(service)
    service.bucket.faults["gw/2026/01/15/14/a.gz"] = [Denied(cut_after=50)] * times
    assert athena.plan(ASKED).bytes == size
    assert len(service.bucket.got) == times + 1


def test_a_first_line_that_always_breaks_off_is_told(service: Service, athena: Athena) -> None:
    hourly(service)
    service.bucket.faults["gw/2026/01/15/14/a.gz"] = [Denied(cut_after=50)]
    service.bucket.stays = True
    with pytest.raises(Unreachable) as caught:
        athena.plan(ASKED)
    assert "s3://logs/gw/" in caught.value.message


def test_an_object_that_is_no_gzip_after_all_says_no_format(
    service: Service, athena: Athena
) -> None:
    damaged = b"\x1f\x8bno gzip"
    service.bucket.put("gw/2026/01/15/14/0.gz", damaged, START)
    size = hourly(service)
    assert athena.plan(ASKED).bytes == size + len(damaged)


def test_a_bucket_that_may_not_be_listed_is_named(service: Service, athena: Athena) -> None:
    hourly(service)
    service.bucket.faults[""] = [Denied("AccessDenied", 403)]
    with pytest.raises(Unreachable) as caught:
        athena.plan(ASKED)
    assert "s3:ListBucket" in caught.value.hint


def test_days_are_whole() -> None:
    late = TimeWindow(START.replace(hour=23, minute=10), START.replace(hour=23, minute=30))
    early = TimeWindow(START.replace(hour=0, minute=5), START.replace(hour=0, minute=20))
    daily = Layout("yyyy/MM/dd", "%Y/%m/%d")
    assert daily.folders(late) == ("2026/01/15", "2026/01/16")
    assert daily.folders(early) == ("2026/01/14", "2026/01/15")
