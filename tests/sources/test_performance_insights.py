"""Performance Insights: boto3's real client against a local server that speaks its protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from incident_rca.errors import Unreachable
from incident_rca.formats.parsed import Parsed
from incident_rca.model import TimeWindow
from incident_rca.sources import performance_insights as source
from tests.formats.builders import Row, kind_of, parse, rows
from tests.sources.performance_insights_server import (
    TARGET,
    Reply,
    Service,
    page,
    refused,
    running_service,
    series,
)

START = datetime(2026, 1, 15, 14, 20, tzinfo=UTC)
WINDOW = TimeWindow(START, START + timedelta(seconds=4))
WAITS = "db.wait_event"
BLOCKING = ("db.blocking_session", "db.blocking_sql", "db.blocking_object")


@pytest.fixture
def service() -> Iterator[Service]:
    with running_service() as running:
        assert datetime.fromtimestamp(1768486800, UTC) == START
        yield running


@contextmanager
def client(service: Service) -> Iterator[Any]:
    made: Any = source.client_of(
        "eu-west-1",
        endpoint_url=service.url,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
    )
    yield made
    made.close()


def fetched(service: Service, folder: Path, window: TimeWindow = WINDOW) -> Parsed:
    with client(service) as made:
        answer = source.fetch(made, window, identifier="db-LAB", asked_at=window.end)
    path = folder / "insights.json"
    path.write_text(json.dumps(answer))
    assert kind_of(path) == "performance_insights"
    return parse("performance_insights", path)


def load(parsed: Parsed, dimension: str) -> list[Row]:
    return [row for row in rows(parsed, "lock_load") if row["dimension"] == dimension]


def waiting(*values: float | None, token: str | None = None) -> Reply:
    return page(
        series(values),
        series(values, wait_event__name="Lock:relation", wait_event__type="Lock"),
        token=token,
    )


def test_each_dimension_becomes_load(service: Service, tmp_path: Path) -> None:
    service.answer(WAITS, waiting(0.0, 99.0, 100.0, 0.0))
    service.answer(BLOCKING[0], page(series([99.0], blocking_session__id="4711")))
    sql = "CREATE INDEX i ON stock (sku) WHERE note = 'ada@example.com'"
    service.answer(
        BLOCKING[1], page(series([99.0], blocking_sql__id="A1B2", blocking_sql__sql=sql))
    )
    service.answer(
        BLOCKING[2],
        page(series([99.0], blocking_object__type="relation", blocking_object__value="16437")),
    )
    parsed = fetched(service, tmp_path)
    waits = load(parsed, "wait_event")
    assert [(row["at"], row["sessions"]) for row in waits] == [
        (START + timedelta(seconds=n), value) for n, value in enumerate((0.0, 99.0, 100.0, 0.0))
    ]
    assert {(row["value"], row["bucket_seconds"]) for row in waits} == {("Lock:relation", 1.0)}
    assert [row["value"] for row in load(parsed, "blocking_session")] == ["4711"]
    (blocking,) = load(parsed, "blocking_sql")
    assert blocking["value"] == "A1B2"
    assert blocking["statement"] == "CREATE INDEX i ON stock (sku) WHERE note = $1"
    assert [row["value"] for row in load(parsed, "blocking_object")] == ["relation 16437"]
    assert (parsed.covered, parsed.resolution_seconds) == (WINDOW, 1.0)
    assert (parsed.blind, parsed.damage, parsed.gaps, parsed.unparsed) == ("", "", (), 0)


def test_the_question_is_asked_in_the_protocol_of_the_service(
    service: Service, tmp_path: Path
) -> None:
    fetched(service, tmp_path)
    assert service.targets == {TARGET}
    first = service.asked[0]
    assert (first["ServiceType"], first["Identifier"]) == ("RDS", "db-LAB")
    assert (first["StartTime"], first["EndTime"]) == (1768486800, 1768486804)
    # The service's own default is END_TIME: each point would come a period too late.
    assert (first["PeriodAlignment"], first["PeriodInSeconds"]) == ("START_TIME", 1)
    assert [a["MetricQueries"][0]["GroupBy"]["Group"] for a in service.asked] == [WAITS, *BLOCKING]


def test_a_long_window_is_asked_by_the_minute(service: Service, tmp_path: Path) -> None:
    fetched(service, tmp_path, TimeWindow(START, START + timedelta(hours=2)))
    assert {asked["PeriodInSeconds"] for asked in service.asked} == {60}


def test_seconds_that_are_refused_are_asked_for_in_minutes(
    service: Service, tmp_path: Path
) -> None:
    service.answer(WAITS, refused("InvalidArgumentException"), waiting(50.0))
    parsed = fetched(service, tmp_path)
    assert parsed.resolution_seconds == 60.0
    assert {row["bucket_seconds"] for row in load(parsed, "wait_event")} == {60.0}


def test_a_missing_value_is_a_gap_and_not_zero(service: Service, tmp_path: Path) -> None:
    service.answer(WAITS, waiting(0.0, None, None, 7.0))
    parsed = fetched(service, tmp_path)
    assert [row["sessions"] for row in load(parsed, "wait_event")] == [0.0, 7.0]
    unknown = TimeWindow(START + timedelta(seconds=1), START + timedelta(seconds=3))
    assert [gap.window for gap in parsed.gaps] == [unknown]


def test_pages_are_joined_and_an_empty_one_does_not_end_them(
    service: Service, tmp_path: Path
) -> None:
    other = series([5.0], wait_event__name="IO:DataFileRead", wait_event__type="IO")
    service.answer(WAITS, waiting(1.0, token="a"), page(token="b"), page(other))
    parsed = fetched(service, tmp_path)
    assert {row["value"] for row in load(parsed, "wait_event")} == {
        "Lock:relation",
        "IO:DataFileRead",
    }
    tokens = [asked.get("NextToken") for asked in service.asked[:3]]
    assert tokens == [None, "a", "b"]


def test_a_token_that_comes_again_ends_the_pages_and_is_told(
    service: Service, tmp_path: Path
) -> None:
    service.answer(WAITS, waiting(1.0, token="again"))
    parsed = fetched(service, tmp_path)
    assert "the same NextToken again" in parsed.damage
    assert load(parsed, "wait_event") and len(service.asked) == 2 + len(BLOCKING)


def test_throttling_is_waited_out(service: Service, tmp_path: Path) -> None:
    service.answer(WAITS, refused("ThrottlingException"), waiting(9.0))
    parsed = fetched(service, tmp_path)
    assert [row["sessions"] for row in load(parsed, "wait_event")] == [9.0]
    assert parsed.damage == "" and len(service.asked) == 2 + len(BLOCKING)


def test_throttling_without_end_keeps_what_came_before(service: Service, tmp_path: Path) -> None:
    service.answer(WAITS, waiting(9.0, token="a"), refused("ThrottlingException", "slow down"))
    parsed = fetched(service, tmp_path)
    assert [row["sessions"] for row in load(parsed, "wait_event")] == [9.0]
    assert "ThrottlingException: slow down" in parsed.damage
    # Four times at most: a sick service is not asked for ever.
    assert len(service.asked) == 1 + 4 + len(BLOCKING)


@pytest.mark.parametrize("code", ["InvalidArgumentException", "NotAuthorizedException"])
def test_a_refused_dimension_group_leaves_the_others(
    service: Service, code: str, tmp_path: Path
) -> None:
    service.answer(WAITS, waiting(9.0))
    for group in BLOCKING:
        service.answer(group, refused(code, f"{group} needs Advanced mode"))
    parsed = fetched(service, tmp_path)
    assert [row["sessions"] for row in load(parsed, "wait_event")] == [9.0]
    for group in BLOCKING:
        assert f"{group}: {code}: {group} needs Advanced mode" in parsed.blind
    assert parsed.damage == ""


def test_waits_without_any_blocker_are_a_blind_spot(service: Service, tmp_path: Path) -> None:
    service.answer(WAITS, waiting(9.0))
    assert "Advanced mode" in fetched(service, tmp_path).blind


def test_no_waits_need_no_blocker(service: Service, tmp_path: Path) -> None:
    service.answer(WAITS, waiting(0.0, 0.0))
    assert fetched(service, tmp_path).blind == ""


HTML = Reply(b"<html><b>503 from a proxy</b></html>", 200, "text/html")
BAD: dict[str, tuple[Reply, str]] = {
    "HTML instead of JSON": (HTML, "Unreadable"),
    "HTML with an error status": (Reply(HTML.body, 503, "text/html"), "503"),
    "broken connection": (Reply(breaks=True), "ConnectionClosedError"),
    "retention": (refused("InvalidArgumentException", "StartTime is too early"), "too early"),
    "no such right": (refused("NotAuthorizedException", "not yours"), "NotAuthorizedException"),
    "expired": (refused("ExpiredTokenException", "expired"), "ExpiredTokenException"),
    "internal": (refused("InternalServiceError", "oops", 500), "InternalServiceError"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_service_that_answers_nothing_is_an_error_with_a_hint(
    service: Service, name: str
) -> None:
    reply, said = BAD[name]
    for group in (WAITS, *BLOCKING):
        service.answer(group, reply)
    with client(service) as made, pytest.raises(Unreachable) as raised:
        source.fetch(made, WINDOW, identifier="db-LAB", asked_at=WINDOW.end)
    assert said in raised.value.message and "db-LAB" in raised.value.message
    assert raised.value.hint and "\n" not in raised.value.message


def test_nobody_listens() -> None:
    with running_service() as gone:
        pass
    with client(gone) as made, pytest.raises(Unreachable, match="EndpointConnectionError"):
        source.fetch(made, WINDOW, identifier="db-LAB", asked_at=WINDOW.end)
