"""The charts of a case as files beside its report: written, taken away, and held against it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from incident_rca import case as case_folder
from incident_rca.chart_painter import Picture

if TYPE_CHECKING:
    from incident_rca.report.charts.chart import Chart

# What the charts of any report are called.
_OURS = re.compile(r"(timeline(-\d+)?|error-types|blocking-tree)\.(svg|png)")


def write_charts(folder: Path, charts: Sequence[Chart], pictures: Sequence[Picture]) -> None:
    """Writes the picture of each chart into charts/, as SVG and PNG; earlier reports' charts go.

    Files of other names stay.
    """
    target = folder / case_folder.CHARTS
    if charts:
        target.mkdir(exist_ok=True)
    kept = {target / f"{chart.name}.{ending}" for chart in charts for ending in ("svg", "png")}
    for path in sorted(target.glob("*")):
        if path not in kept and _OURS.fullmatch(path.name):
            path.unlink()
    for chart, (svg, png) in zip(charts, pictures, strict=True):
        case_folder.write_text(target / f"{chart.name}.svg", svg)
        case_folder.write_bytes(target / f"{chart.name}.png", png)
    if target.is_dir() and not any(target.iterdir()):
        target.rmdir()


def problems_of(folder: Path, charts: Sequence[Chart]) -> Iterator[tuple[str, str]]:
    """The SVG of each chart by its place in the case, and what is wrong with it, "" if nothing.

    How the dots of a PNG come out depends on the machine: it only has to be there.
    """
    from incident_rca.report.charts.drawing import to_svg

    for chart in charts:
        svg, png = (
            folder / case_folder.CHARTS / f"{chart.name}.{ending}" for ending in ("svg", "png")
        )
        if not svg.is_file():
            problem = "missing: run report"
        else:
            same = svg.read_text(encoding="utf-8") == to_svg(chart.spec)
            problem = "" if same else "differs from what the evidence gives"
        yield f"{case_folder.CHARTS}/{svg.name}", problem
        yield f"{case_folder.CHARTS}/{png.name}", "" if png.is_file() else "missing: run report"
