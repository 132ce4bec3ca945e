"""`incident-rca whatif` as people run it, and what a case keeps of it."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
from functools import reduce
from pathlib import Path

import pytest

from incident_rca import pipeline
from incident_rca.cli import app
from incident_rca.errors import BadInput, BadSettings
from incident_rca.replaying import KEPT, Kept, keep, read_kept
from incident_rca.verification import verify_case
from incident_rca.whatif.opossum import OpossumOptions
from incident_rca.whatif.protection import Protection
from tests.golden import raw
from tests.golden.running import run, section, table_rows


@pytest.fixture
def case(demo: Path, tmp_path: Path) -> Path:
    """A copy of the demo case with its tables."""
    return Path(shutil.copytree(demo, tmp_path / "INC-2847"))


def test_figures_stand_side_by_side_and_say_that_they_are_a_model(case: Path) -> None:
    done = run(case, "whatif", str(case), "--deadline", "2s", cwd=case.parent)
    assert done.code == 0
    assert "model, not evidence" in done.output
    assert "requests that failed" in done.output
    assert "(assumed)" in done.output
    assert not (case / "whatif.json").exists()


def _report(case: Path) -> tuple[raw.Json, str]:
    pipeline.write_reports(case, pipeline.analyse_case(case), force=True)
    document: raw.Json = json.loads((case / pipeline.REPORT_JSON).read_text())
    return document, (case / pipeline.REPORT_MD).read_text()


def test_json_holds_the_same_as_the_report_once_it_is_kept(case: Path) -> None:
    words = ("--deadline", "2s", "--set", "volumeThreshold=5", "--json", "--keep", "-q")
    printed = json.loads(run(case, "whatif", str(case), *words, cwd=case.parent).output)
    assert printed["label"] == "model, not evidence"
    curves = printed.pop("connections_held")
    assert max(curves["with_calls_left_running"]) == printed["with_calls_left_running"]["pool_peak"]
    document, markdown = _report(case)
    assert document["what_if"] == printed
    cells = {row[0]: row[1:] for row in table_rows(section(markdown, "Options compared"))}
    recorded, modelled, *_ = cells["requests that failed"]
    assert recorded == f"{printed['recorded']['failed']:,}"
    assert modelled.split(" (")[0] == f"{printed['replayed_as_it_was']['failed']:,}"
    cited = {e["id"] for e in document["evidence"]}
    for assumption in printed["assumptions"]:
        assert set(assumption["evidence"]) <= cited
    assert not [check for check in verify_case(case) if check.problem]


def test_a_report_without_a_kept_what_if_has_none(case: Path) -> None:
    document, markdown = _report(case)
    assert "what_if" not in document
    assert "model, not evidence" not in markdown


def test_another_protection_than_the_reported_one_is_found_out(case: Path) -> None:
    keep(case, Kept(Protection(deadline_ms=2_000), None))
    _report(case)
    keep(case, Kept(Protection(deadline_ms=500), None))
    assert {check.name for check in verify_case(case) if check.problem} == {
        pipeline.REPORT_HTML,
        pipeline.REPORT_JSON,
        pipeline.REPORT_MD,
    }


OPOSSUM = Kept(Protection(breaker=OpossumOptions(), deadline_ms=2_000), 100)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("whatif_schema", 2),
        ("pool_size", "many"),
        ("pool_size", 0),
        ("protection", []),
        ("protection.breaker", "fuse"),
        ("protection.cancels", "no"),
        ("protection.retries", 0.5),
        ("protection.retries", -1),
        ("protection.tries", 3),
        ("protection.options", []),
        ("protection.options.volume_threshold", "5"),
        ("protection.options.volume", 5),
    ],
)
def test_kept_settings_that_cannot_be_read_are_named(
    tmp_path: Path, key: str, value: object
) -> None:
    keep(tmp_path, OPOSSUM)
    assert read_kept(tmp_path) == OPOSSUM
    document = json.loads((tmp_path / KEPT).read_text())
    *above, last = key.split(".")
    reduce(dict.__getitem__, above, document)[last] = value
    (tmp_path / KEPT).write_text(json.dumps(document))
    with pytest.raises(BadInput, match=KEPT):
        read_kept(tmp_path)


def test_a_report_of_kept_settings_that_cannot_be_read_says_so(case: Path) -> None:
    (case / KEPT).write_text("{")
    with pytest.raises(BadInput, match=KEPT):
        pipeline.analyse_case(case)


def test_a_small_sweep_prints_its_front_and_draws_it(case: Path) -> None:
    words = ("--grid", "deadline=1s,2s,5s", "--breaker", "none", "--sweep", "--jobs", "1")
    done = run(case, "whatif", str(case), *words, cwd=case.parent)
    assert done.code == 0
    assert "4 settings tried" in done.output
    assert "●" in done.output
    told = json.loads(run(case, "whatif", str(case), *words, "--json", cwd=case.parent).output)
    assert len(told["trials"]) == 4
    assert told["trials"][0]["on_front"]


def test_what_is_exported_is_kept_too_where_that_is_asked(case: Path) -> None:
    words = ("--deadline", "2s", "--export", "json", "--keep", "-q")
    exported = json.loads(run(case, "whatif", str(case), *words, cwd=case.parent).output)
    exported.pop("name")
    assert exported == json.loads((case / KEPT).read_text())["protection"]


def test_a_sweep_holds_fast_what_is_set(case: Path) -> None:
    fixed = ("--deadline", "3s", "--set", "volumeThreshold=7", "--set", "resetTimeout=2s")
    words = ("--sweep", "--grid", "errorThresholdPercentage=25,50", "--json", "--jobs", "1")
    told = json.loads(run(case, "whatif", str(case), *fixed, *words, cwd=case.parent).output)
    swept = [t["protection"] for t in told["trials"] if t["protection"]["breaker"] == "opossum"]
    # Two thresholds by the two windows that the usual grid has.
    assert len(swept) == 4
    for one in swept:
        assert one["deadline_ms"] == 3_000
        assert one["options"]["volume_threshold"] == 7
        assert one["options"]["reset_timeout_ms"] == 2_000


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--breaker", "fuse"), "opossum"),
        (("--set", "volumeTreshold=5"), "volumeThreshold"),
        (("--set", "volumeThreshold=many"), "volumeThreshold: 'many' is not a whole number"),
        (("--set", "resetTimeout=30000"), "resetTimeout '30000' is not a whole number"),
        (("--set", "errorThresholdPercentage=101"), "percentage"),
        (("--set", "errorThresholdPercentage=nan"), "percentage"),
        (("--deadline", "2"), "unit"),
        (("--breaker", "none", "--set", "volumeThreshold=5"), "--breaker"),
        (("--grid", "deadline=1s"), "--sweep"),
        (("--cancelled",), "--sweep"),
        (("--sweep", "--export", "opossum"), "--sweep"),
        (("--export", "polly"), "resilience4j"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_hint(
    demo: Path, words: tuple[str, ...], says: str
) -> None:
    with pytest.raises(BadSettings) as error:
        app(["whatif", str(demo), *words], standalone_mode=False)
    assert says in f"{error.value.message} {error.value.hint}"


def test_a_case_that_holds_too_little_says_what_is_missing(case: Path) -> None:
    document = json.loads((case / "case.json").read_text())
    gone = ("locks", "postgresql", "grpc-p99", "grpc-count")
    document["sources"] = [s for s in document["sources"] if s["name"] not in gone]
    (case / "case.json").write_text(json.dumps(document))
    done = run(case, "whatif", str(case), cwd=case.parent)
    assert done.code == 4
    assert "no lock and no slow call" in done.output


def test_a_case_without_a_log_of_requests_does_not_say_that_nothing_failed(case: Path) -> None:
    document = json.loads((case / "case.json").read_text())
    document["sources"] = [s for s in document["sources"] if s["name"] != "access"]
    (case / "case.json").write_text(json.dumps(document))
    done = run(case, "whatif", str(case), "--deadline", "2s", cwd=case.parent)
    assert done.code == 4
    assert "no log of requests is in this case" in done.output
    assert "nothing failed" not in done.output and "access log" in done.output


def test_requests_without_latencies_are_not_said_to_be_absent(case: Path) -> None:
    access = case / "raw" / "access.ndjson.gz"
    without = re.sub(rb'"\w+Latency":"[^"]*",', b"", gzip.decompress(access.read_bytes()))
    access.write_bytes(gzip.compress(without, 1))
    document = json.loads((case / "case.json").read_text())
    (source,) = [s for s in document["sources"] if s["name"] == "access"]
    source["files"][0]["sha256"] = hashlib.sha256(access.read_bytes()).hexdigest()
    (case / "case.json").write_text(json.dumps(document))
    done = run(case, "whatif", str(case), "--deadline", "2s", cwd=case.parent)
    assert done.code == 4
    assert "1,207 healthy requests of GET /api/inventory/{sku}" in done.output
    assert "none has a latency" in done.output and "responseLatency" in done.output
    assert "minutes earlier" not in done.output


def test_without_locks_it_says_that_the_end_of_the_slowness_is_taken_as_given(case: Path) -> None:
    document = json.loads((case / "case.json").read_text())
    document["sources"] = [
        s for s in document["sources"] if s["name"] not in ("locks", "postgresql")
    ]
    (case / "case.json").write_text(json.dumps(document))
    done = run(case, "whatif", str(case), "--json", cwd=case.parent)
    assert done.code == 0
    assert any(
        "whatever the protection" in one["text"] for one in json.loads(done.output)["assumptions"]
    )
