"""Each check of `doctor` in its good and its bad state, on real servers that are really changed.

A cure is run as a person would run it: pasted into psql; afterwards the check must be content.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from incident_rca.model import TimeWindow
from incident_rca.model.checkup import (
    Check,
    CheckState,
    Checkup,
    PastSource,
    WouldShow,
    window_covered,
)
from incident_rca.sources import checkup_history, checkup_sessions
from incident_rca.sources.checkup_recordings import Recordings, read_recordings, recorder_cure
from incident_rca.sources.checkup_settings import Settings, check_settings, read_settings
from incident_rca.sources.postgres_checkup import check_server
from incident_rca.sources.postgres_rows import read_rows
from incident_rca.sources.recording_files import Limits, recording_folder
from incident_rca.sources.setting_cures import Platform
from tests.lab.proxies import other_process, proxy, version
from tests.lab.servers import Server, running_server

OK, WARNING = CheckState.OK, CheckState.WARNING
PROBLEM, UNKNOWN = CheckState.PROBLEM, CheckState.UNKNOWN
# What a fresh server of the lab lacks, so that everything else is content.
GOOD = {"track_activity_query_size": "4096"}


def now() -> datetime:
    return datetime.now(UTC)


def last(hours: float) -> TimeWindow:
    end = now()
    return TimeWindow(end - timedelta(hours=hours), end)


def checkup(dsn: str, *, at: Callable[[], datetime] = now, hours: float = 24) -> Checkup:
    nothing = Recordings(Path("nowhere"), None, now(), "incident-rca record")
    return check_server(dsn, now=at, window=last(hours), recordings=nothing)


def check(dsn: str, name: str, *, at: Callable[[], datetime] = now) -> Check:
    found = checkup(dsn, at=at).of(name)
    assert found is not None
    return found


def past(dsn: str, source: str, *, hours: float = 24) -> PastSource:
    (found,) = (s for s in checkup(dsn, hours=hours).past_window if s.source == source)
    return found


def paste(server: Server, line: str) -> None:
    """Runs a line in psql, and waits until new sessions see what it set."""
    with server.connect() as connection:
        before = connection.execute("SELECT pg_conf_load_time()").fetchone()
    script = server.folder / "pasted.sql"
    script.write_text(line + "\n", encoding="utf-8")
    script.chmod(0o644)
    server.run("psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", server.dsn, "-f", str(script))
    if "pg_reload_conf" in line:
        _until(lambda: _one(server, "SELECT pg_conf_load_time()") != before)


def _one(server: Server, query: str) -> object:
    with server.connect() as connection:
        return connection.execute(query.encode()).fetchone()


def _until(is_so: Callable[[], bool]) -> None:
    for _ in range(500):
        if is_so():
            return
        time.sleep(0.01)
    raise AssertionError("it never became so")


@pytest.fixture(scope="module", params=[18, 16])
def shared(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running_server(request.param, GOOD) as running:
        yield running


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    """A server whose settings are those of the lab again afterwards."""
    yield shared
    auto = shared.folder / "data" / "postgresql.auto.conf"
    if "=" in "".join(x for x in auto.read_text().splitlines() if not x.startswith("#")):
        paste(shared, "ALTER SYSTEM RESET ALL; SELECT pg_reload_conf();")
        if checkup(shared.dsn).in_state(WARNING):
            shared.restart("fast")


@contextmanager
def role(server: Server, name: str, options: str = "") -> Iterator[str]:
    """A role that may log in, and the DSN to do so."""
    identifier = psycopg.sql.Identifier(name)
    with server.connect() as connection:
        made = psycopg.sql.SQL("CREATE ROLE {} LOGIN " + options).format(identifier)
        connection.execute(made)
    try:
        yield psycopg.conninfo.make_conninfo(server.dsn, user=name)
    finally:
        # A connection of its own: the server may have been started again meanwhile.
        with server.connect() as connection:
            connection.execute(psycopg.sql.SQL("DROP ROLE {}").format(identifier))


# --- a server as it should be -------------------------------------------------------------------


def test_a_good_server_has_nothing_but_no_recorder(server: Server) -> None:
    found = checkup(server.dsn)
    assert found.reachable and found.server == f"127.0.0.1:{server.port}/postgres"
    assert [c.name for c in found.checks if c.state is not OK] == ["recorder"]
    assert len({c.name for c in found.checks}) == len(found.checks) == 20
    assert not [c for c in found.checks if c.state is OK and c.cure]
    version_check = found.of("version")
    assert version_check is not None and f"PostgreSQL {server.version}." in version_check.found


# --- settings -----------------------------------------------------------------------------------

STDERR = {"log_destination": "'stderr'"}
BAD_SETTINGS: list[tuple[str, Mapping[str, str], CheckState, str]] = [
    ("log_lock_waits", {"log_lock_waits": "off"}, PROBLEM, "off"),
    ("log_lock_waits", {"log_min_messages": "fatal"}, PROBLEM, "fatal"),
    ("log_lock_waits", {"log_error_verbosity": "terse"}, PROBLEM, "DETAIL"),
    ("deadlock_timeout", {"deadlock_timeout": "'90s'"}, WARNING, "90s"),
    ("log_statement", {"log_statement": "none"}, WARNING, "never tells"),
    (
        "log_statement",
        {"log_statement": "none", "log_min_duration_statement": "1500"},
        WARNING,
        "1500ms",
    ),
    ("log_destination", {"log_destination": "'syslog'"}, PROBLEM, "syslog"),
    ("log_line_prefix", {**STDERR, "log_line_prefix": "'%t [%p] %a '"}, WARNING, "second"),
    ("log_line_prefix", {**STDERR, "log_line_prefix": "'%m [%p] '"}, WARNING, "application"),
    ("log_line_prefix", {**STDERR, "log_line_prefix": "'%%m [%p] %a '"}, PROBLEM, "no time"),
    ("log_line_prefix", {**STDERR, "log_line_prefix": "'%-30m %a '"}, PROBLEM, "process id"),
    ("track_activities", {"track_activities": "off"}, PROBLEM, "off"),
]


@pytest.mark.parametrize(("name", "given", "state", "words"), BAD_SETTINGS, ids=range(12))
def test_a_bad_setting_and_its_cure(
    server: Server, name: str, given: Mapping[str, str], state: CheckState, words: str
) -> None:
    lines = [f"ALTER SYSTEM SET {key} = {value};" for key, value in given.items()]
    paste(server, "\n".join([*lines, "SELECT pg_reload_conf();"]))
    bad = check(server.dsn, name)
    assert bad.state is state and words in bad.found
    paste(server, bad.cure)
    assert (check(server.dsn, name).state, check(server.dsn, name).cure) == (OK, "")


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("log_line_prefix", {**STDERR, "log_line_prefix": "'%n %c %q%a '"}),
        ("log_destination", STDERR),
        ("log_statement", {"log_statement": "none", "log_min_duration_statement": "0"}),
    ],
    ids=range(3),
)
def test_another_good_setting(server: Server, name: str, given: Mapping[str, str]) -> None:
    lines = [f"ALTER SYSTEM SET {key} = {value};" for key, value in given.items()]
    paste(server, "\n".join([*lines, "SELECT pg_reload_conf();"]))
    assert check(server.dsn, name).state is OK


def test_a_query_size_that_is_too_small_and_waits_for_its_restart(server: Server) -> None:
    paste(server, "ALTER SYSTEM SET track_activity_query_size = 1024;")
    server.restart("fast")
    small = check(server.dsn, "track_activity_query_size")
    assert small.state is WARNING and "1024" in small.found
    paste(server, small.cure)
    _until(lambda: check(server.dsn, "pending_restart").state is WARNING)
    waiting = checkup(server.dsn)
    pending = waiting.of("pending_restart")
    size = waiting.of("track_activity_query_size")
    assert pending is not None and "track_activity_query_size" in pending.found
    assert size is not None and size.state is WARNING and "waits for a restart" in size.found
    server.restart("fast")
    assert check(server.dsn, "track_activity_query_size").state is OK
    assert check(server.dsn, "pending_restart").state is OK


def test_without_the_collector_csvlog_is_not_written() -> None:
    with running_server(18, {**GOOD, "logging_collector": "off"}) as server:
        found = check(server.dsn, "log_destination")
        assert found.state is WARNING and "logging_collector" in found.found
        assert not server.logs.exists() or not list(server.logs.glob("*.csv"))
        # The plain lines need their prefix then.
        assert check(server.dsn, "log_line_prefix").state is WARNING
        paste(server, found.cure)
        server.restart("fast")
        assert check(server.dsn, "log_destination").state is OK


def test_messages_in_another_language(server: Server) -> None:
    """This machine has no other locale to set, so a row that was read gets one."""
    with server.connect() as connection:
        read = read_settings(read_rows(connection, "checkup_settings"), Platform.OWN)

    def with_locale(name: str) -> Check:
        row = replace(read.rows["lc_messages"], setting=name)
        checks = check_settings(Settings({**read.rows, "lc_messages": row}, Platform.OWN))
        return next(c for c in checks if c.name == "lc_messages")

    assert with_locale("C").state is with_locale("en_GB.UTF-8").state is OK
    german = with_locale("de_DE.UTF-8")
    assert german.state is PROBLEM and "de_DE" in german.found
    assert with_locale("").state is UNKNOWN
    paste(server, german.cure)
    assert _one(server, "SHOW lc_messages") == ("C",)


def test_what_a_role_or_database_overrides(server: Server) -> None:
    with role(server, 'Night "Shift"'):
        alter = 'ALTER ROLE "Night ""Shift""" IN DATABASE postgres'
        paste(server, f"{alter} SET log_lock_waits = off; {alter} SET work_mem = '8MB';")
        paste(server, "ALTER DATABASE template1 SET track_activities = off;")
        bad = check(server.dsn, "overrides")
        assert bad.state is WARNING and 'Night "Shift"' in bad.found and "template1" in bad.found
        assert "work_mem" not in bad.found + bad.cure
        paste(server, bad.cure)
        assert check(server.dsn, "overrides").state is OK


