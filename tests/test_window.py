from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.errors import BadWindow, ExitCode
from incident_rca.model import TimeWindow
from incident_rca.window import (
    describe_window,
    format_duration,
    format_instant,
    load_zone,
    parse_duration,
    parse_window,
)

NOW = datetime(2026, 1, 15, 15, 0, 0, 123_456, UTC)


def window_of(now: datetime = NOW, timezone: str = "UTC", **given: Any) -> TimeWindow | None:
    options = {"start": None, "end": None, "around": None, "window": None, "last": None}
    return parse_window(**{**options, "force": False, **given}, now=now, timezone=timezone)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def refusal(**given: Any) -> BadWindow:
    with pytest.raises(BadWindow) as caught:
        window_of(**given)
    assert caught.value.exit_code is ExitCode.USAGE
    assert caught.value.hint
    return caught.value


def test_nothing_given_is_none() -> None:
    assert window_of() is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-15T14:10:00Z", "2026-01-15T14:10"),
        ("2026-01-15T15:10:00+01:00", "2026-01-15T14:10"),
        ("2026-01-15 15:10:00.25+01", "2026-01-15T14:10:00.250"),
        ("2026-01-15T15:10+0100", "2026-01-15T14:10"),
        ("2026-01-15T14:10", "2026-01-15T14:10"),
        (" 14:10 ", "2026-01-15T14:10"),
        ("14:10:05", "2026-01-15T14:10:05"),
        ("now-2h", "2026-01-15T13:00"),
        ("1h30m ago", "2026-01-15T13:30"),
    ],
)
def test_instants(text: str, expected: str) -> None:
    assert window_of(start=text) == TimeWindow(utc(expected), utc("2026-01-15T15:00"))


def test_times_without_an_offset_are_read_in_the_time_zone() -> None:
    now = utc("2026-01-15T14:58")
    got = window_of(start="23:10", end="2026-01-15T23:55", now=now, timezone="Asia/Tokyo")
    assert got == TimeWindow(utc("2026-01-15T14:10"), utc("2026-01-15T14:55"))


def test_today_is_the_day_in_the_time_zone() -> None:
    got = window_of(start="00:10", now=utc("2026-01-15T15:30"), timezone="Asia/Tokyo")
    assert got == TimeWindow(utc("2026-01-15T15:10"), utc("2026-01-15T15:30"))


def test_the_three_forms() -> None:
    expected = TimeWindow(utc("2026-01-15T14:15"), utc("2026-01-15T14:45"))
    assert window_of(start="14:15", end="14:45") == expected
    assert window_of(around="14:30", window="30m") == expected
    assert window_of(last="30m", now=utc("2026-01-15T14:45")) == expected
    assert window_of(start="14:15", end="now", now=utc("2026-01-15T14:45")) == expected


TRAPS = [
    *("1 month", "10 december 2026", "3 dec", "3", "05", "01/02/2026", "EST", "1h30", "08:00 EST"),
    *("", " ", "2h", "-2h", "now+2h", "now - 2h", "today", "yesterday", "noon", "2026-01-15"),
    *("20260115T141000Z", "2026-W03-4", "1768486200", "@1768486200", "9:05", "24:00", "14:60"),
    *("2026-02-30T10:00Z", "2026-01-15T14:10:00 Z", "2026-01-15T14:10,5Z", "2026-01-15T14Z"),
    *("2026-01-15T14:10+99:00", "0001-01-01T00:00+05:00", "now-999999999w", "2h ago ago", "2H ago"),
    *("14:10\n14:20", "١٤:١٠", "2026-01-15T14:10:00.1234567890Z", "now-1m2h", "now-1h1h"),
]


@pytest.mark.parametrize("text", TRAPS)
def test_what_is_not_clearly_a_time_is_refused(text: str) -> None:
    assert "--from" in refusal(start=text).message
    assert "--to" in refusal(start="14:10", end=text).message
    assert "--around" in refusal(around=text, window="10m").message


@pytest.mark.parametrize(
    "text", ["", "30", "1h30", "1 month", "m", "1.5h", "30m1h", "1h1h", "1M", "-2h", "1y", " 2 h"]
)
def test_what_is_not_clearly_a_duration_is_refused(text: str) -> None:
    assert "--last" in refusal(last=text).message
    assert "--window" in refusal(around="14:00", window=text).message


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"start": "14:45", "end": "14:15"}, "reversed"),
        ({"start": "14:15", "end": "14:15"}, "empty"),
        ({"start": "now"}, "empty"),
        ({"last": "0m"}, "empty"),
        ({"start": "14:15", "end": "15:02"}, "ends in the future"),
        ({"start": "15:10", "end": "15:20"}, "starts in the future"),
        ({"start": "23:50"}, "starts in the future"),
        ({"around": "now", "window": "10m"}, "ends in the future"),
        ({"last": "25h"}, "above 24 h"),
        ({"start": "2025-01-15T14:15", "end": "14:15"}, "above 24 h"),
        ({"last": "999999w", "force": True}, "calendar"),
        ({"end": "14:15"}, "--to without --from"),
        ({"around": "14:15"}, "--window"),
        ({"window": "15m"}, "--around"),
        ({"start": "14:15", "last": "2h"}, "do not go together"),
        ({"start": "14:15", "window": "2h"}, "do not go together"),
        ({"around": "14:15", "window": "2m", "last": "2h"}, "do not go together"),
        ({"around": "14:15", "end": "14:20"}, "do not go together"),
    ],
)
def test_unsound_windows_are_refused(given: dict[str, Any], word: str) -> None:
    assert word in refusal(**given).message


