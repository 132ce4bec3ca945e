"""A stage's access log in the local CloudWatch, with its truth in plain Python."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from incident_rca.model import TimeWindow
from incident_rca.model.services import AwsAccount, GatewayStage
from incident_rca.sources.log_collection import Shared
from incident_rca.sources.rate_limit import Paces
from incident_rca.sources.tally import Tally
from tests.sources.cloudwatch_logs_server import Service, running_service

START = datetime(2026, 1, 15, 14, 20, tzinfo=UTC)
WINDOW = TimeWindow(START, START + timedelta(minutes=4))
START_MS = int(START.timestamp() * 1000)
END_MS = START_MS + 240_000
GROUP = "/aws/apigateway/shop"
EXECUTION = "API-Gateway-Execution-Logs_a1b2c3/prod"
STAGE = GatewayStage("rest", "a1b2c3", "prod")
KEYS = {
    "requestId": "requestId",
    "requestTimeEpoch": "requestTimeEpoch",
    "httpMethod": "httpMethod",
    "resourcePath": "resourcePath",
    "status": "status",
    "responseLatency": "responseLatency",
    "type": "error.responseType",
}
FORMAT = json.dumps({key: f"$context.{name}" for key, name in KEYS.items()})
# The same of a stage whose owner did not ask for the arrival.
UNDATED_FORMAT = json.dumps(
    {key: f"$context.{name}" for key, name in KEYS.items() if name != "requestTimeEpoch"}
)
CLF = (
    '$context.identity.sourceIp - - [$context.requestTime] "$context.httpMethod '
    '$context.resourcePath $context.protocol" $context.status $context.responseLength '
    "$context.requestId"
)
ROUTES = ("/api/orders", "/api/inventory/{sku}", "/health")


@dataclass(slots=True)
class HandClock:
    """A clock that stands still but for sleeping."""

    at: datetime
    slept_seconds: float = 0.0
    lock: Lock = field(default_factory=Lock)

    def now(self) -> datetime:
        return self.at + timedelta(seconds=self.slept_seconds)

    def monotonic(self) -> float:
        return self.slept_seconds

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.slept_seconds += seconds


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the truth; its line is written when it has ended."""

    arrived_ms: int
    latency_ms: int
    method: str
    route: str
    status: int
    number: int

    @property
    def written_ms(self) -> int:
        return self.arrived_ms + self.latency_ms

    @property
    def request_id(self) -> str:
        return f"5a1c0000-0000-4000-8000-{self.number:012d}"

    @property
    def type(self) -> str:
        return {504: "INTEGRATION_TIMEOUT", 502: "INTEGRATION_FAILURE"}.get(self.status, "-")

    def json(self, *, number: bool = False, without: str = "") -> str:
        line: dict[str, Any] = {
            "requestId": self.request_id,
            "requestTimeEpoch": str(self.arrived_ms),
            "httpMethod": self.method,
            "resourcePath": self.route,
            "status": self.status if number else str(self.status),
            "responseLatency": str(self.latency_ms),
            "type": self.type,
        }
        return json.dumps({key: value for key, value in line.items() if key != without})

    def clf(self) -> str:
        at = datetime.fromtimestamp(self.arrived_ms / 1000, UTC)
        # The length looks like a status: a term would find it, a reader of the format must not.
        return (
            f"10.0.0.1 - - [{at:%d/%b/%Y:%H:%M:%S} +0000] "
            f'"{self.method} {self.route} HTTP/1.1" {self.status} 512 {self.request_id}'
        )


def requests(count: int = 3_000, seed: int = 7) -> list[Request]:
    """Requests from five minutes before the window to two after it; every tenth fails."""
    dice = random.Random(seed)
    made = []
    for number in range(count):
        fails = dice.random() < 0.1
        made.append(
            Request(
                arrived_ms=dice.randrange(START_MS - 300_000, END_MS + 120_000),
                latency_ms=dice.randrange(1, 29_000 if fails else 2_000),
                method=dice.choice(("GET", "POST")),
                route=dice.choice(ROUTES),
                status=dice.choice((500, 502, 503, 504)) if fails else dice.choice((200, 404)),
                number=number,
            )
        )
    return made


@contextmanager
def running_stage(text: str = FORMAT, database: Path | None = None) -> Iterator[Service]:
    """The service with one REST stage that writes its access log in this format."""
    with running_service(database) as service:
        service.groups |= {GROUP, EXECUTION}
        service.stages["/restapis/a1b2c3/stages/prod"] = rest_stage(text)
        service.stages["/restapis/a1b2c3/resources"] = {"item": [{"id": "r", "path": "/"}]}
        yield service


def rest_stage(text: str = FORMAT, group: str = GROUP) -> dict[str, Any]:
    arn = f"arn:aws:logs:eu-west-1:123456789012:log-group:{group}"
    return {
        "stageName": "prod",
        "accessLogSettings": {"destinationArn": arn, "format": text},
        "methodSettings": {"*/*": {"loggingLevel": "INFO"}},
    }


def account(service: Service, **changed: Any) -> AwsAccount:
    made: dict[str, Any] = {
        "name": "shop",
        "region": "eu-west-1",
        "endpoint": service.url,
        "stages": (STAGE,),
    }
    return AwsAccount(**(made | changed))


def tally_at(now: datetime = WINDOW.end + timedelta(hours=1)) -> Tally:
    return Tally(HandClock(now))


def shared() -> Shared:
    """Paces of its own: those of another test are none of ours."""
    return Shared(paces=Paces())


def lines_of_file(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The header and the events of a fetched file."""
    header, *events = path.read_text(encoding="utf-8").splitlines()
    return json.loads(header), [json.loads(line) for line in events]


def no_way_out(setenv: Any, folder: Path) -> None:
    """Credentials of nobody, and no configuration of whoever runs the tests."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIsecret",
        "AWS_SESSION_TOKEN": "FwoGZXIvYXdzEtoken",
        "AWS_CONFIG_FILE": str(folder / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        setenv(name, value)
