"""Which places on the server still hold a past window, and whether they would have shown it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from incident_rca.errors import BadWindow
from incident_rca.model import TimeWindow
from incident_rca.model.checkup import PastSource, WouldShow, window_covered
from incident_rca.queries import load_query
from incident_rca.sources.checkup_settings import ABOVE_LOG, Settings, is_english
from incident_rca.sources.postgres_rows import Row, read_row, read_rows
from incident_rca.sources.setting_cures import PLATFORM_NAMES, Platform
from incident_rca.window import format_instant, load_zone

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

SERVER_LOG = "server log"
PGSENTINEL = "pgsentinel"
WAIT_SAMPLING = "pg_wait_sampling"
STATEMENTS = "pg_stat_statements"
PGWATCH = "pgwatch"
PERFORMANCE_INSIGHTS = "Performance Insights"


@dataclass(frozen=True, slots=True)
class LogFiles:
    """What is known of the server's own log: since when it is kept, None where nobody can tell."""

    begins: datetime | None
    told_by: str


def read_log_files(
    connection: Connection, settings: Settings, server: Row, now: datetime
) -> LogFiles:
    """Since when the log is kept: by its retention, its file names or their last writes."""
    import psycopg

    minutes = server["rds_log_retention_minutes"]
    if minutes is not None:
        begins = now - timedelta(minutes=minutes)
        return LogFiles(begins, f"rds.log_retention_period = {minutes} min")
    if not settings.is_on("logging_collector"):
        told_by = "its lines go to stderr: whether the service manager or container kept them"
        return LogFiles(None, f"{told_by} cannot be asked")
    try:
        files = read_rows(connection, "checkup_log_files")
    except psycopg.errors.InsufficientPrivilege:
        return LogFiles(None, "how far its files go back needs pg_monitor")
    return log_begins(files, settings)


def log_begins(files: Sequence[Row], settings: Settings) -> LogFiles:
    """Since when these files hold the log, by the times in their names, else by their last writes.

    A file holds nothing that is surely older than the last write of the one before it; so of a
    single file whose name has no time nothing is known.
    """
    pattern = settings.rows["log_filename"].setting if "log_filename" in settings.rows else ""
    named = [_time_in(row["name"], pattern, settings) for row in files]
    begins = min((time for time in named if time is not None), default=None)
    if begins is not None:
        return LogFiles(begins, "its oldest file is named so")
    last_writes: dict[str, datetime] = {}
    for row in files:
        stem = _stem(row["name"])
        last_writes[stem] = max(last_writes.get(stem, row["modification"]), row["modification"])
    if len(last_writes) > 1:
        return LogFiles(min(last_writes.values()), "the last write to its oldest file")
    return LogFiles(None, "how far its only file goes back cannot be asked")


def _stem(name: str) -> str:
    # csvlog and jsonlog have another ending than stderr, and are the same part of the log.
    return name.removesuffix(".log").removesuffix(".csv").removesuffix(".json")


def _time_in(name: str, pattern: str, settings: Settings) -> datetime | None:
    if not {"%Y", "%m", "%d"} <= {pattern[i : i + 2] for i in range(len(pattern))}:
        return None
    try:
        zone = load_zone(settings.text("log_timezone"))
        local = datetime.strptime(f"{_stem(name)} +0000", f"{_stem(pattern)} %z")
        return local.replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, re.error, BadWindow, LookupError):
        return None


def server_log(window: TimeWindow, settings: Settings, server: Row, files: LogFiles) -> PastSource:
    """Whether the log has the waits of the window, as far as settings of now can prove that.

    Settings of the server cannot have changed since its configuration was last loaded, except for
    roles, databases and sessions that have their own; before that, nobody knows.
    """
    if not settings.is_on("log_lock_waits"):
        why = "log_lock_waits is off now: what it was then is not recorded"
        return PastSource(SERVER_LOG, WouldShow.NO, why)
    if settings.text("log_min_messages") in ABOVE_LOG:
        return PastSource(SERVER_LOG, WouldShow.NO, "log_min_messages is above LOG now")
    locale = settings.text("lc_messages")
    if locale and not is_english(locale):
        return PastSource(SERVER_LOG, WouldShow.NO, "its lines about locks are not in English")
    known_since: datetime = server["settings_loaded"].astimezone(UTC)
    limits = "waits above deadlock_timeout; holders by process id, as candidates"
    since = f"log_lock_waits is on since {format_instant(_whole(known_since))} at the latest"
    if settings.platform in (Platform.RDS, Platform.AURORA):
        limits += "; fetch it by CloudWatch Logs or aws rds download-db-log-file-portion"
    begins = max(known_since, files.begins or known_since)
    covered = _between(begins, window.end)
    if files.begins is None:
        why = f"{since}; {files.told_by}; {limits}"
        return PastSource(SERVER_LOG, WouldShow.UNKNOWN, why, covered)
    kept = f"kept since {format_instant(_whole(files.begins))} ({files.told_by})"
    shown = window_covered([covered] if covered else [], window)
    return PastSource(SERVER_LOG, shown, f"{since}; {kept}; {limits}", covered)


