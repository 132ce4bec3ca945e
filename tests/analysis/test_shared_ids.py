"""Ids that a waiting statement and a failed request share: as a path, and as bounds of clocks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.analysis.shared_ids import link_of
from incident_rca.model import Aspect, Basis, Kind, Role, Stance, Topology, Verdict
from tests.analysis.cases import (
    Row,
    blocked,
    claims_of,
    edge,
    failure,
    made_case,
    made_tables,
    of_kind,
    the,
)
from tests.analysis.traced_cases import (
    RELEASED,
    REQUESTS,
    a_case,
    analysed_lock,
    failures,
    lock,
    trace,
    waits,
)

NO_TOPOLOGY = Topology()
MILLISECONDS = st.integers(1, 40_000).map(lambda ms: ms / 1000)
OFFSETS = st.integers(-60_000, 60_000).map(lambda ms: ms / 1000)


# --- as a path ----------------------------------------------------------------------------------


def test_ids_alone_make_a_path_where_no_topology_says_one() -> None:
    case = a_case(topology=NO_TOPOLOGY)
    without = analysed_lock(case, failures(), waits(ids=False))
    assert lock(without)[0] is not Verdict.SUPPORTED
    known = analysed_lock(case, failures(), waits())
    assert lock(known) == (Verdict.SUPPORTED, Role.TRIGGER)
    (claim,) = claims_of(the(known, Kind.LOCK_BLOCKING), Aspect.PATH, Stance.FOR)
    assert claim.basis is Basis.OBSERVED and f"{REQUESTS} of the {REQUESTS}" in claim.text
    assert {e.file for e in claim.evidence} == {"raw/locks", "raw/access"}


def test_ids_are_a_path_where_the_topology_names_none() -> None:
    """The rows say that these requests waited for it; that nobody listed it does not undo that."""
    case = a_case()
    letters = waits(relation="public.letters", waiter_application="mail")
    found = the(analysed_lock(case, failures(), letters), Kind.LOCK_BLOCKING)
    assert (found.verdict, found.role) == (Verdict.SUPPORTED, Role.TRIGGER)
    apart = waits(relation="public.letters", waiter_application="mail", ids=False)
    found = the(analysed_lock(case, failures(), apart), Kind.LOCK_BLOCKING)
    assert (found.verdict, found.role) == (Verdict.CONTRADICTED, Role.COINCIDENT)


def test_a_path_that_ids_prove_and_no_line_states_is_a_contradiction() -> None:
    case = a_case()

    def said(locks: list[Row]) -> list[str]:
        found = analysed_lock(case, failures(), locks)
        return [c.statement for c in found.contradictions if "states no path" in c.statement]

    (statement,) = said(waits(relation="public.letters", waiter_application="mail"))
    assert "no path from GET /items to public.letters" in statement
    apart = waits(ids=False, relation="public.letters", waiter_application="mail")
    assert not said(apart)
    assert not said(waits())  # public.items, which the topology puts behind GET /items


def test_ids_of_waiters_without_any_failed_request_say_nothing() -> None:
    """The gateway was not asked, or nothing failed: the lock is told all the same."""
    found = the(analysed_lock(a_case(), (), waits()), Kind.LOCK_BLOCKING)
    assert found.verdict is not Verdict.SUPPORTED
    assert not any("that of a failed request" in claim.text for claim in found.claims)


def test_sessions_that_take_turns_have_the_ids_of_all_their_waiters() -> None:
    """The next holder made others wait longer, and no id says who these were."""
    case = a_case(topology=NO_TOPOLOGY)
    longer = blocked(RELEASED + 1, RELEASED + 60, waiters=20, holder=8, first_pid=300)
    found = the(analysed_lock(case, failures(), [*waits(), *longer]), Kind.LOCK_BLOCKING)
    assert "1 other session in turn" in found.statement
    (claim,) = claims_of(found, Aspect.PATH, Stance.FOR)
    assert claim.text.startswith(f"{REQUESTS} of the {REQUESTS}")


def test_many_ids_of_which_none_failed_speak_against_the_path() -> None:
    """One statement elsewhere with the id of a failed request shows that the ids are passed on."""
    others = waits(first_id=1000)
    elsewhere = edge(
        5, 900, 901, wait_start=2.0, relation="public.audit", waiter_trace_ids=trace(2)
    )
    found = analysed_lock(a_case(), failures(), [*others, elsewhere])
    blamed = {h.object: h for h in of_kind(found, Kind.LOCK_BLOCKING)}["shop.public.items"]
    assert blamed.verdict is Verdict.CONTRADICTED
    assert any(f"{REQUESTS} waiting" in c.text for c in claims_of(blamed, "path", Stance.AGAINST))


def test_ids_that_may_not_be_passed_on_speak_against_nothing() -> None:
    alone = the(analysed_lock(a_case(), failures(), waits(first_id=1000)), Kind.LOCK_BLOCKING)
    assert (alone.verdict, alone.role) == (Verdict.SUPPORTED, Role.TRIGGER)
    assert any("passed on" in c.text for c in claims_of(alone, Aspect.ABSENCE, Stance.AGAINST))
    cited = {e.seen for c in claims_of(alone, Aspect.ORDER, Stance.FOR) for e in c.evidence}
    assert cited and not any("carry ids" in seen for seen in cited)
    few = waits(first_id=1000)[:5]
    found = the(analysed_lock(a_case(), failures(), few), Kind.LOCK_BLOCKING)
    assert not any("ids" in c.text for c in found.claims)


def test_ids_of_another_kind_say_nothing() -> None:
    """A gateway that logs request ids only cannot show the traces of statements."""
    uuids = [
        {**row, "trace_ids": f"{n:08x}-0000-4000-8000-000000000000"}
        for n, row in enumerate(failures())
    ]
    found = the(analysed_lock(a_case(), uuids, waits()), Kind.LOCK_BLOCKING)
    assert not any("id" in c.text.split() for c in found.claims)


# --- as bounds of clocks ------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    offset=OFFSETS,
    requests=st.lists(
        st.tuples(MILLISECONDS, MILLISECONDS, MILLISECONDS, st.booleans()), min_size=1, max_size=8
    ),
)
def test_the_true_offset_lies_within_the_bounds(
    offset: float, requests: list[tuple[float, float, float, bool]]
) -> None:
    """Requests of any length; some are given up, and leave their statement waiting behind them."""
    failed, locks, at = [], [], 0.0
    for number, (queued, waited, spent, gives_up) in enumerate(requests):
        at += 1.0
        begun, ended = at + queued, at + queued + waited
        latency = queued + waited / 2 if gives_up else queued + waited + spent
        row = failure(at, latency_ms=round(latency * 1000, 3))
        status = None if gives_up else "502"
        failed.append({**row, "integration_status": status, "trace_ids": trace(number)})
        locks.append(
            edge(
                ended + offset,
                100 + number,
                7,
                wait_start=begun + offset,
                wait_end=ended + offset,
                waiter_trace_ids=trace(number),
            )
        )
    link = link_of(made_case(), made_tables(failures=failed, locks=locks))
    assert link is not None and link.bounds is not None
    assert link.bounds[0] - 1e-4 <= offset <= link.bounds[1] + 1e-4


def test_the_bounds_are_as_tight_as_the_tightest_request() -> None:
    link = link_of(made_case(), made_tables(failures=failures(ahead=40), locks=waits()))
    assert link is not None and link.bounds == pytest.approx((-40.1, -39.95), abs=1e-3)


def test_ids_that_exclude_each_other_bound_nothing() -> None:
    """A clock was set between two requests, so no one offset fits both."""
    drifted = [*failures()[:10], *failures(ahead=40)[10:]]
    analysis = analysed_lock(a_case(), drifted, waits())
    link = analysis.clocks.link
    assert link is not None and link.bounds is None
    assert {c.basis.value for c in analysis.clocks.sources if c.source == "access"} == {"assumed"}
    assert any("exclude each other" in q for q in analysis.questions)


def test_a_log_without_exact_times_bounds_no_clock() -> None:
    case = a_case()
    coarse = tuple(
        replace(s, resolution_seconds=30.0) if s.name == "access" else s for s in case.sources
    )
    tables = made_tables(failures=failures(ahead=40), locks=waits())
    assert link_of(replace(case, sources=coarse), tables) is None
