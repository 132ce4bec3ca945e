"""One harmless connection to PostgreSQL: read-only, impatient, and named for what it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from incident_rca.errors import BadSettings, Unreachable
from incident_rca.queries import load_query

if TYPE_CHECKING:
    import psycopg

APPLICATION_NAME = "incident-rca"
OLDEST_VERSION = 140000
STATEMENT_TIMEOUT_MS = 500
LOCK_TIMEOUT_MS = 100
# libpq's own names; a server that is gone is noticed within seconds instead of hours.
_CONNECTION = {
    "connect_timeout": 5,
    "application_name": APPLICATION_NAME,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
# The server's words (postmaster.c, proc.c, miscinit.c), libpq's (fe-connect.c) and the system's.
_PASSES = re.compile(
    r"the database system is |too many clients|too many connections|remaining connection slots"
    r"|terminating connection|Connection refused|No such file or directory|timeout|timed out"
    r"|no answer within|server closed the connection|Connection reset|Network is unreachable"
    r"|No route to host|SSL SYSCALL"
)
_READ_ONLY = "default_transaction_read_only"  # reported to the client from PostgreSQL 14 on
_LOGIN = "check host, port, role and password (PGPASSWORD, ~/.pgpass or a service file)"
_DIRECT = "connect to the server itself, not through a pooler such as PgBouncer"
_ADDRESS = re.compile(r"connection failed: connection to server .*? failed: ")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What a server is and how it is set; `sees_all_sessions` is about the `role` that asked."""

    version: str
    version_num: int
    cluster: str
    database: str
    postmaster_start: datetime
    max_connections: int
    deadlock_timeout_ms: float
    track_activity_query_size: int
    log_lock_waits: bool
    log_line_prefix: str
    log_timezone: str
    role: str
    role_quoted: str
    sees_all_sessions: bool


def named(dsn: str) -> str:
    """A DSN as it may be shown: host, port and database, never a password.

    >>> named("postgresql://app:secret@db.example:5433/orders")
    'db.example:5433/orders'
    """
    parts = _parts(dsn)
    host = parts.get("hostaddr") or parts.get("host") or "local"
    port = f":{parts['port']}" if parts.get("port") else ""
    service = f"service {parts['service']}" if parts.get("service") else ""
    place = service or f"{host}{port}"
    return f"{place}/{parts['dbname']}" if parts.get("dbname") else place


def without_password(dsn: str) -> str:
    """The same DSN, as key=value pairs where it held a password, without that.

    >>> without_password("postgresql://app:secret@db.example:5433/orders")
    'user=app dbname=orders host=db.example port=5433'
    """
    from psycopg import conninfo

    parts = _parts(dsn)
    secrets = [key for key in parts if re.search("password|secret|scram_.*_key", key)]
    if not secrets:
        return dsn
    return conninfo.make_conninfo(**{k: v for k, v in parts.items() if k not in secrets})


def place_of(dsn: str) -> tuple[str, ...]:
    """Where a DSN leads with what libpq adds to it: host, port and database, or a service's name.

    >>> place_of("postgresql://app@db.example:5433/orders")
    ('db.example', '5433', 'orders')
    >>> place_of("service=orders")
    ('service', 'orders')
    """
    from psycopg import pq

    given = _parts(dsn)
    if given.get("service"):
        return tuple(str(p) for p in ("service", given["service"], given.get("dbname")) if p)
    added = {o.keyword.decode(): o.val.decode() for o in pq.Conninfo.get_defaults() if o.val}
    parts = added | given
    host = str(parts.get("host") or parts.get("hostaddr") or "local")
    database = parts.get("dbname") or parts.get("user") or "postgres"
    return ("local" if host.startswith("/") else host, str(parts["port"]), str(database))


