"""Files of the sample's log that hold some of the same requests: each of them counts once.

What is true of a case is counted by the ids of its lines, which the program does not do.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from incident_rca import pipeline
from incident_rca.importing import import_files
from incident_rca.model import Analysis, SourceState, SourceStatus, TimeWindow
from incident_rca.report.answers import answers
from incident_rca.rollup import Asked
from incident_rca.rollup.local_files import LocalFiles
from incident_rca.rollup.rollup_file import write_rollup
from incident_rca.settings import Settings
from tests.golden.raw import SAMPLE, Request, outage, requests

WINDOW = TimeWindow(
    datetime(2026, 1, 15, 14, 10, tzinfo=UTC), datetime(2026, 1, 15, 14, 55, tzinfo=UTC)
)
Parts = Sequence[Sequence[Request]]
LineOf = Callable[[Request], str]


@pytest.fixture(scope="module")
def sent() -> list[Request]:
    """The requests of the sample's log."""
    return requests(SAMPLE / "raw")


def clock(minute: int, second: int = 0) -> datetime:
    return datetime(2026, 1, 15, 14, minute, second, tzinfo=UTC)


def logged_at(request: Request) -> datetime:
    """When its line was written: when it was answered."""
    return request.at + timedelta(milliseconds=int(request.row["responseLatency"]))


def arrived(sent: Iterable[Request], start: datetime, end: datetime) -> list[Request]:
    return [r for r in sent if start <= r.at < end]


def written(sent: Iterable[Request], start: datetime, end: datetime) -> list[Request]:
    """What an export by the time of the lines holds."""
    return sorted((r for r in sent if start <= logged_at(r) < end), key=logged_at)


def as_json(request: Request) -> str:
    return json.dumps(request.row)


def without_ids(request: Request) -> str:
    return json.dumps(
        {k: v for k, v in request.row.items() if "equestId" not in k and "race" not in k}
    )


def as_clf(request: Request) -> str:
    row = request.row
    return (
        f'{row["sourceIp"]} - - [{row["requestTime"]}] "{row["httpMethod"]} {row["resourcePath"]} '
        f'HTTP/1.1" {row["status"]} 512 {row["requestId"]}'
    )


def analysed(folder: Path, *files: Path) -> Analysis:
    case = folder / "INC-1"
    import_files(case, files, settings=Settings(), window=WINDOW)
    return pipeline.analyse_case(case)


def exported(folder: Path, parts: Parts, line_of: LineOf = as_json) -> list[Path]:
    """A file for each part."""
    paths = []
    for number, part in enumerate(parts, start=1):
        paths.append(folder / f"exp{number}.log")
        lines = "".join(f"{line_of(request)}\n" for request in part)
        paths[-1].write_text(lines, encoding="utf-8")
    return paths


def rolled_up(folder: Path, log: Path, name: str) -> Path:
    path, engine, asked = folder / f"{name}.rollup.ndjson.gz", LocalFiles((log,)), Asked()
    write_rollup(
        path, engine, asked, engine.plan(asked), asked_at=datetime(2026, 1, 16, tzinfo=UTC)
    )
    return path


def assert_counts(analysis: Analysis, parts: Parts) -> None:
    """Each request of the outage once, by its id."""
    each = list({r.row["requestId"]: r for part in parts for r in part}.values())
    failed = outage(each)
    first, last = (at.replace(microsecond=0) for at in (failed[0].at, failed[-1].at))
    inside = [r for r in each if first <= r.at < last + timedelta(seconds=1)]
    assert analysis.failed_requests == len(failed)
    assert analysis.requests == len(inside)
    assert {e.name: e.failed for e in analysis.endpoints if e.failed} == Counter(
        r.name for r in failed
    )
    assert {e.name: e.requests for e in analysis.endpoints if e.requests} == Counter(
        r.name for r in inside
    )


def logs(analysis: Analysis) -> list[SourceStatus]:
    return [s for s in analysis.case.sources if s.state is not SourceState.SKIPPED]


def by_arrival(sent: list[Request]) -> Parts:
    return arrived(sent, clock(10), clock(35)), arrived(sent, clock(30), clock(55))


