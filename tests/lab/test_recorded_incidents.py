"""Every scene of the lab, as it was recorded: its report reads true beside its truth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import run
from tests.lab.incidents.recordings import NOTE, RECORDED, SETTINGS, report_of, truth_of
from tests.lab.incidents.scenes import SCENES
from tests.lab.incidents.stage import Scene
from tests.lab.incidents.truth import disagreements, expected_of, wrongly_blamed

Json = Mapping[str, Any]
LARGEST_BYTES = 4_000_000
NAMES = [scene.name for scene in SCENES]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Json]:
    """The report of each recorded case, by its scene."""
    folder = tmp_path_factory.mktemp("recorded")
    return {name: report_of(name, folder) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_the_report_reads_true(name: str, reports: Mapping[str, Json]) -> None:
    assert list(disagreements(expected_of(truth_of(name)), reports[name])) == []


def test_nothing_is_blamed_wrongly(reports: Mapping[str, Json]) -> None:
    blamed = {n: wrongly_blamed(expected_of(truth_of(n)), reports[n]) for n in NAMES}
    assert {name: wrong for name, wrong in blamed.items() if wrong} == {}


@pytest.mark.parametrize("scene", SCENES, ids=NAMES)
def test_the_recorded_truth_is_the_one_that_was_stated(scene: Scene) -> None:
    document = truth_of(scene.name)
    assert expected_of(document) == scene.expected
    assert (document["scene"], document["about"]) == (scene.name, scene.about)


# A report that fits another truth as well. No id ties the clock of the metrics to the gateway's, so
# what they show is ruled out there by a clock that is wrong: a missing deadline, too.
FITS_TOO = {"shifted_clock": "deadline_set"}


@pytest.mark.parametrize("name", NAMES)
def test_no_report_passes_for_that_of_another_truth(name: str, reports: Mapping[str, Json]) -> None:
    """The comparison can fail: it does for each scene that another truth is told of."""
    mine = expected_of(truth_of(name))
    others = [
        scene.expected
        for scene in SCENES
        if not scene.expected.names <= mine.names and scene.name != FITS_TOO.get(name)
    ]
    assert len(others) > 10
    assert all(list(disagreements(other, reports[name])) for other in others)


def instants(texts: list[str]) -> list[datetime]:
    return [datetime.fromisoformat(text) for text in texts]


@pytest.mark.parametrize("name", ["index_build", "deadline_set", "leaked_connections"])
def test_the_lock_was_held_when_the_migration_held_it(
    name: str, reports: Mapping[str, Json]
) -> None:
    """By the clock of the actor, who is on the server's machine."""
    document, (episode,) = truth_of(name), reports[name]["lock_episodes"]
    for edge, noted in (("start", document["began"]), ("end", document["ended"])):
        lo, hi = instants(episode["held"][edge])
        before, after = instants(noted["lock"])
        assert lo <= after and before <= hi, edge
    assert episode["root_holder"]["application"] == "migrate"


@pytest.mark.parametrize("name", [n for n in NAMES if n != "shifted_clock"])
def test_requests_fail_after_the_cause_began(name: str, reports: Mapping[str, Json]) -> None:
    """A request that arrived before may still have been under way: so long the gateway waits."""
    outage, began = reports[name]["outage"], truth_of(name)["began"]
    if outage is not None:
        first = min(at for pair in began.values() for at in instants(pair))
        assert (instants(outage["start"])[0] - first).total_seconds() > -1.5


def test_a_case_imported_again_gives_the_same_report(
    tmp_path: Path, reports: Mapping[str, Json]
) -> None:
    kept = RECORDED / "index_build"
    window = json.loads((kept / "case.json").read_text(encoding="utf-8"))["window"]
    files = sorted((kept / "raw").iterdir())
    settings = tmp_path / "incident-rca.toml"
    settings.write_text((kept / SETTINGS).read_text(encoding="utf-8"))
    given = ("--from", window["start"], "--to", window["end"], "--config", settings)
    assert run(tmp_path, "import", "index_build", *files, *given).code == 0
    assert run(tmp_path, "report", "index_build").code == 0
    again = json.loads((tmp_path / "index_build" / "report.json").read_text(encoding="utf-8"))
    assert again["hypotheses"] == reports["index_build"]["hypotheses"]
    assert again["outage"] == reports["index_build"]["outage"]


def test_what_is_kept_is_small_and_says_what_it_is() -> None:
    found = [path for path in RECORDED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in found) < LARGEST_BYTES
    assert sorted(path.name for path in RECORDED.iterdir()) == sorted(NAMES)
    for name in NAMES:
        case = json.loads((RECORDED / name / "case.json").read_text(encoding="utf-8"))
        assert case["note"] == NOTE
