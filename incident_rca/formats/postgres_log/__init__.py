"""PostgreSQL's server log, in every format -> `locks` and `server_events`.

`streams.py` finds out the format and gives records, `observed.py` gathers what they say, `edges.py`
decides who is proven to hold what others wait for, and documents each rule with its source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from incident_rca.formats.clusters import Days
from incident_rca.formats.lines import Truncated
from incident_rca.formats.parsed import Format, Head, Parsed, RawInput, frame_of, window_of
from incident_rca.formats.postgres_log.edges import rows_of
from incident_rca.formats.postgres_log.observed import Observed, Row
from incident_rca.formats.postgres_log.prefixes import compile_prefix
from incident_rca.formats.postgres_log.records import Record, Unreadable
from incident_rca.formats.postgres_log.streams import kind_of, open_stream
from incident_rca.model import System
from incident_rca.redact import plain, redact_sql


def recognises(head: Head) -> bool:
    """Whether the first lines hold a record of PostgreSQL, plain or as a log service keeps it."""
    return kind_of(head.lines) is not None


def has_prefix(head: Head, reading: Mapping[str, str]) -> bool:
    """Whether the first lines hold a record behind the `log_line_prefix` that the user named."""
    named = reading.get("log_line_prefix", "")
    return bool(named) and kind_of(head.lines, compile_prefix(named)) is not None


def parse(raw: RawInput) -> Parsed:
    """The waits with the holder that the log proves, and what else the server said.

    `raw.reading` may name the server's `log_line_prefix` and `log_timezone`. Raises BadInput for a
    time zone that does not exist.
    """
    stream = open_stream(raw)
    seen = Observed()
    zones: Counter[str] = Counter()
    words: Counter[str] = Counter()
    rows = unparsed = 0
    days = Days()
    damage = ""
    try:
        for read in stream.reads:
            if isinstance(read, Unreadable):
                unparsed += 1
                zones.update([read.zone] if read.zone else [])
                continue
            rows += 1
            if not isinstance(read, Record):
                continue
            seen.see(read)
            days.add(read.at)
            if read.localised:
                words[read.localised] += 1
    except Truncated as error:
        damage = str(error)
    locks = rows_of(seen, stream.resolution_seconds)
    return Parsed(
        frames={
            "locks": frame_of("locks", locks, raw),
            "server_events": frame_of("server_events", _events(seen, locks), raw),
        },
        rows=rows,
        unparsed=unparsed,
        covered=window_of(days.bounds()),
        clusters=days.clusters(),
        resolution_seconds=stream.resolution_seconds,
        query=raw.query,
        damage=damage,
        blind="; ".join(_blind(seen, zones, words)),
        cure=_cure(zones, raw.reading),
    )


def _events(seen: Observed, locks: Iterable[Row]) -> list[Row]:
    """The events in their order; those of plain statements only of processes that held a lock."""
    holders = {row["holder_pid"] for row in locks}
    short = [
        event | {"statement": redact_sql(event["statement"])}
        for pid in holders
        for said in seen.statements.get(pid, ())
        for event in said.events
    ]
    return sorted([*seen.events, *short], key=lambda event: event["line"])


def _blind(seen: Observed, zones: Counter[str], words: Counter[str]) -> Iterator[str]:
    """What such a log could have held and this one cannot show."""
    if zones:
        zone, count = zones.most_common(1)[0]
        yield (
            f"{sum(zones.values())} records have a time zone of no one meaning, "
            f"such as {zone} ({count} of them): give --log-timezone, the server's log_timezone"
        )
    if words:
        word = words.most_common(1)[0][0]
        yield f"this log is localised ({word}): lock waits cannot be read from it (lc_messages)"
    elif not seen.has_wait_line and seen.lock_waits_setting not in ("on", "true", "yes", "1"):
        if seen.lock_waits_setting:
            yield f"log_lock_waits was changed to {seen.lock_waits_setting}: waits are not in it"
        else:
            yield "no line of log_lock_waits is in it; whether the setting was on is not known"
        if seen.broken_off:
            yield f"{seen.broken_off} errors of deadlock or lock_timeout show that there were waits"


def _cure(zones: Counter[str], reading: Mapping[str, str]) -> str:
    """What makes a log readable of which nothing could be read: its zone, else its prefix."""
    if zones:
        named, (zone, _) = reading.get("log_timezone", ""), zones.most_common(1)[0]
        why = f"{named} has no {zone}" if named else f"{zone} has no one meaning"
        return (
            f"its times are in {zone}, and {why}: give the server's log_timezone, "
            "such as --log-timezone Europe/Berlin"
        )
    given = reading.get("log_line_prefix", "")
    fits_not = f"; no record begins with the one given, {plain(repr(given), 80)}" * bool(given)
    return (
        "is it the file you meant? If it is a server's log, give its log_line_prefix as "
        f"`SHOW log_line_prefix` has it: --log-line-prefix '%m [%p] '{fits_not}"
    )


FORMAT = Format(
    kind="postgres_log",
    system=System.POSTGRES,
    title="PostgreSQL server log (stderr, csvlog or jsonlog), plain or exported by its host",
    recognises=recognises,
    parse=parse,
    cannot_show=(
        "waits shorter than deadlock_timeout; the mode and statement of a holder that logged none"
    ),
)