def by_line(sent: list[Request]) -> Parts:
    """Ragged: of what waited half a minute the one has what arrived, the other what ended."""
    return written(sent, clock(10), clock(35)), written(sent, clock(30), clock(56))


def shuffled_again(sent: list[Request]) -> Parts:
    return sent, random.Random(1).sample(sent, len(sent))


def errors_beside(sent: list[Request]) -> Parts:
    return sent, [r for r in sent if r.status >= 500]


def three(sent: list[Request]) -> Parts:
    cuts = ((10, 30), (25, 45), (28, 55))
    return [written(sent, clock(first), clock(last)) for first, last in cuts]


def one_within(sent: list[Request]) -> Parts:
    return written(sent, clock(28), clock(33)), sent


OVERLAPS = (by_arrival, by_line, shuffled_again, errors_beside, three, one_within)


@pytest.mark.parametrize(
    ("cut", "line_of"),
    [*((cut, as_json) for cut in OVERLAPS), (by_line, without_ids), (by_line, as_clf)],
)
def test_what_two_exports_hold_counts_once(
    cut: Callable[[list[Request]], Parts], line_of: LineOf, sent: list[Request], tmp_path: Path
) -> None:
    parts = cut(sent)
    analysis = analysed(tmp_path, *exported(tmp_path, parts, line_of))
    assert_counts(analysis, parts)
    assert {s.state for s in logs(analysis)} == {SourceState.OK}
    twice = sum(map(len, parts)) - len({r.row["requestId"] for part in parts for r in part})
    said = [int(s.reason.split()[0].replace(",", "")) for s in logs(analysis) if s.reason]
    if cut is not three:
        assert said == [twice]
    assert all("counted once" in s.reason for s in logs(analysis) if s.reason)


@pytest.mark.parametrize("cut", [by_line, one_within])
def test_a_rollup_beside_its_own_log_counts_once(
    cut: Callable[[list[Request]], Parts], sent: list[Request], tmp_path: Path
) -> None:
    parts = cut(sent)
    log, other = exported(tmp_path, parts)
    analysis = analysed(tmp_path, log, rolled_up(tmp_path, other, "other"))
    assert_counts(analysis, parts)
    assert {s.state for s in logs(analysis)} == {SourceState.OK}
    assert [s.kind for s in logs(analysis) if "counted once" in s.reason] == ["gateway_rollup"]


def test_two_rollups_that_overlap_count_once(sent: list[Request], tmp_path: Path) -> None:
    parts = by_line(sent)
    logs_of = exported(tmp_path, parts)
    rollups = [rolled_up(tmp_path, log, f"r{n}") for n, log in enumerate(logs_of)]
    analysis = analysed(tmp_path, *rollups)
    assert_counts(analysis, parts)


def split(sent: list[Request], nodes: int) -> list[list[Request]]:
    """What a load balancer would send to each node."""
    chance = random.Random(7)
    found: list[list[Request]] = [[] for _ in range(nodes)]
    for request in sent:
        found[chance.randrange(nodes)].append(request)
    return found


@pytest.mark.parametrize(("nodes", "line_of"), [(5, as_json), (2, without_ids), (2, as_clf)])
def test_logs_of_several_nodes_are_added(
    nodes: int, line_of: LineOf, sent: list[Request], tmp_path: Path
) -> None:
    parts = split(sent, nodes)
    analysis = analysed(tmp_path, *exported(tmp_path, parts, line_of))
    assert_counts(analysis, parts)
    assert {(s.state, s.reason) for s in logs(analysis)} == {(SourceState.OK, "")}


def test_exports_that_meet_within_a_second_are_added(sent: list[Request], tmp_path: Path) -> None:
    cut = clock(35) + timedelta(milliseconds=400)
    parts = written(sent, clock(10), cut), written(sent, cut, clock(56))
    analysis = analysed(tmp_path, *exported(tmp_path, parts))
    assert_counts(analysis, parts)
    assert {(s.state, s.reason) for s in logs(analysis)} == {(SourceState.OK, "")}


