"""`run` against all services at once: it must say of INC-2847 what the sample's own report says."""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from incident_rca import pipeline
from incident_rca.demo import prepare_demo
from tests.cli.running import Ran
from tests.cli.services import ACCESS, RAW, WINDOW, Services, day_before, incident
from tests.formats.load_balancer_lines import START as LINES_START
from tests.formats.load_balancer_lines import Line
from tests.golden import raw
from tests.sources import prometheus_server
from tests.sources.s3_server import Bucket, running_bucket

Json = dict[str, Any]
FIVE_MINUTES = timedelta(minutes=5)
TITLE = ("--title", "Orders fail with 502")
# What clocks allow to be said of an order: how much depends on how exactly they are known.
# The usual p99 comes from buckets that are 2 % wide.
MARGINS = re.compile(
    r"(?<=by at least )\d+(\.\d+)? s|(?<=arrived up to )[\d,]+(\.\d+)? s|(?<=±)\d+(\.\d+)? s"
    r"|(?<=began to fail )\d+(\.\d+)? s"
)
CLOCKS = re.compile(r"; the clock of .+ was not measured: .+ than declared")


@dataclass(frozen=True)
class Run:
    """A run that is over: how it ended, its case, and what it asked for."""

    ran: Ran
    folder: Path
    asked: list[str]
    seconds: float

    @property
    def report(self) -> Json:
        found: Json = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        return found


@pytest.fixture(scope="module")
def prometheus() -> Iterator[prometheus_server.Service]:
    """A Prometheus that knows of another service, whose calls took half a second all along."""
    with prometheus_server.running_service() as running:
        yield running


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    """The access logs of the load balancer behind the gateway: the orders that reached it."""
    with running_bucket() as running:
        for ended, lines in balancer_files().items():
            running.put(balancer_key(ended), gzip.compress("\n".join(lines).encode()), ended)
        yield running


