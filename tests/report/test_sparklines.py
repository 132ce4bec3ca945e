"""Lines of characters: as wide as they may be, as high as their values, and honest about gaps."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from incident_rca.model import AlignedSeries, Analysis, Lane, LaneName, Series
from incident_rca.report.sparklines import ASCII_BARS, BARS, UNKNOWN, sparklines
from tests.report.incident import HOSTILE, at, reference

START = at("14:20:00")


def lane(
    name: LaneName, *values: float | None, named: str = "a", limit: float | None = None
) -> Lane:
    series = (Series(name=named, values=values, limit=limit),) if values else ()
    return Lane(name=name, unit="", series=series)


def with_lanes(*lanes: Lane) -> Analysis:
    """The reference with these lanes over 40 minutes, the others not recorded."""
    given = {each.name: each for each in lanes}
    every = tuple(given.get(name, lane(name)) for name in LaneName)
    aligned = AlignedSeries(incident=None, start=START, step_seconds=240.0, steps=10, lanes=every)
    return replace(reference(), series=(aligned,))


def bars_of(analysis: Analysis, name: str, *, is_ascii: bool = True) -> str:
    """The bars of the line that begins with this name, of ten steps, at 80 columns."""
    (line,) = [t for t in sparklines(analysis, 80, is_ascii=is_ascii) if t.startswith(name)]
    return line[27:37]


@pytest.mark.parametrize("is_ascii", [False, True])
def test_heights_are_those_of_the_values(is_ascii: bool) -> None:
    alphabet = ASCII_BARS if is_ascii else BARS
    values = (0.0, 0.1, 25.0, 50.0, 75.0, 100.0, None, 0.0, 1.0, 100.0)
    pool = with_lanes(lane(LaneName.POOL, *values, named="stock", limit=100.0))
    levels = "012457?017"
    wanted = "".join(UNKNOWN if n == "?" else alphabet[int(n)] for n in levels)
    assert bars_of(pool, "pool stock", is_ascii=is_ascii) == wanted


def test_latencies_are_logarithmic_and_failures_are_added_up() -> None:
    latency = lane(
        LaneName.LATENCY, *(10.0, 100.0, 1_000.0, 10_000.0) * 2, None, None, named="m p99"
    )
    two = Lane(
        name=LaneName.FAILURES,
        unit="",
        series=(
            Series(name="HTTP 502", values=(1.0, None, None, *[0.0] * 7)),
            Series(name="HTTP 504", values=(6.0, 2.0, None, *[0.0] * 7)),
        ),
    )
    analysis = with_lanes(latency, two)
    by_power = "".join(ASCII_BARS[n] for n in (2, 4, 5, 7))
    assert bars_of(analysis, "m p99") == f"{by_power}{by_power}??"
    assert bars_of(analysis, "failed requests") == f"#{ASCII_BARS[2]}?_______"
    text = "\n".join(sparklines(analysis, 80))
    assert "10,000 ms" in text and "7/s" in text


def test_what_is_not_recorded_is_said_and_never_zero() -> None:
    lines = sparklines(with_lanes(lane(LaneName.POOL, *[1.0] * 10)), 80)
    unknown = [line for line in lines if UNKNOWN * 10 in line]
    assert [line.split("  ")[0] for line in unknown] == [
        "waiting for locks",
        "latency",
        "failed requests",
        "requests",
    ]
    assert lines[-1] == "? not recorded"


def test_outages_stand_on_the_axis_of_the_series() -> None:
    # From 14:23:01 to 14:46:18, in steps of four minutes from 14:20 on.
    assert bars_of(with_lanes(), "outage") == "#######"
    (axis,) = [line for line in sparklines(with_lanes(), 80) if line.startswith("UTC")]
    assert axis.split() == ["UTC", "14:20:00"]


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("is_ascii", [False, True])
def test_lines_fit_and_hostile_names_do_nothing(width: int, is_ascii: bool) -> None:
    lanes = [lane(name, *[1.0] * 10, named=HOSTILE + "漢字" * 40) for name in LaneName]
    for line in sparklines(with_lanes(*lanes), width, is_ascii=is_ascii):
        assert cell_len(line) <= width
        assert line.isprintable()
    plain = with_lanes(*(lane(name, *[1.0] * 10) for name in LaneName))
    assert not is_ascii or "".join(sparklines(plain, width, is_ascii=True)).isascii()


def test_without_series_there_is_nothing() -> None:
    assert sparklines(reference(), 80) == ()
