"""Answers of GetMetricData as files: rows, damage, and that nothing breaks the reader.

What boto3's client makes of the service is tested in tests/sources/test_cloudwatch_metrics.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.errors import BadInput
from incident_rca.formats.parsed import Parsed
from tests.formats.builders import instant, kind_of, parse, rows, write
from tests.formats.conftest import NewFolder
from tests.formats.history_values import PLAIN, TIMES, record, survives

WINDOW = {"start": "2026-01-15T14:10:00Z", "end": "2026-01-15T14:20:00Z"}


def query(identifier: str, metric: str, statistic: str, unit: str = "") -> dict[str, Any]:
    stat = {"Metric": {"MetricName": metric}, "Period": 60, "Stat": statistic}
    return {"Id": identifier, "MetricStat": stat | ({"Unit": unit} if unit else {})}


QUERIES = [query("m0", "5XXError", "Sum"), query("m1", "Latency", "p99", "Milliseconds")]


def result(identifier: str, *points: tuple[Any, Any]) -> dict[str, Any]:
    times = [f"2026-01-15T{at}Z" if isinstance(at, str) else at for at, _ in points]
    return {"Id": identifier, "Timestamps": times, "Values": [value for _, value in points]}


def answer(*results: Any, queries: Any = QUERIES, error: Any = None) -> dict[str, Any]:
    return {
        "service": "cloudwatch_metrics",
        "request": {"stage": "rest:a1/prod", "window": WINDOW, "MetricDataQueries": queries},
        "asked_at": "2026-01-15T15:00:00Z",
        "response": {"pages": [{"MetricDataResults": [r]} for r in results], "error": error},
    }


def read(folder: Path, document: Any) -> Parsed:
    path = write(folder / "metrics.json", json.dumps(document))
    assert kind_of(path) == "cloudwatch_metrics"
    return parse("cloudwatch_metrics", path)


def test_points_become_rows(tmp_path: Path) -> None:
    counted = result("m0", ("14:10:00", 0.0), ("14:12:00", 3.0))
    parsed = read(tmp_path, answer(counted, result("m1", ("14:10:00", 42.5))))
    found = [
        (r["row"], r["metric"], r["at"], r["value"], r["unit"], r["aggregate"], r["bucket_seconds"])
        for r in rows(parsed, "metrics")
    ]
    assert found == [
        (1, "5XXError", instant("14:10"), 0.0, "count", "count", 60.0),
        (2, "5XXError", instant("14:12"), 3.0, "count", "count", 60.0),
        (3, "Latency", instant("14:10"), 42.5, "ms", "p99", 60.0),
    ]
    assert {r["owner"] for r in rows(parsed, "metrics")} == {"rest:a1/prod"}


def test_another_unit_of_time_is_made_milliseconds(tmp_path: Path) -> None:
    queries = [query("m0", "Latency", "p99", "Seconds")]
    (row,) = rows(
        read(tmp_path, answer(result("m0", ("14:10:00", 30)), queries=queries)), "metrics"
    )
    assert (row["value"], row["unit"], row["unit_basis"]) == (30_000.0, "ms", "payload")


def test_a_latency_without_its_unit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Latency is unknown"):
        read(tmp_path, answer(queries=[query("m0", "Latency", "p99")]))


def test_a_point_that_came_again_is_the_later_one(tmp_path: Path) -> None:
    parsed = read(tmp_path, answer(result("m0", ("14:10:00", 1)), result("m0", ("14:10:00", 2))))
    assert [(r["value"], r["row"]) for r in rows(parsed, "metrics")] == [(2.0, 2)]


@pytest.mark.parametrize(
    "broken",
    [
        result("m0", ("14:10:00", None)),
        result("m0", ("14:10:00", "3")),
        result("m0", ("14:10:00", True)),
        result("m0", (None, 3)),
        result("m0", ("25:00:00", 3)),
        result("m9", ("14:10:00", 3)),
        {"Id": "m0", "Timestamps": ["2026-01-15T14:10:00Z"], "Values": []},
        {"Id": "m0", "Timestamps": [], "Values": [1.0]},
        None,
    ],
)
def test_a_broken_point_is_counted(tmp_path: Path, broken: Any) -> None:
    parsed = read(tmp_path, answer(broken, result("m0", ("14:11:00", 1))))
    assert (parsed.rows, parsed.unparsed) == (1, 1)


def test_an_error_is_damage(tmp_path: Path) -> None:
    parsed = read(tmp_path, answer(error={"code": "Throttling", "message": "slow down"}))
    assert (parsed.rows, parsed.damage) == (0, "Throttling: slow down")


@pytest.mark.parametrize(
    "changed",
    [
        {"response": {}},
        {"response": {"pages": None}},
        {"request": {}},
        {"request": {"MetricDataQueries": [5]}},
        {"request": {"MetricDataQueries": [{"Id": "m0"}]}},
        {
            "request": {
                "MetricDataQueries": [{"MetricStat": QUERIES[0]["MetricStat"] | {"Period": 0}}]
            }
        },
    ],
)
def test_an_answer_without_its_question_is_refused(tmp_path: Path, changed: Any) -> None:
    with pytest.raises(BadInput, match=r"metrics\.json") as caught:
        read(tmp_path, answer() | changed)
    assert caught.value.hint


RESULT = record(
    Id=st.sampled_from(["m0", "m1"]),
    Timestamps=st.lists(TIMES | PLAIN, max_size=3),
    Values=st.lists(st.floats() | PLAIN, max_size=3),
)
STAT = record(
    Metric=record(MetricName=st.sampled_from(["Latency", "5xx"])),
    Period=st.sampled_from([60, 0]) | PLAIN,
    Stat=st.sampled_from(["Sum", "p99"]),
    Unit=st.sampled_from(["Milliseconds", "Count"]),
)
DOCUMENTS = st.fixed_dictionaries(
    {"service": st.just("cloudwatch_metrics")},
    optional={
        "request": record(
            stage=PLAIN,
            window=st.just(WINDOW) | PLAIN,
            MetricDataQueries=st.just(QUERIES)
            | st.lists(record(Id=st.just("m0"), MetricStat=STAT), max_size=2),
        ),
        "asked_at": TIMES | PLAIN,
        "response": record(
            pages=st.lists(record(MetricDataResults=st.lists(RESULT, max_size=3)), max_size=2),
            error=record(code=PLAIN, message=PLAIN),
        ),
    },
)


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS)
def test_any_answer_is_read_or_refused(new_folder: NewFolder, content: Any) -> None:
    survives("cloudwatch_metrics", new_folder(), content)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(new_folder: NewFolder, content: bytes) -> None:
    survives("cloudwatch_metrics", new_folder(), content)
