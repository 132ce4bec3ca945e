"""Answers of Performance Insights as files: bare ones too, and no bytes break the reader.

What boto3's client makes of the service is tested in tests/sources/test_performance_insights.py.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from incident_rca.errors import BadInput
from incident_rca.formats.parsed import Parsed
from tests.formats.builders import envelope, instant, kind_of, parse, rows, write
from tests.formats.conftest import NewFolder
from tests.formats.history_values import PLAIN, TIMES, envelopes, record, survives

LOCK = {"db.wait_event.name": "Lock:relation", "db.wait_event.type": "Lock"}


def series(dimensions: dict[str, str] | None, *points: tuple[str, Any]) -> dict[str, Any]:
    key = {"Metric": "db.load.avg"} | ({"Dimensions": dimensions} if dimensions else {})
    at = [{"Timestamp": f"2026-01-15T{clock}Z", "Value": value} for clock, value in points]
    return {"Key": key, "DataPoints": at}


def bare(folder: Path, *keyed: dict[str, Any]) -> Parsed:
    """The output of `aws pi get-resource-metrics`, which names neither period nor alignment."""
    document = {
        "AlignedStartTime": "2026-01-15T14:20:00+00:00",
        "AlignedEndTime": "2026-01-15T14:30:00+00:00",
        "Identifier": "db-LAB",
        "MetricList": list(keyed),
    }
    path = write(folder / "a.json", json.dumps(document))
    assert kind_of(path) == "performance_insights"
    return parse("performance_insights", path)


def test_a_point_of_a_bare_answer_bears_the_end_of_its_period(tmp_path: Path) -> None:
    points = (("14:21:00", 1.0), ("14:22:00", 2.0), ("14:24:00", 4.0))
    parsed = bare(tmp_path, series(LOCK, *points))
    load = rows(parsed, "lock_load")
    assert [row["at"] for row in load] == [
        instant(clock) - timedelta(seconds=60) for clock, _ in points
    ]
    assert {row["bucket_seconds"] for row in load} == {60.0} == {parsed.resolution_seconds}
    assert parsed.covered is not None
    assert (parsed.covered.start, parsed.covered.end) == (instant("14:20"), instant("14:30"))


def test_the_type_of_a_wait_is_written_once(tmp_path: Path) -> None:
    parsed = bare(
        tmp_path,
        series({"db.wait_event.name": "tuple", "db.wait_event.type": "Lock"}, ("14:21:00", 1.0)),
        series({"db.wait_event.name": "CPU", "db.wait_event.type": "CPU"}, ("14:21:00", 1.0)),
        series(LOCK, ("14:21:00", 1.0)),
        series({"db.wait_event.name": "Lock:page"}, ("14:21:00", 1.0)),
    )
    values = [row["value"] for row in rows(parsed, "lock_load")]
    assert values == ["Lock:tuple", "CPU", "Lock:relation", "Lock:page"]


def test_other_dimensions_and_the_whole_load_are_no_lock_load(tmp_path: Path) -> None:
    user = series({"db.user.name": "ada"}, ("14:21:00", 1.0))
    parsed = bare(tmp_path, series(None, ("14:21:00", 1.0)), user)
    assert (parsed.rows, rows(parsed, "lock_load")) == (2, [])


@pytest.mark.parametrize("value", ["1", -1.0, True, [], {}])
def test_a_value_that_is_none_is_counted(tmp_path: Path, value: Any) -> None:
    parsed = bare(tmp_path, series(LOCK, ("14:21:00", value), ("14:22:00", 2.0)))
    assert (parsed.rows, parsed.unparsed) == (1, 1)


@pytest.mark.parametrize("answer", [None, {}, {"groups": None}, {"MetricList": []}])
def test_another_answer_is_refused(tmp_path: Path, answer: Any) -> None:
    with pytest.raises(BadInput, match=r"a\.json"):
        parse("performance_insights", write(tmp_path / "a.json", envelope({}, answer)))


POINT = record(Timestamp=TIMES, Value=st.floats(min_value=0, max_value=1e300) | st.none())
DIMENSIONS = st.dictionaries(
    st.sampled_from([*LOCK, "db.blocking_sql.id", "db.blocking_sql.sql", "db.blocking_object.id"]),
    st.text(max_size=5) | PLAIN,
    max_size=3,
)
SERIES = record(Key=record(Dimensions=DIMENSIONS), DataPoints=st.lists(POINT, max_size=4))
PAGE = record(AlignedStartTime=TIMES, AlignedEndTime=TIMES, MetricList=st.lists(SERIES, max_size=3))
GROUP = record(
    group=st.just("db.wait_event"),
    period_seconds=st.sampled_from([1, 60]),
    pages=st.lists(PAGE, max_size=3),
    error=record(code=st.text(max_size=4), message=st.text(max_size=4)),
)


@settings(max_examples=200, deadline=None)
@example({"service": "performance_insights", "response": {"groups": [{"pages": True}]}})
@given(envelopes("performance_insights", record(groups=st.lists(GROUP, max_size=3))) | PAGE)
def test_any_answer_is_read_or_refused(new_folder: NewFolder, content: Any) -> None:
    survives("performance_insights", new_folder(), content)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(new_folder: NewFolder, content: bytes) -> None:
    survives("performance_insights", new_folder(), content)
