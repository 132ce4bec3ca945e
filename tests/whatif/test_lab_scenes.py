"""Incidents that were played on real servers: what the replay takes from them, and how it fits."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest

from incident_rca import pipeline, reported_case
from incident_rca.errors import NotReplayable
from incident_rca.replaying import traffic_of
from incident_rca.whatif.comparing import as_it_was
from incident_rca.whatif.traffic import Traffic
from tests.lab.incidents.recordings import RECORDED

ON_THE_POOL = (("POST", "/api/orders"), ("GET", "/api/inventory/{sku}"))


def traffic_in(scene: str, tmp_path: Path) -> Traffic:
    folder = Path(shutil.copytree(RECORDED / scene, tmp_path / scene))
    case, tables = pipeline.build_tables(folder)
    return traffic_of(reported_case.as_reported(case), tables, None)


def failed_in_the_log(scene: str) -> int:
    """The 5xx of the routes that use the pool, counted by plain loops."""
    number = 0
    with gzip.open(RECORDED / scene / "raw" / "access.ndjson.gz", "rt") as log:
        for line in map(json.loads, log):
            route = (line["httpMethod"], line["resourcePath"])
            number += int(line["status"]) >= 500 and route in ON_THE_POOL
    return number


@pytest.mark.parametrize("scene", ["index_build", "deadline_set", "deadline_too_long"])
def test_locks_that_held_up_a_pool_are_told_request_by_request(scene: str, tmp_path: Path) -> None:
    _, _, fit = as_it_was(traffic_in(scene, tmp_path))
    failed = fit.failed_in_both + fit.failed_only_recorded
    assert failed == failed_in_the_log(scene) > 50
    # Within the second that most of the lab's metrics have: six requests come in it.
    assert fit.failed_only_recorded <= 6
    assert fit.failed_only_in_model <= 6
    assert not fit.problems


@pytest.mark.parametrize(("scene", "limit_ms"), [("deadline_set", 400), ("index_build", 1_500)])
def test_a_deadline_that_acted_ends_the_wait_of_its_callers(
    scene: str, limit_ms: int, tmp_path: Path
) -> None:
    made = traffic_in(scene, tmp_path)
    limits = {route.name: route.limit_ms for route in made.routes}
    assert limits["POST /api/orders"] == pytest.approx(limit_ms, rel=0.1)
    said = [one for one in made.premises if "DEADLINE_EXCEEDED" in one.text]
    assert bool(said) == (scene == "deadline_set")
    assert all(one.evidence for one in said)


def test_calls_that_only_waited_for_the_pool_do_not_hang_as_well(tmp_path: Path) -> None:
    made = traffic_in("small_pool", tmp_path)
    assert made.blocked == ()
    assert any("for nothing else" in one.text and one.evidence for one in made.premises)


@pytest.mark.parametrize("scene", ["deadlock_storm", "shifted_clock"])
def test_what_the_model_cannot_tell_is_doubted(scene: str, tmp_path: Path) -> None:
    made = traffic_in(scene, tmp_path)
    *_, fit = as_it_was(made)
    assert fit.problems
    # Which rows a request wanted is in no log: that every one waited is said to be taken so.
    said = any("taken to want a row" in premise.text for premise in made.premises)
    assert said == (scene == "deadlock_storm")


@pytest.mark.parametrize(
    ("scene", "says"),
    [
        ("concurrent_build", "nothing failed"),
        ("inventory_errors", "nothing held connections"),
        # The lock was held in the other incident; in the larger one calls failed at once.
        ("two_incidents", "no lock and no slow call"),
    ],
)
def test_what_did_not_hold_connections_is_not_replayed(
    scene: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(NotReplayable, match=says):
        traffic_in(scene, tmp_path)