def test_a_setting_of_our_own_role_says_nothing_of_the_server(server: Server) -> None:
    paste(server, "ALTER SYSTEM SET log_lock_waits = off; SELECT pg_reload_conf();")
    with role(server, "lucky") as dsn:
        paste(server, "ALTER ROLE lucky SET log_lock_waits = on;")
        found = check(dsn, "log_lock_waits")
    assert found.state is UNKNOWN and "this role" in found.found


# --- the role -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["app", "user", 'Ops "Team"', "a\x1b[31m\n-- b", "größe"])
def test_a_role_without_privileges_and_its_grant(server: Server, name: str) -> None:
    with role(server, name) as dsn:
        found = checkup(dsn)
        bad, idle = found.of("privileges"), found.of("idle_in_transaction")
        assert bad is not None and bad.state is PROBLEM
        assert idle is not None and idle.state is UNKNOWN
        assert (bad.found + bad.cure).isprintable()
        paste(server, bad.cure)
        assert check(dsn, "privileges").state is OK
        assert check(dsn, "idle_in_transaction").state is OK


def test_a_member_that_does_not_inherit(server: Server) -> None:
    options = "NOINHERIT IN ROLE pg_read_all_stats"
    with role(server, "careful", options) as dsn:
        bad = check(dsn, "privileges")
        assert bad.state is PROBLEM and "inherit" in bad.found
        paste(server, bad.cure)
        assert check(dsn, "privileges").state is OK


