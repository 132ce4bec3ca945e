"""A clock that is 40 s off: corrected where something bounds it, never by what would fit."""

from __future__ import annotations

from datetime import timedelta

import pytest

from incident_rca.model import Analysis, Aspect, Basis, Kind, Role, Stance, Verdict
from incident_rca.report.contract import to_contract
from incident_rca.report.markdown import to_markdown
from tests.analysis.cases import ZERO, analysed, at, claims_of, counted, levels, p99, the, usual
from tests.analysis.traced_cases import (
    JOB,
    RELEASED,
    a_case,
    analysed_lock,
    failures,
    lock,
    waits,
)

AHEAD = -40.0


def orders(analysis: Analysis, stance: Stance) -> list[str]:
    """What the lock's claims say of the order."""
    return [c.text for c in claims_of(the(analysis, Kind.LOCK_BLOCKING), Aspect.ORDER, stance)]


def clock(analysis: Analysis, name: str) -> dict[str, object]:
    """What report.json says of the clock of a source."""
    (found,) = [s for s in to_contract(analysis)["sources"] if s["name"] == name]
    return {key: found[f"clock_{key}"] for key in ("offset_basis", "moved_seconds")}


@pytest.mark.parametrize(
    ("ids", "bounds", "basis", "told"),
    [
        (True, (-2.0, 2.0), Basis.ASSUMED, "shared_ids"),
        (False, (-40.1, -39.9), Basis.OBSERVED, "measured"),
        (True, (-40.1, -39.9), Basis.OBSERVED, "measured"),
    ],
)
def test_a_bounded_clock_is_put_right(
    ids: bool, bounds: tuple[float, float], basis: Basis, told: str
) -> None:
    """As if the clock had been right, and the report says what was done to its times."""
    case = a_case(gateway=bounds, basis=basis)
    found = analysed_lock(case, failures(ahead=AHEAD, ids=ids), waits(ids=ids))
    assert clock(found, "access") == {"offset_basis": told, "moved_seconds": -40}
    assert lock(found) == (Verdict.SUPPORTED, Role.TRIGGER)
    assert orders(found, Stance.FOR) and not orders(found, Stance.AGAINST)
    assert found.outage is not None and found.outage.start.lo is not None
    assert abs(found.outage.start.lo - ZERO) <= timedelta(seconds=1)
    assert "shown 40 s later than it has them" in to_markdown(found)


def test_it_explains_the_same_seconds_as_with_a_right_clock() -> None:
    right = analysed_lock(a_case(), failures(), waits())
    shifted = analysed_lock(a_case(), failures(ahead=AHEAD), waits())
    seconds = [the(a, Kind.LOCK_BLOCKING).explains_seconds for a in (right, shifted)]
    assert seconds[0] == pytest.approx(seconds[1], abs=1.0) and seconds[0] > 0


def test_declared_bounds_that_do_not_separate_withdraw_the_order_only() -> None:
    case = a_case(gateway=(-60.0, 60.0))
    found = analysed_lock(case, failures(ahead=AHEAD, ids=False), waits(ids=False))
    assert lock(found) == (Verdict.SUPPORTED, Role.TRIGGER)
    assert not orders(found, Stance.FOR) and not orders(found, Stance.AGAINST)
    assert clock(found, "access") == {"offset_basis": "assumed", "moved_seconds": 0}
    assert any("not separable" in q and "would settle it" in q for q in found.questions)


def test_an_order_that_is_wrong_by_assumed_clocks_contradicts_and_says_what_it_rests_on() -> None:
    """All else fits, and still nothing is shifted to make it fit."""
    found = analysed_lock(a_case(), failures(ahead=AHEAD, ids=False), waits(ids=False))
    assert lock(found)[0] is Verdict.CONTRADICTED
    (text,) = orders(found, Stance.AGAINST)
    assert "access was not measured" in text
    assert clock(found, "access") == {"offset_basis": "assumed", "moved_seconds": 0}
    assert any(q.startswith("Are the clocks right?") for q in found.questions)
    assert "ASSUMED: nobody measured it" in to_markdown(found)


@pytest.mark.parametrize(
    ("basis", "ahead", "role"),
    [
        (Basis.ASSUMED, AHEAD, Role.SYMPTOM),
        (Basis.OBSERVED, AHEAD, Role.TRIGGER),
        (Basis.ASSUMED, -400.0, Role.TRIGGER),
    ],
)
def test_clocks_that_nobody_measured_blame_no_service_in_the_place_of_a_lock(
    basis: Basis, ahead: float, role: Role
) -> None:
    """Unless the lock lies further away than the service was slow."""
    failed = failures(ahead=ahead, ids=False)
    slow = p99(levels(20, 1000 * RELEASED, ahead, ahead + RELEASED))
    found = analysed(
        a_case(basis=basis),
        failures=failed,
        gateway=[*usual("POST /mail"), *counted(failed)],
        locks=waits(ids=False),
        metrics=slow,
    )
    assert lock(found)[0] is Verdict.CONTRADICTED
    assert the(found, Kind.DEPENDENCY_LATENCY).role is role


def test_an_order_that_is_wrong_by_measured_clocks_asks_nobody_about_them() -> None:
    case = a_case(gateway=(-0.1, 0.1), basis=Basis.OBSERVED)
    found = analysed_lock(case, failures(ahead=AHEAD, ids=False), waits(ids=False))
    assert lock(found)[0] is Verdict.CONTRADICTED
    assert not any(q.startswith("Are the clocks right?") for q in found.questions)


def test_ids_outrank_clocks_that_were_measured() -> None:
    """The measured offsets exclude what the ids say: both are told, and the ids decide."""
    case = a_case(gateway=(-0.1, 0.1), basis=Basis.OBSERVED)
    found = analysed_lock(case, failures(ahead=AHEAD), waits())
    assert lock(found) == (Verdict.SUPPORTED, Role.TRIGGER)
    assert not orders(found, Stance.AGAINST)
    (text,) = orders(found, Stance.FOR)
    assert "outranks the clocks" in text and "after the last failing request" in text
    assert any("contradict the measured clocks" in q for q in found.questions)


def test_the_margin_is_what_stays_when_all_bounds_are_at_their_worst() -> None:
    """From the first session's wait to the earliest instant at which requests may have failed."""
    case = a_case(gateway=(-0.1, 0.25), basis=Basis.OBSERVED)
    found = analysed_lock(case, failures(ids=False), waits(ids=False))
    assert found.outage is not None and found.outage.onset.lo is not None
    margin = (found.outage.onset.lo - at(-JOB)).total_seconds() - 0.05 - 0.25
    assert orders(found, Stance.FOR) == [
        f"the lock was held {margin:.1f} s or more before requests began to fail"
    ]
