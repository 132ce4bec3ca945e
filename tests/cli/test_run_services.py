"""`run` against all services at once: it must say of INC-2847 what the sample's own report says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from incident_rca import pipeline
from incident_rca.demo import prepare_demo
from tests.cli.running import Ran
from tests.cli.services import ACCESS, RAW, WINDOW, Services, day_before, incident
from tests.golden import raw

Json = dict[str, Any]
TITLE = ("--title", "Orders fail with 502")
# What clocks allow to be said of an order: how much depends on how exactly they are known.
MARGINS = re.compile(r"\d+(\.\d+)? s tighter|by at least \d+(\.\d+)? s")


@dataclass(frozen=True)
class Run:
    """A run that is over: how it ended, its case, and what it asked for."""

    ran: Ran
    folder: Path
    asked: list[str]

    @property
    def report(self) -> Json:
        found: Json = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        return found


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with incident(tmp_path_factory.mktemp("services")) as running:
        yield running


@pytest.fixture(scope="module")
def run(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    services.settings(folder)
    ran = services.run(folder, "run", "INC-2847", *WINDOW, *TITLE)
    return Run(ran, folder / "INC-2847", services.asked())


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
    return MARGINS.sub("… s", value) if isinstance(value, str) else value


# --- the same facts -----------------------------------------------------------------------------


def test_it_ends_well_and_every_service_is_asked(run: Run, report: Json) -> None:
    assert run.ran.code == 0, run.ran.err
    states = {s["name"]: s["state"] for s in report["sources"]}
    skipped = {name for name, state in states.items() if state == "skipped"}
    # No live server was named, and the stage has its execution log off.
    assert skipped == {"server_residue", "shop.a1b2c3-prod.execution"}
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
    assert plain(report[part]) == plain(sample[part])


def test_the_hypotheses_are_those_of_the_sample(report: Json, sample: Json) -> None:
    assert len(sample["hypotheses"]) > 5
    assert plain(report["hypotheses"]) == plain(sample["hypotheses"])


def test_the_timeline_is_that_of_the_sample(report: Json, sample: Json) -> None:
    def told(document: Json) -> list[Json]:
        return [{k: e[k] for k in ("at", "kind", "title")} for e in document["timeline"]]

    assert told(report) == told(sample)


def test_only_what_was_not_asked_is_a_question_more(report: Json, sample: Json) -> None:
    more = [q for q in report["questions"] if plain(q) not in plain(sample["questions"])]
    assert [q for q in plain(report["questions"]) if q not in plain(more)] == plain(
        sample["questions"]
    )
    assert len(more) == 2
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


def test_every_clock_is_bounded_by_what_its_service_showed(report: Json) -> None:
    """The services' clocks are as far ahead as ours; the server's log has none but the declared."""
    for source in report["sources"]:
        lo, hi = source["clock_offset_seconds"]
        assert lo <= 0 <= hi
        if source["name"].endswith((".recording", ".postgres")):
            assert (lo, hi) == (-0.05, 0.05)
        elif source["state"] == "ok":
            assert hi - lo < 1.5


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
