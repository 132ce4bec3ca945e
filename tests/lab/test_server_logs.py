"""Logs that real servers wrote, in every format, against what the scenes themselves did."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.formats import BY_KIND, postgres_log
from incident_rca.formats.parsed import Parsed, RawInput
from incident_rca.pipeline import parse_raw
from tests.formats.builders import Row, kind_of, rows
from tests.lab.lock_scenes import (
    FORGED,
    SCENES,
    Edge,
    Stage,
    index_build,
    make_tables,
    play,
    row_queue,
)
from tests.lab.servers import Server, running_server


def read(path: Path, folder: Path, **reading: str) -> Parsed:
    raw = RawInput(path=path, file=path.name, source="log", work=folder, reading=reading)
    return parse_raw(BY_KIND["postgres_log"], raw)


def proven(parsed: Parsed) -> set[Edge]:
    return {
        Edge(r["waiter_pid"], r["holder_pid"], r["lock_type"], r["relation"], r["wait_outcome"])
        for r in rows(parsed, "locks")
        if r["edge"] == "hard"
    }


@dataclass(frozen=True)
class Logs:
    """The copied logs of a server on which all scenes were played."""

    version: int
    folder: Path
    stage: Stage

    def parsed(self, suffix: str) -> Parsed:
        return read(self.folder / f"postgresql.{suffix}", self.folder)


@pytest.fixture(scope="module", params=[18, 16])
def logs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Logs]:
    folder = tmp_path_factory.mktemp("logs")
    with running_server(request.param) as server:
        make_tables(server)
        stage = play(server, "postgresql.json", *SCENES)
        for path in server.logs.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
    yield Logs(request.param, folder, stage)


FORMATS = ("json", "csv", "log")


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_wait_has_the_holder_and_the_end_that_the_scenes_made(
    logs: Logs, suffix: str
) -> None:
    parsed = logs.parsed(suffix)
    assert proven(parsed) == logs.stage.edges
    assert parsed.unparsed == 0 and not parsed.damage and not parsed.blind


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_reader_that_is_merely_named_is_not_accused(logs: Logs, suffix: str) -> None:
    named = rows(logs.parsed(suffix), "locks")
    innocent = [row for row in named if row["holder_pid"] in logs.stage.innocent]
    assert {row["edge"] for row in innocent} == {"none"}


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_holder_has_the_mode_that_it_took(logs: Logs, suffix: str) -> None:
    wanted = {
        "stock": ("ShareLock", "candidate"),
        "ledger": ("AccessExclusiveLock", "candidate"),
        "notes": ("AccessExclusiveLock", "candidate"),
        "left_rows": ("ExclusiveLock", "granted"),
        "right_rows": ("ExclusiveLock", "granted"),
    }
    found = {
        row["relation"]: (row["holder_mode"], row["holder_mode_basis"])
        for row in rows(logs.parsed(suffix), "locks")
        if row["edge"] == "hard" and row["relation"] in wanted and row["holder_mode"]
    }
    assert found == wanted


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_wait_for_an_unknown_holder_is_kept(logs: Logs, suffix: str) -> None:
    unknown = [r for r in rows(logs.parsed(suffix), "locks") if r["edge"] == "unknown"]
    assert {(r["waiter_pid"], r["holder_pid"]) for r in unknown} == {
        (pid, None) for pid in logs.stage.unproven
    }


# What a format with another prefix cannot carry, and what counts its lines.
NOT_IN_TEXT = {"line", "wait_end_line", "waiter_application", "holder_application", "database"}
NOT_IN_TEXT |= {"waiter_session", "holder_session", "file", "source"}


def comparable(parsed: Parsed, table: str, without: set[str]) -> list[Mapping[str, Any]]:
    kept = [{k: v for k, v in row.items() if k not in without} for row in rows(parsed, table)]
    return sorted(kept, key=str)


def test_csvlog_and_jsonlog_of_the_same_events_give_the_same_rows(logs: Logs) -> None:
    json_log, csv_log = logs.parsed("json"), logs.parsed("csv")
    lines = {"line", "wait_end_line", "file"}
    for table in ("locks", "server_events"):
        assert comparable(json_log, table, lines) == comparable(csv_log, table, lines)
    assert (json_log.rows, json_log.covered) == (csv_log.rows, csv_log.covered)


def test_the_text_log_of_the_same_events_gives_the_same_rows(logs: Logs) -> None:
    text, whole = logs.parsed("log"), logs.parsed("json")
    assert comparable(text, "locks", NOT_IN_TEXT) == comparable(whole, "locks", NOT_IN_TEXT)
    assert text.rows == whole.rows


def test_sessions_are_those_that_the_server_started(logs: Logs) -> None:
    starts = {
        json.loads(line)["pid"]: json.loads(line)["session_start"]
        for line in (logs.folder / "postgresql.json").read_text("utf-8").splitlines()
    }
    for row in rows(logs.parsed("csv"), "locks"):
        if row["edge"] == "hard":
            pid = row["waiter_pid"]
            start = datetime.strptime(starts[pid] + "+0000", "%Y-%m-%d %H:%M:%S UTC%z")
            assert row["waiter_session"] == f"{pid}@{start:%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize("suffix", FORMATS)
def test_text_that_looks_like_a_log_forges_nothing(logs: Logs, suffix: str) -> None:
    parsed = logs.parsed(suffix)
    assert 1 not in {row["waiter_pid"] for row in rows(parsed, "locks")}
    assert FORGED in (logs.folder / f"postgresql.{suffix}").read_text("utf-8")


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_deadlock_is_an_event_with_its_report(logs: Logs, suffix: str) -> None:
    (event,) = [
        row for row in rows(logs.parsed(suffix), "server_events") if row["kind"] == "deadlock"
    ]
    assert event["message"].count("blocked by process") == 2
    assert "UPDATE left_rows" in event["message"]
    assert "4711" not in event["message"] and "4712" not in event["message"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_log_is_known_by_its_content(logs: Logs, suffix: str, tmp_path: Path) -> None:
    content = (logs.folder / f"postgresql.{suffix}").read_bytes()
    path = tmp_path / "x"
    for written in (content, gzip.compress(content)):
        path.write_bytes(written)
        assert kind_of(path) == "postgres_log"
        assert proven(read(path, tmp_path)) == logs.stage.edges


def accused(parsed: Parsed) -> set[tuple[int, int]]:
    return {
        (r["waiter_pid"], r["holder_pid"])
        for r in rows(parsed, "locks")
        if r["edge"] in ("hard", "named")
    }


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_log_with_lines_lost_accuses_nobody_else(
    logs: Logs, suffix: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    lines = (logs.folder / f"postgresql.{suffix}").read_bytes().split(b"\n")
    lost = data.draw(st.sets(st.integers(0, len(lines) - 1)))
    end = data.draw(st.integers(0, len(lines)))
    path = tmp_path_factory.mktemp("log") / "x"
    path.write_bytes(b"\n".join(line for n, line in enumerate(lines[:end]) if n not in lost))
    truth = {(edge.waiter, edge.holder) for edge in logs.stage.edges}
    assert accused(read(path, path.parent)) <= truth


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_log_is_no_crash(
    logs: Logs, suffix: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray((logs.folder / f"postgresql.{suffix}").read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 200))] = data.draw(st.binary(max_size=20))
    path = tmp_path_factory.mktemp("log") / "x"
    path.write_bytes(content)
    parsed = read(path, path.parent)
    # Two bytes may make a plain file look like gzip: then nothing is read, and that is said.
    assert parsed.rows + parsed.unparsed > 0 or parsed.damage


# --- wrapped by the host ------------------------------------------------------------------------


def stderr_lines(logs: Logs) -> list[str]:
    return (logs.folder / "postgresql.log").read_text("utf-8").splitlines()


def as_cloudnativepg(logs: Logs) -> str:
    """CloudNativePG's log: fields of csvlog as texts, other programs between them."""
    names = postgres_log.columns.CSV_COLUMNS
    import csv

    with (logs.folder / "postgresql.csv").open(encoding="utf-8", newline="") as file:
        records = [dict(zip(names, row, strict=False)) for row in csv.reader(file)]
    other = json.dumps({"level": "info", "logger": "instance-manager", "msg": "probe"})
    lines = [
        json.dumps({"level": "info", "logger": "postgres", "msg": "record", "record": record})
        for record in records
    ]
    return "\n".join([other, *lines, other]) + "\n"


