"""What is said of how long failing requests waited, where the sample's log tells less of it."""

from __future__ import annotations

import gzip
import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from incident_rca import pipeline, reported_case
from incident_rca.analysis.observations import observe
from incident_rca.case import read_case
from incident_rca.cli.report import exit_code
from incident_rca.errors import NotReplayable
from incident_rca.importing import import_files
from incident_rca.rollup import Asked
from incident_rca.rollup.local_files import LocalFiles
from incident_rca.rollup.rollup_file import write_rollup
from incident_rca.settings import Settings
from incident_rca.whatif.recorded import recorded_traffic
from tests.golden.raw import ORDERS, SAMPLE, Json, Request, outage, requests
from tests.golden.running import Outcome

ACCESS = SAMPLE / "raw" / "access.ndjson.gz"
RULE = "no-breaker-acted"


def reported(folder: Path, *files: Path) -> Outcome:
    """The report of a new case of these files."""
    case = folder / "INC-1"
    import_files(case, files, settings=Settings())
    analysis = pipeline.analyse_case(case)
    pipeline.write_reports(case, analysis, with_charts=False)
    return Outcome(exit_code(analysis, None), "", case)


def findings(report: Json) -> list[str]:
    """What report.json says of breakers that did not act."""
    return [f["statement"] for f in report["findings"] if f["rule"] == RULE]


def as_clf(request: Request) -> str:
    row = request.row
    return (
        f'{row["sourceIp"]} - - [{row["requestTime"]}] "{row["httpMethod"]} {row["resourcePath"]} '
        f'HTTP/1.1" {row["status"]} 512 {row["requestId"]}'
    )


def as_xml(request: Request) -> str:
    row = request.row
    return (
        f'<request id="{row["requestId"]}"> <ip>{row["sourceIp"]}</ip> <caller>-</caller> '
        f"<user>-</user> <requestTime>{row['requestTime']}</requestTime> "
        f"<httpMethod>{row['httpMethod']}</httpMethod> "
        f"<resourcePath>{row['resourcePath']}</resourcePath> <status>{row['status']}</status> "
        "<protocol>HTTP/1.1</protocol> <responseLength>512</responseLength> </request>"
    )


def without_latency(request: Request) -> str:
    return json.dumps({k: v for k, v in request.row.items() if "atency" not in k})


def refused(request: Request, ms: int) -> str:
    """The line, if it failed as one that took so long."""
    took = {"responseLatency": str(ms), "integrationLatency": str(ms)}
    return json.dumps(request.row | (took if request.status >= 500 else {}))


def written(folder: Path, lines: list[str]) -> Path:
    path = folder / "access.log"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("line_of", [as_clf, as_xml, without_latency])
def test_without_latencies_nobody_knows_that_no_breaker_acted(
    line_of: Callable[[Request], str], tmp_path: Path
) -> None:
    found = requests(SAMPLE / "raw")
    outcome = reported(tmp_path, written(tmp_path, [line_of(r) for r in found]))
    assert outcome.report["impact"]["failed_requests"] == len(outage(found))
    assert not findings(outcome.report)
    for text in (outcome.markdown, json.dumps(outcome.report)):
        assert not re.search(r"\bnan\b", text, re.IGNORECASE)


def test_without_latencies_a_replay_says_what_it_lacks(tmp_path: Path) -> None:
    found = requests(SAMPLE / "raw")
    others = [p for p in (SAMPLE / "raw").iterdir() if p != ACCESS]
    sample, case = read_case(SAMPLE), tmp_path / "INC-1"
    log = written(tmp_path, [without_latency(r) for r in found])
    import_files(
        case, [log, *others], settings=Settings(topology=sample.topology), window=sample.window
    )
    observed = observe(*reported_case.reported(*pipeline.build_tables(case)))
    with pytest.raises(NotReplayable, match="none has a latency"):
        recorded_traffic(observed[0], None)


def test_one_failure_whose_time_is_not_logged_may_have_been_refused(tmp_path: Path) -> None:
    found = requests(SAMPLE / "raw")
    orders = [r for r in found if r.name == ORDERS and r.status >= 500]
    bare = orders[len(orders) // 2]
    lines = [without_latency(r) if r is bare else json.dumps(r.row) for r in found]
    said = findings(reported(tmp_path, written(tmp_path, lines)).report)
    assert not [statement for statement in said if ORDERS in statement]


@pytest.mark.parametrize("ms", [3, 9, 400, 1000])
def test_failures_as_fast_as_a_breaker_refuses(ms: int, tmp_path: Path) -> None:
    lines = [refused(r, ms) for r in requests(SAMPLE / "raw")]
    assert not findings(reported(tmp_path, written(tmp_path, lines)).report)


def test_failures_of_a_time_out_waited(tmp_path: Path) -> None:
    lines = [refused(r, 2_060) for r in requests(SAMPLE / "raw")]
    orders, reads = sorted(findings(reported(tmp_path, written(tmp_path, lines)).report))[::-1]
    # 2.06 s are no 2.1 s or longer.
    assert ORDERS in orders and "waited 2.0 s or longer" in orders
    assert "GET" in reads and "waited 2.0 s or longer" in reads


def test_failures_no_slower_than_what_was_served_before_did_not_wait(tmp_path: Path) -> None:
    """A route whose requests always take three seconds: one that fails after two skipped some."""
    rows = [
        r.row | {"responseLatency": "2000" if r.status >= 500 else "3000"}
        for r in requests(SAMPLE / "raw")
    ]
    outcome = reported(tmp_path, written(tmp_path, [json.dumps(row) for row in rows]))
    assert not findings(outcome.report)


def test_a_rollup_tells_of_waits_no_more_than_it_knows(tmp_path: Path) -> None:
    asked = Asked()
    path, engine = tmp_path / "gateway.rollup.ndjson.gz", LocalFiles((ACCESS,))
    write_rollup(
        path, engine, asked, engine.plan(asked), asked_at=datetime(2026, 1, 16, tzinfo=UTC)
    )
    # The buckets as its lines have them: above 1.02^(k-1) and up to 1.02^k milliseconds.
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    buckets = [
        k
        for line in lines
        if isinstance(line, list) and line[1:4] == ["POST", "/api/orders", 502]
        for k, _ in line[-1]
    ]
    outcome = reported(tmp_path, path)
    (statement,) = findings(outcome.report)
    said = float(re.findall(r"waited ([\d.]+) s or longer", statement)[0])
    least = 1.02 ** (min(buckets) - 1) / 1000
    assert least - 0.1 <= said <= least
    failed = [r for r in outage(requests(SAMPLE / "raw")) if r.name == ORDERS]
    took = sorted(int(r.row["responseLatency"]) for r in failed)
    assert said <= took[0] / 1000
    (hung,) = [c["statement"] for c in outcome.report["contradictions"] if "hung" in c["statement"]]
    lo, hi = (float(text) for text in re.findall(r"hung for ([\d.]+) to ([\d.]+) s", hung)[0])
    assert lo <= took[len(took) // 2] / 1000 <= hi and math.isclose(lo, hi, rel_tol=0.03)
