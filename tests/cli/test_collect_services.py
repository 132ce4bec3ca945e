"""`collect` and `run` where services fail, stall, are interrupted or asked again."""

from __future__ import annotations

import base64
import json
import re
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.cli.running import Ran
from tests.cli.services import ACCESS, ASKED_AT, POSTGRES, SECRETS, Services, incident
from tests.sources import cloudwatch_logs_server, cloudwatch_metrics_server, prometheus_server
from tests.sources.blocked import until
from tests.sources.datadog_server import V2, Reply

NOWHERE = "http://127.0.0.1:1"
SHORT = ("--from", "2026-01-15T14:22:00Z", "--to", "2026-01-15T14:26:00Z")
BEARER = "Bearer prom-9f8e7d6c5b4a-of-the-night"
PASSWORD = "hunter2-of-the-database"
OUT_OF_TIME = r"time.* was over|timed? ?out|no answer within"
Source = dict[str, Any]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with incident(tmp_path_factory.mktemp("services")) as services:
        yield services


@pytest.fixture
def services(running: Services) -> Iterator[Services]:
    running.forget()
    yield running
    running.forget()


def sources(folder: Path) -> dict[str, Source]:
    document = json.loads((folder / "INC-1" / "case.json").read_text(encoding="utf-8"))
    return {source["name"]: source for source in document["sources"]}


def states(folder: Path) -> dict[str, str]:
    """The state of each source that was not skipped."""
    found = {name: source["state"] for name, source in sources(folder).items()}
    return {name: state for name, state in found.items() if state != "skipped"}


def of(system: str, folder: Path) -> set[str]:
    """The states of the sources of one service: `datadog` or `shop`."""
    return {s for name, s in states(folder).items() if name.startswith(f"{system}.")}


def apart_from_the_stage(services: Services) -> list[str]:
    """What was asked; whether the stage has an execution log by now is asked each time."""
    return [text for text in services.asked() if not text.startswith(("GetStage", "resources"))]


def forms_of(secret: str) -> set[str]:
    """A secret as it is, and as it could be disguised in what is written."""
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return {secret, quote(secret, safe=""), encoded, json.dumps(secret)[1:-1]}


def tells_nothing_secret(folder: Path, ran: Ran) -> None:
    """Nothing that was written or printed holds a secret; the settings name variables only."""
    secrets = [*(v for k, v in SECRETS.items() if k != "AWS_ACCESS_KEY_ID"), BEARER, PASSWORD]
    forms = {form for secret in secrets for form in forms_of(secret)}
    forms |= {BEARER.removeprefix("Bearer ")}
    written = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert written
    for form in forms:
        assert form not in ran.out + ran.err
        assert [p for p, content in written.items() if form.encode() in content] == []


def got_the_secrets(services: Services) -> None:
    """What must not be told was really sent, so a service could have given it away."""
    heard = services.datadog.heard[0].headers
    assert heard["dd-api-key"] == SECRETS["DD_API_KEY"]
    assert heard["dd-application-key"] == SECRETS["DD_APP_KEY"]
    tokens = {headers.get("X-Amz-Security-Token") for headers in services.aws.headers}
    assert SECRETS["AWS_SESSION_TOKEN"] in tokens


# --- one service fails ----------------------------------------------------------------------------


def test_a_service_that_is_down_costs_only_itself(services: Services, tmp_path: Path) -> None:
    services.settings(tmp_path, aws=NOWHERE)
    ran = services.run(tmp_path, "run", "INC-1", *SHORT, "--timeout", "5")
    assert ran.code == 3, ran.err
    assert of("shop", tmp_path) == {"failed"}
    assert of("datadog", tmp_path) == {"ok"} == of("inventory-db", tmp_path)
    report = (tmp_path / "INC-1" / "report.md").read_text(encoding="utf-8")
    failed = [name for name, state in states(tmp_path).items() if state == "failed"]
    assert len(failed) >= 5
    for name in failed:
        assert re.search(rf"{re.escape(name)}.*failed", report), name
        assert re.search(rf"^failed +{re.escape(name)}: ", ran.err, re.MULTILINE)
        reason = sources(tmp_path)[name]["reason"]
        assert re.search(f"EndpointConnectionError|{OUT_OF_TIME}", reason, re.IGNORECASE), reason
    tells_nothing_secret(tmp_path, ran)

    # Once it is up again, it alone is asked.
    services.forget()
    services.settings(tmp_path)
    again = services.run(tmp_path, "collect", "INC-1")
    assert (again.code, of("shop", tmp_path)) == (0, {"ok"}), again.err
    assert services.logs.calls and services.metrics.asked
    assert services.datadog.heard == []
    tells_nothing_secret(tmp_path, again)