def pulses(sent: list[Request], every: int) -> list[Request]:
    """A health check that is answered in two milliseconds, beside the requests."""
    like = next(r for r in sent if r.status == 200)
    found = []
    for at in range(0, int(WINDOW.seconds), every):
        when = WINDOW.start + timedelta(seconds=at)
        row = like.row | {
            "requestId": f"health-{every}-{at}-{len(sent)}",
            "requestTimeEpoch": str(int(when.timestamp() * 1000)),
            "resourcePath": "/health",
            "responseLatency": "2",
        }
        found.append(Request(0, when, f"{row['httpMethod']} /health", 200, row))
    return found


def test_a_health_check_of_two_nodes_at_once_is_added(sent: list[Request], tmp_path: Path) -> None:
    parts = [[*part, *pulses(part, 5)] for part in split(sent, 2)]
    analysis = analysed(tmp_path, *exported(tmp_path, parts))
    assert_counts(analysis, parts)
    assert {(s.state, s.reason) for s in logs(analysis)} == {(SourceState.OK, "")}


def told(analysis: Analysis) -> str:
    """What the one source that cannot be trusted says."""
    (partial,) = [s for s in logs(analysis) if s.state is SourceState.PARTIAL]
    assert partial.hint
    return partial.reason


def test_files_that_share_the_requests_of_one_node_are_told(
    sent: list[Request], tmp_path: Path
) -> None:
    one, shared, other = split(sent, 3)
    parts = [*one, *shared], [*other, *shared]
    reason = told(analysed(tmp_path, *exported(tmp_path, parts)))
    failed = sum(r.status >= 500 for r in shared)
    assert f"{failed:,} failed requests" in reason and "may be counted twice" in reason
    assert "raw/exp1.log" in reason


def test_a_request_that_two_tiers_log_is_told(sent: list[Request], tmp_path: Path) -> None:
    """The same ids, at a proxy that waits some milliseconds longer."""
    files = exported(tmp_path, [sent, sent])
    behind = [r.row | {"responseLatency": str(int(r.row["responseLatency"]) + 3)} for r in sent]
    files[1].write_text("".join(f"{json.dumps(row)}\n" for row in behind), encoding="utf-8")
    assert "may be counted twice" in told(analysed(tmp_path, *files))


def test_what_is_alike_and_cannot_be_told_apart_is_said(
    sent: list[Request], tmp_path: Path
) -> None:
    """Nothing but a health check: two nodes, or one of them twice."""
    quiet = pulses(sent, 5)
    files = exported(tmp_path, [quiet, [*reversed(quiet)]], without_ids)
    analysis = analysed(tmp_path, *files)
    assert "in each second" in told(analysis)
    assert analysis.requests == 2 * len(quiet)


def asked(at: float, path: str, status: int, took: int | None, name: str = "") -> Request:
    """A request some seconds after the window's start; without a name its line has no id."""
    when = WINDOW.start + timedelta(seconds=at)
    row = {
        "requestTimeEpoch": str(round(when.timestamp() * 1000)),
        "httpMethod": "GET",
        "resourcePath": path,
        "status": str(status),
    }
    row |= {"requestId": name} if name else {}
    row |= {} if took is None else {"responseLatency": str(took)}
    return Request(0, when, f"GET {path}", status, row)


def sparse(seconds: int) -> list[Request]:
    """One or two requests a second that all succeed, with latencies of their own."""
    chance = random.Random(1)
    return [
        asked(at + chance.random(), "/a", 200, chance.randrange(5, 400), f"{at}-{n}")
        for at in range(seconds)
        for n in range(chance.choice([1, 1, 2]))
    ]


def between(found: Iterable[Request], first: float, last: float) -> list[Request]:
    return [r for r in found if first <= (r.at - WINDOW.start).total_seconds() < last]


def test_what_three_files_hold_counts_once_though_two_of_them_share_little(tmp_path: Path) -> None:
    """What the first and the last share is too little to prove it; the second has it as well."""
    every = sparse(1200)
    parts = between(every, 0, 606), between(every, 300, 900), between(every, 600, 1200)
    analysis = analysed(tmp_path, *exported(tmp_path, parts))
    assert analysis.requests == len(every)
    assert {s.state for s in logs(analysis)} == {SourceState.OK}


