"""CloudWatch's count of failures: boto3's real client against a local server of its protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from incident_rca.errors import Unreachable
from incident_rca.formats.parsed import Parsed
from incident_rca.model import SourceState, SourceStatus, System, TimeWindow
from incident_rca.model.services import AwsAccount, GatewayStage
from incident_rca.report.consoles import links_of
from incident_rca.sources import cloudwatch_metrics as source
from incident_rca.sources.answers import Absent
from incident_rca.sources.aws_client import Caller
from incident_rca.sources.rate_limit import Paces
from incident_rca.sources.tally import Tally
from tests.formats.builders import Row, kind_of, parse, rows
from tests.sources.cloudwatch_metrics_server import (
    TARGET,
    CloudWatch,
    Fault,
    running_cloudwatch,
)

START = datetime(2026, 1, 15, 14, 10, tzinfo=UTC)
WINDOW = TimeWindow(START, START + timedelta(minutes=10))
AFTER = WINDOW.end + timedelta(hours=1)
REST = GatewayStage("rest", "a1b2c3", "prod")
HTTP = GatewayStage("http", "d4e5f6", "$default")
SECRET = "wJalrXUtnFEMIsecret"


@dataclass
class HandClock:
    """A clock that only pauses move."""

    seconds: float = 0.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return AFTER + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


@pytest.fixture(scope="module")
def server() -> Iterator[CloudWatch]:
    with running_cloudwatch() as running:
        yield running


@pytest.fixture
def service(server: CloudWatch, monkeypatch: pytest.MonkeyPatch) -> CloudWatch:
    """A stage with ten minutes of requests, of which three in the fourth minute failed."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    server.clear()
    server.dimensions = {"ApiId": "d4e5f6", "Stage": "$default"}
    server.units = {"Latency": "Milliseconds", "IntegrationLatency": "Milliseconds"}
    first = START.timestamp()
    for minute in range(10):
        for second in range(0, 60, 2):
            at = first + 60 * minute + second
            failed = minute == 3 and second in (10, 30, 50)
            for metric, value in (("5xx", float(failed)), ("4xx", 0.0), ("Count", 1.0)):
                server.samples.setdefault(metric, []).append((at, value))
            latency = 30_000.0 if failed else 40.0 + second
            server.samples.setdefault("Latency", []).append((at, latency))
            server.samples.setdefault("IntegrationLatency", []).append((at, latency - 3))
    return server


def ask(
    service: CloudWatch,
    window: TimeWindow = WINDOW,
    stage: GatewayStage = HTTP,
    asked_at: datetime = AFTER,
    tally: Tally | None = None,
) -> Any:
    account = AwsAccount(name="prod", region="eu-west-1", endpoint=service.url)
    return source.fetch(
        account,
        stage,
        window,
        asked_at=asked_at,
        tally=tally or Tally(HandClock()),
        paces=Paces(),
    )


def read(folder: Path, answer: Any) -> Parsed:
    text = json.dumps(answer)
    assert SECRET not in text
    path = folder / "metrics.json"
    path.write_text(text)
    assert kind_of(path) == "cloudwatch_metrics"
    return parse("cloudwatch_metrics", path)


def points(parsed: Parsed, metric: str) -> list[Row]:
    return [row for row in rows(parsed, "metrics") if row["metric"] == metric]


def test_each_minute_has_the_services_own_count(service: CloudWatch, tmp_path: Path) -> None:
    tally = Tally(HandClock())
    parsed = read(tmp_path, ask(service, tally=tally))
    failed = points(parsed, "5xx")
    assert [row["at"] for row in failed] == [START + timedelta(minutes=n) for n in range(10)]
    assert [row["value"] for row in failed] == [0, 0, 0, 3, 0, 0, 0, 0, 0, 0]
    assert {(row["aggregate"], row["unit"], row["owner"]) for row in failed} == {
        ("count", "count", "http:d4e5f6/$default")
    }
    assert {row["value"] for row in points(parsed, "Count")} == {30.0}
    latency = points(parsed, "Latency")
    # Of thirty the 99th percentile is the largest.
    assert [row["value"] for row in latency] == [30_000.0 if n == 3 else 98.0 for n in range(10)]
    assert {(row["aggregate"], row["unit"], row["unit_basis"]) for row in latency} == {
        ("p99", "ms", "payload")
    }
    assert (parsed.rows, parsed.unparsed, parsed.damage) == (50, 0, "")
    assert (parsed.asked, parsed.covered, parsed.resolution_seconds) == (WINDOW, WINDOW, 60.0)
    assert (tally.rows, tally.pages, tally.throttled) == (50, 1, 0)
    assert service.paths == [TARGET]


