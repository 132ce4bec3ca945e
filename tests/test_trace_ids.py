"""Ids of requests in statements, session names and logs: all that are there, and nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from incident_rca.redact import comments_of, redact_sql
from incident_rca.trace_ids import (
    IdKind,
    ids_in_session,
    ids_of_log,
    ids_of_name,
    ids_of_statement,
    kind_of,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f0" + "67aa0ba902b7-01"
XRAY = f"1-{TRACE[:8]}-{TRACE[8:]}"
REQUEST = "d2d06980-8e84-4b16-a868-a56fe089a76b"
EXTENDED = "-G71prPQhzUnczk="


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (f"SELECT 1 /*action='x',traceparent='{PARENT}'*/", {TRACE}),
        (f"/*traceparent='{PARENT}',tracestate='a%3D1'*/ SELECT 1", {TRACE}),
        (f"COMMIT -- trace_id={TRACE}", {TRACE}),
        (f"SELECT 1 /* {XRAY} */", {TRACE}),
        (f"SELECT 1 /*xray_trace_id='{XRAY}',request_id='{REQUEST.upper()}'*/", {TRACE, REQUEST}),
        (f"SELECT 1 /*X-Amzn-Trace-Id='Root%3D{XRAY}%3BSampled%3D1'*/", {TRACE}),
        (f"SELECT 1 /*request_id:{REQUEST},controller:orders*/", {REQUEST}),
        (f"SELECT 1 /*extended_request_id='{EXTENDED.replace('=', '%3D')}'*/", {EXTENDED}),
        (f"SELECT '/*traceparent=''{PARENT}''*/', $$ /* {XRAY} */ $$", set()),
        (f'SELECT "/* {XRAY} */"', set()),
        (f"SELECT 1 /*customer='{REQUEST}'*/", set()),
        (f"SELECT 1 /*traceparent='{PARENT[:40]}", set()),
        (f"SELECT 1 /*traceparent='00-{'0' * 32}-00f067aa0ba902b7-01'*/", set()),
        (f"SELECT 1 /*sha256='{TRACE}{TRACE}'*/", set()),
        ("SELECT 1 /*request_id='ada@example.com'*/", set()),
    ],
)
def test_the_ids_of_a_statement(statement: str, found: set[str]) -> None:
    assert set(ids_of_statement(statement)) == found


def test_the_redacted_statement_has_no_id_and_none_is_lost() -> None:
    statement = f"SELECT 'secret' /*traceparent='{PARENT}'*/"
    assert TRACE not in redact_sql(statement)
    assert ids_in_session(statement, f"orders {XRAY}") == TRACE


def test_one_trace_has_one_spelling_whoever_wrote_it() -> None:
    by_w3c, by_aws = ids_of_statement(f"/* {PARENT} */"), ids_of_log(f"Root={XRAY};Sampled=1")
    assert by_w3c == by_aws == ids_of_name(f"app:{XRAY}") == (TRACE,)


def test_the_ids_of_a_log_line() -> None:
    assert set(ids_of_log(REQUEST, EXTENDED, XRAY, "-", None, "")) == {REQUEST, EXTENDED, TRACE}
    assert [kind_of(i) for i in (TRACE, REQUEST, EXTENDED)] == [
        IdKind.TRACE,
        IdKind.REQUEST,
        IdKind.EXTENDED,
    ]


NEAR = st.sampled_from(
    ["/*", "*/", "'", "--", "\n", "=", ":", "request_id", "traceparent", PARENT, XRAY, REQUEST]
)


@given(parts=st.lists(st.one_of(NEAR, st.text(max_size=12)), max_size=12))
@example(parts=["/*", "request_id", "=", "4111111111111111", "*/"])
def test_nothing_but_an_id_is_ever_kept(parts: list[str]) -> None:
    """By the alphabet and the lengths of ids, which no name, address or number of a card has."""
    text = "".join(parts)
    for found in (*ids_of_statement(text), *ids_of_name(text), *ids_of_log(text)):
        assert re.fullmatch(r"[0-9a-f]{32}|[0-9a-f-]{36}|[\w+/-]{15}=", found, re.ASCII)


@given(parts=st.lists(st.one_of(NEAR, st.text(max_size=12)), max_size=12))
def test_what_is_no_literal_is_comments_and_code(parts: list[str]) -> None:
    """Each comment stands in the text as it is, in order."""
    text, at = "".join(parts), 0
    for comment in comments_of(text):
        at = text.index(comment, at) + len(comment)
