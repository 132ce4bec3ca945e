"""What the role may see, whether there is room to connect, and who keeps locks right now."""

from __future__ import annotations

from collections.abc import Sequence

from incident_rca.model.checkup import Check, CheckState
from incident_rca.queries import load_query
from incident_rca.redact import plain
from incident_rca.sources.checkup_settings import Settings
from incident_rca.sources.postgres_rows import Row, pasteable
from incident_rca.window import format_duration

LONG_PREPARED_SECONDS = 3600
LONG_IDLE_SECONDS = 60
NEARLY_FULL_SHARE = 0.9
WITH_INHERIT_VERSION = 160000
RESERVED_VERSION = 160000


def check_privileges(role: Row, *, version_num: int) -> Check:
    """Whether the role sees states and statements of all sessions, not only that they exist."""
    name, shown = "privileges", plain(role["role"], 63)
    quoted = pasteable(role["role_quoted"], role["role"])
    if role["is_superuser"]:
        found = f"{shown} is a superuser; a role with pg_monitor would be enough"
        return Check(name, CheckState.OK, found)
    if role["reads_all_stats"]:
        return Check(name, CheckState.OK, f"{shown} has pg_read_all_stats")
    if role["member_without_inherit"]:
        found = f"{shown} is in pg_read_all_stats, but does not inherit from it"
        with_inherit = f"GRANT pg_read_all_stats TO {quoted} WITH INHERIT TRUE;"
        alter = f"ALTER ROLE {quoted} INHERIT;"
        cure = with_inherit if version_num >= WITH_INHERIT_VERSION else alter
        return Check(name, CheckState.PROBLEM, found, cure)
    found = f"{shown} sees no states, waits and statements of other roles' sessions"
    return Check(name, CheckState.PROBLEM, found, f"GRANT pg_read_all_stats TO {quoted};")


def check_connections(
    used: int, settings: Settings, role: Row, *, version_num: int, is_recording: bool
) -> Check:
    """Whether there is room now, and whether this role gets in when there is none left.

    `is_recording` says that our recorder holds its connection already.
    """
    name = "connections"
    limit = settings.number("max_connections")
    reserved = settings.number("superuser_reserved_connections")
    shared = 0
    if version_num >= RESERVED_VERSION:
        shared = settings.number("reserved_connections")
    free = max(limit - reserved - shared - used, 0)
    found = f"{used} of {limit} used, {free} free for ordinary roles"
    quoted = pasteable(role["role_quoted"], role["role"])
    cures: list[str] = []
    if version_num >= RESERVED_VERSION:
        if shared == 0:
            cures.append(settings.cure("reserved_connections", "3", restart=True))
        if not role["uses_reserved"]:
            cures.insert(0, f"GRANT pg_use_reserved_connections TO {quoted};")
    gets_in = role["is_superuser"] or (shared > 0 and role["uses_reserved"])
    if used >= NEARLY_FULL_SHARE * (limit - reserved - shared):
        cure = "\n".join(cures) if not gets_in else _who_connects()
        return Check(name, CheckState.PROBLEM, f"{found}: nearly full", cure or _EARLY)
    if gets_in:
        return Check(name, CheckState.OK, f"{found}; this role gets in when all are taken")
    if is_recording:
        return Check(name, CheckState.OK, f"{found}; the recorder keeps the one that it has")
    found += "; this role does not get in when all are taken"
    return Check(name, CheckState.WARNING, found, "\n".join(cures) or _EARLY)


_EARLY = "start incident-rca record before: it keeps its connection"


def _who_connects() -> str:
    """The query that says who holds the connections, on one line."""
    text = load_query("postgres/checkup_who_connects.sql").text
    return " ".join(line for line in text.splitlines() if not line.startswith("--"))


def check_standby(in_recovery: bool) -> Check:
    """A standby has locks of its own; who blocks whom on the primary is not visible there."""
    name = "standby"
    if not in_recovery:
        return Check(name, CheckState.OK, "no, this is a primary")
    found = "yes: locks of the primary are not visible here"
    cure = "check the primary too: add --dsn 'host=PRIMARY,STANDBY target_session_attrs=primary'"
    return Check(name, CheckState.WARNING, found, cure)


def check_prepared(transactions: Sequence[Row]) -> Check:
    """Whether a prepared transaction has been open for long, the oldest first in `transactions`."""
    name = "prepared_transactions"
    if not transactions:
        return Check(name, CheckState.OK, "none open")
    oldest = transactions[0]
    age = format_duration(max(round(oldest["age_seconds"]), 0))
    found = (
        f"{len(transactions)} open, the oldest for {age}: {plain(oldest['gid'], 60)} "
        f"in {plain(oldest['database'], 63)} by {plain(oldest['owner'], 63)}"
    )
    if oldest["age_seconds"] < LONG_PREPARED_SECONDS:
        return Check(name, CheckState.OK, found)
    gid = pasteable(oldest["gid_quoted"], oldest["gid"])
    cure = f"COMMIT PREPARED {gid}; or ROLLBACK PREPARED {gid}; in that database: its owner decides"
    return Check(name, CheckState.WARNING, f"{found}; it keeps its locks", cure)


def check_idle(oldest: Sequence[Row], *, sees_all_sessions: bool) -> Check:
    """Whether a session is idle in a transaction for long; `oldest` has at most one row."""
    name = "idle_in_transaction"
    if not oldest and not sees_all_sessions:
        return Check(name, CheckState.UNKNOWN, "states of other roles' sessions are hidden")
    if not oldest:
        return Check(name, CheckState.OK, "nobody now")
    (row,) = oldest
    who = plain(row["application_name"] or row["role"] or "", 60)
    since = format_duration(max(round(row["idle_seconds"]), 0))
    found = f"{row['sessions']} now, the longest for {since}: pid {row['pid']} ({who})"
    if row["idle_seconds"] < LONG_IDLE_SECONDS:
        return Check(name, CheckState.OK, found)
    cure = f"SELECT pg_terminate_backend({row['pid']}); -- undoes what it has not committed"
    return Check(name, CheckState.WARNING, f"{found}; it keeps its locks", cure)
