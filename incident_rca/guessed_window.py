"""The window of a case that nobody gave: the span of its sources, less what lies far from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from incident_rca.analysis.names import counted
from incident_rca.errors import BadInput, BadWindow
from incident_rca.formats.clusters import APART, together
from incident_rca.model import Case, Cluster, SourceStatus, TimeWindow
from incident_rca.window import format_instant, require_analysable, whole_seconds

_TICK = timedelta(microseconds=1)


def guessed_window(case: Case) -> tuple[TimeWindow, str]:
    """The span of the gateway's log, else of all sources, and what it is.

    Of a span above a day it is the part with the most rows: what lies more than a day from that is
    left out and counted. Raises BadInput where the files say no time, or too much of it.
    """
    gateway = [s for s in case.gateway_logs if s.covered]
    basis = "span of the gateway log" if gateway else "span of all sources"
    clusters = [c for source in gateway or case.sources for c in _clusters_of(source)]
    if not clusters:
        raise BadInput(
            "the files say no time, so the window is unknown", hint="give it: --from and --to"
        )
    parts = together(clusters)
    most = max(parts, key=lambda part: (part.rows, part.window.start))
    is_long = parts[-1].window.end - parts[0].window.start > APART
    apart = [c for c in parts if c is not most] if is_long else []
    window = whole_seconds(most.window)
    try:
        require_analysable(window)
    except BadWindow as error:
        raise BadInput(error.message, hint="give a part of it: --from and --to") from error
    return window, f"{basis}{f', but for {_told(apart)}' if apart else ''}"


def apart_of(source: SourceStatus) -> str:
    """Which rows of a source lie far from most of its rows, "" if none do."""
    if not source.clusters:
        return ""
    most = max(source.clusters, key=lambda c: (c.rows, c.window.start))
    return _told([c for c in source.clusters if c is not most])


def _told(apart: Sequence[Cluster]) -> str:
    rows = sum(cluster.rows for cluster in apart)
    first, last = apart[0].window.start, max(c.window.end for c in apart) - _TICK
    times = [format_instant(at.replace(microsecond=0)) for at in (first, last)]
    where = " .. ".join(dict.fromkeys(times))
    return f"{counted(rows, 'row')} more than a day away ({where})"


def _clusters_of(source: SourceStatus) -> tuple[Cluster, ...]:
    whole = (Cluster(source.covered, source.rows),) if source.covered else ()
    return source.clusters or whole
