"""Answers of RDS Performance Insights (GetResourceMetrics) -> `lock_load`.

A point bears the end of its period unless START_TIME was asked for (AWS, GetResourceMetrics,
PeriodAlignment). A point without a value is missing, not zero. Grouped by a dimension the first key
is the whole load and has no dimensions: its missing points are gaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from incident_rca.errors import BadInput
from incident_rca.formats.lines import document_of
from incident_rca.formats.parsed import Format, Head, Parsed, RawInput, frame_of, window_of
from incident_rca.formats.sql_answer import Row, asked_of, instant_of, request_of, text_of, within
from incident_rca.model import Gap, System, TimeWindow
from incident_rca.redact import redact_sql, redact_text

SERVICE = "performance_insights"
METRIC = "db.load.avg"
_BLOCKING = frozenset({"blocking_session", "blocking_sql", "blocking_object"})
_LONGEST_PERIOD_SECONDS = 86_400.0


@dataclass(slots=True)
class _Reading:
    """What is gathered while the pages of all groups go by."""

    rows: list[Row] = field(default_factory=list)
    missing: set[tuple[datetime, float]] = field(default_factory=set)
    known: set[tuple[datetime, float]] = field(default_factory=set)
    instants: list[datetime] = field(default_factory=list)
    points: int = 0
    unparsed: int = 0
    period_seconds: float = 0.0
    damage: list[str] = field(default_factory=list)
    blind: list[str] = field(default_factory=list)


def recognises(head: Head) -> bool:
    """Whether the document is an envelope of, or a bare, GetResourceMetrics answer."""
    document = head.document or {}
    answer = document.get("response")
    if document.get("service") == SERVICE:
        return isinstance(answer, dict) and "groups" in answer
    return "MetricList" in document and "AlignedStartTime" in document


def parse(raw: RawInput) -> Parsed:
    """One row a dimension's value and bucket; `blind` where the blocking dimensions are missing."""
    document = document_of(raw.path)
    reading = _Reading()
    starts = request_of(document).get("PeriodAlignment") == "START_TIME"
    for group in _groups(document, raw.file):
        _read_group(reading, group, starts)
    asked = asked_of(document)
    covered = window_of(reading.instants)
    return Parsed(
        frames={"lock_load": frame_of("lock_load", reading.rows, raw)},
        rows=reading.points,
        unparsed=reading.unparsed,
        asked=asked,
        covered=within(asked, covered.start, covered.end) if covered else None,
        resolution_seconds=reading.period_seconds or None,
        query=raw.query or METRIC,
        damage="; ".join(reading.damage),
        gaps=tuple(Gap(w, "no value") for w in _joined(reading.missing - reading.known)),
        blind="; ".join([*reading.blind, *_without_blockers(reading)]),
    )


def _groups(document: Mapping[str, Any], file: str) -> Iterator[Mapping[str, Any]]:
    """The groups of an envelope; a bare answer is one page of one group."""
    answer = document.get("response")
    groups = answer.get("groups") if isinstance(answer, dict) else None
    if groups is None and "MetricList" in document:
        groups = [{"group": "", "pages": [document], "error": None}]
    if not isinstance(groups, list):
        raise BadInput(f"{file}: holds no answer of GetResourceMetrics", hint="collect it again")
    yield from (group for group in groups if isinstance(group, dict))


def _read_group(reading: _Reading, group: Mapping[str, Any], starts: bool) -> None:
    given = group.get("pages")
    pages = [p for p in given if isinstance(p, dict)] if isinstance(given, list) else []
    _read_error(reading, group, bool(pages))
    for page in pages:
        series = page.get("MetricList")
        keyed = [one for one in series if isinstance(one, dict)] if isinstance(series, list) else []
        period = _period_said(group) or _period_of(keyed)
        reading.period_seconds = max(reading.period_seconds, period)
        for end in ("AlignedStartTime", "AlignedEndTime"):
            try:
                at = instant_of(page.get(end))
            except ValueError:
                reading.unparsed += 1
            else:
                reading.instants.extend([at] if at else [])
        for one in keyed:
            _read_series(reading, one, period, timedelta(seconds=0 if starts else -period))


def _read_error(reading: _Reading, group: Mapping[str, Any], has_pages: bool) -> None:
    error = group.get("error")
    if not isinstance(error, dict):
        return
    said = redact_text(f"{group.get('group')}: {error.get('code')}: {error.get('message')}")
    (reading.damage if has_pages else reading.blind).append(said)


