"""Prometheus answers: NaN, units, ceilings, windows of rates, bare answers and broken ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incident_rca.errors import BadInput
from incident_rca.formats.parsed import Parsed, RawInput
from incident_rca.formats.prometheus_metrics import FORMAT
from tests.formats.builders import START_MS, instant, kind_of, parse, rows, write

START = START_MS // 1000
GO = "grpc_client_handling_seconds"
LABELS = {"job": "orders", "grpc_service": "inv.Inv", "grpc_method": "Reserve"}


def one_series(values: list[Any], start: int = START, step: int = 15, **labels: str) -> Any:
    points = [[start + n * step, value] for n, value in enumerate(values)]
    return {"metric": LABELS | labels, "values": points}


def query(*result: Any, **changed: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "name": "p99",
        "query": "histogram_quantile(…)",
        "metric": GO,
        "aggregate": "p99",
        "covers_seconds": 30.0,
        "start": START,
        "end": START + 60,
        "step": 15.0,
        "result": list(result),
    }
    return asked | changed


def bounds(*le: str, metric: str = GO, **labels: str) -> dict[str, Any]:
    result = [{"metric": LABELS | labels | {"le": b}, "value": [START, "1"]} for b in le]
    return {"name": "bounds", "query": "count …", "metric": metric, "aggregate": "bounds"} | {
        "result": result
    }


def document(*queries: Any, unit: str = "", **response: Any) -> dict[str, Any]:
    window = {"start": "2026-01-15T14:09:30Z", "end": "2026-01-15T14:11:00Z"}
    return {
        "service": "prometheus",
        "request": {"unit": unit, "window": window},
        "asked_at": "2026-01-15T15:00:00Z",
        "response": {"queries": list(queries), "metrics": {}, "warnings": [], "error": None}
        | response,
    }


def read(folder: Path, content: Any, **named: str) -> Parsed:
    path = write(folder / "prometheus.json", json.dumps(content))
    return parse("prometheus_metrics", path, **named)


def test_a_value_becomes_a_row_that_begins_where_its_window_does(tmp_path: Path) -> None:
    parsed = read(tmp_path, document(query(one_series(["0.25", "1.5"]))))
    first, second = rows(parsed, "metrics")
    assert (first["at"], second["at"]) == (instant("14:09:30"), instant("14:09:45"))
    assert (first["bucket_seconds"], first["row"], second["row"]) == (30.0, 1, 2)
    assert (first["value"], second["value"], first["unit"]) == (250.0, 1500.0, "ms")
    assert (first["metric"], first["aggregate"], first["unit_basis"]) == (GO, "p99", "name")
    assert (first["service"], first["method"], first["owner"]) == ("inv.Inv", "Reserve", "orders")
    assert first["status"] is None and first["ceiling"] is None
    assert parsed.resolution_seconds == 30.0
    assert parsed.covered is not None and parsed.asked is not None
    assert (parsed.covered.start, parsed.covered.end) == (
        instant("14:09:30"),
        instant("14:10:15"),
    )
    assert parsed.asked.end == instant("14:11")


def test_what_is_no_number_is_null_and_never_zero(tmp_path: Path) -> None:
    parsed = read(tmp_path, document(query(one_series(["NaN", "+Inf", "-Inf", "0", "0.1"]))))
    assert [row["value"] for row in rows(parsed, "metrics")] == [None, None, None, 0.0, 100.0]
    assert (parsed.rows, parsed.unparsed) == (5, 0)


@pytest.mark.parametrize(
    "value",
    ["", "fast", None, 1.5, ["1"], {}],
    ids=["empty", "text", "null", "number", "list", "{}"],
)
def test_a_broken_value_is_unparsed_and_alone(tmp_path: Path, value: Any) -> None:
    parsed = read(tmp_path, document(query(one_series(["0.1", value, "0.2"]))))
    assert [row["value"] for row in rows(parsed, "metrics")] == [100.0, 200.0]
    assert (parsed.rows, parsed.unparsed) == (2, 1)


def test_the_ceiling_is_the_top_finite_bound_of_that_series(tmp_path: Path) -> None:
    parsed = read(
        tmp_path,
        document(
            bounds("0.5", "+Inf", "10"),
            bounds("2.5", "50", grpc_method="Release"),
            query(
                one_series(["10"]),
                one_series(["1"], grpc_method="Release"),
                one_series(["1"], job="x"),
            ),
            query(one_series(["30"]), aggregate="avg"),
        ),
    )
    found = [(r["method"], r["owner"], r["aggregate"]) for r in rows(parsed, "metrics")]
    assert found == [
        ("Reserve", "orders", "p99"),
        ("Release", "orders", "p99"),
        ("Reserve", "x", "p99"),
        ("Reserve", "orders", "avg"),
    ]
    ceilings = [row["ceiling"] for row in rows(parsed, "metrics")]
    assert ceilings == [10_000.0, 50_000.0, None, None]


UNITS: dict[str, tuple[str, dict[str, Any], str, float, str]] = {
    # metric, what the server knows of it, the user's unit, factor to ms, what told it
    "settings first": (GO, {"unit": "seconds"}, "us", 0.001, "settings"),
    "metadata": ("my_latency", {"unit": "seconds"}, "", 1000.0, "payload"),
    "name": ("rpc_server_duration", {}, "", 1.0, "name"),
    "suffix": ("my_latency_milliseconds", {"unit": ""}, "", 1.0, "suffix"),
}


@pytest.mark.parametrize("name", UNITS)
def test_the_unit_is_found_in_order(tmp_path: Path, name: str) -> None:
    metric, about, unit, factor, basis = UNITS[name]
    parsed = read(
        tmp_path,
        document(query(one_series(["3"]), metric=metric), unit=unit, metrics={metric: about}),
    )
    (row,) = rows(parsed, "metrics")
    assert (row["value"], row["unit"], row["unit_basis"]) == (
        pytest.approx(3 * factor),
        "ms",
        basis,
    )


@pytest.mark.parametrize(
    ("le", "factor"),
    [
        (("0.005", "0.1", "10", "+Inf"), 1000.0),
        (("5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000"), 1.0),
    ],
)
def test_the_shape_of_the_buckets_may_tell_the_unit(
    tmp_path: Path, le: tuple[str, ...], factor: float
) -> None:
    content = document(bounds(*le, metric="latency"), query(one_series(["3"]), metric="latency"))
    (row,) = rows(read(tmp_path, content), "metrics")
    assert (row["value"], row["unit_basis"]) == (3 * factor, "buckets")


def test_an_unknown_unit_is_refused_and_leaves_the_other_metrics(tmp_path: Path) -> None:
    unknown = query(one_series(["3", "4"]), metric="latency")
    with pytest.raises(BadInput) as caught:
        read(tmp_path, document(unknown))
    assert "latency" in caught.value.message and "unit" in caught.value.hint
    parsed = read(tmp_path, document(unknown, query(one_series(["3"]))))
    assert [row["metric"] for row in rows(parsed, "metrics")] == [GO]
    assert (parsed.rows, parsed.unparsed) == (1, 2) and "the unit of latency" in parsed.blind


def test_counts_by_status_need_no_unit(tmp_path: Path) -> None:
    content = query(
        one_series(["3", "4.5"], step=30, grpc_code="DeadlineExceeded"),
        metric="grpc_client_handled_total",
        aggregate="count",
        step=30.0,
    )
    found = rows(read(tmp_path, document(content)), "metrics")
    assert {(r["status"], r["unit"], r["unit_basis"]) for r in found} == {
        ("DEADLINE_EXCEEDED", "count", None)
    }
    assert [row["value"] for row in found] == [3.0, 4.5]


def test_counts_of_windows_that_overlap_are_not_counted_twice(tmp_path: Path) -> None:
    content = query(one_series(["10"] * 4), aggregate="count", covers_seconds=60.0)
    assert sum(row["value"] for row in rows(read(tmp_path, document(content)), "metrics")) == 10


def test_errors_and_warnings_are_damage_and_omissions_a_blind_spot(tmp_path: Path) -> None:
    refused = query(name="x p50", error={"code": "execution", "message": "too many samples"})
    parsed = read(
        tmp_path,
        document(
            refused,
            query(one_series(["1"])),
            warnings=["store gone"],
            error={"code": "stopped", "message": "its time was over"},
            metrics={"y": {"omitted": "fewer than two scrapes in the window"}},
        ),
    )
    assert parsed.damage == (
        "x p50: execution: too many samples; stopped: its time was over; "
        "the server warns: store gone"
    )
    assert parsed.blind == "y: fewer than two scrapes in the window" and parsed.rows == 1


# --- bare answers -------------------------------------------------------------------------------


def bare(*result: Any, kind: str = "matrix", **more: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": list(result)}} | more


QUERIES: dict[str, tuple[str, str, str, float, float, str]] = {
    # query: metric, aggregate, seconds covered, value of "3", unit
    "quantile": (
        f'histogram_quantile(0.95, sum by (le) (rate({GO}_bucket{{a="b"}}[1m])))',
        *(GO, "p95", 60.0, 3000.0, "ms"),
    ),
    "quoted name": (
        'histogram_quantile(.5, rate({__name__="rpc.client.duration_bucket"}[90s]))',
        *("rpc.client.duration", "p50", 90.0, 3.0, "ms"),
    ),
    "average": (
        f"sum(rate({GO}_sum[30s])) / sum(rate({GO}_count[30s]))",
        *(GO, "avg", 30.0, 3000.0, "ms"),
    ),
    "calls": (
        "sum by (grpc_code) (increase(grpc_server_handled_total[15s]))",
        *("grpc_server_handled_total", "count", 15.0, 3.0, "count"),
    ),
    "a rate": (
        "rate(grpc_server_handled_total[1m])",
        *("grpc_server_handled_total", "rate", 60.0, 3.0, "count/s"),
    ),
    "a gauge": (
        "hikaricp_connections_active",
        *("hikaricp_connections_active", "last", 15.0, 3.0, "count"),
    ),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_bare_answer_is_read_by_its_query(tmp_path: Path, name: str) -> None:
    text, metric, aggregate, covers, value, unit = QUERIES[name]
    content = bare(one_series(["3", "3"]))
    assert kind_of(write(tmp_path / "x", json.dumps(content))) == "prometheus_metrics"
    parsed = read(tmp_path, content, query=text)
    row = rows(parsed, "metrics")[0]
    assert (row["metric"], row["aggregate"], row["unit"]) == (metric, aggregate, unit)
    assert (row["value"], row["bucket_seconds"]) == (value, covers)
    assert parsed.query == text and parsed.resolution_seconds == covers


def test_a_bare_answer_needs_its_query(tmp_path: Path) -> None:
    for text in ("", "((", "42"):
        with pytest.raises(BadInput) as caught:
            read(tmp_path, bare(one_series(["3"])), query=text)
        assert "--query" in caught.value.hint


@pytest.mark.parametrize(
    "content",
    [
        bare({"metric": {}, "value": [START, "1"]}, kind="vector"),
        {"status": "error", "data": {"resultType": "matrix"}},
        {"data": {"resultType": [], "result": []}},
        {"service": "prometheus", "response": {"queries": {}}},
        {"service": "prometheus", "response": {}},
        {"service": "prometheus", "response": None},
    ],
)
def test_another_answer_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, content, query="x")
    assert "prometheus.json" in caught.value.message


def test_a_warning_beside_a_bare_answer_is_damage(tmp_path: Path) -> None:
    parsed = read(tmp_path, bare(one_series(["3"]), warnings=["partial"]), query="up")
    assert parsed.damage == "the server warns: partial"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8) | st.just("metric"), inner, max_size=3)
    ),
    max_leaves=8,
)


def planted(content: Any, path: list[int], value: Any) -> Any:
    """`content` with something else at one place, found by walking down by these numbers."""
    if not path or not isinstance(content, list | dict) or not content:
        return value
    keys = list(range(len(content))) if isinstance(content, list) else list(content)
    key = keys[path[0] % len(keys)]
    copy: Any = list(content) if isinstance(content, list) else dict(content)
    copy[key] = planted(content[key], path[1:], value)
    return copy


@given(path=st.lists(st.integers(0, 20), min_size=1, max_size=8), value=JSON, is_bare=st.booleans())
@settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_is_broken_is_counted_or_refused(
    new_folder: Callable[[], Path], path: list[int], value: Any, is_bare: bool
) -> None:
    good = (
        bare(one_series(["1", "NaN"]), one_series(["2"]), warnings=["w"])
        if is_bare
        else document(
            bounds("1", "+Inf"), query(one_series(["1", "2"])), metrics={GO: {"unit": "s"}}
        )
    )
    text = json.dumps(planted(good, path, value), ensure_ascii=True)
    file = write(new_folder() / "prometheus.json", text)
    asked = f"rate({GO}_bucket[1m])"
    raw = RawInput(path=file, file="raw/x", source="s", work=file.parent, query=asked)
    try:
        parsed = FORMAT.parse(raw)
    except BadInput as error:
        assert error.message
    else:
        assert parsed.rows == len(parsed.frames["metrics"]) and parsed.unparsed >= 0