def test_what_may_not_be_asked_is_unknown_and_the_rest_goes_on(server: Server) -> None:
    with role(server, "app") as dsn:
        paste(server, "REVOKE SELECT ON pg_prepared_xacts FROM PUBLIC;")
        try:
            found = checkup(dsn)
        finally:
            paste(server, "GRANT SELECT ON pg_prepared_xacts TO PUBLIC;")
        prepared = found.of("prepared_transactions")
        assert prepared is not None and prepared.state is UNKNOWN
        assert "permission denied" in prepared.found
        assert [c.name for c in found.in_state(OK)][-1] == "standby"
        assert check(dsn, "prepared_transactions").state is OK


def test_settings_that_may_not_be_asked(server: Server) -> None:
    with role(server, "app") as dsn:
        paste(server, "REVOKE SELECT ON pg_settings FROM PUBLIC;")
        try:
            found = checkup(dsn)
        finally:
            paste(server, "GRANT SELECT ON pg_settings TO PUBLIC;")
    assert {"settings", "connections"} <= {c.name for c in found.in_state(UNKNOWN)}
    assert {"clock", "pooler", "version"} <= {c.name for c in found.in_state(OK)}
    (log,) = (s for s in found.past_window if s.source == checkup_history.SERVER_LOG)
    assert log.would_show is WouldShow.UNKNOWN and "permission denied" in log.why


