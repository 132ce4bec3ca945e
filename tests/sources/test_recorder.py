"""The recorder's loop on real servers: what it writes, when, and what it does when they fail."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from incident_rca.errors import BadSettings, Unreachable
from incident_rca.sources import postgres
from incident_rca.sources.recorder import Away, Connected, Ended, Event, Probed, Stop, record
from incident_rca.sources.recording_files import Limits, recording_folder, segments
from tests.lab.servers import Server, running_server
from tests.sources.blocked import in_transaction, until, waiters

Record = dict[str, Any]
Connect = Callable[[], psycopg.Connection[tuple[Any, ...]]]
TABLE = "CREATE TABLE stock (sku int PRIMARY KEY, n int)"


@dataclass
class FastClock:
    """The real clock shifted by `ahead`; a sleep takes a hundredth, and the rest is skipped."""

    stop: Stop
    ahead: timedelta = timedelta()
    skipped: float = 0.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.skipped

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.stop.wait(seconds / 100)
        self.skipped += seconds * 0.99


@dataclass
class Run:
    """A recorder that runs in a thread."""

    folder: Path
    stop: Stop
    clock: FastClock
    events: list[Event] = field(default_factory=list)
    attempts: int = 0

    def lines(self, *kinds: str) -> list[Record]:
        """The lines of all segments, of these kinds or of every kind; each must be whole."""
        texts = [segment.path.read_text(encoding="utf-8") for segment in segments(self.folder)]
        found = [json.loads(line) for text in texts for line in text.splitlines()]
        return [line for line in found if not kinds or line["kind"] in kinds]

    def happened(self, *kinds: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kinds)]

    def until_more(self, count: int, *kinds: type[Event]) -> None:
        """Waits for that many more events of these kinds."""
        self.until_total(len(self.happened(*kinds)) + count, *kinds)

    def until_total(self, count: int, *kinds: type[Event]) -> None:
        """Waits for that many events of these kinds, those before counted in."""
        until(lambda: len(self.happened(*kinds)) >= count)


@contextmanager
def recording(dsn: str, folder: Path, *, interval: float = 1.0, **limits: Any) -> Iterator[Run]:
    """Records until the block ends; what the recorder raises fails the test."""
    stop = Stop()
    run = Run(folder, stop, FastClock(stop))
    raised: list[BaseException] = []

    def connect() -> psycopg.Connection[tuple[Any, ...]]:
        run.attempts += 1
        return postgres.connect(dsn)

    def work() -> None:
        try:
            with recording_folder(folder, Limits(**limits)) as files:
                for event in record(
                    connect=connect,
                    files=files,
                    clock=run.clock,
                    stop=stop,
                    interval_seconds=interval,
                ):
                    run.events += [event]
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield run
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive() and raised == []


@pytest.fixture(scope="module", params=[18, 16])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running_server(request.param) as running:
        with running.connect() as setup:
            setup.execute(TABLE)
            setup.execute("CREATE ROLE watcher LOGIN IN ROLE pg_read_all_stats")
        yield running


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that a test may stop."""
    with running_server(18) as running:
        with running.connect() as setup:
            setup.execute(TABLE)
        yield running


# --- what is written, and when ------------------------------------------------------------------


def test_snapshots_only_while_somebody_waits_and_once_after(server: Server, tmp_path: Path) -> None:
    with recording(server.dsn_of("postgres", "watcher"), tmp_path) as run:
        run.until_more(3, Probed)
        assert run.lines("snapshot") == []
        with in_transaction(server, "CREATE INDEX i ON stock (n)", "SELECT 1") as holder:
            run.until_more(2, Probed)
            with waiters(server, 3, "INSERT INTO stock VALUES (1)") as waiting:
                run.until_more(3, Probed)
        run.until_more(4, Probed)
    lines = run.lines()
    assert [line["kind"] for line in lines[:2]] == ["header", "probe"]
    assert lines[-1]["kind"] == "end" and lines[-1]["reason"] == "terminated"
    assert all(json.loads(json.dumps(line)) for line in lines)
    # A snapshot follows each probe that saw a waiter, and the first that saw none any more.
    kinds = [(line["kind"], line.get("waiting")) for line in lines[1:-1]]
    after_wait = False
    for number, (kind, count) in enumerate(kinds):
        if kind == "probe":
            followed = number + 1 < len(kinds) and kinds[number + 1][0] == "snapshot"
            assert followed == (bool(count) or after_wait)
            after_wait = bool(count)
    snapshots = run.lines("snapshot")
    full = [line for line in snapshots if len(line["locks"]) == 4]
    assert full and {lock[0] for lock in full[0]["locks"]} == {holder, *waiting}
    assert snapshots[-1]["locks"] == snapshots[-1]["sessions"] == []
    # The name stands in the file once.
    assert len([row for line in snapshots for row in line["relations"]]) == 1


