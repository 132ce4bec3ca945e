"""Episodes on one relation as one cause: since when, and until when, sessions waited for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from incident_rca.analysis.lock_turns import in_turns
from incident_rca.model import Impact, Kind, LockEpisode, Role, Span
from tests.analysis.cases import (
    OUTAGE,
    analysed,
    at,
    blocked,
    counted,
    edge,
    failing,
    of_kind,
    served,
    steps,
    usual,
)


def episode() -> LockEpisode:
    (found,) = analysed(
        locks=blocked(-1, 60), failures=OUTAGE, gateway=counted(OUTAGE)
    ).lock_episodes
    return found


@pytest.mark.parametrize("is_first", [True, False])
def test_sessions_wait_from_the_first_waiter_of_any_episode(is_first: bool) -> None:
    one = episode()
    later = replace(one, held_start=Span(one.held_start.lo, at(40), "a later waiter"))
    (turns,) = in_turns((one, later) if is_first else (later, one))
    assert turns.episode.held_start == one.held_start


def test_sessions_wait_until_the_last_waiter_of_any_episode() -> None:
    one = episode()
    longer = replace(one, waited_until=at(90))
    (turns,) = in_turns((longer, one))
    assert turns.episode.waited_until == at(90)


def test_a_lock_explains_as_long_as_somebody_waits_for_it() -> None:
    """Whose lock it was, and so when it was released, the log does not say."""
    unknown: dict[str, Any] = {"edge": "unknown", "holder_pid": None, "holder_application": None}
    locks = [
        edge(-1, 100 + n, 7, wait_start=-1 + n / 10, wait_end=100, **unknown) for n in range(50)
    ]
    analysis = analysed(locks=locks, failures=OUTAGE, gateway=counted(OUTAGE))
    (found,) = of_kind(analysis, Kind.LOCK_BLOCKING)
    assert found.explains_seconds == pytest.approx(100, abs=1)


def test_a_lock_behind_a_route_that_fails_no_more_than_usual_started_nothing() -> None:
    """Its requests waited, and one in ten minutes fails as ever."""
    now_and_then = failing([*steps(-590, 0, 60), 50], "POST /mail", latency_ms=20)
    failures = [*OUTAGE, *now_and_then]
    waited = [served(second, "POST /mail", latency_ms=20_000) for second in steps(0, 60, 1)]
    analysis = analysed(
        locks=blocked(-1, 60, relation="public.letters", waiter_application="mail"),
        failures=failures,
        gateway=[*counted(failures), *usual("POST /mail", until=0), *waited],
    )
    (mail,) = [e for e in analysis.endpoints if e.route == "/mail"]
    assert (mail.failed, mail.is_failing, mail.impact) == (1, False, Impact.DEGRADED)
    assert [h.role for h in of_kind(analysis, Kind.LOCK_BLOCKING)] != [Role.TRIGGER]
