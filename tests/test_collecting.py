"""What stands in a case after sources answered, failed, answered again, or grew meanwhile."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from incident_rca.asking import Fetched, Outcome, Question
from incident_rca.case import read_case
from incident_rca.collecting import Collected, collect
from incident_rca.errors import IncidentRcaError, NoSuchCase, Unreachable
from incident_rca.model import SourceState, SourceStatus, TimeWindow
from incident_rca.past_window import Past, questions
from incident_rca.pipeline import analyse_case, write_reports
from incident_rca.settings import Settings
from incident_rca.sources.answers import Absent, envelope
from incident_rca.verification import verify_case
from tests.cli.running import tree
from tests.formats.builders import header, instant, probe, write
from tests.sources.blocked import until

WINDOW = TimeWindow(instant("14:00:00"), instant("14:10:00"))
SERVER = "db.example-5432-orders"
RECORDING = f"{SERVER}.recording"


def now() -> datetime:
    return datetime(2026, 1, 15, 16, 0, tzinfo=UTC)


def segment(base: Path, start: str, seconds: int, *, name: str = "") -> Path:
    """A segment with a probe each second from a time of day on, last written to when it ended."""
    first = instant(start)
    folder = base / SERVER
    folder.mkdir(parents=True, exist_ok=True)
    probes = [
        probe(f"{first + timedelta(seconds=n):%H:%M:%S}", ["shop", "active", None, None, 3])
        for n in range(seconds)
    ]
    named = f"locks-{instant(name or start):%Y%m%dT%H%M%SZ}.ndjson"
    path = write(folder / named, header(), *probes)
    written = (first + timedelta(seconds=seconds)).timestamp()
    os.utime(path, (written, written))
    return path


def gathered(folder: Path, asked: Sequence[Question], window: TimeWindow = WINDOW) -> Collected:
    return collect(folder / "INC-1", asked, window=window, settings=Settings())


def recorded(folder: Path, base: Path, window: TimeWindow = WINDOW) -> SourceStatus:
    """The recording of a case into which the recorder's folder was collected."""
    past = Past(recordings=base)
    recordings = [q for q in questions(past, window, now=now) if q.kind == "lock_recording"]
    return source(gathered(folder, recordings, window), recordings[0].name)


def source(done: Collected, name: str) -> SourceStatus:
    (found,) = (s for s in done.case.sources if s.name == name)
    return found


def raw(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "INC-1" / "raw").iterdir())


def assert_verified(folder: Path) -> None:
    """The report can be written, and verify finds nothing."""
    case = folder / "INC-1"
    write_reports(case, analyse_case(case))
    assert [check for check in verify_case(case) if check.problem] == []


# --- recordings -------------------------------------------------------------------------------


def test_segments_that_cover_the_window_together_are_complete(tmp_path: Path) -> None:
    for start in ("13:58:00", "14:02:00", "14:06:00", "14:10:00"):
        segment(tmp_path / "rec", start, 240)
    segment(tmp_path / "rec", "12:00:00", 240)
    segment(tmp_path / "rec", "15:00:00", 240)
    found = recorded(tmp_path, tmp_path / "rec")
    assert (found.state, found.reason, found.gaps) == (SourceState.OK, "", ())
    assert found.covered == TimeWindow(instant("13:58:00"), instant("14:10:00"))
    assert [Path(f.path).name.partition("locks-")[2] for f in found.files] == [
        "20260115T135800Z.ndjson",
        "20260115T140200Z.ndjson",
        "20260115T140600Z.ndjson",
    ]
    assert_verified(tmp_path)


