"""OTLP JSON as the collector's file exporter writes it, from samples of calls to the table."""

from __future__ import annotations

import json
import tracemalloc
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.errors import BadInput
from incident_rca.formats.parsed import Parsed
from tests.formats.builders import START, Row, kind_of, parse, rows, write, write_gzip
from tests.formats.conftest import NewFolder
from tests.formats.history_values import PLAIN, record, survives

START_NS = int(START.timestamp()) * 10**9
A66_S = [0.005, 0.01, 0.1, 0.5, 1, 2, 5, 10, 20, 50, 100]
OTEL_MS = [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000]
NEW, OLD = "rpc.client.call.duration", "rpc.client.duration"
DELTA, CUMULATIVE = 1, 2


def ns(second: float) -> str:
    """A time as the encoding has it: nanoseconds in a text."""
    return str(START_NS + round(second * 10**9))


def attributes(**tags: Any) -> list[dict[str, Any]]:
    """`__` in a name is a dot; whole numbers are texts, as 64 bits are in JSON."""
    return [
        {
            "key": key.replace("__", "."),
            "value": {"intValue": str(v)} if isinstance(v, int) else {"stringValue": v},
        }
        for key, v in tags.items()
    ]


def calls(status: str = "OK", method: str = "pkg.Inv/Reserve") -> list[dict[str, Any]]:
    return attributes(rpc__method=method, rpc__response__status_code=status)


def histogram_point(
    samples: Sequence[float],
    start: float,
    end: float,
    bounds: Sequence[float] = A66_S,
    tags: list[dict[str, Any]] | None = None,
    **more: Any,
) -> dict[str, Any]:
    counts = [0] * (len(bounds) + 1)
    for sample in samples:
        counts[bisect_left(bounds, sample)] += 1
    return {
        "attributes": calls() if tags is None else tags,
        "startTimeUnixNano": ns(start),
        "timeUnixNano": ns(end),
        "count": str(len(samples)),
        "sum": sum(samples),
        "bucketCounts": [str(n) for n in counts],
        "explicitBounds": list(bounds),
    } | more


def histogram(
    *points: Mapping[str, Any], name: str = NEW, unit: str = "s", temporality: int = DELTA
) -> dict[str, Any]:
    data = {"aggregationTemporality": temporality, "dataPoints": list(points)}
    return {"name": name, "unit": unit, "histogram": data}


def export(*metrics: Mapping[str, Any], owner: str = "orders", **resource: Any) -> str:
    """One line of the file exporter."""
    about = {"attributes": attributes(service__name=owner, **resource)}
    scope = {"scope": {"name": "otelgrpc"}, "metrics": list(metrics)}
    return json.dumps({"resourceMetrics": [{"resource": about, "scopeMetrics": [scope]}]})


def read(folder: Path, *lines: str | bytes) -> Parsed:
    path = write(folder / "metrics.jsonl", *lines)
    assert kind_of(path) == "otlp_metrics"
    return parse("otlp_metrics", path)


def found(parsed: Parsed, aggregate: str, **having: Any) -> list[Row]:
    return [
        row
        for row in rows(parsed, "metrics")
        if row["aggregate"] == aggregate and all(row[k] == v for k, v in having.items())
    ]


def second_of(row: Row) -> float:
    return float((row["at"] - START).total_seconds())


SAMPLES = [0.004, 0.02, 0.03, 0.04, 0.3, 0.7, 0.8, 1.5, 3.0, 4.0]


def test_a_delta_histogram_becomes_percentiles_and_a_count(tmp_path: Path) -> None:
    parsed = read(tmp_path, export(histogram(histogram_point(SAMPLES, 0, 10))))
    # Of ten samples the fifth is the only one in (0.1, 0.5]: its rank is the bucket's end. The
    # ranks 9.5 and 9.9 lie within (2, 5], which holds the last two.
    expected = {"p50": 500.0, "p95": (2 + 3 * 1.5 / 2) * 1000, "p99": (2 + 3 * 1.9 / 2) * 1000}
    for aggregate, value in expected.items():
        (row,) = found(parsed, aggregate)
        assert row["value"] == pytest.approx(value)
        assert (row["unit"], row["unit_basis"], row["ceiling"]) == ("ms", "payload", 100_000.0)
        assert (second_of(row), row["bucket_seconds"], row["row"]) == (0.0, 10.0, 1)
        assert (row["owner"], row["service"], row["method"]) == ("orders", "pkg.Inv", "Reserve")
    (count,) = found(parsed, "count")
    assert (count["value"], count["status"], count["unit"]) == (10.0, "OK", "count")
    assert (parsed.rows, parsed.unparsed, parsed.resolution_seconds) == (1, 0, 10.0)
    assert parsed.covered is not None and parsed.covered.seconds == 10.0