def test_databases_of_other_encodings(server: Server) -> None:
    with server.connect() as connection:
        for encoding in ("SQL_ASCII", "LATIN1"):
            connection.execute(
                f"CREATE DATABASE {encoding} ENCODING '{encoding}' TEMPLATE template0".encode()
            )
    with server.connect("latin1") as connection:
        connection.execute("CREATE ROLE größe")
    try:
        for database in ("sql_ascii", "latin1", "postgres"):
            found = checkup(server.dsn_of(database))
            assert [c.name for c in found.checks if c.state is not OK] == ["recorder"], database
        with server.connect("latin1") as connection:
            connection.execute("ALTER ROLE größe SET log_lock_waits = off")
        # Its name is no UTF-8, so the database of another encoding cannot tell it.
        told = {
            name: check(server.dsn_of(name), "overrides")
            for name in ("sql_ascii", "latin1", "postgres")
        }
    finally:
        with server.connect("latin1") as connection:
            connection.execute("DROP ROLE größe")
        with server.connect() as connection:
            connection.execute("DROP DATABASE latin1")
            connection.execute("DROP DATABASE sql_ascii")
    assert told["latin1"].state is WARNING and "größe" in told["latin1"].found
    assert told["sql_ascii"].state is WARNING
    assert told["postgres"].state is UNKNOWN


def _at_the_clock(server: Server, do: Callable[[int], None]) -> Callable[[], datetime]:
    """A clock that, when first asked, does something to the session that asks for the time."""
    done: list[int] = []

    def tick() -> datetime:
        if not done:
            with server.connect() as connection:
                query = b"SELECT pid FROM pg_stat_activity WHERE application_name = 'incident-rca'"
                done.extend(row[0] for row in connection.execute(query).fetchall())
            do(*done)
        return now()

    return tick


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGSTOP])
def test_a_server_that_dies_or_hangs_meanwhile(server: Server, number: int) -> None:
    pids: list[int] = []

    def end(pid: int) -> None:
        pids.append(pid)
        os.kill(pid, number)

    try:
        found = checkup(server.dsn, at=_at_the_clock(server, end))
    finally:
        if number == signal.SIGSTOP:
            os.kill(pids[0], signal.SIGCONT)
    names = [c.name for c in found.checks]
    before, after = found.checks[: names.index("clock")], found.checks[names.index("clock") :]
    assert {c.state for c in before} == {OK, PROBLEM}
    assert {c.state for c in after} - {OK} == {UNKNOWN} and len(names) == 20
    assert all(c.name == "standby" for c in after if c.state is OK)
    # Once is enough: nobody waits for a silent server again and again.
    assert all("closed" in c.found for c in after[1:] if c.state is UNKNOWN)
    assert len(found.past_window) == 7


# --- room for connections -----------------------------------------------------------------------


def test_a_full_server_and_who_still_gets_in() -> None:
    few = {"max_connections": "9", "superuser_reserved_connections": "2", "max_wal_senders": "0"}
    with running_server(18, {**GOOD, **few}) as server, role(server, "app") as app:
        outside = check(app, "connections")
        assert outside.state is WARNING and "does not get in" in outside.found
        keeping = check_server(
            app, now=now, window=last(1), recordings=_running_recorder(Path("nowhere"))
        ).of("connections")
        assert keeping is not None and keeping.state is OK and "keeps" in keeping.found
        paste(server, outside.cure)
        assert "does not get in" in check(app, "connections").found
        server.restart("fast")
        inside = check(app, "connections")
        # 9 and 2 for superusers and 3 for the reserve that the cure made: 4 for all others.
        assert inside.state is OK and "gets in when all are taken" in inside.found
        with role(server, "crowd") as crowd:
            held = [psycopg.connect(crowd) for _ in range(4)]
            try:
                refused = checkup(crowd)
                full = check(app, "connections")
                taken = check(server.dsn, "connections")
            finally:
                for connection in held:
                    connection.close()
        assert not refused.reachable and refused.checks[0].state is PROBLEM
        assert "reserved" in refused.checks[0].found
        assert "pg_use_reserved_connections" in refused.checks[0].cure
        assert full.state is taken.state is PROBLEM and "nearly full" in full.found
        paste(server, full.cure)


def test_before_16_there_is_no_reserve() -> None:
    """The lab has no server below 16: its settings without that one stand for it."""
    with running_server(16, GOOD) as server, server.connect() as connection:
        read = read_settings(read_rows(connection, "checkup_settings"), Platform.OWN)
        (who,) = read_rows(connection, "checkup_role")
    rows = {name: row for name, row in read.rows.items() if name != "reserved_connections"}
    plain_role = {**who, "is_superuser": False}
    found = checkup_sessions.check_connections(
        1, Settings(rows, Platform.OWN), plain_role, version_num=150010, is_recording=False
    )
    assert found.state is WARNING and "record" in found.cure and "reserved" not in found.cure