def connect(
    dsn: str,
    *,
    statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
    lock_timeout_ms: int = LOCK_TIMEOUT_MS,
) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection in autocommit mode whose transactions are read-only and give up early.

    An empty `dsn` is libpq's own environment and service file. A server that keeps silent beyond
    the statement timeout is given up, too. Raises BadSettings where the DSN cannot be understood
    and Unreachable where nobody answers, the server refuses us, or a pooler drops our settings.
    """
    import psycopg

    from incident_rca.sources.deadline import GRACE_SECONDS, DeadlineConnection

    parts = _parts(dsn)
    # Settings go with the connection's start. A pooler in transaction mode would hand what SET
    # leaves behind to the next client: an application would find itself read-only.
    settings = {
        "statement_timeout": statement_timeout_ms,
        "lock_timeout": lock_timeout_ms,
        "idle_in_transaction_session_timeout": 10_000,
        "idle_session_timeout": 0,
        "timezone": "UTC",
        _READ_ONLY: "on",
    }
    ours = " ".join(f"-c {name}={value}" for name, value in settings.items())
    options = f"{parts.get('options') or ''} {ours}".strip()
    named_us = {"application_name": APPLICATION_NAME, "options": options}
    try:
        connection = DeadlineConnection.connect(
            "", autocommit=True, **{**_CONNECTION, **parts, **named_us}
        )
    except psycopg.Error as error:
        direct = "unsupported startup parameter" in str(error)
        raise Unreachable(
            f"PostgreSQL at {named(dsn)}: {reason_of(error)}", hint=_DIRECT if direct else _LOGIN
        ) from error
    connection.answer_within_seconds = statement_timeout_ms / 1000 + GRACE_SECONDS
    reports = connection.info.server_version >= OLDEST_VERSION
    if reports and connection.info.parameter_status(_READ_ONLY) != "on":
        connection.close()
        raise Unreachable(
            f"PostgreSQL at {named(dsn)}: the settings that keep this connection harmless did not "
            "arrive",
            hint=_DIRECT,
        )
    return connection


def may_pass(error: Unreachable) -> bool:
    """Whether waiting may cure it: the server is down, starting, stopping or full.

    libpq tells why a connection failed in words only; those of the server are English unless its
    `lc_messages` says otherwise. What is not understood counts as a mistake in the DSN.
    """
    return _PASSES.search(str(error.__cause__)) is not None


def server_facts(connection: psycopg.Connection[tuple[Any, ...]]) -> ServerFacts:
    """What the server says of itself; raises Unreachable below PostgreSQL 14 (no `waitstart`)."""
    if connection.info.server_version < OLDEST_VERSION:
        raise Unreachable(
            f"PostgreSQL {connection.info.server_version // 10000} is too old: pg_locks says when "
            "a wait began (`waitstart`) from version 14 on",
            hint="import the server's log instead: incident-rca import CASE postgresql.log",
        )
    cursor = connection.execute(load_query("postgres/server.sql").text.encode())
    row = cursor.fetchone()
    columns = [column.name for column in cursor.description or ()]
    # A database in SQL_ASCII has no encoding: psycopg leaves its texts as bytes.
    cells: list[Any] = [
        c.decode("utf-8", "replace") if isinstance(c, bytes) else c for c in row or ()
    ]
    return ServerFacts(**dict(zip(columns, cells, strict=True)))


def grant_of(facts: ServerFacts) -> str:
    """The statement that lets the role that asked see the sessions of others; "" where it does."""
    from incident_rca.sources.postgres_rows import pasteable

    if facts.sees_all_sessions:
        return ""
    return f"GRANT pg_read_all_stats TO {pasteable(facts.role_quoted, facts.role)};"


def reason_of(error: psycopg.Error) -> str:
    """The first line of what went wrong, without the address that libpq repeats."""
    text = str(error).strip() or type(error).__name__
    return _ADDRESS.sub("", text.splitlines()[0]).rpartition("FATAL:  ")[2].strip()


def _parts(dsn: str) -> dict[str, Any]:
    from psycopg import ProgrammingError, conninfo

    try:
        return dict(conninfo.conninfo_to_dict(dsn))
    except ProgrammingError as error:
        raise BadSettings(
            "the DSN cannot be understood",
            hint="write postgresql://user@host:5432/database, or host=... dbname=...",
        ) from error
