"""Prometheus over real HTTP: what is asked and how, faults, and no secret anywhere."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from incident_rca.errors import BadSettings, Unreachable
from incident_rca.formats.parsed import Parsed
from incident_rca.model import TimeWindow
from incident_rca.model.services import PrometheusServer
from incident_rca.packaged import packaged_path
from incident_rca.queries import load_query
from incident_rca.sources import prometheus as source
from incident_rca.sources import prometheus_api
from incident_rca.sources.answers import Absent, Answer
from incident_rca.sources.tally import Tally
from tests.formats.builders import kind_of, parse, rows
from tests.sources.prometheus_server import (
    START,
    Asked,
    FakeClock,
    Reply,
    Service,
    refusal,
    running_service,
    success,
)

WINDOW = TimeWindow(START, START + timedelta(minutes=10))
SECRET = "s3cr3t-of-mine"
QUERIES = sorted(packaged_path("queries", "prometheus").glob("*.toml"))
Fetch = Callable[..., Answer | Absent]


@pytest.fixture
def service() -> Iterator[Service]:
    with running_service() as running:
        yield running


def fetched(
    service: Service,
    what: Fetch = source.latency,
    window: TimeWindow = WINDOW,
    *,
    environ: Mapping[str, str] | None = None,
    tally: Tally | None = None,
    **settings: Any,
) -> Answer | Absent:
    server = PrometheusServer(url=service.url, **settings)
    tally = tally or Tally(FakeClock())
    return what(server, window, asked_at=window.end, tally=tally, environ=environ or {})


def table(answer: Answer | Absent, folder: Path) -> Parsed:
    assert not isinstance(answer, Absent), answer
    path = folder / "prometheus.json"
    path.write_text(json.dumps(answer))
    assert kind_of(path) == "prometheus_metrics"
    return parse("prometheus_metrics", path)


def test_percentiles_and_averages_by_service_and_method(service: Service, tmp_path: Path) -> None:
    service.metadata = {"grpc_client_handling_seconds": [{"type": "histogram", "unit": "seconds"}]}
    parsed = table(fetched(service), tmp_path)
    found = rows(parsed, "metrics")
    assert {row["aggregate"] for row in found} == {"p50", "p95", "p99", "avg"}
    assert {(r["service"], r["method"], r["owner"]) for r in found} == {
        ("inv.Inv", "Reserve", "orders")
    }
    assert {(r["value"], r["unit"], r["unit_basis"]) for r in found} == {(500.0, "ms", "payload")}
    assert {r["ceiling"] for r in found if r["aggregate"] == "p99"} == {1000.0}
    # Scraped every 15 s: a value every 15 s, each of the 30 s before it, and none from outside.
    p99 = [row["at"] for row in found if row["aggregate"] == "p99"]
    assert p99 == [START + timedelta(seconds=15 * n) for n in range(39)]
    assert (parsed.covered, parsed.resolution_seconds) == (WINDOW, 30.0)
    assert (parsed.asked, parsed.damage, parsed.unparsed) == (WINDOW, "", 0)


def test_the_queries_are_those_of_the_files_with_safe_names(service: Service) -> None:
    fetched(service, matchers='{env="prod"}')
    queries = [one.parameters["query"] for one in service.ranges()]
    selected = '{__name__="grpc_client_handling_seconds_bucket",env="prod"}'
    by = "grpc_method, grpc_service, job"
    assert f"histogram_quantile(0.99, sum by (le, {by}) (rate({selected}[30s])))" in queries
    assert service.ranges()[0].parameters["step"] == "15.000"
    assert "instance" not in "".join(queries)


def test_counts_come_from_the_counter_in_windows_that_do_not_overlap(
    service: Service, tmp_path: Path
) -> None:
    service.value = "60"
    found = rows(table(fetched(service, source.counts), tmp_path), "metrics")
    handled = [row for row in found if row["metric"] == "grpc_client_handled_total"]
    assert {row["status"] for row in handled} == {"DEADLINE_EXCEEDED"}
    assert [row["at"] for row in handled] == [START + timedelta(seconds=30 * n) for n in range(20)]
    assert sum(row["value"] for row in handled) == 1200


def test_pool_gauges_keep_their_names_and_absent_ones_are_left_out(
    service: Service, tmp_path: Path
) -> None:
    service.names = ("hikaricp_connections_active",)
    service.labels = ("pool", "instance")
    service.value = "100"
    pool = {"used": "hikaricp_connections_active", "max": "hikaricp_connections_max"}
    found = rows(table(fetched(service, source.pool, pool=pool), tmp_path), "metrics")
    assert {(r["metric"], r["value"], r["unit"]) for r in found} == {
        ("hikaricp_connections_active", 100.0, "count")
    }
    assert {row["role"] for row in found} == {"used"}
    (query,) = {one.parameters["query"] for one in service.ranges()}
    assert query.startswith("max by (pool) (last_over_time({__name__=")


def test_nothing_to_ask_is_absent_with_a_hint(service: Service) -> None:
    service.names = ()
    for what in (source.latency, source.counts):
        absent = fetched(service, what)
        assert isinstance(absent, Absent) and absent.reason and absent.hint
    absent = fetched(service, source.pool)
    assert isinstance(absent, Absent) and "pool" in absent.hint
    absent = fetched(service, source.pool, pool={"used": "x"})
    assert isinstance(absent, Absent) and "(x)" in absent.reason


def test_a_window_too_short_for_two_scrapes_is_said(service: Service, tmp_path: Path) -> None:
    parsed = table(fetched(service, window=TimeWindow(START, START + timedelta(0, 20))), tmp_path)
    assert (parsed.rows, service.ranges()) == (0, [])
    assert "scraped every 15 s" in parsed.blind


def test_scrapes_that_come_late_widen_the_window(service: Service) -> None:
    def answer(asked: Asked) -> Reply | None:
        query = asked.parameters.get("query", "")
        if not asked.path.endswith("/query") or not query.endswith("]"):
            return None
        times = [0.0, 15.01, 30.02, 48.0, 63.0, 123.0, 138.0]
        series = {"metric": {"job": "orders"}, "values": [[t, "1"] for t in times]}
        return success({"resultType": "matrix", "result": [series]})

    service.answer = answer
    fetched(service)
    assert {re.findall(r"\[(\w+)\]", one.parameters["query"])[0] for one in service.ranges()} == {
        "32980ms"  # 15 s and the latest scrape of 17.98 s; a missing one is no interval
    }


def test_a_long_window_is_cut_into_slices_that_join(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prometheus_api.MOST_POINTS < 11_000
    monkeypatch.setattr(prometheus_api, "MOST_POINTS", 250)
    service.interval = 1.0
    parsed = table(fetched(service), tmp_path)
    p99 = [row["at"] for row in rows(parsed, "metrics") if row["aggregate"] == "p99"]
    assert p99 == [START + timedelta(seconds=n) for n in range(599)]
    sizes = [
        round((float(p["end"]) - float(p["start"])) / float(p["step"])) + 1
        for p in (one.parameters for one in service.ranges())
    ]
    assert sizes == [250, 250, 99] * 4


def most_points(limit: int) -> Callable[[Asked], Reply | None]:
    def answer(asked: Asked) -> Reply | None:
        if not asked.path.endswith("/query_range"):
            return None
        start, end, step = (float(asked.parameters[key]) for key in ("start", "end", "step"))
        if (end - start) / step + 1 <= limit:
            return None
        return refusal("bad_data", "exceeded maximum resolution of 1,000 points per timeseries")

    return answer


def test_too_many_points_halve_the_slice(service: Service, tmp_path: Path) -> None:
    service.interval = 1.0
    service.answer = most_points(1000)
    hour = TimeWindow(START, START + timedelta(hours=1))
    parsed = table(fetched(service, window=hour), tmp_path)
    p99 = [row["at"] for row in rows(parsed, "metrics") if row["aggregate"] == "p99"]
    assert p99 == [START + timedelta(seconds=n) for n in range(3599)]
    assert len({one.parameters["start"] for one in service.ranges()}) > 4
    assert parsed.damage == ""


def test_a_server_that_takes_no_slice_at_all_is_an_error(service: Service) -> None:
    service.answer = most_points(10)
    with pytest.raises(Unreachable, match="exceeded maximum resolution"):
        fetched(service)


def test_a_refused_query_leaves_the_others(service: Service, tmp_path: Path) -> None:
    def answer(asked: Asked) -> Reply | None:
        if "histogram_quantile(0.5," in asked.parameters.get("query", ""):
            return refusal("execution", "query processing would load too many samples", 422)
        return None

    service.answer = answer
    parsed = table(fetched(service), tmp_path)
    assert {row["aggregate"] for row in rows(parsed, "metrics")} == {"p95", "p99", "avg"}
    assert "p50" in parsed.damage and "too many samples" in parsed.damage


def test_a_metric_whose_scrapes_cannot_be_seen_costs_itself(
    service: Service, tmp_path: Path
) -> None:
    service.names = ("grpc_client_handling_seconds_bucket", "grpc_server_handling_seconds_bucket")

    def answer(asked: Asked) -> Reply | None:
        is_look = asked.parameters.get("query", "").startswith("topk")
        refuses = is_look and "grpc_client" in asked.parameters["query"]
        return refusal("execution", "too many samples", 422) if refuses else None

    service.answer = answer
    parsed = table(fetched(service), tmp_path)
    assert {r["metric"] for r in rows(parsed, "metrics")} == {"grpc_server_handling_seconds"}
    assert "grpc_client_handling_seconds scrapes: execution" in parsed.damage
    assert parsed.unparsed == 0
    service.names = service.names[:1]
    with pytest.raises(Unreachable, match="too many samples"):
        fetched(service)


def test_warnings_of_a_partial_answer_make_it_partial(service: Service, tmp_path: Path) -> None:
    service.warnings = ("No StoreAPIs matched for this query",)
    parsed = table(fetched(service), tmp_path)
    assert parsed.damage == "the server warns: No StoreAPIs matched for this query"


def test_what_came_before_a_failure_is_kept(service: Service, tmp_path: Path) -> None:
    def answer(asked: Asked) -> Reply | None:
        return Reply(breaks="before") if len(service.ranges()) > 2 else None

    service.answer = answer
    parsed = table(fetched(service), tmp_path)
    assert {row["aggregate"] for row in rows(parsed, "metrics")} == {"p50", "p95"}
    assert "connection_broken" in parsed.damage


def test_time_that_runs_out_keeps_what_came(service: Service, tmp_path: Path) -> None:
    clock = FakeClock()

    def answer(asked: Asked) -> Reply | None:
        clock.at += 10 if len(service.ranges()) == 1 else 0
        return None

    service.answer = answer
    parsed = table(fetched(service, tally=Tally(clock, until=10.0)), tmp_path)
    assert "its time was over" in parsed.damage and parsed.rows == 39


FAULTS: dict[str, tuple[Reply, str]] = {
    "bad_data": (refusal("bad_data", "parse error: unexpected }"), "unexpected }"),
    "execution": (refusal("execution", "too many samples", 422), "too many samples"),
    "unavailable": (refusal("unavailable", "not ready", 503), "not ready"),
    "no right": (Reply({"message": "no access"}, 403), "no access"),
    "HTML": (Reply(b"<html>login</html>"), "HTML"),
    "another API": (Reply({"hello": "world"}), "status 200"),
    "other data": (success({"resultType": "scalar", "result": [0, "1"]}), "no list"),
    "broken": (Reply(breaks="before"), "broke off"),
    "redirect": (Reply({}, 302, {"Location": "https://login.example.com/"}), "redirects"),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("what", [source.latency, source.counts], ids=["latency", "counts"])
def test_a_server_that_gives_nothing_is_an_error_with_a_hint(
    service: Service, what: Fetch, name: str
) -> None:
    reply, text = FAULTS[name]
    service.answer = lambda asked: reply
    with pytest.raises(Unreachable) as raised:
        fetched(service, what)
    assert text in raised.value.message and "\n" not in raised.value.message


@pytest.mark.parametrize("name", FAULTS)
def test_a_server_that_fails_in_its_ranges_is_an_error(service: Service, name: str) -> None:
    def answer(asked: Asked) -> Reply | None:
        return FAULTS[name][0] if asked.path.endswith("/query_range") else None

    service.answer = answer
    with pytest.raises(Unreachable):
        fetched(service)


def test_the_values_of_headers_travel_to_the_server_and_nowhere_else(
    service: Service, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        "headers": {"Authorization": "PROM_AUTH", "X-Scope-OrgID": "PROM_TENANT"},
        "environ": {"PROM_AUTH": f"Bearer {SECRET}", "PROM_TENANT": "tenant-7"},
    }
    text = json.dumps(fetched(service, **settings))
    assert {one.headers["Authorization"] for one in service.asked} == {f"Bearer {SECRET}"}
    assert {one.headers["X-Scope-OrgID"] for one in service.asked} == {"tenant-7"}
    assert SECRET not in text and "tenant-7" not in text
    service.answer = lambda asked: refusal("bad_data", f"token {SECRET} is not of tenant-7")
    with pytest.raises(Unreachable) as raised:
        fetched(service, **settings)
    assert SECRET not in raised.value.message and "tenant-7" not in raised.value.message
    service.warnings = (f"token {SECRET} ends soon",)
    service.answer = lambda asked: None
    assert SECRET not in json.dumps(fetched(service, **settings))


@pytest.mark.parametrize("value", ["", None, f"{SECRET}\r\nX: y"])
def test_a_header_without_a_good_value_is_refused_before_anything_is_asked(
    service: Service, value: str | None
) -> None:
    environ = {} if value is None else {"PROM_AUTH": value}
    with pytest.raises(BadSettings) as raised:
        fetched(service, headers={"Authorization": "PROM_AUTH"}, environ=environ)
    assert service.asked == [] and SECRET not in raised.value.message


def test_the_clock_offset_is_that_of_the_dates(service: Service) -> None:
    service.answer = lambda asked: None
    answer = fetched(service)
    assert not isinstance(answer, Absent)
    lo, hi = answer["clock_offset_seconds"]
    assert lo <= hi <= lo + 2


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.name)
def test_every_query_file_says_what_it_is_and_is_used(path: Path) -> None:
    query = load_query(f"prometheus/{path.name}")
    assert all(query.headers.get(key) for key in ("title", "source", "columns"))
    assert list(tomllib.loads(query.text)) == ["query"]
    used = "".join(p.read_text() for p in Path(source.__file__).parent.glob("prom*.py"))
    assert f'"{path.stem}"' in used


# --- Amazon Managed Service for Prometheus ------------------------------------------------------

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI-example"}


def signature_of(asked: Asked, url: str) -> str:
    """The signature by the steps of AWS's document "Create a signed request", written out."""
    import hashlib
    import hmac
    from urllib.parse import quote

    given = asked.headers["Authorization"]
    names = re.findall(r"SignedHeaders=([^,]+)", given)[0].split(";")
    scope = re.findall(r"Credential=AKIDEXAMPLE/([^,]+)", given)[0]
    headers = {name.lower(): value for name, value in asked.headers.items()}
    pairs = sorted(
        (quote(k, safe="-_.~"), quote(v, safe="-_.~"))
        for k, v in parse_qsl(urlsplit(asked.target).query, keep_blank_values=True)
    )
    canonical = "\n".join(
        [
            asked.method,
            urlsplit(asked.target).path,
            "&".join(f"{k}={v}" for k, v in pairs),
            *(f"{name}:{headers[name]}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(asked.body).hexdigest(),
        ]
    )
    lines = ["AWS4-HMAC-SHA256", headers["x-amz-date"], scope]
    signing = "\n".join([*lines, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + KEYS["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, signing.encode(), hashlib.sha256).hexdigest()


def test_requests_are_signed_where_a_region_says_so(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    answer = fetched(service, sigv4_region="eu-west-1", matchers='{env="a b+c/ü"}')
    assert table(answer, tmp_path).rows > 0
    for asked in service.asked:
        given = asked.headers["Authorization"]
        assert "/eu-west-1/aps/aws4_request" in given and "host" in given
        assert given.endswith(f"Signature={signature_of(asked, service.url)}")
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in json.dumps(answer)
    assert "AKIDEXAMPLE" not in json.dumps(answer)


def test_no_credentials_to_sign_with_is_said(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in (*KEYS, "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(Unreachable, match="credentials"):
        fetched(service, sigv4_region="eu-west-1")
    with pytest.raises(Unreachable, match="nobody") as raised:
        fetched(service, sigv4_region="eu-west-1", sigv4_profile="nobody")
    assert raised.value.hint and service.asked == []


def test_the_answer_says_what_was_asked(service: Service) -> None:
    named = ("grpc_client_handling_seconds",)
    answer = fetched(service, unit="ms", latency=named, matchers='{a="b"}')
    assert not isinstance(answer, Absent)
    assert (answer["service"], answer["request"]["unit"]) == ("prometheus", "ms")
    assert answer["request"]["window"]["start"] == "2026-01-15T14:00:00Z"
    assert datetime.fromisoformat(answer["asked_at"]) == WINDOW.end
    assert len(answer["request"]["queries"]) == 5
    other = fetched(service, unit="ms")
    assert not isinstance(other, Absent) and other["request"]["unit"] == ""  # it is of `latency`
    about = answer["response"]["metrics"]["grpc_client_handling_seconds"]
    assert (about["scrape_interval_seconds"], about["window_seconds"]) == (15.0, 30.0)