def test_a_rest_api_is_asked_by_its_name_and_by_reading_calls(
    service: CloudWatch, tmp_path: Path
) -> None:
    service.api_names = {"a1b2c3": "shop"}
    service.dimensions = {"ApiName": "shop", "Stage": "prod"}
    service.samples = {"5XXError": service.samples["5xx"]}
    parsed = read(tmp_path, ask(service, stage=REST))
    failed = points(parsed, "5XXError")
    assert [row["value"] for row in failed] == [0, 0, 0, 3, 0, 0, 0, 0, 0, 0]
    assert {row["owner"] for row in failed} == {"rest:a1b2c3/prod"}
    assert service.paths == ["/restapis/a1b2c3", TARGET]


def test_a_websocket_api_has_no_such_count(service: CloudWatch) -> None:
    answer = ask(service, stage=GatewayStage("websocket", "g7", "prod"))
    assert isinstance(answer, Absent) and answer.reason and service.paths == []


def test_a_minute_without_a_request_is_missing_and_not_zero(
    service: CloudWatch, tmp_path: Path
) -> None:
    gone = START.timestamp() + 300
    service.samples = {
        metric: [(at, v) for at, v in samples if not gone <= at < gone + 60]
        for metric, samples in service.samples.items()
    }
    failed = points(read(tmp_path, ask(service)), "5xx")
    assert len(failed) == 9 and START + timedelta(minutes=5) not in {row["at"] for row in failed}


def test_a_window_is_asked_in_whole_minutes(service: CloudWatch) -> None:
    inside = TimeWindow(START + timedelta(seconds=70), START + timedelta(seconds=250))
    ask(service, inside)
    (asked,) = service.asked
    first = START.timestamp()
    assert asked["StartTime"] == first + 60 and asked["EndTime"] == first + 300
    assert {q["MetricStat"]["Period"] for q in asked["MetricDataQueries"]} == {60}


@pytest.mark.parametrize(("days", "period"), [(14, 60), (16, 300), (64, 3600)])
def test_an_older_window_is_asked_in_the_periods_that_are_kept(
    service: CloudWatch, days: int, period: int
) -> None:
    ask(service, asked_at=START + timedelta(days=days))
    (asked,) = service.asked
    assert {q["MetricStat"]["Period"] for q in asked["MetricDataQueries"]} == {period}


def test_a_window_that_is_no_longer_kept_is_absent(service: CloudWatch) -> None:
    assert isinstance(ask(service, asked_at=START + timedelta(days=456)), Absent)


def test_the_last_minutes_are_not_counted_as_covered(service: CloudWatch, tmp_path: Path) -> None:
    parsed = read(tmp_path, ask(service, asked_at=WINDOW.end))
    assert parsed.covered == TimeWindow(START, WINDOW.end - timedelta(minutes=3))


def test_pages_are_joined(service: CloudWatch, tmp_path: Path) -> None:
    whole = rows(read(tmp_path, ask(service)), "metrics")
    service.asked.clear()
    service.page_points = 7
    paged = read(tmp_path, ask(service))
    assert rows(paged, "metrics") == whole and paged.damage == ""
    assert len(service.asked) == 8
    assert [asked.get("NextToken") for asked in service.asked[:3]] == [None, "7", "14"]


