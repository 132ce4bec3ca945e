"""Datadog timeseries answers (v2 and v1), one or many slices -> `metrics`.

An answer of v2 names neither its metric nor its query, so it is kept in an envelope with the
request; a bare one needs `--query`. A null is missing, never zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from incident_rca.errors import BadInput
from incident_rca.formats.datadog_answers import (
    Exchange,
    Query,
    Series,
    exchanges_of,
    is_answer,
    queries_of,
    series_of,
    step_seconds,
)
from incident_rca.formats.lines import document_of
from incident_rca.formats.metric_names import known, labels_of, pool_role, suffix_unit
from incident_rca.formats.metric_units import is_time, quantile_of, unit_of
from incident_rca.formats.parsed import (
    Format,
    Head,
    Parsed,
    RawInput,
    console_of,
    frame_of,
    is_sane,
    window_of,
)
from incident_rca.model import Gap, System, TimeWindow

Row = dict[str, Any]
UnitOf = tuple[str, float, str | None]

_UNITS = (dict, type(None))
_COUNT: UnitOf = ("count", 1.0, None)
_NO_STATUS = (
    "the calls are counted without a status: whether any ended with DEADLINE_EXCEEDED or another "
    "error is not in this answer"
)


def recognises(head: Head) -> bool:
    """Whether the document is an envelope of, or a bare, timeseries answer of v2 or v1."""
    document = head.document or {}
    if document.get("service") not in (None, "datadog"):
        return False
    return any(is_answer(exchange.response) for exchange in exchanges_of(document))


def parse(raw: RawInput) -> Parsed:
    """One row a bucket and series, numbered series by series; times in ms where a unit says so.

    Raises BadInput where an answer does not say its metric and neither does the user, where a
    latency has no unit that anything states, and where no answer is one.
    """
    document = document_of(raw.path)
    exchanges = exchanges_of(document)
    given = raw.query or (f"avg:{raw.metric}{{*}}" if raw.metric else "")
    found, unparsed, broken = _read(exchanges, raw.file, given)
    if not found and not unparsed and all(e.error for e in exchanges):
        raise BadInput(f"{raw.file}: holds no timeseries", hint="was the query refused?")
    asked_step = max((step for e in exchanges if (step := e.asked_step)), default=None)
    rows, widths, refused = _rows(found, _facts(document), asked_step)
    if refused and not rows:
        raise BadInput(f"{raw.file}: {refused[0].message}", hint=refused[0].hint)
    unparsed += sum(not is_sane(at) for series in found for at in series.times)
    times = [row["at"] for row in rows]
    width = max(widths, default=None)
    step = width if width is not None else step_seconds([], None)
    return Parsed(
        frames={"metrics": frame_of("metrics", rows, raw)},
        rows=len(rows),
        unparsed=unparsed + len(refused),
        asked=_asked(exchanges),
        covered=window_of(times, step_seconds=step),
        resolution_seconds=step,
        query=" | ".join(_texts(exchanges, raw.file, given)),
        damage="; ".join([*_damage(document, refused), *broken]),
        gaps=tuple(_gaps(exchanges)),
        blind=_NO_STATUS if _lacks_status(rows) else "",
        console=console_of(document.get("request")),
    )


def _read(
    exchanges: Sequence[Exchange], file: str, given: str
) -> tuple[list[Series], int, list[str]]:
    """The series of all answers, how many could not be read, and what is wrong with others.

    Of several answers those that can be read are kept; a single one that cannot raises.
    """
    found: list[Series] = []
    unparsed = points = 0
    broken: list[str] = []
    answered = [exchange for exchange in exchanges if not exchange.error]
    for position, exchange in enumerate(answered, start=1):
        try:
            series, bad, count = series_of(exchange, file, given, points + 1)
        except (BadInput, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as e:
            if len(broken) + 1 == len(answered):
                raise
            broken.append(f"answer {position} cannot be read ({e})")
            continue
        found += series
        unparsed += bad
        points += count
    return found, unparsed, broken


def _rows(
    found: Sequence[Series], facts: Mapping[str, Any], asked_step: float | None
) -> tuple[list[Row], list[float], list[BadInput]]:
    """The rows, the widths of their buckets, and one refusal a series without a unit."""
    of_metric: dict[str, list[Series]] = defaultdict(list)
    for series in found:
        of_metric[series.query.metric].append(series)
    widths = {name: step_seconds(part, asked_step) for name, part in of_metric.items()}
    rows: list[Row] = []
    refused: list[BadInput] = []
    for series in found:
        try:
            unit = _unit(series, facts)
        except BadInput as error:
            refused.append(error)
            continue
        role = pool_role(facts["roles"].get(series.query.text))
        rows.extend(_rows_of(series, unit, widths[series.query.metric], role))
    return rows, list(widths.values()), refused


def _rows_of(series: Series, unit_of_rows: UnitOf, width: float, role: str | None) -> Iterator[Row]:
    unit, factor, basis = unit_of_rows
    named = asdict(labels_of(series.query.metric, series.tags))
    pairs = zip(series.times, series.values, strict=True)
    for position, (at, value) in enumerate(pairs, start=series.first_row):
        if not is_sane(at):
            continue
        yield {
            "row": position,
            "at": at,
            "bucket_seconds": width,
            "metric": series.query.metric,
            "aggregate": series.query.aggregate,
            "unit": unit,
            "unit_basis": basis,
            **named,
            "role": role,
            "value": None if value is None else value * factor,
        }


# --- units ----------------------------------------------------------------------------------------


def _facts(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the envelope says beside its answers: `about`, `unit`, `roles` (settings), `metrics`."""
    request = document.get("request")
    response = document.get("response")
    asked = request if isinstance(request, dict) else {}
    told = response if isinstance(response, dict) else {}
    metrics = told.get("metrics")
    roles = asked.get("roles")
    return {
        "is_latency": asked.get("about") == "latency",
        "setting": str(asked.get("unit") or ""),
        "metrics": metrics if isinstance(metrics, dict) else {},
        "roles": roles if isinstance(roles, dict) else {},
    }