@pytest.mark.parametrize(
    ("start", "seconds", "words"),
    [
        ("14:03:00", 500, "recorded only from 2026-01-15T14:03:00Z to 2026-01-15T14:10:00Z"),
        ("13:59:00", 120, "recorded only from 2026-01-15T14:00:00Z to 2026-01-15T14:01:00Z"),
        ("14:03:00", 60, "recorded only from 2026-01-15T14:03:00Z to 2026-01-15T14:04:00Z"),
    ],
)
def test_an_end_of_the_window_without_a_recorder_is_told(
    tmp_path: Path, start: str, seconds: int, words: str
) -> None:
    segment(tmp_path / "rec", start, seconds)
    found = recorded(tmp_path, tmp_path / "rec")
    assert (found.state, found.reason) == (SourceState.PARTIAL, words)
    assert found.hint and found.asked == WINDOW
    assert_verified(tmp_path)
    assert words in (tmp_path / "INC-1" / "report.md").read_text()


def test_a_hole_between_two_segments_is_a_gap(tmp_path: Path) -> None:
    segment(tmp_path / "rec", "13:59:00", 180)
    segment(tmp_path / "rec", "14:05:00", 400)
    (gap,) = recorded(tmp_path, tmp_path / "rec").gaps
    assert gap.window == TimeWindow(instant("14:02:00"), instant("14:05:00"))
    states = {s.name: s for s in analyse_case(tmp_path / "INC-1").case.sources}
    assert states[RECORDING].state is SourceState.PARTIAL
    assert "14:02:00Z to 2026-01-15T14:05:00Z" in states[RECORDING].reason


def test_a_recorder_of_another_day_did_not_run(tmp_path: Path) -> None:
    segment(tmp_path / "rec", "12:00:00", 240)
    found = recorded(tmp_path, tmp_path / "rec")
    assert (found.name, found.state) == ("lock_recording", SourceState.SKIPPED)
    assert found.reason.startswith("no recorder ran") and "incident-rca record" in found.hint


def test_a_fresh_copy_of_an_old_segment_holds_nothing_of_the_window(tmp_path: Path) -> None:
    path = segment(tmp_path / "rec", "12:00:00", 240)
    late = instant("15:00:00").timestamp()
    os.utime(path, (late, late))
    found = recorded(tmp_path, tmp_path / "rec")
    assert (found.name, found.state) == (RECORDING, SourceState.SKIPPED)
    assert raw(tmp_path) == []


def test_a_segment_that_grew_takes_the_place_of_its_beginning(tmp_path: Path) -> None:
    segment(tmp_path / "rec", "13:59:00", 200)
    first = recorded(tmp_path, tmp_path / "rec")
    assert_verified(tmp_path)
    path = segment(tmp_path / "rec", "13:59:00", 700)
    second = recorded(tmp_path, tmp_path / "rec")
    assert (first.state, second.state) == (SourceState.PARTIAL, SourceState.OK)
    assert second.rows == 701
    (kept,) = raw(tmp_path)
    assert (tmp_path / "INC-1" / "raw" / kept).read_bytes() == path.read_bytes()
    assert_verified(tmp_path)


def test_the_same_again_changes_nothing(tmp_path: Path) -> None:
    segment(tmp_path / "rec", "13:59:00", 700)
    recorded(tmp_path, tmp_path / "rec")
    before = tree(tmp_path / "INC-1")
    recorded(tmp_path, tmp_path / "rec")
    assert tree(tmp_path / "INC-1") == before


def test_what_the_recorder_deleted_since_stays(tmp_path: Path) -> None:
    old = segment(tmp_path / "rec", "13:59:00", 300)
    recorded(tmp_path, tmp_path / "rec")
    old.unlink()
    segment(tmp_path / "rec", "14:04:00", 400)
    found = recorded(tmp_path, tmp_path / "rec")
    assert (found.state, len(found.files)) == (SourceState.OK, 2)
    assert_verified(tmp_path)


def test_a_longer_window_makes_the_same_recording_partial(tmp_path: Path) -> None:
    segment(tmp_path / "rec", "13:59:00", 700)
    assert recorded(tmp_path, tmp_path / "rec").state is SourceState.OK
    longer = TimeWindow(WINDOW.start, instant("14:30:00"))
    found = recorded(tmp_path, tmp_path / "rec", longer)
    assert (found.state, found.asked) == (SourceState.PARTIAL, longer)


