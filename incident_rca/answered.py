"""What was read of an answer, perhaps from several files -> the status of its source (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from incident_rca.analysis.names import counted
from incident_rca.formats.lock_recording import GAP_INTERVALS
from incident_rca.formats.parsed import Format, Parsed
from incident_rca.importing import UNPARSED_SHARE_LIMIT, with_measured_clock
from incident_rca.model import Gap, RawFile, SourceState, SourceStatus, TimeWindow
from incident_rca.window import format_instant

BETWEEN_FILES = "nothing was recorded: the recorder did not run, or its files are gone"
_PROVISIONAL = "provisional: "
Said = tuple[SourceState, str, str]


def together(parts: Sequence[Parsed], *, is_continuous: bool) -> Parsed:
    """All parts as one; where the answer is continuous, what lies between two of them is a gap."""
    import pandas as pd

    if len(parts) == 1:
        return parts[0]
    tables = dict.fromkeys(table for part in parts for table in part.frames)
    resolutions = [p.resolution_seconds for p in parts if p.resolution_seconds]
    gaps = [gap for part in parts for gap in part.gaps]
    gaps += _between(parts) if is_continuous else ()
    return Parsed(
        frames={
            table: pd.concat([p.frames[table] for p in parts if table in p.frames])
            for table in tables
        },
        rows=sum(part.rows for part in parts),
        unparsed=sum(part.unparsed for part in parts),
        covered=_span([part.covered for part in parts if part.covered]),
        resolution_seconds=max(resolutions, default=None),
        query=parts[0].query,
        damage=_each_once(part.damage for part in parts),
        gaps=tuple(sorted(gaps, key=lambda gap: gap.window.start)),
        blind=_each_once(part.blind for part in parts),
        lacks=tuple(dict.fromkeys(fact for part in parts for fact in part.lacks)),
        clock_offset_seconds=_widest(p.clock_offset_seconds for p in parts),
    )


def _widest(bounds: Iterable[tuple[float, float] | None]) -> tuple[float, float] | None:
    """The bounds that hold all that were measured; None where none were."""
    known = [b for b in bounds if b is not None]
    if not known:
        return None
    return min(lo for lo, _ in known), max(hi for _, hi in known)


def _between(parts: Sequence[Parsed]) -> Iterator[Gap]:
    known = sorted((p for p in parts if p.covered), key=lambda p: _start_of(p.covered))
    until = None
    for before, after in pairwise(known):
        if before.covered and after.covered:
            until = max(until or before.covered.end, before.covered.end)
            if after.covered.start - until > _tolerance(before):
                yield Gap(TimeWindow(until, after.covered.start), BETWEEN_FILES)


def _start_of(window: TimeWindow | None) -> float:
    return window.start.timestamp() if window else 0.0


def _span(windows: Sequence[TimeWindow]) -> TimeWindow | None:
    if not windows:
        return None
    return TimeWindow(min(w.start for w in windows), max(w.end for w in windows))


def _each_once(texts: Iterator[str]) -> str:
    return "; ".join(dict.fromkeys(text for text in texts if text))


def _tolerance(parsed: Parsed) -> timedelta:
    return timedelta(seconds=GAP_INTERVALS * (parsed.resolution_seconds or 1.0))


def status_of(
    name: str,
    known: Format,
    parsed: Parsed,
    files: Sequence[RawFile],
    *,
    window: TimeWindow,
    is_continuous: bool,
) -> SourceStatus:
    """The source as it answered for `window`.

    It is partial where it is damaged, where too much of it cannot be read, or where a continuous
    recording begins too late or ends too early.
    """
    state, reason, hint = (
        _said_of_reading(parsed)
        or (is_continuous and _said_of_ends(parsed, window))
        or (SourceState.OK, "", "")
    )
    status = SourceStatus(
        name=name,
        system=known.system,
        kind=known.kind,
        state=state,
        asked=window,
        covered=parsed.covered,
        rows=parsed.rows,
        unparsed=parsed.unparsed,
        resolution_seconds=parsed.resolution_seconds,
        reason=reason,
        hint=hint,
        query=parsed.query,
        gaps=parsed.gaps,
        blind=parsed.blind,
        lacks=parsed.lacks,
        console=dict(parsed.console),
        files=tuple(sorted(files, key=lambda file: file.path)),
    )
    return with_measured_clock(status, parsed)


def _said_of_reading(parsed: Parsed) -> Said | None:
    share = parsed.unparsed / max(parsed.rows + parsed.unparsed, 1)
    if parsed.damage:
        return SourceState.PARTIAL, parsed.damage, "what could be read is used; collect it again"
    if share > UNPARSED_SHARE_LIMIT:
        reason = f"{counted(parsed.unparsed, 'row')} ({share:.1%}) could not be read"
        return SourceState.PARTIAL, reason, "look at those rows: a new format is not read yet"
    if parsed.rows == 0:
        return SourceState.EMPTY, "it answered that it holds nothing of the window", ""
    return None


def _said_of_ends(parsed: Parsed, window: TimeWindow) -> Said | None:
    covered, tolerance = parsed.covered, _tolerance(parsed)
    if covered is None:
        return None
    missing = [
        *(["before"] if covered.start > window.start + tolerance else []),
        *(["after"] if covered.end < window.end - tolerance else []),
    ]
    if not missing:
        return None
    start, end = max(covered.start, window.start), min(covered.end, window.end)
    shown = [format_instant(at.replace(microsecond=0)) for at in (start, end)]
    reason = f"recorded only from {shown[0]} to {shown[1]}"
    return SourceState.PARTIAL, reason, f"what happened {' and '.join(missing)} it is not known"


def provisional(source: SourceStatus, asked_at: datetime, settles_after: timedelta) -> SourceStatus:
    """The source, marked where it was asked so soon after the window that its answer may grow."""
    if source.asked is None or source.state not in (SourceState.OK, SourceState.EMPTY):
        return source
    settled_at = source.asked.end + settles_after
    if asked_at >= settled_at:
        return source
    said = f"asked before {format_instant(settled_at.replace(microsecond=0))}, more may still come"
    reason = f"{_PROVISIONAL}{said}{'; ' * bool(source.reason)}{source.reason}"
    hint = source.hint or "collect again later: it is asked anew"
    return replace(source, reason=reason, hint=hint)


def is_provisional(source: SourceStatus) -> bool:
    """Whether `provisional` marked it."""
    return source.reason.startswith(_PROVISIONAL)


def overlaps(covered: TimeWindow | None, window: TimeWindow) -> bool:
    """Whether any of the window is covered."""
    return covered is not None and covered.start < window.end and covered.end > window.start


def contains(outer: TimeWindow | None, inner: TimeWindow | None) -> bool:
    """Whether both are known and `inner` lies within `outer`."""
    if outer is None or inner is None:
        return False
    return outer.start <= inner.start and inner.end <= outer.end


def renamed(parsed: Parsed, name: str) -> Parsed:
    """The same rows as those of a source called `name`."""
    return replace(
        parsed, frames={table: rows.assign(source=name) for table, rows in parsed.frames.items()}
    )