def balancer_files() -> dict[datetime, list[str]]:
    """The lines of POST /api/orders by the end of the five minutes in which each was answered."""
    files: dict[datetime, list[str]] = {}
    for request in raw.requests(RAW):
        if request.name != raw.ORDERS:
            continue
        seconds = float(request.row["responseLatency"]) / 1000
        line = Line(
            second=(request.at - LINES_START).total_seconds(),
            took=("0.001", f"{seconds:.3f}", "0.000"),
            elb_status=str(request.status),
            target_status=str(request.status),
            request="POST https://shop.example.com:443/api/orders HTTP/1.1",
            trace=f"Root=1-6968f7a0-{len(files):08x}{sum(map(len, files.values())):016x}",
        )
        answered = request.at + timedelta(seconds=seconds)
        ended = LINES_START + (((answered - LINES_START) // FIVE_MINUTES) + 1) * FIVE_MINUTES
        files.setdefault(ended, []).append(str(line))
    return files


def balancer_key(ended: datetime) -> str:
    folder = f"alb/AWSLogs/123456789012/elasticloadbalancing/eu-west-1/{ended:%Y/%m/%d}"
    name = f"123456789012_elasticloadbalancing_eu-west-1_app.shop.50dc6c49_{ended:%Y%m%dT%H%M}Z"
    return f"{folder}/{name}_10.0.0.7_a1b2c3.log.gz"


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with incident(tmp_path_factory.mktemp("services")) as running:
        yield running


@pytest.fixture(scope="module")
def run(
    services: Services,
    prometheus: prometheus_server.Service,
    bucket: Bucket,
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    folder = tmp_path_factory.mktemp("run")
    ahead = services.datadog.clock_ahead_seconds
    prometheus.clock_ahead_seconds = bucket.clock_ahead_seconds = ahead
    more = (
        f'[[prometheus]]\nname = "cluster"\nurl = "{prometheus.url}"\n\n'
        f'[[aws]]\nname = "lake"\nregion = "eu-west-1"\nendpoint = "{bucket.url}"\n'
        'load_balancer_logs = ["s3://logs/alb"]\n'
    )
    services.settings(folder, more=more)
    start = time.monotonic()
    ran = services.run(folder, "run", "INC-2847", *WINDOW, *TITLE)
    return Run(ran, folder / "INC-2847", services.asked(), time.monotonic() - start)


@pytest.fixture(scope="module")
def report(run: Run) -> Json:
    return run.report


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Json:
    """The report of the sample, made anew."""
    folder = prepare_demo(tmp_path_factory.mktemp("sample") / "INC-2847")
    pipeline.write_reports(folder, pipeline.analyse_case(folder))
    found: Json = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return found


def plain(value: Any) -> Any:
    """A part of a report without the ids of its evidence, which hang on names of sources."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key != "evidence"}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return MARGINS.sub("… s", CLOCKS.sub("", value)) if isinstance(value, str) else value


def without_basis(hypotheses: Any) -> Any:
    """Hypotheses without what times rest on: the sample's recording has its clock measured."""
    return [
        h
        | {
            "claims": [
                c | {"basis": c["basis"].replace("assumed", "observed")} for c in h["claims"]
            ]
        }
        for h in plain(hypotheses)
    ]


# --- the same facts -----------------------------------------------------------------------------


def test_a_run_leaves_the_charts_of_its_report(run: Run) -> None:
    names = {path.name for path in (run.folder / "charts").iterdir()}
    assert {"timeline.svg", "timeline.png", "error-types.svg", "blocking-tree.svg"} <= names
    text = (run.folder / "report.md").read_text(encoding="utf-8")
    assert all(f"](charts/{name})" in text for name in names)


def test_it_ends_well_and_every_service_is_asked(run: Run, report: Json) -> None:
    assert run.ran.code == 0, run.ran.err
    states = {s["name"]: s["state"] for s in report["sources"]}
    skipped = {name for name, state in states.items() if state == "skipped"}
    # No live server was named, the stage has its execution log off, and that Prometheus no pool.
    assert skipped == {"server_residue", "shop.a1b2c3-prod.execution", "cluster.pool"}
    assert {states[name] for name in states.keys() - skipped} == {"ok"}
    assert {text.split(" ")[0] for text in run.asked} >= {
        *("datadog", "GetStage", "resources", "StartQuery", "GetQueryResults"),
        *("FilterLogEvents", "GetMetricData"),
    }


@pytest.mark.parametrize(
    "part",
    [
        *("outage", "error_types", "lock_episodes", "latency_shifts", "pool", "phases"),
        *("contradictions", "findings", "unexplained"),
    ],
)
def test_the_facts_are_those_of_the_sample(part: str, report: Json, sample: Json) -> None:
    assert plain(sample[part])
    told = plain(report[part])
    if part == "error_types":
        # The load balancer behind the gateway saw the orders that failed: it confirms, and adds
        # none.
        seen_in = {(t["type"], t["status"]): t.pop("seen_in") for t in told}
        assert seen_in["backend_5xx", 502] == ["access", "load_balancer"]
        told = [t | {"seen_in": ["access"]} for t in told]
    assert told == plain(sample[part])


def test_a_load_balancer_behind_the_gateway_adds_no_failure(run: Run, report: Json) -> None:
    lines = [s for s in report["sources"] if s["name"].startswith("lake.")]
    assert sum(s["rows"] for s in lines) == len(
        [r for r in raw.requests(RAW) if r.name == raw.ORDERS]
    )
    failed = [r for r in raw.outage(raw.requests(RAW)) if r.status >= 500]
    assert report["impact"]["failed_requests"] == len(failed)


def test_a_second_store_of_metrics_tells_of_its_own_service(
    run: Run, prometheus: prometheus_server.Service, report: Json
) -> None:
    states = {s["name"]: s["state"] for s in report["sources"]}
    assert (states["cluster.latency"], states["cluster.counts"]) == ("ok", "ok")
    assert prometheus.ranges()
    assert {s["service"] for s in report["latency_shifts"]} == {"inventory"}


def test_the_hypotheses_are_those_of_the_sample(report: Json, sample: Json) -> None:
    assert len(sample["hypotheses"]) > 5
    assert without_basis(report["hypotheses"]) == without_basis(sample["hypotheses"])


def test_the_timeline_is_that_of_the_sample(report: Json, sample: Json) -> None:
    def told(document: Json) -> list[Json]:
        return [{k: e[k] for k in ("at", "kind", "title")} for e in document["timeline"]]

    assert told(report) == told(sample)


def test_only_what_was_not_asked_is_a_question_more(report: Json, sample: Json) -> None:
    more = [q for q in report["questions"] if plain(q) not in plain(sample["questions"])]
    assert [q for q in plain(report["questions"]) if q not in plain(more)] == plain(
        sample["questions"]
    )
    assert len(more) == 3
    assert all("It is skipped: " in question for question in more)


# --- what may differ, and by how much -----------------------------------------------------------


def test_each_endpoint_suffered_what_the_sample_says(report: Json, sample: Json) -> None:
    """Only a percentile may differ: its buckets are 2 % wide, and the bins of time are wider."""
    told, wanted = plain(report["impact"]), plain(sample["impact"])
    pairs = list(zip(told["endpoints"], wanted["endpoints"], strict=True))
    assert len(pairs) == 4
    for one, other in pairs:
        asked_ms, known_ms = one.pop("p99_ms"), other.pop("p99_ms")
        assert (asked_ms is None) == (known_ms is None)
        if known_ms is not None:
            assert asked_ms == pytest.approx(known_ms, rel=0.05)
    assert told == wanted


def test_the_baselines_are_the_lead_up_and_the_day_before(report: Json, sample: Json) -> None:
    told = {b["source"]: b for b in report["incident"]["baselines"]}
    day, lead_up = told["shop.a1b2c3-prod.baseline"], told["shop.a1b2c3-prod.counts"]
    # The day is asked for in whole half hours, so it ends up to half an hour before the window,
    # and what is read goes on for requests that end later: the longest time-out and 30 s.
    assert (day["start"], day["end"]) == ("2026-01-14T14:00:00Z", "2026-01-15T14:00:00Z")
    until = datetime(2026, 1, 15, 14, 1, 30, tzinfo=UTC).timestamp() * 1000
    assert day["records"] == int((day_before()["at_ms"] < until).sum())
    (wanted,) = [b for b in sample["incident"]["baselines"] if b["source"] == "access"]
    assert plain(lead_up) == plain(wanted) | {"source": lead_up["source"]}
    (proof,) = [e for e in report["evidence"] if e["source"] == "shop.a1b2c3-prod.baseline"]
    assert proof["count"] == day["records"] and "no 502" in proof["seen"]


def test_lines_that_cannot_be_read_are_a_number_here_too(report: Json) -> None:
    unparsed = {s["name"]: s["unparsed"] for s in report["sources"] if s["unparsed"]}
    assert unparsed == {"shop.a1b2c3-prod.counts": raw.unreadable_lines(RAW)}


# --- what it rests on ---------------------------------------------------------------------------


def test_every_clock_is_bounded_by_what_its_service_showed(run: Run) -> None:
    """The services' clocks are as far ahead as ours; the server's log has none but the declared."""
    for source in run.report["sources"]:
        lo, hi = source["clock_offset_seconds"]
        assert lo <= 0 <= hi
        if source["name"].endswith((".recording", ".postgres")):
            assert (lo, hi) == (-0.05, 0.05)
        elif source["state"] == "ok":
            # A Date has whole seconds; each answer came within the run.
            assert (lo, hi) != (-0.05, 0.05) and hi - lo <= 1 + run.seconds


def test_failed_requests_lead_back_to_their_lines(run: Run, report: Json) -> None:
    cited = [
        e
        for e in report["evidence"]
        if e["source"] == "shop.a1b2c3-prod.errors" and e["seen"].startswith("POST /api/orders: 1")
    ]
    assert cited
    for evidence in cited:
        lines = (run.folder / evidence["file"]).read_text(encoding="utf-8").splitlines()
        first, last = (json.loads(lines[n - 1])["message"] for n in evidence["rows"])
        ends = [r for r in raw.outage(raw.requests(RAW)) if r.name == raw.ORDERS]
        assert {json.loads(first)["status"], json.loads(last)["status"]} == {"502"}
        assert evidence["count"] == len(ends)


def test_few_calls_were_enough(services: Services, run: Run) -> None:
    lines = len(raw.requests(RAW))
    assert len([a for a in run.asked if a.startswith("FilterLogEvents")]) < 25
    assert len([a for a in run.asked if a.startswith("StartQuery")]) <= 4
    assert all(body["logGroupName"] for body in services.logs.asked("FilterLogEvents"))
    fetched = [b for b in services.logs.asked("FilterLogEvents") if b["logGroupName"] == ACCESS]
    assert all(body["filterPattern"] for body in fetched), f"all {lines} lines were read"


def test_the_case_can_be_verified(services: Services, run: Run) -> None:
    before = len(services.asked())
    assert services.run(run.folder.parent, "verify", "INC-2847").code == 0
    assert len(services.asked()) == before
