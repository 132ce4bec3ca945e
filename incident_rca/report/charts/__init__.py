"""The charts that stand beside a report: the aligned timeline, types of error, blocking tree."""

from __future__ import annotations

from incident_rca.model import Analysis
from incident_rca.report.charts.blocking_tree import blocking_tree
from incident_rca.report.charts.chart import Chart
from incident_rca.report.charts.error_types import error_types
from incident_rca.report.charts.timeline import timelines


def charts_of(analysis: Analysis) -> tuple[Chart, ...]:
    """The charts that an analysis has something to show in, in the order of reading."""
    single = (error_types(analysis), blocking_tree(analysis))
    return (*timelines(analysis), *(chart for chart in single if chart is not None))