def entries(logs: Logs, key: str) -> list[Row]:
    made = []
    for number, line in enumerate(stderr_lines(logs)):
        made.append({"timestamp": f"2026-11-23T00:00:00.{number:09}Z", key: line})
    return made


def as_cloud_sql(logs: Logs) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries(logs, "textPayload"))


def as_cloud_sql_newest_first(logs: Logs) -> str:
    return json.dumps(entries(logs, "textPayload")[::-1], indent=2)


def as_json_payload(logs: Logs) -> str:
    return "".join(
        json.dumps({"timestamp": entry["timestamp"], "jsonPayload": {"message": entry["m"]}}) + "\n"
        for entry in entries(logs, "m")
    )


def events(logs: Logs) -> list[Row]:
    """CloudWatch's events: a record with its further lines is one message."""
    messages: list[str] = []
    for line in stderr_lines(logs):
        if messages and (line.startswith("\t") or " LOG:  " not in line[:60]):
            messages[-1] += f"\n{line}"
        else:
            messages.append(line)
    return [
        {
            "logStreamName": "db.0",
            "timestamp": 1795392000000 + n,
            "message": message,
            "eventId": "1",
        }
        for n, message in enumerate(messages)
    ]


def as_cloudwatch_answer(logs: Logs) -> str:
    return json.dumps({"events": events(logs), "searchedLogStreams": []}, indent=4)


