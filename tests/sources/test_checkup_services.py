"""The check-ups of Datadog, Prometheus and AWS: each check well and ill, against local services."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from incident_rca.model import TimeWindow
from incident_rca.model.checkup import Check, Checkup, PastSource
from incident_rca.model.services import AwsAccount, DatadogAccount, GatewayStage, PrometheusServer
from incident_rca.sources import checkup_aws, checkup_datadog, checkup_prometheus
from incident_rca.sources.checkup_aws_logs import variable_to_add
from incident_rca.sources.rate_limit import Paces
from tests.sources import cloudwatch_metrics_server as metrics_server
from tests.sources import datadog_server, gateway_scene, prometheus_server
from tests.sources.aws_front_server import Account, running_account
from tests.sources.cloudwatch_logs_server import THROTTLED, refused
from tests.sources.datadog_server import API_KEY, APP_KEY, EVENTS, KEYS, V2, VALIDATE
from tests.sources.fake_clock import NOW, FakeClock
from tests.sources.gateway_scene import EXECUTION, GROUP, no_way_out, rest_stage
from tests.sources.s3_server import Fault

START = datetime(2026, 1, 15, 14, 10, tzinfo=UTC)
WINDOW = TimeWindow(START, START + timedelta(minutes=40))
LATENCY = "rpc.client.duration"
NOBODY = "http://127.0.0.1:1"


def check(of: Checkup, name: str) -> Check:
    found = of.of(name)
    assert found is not None, [one.name for one in of.checks]
    assert found.cure or found.state in ("ok", "unknown"), found
    return found


def state(of: Checkup, name: str) -> str:
    return check(of, name).state.value


def past(of: Checkup, name: str) -> PastSource:
    (found,) = (one for one in of.past_window if one.source == name)
    return found


def no_secret(of: Checkup, *secrets: str) -> None:
    text = repr(of)
    assert not [secret for secret in secrets if secret in text]


# --- Datadog --------------------------------------------------------------------------------------


@pytest.fixture
def datadog() -> Iterator[datadog_server.Service]:
    with datadog_server.running_service() as running:
        tags = {"service": "orders", "rpc.service": "inv.Inv", "rpc.method": "Reserve"}
        at = int(START.timestamp())
        points: dict[int, float | None] = {at + s: 5.0 for s in range(0, 2400, 10)}
        for aggregate in ("p50", "p95", "p99", "max", "count"):
            status = {"rpc.grpc.status_code": "0"} if aggregate == "count" else {}
            stored = datadog_server.Stored(LATENCY, aggregate, tags | status, points)
            running.hold(LATENCY, datadog_server.Described(interval=10), stored)
        gauge = datadog_server.Described(type="gauge", unit=None, answers_unit=None)
        running.hold("hikaricp.connections.active", gauge)
        yield running


def checked_datadog(
    service: datadog_server.Service,
    environ: dict[str, str] | None = None,
    window: TimeWindow = WINDOW,
    clock: FakeClock | None = None,
    **given: Any,
) -> Checkup:
    account = DatadogAccount(endpoint=service.url, **given)
    found = checkup_datadog.check_account(
        account, environ=environ or KEYS, window=window, clock=clock or FakeClock()
    )
    no_secret(found, API_KEY, APP_KEY)
    return found


def test_a_datadog_account_in_order(datadog: datadog_server.Service) -> None:
    limits = {"Limit": "1600", "Remaining": "1570", "Period": "10", "Name": "timeseries_query"}
    datadog.quota = {f"X-RateLimit-{key}": value for key, value in limits.items()}
    found = checked_datadog(datadog, clock=FakeClock(is_real=True))
    assert found.reachable and found.server == "datadog"
    assert {one.name: one.found for one in found.checks if one.state.value != "ok"} == {}
    names = {one.name for one in found.checks}
    assert names >= {"keys", "site", "timeseries_query", "metrics_read", "events_read", "clock"}
    assert check(found, "latency").found == LATENCY
    assert "milliseconds" in check(found, f"unit of {LATENCY}").found
    assert "1570 of 1600" in check(found, "quota").found
    assert len(datadog.heard) < 25


def test_datadog_holds_the_window(datadog: datadog_server.Service) -> None:
    whole = past(checked_datadog(datadog), LATENCY)
    assert (whole.would_show, whole.covered) == ("yes", WINDOW)
    assert "10 s" in whole.why
    longer = TimeWindow(START - timedelta(hours=2), WINDOW.end)
    part = past(checked_datadog(datadog, window=longer), LATENCY)
    assert part.would_show == "partly" and part.covered is not None
    assert abs((part.covered.start - START).total_seconds()) <= 10
    before = TimeWindow(START - timedelta(hours=2), START - timedelta(hours=1))
    assert past(checked_datadog(datadog, window=before), LATENCY).would_show == "no"


def test_datadog_keys_that_are_missing_are_named_by_their_variables(
    datadog: datadog_server.Service,
) -> None:
    found = checked_datadog(datadog, {"OPS_API_KEY": API_KEY}, key_prefix="OPS")
    assert not found.reachable and "OPS_APP_KEY" in check(found, "keys").found
    assert state(found, "keys") == "problem" and datadog.heard == []


def test_a_key_of_another_site(datadog: datadog_server.Service) -> None:
    found = checked_datadog(datadog, KEYS | {"DD_API_KEY": "f" * 32})
    site = check(found, "site")
    assert site.state == "problem" and "DD_API_KEY" in site.found and "DD_SITE" in site.cure
    assert not found.reachable
    assert {heard.path for heard in datadog.heard} == {VALIDATE}


def test_an_application_key_that_is_refused_everything(datadog: datadog_server.Service) -> None:
    found = checked_datadog(datadog, KEYS | {"DD_APP_KEY": "0" * 40})
    assert state(found, "site") == "ok" and found.reachable
    key = check(found, "application_key")
    assert key.state == "problem" and "DD_APP_KEY" in key.found and "events_read" in key.cure


@pytest.mark.parametrize(
    ("path", "scope"),
    [(V2, "timeseries_query"), ("/api/v1/metrics", "metrics_read"), (EVENTS, "events_read")],
)
def test_a_scope_that_is_missing(datadog: datadog_server.Service, path: str, scope: str) -> None:
    datadog.fail(path, datadog_server.Reply({"errors": ["Forbidden"]}, 403), always=True)
    found = checked_datadog(datadog)
    scopes = ("timeseries_query", "metrics_read", "events_read")
    assert {one: state(found, one) for one in scopes} == {
        one: "problem" if one == scope else "ok" for one in scopes
    }
    assert scope in check(found, scope).cure and "DD_APP_KEY" in check(found, scope).cure


def test_datadog_metrics_that_cannot_tell_enough(datadog: datadog_server.Service) -> None:
    datadog.metrics = {
        LATENCY: datadog_server.Described(percentiles=False),
        "acme.latency": datadog_server.Described(unit=None, answers_unit=None, type="gauge"),
    }
    found = checked_datadog(datadog, latency=(LATENCY, "acme.latency", "acme.gone"))
    assert "acme.gone" in check(found, "latency").found
    assert state(found, "latency") == "warning"
    assert "enable percentiles" in check(found, f"percentiles of {LATENCY}").cure
    assert state(found, "percentiles of acme.latency") == "warning"
    assert state(found, "unit of acme.latency") == "problem"
    assert "unit =" in check(found, "unit of acme.latency").cure
    assert state(found, "pool") == "warning" and "pool =" in check(found, "pool").cure
    named = checked_datadog(datadog, latency=("acme.latency",), unit="ms")
    assert state(named, "unit of acme.latency") == "ok"


def test_no_latency_metric_and_no_counts_by_status(datadog: datadog_server.Service) -> None:
    datadog.series = [replace(one, tags={"service": "a"}) for one in datadog.series]
    found = checked_datadog(datadog)
    assert state(found, "counts") == "warning" and "status" in check(found, "counts").found
    datadog.metrics.clear()
    nothing = checked_datadog(datadog)
    assert (state(nothing, "latency"), state(nothing, "counts")) == ("problem", "warning")
    assert "latency =" in check(nothing, "latency").cure
    assert past(nothing, "latency").would_show == "no"


def test_quota_that_is_used_up_and_a_clock_that_is_off(datadog: datadog_server.Service) -> None:
    datadog.quota = {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "3"}
    datadog.clock_ahead_seconds = 90
    datadog.fail(EVENTS, datadog_server.throttled())
    found = checked_datadog(datadog, clock=FakeClock(is_real=True))
    assert (state(found, "quota"), state(found, "clock")) == ("warning", "warning")
    assert state(found, "throttling") == "warning" and state(found, "events_read") == "ok"
    datadog.quota = {}
    assert state(checked_datadog(datadog), "quota") == "unknown"


def test_a_datadog_whose_series_cannot_be_read(datadog: datadog_server.Service) -> None:
    series = [{"group_tags": [], "query_index": 0, "unit": None}]
    attributes = {"series": series, "times": [1], "values": []}
    answer = datadog_server.Reply({"data": {"attributes": attributes}})
    datadog.fail(V2, answer, always=True)
    assert past(checked_datadog(datadog), LATENCY).would_show == "unknown"


def test_a_datadog_that_is_not_there(datadog: datadog_server.Service) -> None:
    clock = FakeClock()
    account = DatadogAccount(endpoint=NOBODY)
    found = checkup_datadog.check_account(account, environ=KEYS, window=WINDOW, clock=clock)
    assert not found.reachable and state(found, "site") == "problem"
    assert sum(clock.slept) < 60


# --- Prometheus -----------------------------------------------------------------------------------

GRPC = "grpc_client_handling_seconds"


@pytest.fixture
def prometheus() -> Iterator[prometheus_server.Service]:
    with prometheus_server.running_service() as running:
        yield running


def checked_prometheus(
    service: prometheus_server.Service,
    window: TimeWindow = WINDOW,
    *,
    is_real: bool = False,
    **given: Any,
) -> Checkup:
    environ = {"PROM_AUTH": "Bearer s3cr3t-of-mine"}
    server = PrometheusServer(url=given.pop("url", service.url), **given)
    clock = FakeClock(is_real)
    found = checkup_prometheus.check_server(server, environ=environ, window=window, clock=clock)
    no_secret(found, "s3cr3t-of-mine")
    return found


def of_prometheus_itself(asked: prometheus_server.Asked) -> prometheus_server.Reply | None:
    match asked.path.rpartition("/api/v1/")[2]:
        case "status/buildinfo":
            return prometheus_server.success({"version": "3.5.0"})
        case "status/runtimeinfo":
            return prometheus_server.success({"storageRetention": "15d"})
    return None


def test_a_prometheus_in_order(prometheus: prometheus_server.Service) -> None:
    prometheus.answer = of_prometheus_itself
    prometheus.bounds = ("0.5", "1", "60", "+Inf")
    prometheus.names = (*prometheus.names, "pool_active")
    found = checked_prometheus(
        prometheus, headers={"Authorization": "PROM_AUTH"}, pool={"used": "pool_active"}
    )
    assert found.reachable and found.server == "prometheus"
    bad = {one.name for one in found.checks if one.state.value != "ok"}
    assert bad == {"clock"}  # that of the test stands still in another year
    assert len(prometheus.asked) < 35
    assert state(checked_prometheus(prometheus, is_real=True), "clock") == "ok"
    assert "PROM_AUTH" in check(found, "headers").found
    assert check(found, "version").found == "3.5.0" and check(found, "retention").found == "15d"
    assert check(found, f"scrapes of {GRPC}").found.startswith("every 15 s: a rate needs 30 s")
    assert "seconds" in check(found, f"unit of {GRPC}").found
    whole = past(found, GRPC)
    assert (whole.would_show, whole.covered) == ("yes", WINDOW) and "15 s" in whole.why


def test_buckets_that_end_below_a_deadline(prometheus: prometheus_server.Service) -> None:
    prometheus.bounds = ("0.5", "1", "10", "+Inf")
    found = check(checked_prometheus(prometheus), f"buckets of {GRPC}")
    assert found.state == "warning"
    assert found.found == "a p99 above 10 s will read as at least 10 s"


def test_a_header_without_its_variable(prometheus: prometheus_server.Service) -> None:
    found = checked_prometheus(prometheus, headers={"Authorization": "OTHER_AUTH"})
    assert not found.reachable and "OTHER_AUTH" in check(found, "headers").found
    assert state(found, "headers") == "problem" and prometheus.asked == []


def test_a_prometheus_that_refuses_or_is_not_there(prometheus: prometheus_server.Service) -> None:
    prometheus.answer = lambda asked: prometheus_server.refusal("unauthorized", "no", 401)
    denied = checked_prometheus(prometheus)
    assert not denied.reachable and "headers" in check(denied, "reachable").cure
    away = checked_prometheus(prometheus, url=NOBODY)
    assert not away.reachable and state(away, "reachable") == "problem"


def test_one_without_build_information_and_without_metrics(
    prometheus: prometheus_server.Service,
) -> None:
    prometheus.names = ()
    found = checked_prometheus(prometheus)
    assert found.reachable and state(found, "version") == "unknown"
    assert found.of("retention") is None
    assert state(found, "latency") == "problem" and "`latency`" in check(found, "latency").cure
    assert (state(found, "counts"), state(found, "pool")) == ("warning", "warning")
    assert past(found, "latency").would_show == "unknown"


def test_an_unknown_unit_and_scrapes_too_far_apart(prometheus: prometheus_server.Service) -> None:
    prometheus.names = ("acme_latency_bucket",)
    prometheus.bounds = ("1", "7", "+Inf")
    found = checked_prometheus(prometheus, latency=("acme_latency",))
    assert state(found, "unit of acme_latency") == "problem"
    prometheus.interval = 600.0
    slow = checked_prometheus(prometheus, latency=("acme_latency",), unit="ms")
    assert state(slow, "scrapes of acme_latency") == "warning"
    assert state(slow, "unit of acme_latency") == "ok"


def test_counts_without_a_status(prometheus: prometheus_server.Service) -> None:
    prometheus.names = ("grpc_client_handling_seconds_bucket",)
    found = check(checked_prometheus(prometheus), "counts")
    assert found.state == "warning" and "DEADLINE_EXCEEDED" in found.cure


def test_a_window_that_prometheus_has_in_part(prometheus: prometheus_server.Service) -> None:
    begins = START.timestamp() + 1200
    series = {"job": "orders"}

    def answer(asked: prometheus_server.Asked) -> prometheus_server.Reply | None:
        given = asked.parameters
        is_past = float(given.get("start", 0)) < WINDOW.end.timestamp()
        if not asked.path.endswith("query_range") or not is_past:
            return None
        at, end, step = (float(given[key]) for key in ("start", "end", "step"))
        instants = []
        while at <= end + 0.001:
            instants += [[at, "4"]] if at >= begins else []
            at += step
        result = [{"metric": series, "values": instants}] if instants else []
        return prometheus_server.success({"resultType": "matrix", "result": result})

    prometheus.answer = answer
    part = past(checked_prometheus(prometheus), GRPC)
    assert part.would_show == "partly" and part.covered is not None
    assert abs(part.covered.start.timestamp() - begins) <= WINDOW.seconds / 40
    before = TimeWindow(START - timedelta(hours=1), START)
    assert past(checked_prometheus(prometheus, before), GRPC).would_show == "no"


# --- AWS ------------------------------------------------------------------------------------------

STAGE = "rest:a1b2c3/prod"
RDS = "/aws/rds/instance/orders/postgresql"
ALL = tuple(variable for variable in gateway_scene.KEYS.values())
WHOLE = json.dumps(
    {name: f"$context.{name}" for name in (*ALL, "integration.status", "integration.error")}
)
BALANCER = "alb/123456789012_elasticloadbalancing_eu-west-1_app.shop.1f2e"
FIRST = f"{BALANCER}_20260115T1415Z_10.0.0.1_a1b2.log.gz"
STAGE_PATH = "/restapis/a1b2c3/stages/prod"
DENIED = refused("AccessDeniedException", "not authorized")
SECRETS = ("AKIDEXAMPLE", "wJalrXUtnFEMIsecret", "FwoGZXIvYXdzEtoken")


@pytest.fixture(scope="module")
def services_of_aws() -> Iterator[Account]:
    with running_account() as account:
        yield account


@pytest.fixture
def aws(services_of_aws: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Account:
    no_way_out(monkeypatch.setenv, tmp_path)
    account = services_of_aws
    account.clear()
    account.logs.groups |= {GROUP, EXECUTION}
    account.logs.stages[STAGE_PATH] = rest_stage(WHOLE)
    ms = int(START.timestamp()) * 1000
    lines = [(ms + n * 60_000, json.dumps({"status": "200"})) for n in range(40)]
    for group in (GROUP, EXECUTION, RDS):
        account.logs.put(group, lines)
    account.metrics.api_names["a1b2c3"] = "shop"
    account.metrics.dimensions = {"ApiName": "shop", "Stage": "prod"}
    account.metrics.samples = {"Count": [(ms / 1000 + n * 60, 1.0) for n in range(40)]}
    for minutes in range(5, 45, 5):
        at = START + timedelta(minutes=minutes)
        account.bucket.put(f"{BALANCER}_{at:%Y%m%dT%H%M}Z_10.0.0.1_a1b2.log.gz", b"x" * 50, at)
    return account


def checked_aws(
    account: Account,
    window: TimeWindow = WINDOW,
    *,
    is_real: bool = False,
    **changed: Any,
) -> Checkup:
    given: dict[str, Any] = {
        "name": "shop",
        "region": "eu-west-1",
        "endpoint": account.url,
        "stages": (GatewayStage("rest", "a1b2c3", "prod"),),
        "postgres_logs": (RDS,),
        "load_balancer_logs": ("s3://logs/alb/",),
    }
    found = checkup_aws.check_account(
        AwsAccount(**(given | changed)), window=window, clock=FakeClock(is_real), paces=Paces(1000)
    )
    no_secret(found, *SECRETS)
    return found


def test_an_aws_account_in_order(aws: Account) -> None:
    found = checked_aws(aws, is_real=False)
    assert found.reachable and found.server == "shop"
    ill = {one.name: one.found for one in found.checks if one.state.value != "ok"}
    assert ill.keys() == {"clock"}  # that of the test stands still in another year
    assert "eu-west-1" in check(found, "region").found
    assert "all that is read" in check(found, f"log format of {STAGE}").found
    assert "level INFO" in check(found, f"execution log of {STAGE}").found
    assert {one.source: one.would_show.value for one in found.past_window} == {
        f"access log of {STAGE}": "yes",
        f"metrics of {STAGE}": "yes",
        f"PostgreSQL log {RDS}": "yes",
        "s3://logs/alb/": "yes",
    }
    assert "milliseconds" in past(found, f"access log of {STAGE}").why
    assert len(aws.logs.calls) + len(aws.metrics.paths) + len(aws.bucket.listed) < 20
    assert aws.bucket.got == [(FIRST, "bytes=0-0")]
    assert aws.logs.count("StopQuery") == 0


def test_the_clock_of_aws(aws: Account) -> None:
    only_logs: dict[str, Any] = {"stages": (), "load_balancer_logs": ()}
    assert state(checked_aws(aws, is_real=True, **only_logs), "clock") == "ok"
    aws.logs.clock_ahead_seconds = 120
    assert state(checked_aws(aws, is_real=True, **only_logs), "clock") == "warning"


def test_what_a_format_lacks_and_what_to_add(aws: Account) -> None:
    aws.logs.stages[STAGE_PATH] = rest_stage(gateway_scene.FORMAT)
    found = check(checked_aws(aws), f"log format of {STAGE}")
    assert found.state == "warning" and "types not separable" in found.found
    assert '"integration.status": "$context.integration.status"' in found.cure.splitlines()
    aws.logs.stages[STAGE_PATH] = rest_stage('{"id": "$context.requestId"}')
    poor = checked_aws(aws)
    fatal = check(poor, f"log format of {STAGE}")
    assert fatal.state == "problem" and "$context.status" in fatal.cure
    assert "$context.requestTimeEpoch" in fatal.cure and "$context.resourcePath" in fatal.cure
    assert state(poor, f"Logs Insights of {STAGE}") == "unknown"
    aws.logs.stages[STAGE_PATH] = rest_stage("no variable")
    assert state(checked_aws(aws), f"log format of {STAGE}") == "problem"


def test_every_loss_has_a_variable_that_gives_it_back() -> None:
    from incident_rca.formats.access_log.stage_format import compile_format

    for protocol in ("rest", "http", "websocket"):
        text = '{"x": "$context.nothing"}'
        lost = [one.removeprefix("format lacks ") for one in compile_format(text).lacks]
        added = {variable_to_add(one, protocol) for one in lost}
        whole = json.dumps({name: f"$context.{name}" for name in sorted(added)})
        assert compile_format(whole).lacks == (), protocol


def test_a_stage_without_logs(aws: Account) -> None:
    aws.logs.stages[STAGE_PATH] = {"stageName": "prod"}
    found = checked_aws(aws)
    assert state(found, f"access log of {STAGE}") == "problem"
    assert state(found, f"execution log of {STAGE}") == "warning"
    assert state(found, f"metrics of {STAGE}") == "ok"


def test_an_execution_log_that_is_on_and_not_there(aws: Account) -> None:
    aws.logs.groups.discard(EXECUTION)
    found = check(checked_aws(aws), f"execution log of {STAGE}")
    assert found.state == "warning" and "does not exist" in found.found


@pytest.mark.parametrize(
    ("deny", "name", "action"),
    [
        (lambda a: a.logs.plan("GetStage", DENIED), f"stage {STAGE}", "apigateway:GET"),
        (
            lambda a: a.logs.plan("FilterLogEvents", DENIED),
            f"access log of {STAGE}",
            "logs:FilterLogEvents",
        ),
        (
            lambda a: a.logs.plan("StartQuery", DENIED),
            f"Logs Insights of {STAGE}",
            "logs:StartQuery",
        ),
        (
            lambda a: a.logs.plan("GetQueryResults", DENIED),
            f"Logs Insights of {STAGE}",
            "logs:GetQueryResults",
        ),
        (
            lambda a: a.metrics.faults.append(metrics_server.Fault("AccessDenied", 403)),
            f"metrics of {STAGE}",
            "cloudwatch:GetMetricData",
        ),
        (
            lambda a: a.bucket.faults.update({"": [Fault("AccessDenied", 403)]}),
            "s3 s3://logs/alb/",
            "s3:ListBucket",
        ),
        (
            lambda a: a.bucket.faults.update({FIRST: [Fault("AccessDenied", 403)]}),
            "s3 s3://logs/alb/",
            "s3:GetObject",
        ),
    ],
    ids=["stage", "lines", "insights", "results", "metrics", "list", "get"],
)
def test_a_permission_that_is_missing(
    aws: Account, deny: Callable[[Account], None], name: str, action: str
) -> None:
    deny(aws)
    found = checked_aws(aws)
    assert found.reachable and state(found, "credentials") == "ok"
    ill = [one for one in found.checks if one.state.value == "problem"]
    assert [one.name for one in ill] == [name] and action in ill[0].cure


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("UnrecognizedClientException", "keys"),
        ("ExpiredTokenException", "sign in again"),
    ],
)
def test_credentials_that_are_refused_end_it(aws: Account, code: str, words: str) -> None:
    aws.logs.plan("GetStage", refused(code, "The security token is invalid", 403))
    found = checked_aws(aws)
    assert not found.reachable and [one.name for one in found.checks] == ["credentials"]
    assert words in check(found, "credentials").cure
    assert len(aws.logs.calls) == 1


def test_no_credentials_no_region_and_no_profile(
    aws: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert state(checked_aws(aws, profile="nobody"), "credentials") == "problem"
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(variable, raising=False)
    nowhere = checked_aws(aws, region="")
    assert state(nowhere, "region") == "problem" and "region" in check(nowhere, "region").cure
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(variable)
    found = checked_aws(aws)
    assert not found.reachable and "sign in" in check(found, "credentials").cure


def test_an_aws_that_is_not_there(aws: Account) -> None:
    found = checked_aws(aws, endpoint=NOBODY, stages=(), load_balancer_logs=())
    assert not found.reachable and state(found, "credentials") == "unknown"
    assert state(found, f"PostgreSQL log {RDS}") == "problem"


def test_log_groups_that_are_gone_and_windows_that_are_not_there(aws: Account) -> None:
    gone = checked_aws(aws, postgres_logs=("/aws/rds/instance/other/postgresql",))
    missing = check(gone, "PostgreSQL log /aws/rds/instance/other/postgresql")
    assert missing.state == "problem" and "EnableLogTypes" in missing.cure
    long_ago = TimeWindow(START - timedelta(hours=9), START - timedelta(hours=8))
    before = checked_aws(aws, long_ago)
    assert {one.would_show.value for one in before.past_window} == {"no"}
    longer = checked_aws(aws, TimeWindow(START - timedelta(hours=2), WINDOW.end))
    access = past(longer, f"access log of {STAGE}")
    assert access.would_show == "partly" and access.covered is not None
    assert access.covered.start == START
    after = checked_aws(aws, TimeWindow(START, NOW))
    assert past(after, f"PostgreSQL log {RDS}").would_show == "partly"


def test_what_names_in_the_bucket_say(aws: Account) -> None:
    longer = checked_aws(aws, TimeWindow(START - timedelta(hours=2), WINDOW.end))
    part = past(longer, "s3://logs/alb/")
    assert part.would_show == "partly" and part.covered is not None
    assert part.covered.start == START and "8 objects" in part.why
    aws.bucket.objects.clear()
    aws.bucket.put("alb/000000.gz", b"x", START + timedelta(minutes=20))
    found = checked_aws(aws)
    assert past(found, "s3://logs/alb/").would_show == "unknown"
    assert state(found, "read s3://logs/alb/") == "ok"


def test_nothing_in_the_bucket(aws: Account) -> None:
    aws.bucket.objects.clear()
    found = checked_aws(aws)
    assert past(found, "s3://logs/alb/").would_show == "no"
    assert state(found, "list s3://logs/alb/") == "ok"
    assert state(found, "read s3://logs/alb/") == "unknown"


def test_throttling_is_told_and_an_account_that_names_nothing(aws: Account) -> None:
    aws.logs.plan("FilterLogEvents", THROTTLED)
    found = checked_aws(aws)
    assert state(found, "throttling") == "warning"
    assert state(found, f"access log of {STAGE}") == "ok"
    empty = checked_aws(aws, stages=(), postgres_logs=(), load_balancer_logs=())
    assert state(empty, "asked") == "warning"


def test_a_checkup_takes_no_longer_than_its_time(aws: Account) -> None:
    """Calls that stay throttled use up the time; what is left is said not to have been asked."""
    aws.logs.plan("FilterLogEvents", *[THROTTLED] * 1000)
    found = checked_aws(aws)
    late = [one for one in found.checks if "time was over" in one.found]
    assert late and {one.state.value for one in late} == {"unknown"}