def test_a_statement_seen_in_a_probe_outlives_the_next_one(server: Server, tmp_path: Path) -> None:
    with recording(server.dsn, tmp_path) as run:
        run.until_more(1, Probed)
        with server.connect(autocommit=False) as session:
            pid = session.info.backend_pid
            session.execute("CREATE INDEX i ON stock (n)")
            run.until_more(3, Probed)
            session.execute("SELECT 1")
            run.until_more(3, Probed)
            session.rollback()
    statements = [row for line in run.lines("probe") for row in line.get("statements", ())]
    assert [row[4] for row in statements if row[0] == pid] == ["CREATE INDEX i ON stock (n)"]


def test_the_header_bounds_the_offset_of_a_wrong_clock(server: Server, tmp_path: Path) -> None:
    with recording(server.dsn, tmp_path) as run:
        run.until_total(1, Connected)
        run.clock.ahead = timedelta(minutes=5)
        run.until_more(1, Probed)
    (first,) = run.lines("header")
    lo, hi = first["clock"]["offset_seconds"]
    assert lo <= 0 <= hi < 1 and first["server"]["cluster"] == "lab"
    # Instants of probes are the server's, whatever the recorder's clock says.
    last = datetime.fromisoformat(run.lines("probe")[-1]["at"])
    assert abs(last - datetime.now(UTC)) < timedelta(minutes=1)


def test_each_segment_has_a_header_and_its_own_names(server: Server, tmp_path: Path) -> None:
    with (
        recording(server.dsn, tmp_path) as run,
        in_transaction(server, "LOCK TABLE stock IN SHARE MODE"),
        waiters(server, 1, "INSERT INTO stock VALUES (1)"),
    ):
        run.until_more(3, Probed)
        run.clock.ahead += timedelta(hours=1, minutes=1)
        run.until_more(3, Probed)
        run.clock.ahead += timedelta(hours=1, minutes=1)
        run.until_more(3, Probed)
    found = segments(tmp_path)
    assert len(found) == 3
    for segment in found:
        lines = [json.loads(line) for line in segment.path.read_text().splitlines()]
        assert [line["kind"] for line in lines].count("header") == 1
        assert lines[0]["kind"] == "header"
        # The reader of one file finds every name in it, and each statement.
        named = [row[3] for line in lines for row in line.get("relations", ())]
        statements = [row[4] for line in lines for row in line.get("statements", ())]
        assert named == ["stock"] and statements == ["LOCK TABLE stock IN SHARE MODE"]
    ends = [json.loads(s.path.read_text().splitlines()[-1])["reason"] for s in found]
    assert ends == ["rotated", "rotated", "terminated"]


# --- when the server fails ----------------------------------------------------------------------


def test_a_restart_is_a_gap_with_a_reason_and_a_new_header(
    own_server: Server, tmp_path: Path
) -> None:
    with recording(own_server.dsn, tmp_path) as run:
        run.until_more(3, Probed)
        own_server.stop("fast")
        run.until_total(3, Away)
        own_server.start()
        run.until_total(2, Connected)
        run.until_more(3, Probed)
    lines = run.lines()
    kinds = [line["kind"] for line in lines]
    assert kinds.count("gap") == 1 and kinds.count("header") == 2
    at = kinds.index("gap")
    assert kinds[at - 1 : at + 3] == ["probe", "gap", "header", "probe"]
    gap = lines[at]
    # Which one depends on whether the server's last words came before the next probe was sent.
    assert re.search("terminating connection|server closed the connection", gap["reason"])
    before, after = (datetime.fromisoformat(lines[at + step]["at"]) for step in (-1, 2))
    begin, end = (datetime.fromisoformat(gap[key]) for key in ("from", "to"))
    # Both clocks are this machine's.
    assert before <= begin < end <= after
    starts = [line["server"]["postmaster_start"] for line in lines if line["kind"] == "header"]
    assert starts[0] < starts[1]


