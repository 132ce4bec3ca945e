"""Datadog timeseries: nulls, units, the query that an answer belongs to, and other answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from incident_rca.errors import BadInput
from incident_rca.formats.parsed import Parsed
from tests.formats.builders import START_MS, envelope, instant, parse, rows, write

P99 = "p99:grpc.client.duration{env:prod} by {rpc.service,rpc.method}"
MS = {"family": "time", "name": "millisecond", "scale_factor": 0.001}


def body(*queries: str, formulas: list[str] | None = None) -> dict[str, Any]:
    attributes = {
        "from": START_MS,
        "to": START_MS + 60_000,
        "interval": 10_000,
        "queries": [{"name": "abc"[n], "query": query} for n, query in enumerate(queries)],
    }
    if formulas is not None:
        attributes["formulas"] = [{"formula": name} for name in formulas]
    return {"body": {"data": {"type": "timeseries_request", "attributes": attributes}}}


def series(unit: Any = MS, index: int = 0, *tags: str) -> dict[str, Any]:
    stated = None if unit is None else [unit, None]
    return {"group_tags": list(tags), "query_index": index, "unit": stated}


def answer(times: list[int], *pairs: tuple[dict[str, Any], list[Any]]) -> dict[str, Any]:
    attributes = {
        "series": [of for of, _ in pairs],
        "times": [START_MS + 1000 * second for second in times],
        "values": [values for _, values in pairs],
    }
    return {"data": {"type": "timeseries_response", "attributes": attributes}}


def read(folder: Path, response: Any, request: Any = None, **named: str) -> Parsed:
    text = envelope(body(P99) if request is None else request, response)
    return parse("datadog_metrics", write(folder / "p99.json", text), **named)


def values(parsed: Parsed) -> list[float | None]:
    return [row["value"] for row in rows(parsed, "metrics")]


def test_nulls_stay_null_and_zeros_zero(tmp_path: Path) -> None:
    parsed = read(tmp_path, answer([0, 10, 20, 30], (series(), [None, 0, 1.5, None])))
    assert values(parsed) == [None, 0.0, 1.5, None]
    assert parsed.rows == 4
    assert [row["row"] for row in rows(parsed, "metrics")] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("name", "scale", "factor"),
    [
        ("nanosecond", 1e-9, 1e-6),
        ("microsecond", 1e-6, 1e-3),
        ("millisecond", 1e-3, 1),
        ("second", 1.0, 1000),
        ("minute", 60.0, 60_000),
    ],
)
def test_times_become_milliseconds(tmp_path: Path, name: str, scale: float, factor: float) -> None:
    unit = {"family": "time", "name": name, "scale_factor": scale}
    parsed = read(tmp_path, answer([0, 10], (series(unit), [2.5, None])))
    value, null = values(parsed)
    assert value == pytest.approx(2.5 * factor) and null is None
    assert {row["unit"] for row in rows(parsed, "metrics")} == {"ms"}


def test_another_unit_is_kept(tmp_path: Path) -> None:
    unit = {"family": "bytes", "name": "byte", "scale_factor": 1.0}
    (row,) = rows(read(tmp_path, answer([0], (series(unit), [4.0]))), "metrics")
    assert (row["unit"], row["value"]) == ("byte", 4.0)


@pytest.mark.parametrize("aggregate", ["p50", "p99", "p99.9"])
def test_a_percentile_of_unknown_unit_is_refused(tmp_path: Path, aggregate: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, answer([0], (series(None), [4.0])), body(f"{aggregate}:grpc.latency{{*}}"))
    assert "grpc.latency" in caught.value.message and caught.value.hint


@pytest.mark.parametrize(
    ("suffix", "factor"), [("_ms", 1), (".ms", 1), ("_seconds", 1000), ("_us", 0.001)]
)
def test_a_name_may_state_the_unit(tmp_path: Path, suffix: str, factor: float) -> None:
    query = body(f"p99:grpc.latency{suffix}{{*}}")
    (row,) = rows(read(tmp_path, answer([0], (series(None), [4.0])), query), "metrics")
    assert row["value"] == pytest.approx(4.0 * factor) and row["unit"] == "ms"


def test_a_count_needs_no_unit(tmp_path: Path) -> None:
    query = body("count:grpc.client.duration{*} by {grpc.status}.as_count()")
    (row,) = rows(read(tmp_path, answer([0], (series(None), [4.0])), query), "metrics")
    assert (row["unit"], row["value"], row["aggregate"]) == ("count", 4.0, "count")


def test_tags_name_service_method_status_and_owner(tmp_path: Path) -> None:
    tags = ("service:order-service", "rpc.service:inv.Inv", "rpc.method:Reserve", "grpc.status:ok")
    (row,) = rows(read(tmp_path, answer([0], (series(MS, 0, *tags), [1.0]))), "metrics")
    assert (row["service"], row["method"], row["status"]) == ("inv.Inv", "Reserve", "OK")
    assert row["owner"] == "order-service"
    assert (row["metric"], row["aggregate"]) == ("grpc.client.duration", "p99")


def test_a_series_belongs_to_its_query(tmp_path: Path) -> None:
    request = body("max:pool.used{*}", "max:pool.max{*}", formulas=["b", "a"])
    response = answer([0], (series(None, 0), [1.0]), (series(None, 1), [2.0]))
    found = {
        row["metric"]: row["value"] for row in rows(read(tmp_path, response, request), "metrics")
    }
    assert found == {"pool.max": 1.0, "pool.used": 2.0}


def test_irregular_times_keep_their_own(tmp_path: Path) -> None:
    parsed = read(tmp_path, answer([0, 10, 40, 50, 120], (series(), [1, 2, 3, 4, 5])))
    found = rows(parsed, "metrics")
    offsets = [(row["at"] - instant("14:10")).total_seconds() for row in found]
    assert offsets == [0, 10, 40, 50, 120]
    assert {row["bucket_seconds"] for row in found} == {10.0} and parsed.resolution_seconds == 10
    assert parsed.covered is not None
    assert (parsed.covered.start, parsed.covered.seconds) == (instant("14:10"), 130)


def test_the_asked_window_is_the_requests(tmp_path: Path) -> None:
    parsed = read(tmp_path, answer([10], (series(), [1])))
    assert parsed.asked is not None
    assert (parsed.asked.start, parsed.asked.end) == (instant("14:10"), instant("14:11"))


def test_an_answer_without_series_is_an_answer(tmp_path: Path) -> None:
    parsed = read(tmp_path, answer([]))
    assert (parsed.rows, parsed.unparsed) == (0, 0)


def test_a_series_of_another_length_is_unparsed(tmp_path: Path) -> None:
    parsed = read(tmp_path, answer([0, 10], (series(), [1.0]), (series(), [2.0, 3.0])))
    assert (values(parsed), parsed.unparsed) == ([2.0, 3.0], 1)


def test_a_bare_answer_needs_its_query(tmp_path: Path) -> None:
    path = write(tmp_path / "p99.json", json.dumps(answer([0], (series(), [1.0]))))
    with pytest.raises(BadInput) as caught:
        parse("datadog_metrics", path)
    assert "--query" in caught.value.hint
    (row,) = rows(parse("datadog_metrics", path, query=P99), "metrics")
    assert (row["metric"], row["aggregate"]) == ("grpc.client.duration", "p99")
    (row,) = rows(parse("datadog_metrics", path, metric="pool.used"), "metrics")
    assert row["metric"] == "pool.used"


def test_a_query_that_names_no_metric_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "p99.json", json.dumps(answer([0], (series(), [1.0]))))
    with pytest.raises(BadInput):
        parse("datadog_metrics", path, query="select everything")


GOOD = answer([0, 10], (series(), [1.0, 2.0]))
ATTRIBUTES = GOOD["data"]["attributes"]


def without(**changed: Any) -> dict[str, Any]:
    return {"data": {"attributes": {k: v for k, v in (ATTRIBUTES | changed).items() if v != ...}}}


@pytest.mark.parametrize(
    "response",
    [
        {"errors": ["Forbidden"]},
        {"status": "ok", "series": [{"pointlist": [[START_MS, 1.0]], "metric": "m"}]},
        {"data": None},
        {"data": {"attributes": None}},
        None,
        [],
        "text",
        without(times=...),
        without(values=...),
        without(series=...),
        without(values=[[1.0, 2.0], [1.0, 2.0]]),
        without(values=[None]),
        without(values=[["a", "b"]]),
        without(times=["14:10", "14:11"]),
        without(times=[None, None]),
        without(times=[1e30, 2e30]),
        without(series=[None]),
        without(series=[{"query_index": 7}]),
        without(series=[{"query_index": 0, "unit": "ms"}]),
        without(series=[{"query_index": 0, "unit": [{"family": "time"}]}]),
        without(series=[{"query_index": 0, "group_tags": 5, "unit": [MS]}]),
    ],
)
def test_another_answer_is_refused(tmp_path: Path, response: Any) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, response)
    assert "p99.json" in caught.value.message


@pytest.mark.parametrize("request_", [{}, {"body": None}, {"body": {"data": []}}, [], "x"])
def test_an_envelope_without_its_query_needs_one(tmp_path: Path, request_: Any) -> None:
    with pytest.raises(BadInput):
        read(tmp_path, GOOD, request_)
    assert values(read(tmp_path, GOOD, request_, query=P99)) == [1.0, 2.0]
