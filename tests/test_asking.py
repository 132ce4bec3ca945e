"""Questions asked side by side: each within its own time, all within theirs, and stopped early."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest

from incident_rca.asking import Limits, Outcome, Question, side_by_side
from incident_rca.errors import Unreachable
from incident_rca.model import TimeWindow
from incident_rca.sources.answers import Absent
from incident_rca.sources.tally import REQUEST_SECONDS, Tally

START = datetime(2026, 1, 15, 14, 0, tzinfo=UTC)
WINDOW = TimeWindow(START, START + timedelta(minutes=10))
PATIENCE_SECONDS = 10.0


@dataclass
class Sundial:
    """A clock that moves only while somebody sleeps by it."""

    seconds: float = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def question(name: str, ask: Callable[[Tally], Outcome], clock: Sundial | None = None) -> Question:
    tally = Tally(clock or Sundial())
    return Question(name=name, kind="access_log", ask=lambda _: ask(tally), tally=tally)


def answer(word: str) -> Outcome:
    return {"response": word}


def test_each_answers_as_soon_as_it_can() -> None:
    first_was_taken = Event()

    def late(tally: Tally) -> Outcome:
        assert first_was_taken.wait(PATIENCE_SECONDS)
        return answer("late")

    order = []
    for asked, future in side_by_side(
        [question("late", late), question("early", lambda _: answer("early"))], WINDOW
    ):
        order.append((asked.name, future.result()))
        first_was_taken.set()
    assert order == [("early", answer("early")), ("late", answer("late"))]


def test_one_that_takes_too_long_fails_alone_and_says_how_far_it_came() -> None:
    def endless(tally: Tally) -> Outcome:
        while True:
            tally.pause(7.0)
            tally.pages += 1

    clock = Sundial()
    asked = [question("endless", endless, clock), question("quick", lambda _: answer("quick"))]
    came = {q.name: f for q, f in side_by_side(asked, WINDOW, limits=Limits(source_seconds=20.0))}
    assert came["quick"].result() == answer("quick")
    with pytest.raises(Unreachable, match="its time was over after 2 answers") as error:
        came["endless"].result()
    assert "--timeout" in error.value.hint
    assert clock.seconds == 20.0  # the last pause is cut short


def test_the_time_of_all_together_ends_those_that_have_not_answered() -> None:
    over = Event()

    def stuck(tally: Tally) -> Outcome:
        assert over.wait(PATIENCE_SECONDS)
        tally.check()
        return answer("too late")

    waiting = question("stuck", stuck)
    asked = [waiting, question("quick", lambda _: answer("quick"))]
    came = {q.name: f for q, f in side_by_side(asked, WINDOW, limits=Limits(total_seconds=0.3))}
    over.set()
    assert came["quick"].result() == answer("quick")
    with pytest.raises(Unreachable, match="all sources together") as error:
        came["stuck"].result()
    assert "--total-timeout" in error.value.hint
    assert waiting.tally is not None and waiting.tally.stopped


def test_who_stops_listening_stops_the_sources() -> None:
    stopped = Event()

    def patient(tally: Tally) -> Outcome:
        try:
            while True:
                tally.check()
                stopped.wait(0.01)
        except Unreachable:
            stopped.set()
            raise

    answers = side_by_side(
        [question("patient", patient), question("quick", lambda _: Absent("none"))], WINDOW
    )
    next(answers)
    answers.close()
    assert stopped.wait(PATIENCE_SECONDS)


def test_a_tally_gives_a_request_no_more_than_is_left() -> None:
    clock = Sundial()
    tally = Tally(clock)
    assert tally.request_seconds() == REQUEST_SECONDS
    tally.begin(30.0)
    tally.pause(25.0)
    assert tally.request_seconds() == 5.0
    tally.end()
    clock.sleep(100.0)
    assert tally.took_seconds() == 25.0