# --- faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        Fault("ThrottlingException"),
        Fault("InternalServiceFault", 500),
        Fault(html=True, status=200),
        Fault(html=True, status=503),
        Fault(breaks=True),
    ],
)
def test_a_fault_that_passes_costs_nothing(
    service: CloudWatch, tmp_path: Path, fault: Fault
) -> None:
    whole = rows(read(tmp_path, ask(service)), "metrics")
    service.page_points = 20
    service.faults = [None, fault, None]
    tally = Tally(HandClock())
    parsed = read(tmp_path, ask(service, tally=tally))
    assert rows(parsed, "metrics") == whole and parsed.damage == ""
    assert tally.throttled == (fault.code == "ThrottlingException")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("ThrottlingException"), "Throttling"),
        (Fault("InternalServiceFault", 500), "500"),
        (Fault("AccessDeniedException", 403), "AccessDenied"),
        (Fault(html=True, status=200), "Unreadable"),
        (Fault(breaks=True), "ConnectionClosed"),
    ],
)
def test_what_came_before_a_fault_that_stays_is_kept(
    service: CloudWatch, tmp_path: Path, fault: Fault, said: str
) -> None:
    service.page_points = 20
    service.faults = [None, *[fault] * 20]
    parsed = read(tmp_path, ask(service))
    assert parsed.rows == 20 and said in parsed.damage


@pytest.mark.parametrize(
    ("fault", "hint"),
    [
        (Fault("AccessDeniedException", 403), "cloudwatch:GetMetricData"),
        (Fault("ExpiredTokenException", 403), "sign in"),
        (Fault("ThrottlingException"), "quota"),
        (Fault(html=True, status=200), "network"),
    ],
)
def test_no_answer_at_all_is_an_error_that_says_what_to_do(
    service: CloudWatch, fault: Fault, hint: str
) -> None:
    service.faults = [fault] * 20
    with pytest.raises(Unreachable) as caught:
        ask(service)
    assert hint in caught.value.hint and "prod (eu-west-1)" in caught.value.message


def test_an_api_that_is_unknown_is_an_error(service: CloudWatch) -> None:
    with pytest.raises(Unreachable, match="GetRestApi"):
        ask(service, stage=REST)


def test_an_error_inside_of_the_service_is_asked_again(service: CloudWatch, tmp_path: Path) -> None:
    service.statuses = {"5xx": ["InternalError"]}
    parsed = read(tmp_path, ask(service))
    assert sum(row["value"] for row in points(parsed, "5xx")) == 3 and parsed.damage == ""
    assert [len(asked["MetricDataQueries"]) for asked in service.asked] == [5, 1]


@pytest.mark.parametrize("status", ["InternalError", "Forbidden", "PartialData"])
def test_a_metric_that_stays_unfinished_is_said(
    service: CloudWatch, tmp_path: Path, status: str
) -> None:
    service.statuses = {"5xx": [status] * 9}
    parsed = read(tmp_path, ask(service))
    assert status in parsed.damage and "5xx" in parsed.damage
    assert len(points(parsed, "Count")) == 10


def test_a_token_that_repeats_ends_the_pages(service: CloudWatch, tmp_path: Path) -> None:
    service.page_points, service.repeats_token = 7, True
    parsed = read(tmp_path, ask(service))
    assert "NextToken" in parsed.damage and parsed.rows > 0


def test_time_that_is_over_keeps_what_came(service: CloudWatch, tmp_path: Path) -> None:
    service.page_points = 20
    service.faults = [None, *[Fault("ThrottlingException")] * 20]
    tally = Tally(HandClock())
    tally.begin(2.0)
    parsed = read(tmp_path, ask(service, tally=tally))
    assert parsed.rows == 20 and "time" in parsed.damage


def test_an_answer_says_in_which_region_and_stage_it_can_be_asked_again(
    service: CloudWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read(tmp_path, ask(service)).console == {}
    # As if the local server stood for AWS itself.
    monkeypatch.setattr(Caller, "console_region", property(lambda self: "eu-west-1"))
    parsed = read(tmp_path, ask(service))
    assert parsed.console == {"region": "eu-west-1", "ApiId": "d4e5f6", "Stage": "$default"}
    source_of = SourceStatus(
        name="metrics",
        system=System.GATEWAY,
        kind="cloudwatch_metrics",
        state=SourceState.OK,
        query=parsed.query,
        console=parsed.console,
    )
    (link,) = links_of(source_of, WINDOW)
    assert all(f"~%27{m}~%27ApiId~%27d4e5f6~" in link.url for m in ("5xx", "Count", "Latency"))