def as_cloudwatch_answer_in_one_line(logs: Logs) -> str:
    return json.dumps({"events": events(logs), "nextForwardToken": "f/1"})


def as_cloudwatch_lines(logs: Logs) -> str:
    return "".join(json.dumps(event) + "\n" for event in events(logs))


def as_container_log(logs: Logs) -> str:
    return "".join(
        json.dumps({"log": f"{line}\n", "stream": "stderr", "time": "2026-11-23T00:00:00Z"}) + "\n"
        for line in stderr_lines(logs)
    )


WRAPPERS = (
    as_cloudnativepg,
    as_cloud_sql,
    as_cloud_sql_newest_first,
    as_json_payload,
    as_cloudwatch_answer,
    as_cloudwatch_answer_in_one_line,
    as_cloudwatch_lines,
    as_container_log,
)


@pytest.mark.parametrize("wrap", WRAPPERS, ids=lambda wrap: wrap.__name__)
def test_a_wrapped_log_gives_the_same_rows(logs: Logs, wrap: Any, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text(wrap(logs), encoding="utf-8")
    assert kind_of(path) == "postgres_log"
    parsed = read(path, tmp_path)
    assert proven(parsed) == logs.stage.edges
    assert (parsed.unparsed, parsed.blind) == (0, "")
    whole = logs.parsed("json")
    assert comparable(parsed, "locks", NOT_IN_TEXT) == comparable(whole, "locks", NOT_IN_TEXT)


# --- prefixes -----------------------------------------------------------------------------------

INFERRED = (
    "%m [%p] ",
    "%m [%p] %q%u@%d ",
    "%t:%r:%u@%d:[%p]:",
    "%m:%r:%u@%d:[%p]:%l:%e:%s:%v:%x:%c:%q%a:",
    "%t-%c-",
    "%m [%p]: [%l-1] db=%d,user=%u ",
    "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    "time=%m level=%b pid=%p %q(%a) ",
)
NAMED = (
    "%n|%-10p|%20a|%b|%P|%i|%e|%L|%Q|%% ",
    "%q%m %c %-12u ",
    "<%s %m %-8p %5l %v %x %h> %q%d/%a: ",
    "%m %p %Z%y",
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server(18) as running:
        make_tables(running)
        yield running


def with_prefix(server: Server, prefix: str, name: str) -> None:
    """The server logs with this prefix to files of this name from now on."""
    with server.connect() as connection:
        literal = prefix.replace("'", "''")
        connection.execute(f"ALTER SYSTEM SET log_line_prefix = '{literal}'".encode())
        connection.execute(f"ALTER SYSTEM SET log_filename = '{name}.log'".encode())
        connection.execute("SELECT pg_reload_conf()")
    stage = Stage(server, f"{name}.json")

    def is_set() -> bool:
        with server.connect() as connection:
            shown = connection.execute("SHOW log_line_prefix").fetchone()
        return shown == (prefix,) and (server.logs / f"{name}.json").exists()

    stage.until(is_set)


@pytest.mark.parametrize("prefix", [*INFERRED, *NAMED])
def test_any_prefix_gives_the_rows_of_jsonlog(server: Server, prefix: str, tmp_path: Path) -> None:
    name = f"prefix-{(*INFERRED, *NAMED).index(prefix)}"
    with_prefix(server, prefix, name)
    stage = play(server, f"{name}.json", index_build, row_queue)
    path = server.logs / f"{name}.log"
    named = {"log_line_prefix": prefix} if prefix in NAMED else {}
    text, whole = read(path, tmp_path, **named), read(path.with_suffix(".json"), tmp_path)
    assert proven(whole) == stage.edges
    assert proven(text) == stage.edges
    # Processes without a session write no time where it stands behind %q.
    assert text.unparsed == 0 or prefix.startswith("%q")
    fine = text.resolution_seconds == 0.001
    times = set() if fine else {"at", "wait_start", "wait_end", "held_since", "held_until"}
    for one, other in zip(
        comparable(text, "locks", NOT_IN_TEXT | times),
        comparable(whole, "locks", NOT_IN_TEXT | times),
        strict=True,
    ):
        assert one == other
    if "%d" in prefix:
        assert {row["database"] for row in rows(text, "locks")} == {"postgres"}
    if "%c" in prefix or "%s" in prefix:
        sessions = [{r["waiter_session"] for r in rows(p, "locks")} for p in (text, whole)]
        assert sessions[0] == sessions[1]


# --- autovacuum ---------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["warning", "debug1"])
def test_a_cancelled_autovacuum_is_the_holder(level: str, tmp_path: Path) -> None:
    settings = {
        "autovacuum": "on",
        "autovacuum_naptime": "'1s'",
        "log_min_messages": level,
    }
    with running_server(18, settings) as server:
        stage = Stage(server, "postgresql.json")
        owner, watcher = stage.session("owner"), stage.session("watcher")
        owner.run(
            "CREATE TABLE big (n int) WITH (autovacuum_vacuum_cost_delay = 100,"
            " autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_threshold = 0)"
        )
        owner.run("INSERT INTO big SELECT generate_series(1, 100000)")
        owner.run("DELETE FROM big WHERE n % 2 = 0")
        oid = owner.connection.execute("SELECT 'big'::regclass::oid").fetchone()
        worker: list[int] = []

        def is_vacuuming() -> bool:
            found = watcher.connection.execute(
                "SELECT pid FROM pg_stat_progress_vacuum WHERE relid = %s", oid
            ).fetchone()
            worker.extend(found or ())
            return found is not None

        stage.until(is_vacuuming)
        owner.run("ALTER TABLE big ADD COLUMN m int")
        stage.until_logged("canceling autovacuum task")
        stage.close()
        parsed = [read(server.logs / f"postgresql.{s}", tmp_path) for s in ("json", "log")]
    for one in parsed:
        (edge,) = [row for row in rows(one, "locks") if row["edge"] == "hard"]
        assert (edge["waiter_pid"], edge["holder_pid"]) == (owner.pid, worker[-1])
        assert edge["holder_mode"] == "ShareUpdateExclusiveLock"
        assert edge["wait_outcome"] == "granted"
        cancelled = {r["pid"] for r in rows(one, "server_events") if r["kind"] == "cancelled"}
        assert cancelled == {worker[-1]}
