"""A stage's format string turned round: what a format writes is read back, whatever it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.formats.access_log.stage_format import compile_format
from incident_rca.formats.access_log.values import values_of
from incident_rca.formats.access_log.variables import VARIABLES

LATENCIES = st.integers(0, 900_000).map(str) | st.just("-")
STATUSES = st.integers(100, 599).map(str) | st.just("-")
WORDS = st.text("abcXYZ0189/_.{}=+:", min_size=1, max_size=12)
VALUES: dict[str, st.SearchStrategy[str]] = {
    "requestTimeEpoch": st.integers(1_700_000_000_000, 1_800_000_000_000).map(str),
    "requestTime": st.just("15/Jan/2026:14:10:00 +0000"),
    "httpMethod": st.sampled_from(["GET", "POST", "-"]),
    "eventType": st.sampled_from(["CONNECT", "MESSAGE", "-"]),
    "error.responseType": st.sampled_from(["INTEGRATION_FAILURE", "DEFAULT_5XX", "-"]),
    "wafResponseCode": st.sampled_from(["WAF_ALLOW", "-"]),
    **dict.fromkeys(("status", "integrationStatus", "integration.status"), STATUSES),
    "integration.integrationStatus": STATUSES,
    **dict.fromkeys(("integrationLatency", "integration.latency", "responseLatency"), LATENCIES),
}
CHOSEN = st.lists(st.sampled_from(VARIABLES), min_size=1, max_size=12, unique=True)
KEYS = st.text("abcdefgXYZ_.- ", min_size=1, max_size=8)


@st.composite
def requests(draw: st.DrawFn, names: list[str]) -> dict[str, str]:
    return {name: draw(VALUES.get(name, WORDS)) for name in names}


def rendered(text: str, values: dict[str, str]) -> str:
    for name in sorted(values, key=len, reverse=True):
        text = text.replace(f"$context.{name}", values[name])
    return text


@st.composite
def json_cases(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    """A JSON format with nested keys, some values without quotation marks, and a request."""
    names = draw(CHOSEN)
    document: dict[str, Any] = {}
    for position, name in enumerate(names):
        at = document
        for key in draw(st.lists(KEYS, max_size=2)):
            at = at.setdefault(f"o {key}", {})
        at[f"{draw(KEYS)}{position}"] = f"$context.{name}"
    text = json.dumps(document, indent=draw(st.sampled_from([None, 0])))
    for name in names:
        if draw(st.booleans()) and ("tatus" in name or "atency" in name):
            text = text.replace(f'"$context.{name}"', f"$context.{name}")
    return text, draw(requests(names))


@settings(deadline=None, max_examples=80)
@given(case=json_cases())
def test_what_a_json_format_writes_is_read_back(case: tuple[str, dict[str, str]]) -> None:
    text, values = case
    known = compile_format(text)
    assert known.kind == "json" and known.keys.keys() == values.keys()
    assert values_of(known, rendered(text, values).replace("\n", "").encode()) == values


@settings(deadline=None, max_examples=150)
@given(data=st.data(), names=CHOSEN)
def test_what_any_format_writes_is_read_back(data: st.DataObject, names: list[str]) -> None:
    separators = st.sampled_from([" | ", ";", "\t", " <> ", '" "', " ", ",", "]["])
    text = "".join(f"{data.draw(separators)}$context.{name}" for name in names)
    text = f"#{text}{data.draw(st.sampled_from(['', ' end', ';', '%']))}"
    values = data.draw(requests(names))
    known = compile_format(text)
    assert values_of(known, rendered(text, values).encode()) == values


@settings(deadline=None, max_examples=100)
@given(text=st.text(max_size=80), line=st.binary(max_size=200))
def test_no_format_and_no_line_is_an_error(text: str, line: bytes) -> None:
    known = compile_format(text + " $context.status" + text + "$context.path")
    values_of(known, line)


def test_variables_that_touch_are_told_apart_only_by_their_form() -> None:
    known = compile_format("$context.status$context.httpMethod$context.path$context.error.message;")
    assert values_of(known, b"502GET/a b;") == {"status": "502", "httpMethod": "GET"}


def test_a_variable_ends_where_its_name_does() -> None:
    known = compile_format('{"a": "$context.status.", "b": "${context.path}"}')
    assert known.kind == "text"
    assert values_of(known, b'{"a": "502.", "b": "/x"}') == {"status": "502", "path": "/x"}


def test_a_format_in_arrays_or_in_pieces_is_read_as_text() -> None:
    text = '{"line": "$context.httpMethod $context.resourcePath", "s": [$context.status]}'
    known = compile_format(text)
    assert (known.kind, dict(known.paths)) == ("text", {})
    values = values_of(known, b'{"line": "GET /a/{id}", "s": [502]}')
    assert values == {"httpMethod": "GET", "resourcePath": "/a/{id}", "status": "502"}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"a": "$context.status"}', "json"),
        ('{"a": "$context.status",}', "text"),
        ('{"a": $context.status', "text"),
        ("$context.status,$context.path", "csv"),
        ('"$context.status","$context.path"', "csv"),
        ("<a>$context.status</a>", "xml"),
        ("$context.user [$context.requestTime] $context.status", "clf"),
        ("$context.status $context.path", "text"),
    ],
)
def test_the_kind_follows_from_the_text(text: str, kind: str) -> None:
    assert compile_format(text).kind == kind


def test_what_a_format_lacks_is_said() -> None:
    assert compile_format('{"s": "$context.status", "t": "$context.requestTimeEpoch"}').lacks == (
        "format lacks httpMethod: no request can be counted",
        "format lacks resourcePath, routeKey: no request can be counted",
        "format lacks responseLatency, integrationLatency: latencies not known",
        "format lacks error.responseType: errors of the gateway's own not separable",
        "format lacks integration.*: types not separable",
        "format lacks integration.error: an error of a function and its malformed answer not "
        "separable",
        "format lacks requestId: no join with execution logs",
    )


@pytest.mark.parametrize("filler", ['"', ",", " ", "a", '","', "$", "|"])
def test_a_line_that_does_not_fit_is_left_at_once(filler: str) -> None:
    text = " | ".join(f"$context.{name}" for name in VARIABLES if name not in VALUES)
    known = compile_format(f"{text} | $context.user $context.caller")
    # A pattern that goes back over the line again and again would not end in a lifetime.
    assert values_of(known, (filler * 200_000).encode()) is None