def test_a_server_that_is_down_is_left_alone_longer_and_longer(
    own_server: Server, tmp_path: Path
) -> None:
    with recording(own_server.dsn, tmp_path) as run:
        run.until_more(1, Probed)
        own_server.stop()
        run.until_total(9, Away)
        away = len(run.happened(Away))
        assert run.attempts == away or run.attempts == away + 1
        own_server.start()
    pauses = [event.pause_seconds for event in run.happened(Away) if isinstance(event, Away)]
    assert pauses[:9] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert [seconds for seconds in run.clock.slept if seconds >= 1][-len(pauses) :] == pauses


def test_a_server_that_is_down_at_first_is_waited_for(own_server: Server, tmp_path: Path) -> None:
    own_server.stop()
    with recording(own_server.dsn, tmp_path) as run:
        run.until_total(2, Away)
        assert segments(tmp_path) == []
        own_server.start()
        run.until_more(2, Probed)
    assert [line["kind"] for line in run.lines()][:3] == ["header", "gap", "probe"]
    (gap,) = run.lines("gap")
    assert "refused" in gap["reason"]


def test_a_server_process_that_hangs_is_given_up(own_server: Server, tmp_path: Path) -> None:
    with recording(own_server.dsn, tmp_path) as run, own_server.connect() as look:
        run.until_more(2, Probed)
        ours = "SELECT pid FROM pg_stat_activity WHERE application_name = 'incident-rca'"
        ((pid,),) = look.execute(ours).fetchall()
        os.kill(pid, signal.SIGSTOP)
        try:
            run.until_total(1, Away)
            run.until_more(2, Probed)
            assert run.attempts == 2
        finally:
            os.kill(pid, signal.SIGCONT)
    (gap,) = run.lines("gap")
    assert "no answer within" in gap["reason"]


def test_a_session_that_is_killed_comes_back(own_server: Server, tmp_path: Path) -> None:
    with recording(own_server.dsn, tmp_path) as run, own_server.connect() as look:
        run.until_more(2, Probed)
        for times in (1, 2):
            look.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE application_name = 'incident-rca'"
            )
            run.until_total(times + 1, Connected)
            run.until_more(2, Probed)
        assert run.attempts == 3
    assert len(run.lines("gap")) == 2 and len(run.lines("header")) == 3
    # A spell that was good only for a moment does not make the pauses short again.
    pauses = [event.pause_seconds for event in run.happened(Away) if isinstance(event, Away)]
    assert pauses == [1, 2]


SLOW_STATISTICS = """
CREATE SCHEMA slow;
CREATE TABLE slow.trouble ();
CREATE FUNCTION slow.pg_stat_get_activity(int) RETURNS SETOF pg_stat_activity LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM slow.trouble) THEN
        PERFORM pg_sleep(60);
    END IF;
    RETURN QUERY SELECT * FROM pg_stat_activity;
END $$;
CREATE ROLE impatient LOGIN IN ROLE pg_read_all_stats;
ALTER ROLE impatient SET search_path = slow, pg_catalog;
GRANT USAGE ON SCHEMA slow TO impatient;
GRANT SELECT ON slow.trouble TO impatient;
"""


def test_a_statement_cut_off_costs_a_gap_and_not_the_connection(
    own_server: Server, tmp_path: Path
) -> None:
    with own_server.connect() as setup:
        setup.execute(SLOW_STATISTICS)
        with recording(own_server.dsn_of("postgres", "impatient"), tmp_path) as run:
            run.until_more(2, Probed)
            setup.execute("INSERT INTO slow.trouble DEFAULT VALUES")
            run.until_total(2, Away)
            setup.execute("DELETE FROM slow.trouble")
            run.until_more(3, Probed)
        # A server in trouble may have no second connection to give.
        assert run.attempts == 1
    pauses = [event.pause_seconds for event in run.happened(Away) if isinstance(event, Away)]
    assert pauses == [2.0**number for number in range(len(pauses))]
    (gap,) = run.lines("gap")
    assert "statement timeout" in gap["reason"]
    kinds = [line["kind"] for line in run.lines()]
    at = kinds.index("gap")
    assert kinds[at - 1 : at + 3] == ["probe", "gap", "header", "probe"]