def test_one_segment_that_cannot_be_read_costs_only_itself(tmp_path: Path) -> None:
    segment(tmp_path / "rec", "13:59:00", 300)
    newer = segment(tmp_path / "rec", "14:04:00", 400)
    write(newer, header(version=99), probe("14:05:00"))
    found = recorded(tmp_path, tmp_path / "rec")
    assert (found.state, len(found.files)) == (SourceState.PARTIAL, 1)
    assert "format 99" in found.reason


# --- answers ----------------------------------------------------------------------------------


def residue(*names: str, asked: TimeWindow = WINDOW) -> dict[str, Any]:
    """An answer with one long statement for each name of a table."""
    return {
        "service": "postgres_residue",
        "request": {"query": "q", "database": "shop", "window": in_words(asked)},
        "asked_at": "2026-01-15T16:00:00Z",
        "response": {
            "invalid_indexes": {"columns": ["schema", "table", "index"], "rows": []},
            "statements": {
                "columns": ["queryid", "query", "calls", "max_ms", "mean_ms"],
                "rows": [[name, f"TABLE {name}", 3, 900.0, 300.0] for name in names],
            },
            "migrations": [],
        },
    }


def in_words(window: TimeWindow) -> dict[str, str]:
    form = "%Y-%m-%dT%H:%M:%SZ"
    return {"start": f"{window.start:{form}}", "end": f"{window.end:{form}}"}


def ring(oldest: str, newest: str, asked: TimeWindow) -> dict[str, Any]:
    """An answer of pgsentinel whose ring reaches from one time of day to another."""
    reach = {"oldest": f"2026-01-15T{oldest}Z", "newest": f"2026-01-15T{newest}Z", "samples": 9}
    rows = [[f"2026-01-15T{oldest}Z", 4711, None, "CPU"]]
    return {
        "service": "pgsentinel",
        "request": {"query": "q", "window": in_words(asked)},
        "asked_at": "2026-01-15T16:00:00Z",
        "response": {
            "columns": ["ash_time", "pid", "backend_start", "wait_event_type"],
            "rows": rows,
            "ring": reach,
        },
    }


def asking(
    answer: Outcome | Exception | type[BaseException],
    name: str = "db.postgres_residue",
    kind: str = "server_residue",
    asked: list[TimeWindow] | None = None,
) -> Question:
    """A question with this answer; notes for which windows it was asked."""

    def ask(window: TimeWindow) -> Outcome:
        if asked is not None:
            asked.append(window)
        if isinstance(answer, Exception | type):
            raise answer
        return answer

    return Question(name=name, kind=kind, ask=ask)


DOWN = Unreachable("PostgreSQL at db: Connection refused", hint="check the host")


def test_one_that_fails_costs_only_itself(tmp_path: Path) -> None:
    done = gathered(
        tmp_path,
        [
            asking(DOWN, "down.postgres_residue"),
            asking(residue("stock")),
            asking(Absent("not installed", "install it"), "db.pgsentinel", "pgsentinel_history"),
            asking({**residue(), "response": []}, "odd.postgres_residue"),
        ],
    )
    states = {s.name: (s.state, s.reason, s.hint) for s in done.case.sources}
    assert states["down.postgres_residue"] == (SourceState.FAILED, DOWN.message, DOWN.hint)
    assert states["db.pgsentinel"] == (SourceState.SKIPPED, "not installed", "install it")
    assert states["db.postgres_residue"][0] is SourceState.OK
    assert states["odd.postgres_residue"][0] is SourceState.FAILED
    assert raw(tmp_path) == ["db.postgres_residue.json"]
    assert all(s.asked == WINDOW for s in done.case.sources)
    assert read_case(tmp_path / "INC-1") == done.case


