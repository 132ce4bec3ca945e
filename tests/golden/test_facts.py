"""report.json of the demo against what plain loops over the raw files count."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.golden import raw
from tests.golden.raw import ORDERS, PAYMENTS, READS, STATUS, Json, Request, Snapshot, instant
from tests.golden.running import Demo, citing, of_kind

OUTAGE_SECONDS = 1397
HELD_SECONDS = 240
SEVERITIES = ["critical", "high", "medium", "low"]


def utc(clock: str) -> datetime:
    """An instant of the day of the incident."""
    return instant(f"2026-01-15T{clock}Z")


def endpoint(report: Json, name: str) -> Json:
    """The impact on one route."""
    found = [e for e in report["impact"]["endpoints"] if f"{e['method']} {e['route']}" == name]
    assert len(found) == 1
    return dict(found[0])


def bounds(span: list[str]) -> tuple[datetime, datetime]:
    """The two ends of a closed span."""
    return instant(span[0]), instant(span[1])


def middle(span: list[str]) -> datetime:
    """The middle of a closed span."""
    low, high = bounds(span)
    return low + (high - low) / 2


def within(requests: list[Request], outage: list[Request], name: str) -> list[Request]:
    """The requests of a route that arrived during the outage."""
    return [r for r in requests if r.name == name and outage[0].at <= r.at <= outage[-1].at]


def per_minute_before(requests: list[Request], outage: list[Request], name: str) -> float:
    """The usual arrivals of a route, from the start of the window to the outage."""
    before = [r for r in requests if r.name == name and r.at < outage[0].at]
    return len(before) / ((outage[0].at - utc("14:10:00")).total_seconds() / 60)


# --- the gateway ---------------------------------------------------------------------------------


def test_orders_failed_with_502_as_the_document_states(report: Json, outage: list[Request]) -> None:
    orders = [r for r in outage if r.name == ORDERS]
    said = endpoint(report, ORDERS)
    assert {r.status for r in orders} == {502}
    assert said["by_status"] == {"502": len(orders)} == {"502": 1247}
    assert said["failed"] == said["requests"] == len(orders)
    assert instant(said["first_failure"]) == orders[0].at == utc("14:23:01")
    assert instant(said["last_failure"]) == orders[-1].at == utc("14:46:18")
    assert said["impact"] == "failed"


@pytest.mark.parametrize("name", [ORDERS, READS, PAYMENTS, STATUS])
def test_each_endpoint_has_the_counts_of_the_loop(
    name: str, report: Json, requests: list[Request], outage: list[Request]
) -> None:
    said = endpoint(report, name)
    failed = [r for r in outage if r.name == name]
    assert said["by_status"] == {
        str(status): n for status, n in Counter(r.status for r in failed).items()
    }
    assert said["failed"] == len(failed)
    ends = [failed[0].at, failed[-1].at] if failed else [None, None]
    told = [said["first_failure"], said["last_failure"]]
    assert [instant(t) if t else None for t in told] == ends
    # The outage may be counted to the end of the second in which its last request arrived.
    least = within(requests, outage, name)
    most = [
        r
        for r in requests
        if r.name == name and outage[0].at <= r.at < outage[-1].at + timedelta(seconds=1)
    ]
    assert len(least) <= said["requests"] <= len(most)
    usual = per_minute_before(requests, outage, name)
    assert said["baseline_per_minute"] == pytest.approx(usual, rel=0.001)


def test_each_endpoint_is_rated_as_its_traffic_says(
    report: Json, requests: list[Request], outage: list[Request]
) -> None:
    rated = {name: endpoint(report, name)["impact"] for name in (ORDERS, READS, PAYMENTS, STATUS)}
    assert rated == {
        ORDERS: "failed",
        READS: "failed",
        PAYMENTS: "starved",
        STATUS: "unaffected",
    }
    for name in (ORDERS, READS):
        arrived = within(requests, outage, name)
        assert sum(r.status >= 500 for r in arrived) >= 0.9 * len(arrived)
    minutes = (outage[-1].at - outage[0].at).total_seconds() / 60
    intents = within(requests, outage, PAYMENTS)
    assert not any(r.status >= 500 for r in intents)
    assert len(intents) / minutes <= 0.2 * per_minute_before(requests, outage, PAYMENTS)
    reads = within(requests, outage, STATUS)
    assert not any(r.status >= 500 for r in reads)
    assert len(reads) / minutes > 0.8 * per_minute_before(requests, outage, STATUS)


def test_the_outage_runs_from_the_first_to_the_last_failing_arrival(
    report: Json, outage: list[Request]
) -> None:
    said = report["outage"]
    assert bounds(said["start"]) == (outage[0].at, outage[0].at)
    assert bounds(said["end"]) == (outage[-1].at, outage[-1].at)
    seconds = (outage[-1].at - outage[0].at).total_seconds()
    assert said["duration_seconds"] == seconds == OUTAGE_SECONDS
    assert said["ongoing"] is False


def test_failures_and_their_types_add_up(report: Json, outage: list[Request]) -> None:
    counted = Counter((r.type, r.status) for r in outage)
    said = {(t["type"], t["status"]): t["count"] for t in report["error_types"]}
    assert said == dict(counted)
    assert len(said) == len(report["error_types"])
    assert sum(said.values()) == report["impact"]["failed_requests"] == len(outage)
    assert report["impact"]["failed_requests"] == sum(
        e["failed"] for e in report["impact"]["endpoints"]
    )
    for error in report["error_types"]:
        assert error["share"] == pytest.approx(error["count"] / len(outage), abs=0.0006)
        assert error["seen_in"] == ["access"]


def test_blips_are_listed_and_not_counted(
    report: Json, requests: list[Request], outage: list[Request]
) -> None:
    blips = [r for r in raw.failures(requests) if r not in outage]
    assert len(blips) == 2
    told = {e["rows"][0] for e in report["evidence"] if e["rows"] and e["count"] == 1}
    assert {blip.line for blip in blips} <= told
    assert not {blip.name for blip in blips} & {
        f"{e['method']} {e['route']}" for e in report["impact"]["endpoints"] if e["failed"]
    }


def test_unreadable_lines_are_a_number_of_their_own(
    report: Json, files: Path, requests: list[Request]
) -> None:
    access = next(s for s in report["sources"] if s["name"] == "access")
    assert access["unparsed"] == raw.unreadable_lines(files) == 5
    assert access["rows"] == len(requests)


def test_no_502_in_the_24_hours_before(
    report: Json, files: Path, requests: list[Request], outage: list[Request]
) -> None:
    counts, scanned = raw.baseline_counts(files)
    assert counts["502"] == 0
    assert sum(counts.values()) == scanned
    lead_up = [r for r in requests if r.at < outage[0].at]
    assert not any(r.status == 502 for r in lead_up)
    told = {b["source"]: b for b in report["incident"]["baselines"]}
    assert told["baseline-24h"]["records"] == scanned
    assert told["access"]["records"] == len(lead_up)
    day = instant(told["baseline-24h"]["end"]) - instant(told["baseline-24h"]["start"])
    assert day == timedelta(hours=24)
    assert told["baseline-24h"]["end"] == told["access"]["start"]
    assert instant(told["access"]["end"]) == outage[0].at


def test_the_baseline_evidence_says_how_many_records_prove_it(report: Json, files: Path) -> None:
    _, scanned = raw.baseline_counts(files)
    (proof,) = [e for e in report["evidence"] if e["source"] == "baseline-24h"]
    assert proof["count"] == scanned
    assert "no 502" in proof["seen"]


def test_the_orders_evidence_leads_back_to_its_lines(
    demo: Demo, report: Json, requests: list[Request], outage: list[Request]
) -> None:
    cited = [e for e in report["evidence"] if e["id"] in endpoint(report, ORDERS)["evidence"]]
    assert cited
    for evidence in cited:
        assert (demo.folder / evidence["file"]).name == "access.ndjson.gz"
        first, last = evidence["rows"]
        lines = [r.line for r in requests if (r.name, r.status) == (ORDERS, 502)]
        assert (first, last) == (min(lines), max(lines))
        assert evidence["count"] == len(lines) == len([r for r in outage if r.name == ORDERS])


# --- the lock ------------------------------------------------------------------------------------


def episode_on(report: Json, table: str) -> Json:
    """The one lock episode on a table."""
    found = [e for e in report["lock_episodes"] if e["relation"] == f"public.{table}"]
    assert len(found) == 1
    return dict(found[0])


def test_the_lock_episode_names_its_root_holder(
    report: Json, snapshots: list[Snapshot], contended: int
) -> None:
    holders = {pid for s in snapshots for pid in s.holding(contended, "ShareLock")}
    texts = {q["query"] for s in snapshots for q in s.sessions if q["pid"] in holders}
    root = episode_on(report, "stock_reservations")["root_holder"]
    assert {root["pid"]} == holders == {48291}
    assert root["mode"] == "ShareLock"
    assert {root["statement"]} == texts
    assert root["application"] == "migrate"


def test_the_lock_was_held_for_240_seconds(
    report: Json, files: Path, snapshots: list[Snapshot], contended: int
) -> None:
    told = [r for r in raw.server_log(files) if r["pid"] == 48291]
    began = next(instant(r["timestamp"]) for r in told if "CREATE INDEX" in r["message"])
    ended = next(instant(r["timestamp"]) for r in told if r["message"].startswith("duration"))
    assert (ended - began).total_seconds() == pytest.approx(HELD_SECONDS, abs=1)
    seen = [s.at for s in snapshots if s.holding(contended, "ShareLock")]
    held = episode_on(report, "stock_reservations")["held"]
    start, end = bounds(held["start"]), bounds(held["end"])
    assert began <= start[0] <= start[1] <= seen[0]
    assert seen[-1] <= end[1] <= ended + timedelta(seconds=1)
    held_for = (middle(held["end"]) - middle(held["start"])).total_seconds()
    assert held_for == pytest.approx(HELD_SECONDS, abs=1)


def test_a_hundred_sessions_waited_at_the_peak(
    report: Json, files: Path, snapshots: list[Snapshot], contended: int
) -> None:
    queues = [s.waiting_for(contended) for s in snapshots]
    said = episode_on(report, "stock_reservations")
    assert said["peak_waiters"] == max(map(len, queues)) == 100
    assert said["waiters_total"] == len({pid for queue in queues for pid in queue})
    waited = raw.waited_seconds(files, contended)
    assert len(waited) == said["waiters_total"]
    assert said["waiter_seconds"] == pytest.approx(sum(waited), rel=0.01)


def idle_readers(snapshots: list[Snapshot], oid: int) -> set[int]:
    """The sessions that hold a lock on the relation and block nobody."""
    blockers = {pid for s in snapshots for q in s.sessions for pid in q["blocking_pids"] or ()}
    holders = {
        k["pid"] for s in snapshots for k in s.locks if k["relation"] == oid and k["granted"]
    }
    waited = {pid for s in snapshots for pid in s.waiting_for(oid)}
    return holders - blockers - waited


def test_the_idle_reader_is_not_accused(
    report: Json, snapshots: list[Snapshot], contended: int
) -> None:
    (reader,) = idle_readers(snapshots, contended)
    for episode in report["lock_episodes"]:
        blamed = [episode["root_holder"], *episode["queue_amplifiers"]]
        assert reader not in [session["pid"] for session in blamed]
    for hypothesis in report["hypotheses"]:
        assert str(reader) not in hypothesis["statement"]
        named = [c for c in hypothesis["claims"] if str(reader) in c["text"]]
        assert {c["aspect"] for c in named} <= {"control"}
    assert not any(str(reader) in f["statement"] for f in report["findings"])


def test_the_lock_on_the_other_table_is_a_coincidence(
    report: Json, snapshots: list[Snapshot]
) -> None:
    oid = raw.oid_of(snapshots, "warehouse_shipments")
    said = episode_on(report, "warehouse_shipments")
    queues = [s.waiting_for(oid) for s in snapshots]
    assert said["peak_waiters"] == max(map(len, queues)) == 1
    assert {said["root_holder"]["pid"]} == {
        pid for s in snapshots for pid in s.holding(oid, "AccessExclusiveLock")
    }
    (other,) = [h for h in of_kind(report, "lock_blocking") if "shipments" in h["object"]]
    assert other["role"] == "coincident"
    assert other["verdict"] != "supported"
    assert other["explains"]["seconds"] == 0


# --- latency and the pool ------------------------------------------------------------------------


def test_one_latency_shift_with_its_onset_corrected_for_the_lag(report: Json, files: Path) -> None:
    (shift,) = report["latency_shifts"]
    assert (shift["service"], shift["method"]) == ("inventory", "Reserve")
    high = [(at, value) for at, value in raw.reserve_p99(files) if value > 5_000]
    assert high[0][0] == utc("14:23:30")
    assert shift["plateau_ms"] == pytest.approx(30_000, rel=0.01)
    assert shift["peak_ms"] == pytest.approx(max(value for _, value in high), abs=0.001)
    low, late = bounds(shift["onset"])
    assert low <= utc("14:23:01") <= late < high[0][0]
    calm = [value for at, value in raw.reserve_p99(files) if at < utc("14:23:00")]
    assert min(calm) <= shift["baseline_p99_ms"] <= max(calm)
    assert "plateau_ms" in shift and shift["unit"] == "ms"


def test_other_methods_have_no_shift(report: Json, files: Path) -> None:
    for one in raw.series(files, "grpc-p99.datadog.json"):
        values = [value for _, value in one.points if value is not None]
        is_high = max(values) > 5_000
        named = one.tags["rpc.method"] in {s["method"].lower() for s in report["latency_shifts"]}
        assert named is is_high


def test_no_deadline_exceeded_although_other_codes_are_there(report: Json, files: Path) -> None:
    codes = raw.reserve_codes(files)
    (shift,) = report["latency_shifts"]
    said = shift["status_counts"]
    assert "DEADLINE_EXCEEDED" not in codes
    assert not said.get("DEADLINE_EXCEEDED")
    for code in ("INTERNAL", "UNAVAILABLE"):
        assert said[code] == codes[code].total() > 0
    assert said["INTERNAL"] + said["UNAVAILABLE"] == 1247
    span = (bounds(shift["onset"])[0], bounds(shift["offset"])[1])
    during = sum(v or 0 for at, v in codes["OK"].points if span[0] <= at < span[1])
    assert 0 <= said["OK"] <= during + 25 * 2.2  # a bucket at either end


def filled_after(snapshots: list[Snapshot], oid: int, size: int) -> float:
    """Seconds from the first wait to the one that made `size`, by their waitstart."""
    starts = {
        k["pid"]: instant(k["waitstart"])
        for s in snapshots
        for k in s.locks
        if k["relation"] == oid and not k["granted"]
    }
    ordered = sorted(starts.values())
    return (ordered[size - 1] - ordered[0]).total_seconds()


def test_the_pool_of_100_filled_in_45_seconds(
    report: Json, files: Path, snapshots: list[Snapshot], contended: int, outage: list[Request]
) -> None:
    pool = report["pool"]
    used = [s for s in raw.series(files, "pool.datadog.json") if "state:used" in s.query]
    sizes = [s for s in raw.series(files, "pool.datadog.json") if "connections.max" in s.query]
    (size,) = {value for s in sizes for _, value in s.points if value is not None}
    assert pool["size"] == size == max(v for s in used for _, v in s.points if v is not None)
    seconds = filled_after(snapshots, contended, 100)
    assert seconds == pytest.approx(45, abs=1)
    assert pool["fill_seconds"] == pytest.approx(seconds, abs=1)
    early = [r for r in outage if r.name == ORDERS][:100]
    counted = len(early) / ((early[-1].at - early[0].at).total_seconds())
    assert pool["arrival_per_second"] == pytest.approx(2.22, abs=0.01)
    assert pool["arrival_per_second"] == pytest.approx(counted, rel=0.02)
    first_full = min(at for s in used for at, value in s.points if value == size)
    low, high = bounds(pool["exhausted_at"])
    assert first_full <= low <= high <= first_full + timedelta(seconds=10)


def test_the_pool_does_not_add_up_and_says_with_which_numbers(report: Json) -> None:
    pool = report["pool"]
    assert pool["consistent"] is False
    rate, seconds = 100 / 45, report["latency_shifts"][0]["plateau_ms"] / 1000
    assert rate * seconds < pool["size"]
    numbers = [float(n) for n in re.findall(r"\d+(?:\.\d+)?", pool["note"])]
    for wanted in (100, 45, rate, rate * seconds):
        assert any(n == pytest.approx(wanted, rel=0.005) for n in numbers), wanted


# --- hypotheses ----------------------------------------------------------------------------------


def test_lock_blocking_is_the_trigger(report: Json) -> None:
    best = of_kind(report, "lock_blocking")[0]
    assert best["object"].endswith("public.stock_reservations")
    assert (best["role"], best["verdict"]) == ("trigger", "supported")
    assert best["independent_sources"] == 3
    changes = of_kind(report, "change")
    assert changes
    assert all(best["rank"] < change["rank"] for change in changes)
    assert [h["role"] for h in report["hypotheses"]].count("trigger") == 1


def test_pool_exhaustion_sustains_by_its_own_evidence(report: Json) -> None:
    (pool,) = of_kind(report, "pool_exhaustion")
    assert (pool["role"], pool["verdict"]) == ("sustainer", "supported")
    lock = of_kind(report, "lock_blocking")[0]
    own = {i for c in pool["claims"] for i in c["evidence"]}
    assert own - {i for c in lock["claims"] for i in c["evidence"]}


def test_missing_deadline_contributes(report: Json) -> None:
    (deadline,) = of_kind(report, "missing_deadline")
    assert (deadline["role"], deadline["verdict"]) == ("contributing", "supported")
    assert deadline["explains"]["seconds"] == 0


def test_seconds_explained_add_up_to_the_outage(report: Json) -> None:
    seconds = {h["id"]: h["explains"]["seconds"] for h in report["hypotheses"]}
    lock, pool = of_kind(report, "lock_blocking")[0], of_kind(report, "pool_exhaustion")[0]
    assert seconds[lock["id"]] == pytest.approx(HELD_SECONDS, abs=1)
    assert seconds[pool["id"]] == pytest.approx(OUTAGE_SECONDS - HELD_SECONDS, abs=1)
    assert report["unexplained"]["seconds"] <= 1
    whole = sum(seconds.values()) + report["unexplained"]["seconds"]
    assert whole == pytest.approx(OUTAGE_SECONDS, abs=0.001)
    assert lock["explains"]["share_of_outage"] <= 0.172
    shares = [h["explains"]["share_of_outage"] for h in report["hypotheses"]]
    assert sum(shares) + report["unexplained"]["share_of_outage"] == pytest.approx(1, abs=0.002)


def test_hypotheses_are_ranked_and_numbered(report: Json) -> None:
    ranks = [h["rank"] for h in report["hypotheses"]]
    assert ranks == list(range(1, len(ranks) + 1))
    assert [h["id"] for h in report["hypotheses"]] == [f"H{rank}" for rank in ranks]
    verdicts = [h["verdict"] for h in report["hypotheses"]]
    order = ["supported", "weak", "insufficient", "contradicted"]
    assert verdicts == sorted(verdicts, key=order.index)


def test_independent_sources_are_the_systems_of_the_claims_for(report: Json) -> None:
    system = {s["name"]: s["system"] for s in report["sources"]}
    source = {e["id"]: e["source"] for e in report["evidence"]}
    counted = {"postgres", "grpc_metrics", "gateway"}
    for hypothesis in report["hypotheses"]:
        cited = {
            system.get(source[i])
            for c in hypothesis["claims"]
            if c["stance"] == "for"
            for i in c["evidence"]
        }
        assert hypothesis["independent_sources"] == len(cited & counted), hypothesis["id"]


# --- what does not fit, what to fix, what is open ------------------------------------------------


def test_three_contradictions_with_their_numbers(report: Json) -> None:
    said = [c["statement"] for c in report["contradictions"]]
    assert len(said) == 3
    numbers = [set(re.findall(r"\d+(?:\.\d+)?", text)) for text in said]
    assert sum("stock_reservations" in text and READS in text for text in said) == 1
    assert sum({"45", "100"} <= found for found in numbers) == 1
    assert sum({"502", "504", "29"} <= found for found in numbers) == 1


def test_reads_were_served_while_the_lock_was_held(
    requests: list[Request], outage: list[Request]
) -> None:
    reads = within(requests, outage, READS)
    first_failed = min(r.at for r in reads if r.status >= 500)
    served = [r for r in reads if r.at < first_failed]
    assert len(served) > 50
    assert {r.status for r in served} <= {200, 404}
    assert first_failed < utc("14:27:00")


def test_three_findings_by_severity(report: Json) -> None:
    found = report["findings"]
    assert len(found) == 3
    places = [SEVERITIES.index(f["severity"]) for f in found]
    assert places == sorted(places)
    for word, finding in zip(("deadline", "breaker", "index"), found, strict=True):
        assert word in finding["rule"]
        assert finding["remedy"].strip()
        assert finding["evidence"]
    assert "CONCURRENTLY" in found[2]["remedy"]


def test_five_phases_follow_each_other(report: Json, outage: list[Request]) -> None:
    phases = report["phases"]
    names = [p["name"] for p in phases]
    assert names == ["lead_up", "trigger", "propagation", "sustained", "recovery"]
    for before, after in pairwise(phases):
        assert before["end"] == after["start"]
        assert instant(before["start"]) < instant(before["end"])
    assert phases[0]["start"] == report["incident"]["window"]["start"]
    assert instant(phases[1]["end"]) == outage[0].at
    assert instant(phases[3]["end"]) >= outage[-1].at
    assert instant(phases[4]["start"]) < instant(phases[4]["end"])


def test_there_are_open_questions(report: Json) -> None:
    assert len(report["questions"]) >= 3
    assert all(question.strip().count("?") >= 1 for question in report["questions"])


# --- evidence ------------------------------------------------------------------------------------


def test_whatever_is_cited_stands_in_the_evidence(report: Json) -> None:
    known = [e["id"] for e in report["evidence"]]
    assert len(set(known)) == len(known)
    cited = list(citing(report))
    assert len(cited) > 50
    for place, ids in cited:
        assert ids, f"{place} cites nothing"
        assert set(ids) <= set(known), place
    assert {i for _, ids in cited for i in ids} <= set(known)


def test_every_claim_cites_something(report: Json) -> None:
    claims = [c for h in report["hypotheses"] for c in h["claims"]]
    assert claims
    assert all(h["claims"] for h in report["hypotheses"])
    assert all(claim["evidence"] for claim in claims)


def rows_in(path: Path) -> int:
    """How many rows a raw file can be cited by: lines, results, events or points."""
    if path.suffix == ".gz":
        return len(raw.text_of(path).splitlines())
    answer = json.loads(path.read_text(encoding="utf-8"))["response"]
    if "results" in answer:
        return len(answer["results"])
    if isinstance(answer["data"], list):
        return len(answer["data"])
    attributes = answer["data"]["attributes"]
    return len(attributes["times"]) * len(attributes["series"])


def test_every_evidence_lies_within_its_file(demo: Demo, report: Json) -> None:
    sizes = {f"raw/{path.name}": rows_in(path) for path in demo.raw.iterdir()}
    letters = {"postgres": "L", "grpc_metrics": "M", "gateway": "G", "changes": "C"}
    system = {s["name"]: s["system"] for s in report["sources"]}
    for evidence in report["evidence"]:
        assert (demo.folder / evidence["file"]).is_file(), evidence
        assert re.fullmatch(r"[LMGCS][0-9a-f]{4,}", evidence["id"])
        if evidence["rows"] is None:
            assert evidence["file"] == "case.json"
            continue
        first, last = evidence["rows"]
        assert 1 <= first <= last <= sizes[evidence["file"]], evidence
        assert evidence["id"][0] == letters[system[evidence["source"]]]


def test_every_instant_is_utc(report: Json) -> None:
    text = json.dumps(report)
    stamps = re.findall(r'"(\d{4}-\d\d-\d\d[T ][^"]*)"', text)
    assert len(stamps) > 100
    for stamp in stamps:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*[1-9])?Z", stamp), stamp


def test_the_timeline_has_no_event_before_one_that_is_certainly_earlier(report: Json) -> None:
    events = report["timeline"]
    assert [e["id"] for e in events] == [f"T{n}" for n in range(1, len(events) + 1)]
    assert len(events) > 15
    ends = [bounds(event["at"]) for event in events]
    for place, (begin, _) in enumerate(ends):
        assert all(begin <= later_end for _, later_end in ends[place + 1 :]), events[place]


def test_each_source_names_the_files_as_they_are(demo: Demo, report: Json) -> None:
    named = {f["path"] for s in report["sources"] for f in s["files"]}
    assert named == {f"raw/{path.name}" for path in demo.raw.iterdir()}
    assert {s["state"] for s in report["sources"]} == {"ok"}