def test_statuses_of_one_interval_are_one_distribution(tmp_path: Path) -> None:
    fast, slow = [0.004] * 90, [30.0] * 10
    point = histogram_point(slow, 0, 10, tags=calls("DEADLINE_EXCEEDED"))
    parsed = read(tmp_path, export(histogram(histogram_point(fast, 0, 10), point)))
    (p99,) = found(parsed, "p99")
    # The 99th of 100 is the ninth of the ten in (20, 50].
    assert p99["value"] == pytest.approx((20 + 30 * 9 / 10) * 1000)
    counts = {row["status"]: row["value"] for row in found(parsed, "count")}
    assert counts == {"OK": 90.0, "DEADLINE_EXCEEDED": 10.0}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.001, 90.0), min_size=1, max_size=30))
def test_percentiles_lie_where_the_samples_do(new_folder: NewFolder, samples: list[float]) -> None:
    """Each percentile is in the bucket of the sample of its rank."""
    parsed = read(new_folder(), export(histogram(histogram_point(samples, 0, 10))))
    for aggregate, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        (row,) = found(parsed, aggregate)
        rank = -(-round(share * 100) * len(samples) // 100)
        sample = sorted(samples)[rank - 1]
        upper = min(bound for bound in A66_S if bound >= sample)
        lower = max((bound for bound in A66_S if bound < sample), default=0.0)
        assert lower * 1000 <= row["value"] + 1e-6 and row["value"] - 1e-6 <= upper * 1000


def test_cumulative_points_are_differenced_and_the_first_is_only_a_basis(tmp_path: Path) -> None:
    batches = [[0.02] * 4, [0.3] * 5, [], [3.0] * 2]
    lines, seen = [], list[float]()
    for number, batch in enumerate(batches):
        seen += batch
        point = histogram_point(seen, -600, 10 * number)
        lines.append(export(histogram(point, temporality=CUMULATIVE)))
    parsed = read(tmp_path, *lines)
    assert [(second_of(r), r["value"]) for r in found(parsed, "count")] == [
        (0, 5),
        (10, 0),
        (20, 2),
    ]
    p99 = {second_of(row): row["value"] for row in found(parsed, "p99")}
    assert p99[0] == pytest.approx((0.1 + 0.4 * 0.99) * 1000)
    # Nothing ended in that interval: its count is zero, its percentile is missing, not zero.
    assert p99[10] is None
    assert p99[20] == pytest.approx((2 + 3 * 0.99) * 1000)
    assert (parsed.rows, parsed.unparsed) == (4, 0)


def test_a_restart_counts_from_zero(tmp_path: Path) -> None:
    def cumulative(count: int, start: float, end: float) -> str:
        point = histogram_point([0.02] * count, start, end)
        return export(histogram(point, temporality=CUMULATIVE))

    parsed = read(
        tmp_path, cumulative(100, -600, 0), cumulative(110, -600, 10), cumulative(3, 14, 20)
    )
    counts = [(second_of(r), r["bucket_seconds"], r["value"]) for r in found(parsed, "count")]
    assert counts == [(0.0, 10.0, 10.0), (14.0, 6.0, 3.0)]


def test_a_count_that_goes_down_without_a_new_start_is_unparsed(tmp_path: Path) -> None:
    lines = [
        export(histogram(histogram_point([0.02] * n, -600, 10 * i), temporality=CUMULATIVE))
        for i, n in enumerate((10, 5, 7))
    ]
    parsed = read(tmp_path, *lines)
    assert [row["value"] for row in found(parsed, "count")] == [2.0]
    assert (parsed.rows, parsed.unparsed) == (2, 1)


def test_a_code_that_appears_later_has_counted_since_the_export_before(tmp_path: Path) -> None:
    """Its first point holds its first calls, which would be lost if it were only a basis."""

    def exported(end: float, ok: int, late: int) -> str:
        points = [histogram_point([0.02] * ok, -600, end)]
        if late:
            tags = calls("DEADLINE_EXCEEDED")
            points.append(histogram_point([30.0] * late, -600, end, tags=tags))
        return export(histogram(*points, temporality=CUMULATIVE))

    parsed = read(tmp_path, exported(0, 9, 0), exported(10, 12, 7), exported(20, 12, 8))
    late = found(parsed, "count", status="DEADLINE_EXCEEDED")
    assert [(second_of(row), row["value"]) for row in late] == [(0.0, 7.0), (10.0, 1.0)]


def test_several_instances_are_one_distribution_over_all_their_intervals(tmp_path: Path) -> None:
    """Two processes, the second 4 s out of step: the bucket spans what both of them span."""
    lines = []
    for step in range(3):
        for shift, sample in ((0, 0.02), (4, 3.0)):
            point = histogram_point([sample] * 50, 10 * step + shift, 10 * step + 10 + shift)
            lines.append(export(histogram(point), service__instance__id=f"i{shift}"))
    parsed = read(tmp_path, *lines)
    counts = [(second_of(r), r["bucket_seconds"], r["value"]) for r in found(parsed, "count")]
    assert counts == [(0.0, 14.0, 100.0), (10.0, 14.0, 100.0), (20.0, 14.0, 100.0)]
    for row in found(parsed, "p99"):
        assert row["value"] == pytest.approx((2 + 3 * 49 / 50) * 1000)


def test_a_ceiling_brings_the_average_and_the_largest_call(tmp_path: Path) -> None:
    """All calls last 30 s: SDK buckets in ms show 10 s, the average shows what it was."""
    old = attributes(rpc__service="pkg.Inv", rpc__method="Reserve", rpc__grpc__status_code=14)
    point = histogram_point([30_000.0] * 20, 0, 10, OTEL_MS, old, max=30_400.0, min=29_900.0)
    parsed = read(tmp_path, export(histogram(point, name=OLD, unit="ms")))
    (p99,) = found(parsed, "p99")
    assert (p99["value"], p99["ceiling"]) == (10_000.0, 10_000.0)
    assert [row["value"] for row in found(parsed, "avg")] == [30_000.0]
    assert [row["value"] for row in found(parsed, "max")] == [30_400.0]
    assert [row["status"] for row in found(parsed, "count")] == ["UNAVAILABLE"]


def test_an_interpolation_point_brings_the_average_too(tmp_path: Path) -> None:
    parsed = read(tmp_path, export(histogram(histogram_point([30.0] * 20, 0, 10))))
    (p99,) = found(parsed, "p99")
    assert p99["value"] == pytest.approx(49_700.0) and p99["ceiling"] == 100_000.0
    assert [row["value"] for row in found(parsed, "avg")] == [pytest.approx(30_000.0)]


def test_calls_below_their_ceiling_need_no_average(tmp_path: Path) -> None:
    parsed = read(tmp_path, export(histogram(histogram_point(SAMPLES, 0, 10))))
    assert found(parsed, "avg") == []


def test_both_names_of_the_same_calls_are_read_once(tmp_path: Path) -> None:
    """rpc/dup: the same 10 calls in milliseconds and in seconds are 10 calls, not 20."""
    old = attributes(rpc__service="pkg.Inv", rpc__method="Reserve", rpc__grpc__status_code=0)
    in_ms = histogram_point([s * 1000 for s in SAMPLES], 0, 10, OTEL_MS, old)
    twice = export(
        histogram(in_ms, name=OLD, unit="ms"), histogram(histogram_point(SAMPLES, 0, 10))
    )
    alone = export(histogram(in_ms, name=OLD, unit="ms"), owner="billing")
    parsed = read(tmp_path, twice, alone)
    counts = {(r["owner"], r["metric"]): r["value"] for r in found(parsed, "count")}
    assert counts == {("orders", NEW): 10.0, ("billing", OLD): 10.0}
    assert OLD in parsed.blind


# --- counters, levels and other shapes ------------------------------------------------------------


def test_a_counter_becomes_counts_by_status(tmp_path: Path) -> None:
    def counter(end: float, **codes: int) -> str:
        points = [
            {
                "attributes": attributes(
                    grpc_service="pkg.Inv", grpc_method="Reserve", grpc_code=code
                ),
                "startTimeUnixNano": ns(-600),
                "timeUnixNano": ns(end),
                "asInt": str(number),
            }
            for code, number in codes.items()
        ]
        total = {"aggregationTemporality": CUMULATIVE, "isMonotonic": True, "dataPoints": points}
        return export({"name": "grpc_client_handled_total", "unit": "", "sum": total})

    parsed = read(
        tmp_path, counter(0, OK=5), counter(10, OK=9, Canceled=2), counter(20, OK=9, Canceled=2)
    )
    counts = [(second_of(r), r["status"], r["value"]) for r in found(parsed, "count")]
    assert counts == [(0, "OK", 4), (0, "CANCELLED", 2), (10, "OK", 0), (10, "CANCELLED", 0)]


def test_a_level_stands_until_the_next_one(tmp_path: Path) -> None:
    def usage(end: float, used: int, idle: int | None) -> str:
        points = [
            {"attributes": attributes(state=state, pool__name="main"), "timeUnixNano": ns(end)}
            | ({"asInt": str(value)} if value is not None else {"flags": 1})
            for state, value in (("used", used), ("idle", idle))
        ]
        level = {"aggregationTemporality": CUMULATIVE, "isMonotonic": False, "dataPoints": points}
        name = "db.client.connections.usage"
        return export({"name": name, "unit": "{connection}", "sum": level})

    parsed = read(tmp_path, usage(0, 3, 97), usage(10, 60, None), usage(20, 100, 0))
    used = found(parsed, "last", metric="db.client.connections.usage")
    assert [(second_of(r), r["value"]) for r in used] == [(0, 3), (10, 60), (20, 100)]
    assert {(r["owner"], r["unit"], r["bucket_seconds"]) for r in used[:2]} == {
        ("main", "count", 10.0)
    }
    idle = found(parsed, "last", metric="db.client.connections.usage.idle")
    assert [r["value"] for r in idle] == [97, None, 0]


def test_a_gauge_in_a_unit_of_time_is_milliseconds(tmp_path: Path) -> None:
    points = [
        {"timeUnixNano": ns(0), "asDouble": 0.25},
        {"timeUnixNano": ns(10), "asDouble": "NaN"},
    ]
    gauge = {"name": "app.wait", "unit": "s", "gauge": {"dataPoints": points}}
    parsed = read(tmp_path, export(gauge))
    assert [(r["value"], r["unit"]) for r in found(parsed, "last")] == [(250, "ms"), (None, "ms")]


def exponential(samples: Sequence[float], scale: int, start: float, end: float) -> dict[str, Any]:
    """Bucket i is (2^(i/2^scale), 2^((i+1)/2^scale)]: found by trying, not by logarithms."""
    growth = 2 ** (2**-scale)
    indices = []
    for sample in samples:
        index = -400
        while growth ** (index + 1) < sample:
            index += 1
        indices.append(index)
    offset = min(indices, default=0)
    counts = [indices.count(i) for i in range(offset, max(indices, default=-1) + 1)]
    return {
        "attributes": calls(),
        "startTimeUnixNano": ns(start),
        "timeUnixNano": ns(end),
        "count": str(len(samples)),
        "sum": sum(samples),
        "scale": scale,
        "positive": {"offset": offset, "bucketCounts": [str(n) for n in counts]},
    }


def test_an_exponential_histogram_has_no_ceiling(tmp_path: Path) -> None:
    samples = [0.02] * 90 + [30.0] * 10
    points = [exponential(samples, 3, 0, 10)]
    data = {"aggregationTemporality": DELTA, "dataPoints": points}
    parsed = read(tmp_path, export({"name": NEW, "unit": "s", "exponentialHistogram": data}))
    (p99,) = found(parsed, "p99")
    # A bucket of scale 3 is 9 % wide: the value is that close to 30 s.
    assert p99["value"] == pytest.approx(30_000, rel=0.09) and p99["ceiling"] is None
    (p50,) = found(parsed, "p50")
    assert p50["value"] == pytest.approx(20, rel=0.09)


def test_a_scale_that_became_coarser_is_differenced(tmp_path: Path) -> None:
    lines = []
    for end, samples, scale in ((0, [0.02] * 5, 3), (10, [0.02] * 5 + [30.0] * 4, 1)):
        data = {
            "aggregationTemporality": "AGGREGATION_TEMPORALITY_CUMULATIVE",
            "dataPoints": [exponential(samples, scale, -600, end)],
        }
        lines.append(export({"name": NEW, "unit": "s", "exponentialHistogram": data}))
    parsed = read(tmp_path, *lines)
    assert [row["value"] for row in found(parsed, "count")] == [4.0]
    (p50,) = found(parsed, "p50")
    assert p50["value"] == pytest.approx(30_000, rel=0.42)


def test_a_histogram_of_one_bucket_gives_its_average(tmp_path: Path) -> None:
    parsed = read(tmp_path, export(histogram(histogram_point([1.0, 3.0], 0, 10, bounds=[]))))
    assert [row["value"] for row in found(parsed, "avg")] == [2000.0]
    assert found(parsed, "p99") == []


def test_a_size_keeps_its_unit(tmp_path: Path) -> None:
    size = histogram(
        histogram_point([50.0], 0, 10, [100]), name="rpc.client.request.size", unit="By"
    )
    (row,) = found(read(tmp_path, export(size)), "p50")
    assert (row["unit"], row["value"], row["unit_basis"]) == ("By", 50.0, "payload")


# --- units ----------------------------------------------------------------------------------------


def test_an_unknown_unit_is_refused_and_the_rest_is_kept(tmp_path: Path) -> None:
    home_made = histogram(
        histogram_point([1.0], 0, 10, [1, 2]), name="grpc.client.duration", unit=""
    )
    with pytest.raises(BadInput, match=r"grpc\.client\.duration is unknown"):
        read(tmp_path, export(home_made))
    parsed = read(tmp_path, export(home_made, histogram(histogram_point(SAMPLES, 0, 10))))
    assert {row["metric"] for row in rows(parsed, "metrics")} == {NEW}
    assert parsed.unparsed == 1 and "grpc.client.duration" in parsed.blind


@pytest.mark.parametrize(
    ("name", "unit", "bounds", "basis", "factor"),
    [
        (OLD, "", [1, 100], "name", 1.0),
        ("my.latency_ms", "", [1, 100], "suffix", 1.0),
        ("my.latency", "", A66_S, "buckets", 1000.0),
        (OLD, "s", OTEL_MS, "payload", 1000.0),
    ],
)
def test_the_unit_is_found_in_order(
    tmp_path: Path, name: str, unit: str, bounds: Sequence[float], basis: str, factor: float
) -> None:
    point = histogram_point([bounds[1]] * 4, 0, 10, bounds, [])
    (row,) = found(read(tmp_path, export(histogram(point, name=name, unit=unit))), "p50")
    assert row["unit_basis"] == basis
    assert row["value"] == pytest.approx((bounds[0] + bounds[1]) / 2 * factor)


# --- damage ---------------------------------------------------------------------------------------


def test_torn_lines_are_counted_and_the_others_kept(tmp_path: Path) -> None:
    good = [export(histogram(histogram_point(SAMPLES, 10 * n, 10 * n + 10))) for n in range(3)]
    parsed = read(tmp_path, good[0], good[1][:200], "", good[2], "null", good[0][:-1])
    assert [(r["row"], second_of(r)) for r in found(parsed, "p99")] == [(1, 0.0), (4, 20.0)]
    assert (parsed.rows, parsed.unparsed) == (2, 3)


def test_a_first_line_that_is_torn_costs_itself(tmp_path: Path) -> None:
    good = export(histogram(histogram_point(SAMPLES, 0, 10)))
    parsed = parse("otlp_metrics", write(tmp_path / "a.jsonl", good[50:], good))
    assert (parsed.rows, parsed.unparsed) == (1, 1)


def test_a_broken_gzip_keeps_what_came_before(tmp_path: Path) -> None:
    good = [export(histogram(histogram_point([0.02] * n, 10 * n, 10 * n + 10))) for n in range(60)]
    path = write_gzip(tmp_path / "a.jsonl.gz", "\n".join(good).encode())
    path.write_bytes(path.read_bytes()[:-300])
    parsed = parse("otlp_metrics", path)
    assert 0 < parsed.rows < 60 and parsed.damage


def test_one_document_over_many_lines_is_read(tmp_path: Path) -> None:
    line = export(histogram(histogram_point(SAMPLES, 0, 10), histogram_point(SAMPLES, 10, 20)))
    path = write(tmp_path / "a.json", json.dumps(json.loads(line), indent=2))
    assert kind_of(path) == "otlp_metrics"
    parsed = parse("otlp_metrics", path)
    assert [r["row"] for r in found(parsed, "count")] == [1, 2] and parsed.unparsed == 0


@pytest.mark.parametrize(
    "broken",
    [
        {"bucketCounts": ["1", "2"]},
        {"count": "11"},
        {"count": "-1"},
        {"explicitBounds": list(reversed(A66_S))},
        {"timeUnixNano": "yesterday"},
        {"timeUnixNano": ns(-1)},
        {"timeUnixNano": "9" * 20},
        {"startTimeUnixNano": "0"},
        {"sum": "Infinity"},
        {"attributes": 5, "count": None},
    ],
)
def test_a_broken_point_is_counted_and_costs_only_itself(tmp_path: Path, broken: Any) -> None:
    points = [histogram_point(SAMPLES, 0, 10) | broken, histogram_point(SAMPLES, 10, 20)]
    parsed = read(tmp_path, export(histogram(*points)))
    assert [second_of(row) for row in found(parsed, "count")] == [10.0]
    assert (parsed.rows, parsed.unparsed) == (1, 1)


def test_a_summary_is_counted_as_not_read(tmp_path: Path) -> None:
    summary = {"name": "s", "summary": {"dataPoints": [{"timeUnixNano": ns(0)}] * 3}}
    parsed = read(tmp_path, export(summary, histogram(histogram_point(SAMPLES, 0, 10))))
    assert (parsed.rows, parsed.unparsed) == (1, 3)


@pytest.mark.parametrize(
    "content", ["{}", "[]", "", '{"resourceMetrics": 5}', '{"resourceMetrics": [5]}', "nonsense"]
)
def test_what_holds_no_metrics_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(BadInput, match=r"a\.json") as caught:
        parse("otlp_metrics", write(tmp_path / "a.json", content))
    assert caught.value.hint


def test_memory_stays_flat_over_a_large_file(tmp_path: Path) -> None:
    """Four times the instances are four times the lines, in the same memory."""

    def peak(instances: int) -> int:
        path = tmp_path / f"{instances}.jsonl"
        path.write_text("\n".join(lines(instances)))
        tracemalloc.start()
        parse("otlp_metrics", path)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    def lines(instances: int) -> Iterator[str]:
        for step in range(10):
            for instance in range(instances):
                point = histogram_point([0.02] * 5, 10 * step, 10 * step + 10)
                yield export(histogram(point), service__instance__id=f"i{instance}", pad="x" * 3000)

    peak(1)
    assert peak(320) < peak(80) * 1.2


POINT = record(
    timeUnixNano=st.sampled_from([ns(0), ns(10), ns(20)]),
    startTimeUnixNano=st.sampled_from([ns(0), ns(-600), "0"]),
    count=st.sampled_from(["0", "2", "3"]),
    sum=st.floats(),
    bucketCounts=st.just(["1", "1"]) | st.lists(PLAIN, max_size=3),
    explicitBounds=st.just([1.0]) | st.lists(PLAIN, max_size=3),
    asDouble=st.floats(),
    asInt=st.sampled_from(["1", "7"]),
    scale=st.integers(-30, 30),
    positive=record(offset=st.integers(-(2**31), 2**31), bucketCounts=st.just(["2"])),
    max=PLAIN,
    flags=st.sampled_from([0, 1]),
    attributes=st.just(calls()) | st.lists(PLAIN, max_size=2),
)
DATA = record(
    aggregationTemporality=st.sampled_from([1, 2]),
    isMonotonic=st.booleans(),
    dataPoints=st.lists(POINT, max_size=4),
)
METRIC = record(
    name=st.sampled_from([NEW, OLD, "grpc.client.duration", "x_ms", ""]),
    unit=st.sampled_from(["s", "ms", "By", ""]),
    **dict.fromkeys(("gauge", "sum", "histogram", "exponentialHistogram"), DATA),
)
REQUEST = record(
    resourceMetrics=st.lists(
        record(
            resource=record(attributes=st.just(attributes(service__name="orders"))),
            scopeMetrics=st.lists(record(metrics=st.lists(METRIC, max_size=3)), max_size=2),
        ),
        max_size=2,
    )
)


@settings(max_examples=300, deadline=None)
@given(REQUEST)
def test_any_request_is_read_or_refused(new_folder: NewFolder, content: Any) -> None:
    survives("otlp_metrics", new_folder(), content)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(new_folder: NewFolder, content: bytes) -> None:
    survives("otlp_metrics", new_folder(), content)
