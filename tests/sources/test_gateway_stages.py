"""What a stage says of its logs: boto3's clients of both API Gateways against a local service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from incident_rca.errors import Unreachable
from incident_rca.model.services import GatewayStage
from incident_rca.sources.gateway_stages import StageLogs, read_stage
from incident_rca.sources.rate_limit import Paces
from tests.sources.cloudwatch_logs_server import BROKEN, HTML, Fault, Service, refused
from tests.sources.gateway_scene import (
    FORMAT,
    GROUP,
    STAGE,
    account,
    no_way_out,
    rest_stage,
    running_stage,
    tally_at,
)

HTTP = GatewayStage("http", "h1", "$default")
SOCKET = GatewayStage("websocket", "w1", "live")
ARN = "arn:aws:logs:eu-west-1:123456789012:log-group:"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Service]:
    no_way_out(monkeypatch.setenv, tmp_path)
    with running_stage() as running:
        yield running


def read(service: Service, stage: GatewayStage = STAGE, **changed: Any) -> StageLogs:
    return read_stage(account(service, **changed), stage, tally=tally_at(), paces=Paces())


def test_a_rest_stage_has_an_access_log_and_an_execution_log(service: Service) -> None:
    logs = read(service)
    assert (logs.access_log_group, logs.format, logs.absent) == (GROUP, FORMAT, None)
    assert logs.execution_log_group == "API-Gateway-Execution-Logs_a1b2c3/prod"
    assert logs.timeout_seconds == 29.0 and logs.clock_offset_seconds is not None


def test_the_longest_timeout_of_a_rest_api_is_found_on_all_pages(service: Service) -> None:
    def resource(milliseconds: int) -> dict[str, Any]:
        integration = {"methodIntegration": {"timeoutInMillis": milliseconds}}
        return {"id": "x", "resourceMethods": {"GET": integration, "PUT": {}}}

    service.stages["/restapis/a1b2c3/resources"] = {"item": [resource(3_000), resource(60_000)]}
    assert read(service).timeout_seconds == 60.0
    assert service.asked("resources")[0]["embed"] == "methods"


def test_an_http_stage_has_no_execution_log(service: Service) -> None:
    service.stages["/v2/apis/h1/stages/$default"] = {
        "stageName": "$default",
        "accessLogSettings": {"destinationArn": f"{ARN}http-log:*", "format": FORMAT},
    }
    service.stages["/v2/apis/h1/integrations"] = {"items": [{"timeoutInMillis": 5_000}]}
    logs = read(service, HTTP)
    assert (logs.access_log_group, logs.execution_log_group) == ("http-log", "")
    assert logs.timeout_seconds == 30.0


def test_a_websocket_stage_logs_by_its_routes(service: Service) -> None:
    service.stages["/v2/apis/w1/stages/live"] = {
        "stageName": "live",
        "accessLogSettings": {"destinationArn": f"{ARN}ws", "format": FORMAT},
        "routeSettings": {"send": {"loggingLevel": "ERROR"}},
    }
    service.stages["/v2/apis/w1/integrations"] = {"items": []}
    logs = read(service, SOCKET)
    assert (logs.access_log_group, logs.timeout_seconds) == ("ws", 29.0)
    assert logs.execution_log_group == "/aws/apigateway/w1/live"


def test_an_execution_log_that_is_off_is_none(service: Service) -> None:
    off = rest_stage() | {"methodSettings": {"*/*": {"loggingLevel": "OFF"}}}
    service.stages["/restapis/a1b2c3/stages/prod"] = off
    assert read(service).execution_log_group == ""


def test_no_access_log_is_absent_with_what_to_do(service: Service) -> None:
    service.stages["/restapis/a1b2c3/stages/prod"] = {"stageName": "prod"}
    absent = read(service).absent
    assert absent is not None
    assert "rest:a1b2c3/prod in shop (eu-west-1) writes no access log" in absent.reason
    assert "requestTimeEpoch" in absent.hint


def test_a_log_that_goes_to_firehose_names_the_stream(service: Service) -> None:
    stage = rest_stage()
    stream = "arn:aws:firehose:eu-west-1:123456789012:deliverystream/amazon-apigateway-shop"
    stage["accessLogSettings"]["destinationArn"] = stream
    service.stages["/restapis/a1b2c3/stages/prod"] = stage
    absent = read(service).absent
    assert absent is not None
    assert "amazon-apigateway-shop" in absent.reason and "access_logs" in absent.hint


def test_timeouts_that_may_not_be_read_are_the_usual_ones(service: Service) -> None:
    service.plan("resources", refused("AccessDeniedException"))
    assert read(service).timeout_seconds == 29.0


def test_a_stage_that_does_not_exist_is_an_error(service: Service) -> None:
    with pytest.raises(Unreachable, match="NotFoundException: Invalid stage identifier") as raised:
        read(service, GatewayStage("rest", "a1b2c3", "typo"))
    assert "check its name" in raised.value.hint


@pytest.mark.parametrize("fault", [HTML, BROKEN, refused("InternalServerError", "", 500)])
def test_what_passes_is_tried_again(service: Service, fault: Any) -> None:
    service.plan("GetStage", fault, fault)
    assert read(service).format == FORMAT


def test_a_service_that_stalls_is_given_up(service: Service) -> None:
    service.plan("GetStage", *[Fault(stall_seconds=0.5)] * 4)
    tally = tally_at()
    tally.until = 0.1  # of a clock that stands still: each request may take a tenth of a second
    with pytest.raises(Unreachable):
        read_stage(account(service), STAGE, tally=tally, paces=Paces())


def test_nobody_listens(service: Service) -> None:
    with pytest.raises(Unreachable, match="EndpointConnectionError"):
        read(service, endpoint="http://127.0.0.1:9")