def _running_recorder(folder: Path) -> Recordings:
    covered = (TimeWindow(now() - timedelta(hours=1), now()),)
    return Recordings(folder, 4711, now(), "", 1, covered)


# --- clock, pooler, standby ---------------------------------------------------------------------


@pytest.mark.parametrize("lead", [-3.0, 0.0, 0.25, 3.0])
def test_the_clock_and_its_bounds(server: Server, lead: float) -> None:
    found = check(server.dsn, "clock", at=lambda: now() - timedelta(seconds=lead))
    bounds = [float(word) for word in found.found.split() if word[0] in "+-"]
    assert bounds[0] <= lead <= bounds[1] and bounds[1] - bounds[0] < 0.5
    assert found.state is (WARNING if abs(lead) > 1 else OK)
    assert bool(found.cure) is (found.state is WARNING)


def test_nothing_in_between(server: Server) -> None:
    assert check(server.dsn, "pooler").state is OK
    socket_dsn = f"host={server.folder} port={server.port} user=postgres dbname=postgres"
    assert check(socket_dsn, "pooler").state is OK


def test_a_proxy_that_forwards_bytes(server: Server) -> None:
    with proxy(server.port) as parts:
        found = check(f"{parts} user=postgres dbname=postgres", "pooler")
    assert found.state is WARNING and "proxy" in found.found
    assert f"port={server.port}" in found.cure


def test_a_pooler_that_announces_a_process_of_its_own(server: Server) -> None:
    with proxy(server.port, other_process) as parts:
        found = check(f"{parts} user=postgres dbname=postgres", "pooler")
    assert found.state is PROBLEM and "PgBouncer" in found.found
    assert f"port={server.port}" in found.cure


def test_a_server_that_is_too_old(server: Server) -> None:
    with proxy(server.port, version("13.9")) as parts:
        found = check(f"{parts} user=postgres dbname=postgres", "version")
    assert found.state is PROBLEM and "13" in found.found and "14" in found.cure


def test_a_standby() -> None:
    with running_server(18, GOOD) as primary:
        folder = primary.folder / "standby"
        with running_server(18) as other:
            port = other.port
        options = ("-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres", "-R")
        primary.run("pg_basebackup", *options, "-D", str(folder / "data"), "--checkpoint=fast")
        with (folder / "data" / "postgresql.conf").open("a") as file:
            file.write(f"port = {port}\n")
        standby = replace(primary, folder=folder, port=port)
        standby.start()
        try:
            found = check(standby.dsn, "standby")
            clock = check(standby.dsn, "clock")
        finally:
            standby.stop()
        assert found.state is WARNING and "primary" in found.found
        assert clock.state is OK
        assert check(primary.dsn, "standby").state is OK


# --- who keeps locks ----------------------------------------------------------------------------


def test_prepared_transactions(server: Server) -> None:
    assert check(server.dsn, "prepared_transactions").found == "none open"
    gid = "it's \x1b[31m one"
    with server.connect() as connection:
        connection.execute("BEGIN; CREATE TABLE half_done (id int)")
        prepare = psycopg.sql.SQL("PREPARE TRANSACTION {}").format(psycopg.sql.Literal(gid))
        connection.execute(prepare)
        young = check(server.dsn, "prepared_transactions")
        (row,) = read_rows(connection, "checkup_prepared")
        # An hour is too long for a test: the row that was read is made older.
        old = checkup_sessions.check_prepared([{**row, "age_seconds": 7200.0}])
        assert (
            young.state is OK
            and "it's  one in postgres" in young.found
            and "postgres" in young.found
        )
        assert old.state is WARNING and "2h" in old.found and old.cure.isprintable()
        rollback = old.cure.partition(" or ")[2].partition(" in that database")[0]
        paste(server, rollback)
    assert check(server.dsn, "prepared_transactions").found == "none open"


def test_idle_in_transaction(server: Server) -> None:
    assert check(server.dsn, "idle_in_transaction").found == "nobody now"
    with server.connect(application_name="cart\x1b[2J", autocommit=False) as idle:
        idle.execute("SELECT 1")
        pid = idle.info.backend_pid
        young = check(server.dsn, "idle_in_transaction")
        with server.connect() as connection:
            rows = read_rows(connection, "checkup_idle")
        old = checkup_sessions.check_idle(
            [{**rows[0], "idle_seconds": 600.0}], sees_all_sessions=True
        )
        assert young.state is OK and f"pid {pid} (cart" in young.found
        assert old.state is WARNING and "10m" in old.found and old.found.isprintable()
        paste(server, old.cure)
        with pytest.raises(psycopg.errors.AdminShutdown):
            idle.execute("SELECT 1")


