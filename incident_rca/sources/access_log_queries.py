"""What to ask a stage's access log, in the words of the two services that search it.

Logs Insights finds the fields of JSON lines by itself; of any other format they are cut out of
@message by a glob that is the stage's format with `*` for each variable. FilterLogEvents has JSON
patterns, and for other formats a regular expression in which only letters, digits and a few signs
may stand ("Filter pattern syntax", Amazon CloudWatch Logs User Guide).

A line is dated by the end of its request. Where the format has requestTimeEpoch, requests are
counted at their arrival all the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from incident_rca.formats.access_log.stage_format import LineFormat
from incident_rca.queries import load_query

# A column of an answer, and the variables of $context of which the first known one is read.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "method": ("httpMethod",),
    "event_type": ("eventType",),
    "route": ("resourcePath", "routeKey", "path"),
    "status": ("status",),
    "response_type": ("error.responseType",),
    "integration_status": ("integrationStatus", "integration.integrationStatus"),
    "backend_status": ("integration.status",),
    "error_text": ("integration.error", "integrationErrorMessage"),
    "authorizer_error": ("authorizer.error",),
    "waf": ("wafResponseCode",),
}
OF_ENDPOINTS = ("method", "event_type", "route", "status")
LATENCIES = ("responseLatency", "integrationLatency", "integration.latency")
ARRIVAL = "requestTimeEpoch"
BIN_SECONDS: Mapping[str, int] = {"counts": 1, "latency": 10, "baseline": 1_800, "failures": 1}
# Wider bins of latencies for longer windows: their rows are many, a page of 10,000 is a call.
_LATENCY_BINS = (10, 30, 60, 300, 900)
_MOST_LATENCY_BINS = 30
_VARIABLE = re.compile(r"\$context\.[A-Za-z]\w*(?:\.[A-Za-z]\w*)*|\$\{context\.[\w.]+\}")
_STATUS = re.compile(r"\$context\.status\b(?!\.)|\$\{context\.status\}")
_QUOTED_VARIABLE = re.compile(r'"\$context\.(?!error\.messageString)[\w.]+"')
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ALLOWED_IN_PATTERN = re.compile(r"[^A-Za-z0-9_#=@/;,-]")
_AROUND = 24  # characters of the format on each side of the status: enough to tell it apart


@dataclass(frozen=True, slots=True)
class LogQueries:
    """How one format is asked about.

    `texts` has a query for each role, of those that the format allows; `missing` the reason for
    the others. `failure_pattern` is for FilterLogEvents; where it is not exact (`is_exact`), it
    also lets lines pass whose request did not fail. `is_by_arrival` says that requests count where
    they arrived: such texts have `{start}` and `{end}`, the seconds since 1970 of the window, and
    are for a longer stretch of events. Else they count where they ended.
    """

    texts: Mapping[str, str]
    missing: Mapping[str, str]
    failure_pattern: str
    is_exact: bool
    is_by_arrival: bool

    def over(self, role: str, window_seconds: float) -> tuple[str, int]:
        """The query for a window of that length, and the seconds of its time bin."""
        width = BIN_SECONDS[role]
        if role == "latency":
            fits = (bin for bin in _LATENCY_BINS if window_seconds / bin <= _MOST_LATENCY_BINS)
            width = next(fits, _LATENCY_BINS[-1])
        return self.texts[role].replace("{width}", str(width)), width


def queries_of(line_format: LineFormat) -> LogQueries:
    """The queries for lines of this format.

    >>> from incident_rca.formats.access_log.stage_format import compile_format
    >>> queries_of(compile_format('{"s": "$context.status"}')).failure_pattern
    '{ ($.s = 5*) || ($.s = "5*") || ($.s >= 500) }'
    >>> queries_of(compile_format('$context.requestId,$context.status,$context.path')).texts[
    ...     "failures"
    ... ].splitlines()[0]
    "parse @message '*,*,*' as v0, v1, v2"
    """
    is_json = _is_found(line_format)
    parse = "" if is_json else _glob(line_format.text)
    texts: dict[str, str] = {}
    missing: dict[str, str] = {}
    for role in BIN_SECONDS:
        why = _why_not(line_format, role, is_readable=is_json or bool(parse))
        if why:
            missing[role] = why
        else:
            texts[role] = _filled(line_format, role, parse)
    pattern = _json_pattern(line_format) if is_json else ""
    return LogQueries(
        texts,
        missing,
        pattern or _term_pattern(line_format.text),
        is_exact=bool(pattern),
        is_by_arrival=ARRIVAL in line_format.keys,
    )


def _is_found(line_format: LineFormat) -> bool:
    """Whether the services find the fields by themselves: in lines that are valid JSON, always.

    They are not where a variable has no quotes (an absent one is `-`), nor where
    error.messageString has some, since it brings its own.
    """
    bare = _QUOTED_VARIABLE.sub('""', line_format.text)
    return line_format.kind == "json" and not _VARIABLE.search(bare)


def _why_not(line_format: LineFormat, role: str, *, is_readable: bool) -> str:
    if "status" not in line_format.keys:
        return "the stage's log format lacks $context.status: nothing can be counted"
    if not is_readable:
        return "the stage's log format has variables that touch: Logs Insights cannot part them"
    if role == "latency" and not line_format.keys.keys() & {*LATENCIES}:
        return "the stage's log format lacks $context.responseLatency: latencies are not known"
    return ""


def _filled(line_format: LineFormat, role: str, parse: str) -> str:
    names = OF_ENDPOINTS if role in ("latency", "baseline") else tuple(COLUMNS)
    columns = ((name, _field(line_format, COLUMNS[name])) for name in names)
    by = [field if field == name else f"{field} as {name}" for name, field in columns if field]
    is_by_arrival = ARRIVAL in line_format.keys and role != "failures"
    name = f"access_log_{role}_by_arrival" if is_by_arrival else f"access_log_{role}"
    text = load_query(f"cloudwatch/{name}.insights").text
    body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for name, value in {
        "arrival": _field(line_format, (ARRIVAL,)),
        "parse": f"{parse}\n| " if parse else "",
        "by": ", ".join(by),
        "status": _field(line_format, ("status",)),
        "latency": _field(line_format, LATENCIES),
    }.items():
        body = body.replace(f"{{{name}}}", value)
    return body


def _field(line_format: LineFormat, variables: Sequence[str]) -> str:
    """The field of the first variable that the format has; odd names stand in backticks."""
    variable = next((name for name in variables if name in line_format.keys), "")
    if not variable:
        return ""
    if not _is_found(line_format):
        return f"v{place_in(line_format.text, variable)}"
    key = line_format.keys[variable]
    return key if all(_PLAIN_KEY.fullmatch(part) for part in key.split(".")) else f"`{key}`"


def place_in(text: str, variable: str) -> int:
    """The place of a variable (without `$context.`) among all those of a format, from 0."""
    names = [found[0].strip("${}").removeprefix("context.") for found in _VARIABLE.finditer(text)]
    return names.index(variable)


def _glob(text: str) -> str:
    """A parse command that cuts all variables out; empty where a glob cannot part them."""
    pieces = _VARIABLE.split(text)
    if "*" in text or "'" in text or "\\" in text or "" in pieces[1:-1]:
        return ""
    names = ", ".join(f"v{number}" for number in range(len(pieces) - 1))
    return f"parse @message '{'*'.join(pieces)}' as {names}"


def _json_pattern(line_format: LineFormat) -> str:
    path = line_format.paths.get("status", ())
    if not path or not all(_PLAIN_KEY.fullmatch(part) for part in path):
        return ""
    key = f"$.{'.'.join(path)}"
    # A number matches the first and the last form, a text the second.
    return f'{{ ({key} = 5*) || ({key} = "5*") || ({key} >= 500) }}'


def _term_pattern(text: str) -> str:
    """A 5xx between what stands around the status; a sign that may not stand there is any sign."""
    found = _STATUS.search(text)
    before, after = (text[: found.start()], text[found.end() :]) if found else ("", "")
    before, after = _VARIABLE.split(before)[-1], _VARIABLE.split(after)[0]
    left = _ALLOWED_IN_PATTERN.sub(".", before[-_AROUND:])
    right = _ALLOWED_IN_PATTERN.sub(".", after[:_AROUND])
    return f"%{left}5[0-9][0-9]{right}%"