def test_what_stalls_is_given_up_in_its_time(services: Services, tmp_path: Path) -> None:
    services.settings(tmp_path)
    services.aws.hold("logs", "cloudwatch")
    services.datadog.fail(V2, Reply(stalls=40), always=True)
    ran = services.run(tmp_path, "collect", "INC-1", *SHORT, "--timeout", "6")
    found = sources(tmp_path)
    assert ran.code == 3
    assert of("shop", tmp_path) == {"failed"}
    assert found["datadog.events"]["state"] == "ok"
    assert found["datadog.latency"]["state"] == "failed"
    assert of("inventory-db", tmp_path) == {"ok"}
    told = [found[name] for name, state in states(tmp_path).items() if state == "failed"]
    assert all(re.search(OUT_OF_TIME, s["reason"], re.IGNORECASE) for s in told), told
    assert all(source["hint"] for source in told)


def test_all_together_have_a_time_as_well(services: Services, tmp_path: Path) -> None:
    services.settings(tmp_path)
    services.aws.hold("apigateway", "logs", "cloudwatch")
    ran = services.run(tmp_path, "collect", "INC-1", *SHORT, "--total-timeout", "12")
    assert ran.code == 3
    assert of("shop", tmp_path) == {"failed"}
    assert of("datadog", tmp_path) == {"ok"} == of("inventory-db", tmp_path)
    reasons = [s["reason"] for s in sources(tmp_path).values() if s["state"] == "failed"]
    assert all(re.search(OUT_OF_TIME, reason, re.IGNORECASE) for reason in reasons), reasons


@pytest.mark.parametrize("missing", ["DD_API_KEY", "DD_APP_KEY"])
def test_a_missing_key_is_named(services: Services, tmp_path: Path, missing: str) -> None:
    services.settings(tmp_path, without=["aws"])
    ran = services.run(tmp_path, "collect", "INC-1", *SHORT, environ={missing: None})
    assert ran.code == 3
    assert of("datadog", tmp_path) == {"failed"}
    told = sources(tmp_path)["datadog.latency"]
    assert missing in told["reason"] + told["hint"]
    assert services.datadog.heard == []
    tells_nothing_secret(tmp_path, ran)


def test_without_keys_of_aws_nothing_is_asked_of_it(services: Services, tmp_path: Path) -> None:
    services.settings(tmp_path, without=["datadog"])
    gone = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"))
    ran = services.run(tmp_path, "collect", "INC-1", *SHORT, environ=gone)
    assert ran.code == 3
    assert of("shop", tmp_path) == {"failed"}
    told = sources(tmp_path)["shop.a1b2c3-prod.counts"]
    assert "NoCredentialsError" in told["reason"] and "[[aws]] shop" in told["hint"]
    assert services.asked() == []


def test_what_is_not_configured_is_skipped_and_complete(services: Services, tmp_path: Path) -> None:
    services.settings(tmp_path, without=["datadog", "aws"])
    ran = services.run(tmp_path, "collect", "INC-1", *SHORT)
    assert ran.code == 0
    found = sources(tmp_path)
    skipped = {name: s["hint"] for name, s in found.items() if s["state"] == "skipped"}
    assert skipped.keys() == {"datadog_metrics", "access_log", "server_residue"}
    assert "[[datadog]] or [[prometheus]]" in skipped["datadog_metrics"]
    assert "[[aws]]" in skipped["access_log"]
    assert services.asked() == []


