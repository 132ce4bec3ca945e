"""How Datadog fails, and what is left of the evidence then: complete, or its gap stated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from incident_rca.errors import Unreachable
from incident_rca.model import TimeWindow
from incident_rca.model.services import DatadogAccount
from incident_rca.sources import datadog
from incident_rca.sources import datadog_client as client
from incident_rca.sources.datadog_client import access_of
from tests.sources.datadog_server import (
    API_KEY,
    APP_KEY,
    EVENTS,
    KEYS,
    V1,
    V2,
    Reply,
    Service,
    running_service,
    throttled,
)
from tests.sources.fake_clock import FakeClock
from tests.sources.test_datadog import (
    START,
    WINDOW,
    account,
    ask,
    by_aggregate,
    fetched,
    holds_latency,
    read,
)

COMPLETE = {"p50": {5.0}, "p95": {95.0}, "p99": {99.0}, "max": {100.0}}
HTML = Reply(b"<html>Sign in to the guest network</html>")
PASSING: dict[str, Reply] = {
    "throttled": throttled("2"),
    "throttled without a reset": throttled(None),
    "throttled with nonsense": throttled("soon"),
    "internal error": Reply({"errors": ["oops"]}, 500),
    "a proxy's 502": Reply(b"<html>Bad gateway</html>", 502),
    "503 that is no text": Reply(b"\xff\xfe", 503),
    "request time-out": Reply({"errors": ["slow"]}, 408),
    "broken connection": Reply(breaks=True),
    "a body that breaks off": Reply({"data": {"attributes": "x" * 5000}}, is_cut=True),
}


@pytest.fixture
def service() -> Iterator[Service]:
    with running_service() as running:
        holds_latency(running)
        yield running


@pytest.fixture
def short_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that are given up soon, so that a stall takes a test no time."""
    monkeypatch.setattr("incident_rca.sources.tally.REQUEST_SECONDS", 0.15)


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_leaves_the_answer_complete(
    service: Service, name: str, tmp_path: Path
) -> None:
    service.fail(V2, PASSING[name])
    clock = FakeClock()
    parsed = fetched(account(service), "latency", tmp_path, clock=clock)
    assert by_aggregate(parsed) == COMPLETE and parsed.damage == ""
    assert len(service.asked(V2)) == 2 and clock.slept


def test_a_stall_is_given_up_and_asked_again(
    service: Service, short_requests: None, tmp_path: Path
) -> None:
    service.fail(V2, Reply({}, stalls=0.5))
    assert by_aggregate(fetched(account(service), "latency", tmp_path)) == COMPLETE


def test_throttling_is_waited_out_and_counted(service: Service, tmp_path: Path) -> None:
    service.fail(V2, throttled("7"), throttled("7"))
    clock = FakeClock()
    (source, *_) = datadog.asked_of(account(service), environ=KEYS, clock=clock)
    assert by_aggregate(read(source.ask(WINDOW), tmp_path)) == COMPLETE
    assert clock.slept == [7.0, 7.0] and source.tally.throttled == 2
    assert source.tally.rows == 240 and source.tally.pages == 5


def test_a_reset_in_an_hour_is_not_waited_for(service: Service) -> None:
    service.fail(V2, throttled("3600"), always=True)
    clock = FakeClock()
    with pytest.raises(Unreachable, match="it resets in 3600 s") as raised:
        ask(account(service), "latency", clock=clock)
    assert set(clock.slept) == {client.LONGEST_RESET_SECONDS}
    assert len(service.asked(V2)) == client.MOST_ATTEMPTS and "share" in raised.value.hint


