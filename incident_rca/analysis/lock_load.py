"""What a monitoring service counted of lock waits: how many sessions, and whom it names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.frames import distinct, pieces
from incident_rca.model import Case, Evidence, Span, System
from incident_rca.tables import Tables

if TYPE_CHECKING:
    import pandas as pd

# Less than this on average is ordinary: short waits for rows come and go.
FEWEST_SESSIONS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LockLoad:
    """One value of one dimension while it was at FEWEST_SESSIONS or above.

    `dimension` is that of the `lock_load` table: of `wait_event` only those of locks are kept.
    """

    dimension: str
    value: str
    peak_sessions: float
    at: Span
    evidence: tuple[Evidence, ...]

    @property
    def in_words(self) -> str:
        number = f"{self.peak_sessions:,.0f} sessions at the peak"
        if self.dimension == "wait_event":
            return f"{number} waited for {self.value}"
        return f"{number} were blocked by {self.dimension.partition('_')[2]} {self.value}"


def lock_loads(case: Case, tables: Tables) -> tuple[LockLoad, ...]:
    """The loads by locks within the window, the largest first."""
    load = tables.lock_load
    load = load[(load["at"] >= case.window.start) & (load["at"] < case.window.end)]
    load = load[load["sessions"] >= FEWEST_SESSIONS]
    return tuple(sorted(_loads(load), key=lambda x: (-x.peak_sessions, x.dimension, x.value)))


def _loads(load: pd.DataFrame) -> Iterator[LockLoad]:
    named = load.assign(name=load["statement"].fillna(load["value"]))
    for (dimension, _, name), rows in pieces(named, "dimension", "value", "name"):
        if dimension == "wait_event" and not name.startswith("Lock:"):
            continue
        first, last = rows["at"].min(), rows["at"].max()
        # A bare answer of one point does not say how long it stands for.
        bucket = timedelta(seconds=max(distinct(rows, "bucket_seconds"), default=0.0))
        at = Span(instant(first), instant(last + bucket), "first to last bucket of the load")
        peak = float(rows["sessions"].max())
        seen = f"up to {peak:,.1f} sessions by {dimension}: {name}"
        yield LockLoad(
            dimension=dimension,
            value=name,
            peak_sessions=peak,
            at=at,
            evidence=rows_as_evidence(
                rows, system=System.POSTGRES, at=at, seen=seen, first="row", count=len(rows)
            ),
        )