def _unit(series: Series, facts: Mapping[str, Any]) -> UnitOf:
    """The unit, the factor to it and what states it; an unknown one of a latency is refused.

    The settings' unit is for what Datadog states none of; in the settings it stands for all of an
    account's latencies, so it would be wrong for some where it won.
    """
    metric, aggregate = series.query.metric, series.query.aggregate
    if aggregate == "count":
        return _COUNT
    stated = _stated(series, facts)
    by_name = known(metric)
    if is_time(stated):
        return _in_ms(metric, payload=stated)
    if stated:
        name = stated if isinstance(stated, str) else stated.get("name")
        return str(name), 1.0, "payload"
    is_latency = (
        facts["is_latency"]
        or quantile_of(aggregate) is not None
        or (by_name is not None and by_name.kind == "latency")
        or suffix_unit(metric) != ""
    )
    return _in_ms(metric, setting=facts["setting"]) if is_latency else _COUNT


def _in_ms(metric: str, *, setting: str = "", payload: Any = None) -> UnitOf:
    unit = unit_of(metric, setting=setting, payload=payload)
    return "ms", unit.factor_to_ms, unit.basis


def _stated(series: Series, facts: Mapping[str, Any]) -> Any:
    """The unit in the answer, which is [of it, per what], or that of the metric's description."""
    if series.unit is not None:
        if not isinstance(series.unit, list) or any(type(u) not in _UNITS for u in series.unit):
            raise TypeError(f"a unit that is none: {str(series.unit)[:40]}")
        if series.unit and series.unit[0]:
            return series.unit[0]
    for name in (series.query.metric, series.query.metric.rpartition(".")[0]):
        described = facts["metrics"].get(name)
        if isinstance(described, dict) and described.get("unit"):
            return str(described["unit"])
    return None


# --- what is missing ------------------------------------------------------------------------------


def _lacks_status(rows: Sequence[Row]) -> bool:
    counts = [row for row in rows if row["aggregate"] == "count"]
    return bool(counts) and all(row["status"] is None for row in counts)


def _damage(document: Mapping[str, Any], refused: Sequence[BadInput]) -> Iterator[str]:
    response = document.get("response")
    error = response.get("error") if isinstance(response, dict) else None
    if isinstance(error, dict):
        yield str(error.get("message") or error.get("code") or "not all of it was answered")
    yield from dict.fromkeys(error.message for error in refused)


def _gaps(exchanges: Sequence[Exchange]) -> Iterator[Gap]:
    """The slices of which no request was answered."""
    answered = {e.window for e in exchanges if not e.error}
    failed = {e.window: e.error for e in exchanges if e.error}
    for window, why in failed.items():
        if window is not None and window not in answered:
            yield Gap(window, why)


def _texts(exchanges: Sequence[Exchange], file: str, given: str) -> Iterator[str]:
    yield from dict.fromkeys(q.text for e in exchanges for q in _known(e, file, given))


def _known(exchange: Exchange, file: str, given: str) -> Sequence[Query]:
    try:
        return queries_of(exchange, file, given)
    except BadInput:
        return ()


def _asked(exchanges: Sequence[Exchange]) -> TimeWindow | None:
    windows = [e.window for e in exchanges]
    known_windows = [window for window in windows if window is not None]
    if not known_windows or len(known_windows) != len(windows):
        return None
    return TimeWindow(min(w.start for w in known_windows), max(w.end for w in known_windows))


FORMAT = Format(
    kind="datadog_metrics",
    system=System.GRPC_METRICS,
    title="Datadog timeseries answer (v2 or v1), in its envelope or bare with --query",
    recognises=recognises,
    parse=parse,
    cannot_show="calls that have not ended yet, single calls, and instants within a bucket",
)