def test_a_slice_that_is_refused_is_a_gap_and_the_others_are_kept(
    service: Service, tmp_path: Path
) -> None:
    window = TimeWindow(START, START + timedelta(minutes=45))
    service.fail(V2, Reply({"errors": ["shard is gone"]}, 400))
    of = account(service)
    parsed = fetched(of, "counts", tmp_path, window=window)
    asked = [heard.body["data"]["attributes"] for heard in service.asked(V2)]
    assert len(asked) == 3 and "1 of 3 requests failed" in parsed.damage
    assert "shard is gone" in parsed.damage
    (gap,) = parsed.gaps
    assert int(gap.window.start.timestamp()) * 1000 == asked[0]["from"]
    assert int(gap.window.end.timestamp()) * 1000 == asked[0]["to"]


REFUSED: dict[str, tuple[Reply, str, str]] = {
    "400": (Reply({"errors": ["Invalid query"]}, 400), "Invalid query", "scope"),
    "401": (Reply({"errors": ["Unauthorized"]}, 401), "401: Unauthorized", "DD_API_KEY"),
    "403": (Reply({"status": "error", "errors": ["Forbidden"]}, 403), "403: Forbidden", "site"),
    "403 with details": (
        Reply({"errors": [{"title": "Forbidden", "detail": "lacks timeseries_query"}]}, 403),
        "lacks timeseries_query",
        "scope",
    ),
    "HTML instead of JSON": (HTML, "text/html that is no JSON", "proxy"),
    "a list": (Reply(b"[1]", headers={"Content-Type": "application/json"}), "no object", "proxy"),
    "no series": (Reply({"data": None}), "no series", "names"),
    "a redirect": (Reply({}, 302, {"Location": "http://127.0.0.1:9/login"}), "302", "redirects"),
    **{n: (r, "", "") for n, r in PASSING.items()},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_stays_is_an_error_that_says_what_to_do(service: Service, name: str) -> None:
    reply, said, hint = REFUSED[name]
    service.fail(V2, reply, always=True)
    with pytest.raises(Unreachable) as raised:
        ask(account(service), "latency")
    assert said in raised.value.message and hint in raised.value.hint
    assert raised.value.hint and "\n" not in raised.value.message
    assert len(service.asked(V2)) <= 5 * client.MOST_ATTEMPTS


@pytest.mark.parametrize("path", ["/api/v1/metrics", V2, EVENTS])
def test_stalls_without_end_are_bounded(service: Service, short_requests: None, path: str) -> None:
    service.fail(path, Reply({}, stalls=0.3), always=True)
    part = "events" if path == EVENTS else "latency"
    with pytest.raises(Unreachable, match="did not answer in time"):
        ask(account(service), part)
    assert len(service.asked(path)) == client.MOST_ATTEMPTS


def test_an_account_that_fails_is_asked_once_for_all_of_its_sources(service: Service) -> None:
    """Each of its sources would wait as long for the list of metrics that all of them need."""
    path = "/api/v1/metrics"
    service.fail(path, Reply({"errors": ["down"]}, 503), always=True)
    latency, counts, pool, _ = datadog.asked_of(account(service), environ=KEYS, clock=FakeClock())
    said = []
    for source in (latency, counts, pool):
        with pytest.raises(Unreachable) as raised:
            source.ask(WINDOW)
        said.append((raised.value.message, raised.value.hint))
    assert len(set(said)) == 1 and "down" in said[0][0]
    assert len(service.asked(path)) == client.MOST_ATTEMPTS


def test_nobody_listens() -> None:
    with running_service() as gone:
        pass
    with pytest.raises(Unreachable, match="Connection refused") as raised:
        ask(account(gone), "events")
    assert "0x" not in raised.value.message


def test_the_time_of_the_source_ends_the_waiting(service: Service) -> None:
    service.fail(V2, throttled("25"), always=True)
    clock = FakeClock()
    (source, *_) = datadog.asked_of(account(service), environ=KEYS, clock=clock)
    source.tally.begin(40.0)
    with pytest.raises(Unreachable, match="its time was over"):
        source.ask(WINDOW)
    assert sum(clock.slept) == 40.0


def test_an_error_of_v1_inside_200_leaves_the_other_queries(
    service: Service, tmp_path: Path
) -> None:
    service.fail(V2, Reply({"errors": ["gone"]}, 410), always=True)
    service.fail(V1, Reply({"status": "error", "error": "internal: p50"}))
    parsed = fetched(account(service), "latency", tmp_path)
    assert set(by_aggregate(parsed)) == {"p95", "p99", "max"}
    assert "1 of 4 requests failed" in parsed.damage and "internal: p50" in parsed.damage


# --- keys, sites and proxies ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "DD_API_KEY and DD_APP_KEY not set"),
        ({"DD_API_KEY": API_KEY}, "DD_APP_KEY not set"),
        ({"DD_API_KEY": "  ", "DD_APP_KEY": APP_KEY}, "DD_API_KEY not set"),
        ({"DD_API_KEY": API_KEY, "DD_APP_KEY": f"{APP_KEY}\nX: y"}, "DD_APP_KEY holds"),
        ({"DD_API_KEY": API_KEY, "DD_APP_KEY": f"{APP_KEY}é"}, "DD_APP_KEY holds"),
    ],
)
def test_keys_are_looked_at_before_anything_is_sent(
    service: Service, environ: dict[str, str], said: str
) -> None:
    with pytest.raises(Unreachable) as raised:
        ask(account(service), "latency", environ=environ)
    assert said in raised.value.message and raised.value.hint and not service.heard
    assert APP_KEY not in raised.value.message + raised.value.hint


