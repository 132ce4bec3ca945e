"""What the report says of a case of which something is gone, was edited or was never there."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from incident_rca import pipeline
from incident_rca.case import read_case
from incident_rca.cli.report import exit_code
from incident_rca.importing import change_case, import_files
from incident_rca.settings import Settings
from tests.golden.raw import SAMPLE, Json
from tests.golden.running import Demo, Outcome, copied, of_kind, run, section

ACCESS = "access.ndjson.gz"
BASELINE = "baseline-24h.insights.json"
LOCKS = "locks.recording.ndjson.gz"
SERVER_LOG = "postgresql.jsonlog.gz"
METRICS = ("grpc-count.datadog.json", "grpc-p99.datadog.json", "pool.datadog.json")
FILES = (ACCESS, BASELINE, "changes.datadog.json", *METRICS, LOCKS, SERVER_LOG)

GONE: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for name in FILES},
    "postgres": (LOCKS, SERVER_LOG),
    "grpc_metrics": METRICS,
    "gateway": (ACCESS, BASELINE),
}


def delete(*names: str) -> Callable[[Path], None]:
    """An edit of a case: these raw files are gone."""

    def edit(case: Path) -> None:
        for name in names:
            (case / "raw" / name).unlink()

    return edit


def edit_files(case: Path) -> None:
    """An edit of a case: one bit is flipped, and two files are forged so that they read well.

    In the forged ones the orders got a 503 and the pool was larger.
    """
    locks, access = case / "raw" / LOCKS, case / "raw" / ACCESS
    content = bytearray(locks.read_bytes())
    content[len(content) // 2] ^= 1
    locks.write_bytes(content)
    lines = gzip.decompress(access.read_bytes()).replace(b'"status":"502"', b'"status":"503"')
    access.write_bytes(gzip.compress(lines, 1))
    pool = case / "raw" / "pool.datadog.json"
    pool.write_text(pool.read_text(encoding="utf-8").replace("100", "400"), encoding="utf-8")


EDITS: Mapping[str, tuple[tuple[str, ...], Callable[[Path], None]]] = {
    **{name: (names, delete(*names)) for name, names in GONE.items()},
    "edited": ((LOCKS, ACCESS, "pool.datadog.json"), edit_files),
}


@pytest.fixture(scope="module")
def outcomes(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """`incident-rca report` on a copy of the demo with each edit; edited ones keep their tables."""
    root = tmp_path_factory.mktemp("edited")

    def report_on(name: str) -> Outcome:
        case = copied(demo, root / name / "INC-2847", with_tables=name == "edited")
        EDITS[name][1](case)
        return run(case, "report", str(case), cwd=root)

    with ThreadPoolExecutor(4) as pool:
        return dict(zip(EDITS, pool.map(report_on, EDITS), strict=True))


def sources_of(report: Json, name: str) -> Json:
    """The source that a raw file belongs to."""
    (found,) = [s for s in report["sources"] if s["files"][0]["path"] == f"raw/{name}"]
    return dict(found)


@pytest.mark.parametrize("name", EDITS)
def test_a_report_is_written_and_names_what_it_lacks(
    name: str, outcomes: dict[str, Outcome]
) -> None:
    outcome = outcomes[name]
    assert outcome.code == 3, outcome.output
    assert "Traceback" not in outcome.output
    assert "bug:" not in outcome.output
    summary = section(outcome.markdown, "Summary") + section(outcome.markdown, "Data sources")
    for gone in EDITS[name][0]:
        source = sources_of(outcome.report, gone)
        assert source["state"] == "failed"
        assert f"raw/{gone}" in source["reason"]
        assert source["rows"] == 0 and source["covered"] is None
        assert re.search(rf"\b{source['name']}\b", summary)
        assert re.search(rf"\b{source['name']}\b", outcome.output)
    others = {f"raw/{n}" for n in FILES} - {f"raw/{n}" for n in EDITS[name][0]}
    assert {
        s["files"][0]["path"] for s in outcome.report["sources"] if s["state"] == "ok"
    } == others


@pytest.mark.parametrize("name", EDITS)
def test_the_gap_stands_in_the_summary(name: str, outcomes: dict[str, Outcome]) -> None:
    summary = section(outcomes[name].markdown, "Summary")
    for gone in EDITS[name][0]:
        assert sources_of(outcomes[name].report, gone)["name"] in summary


@pytest.mark.parametrize("name", EDITS)
def test_nothing_cites_a_file_that_is_not_what_it_was(
    name: str, outcomes: dict[str, Outcome]
) -> None:
    cited = {e["file"] for e in outcomes[name].report["evidence"]}
    assert cited
    assert not cited & {f"raw/{gone}" for gone in EDITS[name][0]}


@pytest.mark.parametrize("name", EDITS)
def test_every_verdict_follows_its_claims(name: str, outcomes: dict[str, Outcome]) -> None:
    report = outcomes[name].report
    known = {e["id"] for e in report["evidence"]}
    for hypothesis in report["hypotheses"]:
        assert hypothesis["claims"]
        for claim in hypothesis["claims"]:
            assert claim["evidence"] and set(claim["evidence"]) <= known
        if hypothesis["verdict"] != "supported":
            continue
        claims = hypothesis["claims"]
        observed = {c["aspect"] for c in claims if (c["stance"], c["basis"]) == ("for", "observed")}
        against = {c["aspect"] for c in claims if c["stance"] == "against"}
        assert {"path", "mechanism"} <= observed
        assert not {"path", "mechanism"} & against
        assert hypothesis["independent_sources"] >= 2


def verdicts(report: Json, kind: str) -> set[str]:
    """The verdicts of the hypotheses of one kind."""
    return {h["verdict"] for h in of_kind(report, kind)}


def triggers(report: Json) -> list[tuple[str, str, str]]:
    """Kind, verdict and relation of each trigger."""
    return [
        (h["kind"], h["verdict"], h["object"].split(".", 1)[-1])
        for h in report["hypotheses"]
        if h["role"] == "trigger"
    ]


def test_without_postgresql_no_lock_is_supported(outcomes: dict[str, Outcome]) -> None:
    report = outcomes["postgres"].report
    assert verdicts(report, "lock_blocking") == {"insufficient"}
    assert report["lock_episodes"] == []
    assert not triggers(report)
    assert report["unexplained"]["seconds"] > 0


@pytest.mark.parametrize("name", [LOCKS, SERVER_LOG])
def test_with_either_file_of_postgresql_the_lock_stays_the_trigger(
    name: str, outcomes: dict[str, Outcome]
) -> None:
    report = outcomes[name].report
    assert triggers(report) == [("lock_blocking", "supported", "public.stock_reservations")]
    episode = report["lock_episodes"][0]
    assert episode["relation"] == "public.stock_reservations"
    assert episode["root_holder"]["pid"] == 48291
    assert episode["peak_waiters"] == 100
    assert of_kind(report, "lock_blocking")[0]["explains"]["seconds"] == pytest.approx(240, abs=2)


def test_without_metrics_the_lock_is_still_supported_by_two_systems(
    outcomes: dict[str, Outcome],
) -> None:
    report = outcomes["grpc_metrics"].report
    assert triggers(report) == [("lock_blocking", "supported", "public.stock_reservations")]
    assert of_kind(report, "lock_blocking")[0]["independent_sources"] == 2
    assert verdicts(report, "missing_deadline") <= {"insufficient"}
    assert verdicts(report, "pool_exhaustion") <= {"insufficient"}
    assert report["latency_shifts"] == [] and report["pool"] is None
    assert report["unexplained"]["seconds"] == pytest.approx(1157, abs=2)
    assert "no-deadline-acted" not in [f["rule"] for f in report["findings"]]


@pytest.mark.parametrize("name", ["grpc-count.datadog.json", "grpc-p99.datadog.json"])
def test_a_missing_deadline_needs_latencies_and_codes(
    name: str, outcomes: dict[str, Outcome]
) -> None:
    report = outcomes[name].report
    assert verdicts(report, "missing_deadline") <= {"insufficient"}
    assert "no-deadline-acted" not in [f["rule"] for f in report["findings"]]


def test_an_exhausted_pool_needs_its_gauge(outcomes: dict[str, Outcome]) -> None:
    report = outcomes["pool.datadog.json"].report
    assert report["pool"] is None
    assert verdicts(report, "pool_exhaustion") <= {"insufficient"}
    assert of_kind(report, "lock_blocking")[0]["verdict"] == "supported"


@pytest.mark.parametrize("name", [ACCESS, "gateway"])
def test_without_the_access_log_nobody_can_tell_of_an_outage(
    name: str, outcomes: dict[str, Outcome]
) -> None:
    report = outcomes[name].report
    assert report["outage"] is None
    assert report["impact"] == {"requests": 0, "failed_requests": 0, "endpoints": []}
    assert verdicts(report, "lock_blocking") <= {"weak", "insufficient", "contradicted"}
    assert "supported" not in {h["verdict"] for h in report["hypotheses"]}
    summary = section(outcomes[name].markdown, "Summary").casefold()
    assert re.search(r"cannot be told|not known|unknown", summary)
    # Not recorded is not the same as did not happen.
    assert not re.search(r"no outage|no .*requests failed|: 0 of 0", summary)


def test_without_the_baseline_nothing_is_said_of_the_day_before(
    outcomes: dict[str, Outcome],
) -> None:
    report = outcomes[BASELINE].report
    assert [b["source"] for b in report["incident"]["baselines"]] == ["access"]
    assert report["outage"]["duration_seconds"] == 1397


def test_without_the_changes_no_change_is_a_hypothesis(outcomes: dict[str, Outcome]) -> None:
    report = outcomes["changes.datadog.json"].report
    assert verdicts(report, "change") <= {"insufficient"}
    assert triggers(report) == [("lock_blocking", "supported", "public.stock_reservations")]


def test_an_edited_file_is_named_as_changed(outcomes: dict[str, Outcome]) -> None:
    for edited in EDITS["edited"][0]:
        reason = sources_of(outcomes["edited"].report, edited)["reason"]
        assert f"raw/{edited}" in reason and "gone" not in reason


def test_an_edited_file_is_never_read(outcomes: dict[str, Outcome]) -> None:
    report = outcomes["edited"].report
    assert report["pool"] is None and report["outage"] is None
    assert "400 of 400" not in outcomes["edited"].markdown
    assert report["impact"]["failed_requests"] == 0
    # The server's log tells the episode still, without what only the recording knows.
    assert report["lock_episodes"][0]["peak_waiters"] == 100
    assert not any("reltuples" in e["seen"] for e in report["evidence"])


# --- systems that were never there ---------------------------------------------------------------


SYSTEMS: Mapping[str, tuple[str, ...]] = {
    "gateway": (ACCESS, BASELINE),
    "grpc_metrics": METRICS,
    "postgres": (LOCKS, SERVER_LOG),
}


@pytest.mark.parametrize("absent", SYSTEMS)
def test_a_system_that_was_not_collected_is_skipped(absent: str, tmp_path: Path) -> None:
    sample = read_case(SAMPLE)
    case = tmp_path / "INC-1"
    import_files(
        case,
        [
            SAMPLE / "raw" / n
            for system, names in SYSTEMS.items()
            if system != absent
            for n in names
        ],
        settings=Settings(topology=sample.topology),
        window=sample.window,
    )
    analysis = pipeline.analyse_case(case)
    pipeline.write_reports(case, analysis)
    outcome = Outcome(exit_code(analysis, None), "", case)
    assert outcome.code == 0
    skipped = {s["system"] for s in outcome.report["sources"] if s["state"] == "skipped"}
    assert skipped == {absent}
    whole = GONE[absent]
    assert not {e["file"] for e in outcome.report["evidence"]} & {f"raw/{n}" for n in whole}
    is_supported = absent == "grpc_metrics"
    assert ("supported" in verdicts(outcome.report, "lock_blocking")) is is_supported


@pytest.fixture(scope="module")
def without_topology(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The demo case with default settings: nobody said what calls what."""
    case = copied(demo, tmp_path_factory.mktemp("bare") / "INC-2847", with_tables=True)
    change_case(case, settings=Settings(), window=None)
    analysis = pipeline.analyse_case(case)
    pipeline.write_reports(case, analysis)
    return Outcome(exit_code(analysis, None), "", case)