# --- whose server it is -------------------------------------------------------------------------


def test_a_provider_gets_its_own_cures(server: Server) -> None:
    off = "ALTER SYSTEM SET log_lock_waits = off; SELECT pg_reload_conf();"
    for database, words in (
        ("azure_maintenance", "server parameter log_lock_waits"),
        ("cloudsqladmin", "database flag log_lock_waits"),
        ("rdsadmin", "aws rds modify-db-parameter-group"),
    ):
        paste(server, f"CREATE DATABASE {database};\n{off}")
        try:
            found = check(server.dsn, "log_lock_waits")
            insights = past(server.dsn, checkup_history.PERFORMANCE_INSIGHTS)
        finally:
            paste(server, f"DROP DATABASE {database};")
        assert words in found.cure and "ALTER SYSTEM" not in found.cure
        assert insights.exists is (database == "rdsadmin")


def test_the_log_of_rds_is_kept_for_its_retention() -> None:
    """Settings that only RDS has, under their names: nothing else of it is here."""
    rds = {"rds.extensions": "'x'", "rds.log_retention_period": "60"}
    with running_server(18, {**GOOD, **rds}) as server:
        time.sleep(1.1)
        found = past(server.dsn, checkup_history.SERVER_LOG, hours=0.0002)
        assert found.would_show is WouldShow.YES and "60 min" in found.why
        assert past(server.dsn, checkup_history.SERVER_LOG).would_show is WouldShow.PARTLY
        assert "Amazon RDS" in check(server.dsn, "version").found


# --- the past window ----------------------------------------------------------------------------


def test_the_log_is_known_since_the_settings_were_loaded() -> None:
    named = {"log_filename": "'postgresql-%Y-%m-%d_%H%M%S.log'"}
    with running_server(18, {**GOOD, **named}) as server:
        begun = now()
        time.sleep(1.1)
        covered = past(server.dsn, checkup_history.SERVER_LOG, hours=0.0002)
        long = past(server.dsn, checkup_history.SERVER_LOG, hours=5)
        assert covered.would_show is WouldShow.YES
        assert long.would_show is WouldShow.PARTLY and long.covered is not None
        assert abs((long.covered.start - begun).total_seconds()) < 30
        paste(server, "ALTER SYSTEM SET log_statement = 'all'; SELECT pg_reload_conf();")
        after = past(server.dsn, checkup_history.SERVER_LOG, hours=5)
        assert after.covered is not None and after.covered.start > long.covered.start
        with role(server, "app") as dsn:
            hidden = past(dsn, checkup_history.SERVER_LOG)
        assert hidden.would_show is WouldShow.UNKNOWN and "pg_monitor" in hidden.why
        paste(server, "ALTER SYSTEM SET log_lock_waits = off; SELECT pg_reload_conf();")
        off = past(server.dsn, checkup_history.SERVER_LOG)
        assert off.would_show is WouldShow.NO and "off now" in off.why


def test_a_log_of_one_file_or_of_none_that_can_be_asked(server: Server) -> None:
    found = past(server.dsn, checkup_history.SERVER_LOG)
    assert found.would_show is WouldShow.UNKNOWN and "only file" in found.why


def test_the_log_begins_at_the_last_write_to_its_oldest_file(server: Server) -> None:
    with server.connect() as connection:
        settings = read_settings(read_rows(connection, "checkup_settings"), Platform.OWN)
        files = read_rows(connection, "checkup_log_files")
    assert {row["name"].split(".")[-1] for row in files} == {"log", "csv", "json"}
    assert checkup_history.log_begins(files, settings).begins is None
    old = {"name": "older.csv", "modification": now() - timedelta(days=2)}
    assert checkup_history.log_begins([old, *files], settings).begins == old["modification"]


# As in the README of pgsentinel and of pg_wait_sampling, as far as it is read here.
RINGS = {
    checkup_history.PGSENTINEL: (
        "CREATE TABLE pg_active_session_history (ash_time timestamptz, pid int, "
        "wait_event_type text, wait_event text, blockerpid int)",
        "INSERT INTO pg_active_session_history SELECT t FROM generate_series"
        "(now() - interval '{hours} hours', now(), interval '1 minute') AS t",
        "DROP TABLE pg_active_session_history",
    ),
    checkup_history.WAIT_SAMPLING: (
        "CREATE TABLE pg_wait_sampling_history (pid int, ts timestamptz, event_type text, "
        "event text, queryid bigint)",
        "INSERT INTO pg_wait_sampling_history SELECT 1, t FROM generate_series"
        "(now() - interval '{hours} hours', now(), interval '1 minute') AS t",
        "DROP TABLE pg_wait_sampling_history",
    ),
}