def test_the_environment_of_the_process_is_never_read(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("DD_API_KEY", "DD_APP_KEY", "DD_SITE"):
        monkeypatch.setenv(name, "wrong.example")
    given = {"DD_EU_API_KEY": f"{API_KEY}\n", "DD_EU_APP_KEY": APP_KEY}
    of = account(service, key_prefix="DD_EU")
    assert by_aggregate(fetched(of, "latency", tmp_path, environ=given)) == COMPLETE


def test_the_variables_that_are_named_are_those_of_the_account(service: Service) -> None:
    wrong = {"DD_EU_API_KEY": "x" * 32, "DD_EU_APP_KEY": APP_KEY}
    with pytest.raises(Unreachable, match="403") as raised:
        ask(account(service, key_prefix="DD_EU"), "events", environ=wrong)
    assert "DD_EU_APP_KEY" in raised.value.hint and "site" in raised.value.hint


@pytest.mark.parametrize(
    ("given", "environ", "host"),
    [
        ({}, {}, "https://api.datadoghq.com"),
        ({}, {"DD_SITE": "datadoghq.eu"}, "https://api.datadoghq.eu"),
        ({"site": "us5.datadoghq.com"}, {"DD_SITE": "x.eu"}, "https://api.us5.datadoghq.com"),
        ({"site": "us5.datadoghq.com", "endpoint": "http://h:1"}, {}, "http://h:1"),
    ],
)
def test_the_site(given: dict[str, Any], environ: dict[str, str], host: str) -> None:
    assert access_of(DatadogAccount(**given), {**KEYS, **environ}).host == host


def test_a_site_that_is_an_address_is_refused() -> None:
    with pytest.raises(Unreachable, match="DD_SITE"):
        access_of(DatadogAccount(), {**KEYS, "DD_SITE": "evil.example/?"})


SECURE, PLAIN = "https://api.datadoghq.eu", "http://dd.internal:8080"
PROXIES: list[tuple[str, dict[str, str], str]] = [
    (SECURE, {}, ""),
    (SECURE, {"HTTPS_PROXY": "http://p:3128"}, "http://p:3128"),
    (SECURE, {"https_proxy": "p:3128", "HTTPS_PROXY": "http://q:1"}, "http://p:3128"),
    (SECURE, {"HTTP_PROXY": "http://p:3128"}, ""),
    (SECURE, {"ALL_PROXY": "http://p:3128"}, "http://p:3128"),
    (PLAIN, {"HTTP_PROXY": "http://p:3128"}, "http://p:3128"),
    (SECURE, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "localhost, .datadoghq.eu"}, ""),
    (SECURE, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "datadoghq.com"}, "http://p:1"),
    (SECURE, {"HTTPS_PROXY": "http://p:1", "no_proxy": "*"}, ""),
    (PLAIN, {"HTTP_PROXY": "http://p:1", "NO_PROXY": "dd.internal:8080"}, ""),
]


