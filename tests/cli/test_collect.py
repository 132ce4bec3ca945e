"""`collect` and `run` as a user runs them: real servers, a real recorder, a local AWS service."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import COMMAND, environment, refused, run, tree
from tests.lab.scenes import create_index_held
from tests.lab.servers import Server, running_server
from tests.sources.blocked import until
from tests.sources.performance_insights_server import page, running_service, series
from tests.sources.performance_insights_server import refused as refusal
from tests.sources.test_pgsentinel import SAMPLE, VIEW
from tests.sources.test_pgwatch import MEASUREMENTS

NOBODY = "postgresql://postgres:hunter2@127.0.0.1:1/orders"
THEN = ("--from", "2026-01-15T14:20:00Z", "--to", "2026-01-15T14:20:04Z")
Source = dict[str, Any]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server(18) as running:
        yield running


def manifest(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "INC-1" / "case.json").read_text())
    return document


def sources(folder: Path) -> dict[str, Source]:
    """The sources of the case by what they are: the last part of their names."""
    return {s["name"].rpartition(".")[2]: s for s in manifest(folder)["sources"]}


def report_of(folder: Path) -> dict[str, Any]:
    assert run(folder, "report", "INC-1").code in (0, 3)
    document: dict[str, Any] = json.loads((folder / "INC-1" / "report.json").read_text())
    return document


def between(start: datetime, end: datetime) -> tuple[str, ...]:
    """The flags of a window in whole seconds that holds both instants."""
    lo, hi = start - timedelta(seconds=1), end + timedelta(seconds=1)
    return ("--from", f"{lo:%Y-%m-%dT%H:%M:%SZ}", "--to", f"{hi:%Y-%m-%dT%H:%M:%SZ}")


@contextmanager
def recorder(folder: Path, dsn: str) -> Iterator[None]:
    """A recorder of this server that has probed; ended in order, so that nothing is lost."""
    to = folder / "recordings"
    words = [*COMMAND, "record", "--dsn", dsn, "--to", str(to), "--for", "60s", "--quiet"]
    process = subprocess.Popen(words, cwd=folder, env=environment(folder))
    try:
        until(lambda: recorded(folder, "probe") >= 1)
        yield
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def recorded(folder: Path, kind: str) -> int:
    """How many lines of a kind the recorder has written."""
    paths = (folder / "recordings").rglob("*.ndjson")
    return sum(path.read_text(encoding="utf-8").count(f'"kind":"{kind}"') for path in paths)


# --- the incident, recorded or not --------------------------------------------------------------


def test_the_recorded_incident_is_the_one_that_happened(server: Server, tmp_path: Path) -> None:
    begun = datetime.now(UTC)
    with create_index_held(server) as truth:
        with recorder(tmp_path, truth.dsn):
            until(lambda: recorded(tmp_path, "snapshot") >= 2)
            truth.release()
            probes = recorded(tmp_path, "probe")
            until(lambda: recorded(tmp_path, "probe") >= probes + 2)
        window = between(begun, datetime.now(UTC))
        words = ("--dsn", truth.dsn, "--recordings", tmp_path / "recordings")
        ran = run(tmp_path, "collect", "INC-1", *window, *words)
    (hold,) = truth.holds
    assert ran.code in (0, 3) and not ran.errors, ran.err
    assert ran.err.splitlines()[0].startswith("Window: ")
    (episode,) = report_of(tmp_path)["lock_episodes"]
    holder = episode["root_holder"]
    assert (episode["database"], episode["relation"]) == (truth.database, hold.relation)
    assert (holder["pid"], holder["mode"], holder["application"]) == (
        hold.pid,
        hold.mode,
        hold.application,
    )
    assert holder["statement"] == hold.statement
    assert episode["waiters_total"] == len(hold.waiters)
    lo, hi = (datetime.fromisoformat(at) for at in episode["held"]["start"])
    assert lo <= hold.taken_before and hi >= hold.taken_after
    lo, hi = (datetime.fromisoformat(at) for at in episode["held"]["end"])
    assert lo <= hold.released_before and hi >= hold.released_after
    assert run(tmp_path, "verify", "INC-1").code == 0


def test_without_a_recorder_it_is_not_recorded_and_not_absent(
    server: Server, tmp_path: Path
) -> None:
    begun = datetime.now(UTC)
    with create_index_held(server) as truth:
        truth.release()
        window = between(begun, datetime.now(UTC))
        ran = run(tmp_path, "collect", "INC-1", *window, "--dsn", truth.dsn)
    found = sources(tmp_path)
    assert ran.code == 0
    assert found["recording"]["state"] == found["pgsentinel"]["state"] == "skipped"
    assert found["recording"]["reason"].startswith("no recorder ran")
    assert f"hint:    {found['recording']['hint']}" in ran.err
    assert f"--dsn {truth.dsn}" in found["recording"]["hint"]
    report = report_of(tmp_path)
    (locks,) = (h for h in report["hypotheses"] if h["kind"] == "lock_blocking")
    assert (locks["verdict"], locks["role"]) == ("insufficient", "contributing")
    assert "not recorded is not the same as did not happen" in locks["claims"][0]["text"]
    assert report["lock_episodes"] == []


def test_a_recorder_that_came_late_is_partial(server: Server, tmp_path: Path) -> None:
    early = datetime.now(UTC) - timedelta(minutes=5)
    with recorder(tmp_path, server.dsn):
        pass
    window = between(early, datetime.now(UTC))
    ran = run(tmp_path, "collect", "INC-1", *window, "--recordings", tmp_path / "recordings")
    assert ran.code == 3
    found = sources(tmp_path)["recording"]
    assert found["state"] == "partial" and found["reason"].startswith("recorded only from ")
    assert found["reason"] in ran.err
    assert report_of(tmp_path)["sources"][0]["state"] == "partial"


def test_the_folder_of_the_user_is_the_default(server: Server, tmp_path: Path) -> None:
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    begun = datetime.now(UTC)
    assert run(tmp_path, "record", "--dsn", server.dsn, "--for", "2s", **state).code == 0
    window = between(begun, datetime.now(UTC))
    assert run(tmp_path, "collect", "INC-1", *window, **state).code == 0
    found = sources(tmp_path)
    assert found["recording"]["state"] == "ok"
    assert found["server_residue"]["reason"].startswith("no --dsn")


# --- live servers and their histories -----------------------------------------------------------


def test_the_ring_of_pgsentinel_names_the_holder(server: Server, tmp_path: Path) -> None:
    begun = datetime.now(UTC)
    with create_index_held(server) as truth:
        with server.connect(truth.database) as session:
            session.execute(VIEW.format(schema="public").encode())
            session.execute(SAMPLE.format(schema="public").encode())
        window = between(begun, datetime.now(UTC))
        ran = run(tmp_path, "run", "INC-1", *window, "--dsn", truth.dsn)
        (hold,) = truth.holds
    assert sources(tmp_path)["pgsentinel"]["state"] == "ok", ran.err
    (episode,) = json.loads((tmp_path / "INC-1" / "report.json").read_text())["lock_episodes"]
    assert episode["root_holder"]["pid"] == hold.pid
    (path,) = (tmp_path / "INC-1" / "raw").glob("*.pgsentinel.json")
    answer = json.loads(path.read_text())
    assert answer["server"]["version"].startswith("18")
    assert answer["request"]["window"]["start"] == manifest(tmp_path)["window"]["start"]


def test_pgwatch_and_a_database_that_is_none(server: Server, tmp_path: Path) -> None:
    with server.connect() as setup:
        setup.execute("CREATE DATABASE measurements")
    with server.connect("measurements") as setup:
        for statement in MEASUREMENTS:
            setup.execute(statement.encode())
    words = [*THEN, "--pgwatch-dsn", server.dsn_of("measurements"), "--pgwatch-dsn", server.dsn]
    assert run(tmp_path, "collect", "INC-1", *words).code == 0
    by_name = {s["name"]: s for s in manifest(tmp_path)["sources"]}
    stored = by_name[f"127.0.0.1-{server.port}-measurements.pgwatch"]
    none = by_name[f"127.0.0.1-{server.port}-postgres.pgwatch"]
    assert stored["state"] == "empty" and "whether it looked at all" in stored["blind"]
    assert none["state"] == "skipped" and "no measurements" in none["reason"]


def test_the_log_that_was_not_given_is_named_with_how_to_read_it(
    server: Server, tmp_path: Path
) -> None:
    run(tmp_path, "collect", "INC-1", *THEN, "--dsn", server.dsn)
    hint = sources(tmp_path)["log"]["hint"]
    assert hint.endswith("FILE --log-line-prefix '%m [%p] ' --log-timezone UTC")
    with server.connect() as setup:
        setup.execute("ALTER SYSTEM SET log_lock_waits = off")
        setup.execute("SELECT pg_reload_conf()")
    try:
        until(lambda: _is_off(server))
        run(tmp_path, "collect", "INC-1", "--dsn", server.dsn)
    finally:
        with server.connect() as setup:
            setup.execute("ALTER SYSTEM RESET log_lock_waits")
            setup.execute("SELECT pg_reload_conf()")
    assert "log_lock_waits is off" in sources(tmp_path)["log"]["reason"]


def _is_off(server: Server) -> bool:
    with server.connect() as look:
        return look.execute("SHOW log_lock_waits").fetchall() == [("off",)]


def test_a_log_that_is_given_shows_the_episode(server: Server, tmp_path: Path) -> None:
    begun = datetime.now(UTC)
    with create_index_held(server) as truth:
        truth.until_logged()
        truth.release()
        window = between(begun, datetime.now(UTC))
        assert run(tmp_path, "collect", "INC-1", *window, "--dsn", truth.dsn).code == 0
        log = ("--postgres-log", server.logs / "postgresql.csv")
        assert run(tmp_path, "collect", "INC-1", "--dsn", truth.dsn, *log).code == 0
    (hold,) = truth.holds
    # What had said that it was missing is gone.
    logs = [s for s in manifest(tmp_path)["sources"] if s["kind"] == "postgres_log"]
    assert [(s["name"], s["state"]) for s in logs] == [("postgresql.log", "ok")]
    (episode,) = report_of(tmp_path)["lock_episodes"]
    assert episode["root_holder"]["pid"] == hold.pid
    assert episode["waiters_total"] == len(hold.waiters)


def test_performance_insights(tmp_path: Path) -> None:
    with running_service() as service:
        keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hunter2"}
        env = {"AWS_ENDPOINT_URL_PI": service.url, **keys}
        words = ("collect", "INC-1", *THEN, "--performance-insights", "db-LAB@eu-west-1")
        for group in ("wait_event", "blocking_session", "blocking_sql", "blocking_object"):
            service.answer(f"db.{group}", refusal("NotAuthorizedException"))
        ran = run(tmp_path, *words, **env)
        found = sources(tmp_path)["performance_insights"]
        assert (ran.code, found["state"]) == (4, "failed")
        assert found["hint"] in ran.err and "pi:GetResourceMetrics" in found["hint"]
        waits = page(series([9.0] * 4, wait_event__name="Lock:relation", wait_event__type="Lock"))
        service.answer("db.wait_event", waits)
        for group in ("blocking_session", "blocking_sql", "blocking_object"):
            service.answer(f"db.{group}", page(series([9.0] * 4)))
        assert run(tmp_path, *words, **env).code == 0
        asked = len(service.asked)
        assert run(tmp_path, *words, **env).code == 0
    assert sources(tmp_path)["performance_insights"]["state"] == "ok"
    assert len(service.asked) == asked
    assert (tmp_path / "INC-1" / "raw" / "db-LAB-eu-west-1.performance_insights.json").is_file()
    assert "hunter2" not in str(tree(tmp_path))


def test_performance_insights_without_a_region(tmp_path: Path) -> None:
    ran = run(tmp_path, "collect", "INC-1", *THEN, "--performance-insights", "db-LAB")
    assert ran.code == 4
    found = sources(tmp_path)["performance_insights"]
    assert found["state"] == "failed" and "db-LAB@" in found["hint"]


# --- exit codes, shapes and refusals ------------------------------------------------------------


def test_nothing_at_all_is_a_case_that_says_why(tmp_path: Path) -> None:
    ran = run(tmp_path, "collect", "INC-1", *THEN, "--dsn", NOBODY)
    assert (ran.code, ran.out) == (4, "")
    found = sources(tmp_path)
    assert found["postgres_residue"]["state"] == found["pgsentinel"]["state"] == "failed"
    assert "Connection refused" in found["postgres_residue"]["reason"]
    assert found["postgres_residue"]["asked"] == {
        "start": "2026-01-15T14:20:00Z",
        "end": "2026-01-15T14:20:04Z",
    }
    assert "hunter2" not in str(tree(tmp_path)) + ran.err
    assert run(tmp_path, "run", "INC-1", "--dsn", NOBODY).code == 4


def test_one_failed_source_beside_a_good_one(tmp_path: Path, files: Path) -> None:
    assert run(tmp_path, "import", "INC-1", files / "access.ndjson").code == 0
    imported = sources(tmp_path)["access"]
    ran = run(tmp_path, "run", "INC-1", "--dsn", NOBODY, "--json")
    assert ran.code == 3
    assert "access" in {s["name"] for s in json.loads(ran.out)["sources"]}
    assert sources(tmp_path)["access"] == imported
    assert run(tmp_path, "verify", "INC-1").code == 0


def test_json_has_the_sources_as_the_report_has_them(server: Server, tmp_path: Path) -> None:
    ran = run(tmp_path, "collect", "INC-1", *THEN, "--dsn", server.dsn, "--json")
    assert ran.code == 0
    assert json.loads(ran.out) == report_of(tmp_path)["sources"]
    nothing = run(tmp_path, "collect", "INC-2", *THEN, "--json")
    assert nothing.code == 4
    assert {s["state"] for s in json.loads(nothing.out)} == {"skipped"}


def test_run_is_collect_and_report(server: Server, tmp_path: Path) -> None:
    ran = run(tmp_path, "run", "INC-1", *THEN, "--dsn", server.dsn, "--title", "Stock is slow")
    assert ran.code == 0
    assert "Stock is slow" in ran.out and "INC-1/report.md" in ran.out
    assert manifest(tmp_path)["title"] == "Stock is slow"
    assert run(tmp_path, "verify", "INC-1").code == 0
    again = run(tmp_path, "run", "INC-1", "--dsn", server.dsn, "--quiet")
    assert (again.code, again.out, again.err) == (0, "", "")


def test_a_server_named_by_the_environment_or_the_settings(server: Server, tmp_path: Path) -> None:
    env = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": "postgres"}
    assert run(tmp_path, "collect", "INC-1", *THEN, **env).code == 0
    assert sources(tmp_path)["postgres_residue"]["state"] == "empty"
    service = tmp_path / "pg_service.conf"
    service.write_text(
        f"[orders-prod]\nhost=127.0.0.1\nport={server.port}\nuser=postgres\npassword=hunter2\n"
    )
    (tmp_path / "incident-rca.toml").write_text('[postgres]\nservice = "orders-prod"\n')
    env = {"PGSERVICEFILE": str(service)}
    assert run(tmp_path, "collect", "INC-2", *THEN, **env).code == 0
    case = json.loads((tmp_path / "INC-2" / "case.json").read_text())
    assert "service-orders-prod.postgres_residue" in {s["name"] for s in case["sources"]}
    assert "hunter2" not in str(tree(tmp_path / "INC-2"))


@pytest.mark.parametrize(
    ("word", "options"),
    [
        ("window", ()),
        ("--window", ("--window", "30m")),
        ("reversed", ("--from", "2026-01-15T15:00Z", "--to", "2026-01-15T14:00Z")),
        ("DSN", (*THEN, "--dsn", "http://db")),
        ("DSN", (*THEN, "--pgwatch-dsn", "=")),
        ("twice", (*THEN, "--dsn", "host=a dbname=b", "--dsn", "host=a dbname=b")),
        ("--recordings", (*THEN, "--recordings", "nowhere")),
        ("--performance-insights", (*THEN, "--performance-insights", "orders")),
        ("--log-timezone", (*THEN, "--log-timezone", "Mars/Olympus")),
    ],
)
@pytest.mark.parametrize("command", ["collect", "run"])
def test_mistakes_are_named_and_leave_nothing(
    tmp_path: Path, command: str, word: str, options: tuple[str, ...]
) -> None:
    assert word in refused(2, tmp_path, command, "INC-1", *options).errors[0]
    assert not (tmp_path / "INC-1").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "INC-1").mkdir()
    (tmp_path / "INC-1" / "notes.txt").write_text("mine")
    ran = run(tmp_path, "collect", "INC-1", *THEN)
    assert ran.code == 2 and "no case" in ran.errors[0]
    assert tree(tmp_path) == {"INC-1/notes.txt": b"mine"}


def test_a_log_that_is_not_there_is_a_failed_source(tmp_path: Path) -> None:
    ran = run(tmp_path, "collect", "INC-1", *THEN, "--postgres-log", "postgresql.log")
    found = sources(tmp_path)["log"]
    assert (ran.code, found["state"]) == (4, "failed")
    assert "is no file" in found["reason"] and "postgresql.log" in ran.err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--around", "2026-01-15T14:30Z", "--window", "30m"), "14:15:00Z .. 14:45:00Z (30m)"),
        (("--from", "2026-01-15T23:20", "--to", "2026-01-15T23:30", "--tz", "Asia/Tokyo"), "23:20"),
        (("--last", "2h"), "(2h)"),
    ],
)
def test_the_window_is_echoed(tmp_path: Path, options: tuple[str, ...], expected: str) -> None:
    ran = run(tmp_path, "collect", "INC-1", *options)
    assert ran.err.startswith("Window: ") and expected in ran.err.splitlines()[0]


# --- what `import` is told of a log -------------------------------------------------------------


def test_import_takes_what_the_log_does_not_say(tmp_path: Path) -> None:
    log = tmp_path / "postgresql.log"
    lines = [
        "2026-01-15 15:20:00.000 CET [4711] LOG:  process 4711 still waiting for RowExclusiveLock "
        "on relation 16437 of database 5 after 1000.1 ms",
        "2026-01-15 15:20:00.000 CET [4711] DETAIL:  Process holding the lock: 10. "
        "Wait queue: 4711.",
        "2026-01-15 15:20:00.000 CET [4711] STATEMENT:  INSERT INTO stock VALUES (1)",
    ]
    log.write_text("\n".join(lines) + "\n")
    words = ("--log-line-prefix", "%m [%p] ", "--log-timezone", "Europe/Berlin")
    assert run(tmp_path, "import", "INC-1", log, *words).code == 0
    (source,) = manifest(tmp_path)["sources"]
    assert source["covered"]["start"] == "2026-01-15T14:20:00Z"
    assert source["reading"] == {"log_line_prefix": "%m [%p] ", "log_timezone": "Europe/Berlin"}
    refused(2, tmp_path, "import", "INC-2", log, "--log-timezone", "Mars/Olympus")
    # The settings say it as well.
    said = '[postgres]\nlog_line_prefix = "%m [%p] "\nlog_timezone = "Europe/Madrid"\n'
    (tmp_path / "incident-rca.toml").write_text(said)
    assert run(tmp_path, "import", "INC-3", log).code == 0
    (source,) = json.loads((tmp_path / "INC-3" / "case.json").read_text())["sources"]
    assert source["reading"] == {"log_line_prefix": "%m [%p] ", "log_timezone": "Europe/Madrid"}
