"""Charts that a process of its own draws: the same pictures, whatever becomes of that process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from incident_rca import chart_painter
from incident_rca.chart_painter import draw_here, painter
from incident_rca.report.charts.drawing import to_svg

SPECS = [
    {
        "description": f'chart {number} of "a & b" \N{GREEK SMALL LETTER ALPHA}',
        "data": {"values": [{"x": x / 3, "y": x * number} for x in range(200)]},
        "mark": "line",
        "encoding": {
            "x": {"field": "x", "type": "quantitative"},
            "y": {"field": "y", "type": "quantitative"},
        },
    }
    for number in (1, 2)
]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The processes that were started, all of which have to be gone in the end."""
    found: list[subprocess.Popen[bytes]] = []
    usual = chart_painter._started

    def noted(folder: Path) -> subprocess.Popen[bytes]:
        found.append(usual(folder))
        return found[-1]

    monkeypatch.setattr(chart_painter, "_started", noted)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    yield found
    assert all(process.poll() is not None for process in found)


def test_both_ways_draw_the_same(started: list[subprocess.Popen[bytes]]) -> None:
    with painter() as draw:
        pictures = draw(SPECS)()
    assert [process.returncode for process in started] == [0]
    assert pictures == draw_here(SPECS)()
    assert [svg for svg, _ in pictures] == [to_svg(spec) for spec in SPECS]
    assert all(png.startswith(b"\x89PNG") for _, png in pictures)


def test_without_the_process_the_charts_are_drawn_here(
    started: list[subprocess.Popen[bytes]],
) -> None:
    with painter() as draw:
        started[0].kill()
        started[0].wait()
        assert [svg for svg, _ in draw(SPECS)()] == [to_svg(spec) for spec in SPECS]


def test_where_no_process_can_be_started_the_charts_are_drawn_here(
    started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/python/here")
    with painter() as draw:
        assert [svg for svg, _ in draw(SPECS)()] == [to_svg(spec) for spec in SPECS]
    assert started == []


def test_on_one_processor_no_process_is_started(
    started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    with painter() as draw:
        assert draw is draw_here
    assert started == []


def test_an_error_beside_it_ends_the_process(started: list[subprocess.Popen[bytes]]) -> None:
    with pytest.raises(ZeroDivisionError), painter():
        raise ZeroDivisionError
    assert len(started) == 1


def test_who_started_it_gone_it_ends_by_itself(tmp_path: Path) -> None:
    process = chart_painter._started(tmp_path)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) != 0
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_the_working_folder_is_no_module_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[subprocess.Popen[bytes]]
) -> None:
    for name in ("json", "vl_convert"):
        (tmp_path / f"{name}.py").write_text("open('taken', 'w')\nraise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    with painter() as draw:
        draw(SPECS[:1])()
    assert started[0].returncode == 0
    assert not (tmp_path / "taken").exists()