@pytest.mark.parametrize("source", RINGS)
def test_a_ring_says_how_far_back_it_reaches(server: Server, source: str) -> None:
    """Tables of the documented columns: the wheels do not have these extensions."""
    create, fill, drop = RINGS[source]
    assert not past(server.dsn, source).exists
    with server.connect() as connection:
        connection.execute(create.encode())
        try:
            assert "empty" in past(server.dsn, source).why
            connection.execute(fill.format(hours=3).encode())
            inner = TimeWindow(now() - timedelta(hours=2), now() - timedelta(hours=1))
            whole = check_server(
                server.dsn, now=now, window=inner, recordings=_running_recorder(Path("nowhere"))
            )
            short = past(server.dsn, source, hours=24)
            gone = check_server(
                server.dsn,
                now=now,
                window=TimeWindow(now() - timedelta(hours=9), now() - timedelta(hours=8)),
                recordings=_running_recorder(Path("nowhere")),
            )
        finally:
            connection.execute(drop.encode())
    # Whatever it covers, it does not have the holder's mode.
    (inside,) = (s for s in whole.past_window if s.source == source)
    assert inside.would_show is WouldShow.PARTLY and inside.covered is not None
    assert inside.covered.start <= inner.start and inner.end <= inside.covered.end
    assert short.would_show is WouldShow.PARTLY and short.covered is not None
    assert abs(short.covered.seconds - 3 * 3600) < 60
    (old,) = (s for s in gone.past_window if s.source == source)
    assert old.would_show is WouldShow.NO and "overwritten" in old.why


def test_a_ring_under_a_lock_is_not_waited_for(server: Server) -> None:
    create, _, drop = RINGS[checkup_history.PGSENTINEL]
    with server.connect(autocommit=False) as holder:
        holder.execute(create.encode())
        holder.commit()
        holder.execute("LOCK TABLE pg_active_session_history IN ACCESS EXCLUSIVE MODE")
        found = past(server.dsn, checkup_history.PGSENTINEL)
        holder.execute(drop.encode())
        holder.commit()
    assert found.would_show is WouldShow.UNKNOWN and "lock timeout" in found.why


def test_pg_stat_statements_dates_nothing() -> None:
    loaded = {**GOOD, "shared_preload_libraries": "'pg_stat_statements'"}
    with running_server(18, loaded, contrib=True) as server:
        unmade = past(server.dsn, checkup_history.STATEMENTS)
        assert unmade.would_show is WouldShow.UNKNOWN and "CREATE EXTENSION" in unmade.why
        paste(server, unmade.why.partition("database: ")[2])
        made = past(server.dsn, checkup_history.STATEMENTS)
        assert made.exists and made.would_show is WouldShow.NO and "dates nothing" in made.why


def test_pgwatch_is_seen_by_its_session(server: Server) -> None:
    assert not past(server.dsn, checkup_history.PGWATCH).exists
    with server.connect(application_name="pgwatch - orders"):
        found = past(server.dsn, checkup_history.PGWATCH)
    assert found.exists and found.would_show is WouldShow.UNKNOWN


# --- recordings ---------------------------------------------------------------------------------


