"""Human time to a TimeWindow and back, by a strict grammar: refused if unclear, never guessed."""

from __future__ import annotations

import difflib
import re
import zoneinfo
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from incident_rca.errors import BadWindow
from incident_rca.model import TimeWindow

FUTURE_TOLERANCE_SECONDS = 60
# What is counted by the second, or by ten, is of this size even where hardly anything happened.
LONGEST_DAYS = 366

_DURATION = re.compile(
    r"(?:(?P<weeks>[0-9]{1,9})w)?(?:(?P<days>[0-9]{1,9})d)?(?:(?P<hours>[0-9]{1,9})h)?"
    r"(?:(?P<minutes>[0-9]{1,9})m)?(?:(?P<seconds>[0-9]{1,9})s)?"
)
_TIME_OF_DAY = re.compile(r"[0-9]{2}:[0-9]{2}(?::[0-9]{2})?")
_ISO = re.compile(
    r"(?P<local>[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?)"
    r"(?P<offset>Z|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)

_INSTANT_FORMS = (
    "write 2026-01-15T14:10:00Z, 2026-01-15T14:10 (in the set time zone), 14:10 (today), "
    "now, now-2h or `2h ago`"
)
_DURATION_FORMS = "write whole numbers with units w d h m s, largest first: 45m, 2h, 1h30m"

# They are IANA names, but people also mean a place's summer time by them.
_ABBREVIATIONS = frozenset({"CET", "EET", "EST", "HST", "MET", "MST", "WET"})
# They mean what the machine says, no place at all, or a clock that counts leap seconds.
_MACHINE_ZONES = ("localtime", "posixrules", "posix/", "right/", "Factory")


def load_zone(name: str) -> tzinfo:
    """The time zone of that IANA name.

    Raises BadWindow for unknown names, for abbreviations that do not say which place's summer time
    they mean, and for names whose meaning differs between machines.

    >>> load_zone("UTC")
    datetime.timezone.utc
    """
    if name == "UTC":
        return UTC
    if name in _ABBREVIATIONS:
        raise BadWindow(
            f"time zone {_shown(name)} is an abbreviation",
            hint="name a place instead, such as America/New_York or Europe/Berlin",
        )
    try:
        if not name.startswith(_MACHINE_ZONES):
            return ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        pass
    near = difflib.get_close_matches(name, sorted(zoneinfo.available_timezones()), n=1)
    raise BadWindow(
        f"unknown time zone {_shown(name)}",
        hint=f"did you mean {near[0]}?" if near else "use an IANA name such as Asia/Tokyo, or UTC",
    )


def parse_window(
    *,
    start: str | None,
    end: str | None,
    around: str | None,
    window: str | None,
    last: str | None,
    now: datetime,
    timezone: str,
    force: bool,
    max_hours: float = 24,
) -> TimeWindow | None:
    """The window that `--from/--to`, `--around/--window` or `--last` name; None if none was given.

    `now` is an aware instant, taken to the whole second; `timezone` is the IANA name in which times
    without an offset are read. Raises BadWindow for anything that is not clear.
    """
    _require_one_form(start=start, end=end, around=around, window=window, last=last)
    zone = load_zone(timezone)
    now = now.astimezone(UTC).replace(microsecond=0)
    if start is not None:
        lo = _moment("--from", start, now, zone)
        hi = now if end is None else _moment("--to", end, now, zone)
    elif around is not None and window is not None:
        half = _length("--window", window) / 2
        centre = _moment("--around", around, now, zone)
        lo, hi = _shift(centre, -half), _shift(centre, half)
    elif last is not None:
        lo, hi = _shift(now, -_length("--last", last)), now
    else:
        return None
    _require_sound(lo, hi, now=now, max_hours=max_hours, force=force)
    return TimeWindow(lo, hi)


def _require_one_form(**given: str | None) -> None:
    options = {"start": "--from", "end": "--to"}
    used = [options.get(k, f"--{k}") for k, text in given.items() if text is not None]
    match used:
        case [] | ["--from"] | ["--from", "--to"] | ["--around", "--window"] | ["--last"]:
            return
        case ["--to"]:
            raise BadWindow("--to without --from", hint="add --from, or use --last 2h")
        case ["--around"]:
            raise BadWindow("--around without --window", hint="add how long: --window 30m")
        case ["--window"]:
            raise BadWindow("--window without --around", hint="add its centre: --around 14:30")
    raise BadWindow(
        f"these do not go together: {', '.join(used)}",
        hint="use one form: --from A --to B, or --around T --window 30m, or --last 2h",
    )


def _require_sound(
    lo: datetime, hi: datetime, *, now: datetime, max_hours: float, force: bool
) -> None:
    shown = f"{format_instant(lo)} .. {format_instant(hi)}"
    latest = now + timedelta(seconds=FUTURE_TOLERANCE_SECONDS)
    if lo == hi:
        raise BadWindow(f"the window is empty: {shown}", hint="it must start before it ends")
    if max(lo, hi) > latest:
        which = "starts" if lo > latest else "ends"
        raise BadWindow(
            f"the window {which} in the future: {shown}, and now is {format_instant(now)}",
            hint="end it with now; for a time of yesterday, write the date",
        )
    if lo > hi:
        raise BadWindow(
            f"the window is reversed: {shown}",
            hint="swap the two; for a window across midnight, write both dates",
        )
    if (hi - lo) > timedelta(hours=max_hours) and not force:
        raise BadWindow(
            f"the window is {format_duration((hi - lo).total_seconds())} long, "
            f"above {max_hours:g} h: {shown}",
            hint="narrow it, or insist with --force",
        )
    require_analysable(TimeWindow(lo, hi))


def whole_seconds(window: TimeWindow) -> TimeWindow:
    """The window from the second that it begins in to the end of that in which it ends."""
    end = window.end.replace(microsecond=0)
    end += timedelta(seconds=end != window.end)
    return TimeWindow(window.start.replace(microsecond=0), end)


def require_analysable(window: TimeWindow) -> None:
    """Raises BadWindow where a window is longer than any that can be analysed."""
    if window.seconds > timedelta(days=LONGEST_DAYS).total_seconds():
        raise BadWindow(
            f"the window is {format_duration(window.seconds)} long, and above {LONGEST_DAYS} days "
            f"none can be analysed: {format_instant(window.start)} .. {format_instant(window.end)}",
            hint="give a part of it: --from and --to",
        )


def _moment(option: str, text: str, now: datetime, zone: tzinfo) -> datetime:
    """The UTC instant that one of the grammar's forms names."""
    text = text.strip()
    try:
        if text == "now":
            return now
        if text.startswith("now-"):
            return now - parse_duration(text.removeprefix("now-"))
        if text.endswith(" ago"):
            return now - parse_duration(text.removesuffix(" ago"))
        if _TIME_OF_DAY.fullmatch(text):
            today = now.astimezone(zone).date().isoformat()
            return _in_zone(datetime.fromisoformat(f"{today}T{text}"), zone)
        if iso := _ISO.fullmatch(text):
            instant = datetime.fromisoformat(text)
            return instant.astimezone(UTC) if iso["offset"] else _in_zone(instant, zone)
    except BadWindow as error:
        raise BadWindow(f"{option} {_shown(text)}: {error.message}", hint=error.hint) from error
    except (ValueError, OverflowError) as error:
        raise BadWindow(
            f"{option} {_shown(text)} is no time that exists", hint=_INSTANT_FORMS
        ) from error
    raise BadWindow(f"{option} {_shown(text)} is not a time", hint=_INSTANT_FORMS)


def _in_zone(local: datetime, zone: tzinfo) -> datetime:
    """The one UTC instant at which clocks in `zone` show `local`, or BadWindow."""
    earlier, later = local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1)
    offsets = (earlier.utcoffset() or timedelta(0), later.utcoffset() or timedelta(0))
    if offsets[0] < offsets[1]:
        raise BadWindow(
            f"{local.isoformat()} does not exist in {zone}: clocks were put forward over it",
            hint="write it with an offset, or in UTC with Z",
        )
    if offsets[0] > offsets[1]:
        raise BadWindow(
            f"{local.isoformat()} happened twice in {zone}: clocks were put back",
            hint=f"say which: {earlier.isoformat()} or {later.isoformat()}",
        )
    return earlier.astimezone(UTC)


