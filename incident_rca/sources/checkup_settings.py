"""Whether the server's settings let a lock wait leave evidence that can be read afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from incident_rca.model.checkup import Check, CheckState
from incident_rca.redact import plain
from incident_rca.sources.postgres_rows import Row, pasteable
from incident_rca.sources.setting_cures import Platform, ServerSetting, setting_cure

WANTED_QUERY_SIZE = 4096
WANTED_PREFIX = "%m [%p] %q%u@%d/%a "
LONGEST_DEADLOCK_TIMEOUT_MS = 1000
# A message of level LOG is written unless log_min_messages is above it: LOG ranks over ERROR there.
ABOVE_LOG = ("fatal", "panic")
# A setting from one of these holds for this session of ours, not for the server.
OWN_SOURCES = ("database", "user", "database user", "client", "session")

_ESCAPE = re.compile(r"%-?\d*(?P<letter>[a-zA-Z%])")
_ENGLISH = re.compile(r"(?:C|POSIX)(?:\.[\w-]+)?|en(?:[_.-].*)?|English.*", re.I)


@dataclass(frozen=True, slots=True)
class Settings:
    """What pg_settings shows to this role; `platform` decides how a cure is written."""

    rows: Mapping[str, ServerSetting]
    platform: Platform

    def text(self, name: str) -> str:
        """The value in its base unit; raises LookupError for one that the role may not see."""
        if name not in self.rows:
            raise LookupError(name)
        return self.rows[name].setting

    def number(self, name: str) -> int:
        return int(self.text(name))

    def shown(self, name: str) -> str:
        """The value as people write it, safe for a terminal."""
        self.text(name)
        return plain(self.rows[name].shown)

    def is_on(self, name: str) -> bool:
        return self.text(name) == "on"

    def cure(self, name: str, value: str, *, restart: bool = False) -> str:
        source = self.rows[name].source if name in self.rows else ""
        return setting_cure(self.platform, name, value, source=source, restart=restart)


def read_settings(rows: Iterable[Row], platform: Platform) -> Settings:
    """The rows of checkup_settings.sql by name."""
    return Settings({row["name"]: ServerSetting(**row) for row in rows}, platform)


def check_settings(settings: Settings) -> tuple[Check, ...]:
    """One check for each setting that matters; `unknown` for one that the role may not see."""
    return tuple(_checked(name, check, settings) for name, check in _CHECKS.items())


def is_english(locale: str) -> bool:
    """Whether messages in this locale are English.

    >>> [is_english(name) for name in ("C", "en_US.UTF-8", "de_DE.UTF-8", "")]
    [True, True, False, False]
    """
    return _ENGLISH.fullmatch(locale) is not None


def prefix_letters(prefix: str) -> frozenset[str]:
    """The escapes of a log_line_prefix; `%%` is none.

    >>> sorted(prefix_letters("%m [%-5p] 100%% %q%a"))
    ['a', 'm', 'p', 'q']
    """
    return frozenset(m["letter"] for m in _ESCAPE.finditer(prefix)) - {"%"}


def _checked(name: str, check: Callable[[Settings], Check], settings: Settings) -> Check:
    try:
        made = check(settings)
    except LookupError as error:
        return Check(name, CheckState.UNKNOWN, f"{error.args[0]} is hidden from this role")
    row = settings.rows.get(name)
    if row is not None and row.source in OWN_SOURCES and made.state is CheckState.OK:
        found = f"{made.found}; set for this role or database only: others are not known"
        return replace(made, state=CheckState.UNKNOWN, found=found)
    return made


def _log_lock_waits(settings: Settings) -> Check:
    name = "log_lock_waits"
    if not settings.is_on(name):
        found = "off: a wait leaves no line in the server's log"
        return Check(name, CheckState.PROBLEM, found, settings.cure(name, "on"))
    if settings.text("log_min_messages") in ABOVE_LOG:
        level = settings.shown("log_min_messages")
        found = f"on, but log_min_messages = {level} keeps its lines out of the log"
        return Check(name, CheckState.PROBLEM, found, settings.cure("log_min_messages", "warning"))
    if settings.text("log_error_verbosity") == "terse":
        found = "on, but log_error_verbosity = terse drops the DETAIL that names the holders"
        cure = settings.cure("log_error_verbosity", "default")
        return Check(name, CheckState.PROBLEM, found, cure)
    return Check(name, CheckState.OK, "on")


def _deadlock_timeout(settings: Settings) -> Check:
    name = "deadlock_timeout"
    found = f"{settings.shown(name)}: shorter waits never reach the log"
    if settings.number(name) > LONGEST_DEADLOCK_TIMEOUT_MS:
        cure = settings.cure(name, str(LONGEST_DEADLOCK_TIMEOUT_MS))
        return Check(name, CheckState.WARNING, found, cure)
    return Check(name, CheckState.OK, found)


def _log_statement(settings: Settings) -> Check:
    name = "log_statement"
    logged, from_ms = settings.text(name), settings.number("log_min_duration_statement")
    if logged != "none":
        return Check(name, CheckState.OK, f"{plain(logged)}: the log tells a holder's DDL")
    if from_ms == 0:
        return Check(name, CheckState.OK, "none, but log_min_duration_statement = 0 logs them all")
    found = "none: the log never tells which statement took a lock"
    if from_ms > 0:
        shown = settings.shown("log_min_duration_statement")
        found = f"none: the log tells only statements that ran {shown}, not a quick ALTER TABLE"
    return Check(name, CheckState.WARNING, found, settings.cure(name, "ddl"))


def _log_destination(settings: Settings) -> Check:
    name = "log_destination"
    places, shown = _destinations(settings), settings.shown(name)
    if not places & {"stderr", "csvlog", "jsonlog"}:
        found = f"{shown or 'nowhere'}: without stderr, csvlog or jsonlog its lines cannot be read"
        return Check(name, CheckState.PROBLEM, found, settings.cure(name, "stderr"))
    if settings.is_on("logging_collector"):
        columns = ": every field in a column of its own" if _is_structured(settings) else ""
        return Check(name, CheckState.OK, f"{shown}{columns}")
    if places & {"csvlog", "jsonlog"}:
        # elog.c falls back to stderr, in the form of stderr.
        found = f"{shown}, but without logging_collector all of it goes to stderr as plain lines"
        cure = settings.cure("logging_collector", "on", restart=True)
        return Check(name, CheckState.WARNING, found, cure)
    found = f"{shown}, no logging_collector: the service manager or container keeps it, if anyone"
    return Check(name, CheckState.OK, found)


def _destinations(settings: Settings) -> frozenset[str]:
    return frozenset(place.strip() for place in settings.text("log_destination").split(","))


def _is_structured(settings: Settings) -> bool:
    """Whether the server writes csvlog or jsonlog, which only the logging collector does."""
    wanted = _destinations(settings) & {"csvlog", "jsonlog"}
    return bool(wanted) and settings.is_on("logging_collector")


def _log_line_prefix(settings: Settings) -> Check:
    name = "log_line_prefix"
    letters = prefix_letters(settings.text(name))
    shown = f"'{plain(settings.rows[name].shown)}'"
    if _is_structured(settings):
        return Check(name, CheckState.OK, f"{shown}; csvlog and jsonlog do not need it")
    cure = settings.cure(name, WANTED_PREFIX)
    if settings.platform in (Platform.RDS, Platform.AURORA):
        # The prefix is fixed or of few choices there; csvlog has milliseconds and the application.
        cure = settings.cure("log_destination", "stderr,csvlog")
    if not letters & set("mnt"):
        return Check(name, CheckState.PROBLEM, f"{shown}: lines have no time (%m)", cure)
    if not letters & set("pc"):
        found = f"{shown}: lines have no process id (%p), so DETAIL cannot be joined"
        return Check(name, CheckState.PROBLEM, found, cure)
    lacks = [] if letters & set("mn") else ["times to the second only (%t instead of %m)"]
    lacks += [] if "a" in letters else ["no application name (%a)"]
    if lacks:
        return Check(name, CheckState.WARNING, f"{shown}: {', '.join(lacks)}", cure)
    return Check(name, CheckState.OK, shown)


def _lc_messages(settings: Settings) -> Check:
    name = "lc_messages"
    locale, cure = settings.text(name), settings.cure(name, "C")
    if not locale:
        found = "empty: the language is that of the server's environment"
        return Check(name, CheckState.UNKNOWN, found, cure)
    if not is_english(locale):
        found = f"{plain(locale)}: lines about locks in that language cannot be read"
        return Check(name, CheckState.PROBLEM, found, cure)
    return Check(name, CheckState.OK, plain(locale))


def _track_activities(settings: Settings) -> Check:
    name = "track_activities"
    if not settings.is_on(name):
        found = "off: neither statements nor waits of sessions are visible"
        return Check(name, CheckState.PROBLEM, found, settings.cure(name, "on"))
    return Check(name, CheckState.OK, "on")


def _track_activity_query_size(settings: Settings) -> Check:
    name = "track_activity_query_size"
    size = settings.number(name)
    found = f"{size} bytes: longer statements are cut"
    if size >= WANTED_QUERY_SIZE:
        return Check(name, CheckState.OK, found)
    if settings.rows[name].pending_restart:
        found += "; changed already, and waits for a restart"
        return Check(name, CheckState.WARNING, found, "restart PostgreSQL in a quiet hour")
    cure = settings.cure(name, str(WANTED_QUERY_SIZE), restart=True)
    return Check(name, CheckState.WARNING, found, cure)


def _pending_restart(settings: Settings) -> Check:
    name = "pending_restart"
    waiting = sorted(row.name for row in settings.rows.values() if row.pending_restart)
    if not waiting:
        return Check(name, CheckState.OK, "none")
    found = f"changed, and not in force before a restart: {plain(', '.join(waiting))}"
    return Check(name, CheckState.WARNING, found, "restart PostgreSQL in a quiet hour")


_CHECKS: Mapping[str, Callable[[Settings], Check]] = {
    "log_lock_waits": _log_lock_waits,
    "deadlock_timeout": _deadlock_timeout,
    "log_statement": _log_statement,
    "log_destination": _log_destination,
    "log_line_prefix": _log_line_prefix,
    "lc_messages": _lc_messages,
    "track_activities": _track_activities,
    "track_activity_query_size": _track_activity_query_size,
    "pending_restart": _pending_restart,
}

# --- what a role or a database overrides ------------------------------------------------------

_HARMFUL: Mapping[str, Callable[[str], bool]] = {
    "log_lock_waits": lambda value: value.lower() not in ("on", "true", "yes", "1"),
    "track_activities": lambda value: value.lower() not in ("on", "true", "yes", "1"),
    "lc_messages": lambda value: not is_english(value),
    "log_min_messages": lambda value: value.lower() in ABOVE_LOG,
    "log_error_verbosity": lambda value: value.lower() == "terse",
}


def check_overrides(rows: Iterable[Row]) -> Check:
    """Whether a role or a database has a setting of its own that takes evidence away."""
    harmful = [row for row in rows if _is_harmful(row)]
    if not harmful:
        return Check("overrides", CheckState.OK, "no role or database hides its lock waits")
    told = [f"{_owner(row)}: {row['name']} = {plain(row['setting'], 40)}" for row in harmful]
    found = f"for some the evidence is off: {'; '.join(told)}"
    return Check("overrides", CheckState.WARNING, found, " ".join(map(_reset, harmful)))


def _is_harmful(row: Row) -> bool:
    judge = _HARMFUL.get(row["name"])
    return judge is not None and judge(row["setting"])


def _owner(row: Row) -> str:
    parts = [f"{kind} {plain(row[kind], 63)}" for kind in ("role", "database") if row[kind]]
    return " in ".join(parts) or "all roles"


def _reset(row: Row) -> str:
    role = pasteable(row["role_quoted"], row["role"]) if row["role"] else ""
    database = pasteable(row["database_quoted"], row["database"]) if row["database"] else ""
    if role:
        place = f" IN DATABASE {database}" if database else ""
        return f"ALTER ROLE {role}{place} RESET {row['name']};"
    return f"ALTER {f'DATABASE {database}' if database else 'ROLE ALL'} RESET {row['name']};"
