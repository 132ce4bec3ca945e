"""Datadog's answers in all shapes that are kept: v1 and v2, bare, in slices, damaged, any JSON."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incident_rca.errors import BadInput
from incident_rca.formats.parsed import Parsed
from tests.formats.builders import START, START_MS, kind_of, parse, rows, write

P99 = "p99:rpc.client.duration{*} by {rpc.method}.rollup(10)"
MS = {"family": "time", "name": "millisecond", "scale_factor": 0.001}


def v2_request(query: str = P99, start: int = 0, seconds: int = 60) -> dict[str, Any]:
    attributes = {
        "from": START_MS + start * 1000,
        "to": START_MS + (start + seconds) * 1000,
        "interval": 1000,
        "formulas": [{"formula": "a"}],
        "queries": [{"data_source": "metrics", "name": "a", "query": query}],
    }
    return {"method": "POST", "path": "/x", "body": {"data": {"attributes": attributes}}}


def v2(*points: tuple[int, float | None], unit: Any = MS, tag: str = "reserve") -> dict[str, Any]:
    series = {"group_tags": [f"rpc.method:{tag}"], "query_index": 0, "unit": [unit, None]}
    attributes = {
        "series": [series],
        "times": [START_MS + second * 1000 for second, _ in points],
        "values": [[value for _, value in points]],
    }
    return {"data": {"type": "timeseries_response", "attributes": attributes}}


def v1(*points: tuple[int, float | None], query: str = P99, **more: Any) -> dict[str, Any]:
    series = {
        "metric": "rpc.client.duration",
        "interval": 10,
        "scope": "rpc.method:reserve",
        "tag_set": ["rpc.method:reserve"],
        "unit": [MS, None],
        "pointlist": [[float(START_MS + second * 1000), value] for second, value in points],
        **more,
    }
    return {"status": "ok", "query": query, "from_date": START_MS, "series": [series]}


def kept(response: Any, request: Any = None, **more: Any) -> dict[str, Any]:
    return {"service": "datadog", "request": request or {}, "response": response, **more}


def sliced(*slices: dict[str, Any], **more: Any) -> dict[str, Any]:
    request = more.pop("request", {})
    return kept({"slices": list(slices), **more}, request)


def part(request: Any, response: Any) -> dict[str, Any]:
    return {"request": request, "response": response}


def failed(request: Any, message: str = "HTTP 500: oops") -> dict[str, Any]:
    return {"request": request, "error": {"code": "500", "message": message}}


def read(folder: Path, document: Any, **named: str) -> Parsed:
    path = write(folder / "answer.json", json.dumps(document))
    assert kind_of(path) == "datadog_metrics"
    return parse("datadog_metrics", path, **named)


def points_of(parsed: Parsed) -> list[tuple[float, float | None]]:
    return [((r["at"] - START).total_seconds(), r["value"]) for r in rows(parsed, "metrics")]


# --- v1 -------------------------------------------------------------------------------------------


def test_v1_says_its_query_itself(tmp_path: Path) -> None:
    parsed = read(tmp_path, v1((0, 5.0), (10, None), (30, 0.0)))
    assert points_of(parsed) == [(0, 5.0), (10, None), (30, 0.0)]
    (row, *_) = rows(parsed, "metrics")
    assert (row["metric"], row["aggregate"], row["method"]) == (
        "rpc.client.duration",
        "p99",
        "reserve",
    )
    assert (row["unit"], row["unit_basis"]) == ("ms", "payload") and parsed.query == P99


def test_the_interval_of_v1_is_in_seconds(tmp_path: Path) -> None:
    parsed = read(tmp_path, v1((0, 5.0), interval=300))
    assert parsed.resolution_seconds == 300.0
    assert {row["bucket_seconds"] for row in rows(parsed, "metrics")} == {300.0}


def test_v1_without_tag_set_is_read_by_its_scope(tmp_path: Path) -> None:
    (row,) = rows(read(tmp_path, v1((0, 5.0), tag_set=[])), "metrics")
    assert row["method"] == "reserve"


def test_v1_without_series_is_an_answer(tmp_path: Path) -> None:
    assert read(tmp_path, {**v1(), "series": []}).rows == 0


def test_an_error_of_v1_is_none(tmp_path: Path) -> None:
    request = {"params": {"from": 1768486200, "to": 1768486260, "query": P99}}
    document = kept({"status": "error", "error": "no", "series": []}, request)
    path = write(tmp_path / "answer.json", json.dumps(document))
    with pytest.raises(BadInput, match="no timeseries"):
        parse("datadog_metrics", path)


def test_the_window_of_a_v1_request_is_in_seconds(tmp_path: Path) -> None:
    second = START_MS // 1000
    request = {"params": {"from": second, "to": second + 60, "query": P99}}
    parsed = read(tmp_path, sliced(part(request, v1((0, 5.0)))))
    assert parsed.asked is not None
    assert (parsed.asked.start, parsed.asked.seconds) == (START, 60)


# --- slices ---------------------------------------------------------------------------------------


def test_slices_are_stitched_and_their_rows_numbered_on(tmp_path: Path) -> None:
    parsed = read(
        tmp_path,
        sliced(
            part(v2_request(start=0), v2((0, 1.0), (10, 2.0))),
            part(v2_request(start=60), v2((60, 3.0), (70, 4.0))),
        ),
    )
    assert points_of(parsed) == [(0, 1.0), (10, 2.0), (60, 3.0), (70, 4.0)]
    assert [row["row"] for row in rows(parsed, "metrics")] == [1, 2, 3, 4]
    assert parsed.asked is not None and parsed.asked.seconds == 120
    assert (parsed.damage, parsed.gaps, parsed.resolution_seconds) == ("", (), 10.0)


def test_a_slice_that_failed_is_a_gap(tmp_path: Path) -> None:
    parsed = read(
        tmp_path,
        sliced(
            part(v2_request(start=0), v2((0, 1.0))),
            failed(v2_request(start=60)),
            error={"code": "500", "message": "1 of 2 requests failed: HTTP 500: oops"},
        ),
    )
    (gap,) = parsed.gaps
    assert gap.window.start == START + timedelta(seconds=60) and gap.window.seconds == 60
    assert "oops" in gap.reason and parsed.damage.startswith("1 of 2")


def test_a_window_that_another_query_answered_is_no_gap(tmp_path: Path) -> None:
    other = "max:rpc.client.duration{*}"
    document = sliced(
        part(v2_request(), v2((0, 1.0))),
        failed(v2_request(other)),
        error={"code": "500", "message": "1 of 2 requests failed"},
    )
    parsed = read(tmp_path, document)
    assert parsed.gaps == () and parsed.damage and parsed.rows == 1


def test_a_slice_that_cannot_be_read_costs_only_itself(tmp_path: Path) -> None:
    broken = v2((0, 1.0))
    broken["data"]["attributes"]["times"] = ["noon"]
    document = sliced(part(v2_request(), broken), part(v2_request(start=60), v2((60, 3.0))))
    parsed = read(tmp_path, document)
    assert points_of(parsed) == [(60, 3.0)] and "answer 1 cannot be read" in parsed.damage


def test_slices_that_all_failed_are_no_answer(tmp_path: Path) -> None:
    path = write(tmp_path / "answer.json", json.dumps(sliced(failed(v2_request()))))
    with pytest.raises(BadInput):
        parse("datadog_metrics", path)


def test_programs_that_are_out_of_step_are_not_finer_for_it(tmp_path: Path) -> None:
    one = v2((0, 1.0), (3, None), (10, 1.0), (13, None))
    attributes = one["data"]["attributes"]
    attributes["series"].append({**attributes["series"][0], "group_tags": ["rpc.method:cancel"]})
    attributes["values"].append([None, 2.0, None, 2.0])
    assert read(tmp_path, sliced(part(v2_request(), one))).resolution_seconds == 10.0


def test_sparse_points_do_not_pretend_a_resolution(tmp_path: Path) -> None:
    parsed = read(tmp_path, sliced(part(v2_request(), v2((0, 1.0), (60, 2.0), (2580, 3.0)))))
    assert parsed.resolution_seconds == 60.0


# --- units and names ------------------------------------------------------------------------------


def unit_rows(
    folder: Path, query: str, about: str, setting: str = "", stated: Any = None, told: str = ""
) -> set[tuple[str, str | None, float]]:
    metric = query.partition(":")[2].partition("{")[0]
    document = sliced(
        part(v2_request(query), v2((0, 2.0), unit=stated)),
        request={"about": about, "unit": setting},
        metrics={metric: {"unit": told}},
    )
    found = rows(read(folder, document), "metrics")
    return {(row["unit"], row["unit_basis"], row["value"]) for row in found}


SECOND = {"family": "time", "name": "second", "scale_factor": 1.0}


@pytest.mark.parametrize(
    ("query", "about", "given_", "expected"),
    [
        ("max:my.calls{*}", "latency", {"setting": "s"}, ("ms", "settings", 2000.0)),
        ("max:my.calls{*}", "latency", {"stated": MS, "setting": "s"}, ("ms", "payload", 2.0)),
        ("max:my.calls{*}", "latency", {"told": "second"}, ("ms", "payload", 2000.0)),
        ("max:my.calls{*}", "latency", {"stated": SECOND}, ("ms", "payload", 2000.0)),
        ("max:my.calls_us{*}", "latency", {}, ("ms", "suffix", 0.002)),
        ("max:rpc.client.call.duration{*}", "latency", {}, ("ms", "name", 2000.0)),
        ("max:pool.used{*}", "pool", {}, ("count", None, 2.0)),
        ("max:pool.used{*}", "pool", {"told": "connection"}, ("connection", "payload", 2.0)),
        # A count has no unit of time, though Datadog may give it that of its metric.
        ("sum:my.calls{*}.as_count()", "counts", {"stated": MS}, ("count", None, 2.0)),
    ],
)
def test_what_states_the_unit(
    tmp_path: Path,
    query: str,
    about: str,
    given_: dict[str, Any],
    expected: tuple[str, str | None, float],
) -> None:
    assert unit_rows(tmp_path, query, about, **given_) == {expected}


def test_a_latency_of_unknown_unit_is_refused_and_the_others_are_kept(tmp_path: Path) -> None:
    request = {"about": "latency"}
    unknown = part(v2_request("max:my.calls{*}"), v2((0, 2.0), unit=None))
    with pytest.raises(BadInput, match=r"my\.calls") as caught:
        read(tmp_path, sliced(unknown, request=request))
    assert "unit" in caught.value.hint
    parsed = read(tmp_path, sliced(unknown, part(v2_request(), v2((0, 3.0))), request=request))
    assert points_of(parsed) == [(0, 3.0)] and "my.calls" in parsed.damage
    assert parsed.unparsed == 1


@pytest.mark.parametrize(
    ("query", "aggregate"),
    [
        ("sum:a.b{*}.as_count().rollup(sum, 10)", "count"),
        ("count:a.b{*}.as_count()", "count"),
        ("sum:a.b{*}", "sum"),
        ("max:a_ms.95percentile{*}", "p95"),
        ("max:a_ms.median{*}", "p50"),
        ("p99.9:a_ms{*}", "p99.9"),
    ],
)
def test_the_aggregate_is_what_the_values_are(tmp_path: Path, query: str, aggregate: str) -> None:
    (row,) = rows(read(tmp_path, sliced(part(v2_request(query), v2((0, 1.0))))), "metrics")
    assert row["aggregate"] == aggregate


def test_counts_without_status_are_a_blind_spot(tmp_path: Path) -> None:
    query = "sum:calls{*} by {rpc.method}.as_count()"
    assert "status" in read(tmp_path, sliced(part(v2_request(query), v2((0, 1.0))))).blind
    counted = v2((0, 1.0))
    counted["data"]["attributes"]["series"][0]["group_tags"].append("grpc.status:ok")
    assert read(tmp_path, sliced(part(v2_request(query), counted))).blind == ""


# --- any JSON -------------------------------------------------------------------------------------

_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([P99, START_MS, "2026-01-15T14:10:00Z", "rpc.method:reserve"]),
)
_KEYS = st.sampled_from(
    [
        *("service", "request", "response", "slices", "pages", "error", "data", "attributes"),
        *("series", "times", "values", "unit", "group_tags", "query_index", "pointlist", "query"),
        *("tag_set", "interval", "from_date", "params", "body", "queries", "formulas", "name"),
        *("formula", "message", "metrics", "id", "type", "timestamp", "tags", "title", "from"),
        *("changed_resource", "impacted_resources", "author", "aggregation_key", "scale_factor"),
    ]
)
_ANY = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=12,
)


EVENT = {
    "id": "x",
    "type": "event",
    "attributes": {
        "timestamp": "2026-01-15T14:10:00Z",
        "tags": ["change:deployment"],
        "attributes": {"title": "t", "changed_resource": {"name": "n", "type": "feature_flag"}},
    },
}
_GOOD: tuple[Any, ...] = (
    sliced(part(v2_request(), v2((0, 1.0), (10, None))), request={"about": "latency"}),
    v1((0, 1.0)),
    kept(v2((0, 1.0)), v2_request()),
    kept({"pages": [{"data": [EVENT], "meta": {}}]}, {"path": "/api/v2/events", "params": {}}),
)


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """A good document in which one value, somewhere, is any JSON; or nothing but any JSON."""
    document = json.loads(json.dumps(draw(st.sampled_from(_GOOD))))
    place, steps = document, draw(st.integers(0, 9))
    while steps and isinstance(place, dict | list) and place:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        steps -= 1
        if not steps or not isinstance(place[key], dict | list) or not place[key]:
            place[key] = draw(_ANY)
            return document
        place = place[key]
    return draw(_ANY)


@pytest.mark.parametrize("kind", ["datadog_metrics", "datadog_events"])
@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(document=damaged())
def test_any_json_is_read_or_refused(tmp_path: Path, kind: str, document: Any) -> None:
    path = write(tmp_path / "any.json", json.dumps(document))
    kind_of(path)
    try:
        parsed = parse(kind, path, query=P99)
    except BadInput as error:
        assert "any.json" in error.message
    else:
        assert parsed.rows >= 0 and parsed.unparsed >= 0