def test_an_answer_is_kept_as_it_came_with_its_question(tmp_path: Path) -> None:
    answer = residue("stöck")
    gathered(tmp_path, [asking(answer)])
    path = tmp_path / "INC-1" / "raw" / "db.postgres_residue.json"
    assert json.loads(path.read_text(encoding="utf-8")) == answer
    assert_verified(tmp_path)


def test_what_failed_is_asked_again_and_what_is_good_is_not(tmp_path: Path) -> None:
    asked: list[TimeWindow] = []
    good = asking(residue("a"), "good.postgres_residue", asked=asked)
    gathered(tmp_path, [good, asking(DOWN)])
    done = gathered(tmp_path, [good, asking(residue("b"))])
    assert asked == [WINDOW]
    assert done.known == ("good.postgres_residue",)
    assert [s.name for s in done.answered] == ["db.postgres_residue"]
    assert source(done, "db.postgres_residue").state is SourceState.OK
    assert_verified(tmp_path)


def test_a_failure_does_not_lose_what_was_good(tmp_path: Path) -> None:
    gathered(tmp_path, [asking(residue("a"))])
    longer = TimeWindow(WINDOW.start, instant("14:30:00"))
    done = gathered(tmp_path, [asking(DOWN)], longer)
    found = source(done, "db.postgres_residue")
    assert (found.state, found.rows, len(found.files)) == (SourceState.PARTIAL, 1, 1)
    assert DOWN.message in found.reason and found.asked == WINDOW
    assert done.kept == (("db.postgres_residue", DOWN.message),)
    again = gathered(tmp_path, [asking(residue("a", asked=longer))], longer)
    assert source(again, "db.postgres_residue").state is SourceState.OK
    assert raw(tmp_path) == ["db.postgres_residue-2.json"]
    assert_verified(tmp_path)


def test_an_answer_that_covers_more_takes_the_place_of_the_old(tmp_path: Path) -> None:
    longer = TimeWindow(instant("13:50:00"), instant("14:30:00"))
    name, kind = "db.pgsentinel", "pgsentinel_history"
    gathered(tmp_path, [asking(ring("13:55:00", "15:00:00", WINDOW), name, kind)])
    done = gathered(tmp_path, [asking(ring("13:55:00", "15:00:00", longer), name, kind)], longer)
    assert [s.name for s in done.case.sources] == [name]
    assert source(done, name).covered == TimeWindow(instant("13:55:00"), longer.end)
    assert len(raw(tmp_path)) == 1
    assert_verified(tmp_path)


def test_an_answer_that_covers_less_stands_beside_the_old(tmp_path: Path) -> None:
    """The ring was overwritten between the two."""
    longer = TimeWindow(instant("13:50:00"), instant("14:30:00"))
    name, kind = "db.pgsentinel", "pgsentinel_history"
    gathered(tmp_path, [asking(ring("13:55:00", "15:00:00", WINDOW), name, kind)])
    done = gathered(tmp_path, [asking(ring("14:05:00", "15:00:00", longer), name, kind)], longer)
    covered = {s.name: s.covered for s in done.case.sources}
    assert covered == {
        name: WINDOW,
        f"{name}-2": TimeWindow(instant("14:05:00"), longer.end),
    }
    assert len(raw(tmp_path)) == 2
    assert_verified(tmp_path)


def server_log(folder: Path, error: str | None, *instants: str) -> Fetched:
    """The lines of a server's log of these times, as collect fetches them from CloudWatch Logs."""
    name = "server.ndjson"
    request = {"kind": "postgres_log", "selection": "all"}
    broke = {"code": "TimeOver", "message": error} if error else None
    response = {"complete": error is None, "error": broke}
    asked_at = now()
    head = envelope("cloudwatch_logs", request, response, window=WINDOW, asked_at=asked_at)
    lines = [
        {
            "timestamp": round(instant(at).timestamp() * 1000),
            "eventId": at,
            "message": f"2026-01-15 {at}.000 UTC [7] LOG:  checkpoint complete",
        }
        for at in instants
    ]
    folder.mkdir()
    path = write(folder / name, *map(json.dumps, [head, *lines]))
    return Fetched({name: path}, asked_at=asked_at)


