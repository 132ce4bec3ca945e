"""Roots of wait graphs against a search of every path, and the identity of sessions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.analysis.lock_graph import UNKNOWN, session_keys, with_roots
from incident_rca.tables import SCHEMAS
from incident_rca.typed_frames import as_schema
from tests.formats.builders import START

PEOPLE = tuple("abcdefgh")
Graph = Mapping[str, frozenset[str]]


def graphs() -> st.SearchStrategy[dict[str, frozenset[str]]]:
    """Who waits for whom; some for themselves, as a patched server may say."""
    return st.dictionaries(
        st.sampled_from(PEOPLE), st.frozensets(st.sampled_from(PEOPLE), min_size=1, max_size=3)
    )


def edges(graph: Graph, at: datetime = START, **given: Any) -> pd.DataFrame:
    rows = [
        {"source": "s", "at": at, "waiter": waiter, "holder": holder, **given}
        for waiter, holders in sorted(graph.items())
        for holder in sorted(holders)
    ]
    columns = ["source", "at", "waiter", "holder", "wait_start", "wait_end", "wait_outcome"]
    frame = pd.DataFrame(rows, columns=columns)
    instants = dict.fromkeys(("at", "wait_start", "wait_end"), "datetime64[us, UTC]")
    return frame.astype(
        instants | dict.fromkeys(("source", "waiter", "holder", "wait_outcome"), "str")
    )


def found(frame: pd.DataFrame) -> dict[tuple[str, str], set[tuple[str, bool]]]:
    roots: dict[tuple[str, str], set[tuple[str, bool]]] = {}
    columns = ["waiter", "holder", "root", "deadlocked"]
    for waiter, holder, root, deadlocked in with_roots(frame)[columns].itertuples(index=False):
        assert (root, deadlocked) not in roots.setdefault((waiter, holder), set())
        roots[waiter, holder].add((root, bool(deadlocked)))
    return roots


def paths(graph: Graph, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every way onwards that visits nobody twice, but may come back to where one has been."""
    yield path
    for ahead in graph.get(path[-1], frozenset()) - {path[-1]}:
        if ahead in path:
            yield (*path, ahead)
        else:
            yield from paths(graph, (*path, ahead))


def true_roots(graph: Graph, holder: str) -> set[tuple[str, bool]]:
    """Ends by walking every path; a circle is joined with all that it shares a member with."""
    ends: set[tuple[str, bool]] = set()
    circles: list[set[str]] = []
    for path in paths(graph, (holder,)):
        if not graph.get(path[-1], frozenset()) - {path[-1]}:
            ends.add((path[-1], False))
        elif path[-1] in path[:-1]:
            circle = set(path[path.index(path[-1]) :])
            touching = [known for known in circles if known & circle]
            circles = [known for known in circles if not known & circle]
            circles.append(circle.union(*touching))
    return ends | {(min(circle), True) for circle in circles}


@settings(max_examples=300, deadline=None)
@given(graphs())
def test_roots_are_the_ends_of_all_paths(graph: dict[str, frozenset[str]]) -> None:
    expected = {
        (waiter, holder): true_roots(graph, holder)
        for waiter, holders in graph.items()
        for holder in holders
    }
    assert found(edges(graph)) == expected


@settings(max_examples=100, deadline=None)
@given(graphs(), graphs())
def test_samples_and_sources_do_not_mix(
    one: dict[str, frozenset[str]], other: dict[str, frozenset[str]]
) -> None:
    later = edges(other, START + timedelta(seconds=1))
    elsewhere = edges(other).assign(source="t")
    alone = found(edges(one))
    for beside in (later, elsewhere):
        both = with_roots(pd.concat([edges(one), beside], ignore_index=True))
        own = both[(both["at"] == START) & (both["source"] == "s")]
        assert own[["waiter", "holder", "root"]].to_dict("records") == [
            {"waiter": w, "holder": h, "root": root}
            for (w, h), roots in alone.items()
            for root, _ in sorted(roots)
        ]


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_logged_waits_are_followed_while_they_last(graph: dict[str, frozenset[str]]) -> None:
    """Each line of a log has an instant of its own; the waits that it tells of overlap."""
    lines = []
    for number, (waiter, holders) in enumerate(sorted(graph.items())):
        at = START + timedelta(milliseconds=number)
        span = {"wait_start": START - timedelta(seconds=5), "wait_end": START + timedelta(hours=1)}
        lines.append(edges({waiter: holders}, at, **span))
    if lines:
        expected = {
            (waiter, holder): true_roots(graph, holder)
            for waiter, holders in graph.items()
            for holder in holders
        }
        assert found(pd.concat(lines, ignore_index=True)) == expected


def test_a_holder_that_is_not_known_is_its_own_root() -> None:
    frame = edges({"a": frozenset({"b"})})
    frame.loc[0, "holder"] = None
    (root,) = with_roots(frame)["root"]
    assert root == UNKNOWN


def test_a_long_chain_and_a_wide_queue_are_followed() -> None:
    chain = {f"{n:04}": frozenset({f"{n + 1:04}"}) for n in range(150)}
    assert set(with_roots(edges(chain))["root"]) == {"0150"}
    queue = {f"w{n:03}": frozenset({"alter"}) for n in range(500)} | {"alter": frozenset({"r"})}
    assert set(with_roots(edges(queue))["root"]) == {"r"}


# --- who is who ---------------------------------------------------------------------------------


def keys(*pairs: tuple[str | None, int | None]) -> list[str | None]:
    """The key of each (session, pid) when all of these are holders in one table."""
    rows = [{"holder_session": session, "holder_pid": pid, "at": START} for session, pid in pairs]
    frame = as_schema(pd.DataFrame(rows).reindex(columns=list(SCHEMAS["locks"])), "locks")
    return [None if pd.isna(key) else str(key) for key in session_keys(frame)["holder"]]


def test_a_pid_alone_is_the_one_session_of_that_pid() -> None:
    full = "7@2026-01-15T14:00:00Z"
    assert keys((full, 7), ("7", 7), (None, 7)) == [full] * 3


def test_a_pid_that_was_used_twice_is_nobody_in_particular() -> None:
    one, two = "7@2026-01-15T14:00:00Z", "7@2026-01-15T15:00:00Z"
    assert keys((one, 7), (two, 7), ("7", 7)) == [one, two, "7"]


def test_an_unknown_holder_has_no_key() -> None:
    assert keys((None, None), ("7", 7)) == [None, "7"]


def test_a_prepared_transaction_is_not_one_whose_name_goes_on_after_an_at() -> None:
    assert keys(("prepared pay", 0), ("prepared pay@2", 0)) == ["prepared pay", "prepared pay@2"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, unique=True))
def test_prepared_transactions_keep_their_names(gids: list[str]) -> None:
    sessions = [f"prepared {gid}" for gid in gids]
    assert keys(*((session, 0) for session in sessions)) == sessions