def _read_series(
    reading: _Reading, series: Mapping[str, Any], period: float, shift: timedelta
) -> None:
    """The points of one key; those of the whole load (a key without dimensions) show the gaps."""
    key = series.get("Key")
    dimensions = key.get("Dimensions") if isinstance(key, dict) else None
    named = _named(dimensions) if isinstance(dimensions, dict) and dimensions else None
    points = series.get("DataPoints")
    for point in points if isinstance(points, list) else ():
        try:
            at = instant_of(point["Timestamp"])
            if at is None:
                raise ValueError("a point without its time")
            start, value = at + shift, _number(point.get("Value"))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            reading.unparsed += 1
            continue
        reading.points += 1
        (reading.missing if value is None else reading.known).add((start, period))
        if named is not None and value is not None:
            bucket = {"at": start, "bucket_seconds": period or None, "sessions": value}
            reading.rows.append({"row": reading.points, **named, **bucket})


def _named(dimensions: Mapping[str, Any]) -> Row | None:
    """The dimension, its value and statement; None for one that says nothing of locks."""
    said = {name: text_of(value) for name, value in dimensions.items()}
    event, kind = said.get("db.wait_event.name"), said.get("db.wait_event.type")
    if event:
        whole = event if not kind or event.startswith(f"{kind}:") else f"{kind}:{event}"
        return {"dimension": "wait_event", "value": event if event == kind else whole}
    if session := said.get("db.blocking_session.id"):
        return {"dimension": "blocking_session", "value": session}
    statement = said.get("db.blocking_sql.sql")
    if statement or said.get("db.blocking_sql.id"):
        return {
            "dimension": "blocking_sql",
            "value": said.get("db.blocking_sql.id"),
            "statement": redact_sql(statement or ""),
        }
    parts = [said.get(f"db.blocking_object.{part}") for part in ("type", "value")]
    named = " ".join(part for part in parts if part) or said.get("db.blocking_object.id")
    return {"dimension": "blocking_object", "value": named} if named else None


def _without_blockers(reading: _Reading) -> Iterator[str]:
    """That nobody is named as blocker although sessions waited for locks."""
    waited = any(
        row["dimension"] == "wait_event"
        and row["value"].startswith("Lock:")
        and row["sessions"] > 0
        for row in reading.rows
    )
    if waited and not reading.blind and not any(r["dimension"] in _BLOCKING for r in reading.rows):
        yield (
            "sessions waited for locks and no blocker is named: the db.blocking_* dimensions need "
            "Database Insights in Advanced mode"
        )


def _period_said(group: Mapping[str, Any]) -> float:
    try:
        said = _number(group.get("period_seconds")) or 0.0
    except ValueError:
        return 0.0
    return min(said, _LONGEST_PERIOD_SECONDS)


def _period_of(series: Sequence[Mapping[str, Any]]) -> float:
    """The smallest step between two points of a bare answer, which does not name its period."""
    steps = []
    for one in series:
        points = one.get("DataPoints")
        instants = []
        for point in points if isinstance(points, list) else ():
            try:
                instants.append(instant_of(point["Timestamp"]))
            except (KeyError, TypeError, ValueError):
                continue
        known = sorted(at for at in instants if at is not None)
        steps += [(b - a).total_seconds() for a, b in pairwise(known) if b > a]
    return min([*steps, _LONGEST_PERIOD_SECONDS]) if steps else 0.0


def _number(value: Any) -> float | None:
    """A finite number that is not negative, or None for null; raises ValueError for all else."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"no number: {value!r}")
    number = float(value)
    if not 0 <= number < float("inf"):
        raise ValueError(f"no load: {value!r}")
    return number


def _joined(buckets: Iterable[tuple[datetime, float]]) -> Iterator[TimeWindow]:
    """Buckets that touch as one window each."""
    start: datetime | None = None
    end: datetime | None = None
    for at, period in sorted(buckets):
        if period <= 0:
            continue
        if start is not None and end is not None and at > end:
            yield TimeWindow(start, end)
            start = None
        start = start or at
        end = at + timedelta(seconds=period)
    if start is not None and end is not None:
        yield TimeWindow(start, end)


FORMAT = Format(
    kind="performance_insights",
    system=System.POSTGRES,
    title="RDS Performance Insights: load by wait event and by blocker",
    recognises=recognises,
    parse=parse,
    cannot_show=(
        "which session waited on which, lock modes, and waits in milliseconds: it averages sampled "
        "sessions by dimension, names the 25 largest keys of each, and cuts statements at 500 bytes"
    ),
)
