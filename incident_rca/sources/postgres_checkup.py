"""The check-up of one server: every check on its own, so that one that fails hides no other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import psycopg

from incident_rca.errors import Unreachable
from incident_rca.model import TimeWindow
from incident_rca.model.checkup import Check, CheckState, Checkup, PastSource, WouldShow
from incident_rca.redact import plain
from incident_rca.sources import checkup_history as history
from incident_rca.sources import checkup_path, checkup_sessions
from incident_rca.sources.checkup_recordings import Recordings
from incident_rca.sources.checkup_settings import (
    Settings,
    check_overrides,
    check_settings,
    read_settings,
)
from incident_rca.sources.lock_snapshots import clock_offset
from incident_rca.sources.postgres import OLDEST_VERSION, connect, named, place_of, reason_of
from incident_rca.sources.postgres_rows import Row, read_row, read_rows
from incident_rca.sources.setting_cures import PLATFORM_NAMES, Platform

if TYPE_CHECKING:
    Connection = psycopg.Connection[tuple[Any, ...]]

# The server refuses, the role may not see a setting, or a name is in another encoding.
_UNANSWERED = (psycopg.Error, LookupError, UnicodeError)


@dataclass(frozen=True)
class _Asked:
    """What several checks need is asked once, by the first of them."""

    connection: Connection

    @cached_property
    def server(self) -> Row:
        return read_row(self.connection, "checkup_server")

    @cached_property
    def platform(self) -> Platform:
        return Platform(self.server["platform"])

    @cached_property
    def settings(self) -> Settings:
        return read_settings(read_rows(self.connection, "checkup_settings"), self.platform)

    @cached_property
    def role(self) -> Row:
        return read_row(self.connection, "checkup_role")

    @cached_property
    def others(self) -> Row:
        return read_row(self.connection, "checkup_history_sources")

    @property
    def version_num(self) -> int:
        return self.connection.info.server_version


def check_server(
    dsn: str, *, now: Callable[[], datetime], window: TimeWindow, recordings: Recordings
) -> Checkup:
    """The checks of the server behind `dsn`, and whether it would have shown `window`.

    A server that cannot be reached gives that one check. Raises BadSettings for a DSN that cannot
    be understood; nothing is written, and no relation of a user is opened.
    """
    begun = time.monotonic()
    try:
        connection = connect(dsn)
    except Unreachable as error:
        refused = (unreachable(error), recordings.check)
        return Checkup(shown_name(dsn), refused, (recordings.source(window),), reachable=False)
    connected_ms = (time.monotonic() - begun) * 1000
    asked = _Asked(connection)
    try:
        checks = (_reachable(connection, connected_ms), *_checks(asked, now, recordings))
        past = (recordings.source(window), *_past_window(asked, window, now()))
    finally:
        connection.close()
    return Checkup(shown_name(dsn), checks, past, reachable=True)


def shown_name(dsn: str) -> str:
    """The server as it may be shown; without a DSN, what libpq's environment says.

    >>> shown_name("host=db.example dbname=orders password=secret")
    'db.example/orders'
    """
    if dsn:
        return named(dsn)
    *host_and_port, database = place_of(dsn)
    return f"{':'.join(host_and_port)}/{database}"


def unreachable(error: Unreachable) -> Check:
    """The check of a server that did not let us in, with what to do about this very reason."""
    cure = next((cure for text, cure in _REFUSALS.items() if text in error.message), error.hint)
    return Check("reachable", CheckState.PROBLEM, plain(error.message, 400), cure)


# What libpq and the server say; in another language the hint of the error stands.
_REFUSALS = {
    "too many clients": "end idle sessions, or connect as a member of pg_use_reserved_connections",
    "remaining connection slots": (
        "end idle sessions, or GRANT pg_use_reserved_connections TO this role beforehand (16+)"
    ),
    "password authentication failed": "set PGPASSWORD, or write the password to ~/.pgpass",
    "no password supplied": "set PGPASSWORD, or write the password to ~/.pgpass",
    "pg_hba.conf": "allow this host and role in pg_hba.conf, then SELECT pg_reload_conf();",
    "unsupported startup parameter": "PgBouncer stands in between: connect to the server itself",
    "Connection refused": "is PostgreSQL running there, and is the port right? pg_isready -h HOST",
    "timeout expired": "nobody answers there: check the network, the firewall and the host",
    "starting up": "the server is starting: try again in a moment",
    "resolve host name": "check the host's name",
    "translate host name": "check the host's name",
}


def _reachable(connection: Connection, connected_ms: float) -> Check:
    begun = time.monotonic()
    try:
        connection.execute(b"")
    except psycopg.Error as error:
        return Check("reachable", CheckState.PROBLEM, _why(connection, error), "connect again")
    trip_ms = (time.monotonic() - begun) * 1000
    found = f"connected in {connected_ms:.0f} ms, a round trip takes {trip_ms:.1f} ms"
    return Check("reachable", CheckState.OK, found)


def _checks(asked: _Asked, now: Callable[[], datetime], recordings: Recordings) -> Iterator[Check]:
    connection, version_num = asked.connection, asked.version_num
    yield _isolated(connection, "version", lambda: _version(asked))
    yield recordings.check
    yield _isolated(
        connection,
        "privileges",
        lambda: checkup_sessions.check_privileges(asked.role, version_num=version_num),
    )
    try:
        yield from check_settings(asked.settings)
    except _UNANSWERED as error:
        yield Check("settings", CheckState.UNKNOWN, _why(connection, error))
    yield _isolated(
        connection, "overrides", lambda: check_overrides(read_rows(connection, "checkup_overrides"))
    )
    yield _isolated(
        connection,
        "connections",
        lambda: checkup_sessions.check_connections(
            read_row(connection, "checkup_connections")["used"],
            asked.settings,
            asked.role,
            version_num=version_num,
            is_recording=recordings.is_running,
        ),
    )
    yield _isolated(
        connection, "clock", lambda: checkup_path.check_clock(clock_offset(connection, now))
    )
    yield _isolated(connection, "pooler", lambda: _pooler(connection))
    yield _isolated(
        connection, "standby", lambda: checkup_sessions.check_standby(asked.server["in_recovery"])
    )
    yield _isolated(
        connection,
        "prepared_transactions",
        lambda: checkup_sessions.check_prepared(read_rows(connection, "checkup_prepared")),
    )
    yield _isolated(
        connection,
        "idle_in_transaction",
        lambda: checkup_sessions.check_idle(
            read_rows(connection, "checkup_idle"),
            sees_all_sessions=asked.role["reads_all_stats"],
        ),
    )


def _version(asked: _Asked) -> Check:
    number = asked.version_num // 10000
    if asked.version_num < OLDEST_VERSION:
        found = f"PostgreSQL {number}: pg_locks says when a wait began from 14 on only"
        cure = "upgrade to 14 or later; until then: incident-rca import CASE postgresql.log"
        return Check("version", CheckState.PROBLEM, found, cure)
    platform = PLATFORM_NAMES.get(asked.platform)
    operated = f" on {platform}" if platform else ""
    found = f"PostgreSQL {plain(asked.server['version'], 60)}{operated}"
    return Check("version", CheckState.OK, found)


def _pooler(connection: Connection) -> Check:
    return checkup_path.check_pooler(
        read_row(connection, "checkup_path"),
        announced_pid=connection.info.backend_pid,
        port=checkup_path.our_port(connection),
    )


def _past_window(asked: _Asked, window: TimeWindow, now: datetime) -> Iterator[PastSource]:
    connection = asked.connection

    def log() -> PastSource:
        files = history.read_log_files(connection, asked.settings, asked.server, now)
        return history.server_log(window, asked.settings, asked.server, files)

    sources: dict[str, Callable[[], PastSource]] = {
        history.SERVER_LOG: log,
        history.PGSENTINEL: lambda: history.pgsentinel(connection, window, asked.settings),
        history.WAIT_SAMPLING: lambda: history.wait_sampling(
            connection, window, asked.settings, is_here=asked.others["pg_wait_sampling"]
        ),
        history.STATEMENTS: lambda: history.statements(
            connection, asked.settings, is_here=asked.others["pg_stat_statements"]
        ),
        history.PGWATCH: lambda: history.pgwatch(asked.others["pgwatch"]),
        history.PERFORMANCE_INSIGHTS: lambda: history.performance_insights(asked.platform),
    }
    for name, source in sources.items():
        try:
            yield source()
        except _UNANSWERED as error:
            yield PastSource(name, WouldShow.UNKNOWN, _why(connection, error))


def _isolated(connection: Connection, name: str, check: Callable[[], Check]) -> Check:
    """The check, or `unknown` with the server's reason where it refused to answer."""
    try:
        return check()
    except _UNANSWERED as error:
        return Check(name, CheckState.UNKNOWN, _why(connection, error))


def _why(connection: Connection, error: Exception) -> str:
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        # Nobody answers any more: what is left to ask must not wait for it again and again.
        connection.close()
    if isinstance(error, LookupError):
        return f"could not be asked: {error.args[0]} is hidden from this role"
    reason = reason_of(error) if isinstance(error, psycopg.Error) else str(error)
    return f"could not be asked: {plain(reason)}"
