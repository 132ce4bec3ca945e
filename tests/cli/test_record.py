"""`incident-rca record` as a process: signals, kills, full disks, other writers, many servers."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from incident_rca.formats import lock_recording
from incident_rca.formats.parsed import RawInput
from tests.cli.running import ANSI, COMMAND, environment, refused, run
from tests.lab.servers import Server, running_server
from tests.sources.blocked import in_transaction, until, waiters

Record = dict[str, Any]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server(18) as running:
        with running.connect() as setup:
            setup.execute("CREATE TABLE stock (sku int PRIMARY KEY, n int)")
            setup.execute('CREATE ROLE "Odd one" LOGIN')
            setup.execute("CREATE DATABASE orders")
        yield running


@contextmanager
def recorder(folder: Path, server: Server, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A recorder that writes below `folder`; killed at the end if it still runs."""
    words = [*COMMAND, "record", "--dsn", server.dsn, "--to", str(folder), *options]
    process = subprocess.Popen(
        words,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def texts(folder: Path) -> list[str]:
    """All lines that are written so far, the last of a file perhaps torn."""
    return [
        line
        for path in sorted(folder.glob("*/locks-*.ndjson"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def probes(folder: Path) -> int:
    return sum('"kind":"probe"' in line for line in texts(folder))


def snapshots(folder: Path) -> int:
    return sum('"kind":"snapshot"' in line for line in texts(folder))


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=30)
    assert "Traceback" not in err and not ANSI.search(err)
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("number", "code", "reason"),
    [(signal.SIGTERM, 0, "terminated"), (signal.SIGINT, 130, "interrupted")],
)
def test_a_signal_ends_it_in_order(
    server: Server, tmp_path: Path, number: signal.Signals, code: int, reason: str
) -> None:
    with recorder(tmp_path, server) as process:
        until(lambda: probes(tmp_path) >= 2)
        process.send_signal(number)
        found, out, err = ended(process)
    assert (found, out) == (code, "")
    lines = [json.loads(line) for line in texts(tmp_path)]
    assert lines[0]["kind"] == "header" and lines[-1]["reason"] == reason
    # Without a terminal one line at the start and one at the end.
    first, last = err.splitlines()
    assert re.search(r"PostgreSQL 18.*, to .*locks-.*\.ndjson", first)
    assert f"{reason}; {probes(tmp_path)} probes, 0 snapshots, 0 gaps" in last


def test_what_it_recorded_can_be_read(server: Server, tmp_path: Path) -> None:
    with (
        recorder(tmp_path, server, "--json") as process,
        in_transaction(server, "CREATE INDEX i ON stock (n)", "SELECT 1") as holder,
        waiters(server, 3, "INSERT INTO stock VALUES (1)") as waiting,
    ):
        until(lambda: snapshots(tmp_path) >= 2)
        process.terminate()
        code, out, _ = ended(process)
    (row,) = json.loads(out)
    assert code == 0 and row["ended"] == "terminated"
    assert row["probes"] == probes(tmp_path) and row["snapshots"] >= 2 and row["gaps"] == 0
    (path,) = Path(row["folder"]).glob("locks-*.ndjson")
    assert path.stat().st_size == row["bytes"]
    raw = RawInput(path=path, file=path.name, source="given", work=tmp_path)
    parsed = lock_recording.parse(raw)
    assert (parsed.unparsed, parsed.rows) == (0, len(texts(tmp_path)))
    edges = parsed.frames["locks"]
    assert set(edges["edge"]) == {"hard"} and set(edges["holder_pid"]) == {holder}
    assert set(edges["waiter_pid"]) == set(waiting)
    assert set(edges["relation"]) == {"public.stock"}


def test_a_kill_leaves_whole_lines(server: Server, tmp_path: Path) -> None:
    with (
        recorder(tmp_path, server) as process,
        in_transaction(server, "LOCK TABLE stock"),
        waiters(server, 20, "INSERT INTO stock VALUES (1)"),
    ):
        until(lambda: snapshots(tmp_path) >= 2)
        process.kill()
        process.wait()
    assert {json.loads(line)["kind"] for line in texts(tmp_path)} == {"header", "probe", "snapshot"}
    # The next one writes to a file of its own and is not kept out by the lock of the dead one.
    before = set(tmp_path.glob("*/locks-*"))
    assert run(tmp_path, "record", "--dsn", server.dsn, "--to", tmp_path, "--for", "2s").code == 0
    assert len(set(tmp_path.glob("*/locks-*")) - before) == 1


def test_a_full_disk_is_a_gap_and_no_end(server: Server, tmp_path: Path) -> None:
    with recorder(tmp_path, server) as process:
        until(lambda: probes(tmp_path) >= 2)
        (path,) = tmp_path.glob("*/locks-*.ndjson")
        unlimited = resource.RLIM_INFINITY
        room = path.stat().st_size + 100
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (room, unlimited))
        assert process.stderr is not None
        told = [process.stderr.readline() for _ in range(2)]
        assert "not written (File too large)" in told[1]
        whole = texts(tmp_path)
        assert path.stat().st_size < room and process.poll() is None
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
        until(lambda: probes(tmp_path) >= len(whole) + 1)
        process.terminate()
        code, _, err = ended(process)
    assert code == 0 and "recording" in err
    lines = [json.loads(line) for line in texts(tmp_path)]
    (gap,) = [line for line in lines if line["kind"] == "gap"]
    assert re.fullmatch(r"File too large; [1-9][0-9]* lines lost", gap["reason"])
    at = lines.index(gap)
    assert [line["kind"] for line in lines[at - 1 : at + 3]] == ["probe", "gap", "header", "probe"]
    assert lines[at - 1]["at"] <= gap["from"] < gap["to"] <= lines[at + 2]["at"]


def test_a_second_writer_is_refused(server: Server, tmp_path: Path) -> None:
    with recorder(tmp_path, server) as process:
        until(lambda: probes(tmp_path) >= 1)
        second = refused(2, tmp_path, "record", "--dsn", server.dsn, "--to", tmp_path)
        assert f"process id {process.pid} " in second.errors[0]
        assert str(next(tmp_path.glob("127*"))) in second.errors[0]
        assert process.poll() is None


def test_several_servers_have_a_folder_each(server: Server, tmp_path: Path) -> None:
    other = server.dsn_of("orders")
    with recorder(tmp_path, server, "--dsn", other, "--for", "3s", "--json") as process:
        code, out, err = ended(process)
    rows = json.loads(out)
    assert code == 0 and len(rows) == 2 and {row["gaps"] for row in rows} == {0}
    assert {row["ended"] for row in rows} == {"finished"}
    for row, database in zip(rows, ("postgres", "orders"), strict=True):
        (path,) = Path(row["folder"]).glob("locks-*.ndjson")
        head = json.loads(path.read_text().splitlines()[0])
        assert head["server"]["database"] == database and path.parent.name.endswith(database)
    assert len(err.splitlines()) == 4


def test_the_same_database_twice_is_refused(server: Server, tmp_path: Path) -> None:
    words = ("record", "--to", tmp_path, "--dsn", server.dsn, "--dsn", server.dsn)
    assert "twice" in refused(2, tmp_path, *words).errors[0]


def test_a_role_that_sees_nothing_gets_the_cure_once(server: Server, tmp_path: Path) -> None:
    dsn = server.dsn_of("postgres", "Odd%20one")
    ran = run(tmp_path, "record", "--dsn", dsn, "--to", tmp_path, "--for", "2s")
    assert ran.code == 0
    assert ran.hints == ['hint: GRANT pg_read_all_stats TO "Odd one";']
    head = json.loads(texts(tmp_path)[0])
    assert head["visibility"] == "restricted"
    # The line cures it.
    with server.connect() as setup:
        setup.execute(ran.hints[0].removeprefix("hint: ").encode())
    assert run(tmp_path, "record", "--dsn", dsn, "--to", tmp_path, "--for", "1s").hints == []


def test_quiet_is_quiet(server: Server, tmp_path: Path) -> None:
    with recorder(tmp_path, server, "--quiet") as process:
        until(lambda: probes(tmp_path) >= 1)
        process.terminate()
        assert ended(process) == (0, "", "")


def test_the_folder_of_the_user_is_the_default(server: Server, tmp_path: Path) -> None:
    ran = run(tmp_path, "record", "--dsn", server.dsn, "--for", "2s", XDG_STATE_HOME=str(tmp_path))
    assert ran.code == 0
    (path,) = (tmp_path / "incident-rca" / "recordings").glob("*/locks-*.ndjson")
    assert path.parent.name == f"127.0.0.1-{server.port}-postgres"


@pytest.mark.parametrize(
    ("code", "word", "options"),
    [
        (2, "DSN", ["--dsn", "http://db"]),
        (2, "--interval", ["--interval", "0s"]),
        (2, "--interval", ["--interval", "fast"]),
        (2, "--keep", ["--keep", "2 days"]),
        (2, "--for", ["--for", "1"]),
        (2, "--max-size", ["--max-size", "2"]),
        (2, "--segment-size", ["--segment-size", "1KB"]),
        (4, "nosuch.invalid", ["--dsn", "host=nosuch.invalid dbname=x"]),
    ],
)
def test_mistakes_are_named(tmp_path: Path, code: int, word: str, options: list[str]) -> None:
    assert word in refused(code, tmp_path, "record", "--to", tmp_path, *options).errors[0]


def test_a_wrong_database_ends_all_at_once(server: Server, tmp_path: Path) -> None:
    wrong = server.dsn_of("nowhere")
    with recorder(tmp_path, server, "--dsn", wrong, "--quiet") as process:
        code, _, err = ended(process)
    assert code == 4 and 'database "nowhere" does not exist' in err


def test_a_server_that_is_down_is_waited_for_and_said_so(tmp_path: Path) -> None:
    dsn = "host=127.0.0.1 port=1 dbname=x user=y"
    ran = run(tmp_path, "record", "--dsn", dsn, "--to", tmp_path, "--for", "3s")
    assert ran.code == 0 and not ran.errors
    # Tried more than once, told once.
    assert [line.count("refused; trying again") for line in ran.err.splitlines()] == [1, 0]
    assert texts(tmp_path) == []


def test_a_terminal_shows_the_status(server: Server, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    words = [*COMMAND, "record", "--dsn", server.dsn, "--to", str(tmp_path), "--for", "3s"]
    process = subprocess.Popen(
        words,
        env=environment(tmp_path, TERM="xterm", COLUMNS="160"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:
        pass  # the terminal is gone with its last user
    os.close(ours)
    assert process.wait(30) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert re.search(r"recording, since [0-9:]+Z, 0 waiting, [1-9] probes, 0 snapshots", text)


# --- the unit file ------------------------------------------------------------------------------


def unit(folder: Path, *options: object) -> dict[str, list[str]]:
    """The settings of the unit that is printed."""
    ran = run(folder, "record", "--print-unit", *options)
    assert (ran.code, ran.err) == (0, "")
    found: dict[str, list[str]] = {}
    for line in ran.out.splitlines():
        if re.match(r"[A-Z]\w*=", line):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_the_unit_runs_this_command_without_a_password(tmp_path: Path) -> None:
    dsn = "postgresql://app:s3cret@db.example:5433/orders?options=-c%20a%3D%24x"
    made = unit(tmp_path, "--dsn", dsn, "--keep", "7d", "--interval", "2s")
    assert "s3cret" not in str(made)
    # systemd splits at blanks outside quotes as a shell does, and reads $$ and %% as one sign.
    words = [word.replace("$$", "$") for word in shlex.split(made["ExecStart"][0])]
    assert Path(words[0]).is_absolute() and os.access(words[0], os.X_OK)
    given = dict(zip(words[2::2], words[3::2], strict=True))
    assert given["--keep"] == "7d" and given["--interval"] == "2s"
    assert "options='-c a=$x'" in given["--dsn"] and "port=5433" in given["--dsn"]
    assert given["--to"] == "%S/incident-rca/recordings"
    assert made["StateDirectory"] == ["incident-rca"] and made["DynamicUser"] == ["yes"]
    assert made["Type"] == ["exec"] and made["Restart"] == ["on-failure"]
    assert "PGPASSFILE=%d/pgpass" in made["Environment"]


def test_the_unit_may_write_to_a_folder_that_was_named(tmp_path: Path) -> None:
    made = unit(tmp_path, "--dsn", "service=orders", "--to", "some where")
    folder = tmp_path / "some where"
    assert made["ReadWritePaths"] == [f'"{folder}"']
    assert made["ExecStart"][0].endswith(f'--to "{folder}"')
    # A user that systemd makes for the time being owns no folder but its state folder.
    assert "DynamicUser" not in made and made["User"] == ["incident-rca"]
    printed = run(tmp_path, "record", "--print-unit", "--to", "some where").out
    assert f"#   install -d -o incident-rca -m 0700 '{folder}'" in printed.splitlines()
    # The test's own folder is below /tmp, which would be another one for the unit.
    places = {"/tmp/x": "no", "/var/tmp/y/z": "no", "/srv/tmp": "yes"}
    for place, private in places.items():
        assert unit(tmp_path, "--to", place)["PrivateTmp"] == [private]
    assert made["Environment"] == ["PGSERVICEFILE=/etc/incident-rca/pg_service.conf"]