def _length(option: str, text: str) -> timedelta:
    try:
        return parse_duration(text.strip())
    except BadWindow as error:
        raise BadWindow(f"{option} {error.message}", hint=error.hint) from error


def _shift(instant: datetime, by: timedelta) -> datetime:
    try:
        return instant + by
    except OverflowError as error:
        raise BadWindow("the window leaves the calendar", hint="use a shorter duration") from error


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:59]}…")


def parse_duration(text: str) -> timedelta:
    """The length that whole numbers with units name: w d h m s, largest first, each once.

    Raises BadWindow.

    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    match = _DURATION.fullmatch(text)
    counts = {unit: int(n) for unit, n in match.groupdict("").items() if n} if match else {}
    if not counts:
        raise BadWindow(f"{_shown(text)} is not a duration", hint=_DURATION_FORMS)
    try:
        return timedelta(**counts)
    except OverflowError as error:
        raise BadWindow(f"{_shown(text)} is too long", hint=_DURATION_FORMS) from error


def format_duration(seconds: float) -> str:
    """`seconds` in the grammar of parse_duration, by days at most.

    Below a minute it keeps milliseconds (which parse_duration does not read); above, whole seconds.

    >>> [format_duration(s) for s in (2700, 5400, 1397, 90000, 0, 0.25, 60.4)]
    ['45m', '1h30m', '23m17s', '1d1h', '0s', '0.25s', '1m']
    """
    sign = "-" if seconds < 0 else ""
    size = round(abs(seconds), 3)
    if size < 60 and size != int(size):
        return f"{sign}{size:g}s"
    rest = round(size)
    parts: list[str] = []
    for unit, unit_seconds in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, unit_seconds)
        if count:
            parts.append(f"{count}{unit}")
    return sign + "".join(parts) if parts else "0s"


def format_instant(instant: datetime) -> str:
    """`instant` as RFC 3339 in UTC with `Z`; fractions only if not zero, trailing zeros cut.

    Raises ValueError for a naive instant.

    >>> format_instant(datetime(2026, 1, 15, 8, 0, 0, 600_000, UTC))
    '2026-01-15T08:00:00.6Z'
    """
    if instant.utcoffset() is None:
        raise ValueError(f"an instant without a time zone: {instant!r}")
    text = instant.astimezone(UTC).replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


def describe_window(window: TimeWindow, timezone: str) -> str:
    """The window in UTC, its length and, unless that is UTC, its local time, on one line.

    >>> begin = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
    >>> describe_window(TimeWindow(begin, begin + timedelta(minutes=45)), "Asia/Tokyo")
    '2026-03-01T08:00:00Z .. 08:45:00Z (45m; 17:00–17:45 Asia/Tokyo)'
    """
    end = format_instant(window.end)
    if window.start.date() == window.end.date():
        end = end.partition("T")[2]
    length = format_duration(window.seconds)
    zone = load_zone(timezone)
    if timezone in ("UTC", "Etc/UTC"):
        return f"{format_instant(window.start)} .. {end} ({length})"
    return f"{format_instant(window.start)} .. {end} ({length}; {_local(window, zone)} {timezone})"


def _local(window: TimeWindow, zone: tzinfo) -> str:
    start, end = window.start.astimezone(zone), window.end.astimezone(zone)
    form = "%H:%M:%S" if start.second or end.second else "%H:%M"
    lo, hi = start.strftime(form), end.strftime(form)
    # With clocks put back in between, the bare times could even read as reversed.
    if start.utcoffset() != end.utcoffset():
        lo, hi = lo + start.isoformat()[-6:], hi + end.isoformat()[-6:]
    if start.date() != end.date():
        return f"{start.date()} {lo}–{end.date()} {hi}"
    return f"{lo}–{hi}" if start.date() == window.start.date() else f"{start.date()} {lo}–{hi}"