def test_a_day_is_allowed_and_more_with_force() -> None:
    assert window_of(last="24h") is not None
    got = window_of(last="25h", force=True)
    assert got is not None and got.seconds == 25 * 3600


def test_an_end_within_a_minute_of_now_is_no_future() -> None:
    assert window_of(start="14:15", end="15:01") is not None


def test_ambiguous_local_time_asks_for_an_offset() -> None:
    later = utc("2026-10-25T09:00")
    error = refusal(start="2026-10-25T02:30", timezone="Europe/Berlin", now=later)
    assert "happened twice" in error.message
    assert "2026-10-25T02:30:00+02:00 or 2026-10-25T02:30:00+01:00" in error.hint
    assert "happened twice" in refusal(start="02:30", timezone="Europe/Berlin", now=later).message
    for offset, hour in (("+02:00", "00"), ("+01:00", "01")):
        got = window_of(start=f"2026-10-25T02:30{offset}", timezone="Europe/Berlin", now=later)
        assert got is not None and got.start == utc(f"2026-10-25T{hour}:30")


def test_local_time_in_the_gap_does_not_exist() -> None:
    later = utc("2026-03-29T09:00")
    error = refusal(start="2026-03-29T02:30", timezone="Europe/Berlin", now=later)
    assert "does not exist" in error.message


@pytest.mark.parametrize(
    "name",
    ["EST", "Mars/Olympus", "", "../etc/passwd", "/etc/passwd", "localtime", "right/UTC", "a\0b"],
)
def test_unknown_zones_are_refused(name: str) -> None:
    assert "time zone" in refusal(last="2h", timezone=name).message


def test_the_nearest_zone_is_named() -> None:
    assert "Europe/Berlin" in refusal(last="2h", timezone="Europe/Berln").hint


def test_a_long_input_is_cut_in_the_message() -> None:
    assert len(refusal(start="x" * 10_000).message) < 120


@pytest.mark.parametrize(
    ("start", "end", "zone", "expected"),
    [
        ("2026-01-15T14:10", "2026-01-15T14:55", "UTC", "2026-01-15T14:10:00Z .. 14:55:00Z (45m)"),
        (
            "2026-01-15T23:50",
            "2026-01-16T00:20",
            "UTC",
            "2026-01-15T23:50:00Z .. 2026-01-16T00:20:00Z (30m)",
        ),
        (
            "2026-01-15T20:00",
            "2026-01-15T20:00:30",
            "Asia/Tokyo",
            "2026-01-15T20:00:00Z .. 20:00:30Z (30s; 2026-01-16 05:00:00–05:00:30 Asia/Tokyo)",
        ),
        (
            "2026-10-25T00:30",
            "2026-10-25T01:15",
            "Europe/Berlin",
            "2026-10-25T00:30:00Z .. 01:15:00Z (45m; 02:30+02:00–02:15+01:00 Europe/Berlin)",
        ),
        (
            "2026-01-15T14:30",
            "2026-01-15T15:30",
            "Asia/Tokyo",
            "2026-01-15T14:30:00Z .. 15:30:00Z (1h; 2026-01-15 23:30–2026-01-16 00:30 Asia/Tokyo)",
        ),
    ],
)
def test_describe_window(start: str, end: str, zone: str, expected: str) -> None:
    assert describe_window(TimeWindow(utc(start), utc(end)), zone) == expected


INSTANTS = st.datetimes(timezones=st.just(UTC))


@settings(deadline=None)
@given(INSTANTS)
def test_parse_undoes_format_instant(instant: datetime) -> None:
    assert datetime.fromisoformat(format_instant(instant)) == instant


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=10**10))
def test_parse_undoes_format_duration(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == timedelta(seconds=seconds)


@settings(deadline=None)
@given(INSTANTS, st.integers(min_value=1, max_value=86_400))
def test_a_formatted_window_is_read_back(start: datetime, seconds: int) -> None:
    if start > datetime(9990, 1, 1, tzinfo=UTC):
        start = start.replace(year=2026, day=1)
    end = start + timedelta(seconds=seconds)
    got = window_of(start=format_instant(start), end=format_instant(end), now=end)
    assert got == TimeWindow(start, end)


@settings(deadline=None)
@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        window_of(start=text)
        window_of(around=text, window="1h")
        window_of(last=text)
    except BadWindow as error:
        assert error.hint


def test_format_instant_converts_and_refuses_naive() -> None:
    there = datetime(2026, 1, 15, 23, 10, tzinfo=timezone(timedelta(hours=9)))
    assert format_instant(there) == "2026-01-15T14:10:00Z"
    with pytest.raises(ValueError):
        format_instant(there.replace(tzinfo=None))


def test_format_duration_rounds_without_sixty_seconds() -> None:
    assert format_duration(59.9996) == "1m"
    assert format_duration(-90) == "-1m30s"
    assert format_duration(3599.6) == "1h"


def test_utc_needs_no_zone_database() -> None:
    assert load_zone("UTC") is UTC