def test_without_a_topology_no_verdict_is_above_weak(without_topology: Outcome) -> None:
    hypotheses = without_topology.report["hypotheses"]
    assert {h["kind"] for h in hypotheses} >= {"lock_blocking", "pool_exhaustion"}
    found = {h["id"]: h["verdict"] for h in hypotheses}
    assert "supported" not in found.values(), found
    for hypothesis in hypotheses:
        for claim in hypothesis["claims"]:
            if (claim["aspect"], claim["stance"]) == ("path", "for"):
                assert claim["basis"] == "inferred" or hypothesis["kind"] == "change", claim


def test_without_a_topology_the_report_says_which_lines_to_add(without_topology: Outcome) -> None:
    assert without_topology.code == 0
    text = without_topology.markdown.replace("\\", "")
    assert "[services." in text and "[[routes]]" in text
    assert any("[[routes]]" in q for q in without_topology.report["questions"])


def test_without_a_topology_counts_and_locks_stay(without_topology: Outcome, report: Json) -> None:
    bare = without_topology.report
    assert bare["outage"]["duration_seconds"] == report["outage"]["duration_seconds"]
    assert [e["peak_waiters"] for e in bare["lock_episodes"]] == [
        e["peak_waiters"] for e in report["lock_episodes"]
    ]
    assert bare["pool"]["size"] == report["pool"]["size"]