def pgsentinel(connection: Connection, window: TimeWindow, settings: Settings) -> PastSource:
    """How much of the window the ring of pgsentinel still holds."""
    found = read_rows(connection, "pgsentinel_view")
    if not found:
        return _absent(PGSENTINEL, settings)
    # The ring's own file names the view without its schema, so that it can be pasted.
    text = load_query("postgres/pgsentinel_ring.sql").text
    text = text.replace("pg_active_session_history", found[0]["view"])
    oldest, newest, samples = (connection.execute(text.encode()).fetchone() or (None,) * 3)[:3]
    limits = "names one blocking pid a waiter, neither lock mode nor relation"
    return _ring(PGSENTINEL, oldest, newest, samples, window, limits)


def wait_sampling(
    connection: Connection, window: TimeWindow, settings: Settings, *, is_here: bool
) -> PastSource:
    """How much of the window the ring of pg_wait_sampling still holds."""
    if not is_here:
        return _absent(WAIT_SAMPLING, settings)
    ring = read_row(connection, "checkup_pg_wait_sampling")
    limits = "shows that sessions waited for locks, never for whom"
    return _ring(WAIT_SAMPLING, ring["oldest"], ring["newest"], ring["samples"], window, limits)


def statements(connection: Connection, settings: Settings, *, is_here: bool) -> PastSource:
    """pg_stat_statements adds up without times, so it never shows a window."""
    if not is_here:
        return _absent(STATEMENTS, settings)
    reset = read_row(connection, "checkup_pg_stat_statements")["stats_reset"]
    since = f" since {format_instant(_whole(reset.astimezone(UTC)))}" if reset else ""
    why = f"adds up{since} without times: a slow statement there supports, but dates nothing"
    return PastSource(STATEMENTS, WouldShow.NO, why)


def pgwatch(sessions: int) -> PastSource:
    """Whether pgwatch is connected; what it stored is elsewhere."""
    if sessions == 0:
        return PastSource(PGWATCH, WouldShow.NO, "no session of it", exists=False)
    why = (
        "is connected: its own database may hold the metric blocking_locks, "
        "which of its presets only `debug` collects"
    )
    return PastSource(PGWATCH, WouldShow.UNKNOWN, why)


def performance_insights(platform: Platform) -> PastSource:
    """Whether the platform has Performance Insights; whether it is turned on SQL cannot tell."""
    if platform not in (Platform.RDS, Platform.AURORA):
        return PastSource(PERFORMANCE_INSIGHTS, WouldShow.NO, "not RDS", exists=False)
    why = (
        f"this is {PLATFORM_NAMES[platform]}; whether it is on: aws rds describe-db-instances "
        "--query 'DBInstances[].[DBInstanceIdentifier,PerformanceInsightsEnabled]'"
    )
    return PastSource(PERFORMANCE_INSIGHTS, WouldShow.UNKNOWN, why)


def _ring(
    source: str,
    oldest: datetime | None,
    newest: datetime | None,
    samples: int,
    window: TimeWindow,
    limits: str,
) -> PastSource:
    if oldest is None or newest is None:
        return PastSource(source, WouldShow.NO, "its ring is empty")
    oldest, newest = (_aware(instant) for instant in (oldest, newest))
    covered = _between(oldest, newest)
    shown = window_covered([covered] if covered else [], window)
    # Complete as it may be, it never names holder and mode.
    shown = WouldShow.PARTLY if shown is WouldShow.YES else shown
    reach = f"{samples} samples from {format_instant(oldest)} to {format_instant(newest)}"
    if shown is WouldShow.NO:
        return PastSource(source, shown, f"overwritten: holds {reach}", covered)
    return PastSource(source, shown, f"{reach}; {limits}", covered)


def _absent(source: str, settings: Settings) -> PastSource:
    loaded = settings.rows.get("shared_preload_libraries")
    if loaded is not None and source in [name.strip() for name in loaded.setting.split(",")]:
        why = f"loaded, but not in this database: CREATE EXTENSION {source};"
        return PastSource(source, WouldShow.UNKNOWN, why)
    return PastSource(source, WouldShow.NO, "not installed in this database", exists=False)


def _aware(instant: datetime) -> datetime:
    # A column without a zone is read as UTC, which is what our session is set to.
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _between(start: datetime, end: datetime) -> TimeWindow | None:
    return TimeWindow(start, end) if start < end else None


def _whole(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(microsecond=0)
