"""report.json: exactly the keys of the contract, and values that other programs can read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from incident_rca.model import Analysis, Uncited
from incident_rca.report.contract import to_contract, to_json
from incident_rca.report.numbers import grouped, percent, rounded

ANY = None
SESSION = {
    "pid": ANY,
    "application": ANY,
    "mode": ANY,
    "state": ANY,
    "statement": ANY,
    "statement_basis": ANY,
}
# DESIGN.md, "report.json", copied by hand: a dict is an object, a list of one a list of such.
CONTRACT: dict[str, Any] = {
    "schema_version": ANY,
    "tool_version": ANY,
    "incident": {
        "id": ANY,
        "title": ANY,
        "window": {"start": ANY, "end": ANY},
        "baselines": [
            {
                "start": ANY,
                "end": ANY,
                "source": ANY,
                "records": ANY,
                "failed": ANY,
                "evidence": ANY,
            }
        ],
    },
    "sources": [
        {
            "name": ANY,
            "system": ANY,
            "state": ANY,
            "asked": {"start": ANY, "end": ANY},
            "covered": {"start": ANY, "end": ANY},
            "rows": ANY,
            "unparsed": ANY,
            "resolution_seconds": ANY,
            "clock_offset_seconds": ANY,
            "clock_offset_basis": ANY,
            "clock_moved_seconds": ANY,
            "reason": ANY,
            "query": ANY,
            "links": ANY,
            "files": [{"path": ANY, "sha256": ANY}],
        }
    ],
    "evidence": [
        {
            "id": ANY,
            "source": ANY,
            "at": ANY,
            "seen": ANY,
            "file": ANY,
            "rows": ANY,
            "count": ANY,
        }
    ],
    "outage": {
        "start": ANY,
        "end": ANY,
        "duration_seconds": ANY,
        "ongoing": ANY,
        "onset": ANY,
        "evidence": ANY,
    },
    "impact": {
        "requests": ANY,
        "failed_requests": ANY,
        "endpoints": [
            {
                "method": ANY,
                "route": ANY,
                "requests": ANY,
                "failed": ANY,
                "by_status": ANY,
                "first_failure": ANY,
                "last_failure": ANY,
                "baseline_per_minute": ANY,
                "incident_per_minute": ANY,
                "p99_ms": ANY,
                "impact": ANY,
                "evidence": ANY,
            }
        ],
    },
    "error_types": [
        {"type": ANY, "status": ANY, "count": ANY, "share": ANY, "seen_in": ANY, "evidence": ANY}
    ],
    "lock_episodes": [
        {
            "id": ANY,
            "database": ANY,
            "relation": ANY,
            "root_holder": SESSION,
            "queue_amplifiers": [SESSION],
            "held": {"start": ANY, "end": ANY},
            "peak_waiters": ANY,
            "waiters_total": ANY,
            "waiter_seconds": ANY,
            "lock_types": ANY,
            "deadlocked": ANY,
            "outcomes": ANY,
            "evidence": ANY,
        }
    ],
    "latency_shifts": [
        {
            "service": ANY,
            "method": ANY,
            "metric": ANY,
            "unit": ANY,
            "baseline_p99_ms": ANY,
            "peak_ms": ANY,
            "onset": ANY,
            "offset": ANY,
            "plateau_ms": ANY,
            "censored": ANY,
            "status_counts": ANY,
            "evidence": ANY,
        }
    ],
    "pool": {
        "owner": ANY,
        "size": ANY,
        "size_basis": ANY,
        "exhausted_at": ANY,
        "fill_seconds": ANY,
        "arrival_per_second": ANY,
        "consistent": ANY,
        "note": ANY,
        "evidence": ANY,
    },
    "starvations": [
        {
            "method": ANY,
            "route": ANY,
            "onset": ANY,
            "offset": ANY,
            "requests": ANY,
            "usual_per_minute": ANY,
            "per_minute": ANY,
            "evidence": ANY,
        }
    ],
    "timeline": [{"id": ANY, "at": ANY, "source": ANY, "kind": ANY, "title": ANY, "evidence": ANY}],
    "phases": [{"name": ANY, "start": ANY, "end": ANY, "evidence": ANY}],
    "other_incidents": ANY,
    "hypotheses": [
        {
            "id": ANY,
            "rank": ANY,
            "kind": ANY,
            "object": ANY,
            "role": ANY,
            "verdict": ANY,
            "statement": ANY,
            "claims": [
                {
                    "id": ANY,
                    "text": ANY,
                    "stance": ANY,
                    "aspect": ANY,
                    "basis": ANY,
                    "evidence": ANY,
                }
            ],
            "independent_sources": ANY,
            "explains": {"seconds": ANY, "share_of_outage": ANY},
            "confirm_by": ANY,
            "incident": ANY,
        }
    ],
    "unexplained": {"seconds": ANY, "share_of_outage": ANY},
    "states": [
        {
            "incident": ANY,
            "start": ANY,
            "end": ANY,
            "seconds": ANY,
            "cause": ANY,
            **{
                question: {"answer": ANY, "detail": ANY, "number": ANY, "evidence": ANY}
                for question in (
                    "lock_held",
                    "waiters",
                    "pool_full",
                    "calls_hung",
                    "methods_slow",
                    "failures",
                    "starved_routes",
                )
            },
        }
    ],
    "contradictions": [{"statement": ANY, "evidence": ANY}],
    "findings": [{"rule": ANY, "severity": ANY, "statement": ANY, "remedy": ANY, "evidence": ANY}],
    "questions": ANY,
    "redactions": ANY,
}


def check(value: Any, keys: Any, where: str = "report") -> None:
    if isinstance(keys, dict):
        assert list(value) == list(keys), where
        for key, inner in keys.items():
            check(value[key], inner, f"{where}.{key}")
    elif isinstance(keys, list):
        assert value, where
        for item in value:
            check(item, keys[0], f"{where}[]")


def test_keys_and_their_order_are_those_of_the_contract(analysis: Analysis) -> None:
    check(to_contract(analysis), CONTRACT)


def test_values_follow_the_rules_of_the_contract(analysis: Analysis) -> None:
    made = to_contract(analysis)
    assert made["schema_version"] == 1
    assert made["outage"]["start"] == ["2026-01-15T14:23:01Z", "2026-01-15T14:23:01Z"]
    assert made["outage"]["duration_seconds"] == 1397
    orders = made["impact"]["endpoints"][0]
    assert orders["by_status"] == {"502": 1247} and orders["last_failure"].endswith("14:46:18Z")
    assert orders["baseline_per_minute"] == 53.2
    assert made["hypotheses"][0]["explains"] == {"seconds": 240, "share_of_outage": 0.172}
    assert made["hypotheses"][0]["independent_sources"] == 3
    assert made["hypotheses"][0]["claims"][0]["id"] == "H1.1"
    assert made["phases"][-1]["end"] is None
    assert made["evidence"][-1]["rows"] is None
    assert made["lock_episodes"][0]["id"] == "LE1"
    assert [event["id"] for event in made["timeline"]][:2] == ["T1", "T2"]
    assert made["pool"]["arrival_per_second"] == 2.222
    assert made["latency_shifts"][0]["status_counts"]["INTERNAL"] == 1147


def test_every_id_that_is_cited_is_listed(analysis: Analysis) -> None:
    made = to_contract(analysis)
    listed = {evidence["id"] for evidence in made["evidence"]}

    def cited(value: Any, key: str = "") -> set[str]:
        if isinstance(value, dict):
            return {i for k, v in value.items() for i in cited(v, k)}
        if isinstance(value, list):
            if key == "evidence" and value and isinstance(value[0], str):
                return set(value)
            return {i for item in value for i in cited(item, key)}
        return set()

    assert cited(made) <= listed and len(cited(made)) > 10


def test_without_an_outage_shares_are_null(analysis: Analysis) -> None:
    made = to_contract(replace(analysis, outage=None, pool=None))
    assert made["outage"] is None and made["pool"] is None
    assert made["unexplained"]["share_of_outage"] is None
    assert made["hypotheses"][0]["explains"]["share_of_outage"] is None


def test_what_cites_nothing_is_refused(analysis: Analysis) -> None:
    with pytest.raises(Uncited):
        to_contract(replace(analysis, error_types=(replace(analysis.error_types[0], evidence=()),)))


def test_text_is_the_same_each_time_and_ends_its_line(analysis: Analysis) -> None:
    text = to_json(analysis)
    assert text == to_json(analysis) and text.endswith("}\n")
    assert json.loads(text) == to_contract(analysis)


def test_half_a_surrogate_pair_can_still_be_written(analysis: Analysis) -> None:
    text = to_json(replace(analysis, questions=("half \ud83d",)))
    assert json.loads(text.encode("utf-8"))["questions"] == ["half ?"]


def test_the_rounding_rule() -> None:
    assert [rounded(x) for x in (1397.0, 0.0005, 0.17180386, -0.0)] == [1397, 0.001, 0.172, 0]
    assert isinstance(rounded(2.0), int)
    assert [percent(x) for x in (0.0, 1247 / 1247, 1.0, 0.172)] == [
        "0 %",
        "100 %",
        "100 %",
        "17.2 %",
    ]
    assert grouped(1234567.5) == "1,234,567.5"
