"""A sweep that a case keeps: its file, what reports show of it, and when it is passed over."""

from __future__ import annotations

import json
import shutil
from functools import reduce
from pathlib import Path
from typing import Any

import msgspec
import pytest

from incident_rca import pipeline, reported_case
from incident_rca.analysis.observations import observe
from incident_rca.cli import app
from incident_rca.errors import BadInput
from incident_rca.replaying import (
    KEPT_SWEEP,
    keep_sweep,
    kept_sweep,
    read_kept_sweep,
    sweep_problem,
)
from incident_rca.verification import Check, verify_case
from incident_rca.whatif.figures import figures_of
from incident_rca.whatif.options import from_document
from incident_rca.whatif.replay import replay
from incident_rca.whatif.sweep import coarse, protection_at
from incident_rca.whatif.traffic import Traffic
from tests.golden.running import section, table_rows

AXES = ("deadline=1s,10s", "volumeThreshold=0,20", "resetTimeout=5s")
WORDS = ("--sweep", "--keep", "--jobs", "1", "--set", "errorThresholdPercentage=25")


def swept(case: Path) -> None:
    words = [*WORDS, "--set", "rollingCountTimeout=10s", *(w for a in AXES for w in ("--grid", a))]
    app(["whatif", str(case), *words, "-q"], standalone_mode=False)


@pytest.fixture(scope="module")
def kept(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo case with a small sweep and its reports."""
    case = Path(shutil.copytree(demo, tmp_path_factory.mktemp("kept") / "INC-2847"))
    swept(case)
    pipeline.write_reports(case, pipeline.analyse_case(case), force=True)
    return case


@pytest.fixture
def case(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept, tmp_path / "INC-2847"))


def test_every_trial_is_the_replay_of_its_settings_in_both_ways(
    kept: Path, inc_2847: Traffic
) -> None:
    document = json.loads((kept / KEPT_SWEEP).read_text(encoding="utf-8"))
    assert document["label"] == "model, not evidence"
    assert [axis["values"] for axis in document["axes"]] == [
        ["1s", "10s"],
        ["25"],
        ["0", "20"],
        ["10s"],
        ["5s"],
    ]
    settings = [trial["settings"] for trial in document["trials"]]
    assert [(one["deadline"], one["volumeThreshold"]) for one in settings] == [
        ("1s", "0"),
        ("1s", "20"),
        ("10s", "0"),
        ("10s", "20"),
    ]
    for trial in document["trials"]:
        for way, cancels in (("cancelled", True), ("left_running", False)):
            base = from_document({**document["base"], "cancels": cancels})
            figures = figures_of(inc_2847, replay(inc_2847, protection_at(base, trial["settings"])))
            assert trial[way] == json.loads(msgspec.json.encode(coarse(figures)))


def test_the_fronts_lead_to_the_trials_that_no_other_one_beats(kept: Path) -> None:
    document = json.loads((kept / KEPT_SWEEP).read_text(encoding="utf-8"))
    for way in ("cancelled", "left_running"):
        places = [(t[way]["failed"], t[way]["refused_healthy"]) for t in document["trials"]]
        front = [places[n] for n in document[f"front_{way}"]]
        assert front == sorted(front)
        for place in set(places) - set(front):
            assert any(a <= place[0] and b <= place[1] for a, b in front)


def test_the_reports_show_the_fronts(kept: Path) -> None:
    told = json.loads((kept / pipeline.REPORT_JSON).read_text())["what_if_sweep"]
    assert (told["label"], told["settings_tried"]) == ("model, not evidence", 4)
    markdown = (kept / pipeline.REPORT_MD).read_text()
    rows = table_rows(section(markdown, "Options compared"))
    shown = [row for row in rows if row[0] in ("cancelled", "run on")]
    fronts = [
        (words, one)
        for words, key in (
            ("cancelled", "front_with_calls_cancelled"),
            ("run on", "front_with_calls_left_running"),
        )
        for one in told[key]
    ]
    assert fronts
    assert [row[:3] for row in shown] == [
        [words, f"{one['failed']:,}", f"{one['refused_healthy']:,}"] for words, one in fronts
    ]
    for row, (_, one) in zip(shown, fronts, strict=True):
        settings = one["settings"]
        assert row[-1] == (
            f"deadline {settings['deadline']}, volumeThreshold {settings['volumeThreshold']}"
        )
    checks = verify_case(kept)
    assert Check(KEPT_SWEEP) in checks
    assert not [check for check in checks if check.problem]


def _problem(case: Path) -> str | None:
    known, tables = pipeline.build_tables(case)
    return sweep_problem(case, reported_case.as_reported(known), tables)


def test_a_figure_of_the_front_that_no_replay_gives_is_found_out(case: Path) -> None:
    assert _problem(case) == ""
    document = json.loads((case / KEPT_SWEEP).read_text())
    (place, *_) = document["front_cancelled"]
    document["trials"][place]["cancelled"]["failed"] -= 1
    (case / KEPT_SWEEP).write_text(json.dumps(document))
    assert _problem(case) == f"trial {place} is not what a replay gives"


def test_what_is_read_back_is_what_was_kept(case: Path) -> None:
    before = read_kept_sweep(case)
    assert before is not None
    keep_sweep(case, before)
    assert read_kept_sweep(case) == before


def test_a_sweep_of_other_evidence_is_passed_over(case: Path) -> None:
    manifest = json.loads((case / "case.json").read_text())
    known, tables = pipeline.build_tables(case)
    seen = observe(reported_case.as_reported(known), tables)[0]
    found = kept_sweep(case, seen)
    assert found is not None
    assert found.premises
    gone = [s for s in manifest["sources"] if s["name"] not in ("locks", "postgresql")]
    (case / "case.json").write_text(json.dumps({**manifest, "sources": gone}))
    analysis = pipeline.analyse_case(case)
    assert analysis.sweep is None
    pipeline.write_reports(case, analysis, force=True)
    assert "no other one beats" not in (case / pipeline.REPORT_MD).read_text()
    assert "of other evidence" in (_problem(case) or "")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sweep_schema", 2),
        ("pool_size", "many"),
        ("trials", []),
        ("axes", []),
        ("base.breaker", "fuse"),
        ("front_cancelled", [4]),
        ("front_left_running", [-1]),
        ("recorded", {}),
    ],
)
def test_a_sweep_that_cannot_be_read_is_named(case: Path, key: str, value: object) -> None:
    document: dict[str, Any] = json.loads((case / KEPT_SWEEP).read_text())
    *above, last = key.split(".")
    reduce(dict.__getitem__, above, document)[last] = value
    (case / KEPT_SWEEP).write_text(json.dumps(document))
    with pytest.raises(BadInput, match=KEPT_SWEEP):
        read_kept_sweep(case)
