"""Answers of CloudWatch (GetMetricData) about a stage of API Gateway -> `metrics`.

A period without a point is missing and not zero: API Gateway sends a point only where it had a
request. The answer names neither metric nor unit, so only its envelope can be read. `owner` is the
stage, `aggregate` is `count` for a sum and else the statistic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from incident_rca.errors import BadInput
from incident_rca.formats.lines import document_of
from incident_rca.formats.metric_units import is_time, unit_of
from incident_rca.formats.parsed import (
    Format,
    Head,
    Parsed,
    RawInput,
    console_of,
    frame_of,
    window_of,
)
from incident_rca.formats.sql_answer import (
    Row,
    asked_of,
    instant_of,
    is_answer_of,
    request_of,
    text_of,
    within,
)
from incident_rca.model import System
from incident_rca.redact import redact_text, told

SERVICE = "cloudwatch_metrics"
# Points of the last minutes are still being added to when they are asked for.
SETTLING = timedelta(minutes=3)
_LONGEST_PERIOD_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class _Query:
    metric: str
    aggregate: str
    period_seconds: int
    unit: str
    unit_basis: str | None
    factor: float


def recognises(head: Head) -> bool:
    """Whether the document is an envelope of an answer of GetMetricData."""
    return is_answer_of(head.document, SERVICE)


def parse(raw: RawInput) -> Parsed:
    """One row a point, numbered over all pages; latencies in milliseconds.

    A point that a later page has again counts as the later one has it.
    """
    document = document_of(raw.path)
    answer = document.get("response")
    pages = answer.get("pages") if isinstance(answer, dict) else None
    if not isinstance(pages, list):
        raise BadInput(f"{raw.file}: holds no answer of GetMetricData", hint="collect it again")
    request = request_of(document)
    queries = dict(_queries(request, raw.file))
    owner = text_of(request.get("stage"))
    rows: dict[tuple[str, datetime], Row] = {}
    unparsed = 0
    for number, (identifier, at, value) in enumerate(_points(pages), start=1):
        try:
            query, instant, known = queries[identifier], instant_of(at), _number(value)
            if instant is None:
                raise ValueError("a point without its time")
            instant + timedelta(seconds=query.period_seconds)
        except (KeyError, TypeError, ValueError, OverflowError):
            unparsed += 1
            continue
        rows[identifier, instant] = _row(number, query, owner, instant, known)
    asked = asked_of(document)
    step = max((query.period_seconds for query in queries.values()), default=60)
    seen = window_of((at for _, at in rows), step_seconds=step)
    covered = asked or seen
    if covered is not None and (settled := _settled(document)) is not None:
        covered = within(covered, covered.start, min(covered.end, settled))
    return Parsed(
        frames={"metrics": frame_of("metrics", rows.values(), raw)},
        rows=len(rows),
        unparsed=unparsed,
        asked=asked,
        covered=covered,
        resolution_seconds=float(step),
        query=raw.query or text_of(request.get("query")) or "",
        console=console_of(request),
        damage=_damage(answer),
    )


def _queries(request: Mapping[str, Any], file: str) -> Iterator[tuple[str, _Query]]:
    """The queries by their ids; raises BadInput where the question is not kept with the answer."""
    given = request.get("MetricDataQueries")
    if not isinstance(given, list):
        raise BadInput(f"{file}: does not say which metrics it answers", hint="collect it again")
    for asked in given:
        try:
            stat = asked["MetricStat"]
            metric, period = str(stat["Metric"]["MetricName"]), stat["Period"]
            statistic, unit = str(stat["Stat"]), str(stat.get("Unit") or "")
            if isinstance(period, bool) or not isinstance(period, int):
                raise ValueError(f"a period of {period!r}")
            if not 0 < period <= _LONGEST_PERIOD_SECONDS:
                raise ValueError(f"a period of {period} s")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(
                f"{file}: a question in it is damaged ({type(error).__name__}: {error})",
                hint="collect it again",
            ) from error
        aggregate = "count" if statistic == "Sum" else statistic.casefold()
        if aggregate == "count" and not is_time(unit):
            query = _Query(metric, aggregate, period, "count", "payload" if unit else None, 1.0)
        else:
            known = unit_of(metric, payload=unit)
            query = _Query(metric, aggregate, period, "ms", known.basis, known.factor_to_ms)
        yield str(asked.get("Id")), query


def _points(pages: list[Any]) -> Iterator[tuple[str, Any, Any]]:
    """(id, time, value) of each point; a value without a time, or a time without, is given too."""
    for page in pages:
        results = page.get("MetricDataResults") if isinstance(page, dict) else None
        for result in results if isinstance(results, list) else ():
            if not isinstance(result, dict):
                yield "", None, None
                continue
            times, values = result.get("Timestamps"), result.get("Values")
            times = times if isinstance(times, list) else []
            values = values if isinstance(values, list) else []
            longest = max(len(times), len(values))
            times = times + [None] * (longest - len(times))
            values = values + [None] * (longest - len(values))
            for at, value in zip(times, values, strict=True):
                yield str(result.get("Id")), at, value


def _row(number: int, query: _Query, owner: str | None, at: datetime, value: float) -> Row:
    return {
        "row": number,
        "at": at,
        "bucket_seconds": float(query.period_seconds),
        "metric": query.metric,
        "aggregate": query.aggregate,
        "unit": query.unit,
        "unit_basis": query.unit_basis,
        "owner": owner,
        "value": value * query.factor,
    }


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"no number: {told(value)}")
    return float(value)


def _settled(document: Mapping[str, Any]) -> datetime | None:
    """Until when the answer is final: a little before it was asked for."""
    try:
        asked_at = instant_of(document.get("asked_at"))
        return None if asked_at is None else asked_at - SETTLING
    except (ValueError, OverflowError):
        return None


def _damage(answer: Any) -> str:
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return ""
    return redact_text(f"{error.get('code')}: {error.get('message')}")


FORMAT = Format(
    kind=SERVICE,
    system=System.GATEWAY,
    title="CloudWatch metrics of an API Gateway stage: its own count of failures, by minute",
    recognises=recognises,
    parse=parse,
    cannot_show=(
        "routes, single requests and instants within a minute; REST APIs that share a name are "
        "counted together"
    ),
)