def test_a_full_server_is_waited_for(own_server: Server, tmp_path: Path) -> None:
    with own_server.connect() as setup:
        setup.execute("ALTER ROLE postgres SET statement_timeout = 0")
        setup.execute("CREATE ROLE small LOGIN IN ROLE pg_read_all_stats CONNECTION LIMIT 1")
    dsn = own_server.dsn_of("postgres", "small")
    with psycopg.connect(dsn) as other:
        with recording(dsn, tmp_path) as run:
            run.until_total(2, Away)
            other.close()
            run.until_more(2, Probed)
    assert "too many connections" in run.lines("gap")[0]["reason"]


def test_late_once_is_no_burst(server: Server, tmp_path: Path) -> None:
    stop = Stop()
    clock = FastClock(stop)
    with recording_folder(tmp_path, Limits()) as files:
        events = record(
            connect=lambda: postgres.connect(server.dsn),
            files=files,
            clock=clock,
            stop=stop,
            interval_seconds=10.0,
        )
        for count in range(10):
            next(events)
            if count == 4:
                # The machine was asleep, or the disk, for many intervals.
                clock.skipped += 1000.0
        stop.set()
        assert list(events) == [Ended("terminated")]
    late = [number for number, seconds in enumerate(clock.slept) if seconds < 5]
    # The next probe comes at once; those that were missed are not made up for.
    assert late == [3] and all(seconds <= 10 for seconds in clock.slept)


class Slow:
    """A connection whose answers take three seconds more, by the clock of the recorder."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]], clock: FastClock) -> None:
        self.connection, self.clock = connection, clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def cursor(self, **given: Any) -> Any:
        self.clock.skipped += 3.0
        return self.connection.cursor(**given)


def test_a_slow_server_rests_as_long_as_it_worked(server: Server, tmp_path: Path) -> None:
    stop = Stop()
    clock = FastClock(stop)

    def connect() -> Any:
        return Slow(postgres.connect(server.dsn), clock)

    with recording_folder(tmp_path, Limits()) as files:
        events = record(connect=connect, files=files, clock=clock, stop=stop, interval_seconds=1.0)
        for _ in range(4):
            next(events)
        stop.set()
        list(events)
    assert len(clock.slept) >= 2 and min(clock.slept) >= 3


# --- what waiting does not cure -----------------------------------------------------------------


def test_a_wrong_database_or_role_is_an_error_at_once(server: Server, tmp_path: Path) -> None:
    for dsn, word in (
        (server.dsn_of("nowhere"), "nowhere"),
        (server.dsn_of("postgres", "stranger"), "stranger"),
    ):
        with pytest.raises(Unreachable, match=word):
            first_event(dsn, tmp_path)
    with pytest.raises(BadSettings):
        first_event("not a dsn", tmp_path)
    assert segments(tmp_path) == []


def first_event(dsn: str, folder: Path) -> Event:
    stop = Stop()
    with recording_folder(folder, Limits()) as files:
        return next(
            record(
                connect=lambda: postgres.connect(dsn),
                files=files,
                clock=FastClock(stop),
                stop=stop,
                interval_seconds=1.0,
            )
        )


def test_a_wrong_password_is_an_error_at_once(own_server: Server, tmp_path: Path) -> None:
    rules = own_server.folder / "data" / "pg_hba.conf"
    with own_server.connect() as setup:
        setup.execute("CREATE ROLE careful LOGIN PASSWORD 'right'")
        rules.write_text(f"host all careful all scram-sha-256\n{rules.read_text()}")
        setup.execute("SELECT pg_reload_conf()")
        until(lambda: setup.execute("SELECT count(*) FROM pg_hba_file_rules").fetchone() != (0,))
    wrong = own_server.dsn_of("postgres", "careful:wrong")
    with pytest.raises(Unreachable) as caught:
        first_event(wrong, tmp_path)
    assert "password authentication failed" in caught.value.message
    assert "wrong" not in caught.value.message


def test_it_ends_between_two_probes(server: Server, tmp_path: Path) -> None:
    with recording(server.dsn, tmp_path) as run:
        run.until_more(1, Probed)
        run.stop.reason = "interrupted"
    assert run.happened(Ended) == [Ended("interrupted")]
    assert run.lines("end")[-1]["reason"] == "interrupted"
