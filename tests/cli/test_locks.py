"""`incident-rca locks` as a user runs it, on a real server with one blocked table."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.cli.running import ANSI, COMMAND, Ran, environment, refused, run
from tests.lab.servers import Server, running_server
from tests.report.test_contract import CONTRACT, check

NOBODY = "postgresql://app:correct-horse@127.0.0.1:1/shop"
PASSWORD = "correct-horse"
EPISODE = CONTRACT["lock_episodes"][0]
SESSION = {"pid", "application", "mode", "state", "statement", "statement_basis"}
# Each of these could end a line, colour the terminal, turn the text round or be read as markup.
HOSTILE = (
    "\x1b[31mred\x1b]0;owned\x07 [bold]b[/bold] :boom: \u202eevil\u200b \x9b2J 'q\" \\ \n\r\t$1"
)
FORBIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server(18, {"track_activity_query_size": "16384"}) as running:
        with running.connect() as connection:
            connection.execute("CREATE TABLE stock (sku text)")
        yield running


@dataclass
class Blocked:
    """A table that a session holds, and sessions that wait for it."""

    server: Server
    sessions: list[psycopg.Connection] = field(default_factory=list)

    def session(self, application: str = "app") -> psycopg.Connection:
        connection = self.server.connect(application_name=application)
        self.sessions.append(connection)
        return connection

    def hold(self, statement: str = "LOCK TABLE stock", application: str = "migrate") -> int:
        holder = self.session(application)
        holder.execute("BEGIN")
        holder.execute(statement)
        return holder.info.backend_pid

    def wait(self, statement: str = "SELECT FROM stock", application: str = "shop-api") -> int:
        waiter = self.session(application)
        waiter.pgconn.send_query(statement.encode())
        pid = waiter.info.backend_pid
        with self.server.connect() as connection:
            query = "SELECT 1 FROM pg_locks WHERE pid = %s AND waitstart IS NOT NULL"
            until(lambda: connection.execute(query, [pid]).fetchone())
        return pid

    def close(self) -> None:
        while self.sessions:
            self.sessions.pop().close()
        with self.server.connect() as connection:
            query = "SELECT 1 FROM pg_locks WHERE NOT granted"
            until(lambda: not connection.execute(query).fetchone())


def until(condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def blocked(server: Server) -> Iterator[Blocked]:
    scene = Blocked(server)
    try:
        yield scene
    finally:
        scene.close()


def locks(cwd: Path, *arguments: object, **more: str) -> Ran:
    return run(cwd, "locks", *arguments, **more)


# --- what it says -------------------------------------------------------------------------------


def test_a_healthy_server_is_said_to_be(tmp_path: Path, server: Server) -> None:
    ran = locks(tmp_path, "--dsn", server.dsn)
    assert (ran.code, ran.err) == (0, "")
    (line,) = ran.out.splitlines()
    assert line.startswith(f"127.0.0.1:{server.port}/postgres")
    assert line.endswith("  no session waits for a lock")
    # The server's own processes are no sessions.
    assert "  0 sessions  " in line
    as_json = locks(tmp_path, "--dsn", server.dsn, "--json")
    assert (as_json.code, json.loads(as_json.out), as_json.err) == (0, [], "")


def test_the_environment_says_where(tmp_path: Path, server: Server) -> None:
    place = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": "postgres"}
    ran = locks(tmp_path, **place)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.rstrip().endswith("no session waits for a lock")


def test_the_tree_in_a_pipe(tmp_path: Path, server: Server) -> None:
    with blocked(server) as scene:
        holder = scene.hold("ALTER TABLE stock ADD COLUMN a int")
        waiters = [scene.wait() for _ in range(3)]
        ran = locks(tmp_path, "--dsn", server.dsn)
    lines = ran.out.splitlines()
    assert (ran.code, ran.err) == (0, "")
    assert lines[0].endswith("  4 sessions  3 sessions wait for locks")
    assert lines[2].startswith(f"pid {holder} (migrate) holds ACCESS EXCLUSIVE")
    assert "ALTER TABLE stock ADD COLUMN a int" in ran.out
    assert "└── 3 × shop-api wait for ACCESS SHARE on public.stock, the longest for" in ran.out
    assert f"  SELECT pg_terminate_backend({holder});" in lines
    assert "Then: 3 sessions would go on at once." in lines
    assert max(map(len, lines)) <= 100
    assert not any(str(pid) in ran.out for pid in waiters)


def test_the_shape_of_the_json(tmp_path: Path, server: Server) -> None:
    with blocked(server) as scene:
        holder = scene.hold("CREATE INDEX ON stock (sku)")
        scene.wait("ALTER TABLE stock ADD COLUMN b int", "migrate-2")
        scene.wait("INSERT INTO stock VALUES ('4711')")
        ran = locks(tmp_path, "--dsn", server.dsn, "--json")
    (item,) = json.loads(ran.out)
    assert (ran.code, ran.err) == (0, "")
    assert list(item) == ["server", *EPISODE, "to_end_it"]
    assert item["server"] == f"127.0.0.1:{server.port}/postgres"
    assert item["root_holder"].keys() == SESSION
    assert item["root_holder"]["pid"] == holder
    assert [session["application"] for session in item["queue_amplifiers"]] == []
    assert item["held"].keys() == {"start", "end"} and item["held"]["end"][1] is None
    assert (item["waiters_total"], item["relation"]) == (2, "public.stock")
    assert item["to_end_it"].keys() == {"commands", "undoes", "then", "still"}
    assert item["to_end_it"]["commands"] == [f"SELECT pg_terminate_backend({holder});"]
    assert item["to_end_it"]["then"] == "1 session would go on at once"
    assert "4711" not in ran.out


def test_no_colour_and_narrow_terminals(tmp_path: Path, server: Server) -> None:
    with blocked(server) as scene:
        holder = scene.hold()
        scene.wait()
        assert "\x1b[" in in_terminal(tmp_path, "locks", "--dsn", server.dsn)
        plain = in_terminal(tmp_path, "locks", "--dsn", server.dsn, NO_COLOR="1")
        assert not re.search(r"\x1b\[[\d;]*3\d[;m]", plain)
        narrow = locks(tmp_path, "--dsn", server.dsn, COLUMNS="30")
    assert f"  SELECT pg_terminate_backend({holder});" in narrow.out.splitlines()
    assert all(
        len(line) <= 30 or "pg_terminate_backend" in line for line in narrow.out.splitlines()
    )


# --- several servers, and those that do not answer ----------------------------------------------


def test_one_of_two_servers_is_away(tmp_path: Path, server: Server) -> None:
    ran = locks(tmp_path, "--dsn", NOBODY, "--dsn", server.dsn)
    assert ran.code == 3
    assert "no session waits for a lock" in ran.out
    assert len(ran.errors) == 1 and "127.0.0.1:1/shop" in ran.errors[0]
    assert PASSWORD not in ran.out + ran.err


def test_nobody_answers(tmp_path: Path) -> None:
    ran = refused(4, tmp_path, "locks", "--dsn", NOBODY)
    assert "127.0.0.1:1/shop" in ran.err and PASSWORD not in ran.err
    two = locks(tmp_path, "--dsn", NOBODY, "--dsn", NOBODY.replace(":1/", ":2/"))
    assert (two.code, two.out, len(two.errors)) == (4, "", 2)


def test_two_databases_side_by_side(tmp_path: Path, server: Server) -> None:
    with blocked(server) as scene:
        scene.hold()
        scene.wait()
        dsns = ("--dsn", server.dsn, "--dsn", server.dsn_of("template1"))
        ran = locks(tmp_path, *dsns)
        items = json.loads(locks(tmp_path, *dsns, "--json").out)
    assert ran.out.count("1 session waits for locks") == 2
    assert [item["server"].rpartition("/")[2] for item in items] == ["postgres", "template1"]
    # The other database knows the table by its number only.
    assert items[0]["relation"] == "public.stock"
    assert re.fullmatch(r"relation \d+", items[1]["relation"])
    assert items[1]["database"] == "postgres"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--dsn", "postgresql://["),
        ("--dsn", "nonsense=1 password=correct-horse"),
        ("--dsn", "host"),
        ("--watch", "--json"),
        ("--watch", "--save", "new.ndjson"),
        ("--save", "new.ndjson", "--dsn", NOBODY, "--dsn", NOBODY),
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ran = refused(2, tmp_path, "locks", *arguments)
    assert PASSWORD not in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_role_without_privileges_is_told_what_to_grant(tmp_path: Path, server: Server) -> None:
    with server.connect() as connection:
        connection.execute("CREATE ROLE \"Observer\" LOGIN PASSWORD 'correct-horse'")
    dsn = server.dsn_of("postgres", "Observer").replace("Observer@", f"Observer:{PASSWORD}@")
    with blocked(server) as scene:
        holder = scene.hold()
        scene.wait()
        ran = locks(tmp_path, "--dsn", dsn)
        as_json = locks(tmp_path, "--dsn", dsn, "--json")
    text = " ".join(ran.out.split())
    assert ran.code == as_json.code == 0
    grant = 'GRANT pg_read_all_stats TO "Observer";'
    assert grant in [line.strip() for line in ran.out.splitlines()]
    # Of hidden sessions it cannot tell which are the server's own: it counts none of them.
    assert "UTC 1 session waits for locks" in text
    assert f"pid {holder} (no application name)" in text or f"pid {holder} (" in text
    assert "what its transaction did, which this role cannot see" in text
    (item,) = json.loads(as_json.out)
    assert (item["root_holder"]["pid"], item["root_holder"]["statement"]) == (holder, "")
    assert f"hint: {grant}" in as_json.err
    assert PASSWORD not in ran.out + ran.err + as_json.out + as_json.err


# --- hostile names and statements ---------------------------------------------------------------


def test_nothing_that_others_wrote_reaches_the_terminal_raw(tmp_path: Path, server: Server) -> None:
    table = 'stock "of\u202e\x1b[31m [red]x[/red]\n" .a'
    quoted = '"' + table.replace('"', '""') + '"'
    with blocked(server) as scene:
        setup = scene.session()
        setup.execute(f"CREATE TABLE {quoted} (a int)".encode())
        holder = scene.session()
        pid = holder.info.backend_pid
        holder.execute("SELECT set_config('application_name', %s, false)", [HOSTILE])
        holder.execute("BEGIN")
        # Comments and literals are left out of what is shown, but names are not.
        holder.execute(f"/* {HOSTILE} */ LOCK TABLE {quoted}".encode())
        long = " + ".join(["a"] * 2500)
        scene.wait(f"TABLE {quoted} ORDER BY {long}, 'mine' || '{HOSTILE.replace(chr(39), '')}'")
        ran = locks(tmp_path, "--dsn", server.dsn)
        as_json = locks(tmp_path, "--dsn", server.dsn, "--json")
        shown = in_terminal(tmp_path, "locks", "--dsn", server.dsn, TERM="dumb", NO_COLOR="1")
        holder.execute("ROLLBACK")
        setup.execute(f"DROP TABLE {quoted}".encode())
    assert not FORBIDDEN.search(ran.out.replace("\n", ""))
    assert not FORBIDDEN.search(shown.replace("\r\n", ""))
    assert "[red]x[/red]" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 100 and len(ran.out.splitlines()) < 20
    assert f"  SELECT pg_terminate_backend({pid});" in ran.out.splitlines()
    (item,) = json.loads(as_json.out)
    assert item["relation"] == f"public.{table}"
    assert not ANSI.search(as_json.out)


def test_the_name_of_a_prepared_transaction_cannot_change_its_command(
    tmp_path: Path, server: Server
) -> None:
    gid = "it's  \x1b[31m'; DROP TABLE stock; --\n\u202e" + "x" * 150
    with blocked(server) as scene:
        holder = scene.session()
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE stock")
        holder.execute(("PREPARE TRANSACTION '" + gid.replace("'", "''") + "'").encode())
        scene.wait()
        ran = locks(tmp_path, "--dsn", server.dsn)
        (command,) = (c for c in ran.out.splitlines() if c.startswith("  ROLLBACK PREPARED "))
        with server.connect() as connection:
            connection.execute(command.strip().encode())
            assert connection.execute("SELECT count(*) FROM pg_prepared_xacts").fetchone() == (0,)
            assert connection.execute("SELECT count(*) FROM stock").fetchone() is not None
    assert not FORBIDDEN.search(ran.out.replace("\n", ""))


def test_locked_catalogs_end_it_soon_and_in_words(tmp_path: Path, server: Server) -> None:
    with blocked(server) as scene:
        # Nobody can watch this one begin: a new session would have to read the catalog itself.
        scene.hold("LOCK TABLE pg_namespace IN ACCESS EXCLUSIVE MODE")
        ran = refused(4, tmp_path, "locks", "--dsn", server.dsn)
    assert "lock timeout" in ran.err


# --- --save -------------------------------------------------------------------------------------


def test_what_was_saved_says_the_same_in_a_report(tmp_path: Path, server: Server) -> None:
    with blocked(server) as scene:
        scene.hold("SELECT FROM stock", "reporting")
        scene.wait("ALTER TABLE stock ADD COLUMN c int", "migrate")
        for _ in range(2):
            scene.wait()
        ran = locks(tmp_path, "--dsn", server.dsn, "--json", "--save", "look.ndjson")
        again = refused(2, tmp_path, "locks", "--dsn", server.dsn, "--save", "look.ndjson")
    (item,) = json.loads(ran.out)
    assert ran.code == 0 and "incident-rca import CASE look.ndjson" in ran.err
    check({key: item[key] for key in item if key not in ("server", "to_end_it")}, EPISODE)
    assert "exists already" in again.err
    lines = (tmp_path / "look.ndjson").read_text(encoding="utf-8").splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds == ["header", "probe", "snapshot"]
    assert run(tmp_path, "import", "INC-1", "look.ndjson").code == 0
    assert run(tmp_path, "report", "INC-1").code == 0
    report = json.loads((tmp_path / "INC-1" / "report.json").read_text(encoding="utf-8"))
    (episode,) = report["lock_episodes"]
    for key in ("database", "relation", "root_holder", "queue_amplifiers", "lock_types"):
        assert episode[key] == item[key], key
    assert [s["application"] for s in episode["queue_amplifiers"]] == ["migrate"]
    assert (episode["waiters_total"], episode["peak_waiters"]) == (3, 3)
    assert episode["held"]["start"] == item["held"]["start"]
    assert episode["deadlocked"] is False


def test_a_healthy_look_can_be_saved_and_imported(tmp_path: Path, server: Server) -> None:
    ran = locks(tmp_path, "--dsn", server.dsn, "--save", "quiet.ndjson", "--quiet")
    assert (ran.code, ran.err) == (0, "")
    assert run(tmp_path, "import", "INC-1", "quiet.ndjson").code == 0


def test_nothing_is_said_to_be_written_where_nothing_was(tmp_path: Path) -> None:
    refused(4, tmp_path, "locks", "--dsn", NOBODY, "--save", "none.ndjson")
    assert not (tmp_path / "none.ndjson").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, server: Server) -> None:
    ran = locks(tmp_path, "--dsn", server.dsn, "--save", "no/such/folder.ndjson")
    assert ran.code == 2 and "no/such/folder.ndjson" in ran.errors[0]


# --- --watch ------------------------------------------------------------------------------------


@dataclass
class Watching:
    """`locks --watch` while it runs, with all that it printed so far."""

    process: subprocess.Popen[bytes]
    descriptor: int
    seen: bytes = b""

    def until(self, text: str) -> None:
        """Reads until this text comes after what was awaited before."""
        start = len(self.seen)
        deadline = time.monotonic() + 30
        while text.encode() not in self.seen[start:]:
            assert time.monotonic() < deadline, self.seen[start:].decode(errors="replace")
            ready, _, _ = select.select([self.descriptor], [], [], 0.2)
            if ready:
                self.seen += os.read(self.descriptor, 65536)
            assert self.process.poll() is None, self.seen.decode(errors="replace")

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        while True:
            try:
                ready, _, _ = select.select([self.descriptor], [], [], 10)
                more = os.read(self.descriptor, 65536) if ready else b""
            except OSError:  # a terminal whose process is gone
                break
            if not more:
                break
            self.seen += more
        return self.process.wait(timeout=20)


@contextmanager
def watching(cwd: Path, *arguments: str, terminal: bool = True) -> Iterator[Watching]:
    reading, writing = pty.openpty() if terminal else os.pipe()
    command = [*COMMAND, "locks", "--watch", "--interval", "0.5", *arguments]
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment(cwd, TERM="xterm", LINES="40"),
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=writing,
    )
    os.close(writing)
    try:
        yield Watching(process, reading)
    finally:
        process.kill()
        process.wait()
        os.close(reading)


def in_terminal(cwd: Path, *arguments: str, **more: str) -> str:
    """What a command prints to a terminal."""
    reading, writing = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(cwd, **{"TERM": "xterm-256color", **more}),
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=writing,
    )
    os.close(writing)
    seen = b""
    try:
        while True:
            try:
                more_bytes = os.read(reading, 65536)
            except OSError:
                break
            if not more_bytes:
                break
            seen += more_bytes
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reading)
    return seen.decode()


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
def test_watch_follows_the_server_until_it_is_interrupted(
    tmp_path: Path, server: Server, terminal: bool
) -> None:
    with watching(tmp_path, "--dsn", server.dsn, terminal=terminal) as watch:
        watch.until("no session waits for a lock")
        with blocked(server) as scene:
            holder = scene.hold()
            scene.wait()
            watch.until("1 session waits for locks")
            watch.until(f"SELECT pg_terminate_backend({holder});")
        watch.until("no session waits for a lock")
        assert watch.interrupt() == 130
    assert b"Traceback" not in watch.seen and b"bug:" not in watch.seen
    assert (b"\x1b[?1049h" in watch.seen) == terminal
    if terminal:  # the screen is given back
        assert watch.seen.rindex(b"\x1b[?1049l") > watch.seen.rindex(b"\x1b[?1049h")


def test_watch_outlives_a_restart_of_the_server(tmp_path: Path) -> None:
    with running_server(16) as own, watching(tmp_path, "--dsn", own.dsn, terminal=False) as watch:
        watch.until("no session waits for a lock")
        own.stop("immediate")
        watch.until(f"error: PostgreSQL at 127.0.0.1:{own.port}/postgres: ")
        own.start()
        watch.until("no session waits for a lock")
        with own.connect() as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'incident-rca'"
            assert connection.execute(query).fetchone() == (1,)
        assert watch.interrupt() == 130
    assert b"Traceback" not in watch.seen


def test_watch_shows_several_servers_and_names_the_one_that_is_away(
    tmp_path: Path, server: Server
) -> None:
    dsns = ("--dsn", NOBODY, "--dsn", server.dsn)
    with watching(tmp_path, *dsns, terminal=False) as watch:
        watch.until("error: PostgreSQL at 127.0.0.1:1/shop: ")
        watch.until("no session waits for a lock")
        assert watch.interrupt() == 130
    assert PASSWORD.encode() not in watch.seen


def test_watch_refuses_a_dsn_that_cannot_be_understood(tmp_path: Path) -> None:
    refused(2, tmp_path, "locks", "--watch", "--dsn", "postgresql://[")