@pytest.mark.parametrize(("endpoint", "environ", "proxy"), PROXIES)
def test_the_proxy_of_the_environment(endpoint: str, environ: dict[str, str], proxy: str) -> None:
    assert access_of(DatadogAccount(endpoint=endpoint), {**KEYS, **environ}).proxy == proxy


def test_the_proxy_of_the_account_wins() -> None:
    of = DatadogAccount(proxy="http://mine:1")
    assert access_of(of, {**KEYS, "HTTPS_PROXY": "http://p:1"}).proxy == "http://mine:1"


def test_a_proxy_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(Unreachable, match="proxy"):
        access_of(DatadogAccount(), {**KEYS, "HTTPS_PROXY": "socks5://p:1"})


def test_requests_go_through_the_proxy_with_its_password(service: Service, tmp_path: Path) -> None:
    proxied = DatadogAccount(endpoint="http://api.datadog.invalid", latency=())
    place = service.url.removeprefix("http://")
    environ = {**KEYS, "HTTP_PROXY": f"http://ada:p%40ss@{place}"}
    assert by_aggregate(fetched(proxied, "latency", tmp_path, environ=environ)) == COMPLETE
    assert all(heard.target.startswith("http://api.datadog.invalid/") for heard in service.heard)
    # base64 of ada:p@ss
    assert {h.headers["proxy-authorization"] for h in service.heard} == {"Basic YWRhOnBAc3M="}


def test_a_proxy_that_is_gone_is_named_without_its_password() -> None:
    with running_service() as gone:
        pass
    environ = {**KEYS, "HTTP_PROXY": f"http://ada:s3cret@{gone.url.removeprefix('http://')}"}
    with pytest.raises(Unreachable, match="proxy") as raised:
        ask(DatadogAccount(endpoint="http://dd.invalid"), "events", environ=environ)
    assert "s3cret" not in raised.value.message and gone.url in raised.value.message


ECHOES: list[Reply] = [
    Reply({"errors": [f"API key {API_KEY} is not of this site"]}, 403),
    Reply({"errors": [{"detail": f"application key {APP_KEY}"}]}, 400),
    Reply(f"<html>{API_KEY}</html>".encode(), 502),
    throttled("1", name=API_KEY),
]


@pytest.mark.parametrize("position", range(len(ECHOES)))
def test_a_key_that_is_echoed_is_hidden(service: Service, position: int) -> None:
    for path in (V2, EVENTS):
        service.fail(path, ECHOES[position], always=True)
    for part in ("latency", "events"):
        with pytest.raises(Unreachable) as raised:
            ask(account(service), part)
        shown = f"{raised.value.message} {raised.value.hint} {raised.value!r}"
        assert API_KEY not in shown and APP_KEY not in shown


def test_a_key_that_is_echoed_in_one_slice_is_not_kept(service: Service) -> None:
    window = TimeWindow(START, START + timedelta(minutes=45))
    service.fail(V2, ECHOES[1])
    answer: Any = ask(account(service), "counts", window=window)
    assert "<secret>" in answer["response"]["error"]["message"]
    assert APP_KEY not in json.dumps(answer)


def test_the_keys_are_in_no_repr() -> None:
    access = access_of(DatadogAccount(), {**KEYS, "HTTPS_PROXY": "http://ada:s3cret@p:1"})
    assert not any(secret in repr(access) for secret in (API_KEY, APP_KEY, "s3cret"))


def test_an_answer_without_end_is_cut_off(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "LARGEST_ANSWER_BYTES", 10_000)
    service.fail(V2, Reply({"data": "x" * 200_000}), always=True)
    with pytest.raises(Unreachable, match="more than 10,000 bytes"):
        ask(account(service), "latency")
