"""Datadog: its real client against a local server, from an account's settings to the tables."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from incident_rca.errors import Unreachable
from incident_rca.formats.parsed import Parsed
from incident_rca.model import TimeWindow
from incident_rca.model.services import DatadogAccount
from incident_rca.queries import load_query
from incident_rca.sources import datadog
from incident_rca.sources.answers import Absent, Answer
from incident_rca.sources.datadog_client import AT_ONCE, Access, access_of
from tests.formats.builders import Row, kind_of, parse, rows
from tests.sources.datadog_server import (
    API_KEY,
    APP_KEY,
    EVENTS,
    KEYS,
    V1,
    V2,
    Described,
    Reply,
    Service,
    Stored,
    running_service,
    stored_of,
    throttled,
)
from tests.sources.fake_clock import FakeClock

START = datetime(2026, 1, 15, 14, 10, tzinfo=UTC)
AT = int(START.timestamp())
WINDOW = TimeWindow(START, START + timedelta(minutes=10))
LATENCY = "rpc.client.duration"
TAGS = {"service": "orders", "rpc.service": "inv.Inv", "rpc.method": "Reserve", "env": "prod"}


@pytest.fixture
def service() -> Iterator[Service]:
    with running_service() as running:
        yield running


def account(service: Service, **given: Any) -> DatadogAccount:
    return DatadogAccount(endpoint=service.url, **given)


def ask(
    of: DatadogAccount,
    part: str,
    *,
    window: TimeWindow = WINDOW,
    environ: Mapping[str, str] = KEYS,
    clock: FakeClock | None = None,
) -> Answer | Absent:
    sources = datadog.asked_of(of, environ=environ, clock=clock or FakeClock())
    (source,) = (source for source in sources if source.name == f"datadog.{part}")
    return source.ask(window)


def read(answer: Answer | Absent, folder: Path) -> Parsed:
    assert not isinstance(answer, Absent), answer
    path = folder / "answer.json"
    path.write_text(json.dumps(answer))
    kind = kind_of(path)
    assert kind in (datadog.METRICS, datadog.EVENTS)
    return parse(kind, path)


def fetched(of: DatadogAccount, part: str, folder: Path, **how: Any) -> Parsed:
    return read(ask(of, part, **how), folder)


def every(step: int, value: float = 1.0, seconds: int = 600) -> dict[int, float | None]:
    return {AT + second: value for second in range(0, seconds, step)}


def holds_latency(service: Service, described: Described | None = None) -> None:
    """p50 to p99 and max, 10 s apart, with values that tell them apart."""
    stored = [
        Stored(LATENCY, aggregate, TAGS, every(10, value))
        for aggregate, value in (("p50", 5), ("p95", 95), ("p99", 99), ("max", 100), ("avg", 7))
    ]
    counts = [
        Stored(LATENCY, "count", TAGS | {"rpc.grpc.status_code": code}, every(10, value))
        for code, value in (("0", 40.0), ("14", 2.0))
    ]
    service.hold(LATENCY, described or Described(), *stored, *counts)


def by_aggregate(parsed: Parsed) -> dict[str, set[float | None]]:
    found: dict[str, set[float | None]] = {}
    for row in rows(parsed, "metrics"):
        found.setdefault(row["aggregate"], set()).add(row["value"])
    return found


# --- what is asked --------------------------------------------------------------------------------


def test_a_distribution_gives_its_percentiles(service: Service, tmp_path: Path) -> None:
    holds_latency(service)
    parsed = fetched(account(service), "latency", tmp_path)
    assert by_aggregate(parsed) == {"p50": {5.0}, "p95": {95.0}, "p99": {99.0}, "max": {100.0}}
    found = rows(parsed, "metrics")
    assert len(found) == 4 * 60 and parsed.rows == 240
    assert {(r["owner"], r["service"], r["method"], r["status"]) for r in found} == {
        ("orders", "inv.inv", "reserve", None)
    }
    assert {(r["unit"], r["unit_basis"], r["bucket_seconds"]) for r in found} == {
        ("ms", "payload", 10.0)
    }
    assert (parsed.damage, parsed.gaps, parsed.unparsed) == ("", (), 0)


@pytest.mark.parametrize("is_configured", [True, False])
def test_without_percentiles_avg_and_max_are_asked(
    service: Service, is_configured: bool, tmp_path: Path
) -> None:
    # A metric without a tag configuration is a 404, which does not say that it does not exist.
    holds_latency(service, Described(percentiles=False, is_configured=is_configured))
    parsed = fetched(account(service), "latency", tmp_path)
    assert by_aggregate(parsed) == {"avg": {7.0}, "max": {100.0}}


def test_a_histogram_of_dogstatsd_is_read_by_its_parts(service: Service, tmp_path: Path) -> None:
    for part, aggregate, value in (
        ("95percentile", "max", 95.0),
        ("median", "max", 50.0),
        ("avg", "avg", 60.0),
    ):
        name = f"my.latency.{part}"
        service.hold(name, Described("gauge"), Stored(name, aggregate, TAGS, every(10, value)))
    counted = "my.latency.count"
    tags = TAGS | {"grpc.status": "ok"}
    service.hold(counted, Described("rate"), Stored(counted, "sum", tags, every(10, 4.0)))
    of = account(service, latency=("my.latency",))
    assert by_aggregate(fetched(of, "latency", tmp_path)) == {
        "p95": {95.0},
        "p50": {50.0},
        "avg": {60.0},
    }
    assert by_aggregate(fetched(of, "counts", tmp_path)) == {"count": {4.0}}


def test_counts_are_asked_as_counts_by_status(service: Service, tmp_path: Path) -> None:
    holds_latency(service)
    parsed = fetched(account(service), "counts", tmp_path)
    found: dict[str, float] = {}
    for row in rows(parsed, "metrics"):
        found[row["status"]] = found.get(row["status"], 0.0) + row["value"]
    assert found == {"OK": 60 * 40.0, "UNAVAILABLE": 60 * 2.0}
    (heard,) = service.asked(V2)
    (query,) = heard.body["data"]["attributes"]["queries"]
    assert ".as_count()" in query["query"] and parsed.blind == ""


def test_counts_without_a_status_say_so(service: Service, tmp_path: Path) -> None:
    service.hold(LATENCY, Described(), Stored(LATENCY, "count", TAGS, every(10)))
    assert "DEADLINE_EXCEEDED" in fetched(account(service), "counts", tmp_path).blind


def test_the_metrics_known_by_name_are_found(service: Service, tmp_path: Path) -> None:
    service.hold("system.cpu.user", Described("gauge"))
    holds_latency(service)
    found = rows(fetched(account(service), "latency", tmp_path), "metrics")
    assert {row["metric"] for row in found} == {LATENCY}
    (listing,) = service.asked("/api/v1/metrics")
    assert int(listing.params["from"]) == AT


@pytest.mark.parametrize(
    ("part", "said"), [("latency", "latency"), ("counts", "counts calls"), ("pool", "pool")]
)
def test_nothing_known_is_absent_and_says_what_to_set(
    service: Service, part: str, said: str
) -> None:
    service.hold("system.cpu.user", Described("gauge"))
    found = ask(account(service), part)
    assert isinstance(found, Absent) and said in found.reason and found.hint


def test_named_metrics_need_no_right_to_list(service: Service, tmp_path: Path) -> None:
    holds_latency(service)
    service.fail("/api/v1/metrics", Reply({"errors": ["Forbidden"]}, 403), always=True)
    parsed = fetched(account(service, latency=(LATENCY,)), "latency", tmp_path)
    assert by_aggregate(parsed)["p99"] == {99.0}
    unnamed = ask(account(service), "latency")
    assert isinstance(unnamed, Absent) and "403" in unnamed.reason


def test_a_name_that_does_not_report_is_told(service: Service, tmp_path: Path) -> None:
    holds_latency(service)
    parsed = fetched(account(service, latency=(LATENCY, "rpc.clinet")), "latency", tmp_path)
    assert by_aggregate(parsed)["p99"] == {99.0}
    assert parsed.damage == "rpc.clinet has not reported since 2026-01-15T14:10:00Z"
    with pytest.raises(Unreachable, match=r"rpc.clinet has not reported") as raised:
        ask(account(service, latency=("rpc.clinet",)), "latency")
    assert "`latency`" in raised.value.hint


def test_the_gauges_of_the_pool_are_asked_together(service: Service, tmp_path: Path) -> None:
    for name, value in (("db.pool.used", 98.0), ("db.pool.max", 100.0)):
        stored = (
            Stored(name, "max", {"pool": "inventory", "state": state}, every(10, level))
            for state, level in (("used", value), ("idle", 2.0))
        )
        service.hold(name, Described("gauge", unit=None, answers_unit=None), *stored)
    of = account(service, pool={"used": "db.pool.used{state:used}", "max": "db.pool.max"})
    found = rows(fetched(of, "pool", tmp_path), "metrics")
    levels = {(row["metric"], row["owner"], row["unit"], row["value"]) for row in found}
    assert levels == {
        ("db.pool.used", "inventory", "count", 98.0),
        ("db.pool.max", "inventory", "count", 100.0),
    }
    roles = {(row["metric"], row["role"]) for row in found}
    assert roles == {("db.pool.used", "used"), ("db.pool.max", "max")}
    assert len(service.asked(V2)) == 1


def test_known_gauges_of_pools_are_found(service: Service, tmp_path: Path) -> None:
    used = "db.client.connections.usage"
    stored = (
        Stored(used, "max", {"pool.name": "inventory-db", "state": state}, every(10, level))
        for state, level in (("used", 100.0), ("idle", 3.0))
    )
    service.hold(used, Described("gauge", unit="connection", answers_unit=None), *stored)
    found = rows(fetched(account(service), "pool", tmp_path), "metrics")
    assert {(r["owner"], r["value"]) for r in found} == {("inventory-db", 100.0)}
    assert {r["role"] for r in found} == {"used"}


def test_one_gauge_may_count_several_things_of_a_pool(service: Service, tmp_path: Path) -> None:
    stored = (
        Stored("db.pool", "max", {"pool": "inventory", "state": state}, every(10, level))
        for state, level in (("used", 98.0), ("waiting", 7.0))
    )
    service.hold("db.pool", Described("gauge", unit=None, answers_unit=None), *stored)
    pool = {"used": "db.pool{state:used}", "pending": "db.pool{state:waiting}"}
    found = rows(fetched(account(service, pool=pool), "pool", tmp_path), "metrics")
    assert {(r["role"], r["value"]) for r in found} == {("used", 98.0), ("pending", 7.0)}


def test_the_scope_filters(service: Service, tmp_path: Path) -> None:
    holds_latency(service)
    other = Stored(LATENCY, "p99", TAGS | {"env": "test"}, every(10, 7.0))
    service.series.append(other)
    parsed = fetched(account(service, scope="env:prod"), "latency", tmp_path)
    assert by_aggregate(parsed)["p99"] == {99.0}


QUERIES = Path(__file__).parents[2] / "queries" / "datadog"


@pytest.mark.parametrize("name", sorted(path.name for path in QUERIES.glob("*.toml")))
def test_the_query_files_load_with_their_headers(name: str) -> None:
    headers = load_query(f"datadog/{name}").headers
    assert all(headers.get(key) for key in ("title", "source", "columns"))


def test_queries_can_be_pasted(service: Service) -> None:
    holds_latency(service)
    for part in ("latency", "counts"):
        ask(account(service, scope="env:prod"), part)
    texts = [
        query["query"]
        for heard in service.asked(V2)
        for query in heard.body["data"]["attributes"]["queries"]
    ]
    by = "{rpc.method,rpc.service,service}"
    assert texts[2] == f"p99:{LATENCY}{{env:prod}} by {by}.rollup(1)"
    by = "{rpc.grpc.status_code,rpc.method,rpc.service,service}"
    assert texts[4] == f"count:{LATENCY}{{env:prod}} by {by}.as_count().rollup(sum, 1)"
    assert not any("$" in text for text in texts)


# --- resolution and slices ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minutes", "step"), [(10, 1), (25, 1), (45, 1), (51, 10), (240, 10), (1440, 10), (10_080, 34)]
)
def test_slices_join_without_seam_and_keep_the_points_allowed(
    service: Service, minutes: int, step: int, tmp_path: Path
) -> None:
    window = TimeWindow(START, START + timedelta(minutes=minutes))
    holds_latency(service)
    fetched(account(service, latency=(LATENCY,)), "counts", tmp_path, window=window)
    asked = [heard.body["data"]["attributes"] for heard in service.asked(V2)]
    edges = sorted((a["from"], a["to"]) for a in asked)
    assert edges[0][0] <= AT * 1000 and edges[-1][1] >= window.end.timestamp() * 1000
    assert all(before[1] == after[0] for before, after in pairwise(edges))
    assert {a["interval"] for a in asked} == {step * 1000}
    assert all((end - start) / (step * 1000) <= 1500 for start, end in edges)


def test_stitched_slices_hold_each_point_once(service: Service, tmp_path: Path) -> None:
    window = TimeWindow(START, START + timedelta(hours=6))
    points: dict[int, float | None] = {AT + s: float(s) for s in range(0, 6 * 3600, 10)}
    service.hold(LATENCY, Described(), Stored(LATENCY, "p99", TAGS, points))
    parsed = fetched(account(service), "latency", tmp_path, window=window)
    found = [row for row in rows(parsed, "metrics") if row["aggregate"] == "p99"]
    assert {int(row["at"].timestamp()): row["value"] for row in found} == points
    assert len(found) == len(points) and len({row["row"] for row in found}) == len(found)
    assert len(service.asked(V2)) > 1
    assert parsed.asked == parsed.covered == window


def test_what_was_asked_and_what_came_are_both_told(service: Service, tmp_path: Path) -> None:
    service.hold(LATENCY, Described(), Stored(LATENCY, "p99", TAGS, every(60)))
    answer = ask(account(service), "latency")
    assert not isinstance(answer, Absent)
    assert answer["resolution_seconds"] == {"asked": 1, "got": 60.0}
    assert read(answer, tmp_path).resolution_seconds == 60.0


def test_it_never_asks_finer_than_was_recorded(service: Service, tmp_path: Path) -> None:
    holds_latency(service, Described(interval=10))
    fetched(account(service), "latency", tmp_path)
    (heard,) = service.asked(V2)
    assert heard.body["data"]["attributes"]["interval"] == 10_000


def test_missing_null_and_zero_stay_apart(service: Service, tmp_path: Path) -> None:
    tags = TAGS | {"rpc.grpc.status_code": "4"}
    some: dict[int, float | None] = {AT: 0.0, AT + 10: None, AT + 40: 3.0}
    service.hold(LATENCY, Described(), Stored(LATENCY, "count", tags, some))
    found = rows(fetched(account(service), "counts", tmp_path), "metrics")
    values = [(int(row["at"].timestamp()) - AT, row["value"]) for row in found]
    assert values == [(0, 0.0), (10, None), (40, 3.0)]


# --- v1 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 410])
def test_v1_stands_in_where_v2_is_not_there(service: Service, status: int, tmp_path: Path) -> None:
    holds_latency(service)
    by_v2 = rows(fetched(account(service), "latency", tmp_path), "metrics")
    service.fail(V2, Reply({"errors": ["Not found"]}, status), always=True)
    parsed = fetched(account(service), "latency", tmp_path)
    assert _comparable(rows(parsed, "metrics")) == _comparable(by_v2)
    assert parsed.damage == "" and service.asked(V1)


def test_v2_is_not_asked_again_for_each_slice(service: Service) -> None:
    holds_latency(service)
    service.fail(V2, Reply({"errors": ["Not found"]}, 404), always=True)
    week = TimeWindow(START, START + timedelta(days=7))
    ask(account(service), "counts", window=week)
    # Only those that were under way already when the first one was refused.
    assert len(service.asked(V2)) <= AT_ONCE < len(service.asked(V1))


def _comparable(found: list[Row]) -> list[tuple[Any, ...]]:
    keys = ("at", "bucket_seconds", "metric", "aggregate", "unit", "owner", "service", "method")
    return sorted(tuple(row[key] for key in (*keys, "value")) for row in found)


def test_an_error_of_v1_with_status_200_is_an_error(service: Service) -> None:
    holds_latency(service)
    service.fail(V2, Reply({"errors": ["Not found"]}, 404), always=True)
    service.fail(V1, Reply({"status": "error", "error": "unknown tag", "series": []}), always=True)
    with pytest.raises(Unreachable, match="unknown tag"):
        ask(account(service), "latency")


def test_a_query_that_is_refused_does_not_take_the_others_along(
    service: Service, tmp_path: Path
) -> None:
    holds_latency(service)
    refusal = Reply({"errors": ["p50 is not allowed"]}, 400)
    service.fail(V2, refusal, refusal)  # all at once, then p50 alone
    parsed = fetched(account(service), "latency", tmp_path)
    assert set(by_aggregate(parsed)) == {"p95", "p99", "max"}
    assert "1 of 4 requests failed" in parsed.damage and "p50 is not allowed" in parsed.damage


# --- events ---------------------------------------------------------------------------------------


def event(number: int, **inner: Any) -> dict[str, Any]:
    at = (START + timedelta(seconds=number)).isoformat().replace("+00:00", "Z")
    attributes = {"title": f"deployed search {number}", **inner}
    return {
        "id": f"id-{number}",
        "type": "event",
        "attributes": {"timestamp": at, "tags": ["change:deployment"], "attributes": attributes},
    }


def test_events_are_read_page_by_page(service: Service, tmp_path: Path) -> None:
    service.events = [event(number) for number in range(25)]
    service.page_events = 10
    parsed = fetched(account(service, events="source:argocd"), "events", tmp_path)
    assert [row["title"] for row in rows(parsed, "changes")] == [
        f"deployed search {number}" for number in range(25)
    ]
    asked = service.asked(EVENTS)
    assert [heard.params.get("page[cursor]") for heard in asked] == [None, "10", "20"]
    assert {heard.params["filter[query]"] for heard in asked} == {"source:argocd"}
    assert parsed.covered == parsed.asked == WINDOW and parsed.query == "source:argocd"


def test_changes_are_searched_for_where_no_search_is_set(service: Service, tmp_path: Path) -> None:
    parsed = fetched(account(service), "events", tmp_path)
    assert (
        parsed.rows == 0 and "category:change" in service.asked(EVENTS)[0].params["filter[query]"]
    )


def test_pages_that_break_off_are_kept_and_told(service: Service, tmp_path: Path) -> None:
    service.events = [event(number) for number in range(25)]
    service.page_events = 10
    first = {"data": service.events[:10], "meta": {"page": {"after": "10"}}}
    service.fail(EVENTS, Reply(first), Reply({"errors": ["oops"]}, 400))
    parsed = fetched(account(service), "events", tmp_path)
    assert parsed.rows == 10 and "oops" in parsed.damage
    assert parsed.covered == TimeWindow(START, START + timedelta(seconds=9))


def test_a_cursor_that_comes_again_ends_the_pages(service: Service, tmp_path: Path) -> None:
    page = {"data": [event(1)], "meta": {"page": {"after": "same"}}}
    service.fail(EVENTS, Reply(page), always=True)
    parsed = fetched(account(service), "events", tmp_path)
    # The second page is the first one over again.
    assert parsed.rows == 1 and "the same cursor again" in parsed.damage
    assert len(service.asked(EVENTS)) == 2


# --- around it ------------------------------------------------------------------------------------


def test_the_requests_are_counted(service: Service) -> None:
    holds_latency(service)
    answer = ask(account(service), "latency")
    assert not isinstance(answer, Absent)
    assert answer["queries"] == len(service.heard) == 5


def test_what_the_account_says_of_its_metrics_is_asked_once(service: Service) -> None:
    holds_latency(service)
    for source in datadog.asked_of(account(service), environ=KEYS, clock=FakeClock())[:2]:
        source.ask(WINDOW)
    assert len(service.asked("/api/v1/metrics")) == 1
    assert len(service.asked(f"/api/v2/metrics/{LATENCY}/tags")) == 1


@pytest.mark.parametrize("ahead", [-90.0, 0.0, 45.5])
def test_the_clock_is_bounded_by_the_dates_of_the_answers(service: Service, ahead: float) -> None:
    holds_latency(service)
    service.clock_ahead_seconds = ahead
    answer = ask(account(service), "latency", clock=FakeClock(is_real=True))
    assert not isinstance(answer, Absent)
    lo, hi = answer["clock_offset_seconds"]
    assert lo - 0.01 <= ahead <= hi + 0.01 and hi - lo < 5


def test_several_queries_are_under_way_at_once(service: Service) -> None:
    names = tuple(f"my.latency_ms{number}" for number in range(8))
    for name in names:
        service.hold(name, Described("gauge"), Stored(name, "avg", TAGS, every(10)))
    service.latency_seconds = 0.05
    ask(account(service, latency=names), "latency")
    assert service.most_at_once >= 4


def test_the_models_of_the_client_are_never_loaded(service: Service) -> None:
    holds_latency(service)
    code = (
        "import sys; from tests.sources.test_datadog import *\n"
        f"of = DatadogAccount(endpoint={service.url!r})\n"
        "for part in ('latency', 'counts', 'pool', 'events'):\n    ask(of, part)\n"
        "print('datadog_api_client.v2.models' in sys.modules, "
        "'datadog_api_client.v1.models' in sys.modules, "
        "sum(m.startswith('datadog_api_client') for m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    v2, v1, count = done.stdout.split()
    assert (v2, v1) == ("False", "False") and int(count) < 200, done.stdout


def test_the_sample_comes_back_as_it_was(service: Service, tmp_path: Path) -> None:
    raw = Path(__file__).parents[2] / "samples" / "inc-2847" / "raw"
    kept = json.loads((raw / "grpc-p99.datadog.json").read_text())
    metric = stored_of(kept)[0].metric
    service.hold(metric, Described(), *stored_of(kept))
    window = TimeWindow(START, START + timedelta(minutes=45))
    parsed = fetched(account(service, latency=(metric,)), "latency", tmp_path, window=window)
    (tmp_path / "kept").mkdir()
    was = read(kept, tmp_path / "kept")
    assert _comparable([r for r in rows(parsed, "metrics") if r["value"] is not None]) == (
        _comparable([r for r in rows(was, "metrics") if r["value"] is not None])
    )
    assert math.isclose(parsed.resolution_seconds or 0.0, 10.0)


def test_neither_key_is_in_an_answer(service: Service) -> None:
    holds_latency(service)
    service.fail(V2, throttled("1"))
    for source in datadog.asked_of(account(service), environ=KEYS, clock=FakeClock()):
        text = json.dumps(found) if isinstance(found := source.ask(WINDOW), dict) else repr(found)
        assert API_KEY not in text and APP_KEY not in text


def test_names_are_those_of_the_account(service: Service) -> None:
    of = replace(account(service), name="dd-eu")
    sources = datadog.asked_of(of, environ=KEYS, clock=FakeClock())
    assert [(s.name, s.kind) for s in sources] == [
        ("dd-eu.latency", "datadog_metrics"),
        ("dd-eu.counts", "datadog_metrics"),
        ("dd-eu.pool", "datadog_metrics"),
        ("dd-eu.events", "datadog_events"),
    ]


def test_an_answer_says_on_which_site_it_can_be_seen(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holds_latency(service)
    assert fetched(account(service), "latency", tmp_path).console == {}

    # As if the local server stood for the site.
    def of_site(of: DatadogAccount, environ: Mapping[str, str]) -> Access:
        return replace(access_of(of, environ), site="datadoghq.eu")

    monkeypatch.setattr(datadog, "access_of", of_site)
    for part in ("latency", "events"):
        assert fetched(account(service), part, tmp_path).console == {"site": "datadoghq.eu"}


@pytest.mark.parametrize(
    ("given", "environ", "site"),
    [
        ({"site": "us5.datadoghq.com"}, {}, "us5.datadoghq.com"),
        ({}, {"DD_SITE": "datadoghq.eu"}, "datadoghq.eu"),
        ({}, {}, "datadoghq.com"),
        ({"site": "datadoghq.eu", "endpoint": "https://proxy.example"}, {}, ""),
    ],
)
def test_the_site_is_that_of_the_settings_else_of_the_environment(
    given: dict[str, Any], environ: dict[str, str], site: str
) -> None:
    assert access_of(DatadogAccount(**given), KEYS | environ).site == site