# --- again, and interrupted -----------------------------------------------------------------------


def test_the_same_collect_asks_for_nothing_again(services: Services, tmp_path: Path) -> None:
    services.settings(tmp_path)
    first = services.run(tmp_path, "run", "INC-1", *SHORT)
    assert first.code == 0, first.err
    assert services.datadog.heard and services.logs.calls and services.metrics.asked
    got_the_secrets(services)
    tells_nothing_secret(tmp_path, first)
    twice = [text for text, count in Counter(services.asked()).items() if count > 1]
    assert twice == []
    before = {p: p.read_bytes() for p in (tmp_path / "INC-1" / "raw").iterdir()}
    services.forget()
    again = services.run(tmp_path, "collect", "INC-1", *SHORT)
    assert (again.code, apart_from_the_stage(services)) == (0, [])
    assert {p: p.read_bytes() for p in (tmp_path / "INC-1" / "raw").iterdir()} == before
    assert again.err.count("is in the case already") == len(states(tmp_path))
    tells_nothing_secret(tmp_path, again)


def test_interrupted_and_again_nothing_is_fetched_twice(services: Services, tmp_path: Path) -> None:
    services.settings(tmp_path)
    services.logs.seconds_a_call = 1.0
    words = ("collect", "INC-1", *SHORT)
    with services.started(tmp_path, *words) as process:
        until(lambda: services.logs.count("FilterLogEvents") >= 6 and has_datadog(tmp_path))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    tells_nothing_secret(tmp_path, Ran(130, out, err))
    assert "the same command goes on" in err
    spool = tmp_path / "INC-1" / ".spool"
    there = [
        (int(found[1]), int(found[2]), path.parent.name)
        for path in spool.rglob("*.ndjson")
        if (found := re.fullmatch(r"(\d+)-(\d+)\.ndjson", path.name))
    ]
    assert there
    assert "shop.a1b2c3-prod.errors" not in states(tmp_path)
    halves = services.logs.asked("FilterLogEvents")
    services.forget()

    again = services.run(tmp_path, *words)
    assert again.code == 0, again.err
    assert of("shop", tmp_path) == {"ok"}
    assert services.datadog.heard == []
    asked = services.logs.asked("FilterLogEvents")
    assert asked and len(asked) < 16 and halves
    groups = dict(_groups(there, halves))
    for start, end, folder in there:
        overlapping = [
            body
            for body in asked
            if body["logGroupName"] == groups[folder]
            and body["startTime"] < end
            and body["endTime"] >= start
        ]
        assert overlapping == []
    assert not spool.exists() or not list(spool.rglob("*.ndjson"))
    complete = tmp_path / "whole"
    complete.mkdir()
    services.forget()
    services.settings(complete)
    services.run(complete, *words)
    assert events(tmp_path) == events(complete)
    tells_nothing_secret(tmp_path, again)


def has_datadog(folder: Path) -> bool:
    """Whether all of Datadog is in the case already."""
    wanted = {f"datadog.{part}" for part in ("latency", "counts", "pool", "events")}
    manifest = folder / "INC-1" / "case.json"
    return manifest.exists() and wanted <= states(folder).keys()


def _groups(
    there: list[tuple[int, int, str]], asked: list[dict[str, Any]]
) -> Iterator[tuple[str, str]]:
    """The log group whose shards lie in each folder, by a shard that only it was asked for."""
    for start, end, folder in there:
        for body in asked:
            if (body["startTime"], body["endTime"]) == (start, end - 1):
                yield folder, body["logGroupName"]


def events(folder: Path) -> dict[str, list[str]]:
    """The events of the raw files, without their headers."""
    return {
        path.name: path.read_text(encoding="utf-8").splitlines()[1:]
        for path in sorted((folder / "INC-1" / "raw").glob("shop.*.ndjson"))
    }