def test_a_short_overlap_is_told(tmp_path: Path) -> None:
    every = sparse(1200)
    parts = between(every, 0, 606), between(every, 600, 1200)
    analysis = analysed(tmp_path, *exported(tmp_path, parts))
    shared = len(between(every, 600, 606))
    assert told(analysis).startswith(f"up to {shared} requests may be counted twice")
    assert analysis.requests == len(every) + shared


def test_two_requests_that_are_alike_are_no_overlap(tmp_path: Path) -> None:
    """Two files meet in a second in which both have two requests."""
    parts = [
        [asked(at / 2, "/a", 200, 20, f"{n}-{at}") for at in range(first, last)]
        for n, (first, last) in enumerate([(0, 602), (600, 1200)])
    ]
    analysis = analysed(tmp_path, *exported(tmp_path, parts))
    assert {(s.state, s.reason) for s in logs(analysis)} == {(SourceState.OK, "")}


def test_files_without_latencies_that_meet_within_a_second_are_added(tmp_path: Path) -> None:
    every = [asked(at / 6, "/a", 200, None, str(at)) for at in range(3600)]
    parts = every[:1803], every[1803:]
    analysis = analysed(tmp_path, *exported(tmp_path, parts))
    assert analysis.requests == len(every)
    assert {(s.state, s.reason) for s in logs(analysis)} == {(SourceState.OK, "")}


@pytest.mark.parametrize("at", [300.9, 599.9])
def test_one_more_request_at_an_end_of_what_is_alike_is_told(at: float, tmp_path: Path) -> None:
    checks = [asked(at + 0.5, "/health", 200, 1 + at % 2, str(at)) for at in range(900)]
    parts = between(checks, 0, 600), [*between(checks, 300, 900), asked(at, "/health", 200, 1, "x")]
    analysis = analysed(tmp_path, *exported(tmp_path, parts))
    assert told(analysis).startswith("up to 300 requests may be counted twice")


def health_checks(node: int) -> list[Request]:
    """One a second, of which those of some minutes fail."""
    chance = random.Random(node)
    failing = range(300, 500)
    return [
        asked(at + chance.random(), "/health", 504, 29_000, f"{node}-{at}")
        if at in failing
        else asked(at + chance.random(), "/health", 200, 2, f"{node}-{at}")
        for at in range(900)
    ]


def test_two_nodes_with_the_same_counts_are_no_copies(tmp_path: Path) -> None:
    analysis = analysed(tmp_path, *exported(tmp_path, [health_checks(1), health_checks(2)]))
    assert (analysis.failed_requests, analysis.requests) == (400, 400)
    assert {(s.state, s.reason) for s in logs(analysis)} == {(SourceState.OK, "")}


def test_a_copy_counts_once(tmp_path: Path) -> None:
    """The same lines behind a blank one, which makes another file of them but no other rows."""
    files = exported(tmp_path, [health_checks(1), health_checks(1)])
    files[1].write_text(files[1].read_text(encoding="utf-8") + "\n", encoding="utf-8")
    analysis = analysed(tmp_path, *files)
    assert (analysis.failed_requests, analysis.requests) == (200, 200)


@pytest.mark.parametrize(
    ("is_torn", "said"),
    [
        (False, "Some requests may be counted twice, so this may be more than failed."),
        (True, "one of the gateway's logs is not whole, so this may be more than failed, or less."),
    ],
)
def test_what_may_count_twice_is_not_the_least_that_failed(
    is_torn: bool, said: str, tmp_path: Path
) -> None:
    every = [
        one
        for at in range(900)
        for one in (
            asked(at + 0.5, "/health", 200, 1),
            asked(at + 0.6, "/b", *((504, 29_000) if 350 <= at < 700 else (200, 20))),
        )
    ]
    files = exported(tmp_path, [between(every, 0, 600), between(every, 300, 900)])
    if is_torn:
        files[0].write_text(files[0].read_text(encoding="utf-8") + "{torn\n" * 50, encoding="utf-8")
    analysis = analysed(tmp_path, *files)
    (failed,) = [a for a in answers(analysis) if a.question == "How many requests failed?"]
    text = " ".join(sentence.pattern for sentence in failed.told)
    assert said in text and "the least" not in text
