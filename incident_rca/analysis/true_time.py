"""A case and its tables with the times of a clock that was surely off put right."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from incident_rca.model import Case, Clocks, Gap, SourceStatus, TimeWindow
from incident_rca.tables import SCHEMAS, Tables
from incident_rca.typed_frames import plain

if TYPE_CHECKING:
    import pandas as pd


def on_true_time(case: Case, tables: Tables, clocks: Clocks) -> tuple[Case, Tables]:
    """The case and tables with all times of each source moved by what its clock was off.

    By whole seconds, so that rows by the second stay so; the rest stays in the clocks' bounds.
    """
    off = {c.source: c.moved_seconds for c in clocks.sources if c.moved_seconds}
    moved = {source: timedelta(seconds=seconds) for source, seconds in off.items()}
    if not moved:
        return case, tables
    sources = tuple(_source(s, moved[s.name]) if s.name in moved else s for s in case.sources)
    frames = {f.name: _frame(f.name, getattr(tables, f.name), moved) for f in fields(Tables)}
    return replace(case, sources=sources), Tables(**frames)


def _source(source: SourceStatus, by: timedelta) -> SourceStatus:
    return replace(
        source,
        covered=_window(source.covered, by) if source.covered else None,
        gaps=tuple(Gap(_window(gap.window, by), gap.reason) for gap in source.gaps),
    )


def _window(window: TimeWindow, by: timedelta) -> TimeWindow:
    return TimeWindow(window.start - by, window.end - by)


def _frame(table: str, frame: pd.DataFrame, moved: dict[str, timedelta]) -> pd.DataFrame:
    import pandas as pd

    if not frame["source"].isin(list(moved)).any():
        return frame
    by = pd.to_timedelta(plain(frame["source"]).map(moved).fillna(timedelta()))
    instants = [c for c, kind in SCHEMAS[table].items() if kind == "TIMESTAMPTZ"]
    return frame.assign(**{column: frame[column] - by for column in instants})
