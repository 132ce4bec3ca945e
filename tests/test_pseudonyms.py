"""One number for one value over all files of a case, and none that tells what it stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from incident_rca.formats.parsed import RawInput, frame_of
from incident_rca.model import Case, RawFile, SourceState, SourceStatus, System, TimeWindow
from incident_rca.pipeline import joined_tables
from incident_rca.reported_case import reported
from incident_rca.tables import Tables
from tests.formats.builders import START, instant

WINDOW = TimeWindow(START, instant("15:00"))
ADDRESSES = ("10.0.0.1", "2001:db8::1", "2001:0DB8:0:0:0:0:0:1", "10.0.0.2", "ip-10-0-0-1")


def frame(table: str, column: str, *texts: str, file: str = "raw/a") -> pd.DataFrame:
    raw = RawInput(path=Path(file), file=file, source=file, work=Path())
    return frame_of(table, [{column: text} for text in texts], raw)


def case(**given: Any) -> Case:
    return Case(id="INC-1", title="", window=WINDOW, **given)


def shown(made: Case, **frames: list[pd.DataFrame]) -> tuple[Case, Tables]:
    return reported(made, joined_tables(frames))


def test_equal_values_are_equal_in_every_table_and_spelling() -> None:
    events = frame("server_events", "message", *(f"from {a}" for a in ADDRESSES))
    failures = frame("failures", "message", "to 10.0.0.2", "by Ada@Example.com", "ada@example.com")
    _, tables = shown(case(), server_events=[events], failures=[failures])
    assert list(tables.failures["message"]) == ["to <ip-1>", "by <email-1>", "<email-1>"]
    assert list(tables.server_events["message"]) == [
        *("from <ip-2>", "from <ip-3>", "from <ip-3>", "from <ip-1>", "from <ip-2>")
    ]


def test_what_the_manifest_says_has_the_numbers_of_the_rows() -> None:
    source = SourceStatus(
        name="log of 10.0.0.9",
        system=System.POSTGRES,
        kind="postgres_log",
        state=SourceState.PARTIAL,
        reason="10.0.0.1 refused",
        query="fields @message | filter ip = '10.0.0.9' and route = '/orders'",
        files=(RawFile("raw/10.0.0.9.log", "0"),),
    )
    rows = frame("server_events", "message", "10.0.0.9", "10.0.0.1", file="raw/10.0.0.9.log")
    told, tables = shown(case(sources=(source,)), server_events=[rows])
    (of_case, *_) = told.sources
    assert set(tables.server_events["file"]) == {of_case.files[0].path} == {"raw/<ip-1>.log"}
    assert of_case.name == "log of <ip-1>" and of_case.reason == "<ip-2> refused"
    assert of_case.query == "fields @message | filter ip = '<ip-1>' and route = '/orders'"


def test_what_the_settings_call_a_user_is_hidden_everywhere() -> None:
    failures = frame("failures", "route", "/users/u-1001/orders", "/users/u-7/orders", "/u-x")
    gateway = frame("changes", "title", "u-7 deployed", "tenant ACME-55 moved")
    made = case(user_ids=(r"\bu-[0-9]+\b", r"ACME-[0-9]+"))
    _, tables = shown(made, failures=[failures], changes=[gateway])
    assert list(tables.failures["route"]) == [
        "/users/<user>/orders",
        "/users/<user>/orders",
        "/u-x",
    ]
    assert list(tables.changes["title"]) == ["<user-1> deployed", "tenant <user-2> moved"]


def test_a_number_says_nothing_of_its_value() -> None:
    """Numbers follow the rows: other values in the same places give the same report."""
    first, second = (
        shown(case(), failures=[frame("failures", "message", f"{a} {b}", a)])[1].failures["message"]
        for a, b in (("10.0.0.1", "10.0.0.2"), ("192.0.2.200", "198.51.100.1"))
    )
    assert list(first) == list(second) == ["<ip-1> <ip-2>", "<ip-1>"]


def test_requests_are_counted_together_where_only_a_hidden_value_differs() -> None:
    texts = [f"/from/10.0.0.{n}" for n in range(12, 0, -1)]
    tables = shown(case(), gateway=[_counted("route", texts)])[1]
    assert set(tables.gateway["route"]) == {"/from/<ip>"}


def test_a_repeated_column_stays_sorted() -> None:
    texts = [f"from 10.0.0.{n}" for n in range(12, 0, -1)]
    tables = shown(case(), gateway=[_counted("error_type", texts)])[1]
    known = tables.gateway["error_type"].cat.categories
    assert list(tables.gateway["error_type"]) == [f"from <ip-{n}>" for n in range(1, 13)]
    assert list(known) == sorted(known)


def _counted(column: str, texts: list[str]) -> pd.DataFrame:
    raw = RawInput(path=Path("a"), file="raw/a", source="a", work=Path())
    numbers = {"requests": 1, "line_first": 1, "line_last": 1}
    lists = {"latency_ms_bounds": [1], "latency_ms_counts": [1]}
    return frame_of("gateway", [{column: text, **numbers, **lists} for text in texts], raw)