def test_a_window_that_has_just_ended_is_read_again(services: Services, tmp_path: Path) -> None:
    """The stage's errors: two minutes after the window, then an hour after, then never again."""
    services.settings(tmp_path, without=["datadog"])
    ended = ASKED_AT.replace(hour=14, minute=26)
    services.set_clock(ended + timedelta(minutes=2))
    words = ("collect", "INC-1", *SHORT)
    first = services.run(tmp_path, *words)
    asked = [source for name, source in sources(tmp_path).items() if name.startswith("shop.")]
    told = [source for source in asked if source["state"] != "skipped"]
    assert len(told) == 6
    for source in told:
        assert source["state"] in ("ok", "partial") and source["rows"]
        assert source["reason"].startswith("provisional: ") and source["reason"] in first.err
        assert "collect" in source["hint"]
    rows = sources(tmp_path)["shop.a1b2c3-prod.errors"]["rows"]

    ended_ms = int(ended.timestamp() * 1000)
    late = {
        **json.loads(json.loads(events(tmp_path)["shop.a1b2c3-prod.errors.ndjson"][0])["message"]),
        "requestId": "late",
        "requestTimeEpoch": str(ended_ms - 500),
        "responseLatency": "300",
    }
    services.logs.put(ACCESS, [(ended_ms - 200, json.dumps(late))])
    services.forget()
    second = services.run(tmp_path, *words)
    assert second.code == 0, second.err
    assert services.logs.asked("FilterLogEvents") and services.metrics.asked
    found = sources(tmp_path)
    assert found["shop.a1b2c3-prod.errors"]["rows"] == rows + 1
    assert not any("provisional" in source["reason"] for source in found.values())

    services.forget()
    assert services.run(tmp_path, *words).code == 0
    assert apart_from_the_stage(services) == []


# --- secrets --------------------------------------------------------------------------------------


def test_services_that_echo_secrets_do_not_spread_them(services: Services, tmp_path: Path) -> None:
    keys = f"{SECRETS['DD_API_KEY']} with {SECRETS['DD_APP_KEY']} is invalid"
    services.datadog.fail(V2, Reply({"errors": [keys]}, 403), always=True)
    services.datadog.fail("/api/v2/events", Reply({"errors": [keys]}, 400), always=True)
    signed = (
        "The request signature we calculated does not match. The Canonical String for this request "
        f"should have been 'POST\n/\n\nx-amz-security-token:{SECRETS['AWS_SESSION_TOKEN']}\n'"
    )
    for action in ("FilterLogEvents", "StartQuery"):
        refused = cloudwatch_logs_server.refused("SignatureDoesNotMatch", signed, 403)
        services.logs.plan(action, *[refused] * 20)
    services.metrics.faults += [cloudwatch_metrics_server.Fault(html=True, status=502)] * 9
    with prometheus_server.running_service() as prometheus:
        prometheus.answer = lambda asked: prometheus_server.refusal(
            "unauthorized", f"refused: Authorization: {asked.headers['Authorization']}", 401
        )
        header = 'headers = { Authorization = "$PROM_AUTH" }'
        services.settings(tmp_path, more=f'[[prometheus]]\nurl = "{prometheus.url}"\n{header}\n')
        dsn = f"postgresql://monitor:{PASSWORD}@127.0.0.1:1/orders"
        recorded = ("--recordings", services.recordings / "inventory-db")
        words = ("run", "INC-1", *SHORT, "--dsn", dsn, *recorded)
        ran = services.run(tmp_path, *words, environ={"PROM_AUTH": BEARER})
        assert BEARER in {asked.headers["Authorization"] for asked in prometheus.asked}
    assert ran.code == 3, ran.err
    assert (
        of("datadog", tmp_path) == of("shop", tmp_path) == of("prometheus", tmp_path) == {"failed"}
    )
    tells_nothing_secret(tmp_path, ran)


def test_a_password_of_the_environment_is_not_told(services: Services, tmp_path: Path) -> None:
    services.settings(tmp_path, without=["aws"])
    there = {"PGHOST": "127.0.0.1", "PGPORT": "1", "PGUSER": "monitor", "PGPASSWORD": PASSWORD}
    ran = services.run(tmp_path, "run", "INC-1", *SHORT, environ=there)
    assert ran.code == 3 and POSTGRES not in ran.err
    tells_nothing_secret(tmp_path, ran)