def test_a_whole_log_takes_the_place_of_half_of_it(tmp_path: Path) -> None:
    """A log is asked for with a minute more on each side, so that half of it may reach outside."""
    kind, reading = "cloudwatch_postgres_log", {"log_line_prefix": "%m [%p] "}
    times = ("13:59:30", "14:04:00", "14:10:30")
    half = server_log(tmp_path / "half", "its time was over", *times[:2])
    whole = server_log(tmp_path / "whole", None, *times)
    for answer, state, rows in ((half, SourceState.PARTIAL, 2), (whole, SourceState.OK, 3)):
        done = gathered(tmp_path, [replace(asking(answer, "log", kind), reading=reading)])
        (found,) = done.case.sources
        assert (found.name, found.state, found.rows) == ("log", state, rows)
        assert len(raw(tmp_path)) == 1


def test_a_file_that_was_changed_is_fetched_again(tmp_path: Path) -> None:
    gathered(tmp_path, [asking(residue("a"))])
    path = tmp_path / "INC-1" / "raw" / "db.postgres_residue.json"
    path.write_text("{}")
    done = gathered(tmp_path, [asking(residue("a"))])
    assert [s.name for s in done.answered] == ["db.postgres_residue"]
    assert_verified(tmp_path)


def test_what_stood_for_a_kind_goes_when_something_of_it_comes(tmp_path: Path) -> None:
    gathered(tmp_path, [asking(Absent("no --dsn"), "server_residue")])
    done = gathered(tmp_path, [asking(residue("a"))])
    assert [s.name for s in done.case.sources] == ["db.postgres_residue"]


def test_what_came_before_an_interruption_is_kept(tmp_path: Path) -> None:
    def when_the_first_is_there(window: TimeWindow) -> Outcome:
        until(lambda: any((tmp_path / "INC-1").glob("raw/db.*.json")))
        raise KeyboardInterrupt

    interrupted = Question(
        name="z.postgres_residue", kind="server_residue", ask=when_the_first_is_there
    )
    with pytest.raises(KeyboardInterrupt):
        gathered(tmp_path, [asking(residue("a")), interrupted])
    (found,) = read_case(tmp_path / "INC-1").sources
    assert found.name == "db.postgres_residue"
    asked: list[TimeWindow] = []
    gathered(tmp_path, [asking(residue("a"), asked=asked)])
    assert asked == []
    assert_verified(tmp_path)


@pytest.mark.parametrize("name", ["notes.txt", "raw"])
def test_a_folder_with_something_else_is_refused(tmp_path: Path, name: str) -> None:
    case = tmp_path / "INC-1"
    case.mkdir()
    write(case / name, "mine")
    with pytest.raises(NoSuchCase, match="not empty"):
        gathered(tmp_path, [asking(residue("a"))])
    assert tree(case) == {name: b"mine\n"}


def test_a_source_named_twice_is_refused(tmp_path: Path) -> None:
    past = Past(recordings=tmp_path, dsns=["host=db.example"] * 2)
    with pytest.raises(IncidentRcaError, match="named twice"):
        questions(past, WINDOW, now=now)


def test_progress_names_who_is_still_asked(tmp_path: Path) -> None:
    steps: list[str] = []
    show: Callable[[str], None] = steps.append
    collect(
        tmp_path / "INC-1",
        [asking(residue("a")), asking(DOWN, "down.postgres_residue")],
        window=WINDOW,
        settings=Settings(),
        progress=show,
    )
    assert steps[0] == "asking db.postgres_residue, down.postgres_residue"
    assert sum(step.startswith("reading ") for step in steps) == 2