def _text(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def _write(folder: Path, start: datetime, seconds: int, *gaps: tuple[int, int]) -> None:
    """A segment of a probe a second, without those in the gaps."""
    with recording_folder(folder, Limits()) as files:
        assert files.rotate(start)
        files.append({"kind": "header", "started_at": _text(start)})
        for second in range(seconds + 1):
            inside = [gap for gap in gaps if gap[0] < second < gap[1]]
            ended = [gap for gap in gaps if gap[1] == second]
            for lo, hi in ended:
                times = (start + timedelta(seconds=s) for s in (lo, hi))
                at = dict(zip(("from", "to"), map(_text, times), strict=True))
                files.append({"kind": "gap", **at, "reason": "server away"})
            if not inside:
                at_text = _text(start + timedelta(seconds=second))
                files.append({"kind": "probe", "at": at_text, "waiting": 0, "counts": []})


START = datetime(2026, 1, 15, 14, 0, tzinfo=UTC)


def _after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def _read(folder: Path, at: datetime) -> Recordings:
    return read_recordings(folder, now=at, cure="incident-rca record")


def test_no_recording_at_all(tmp_path: Path) -> None:
    found = _read(tmp_path / "missing", START)
    assert found.check.state is PROBLEM and found.check.cure == "incident-rca record"
    source = found.source(TimeWindow(START, _after(9)))
    assert source.would_show is WouldShow.NO and source.covered is None


def test_a_recorder_that_runs_and_what_it_covers(tmp_path: Path) -> None:
    _write(tmp_path, START, 300)
    _write(tmp_path, _after(302), 298)
    stopped = _read(tmp_path, _after(601))
    assert stopped.check.state is PROBLEM and "not running" in stopped.check.found
    with recording_folder(tmp_path, Limits()):
        found = _read(tmp_path, _after(601))
        late = _read(tmp_path, _after(900))
    assert found.check.state is OK and found.is_running
    assert "2 segments, 2026-01-15T14:00:00Z .. 2026-01-15T14:10:00Z" in found.check.found
    assert late.check.state is PROBLEM and "writes nothing" in late.check.found
    for lo, hi, shown in (
        (0, 601, WouldShow.YES),
        (100, 400, WouldShow.YES),
        (-60, 400, WouldShow.PARTLY),
        (400, 900, WouldShow.PARTLY),
        (-60, -1, WouldShow.NO),
        (700, 900, WouldShow.NO),
    ):
        assert found.source(TimeWindow(_after(lo), _after(hi))).would_show is shown, (lo, hi)


def test_gaps_and_torn_lines_are_not_covered(tmp_path: Path) -> None:
    _write(tmp_path, START, 300, (100, 160))
    (segment,) = tmp_path.glob("locks-*.ndjson")
    with segment.open("a") as file:
        file.write('{"kind":"probe","at":"2026-01-15T20:00')
    found = _read(tmp_path, _after(301))
    assert found.source(TimeWindow(_after(10), _after(90))).would_show is WouldShow.YES
    assert found.source(TimeWindow(_after(90), _after(200))).would_show is WouldShow.PARTLY
    assert found.source(TimeWindow(_after(110), _after(150))).would_show is WouldShow.NO
    assert "1 gap of 1m" in found.source(TimeWindow(_after(0), _after(9))).why


def test_a_server_whose_clock_is_ahead_of_the_recorder(tmp_path: Path) -> None:
    with recording_folder(tmp_path, Limits()) as files:
        assert files.rotate(START)
        files.append({"kind": "header", "clock": {"offset_seconds": [599.9, 600.1]}})
        for second in range(0, 61):
            at = _text(_after(600 + second))
            files.append({"kind": "probe", "at": at, "waiting": 0, "counts": []})
        found = _read(tmp_path, _after(61))
    assert [(part.start, part.end) for part in found.covered] == [(START, _after(60))]


def test_bytes_that_are_no_recording(tmp_path: Path) -> None:
    (tmp_path / "locks-20260115T140000Z.ndjson").write_bytes(b'{"kind":"gap"\xff\n[]\n{"at":7}\n')
    (tmp_path / "locks-20260115T150000Z.ndjson").write_bytes(b"")
    (tmp_path / "locks-20269915T150000Z.ndjson").write_bytes(b"")
    assert _read(tmp_path, _after(1)).covered == ()


def test_the_line_that_starts_a_recorder_has_no_password() -> None:
    dsn = "postgresql://app:hunter2@db.example:5433/orders?sslpassword=hunter3"
    cure = recorder_cure(dsn, Path("/var/lib/my recordings"))
    line, service = cure.splitlines()
    assert "hunter" not in cure and "db.example" in line
    assert line.endswith("--to '/var/lib/my recordings'")
    assert service.startswith("# ") and service.endswith(f"{line} --print-unit")
    assert recorder_cure("", None).splitlines()[0] == "incident-rca record"


def test_intervals_cover_a_window_only_together() -> None:
    def parts(*bounds: tuple[int, int]) -> list[TimeWindow]:
        return [TimeWindow(_after(lo), _after(hi)) for lo, hi in bounds]

    window = TimeWindow(_after(0), _after(100))
    for bounds, shown in (
        ([(0, 100)], WouldShow.YES),
        ([(50, 120), (-5, 50)], WouldShow.YES),
        ([(-5, 49), (50, 120)], WouldShow.PARTLY),
        ([(100, 120)], WouldShow.NO),
        ([(-9, 0)], WouldShow.NO),
        ([], WouldShow.NO),
    ):
        assert window_covered(parts(*bounds), window) is shown, bounds
