"""One record of a server log, whatever format it was written in, and its instants."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from incident_rca.errors import BadInput
from incident_rca.formats.parsed import sane_instant, utc_instant

LARGEST_PID = 2**31 - 1

SEVERITIES = frozenset(
    "DEBUG DEBUG1 DEBUG2 DEBUG3 DEBUG4 DEBUG5 LOG INFO NOTICE WARNING ERROR FATAL PANIC".split()
)
# lc_messages translates the severity too (PostgreSQL, src/backend/po): the words for ERROR, FATAL,
# LOG, WARNING and STATEMENT that differ from the English ones, with what they mean.
LOCALISED = {
    **dict.fromkeys(("FEHLER", "ERREUR", "ERRO", "ERRORE", "FEL", "HATA", "CHYBA"), "ERROR"),
    **dict.fromkeys(("BŁĄD", "ОШИБКА", "ПОМИЛКА", "エラー", "错误", "오류"), "ERROR"),
    **dict.fromkeys(("FATALE", "FATAAL", "DÖDLIG", "致命错误", "치명적오류", "ВАЖНО"), "FATAL"),
    **dict.fromkeys(("PANIK", "PANICO", "ПАНИКА", "パニック", "比致命错误还过分的错误"), "PANIC"),
    **dict.fromkeys(("WARNUNG", "ATTENTION", "ADVERTENCIA", "AVISO", "ATTENZIONE"), "WARNING"),
    **dict.fromkeys(("VARNING", "UYARI", "ПРЕДУПРЕЖДЕНИЕ", "警告", "경고"), "WARNING"),
    **dict.fromkeys(("LOGG", "DZIENNIK", "СООБЩЕНИЕ", "ЗАПИСЬ", "ログ", "日志", "로그"), "LOG"),
    **dict.fromkeys(("ANWEISUNG", "INSTRUCTION", "SENTENCIA", "COMANDO"), "STATEMENT"),
    **dict.fromkeys(
        ("ISTRUZIONE", "SATS", "İFADE", "ОПЕРАТОР", "文", "语句", "명령 구문"), "STATEMENT"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the server logged at once; what its format does not carry is None or ""."""

    line: int
    at: datetime
    severity: str
    message: str
    pid: int | None = None
    sqlstate: str = ""
    detail: str = ""
    context: str = ""
    statement: str = ""
    session_start: datetime | None = None
    user: str | None = None
    database: str | None = None
    application: str | None = None
    backend_type: str = ""
    localised: str = ""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that cannot be read; `zone` is the time zone's abbreviation that was refused."""

    line: int
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A record of another program in the same stream: read, and of no matter here."""

    line: int


Read = Record | Unreadable | Foreign


class UnknownZone(ValueError):
    """Raised for a time whose zone is an abbreviation: CST is three different zones."""

    def __init__(self, zone: str) -> None:
        super().__init__(f"the zone {zone} has no one meaning")
        self.zone = zone


_OFFSET = re.compile(r"(?P<stamp>.+?) (?P<offset>[+-]\d\d(?::?\d\d)?)")
_ABBREVIATION = re.compile(r"[A-Za-z]{2,6}")


class LogClock:
    """Reads the times of a log, whose server writes them in its `log_timezone`.

    Raises BadInput for a name that is not in the IANA time zone database.
    """

    def __init__(self, log_timezone: str = "") -> None:
        self._zone: ZoneInfo | None = None
        if log_timezone:
            try:
                self._zone = ZoneInfo(log_timezone)
            except (ValueError, OSError, KeyError) as error:
                raise BadInput(
                    f"--log-timezone {log_timezone}: is no time zone",
                    hint="give the server's log_timezone, a name such as Europe/Berlin",
                ) from error

    def instant(self, text: str) -> datetime:
        """The UTC instant of a log's time.

        Raises UnknownZone for an abbreviation other than UTC or GMT that `log_timezone` does not
        explain, ValueError for what is no time. In the hour that a change of DST repeats, the
        abbreviation says which one is meant.
        """
        stamp, _, zone = text.rpartition(" ")
        if zone in ("UTC", "GMT"):
            return sane_instant(datetime.fromisoformat(stamp).replace(tzinfo=UTC))
        offset = _OFFSET.fullmatch(text)
        if offset:
            return utc_instant(offset["stamp"] + offset["offset"])
        if _ABBREVIATION.fullmatch(zone):
            return self._of_abbreviation(stamp, zone)
        return utc_instant(text)

    def _of_abbreviation(self, stamp: str, zone: str) -> datetime:
        local = datetime.fromisoformat(stamp)
        if self._zone is not None and local.tzinfo is None:
            for fold in (0, 1):
                at = local.replace(tzinfo=self._zone, fold=fold)
                if at.tzname() == zone:
                    return sane_instant(at.astimezone(UTC))
        raise UnknownZone(zone)


def severity_of(word: str) -> tuple[str, str]:
    """The English severity of a word and, if it is a translation, the word; ("", "") for neither.

    >>> severity_of("LOG"), severity_of("FEHLER"), severity_of("Error")
    (('LOG', ''), ('ERROR', 'FEHLER'), ('', ''))
    """
    if word in SEVERITIES:
        return word, ""
    return (LOCALISED[word], word) if word in LOCALISED else ("", "")


def pid_of(value: object) -> int:
    """A process id; raises ValueError for what cannot be one."""
    pid = int(str(value))
    if not 0 <= pid <= LARGEST_PID:
        raise ValueError("no process id")
    return pid
