"""Sources as questions about a window, asked side by side, each within its own time.

What was fetched over the network and is not whole yet waits in the spool of the case, so that who
collects again goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from incident_rca.errors import Unreachable
from incident_rca.model import TimeWindow
from incident_rca.sources.answers import Absent, Answer
from incident_rca.sources.tally import USUAL_SECONDS, USUAL_TOTAL_SECONDS, Tally

AT_ONCE = 16
NOTHING = Absent("it holds nothing of the window")

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Found:
    """Files that stand elsewhere, by the name that each gets in raw/: copied as they are."""

    files: Mapping[str, Path]


@dataclass(frozen=True, slots=True)
class Fetched:
    """Files that hold a whole answer of a service, by the name that each gets in raw/.

    They take the place of what the source had in the case. `clock_offset_seconds` are bounds of the
    service's clock against ours, as far as it showed them; `damage` says what is missing.
    `asked_at` is when it was asked, in UTC.
    """

    files: Mapping[str, Path]
    clock_offset_seconds: tuple[float, float] | None = None
    damage: str = ""
    asked_at: datetime | None = None


Outcome = Answer | Found | Fetched | Absent


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One source to be asked: `name` is unique, `kind` the format of what it answers.

    `ask` answers for a window, or raises an IncidentRcaError; of what is local it is asked each
    time, since that costs nothing and may have grown. `reading` is what the answer does not say
    itself. A continuous source has rows for all of its time, so that a time without any was not
    recorded; `without` is said where it has nothing of the window at all. `tally` is what `ask`
    counts into, and where it reads how long it may take; `spool` a folder for what is not whole.
    `settles_after` is how long after a window its answer may still grow, None if it cannot.
    """

    name: str
    kind: str
    ask: Callable[[TimeWindow], Outcome]
    is_continuous: bool = False
    is_local: bool = False
    reading: Mapping[str, str] = field(default_factory=dict, hash=False)
    without: Absent = NOTHING
    tally: Tally | None = None
    spool: Path | None = None
    settles_after: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long one source may take, and all of them together."""

    source_seconds: float = USUAL_SECONDS
    total_seconds: float = USUAL_TOTAL_SECONDS


USUAL = Limits()


def side_by_side(
    questions: Sequence[Question],
    window: TimeWindow,
    *,
    limits: Limits = USUAL,
    progress: Progress = lambda _: None,
) -> Generator[tuple[Question, Future[Outcome]]]:
    """Each question with its answer, in the order in which they come.

    One whose time is over fails with Unreachable. Where the caller stops early, so do all.
    """
    pool = ThreadPoolExecutor(AT_ONCE)
    left = {question.name: question for question in questions}
    try:
        waiting = {pool.submit(_ask, q, window, limits, _end(q, limits)): q for q in questions}
        progress(_asking(left))
        answers = as_completed(waiting, timeout=limits.total_seconds)
        while left:
            try:
                future = next(answers)
            except TimeoutError:
                yield from ((question, _too_late(limits)) for question in left.values())
                return
            question = waiting[future]
            progress(f"reading {question.name}")
            yield question, future
            del left[question.name]
            progress(_asking(left))
    finally:
        for question in left.values():
            if question.tally:
                question.tally.stopped = True
        pool.shutdown(wait=False, cancel_futures=True)


def _end(question: Question, limits: Limits) -> float:
    """When the time of all sources is over, by the clock of this one's tally."""
    return limits.total_seconds + (question.tally.clock.monotonic() if question.tally else 0.0)


def _ask(question: Question, window: TimeWindow, limits: Limits, end: float) -> Outcome:
    tally = question.tally
    if tally is None:
        return question.ask(window)
    # No request may outlast the time of all sources: it would hold up the end of the program.
    tally.begin(max(0.0, min(limits.source_seconds, end - tally.clock.monotonic())))
    try:
        return question.ask(window)
    finally:
        tally.end()


def _too_late(limits: Limits) -> Future[Outcome]:
    future: Future[Outcome] = Future()
    why = f"the time for all sources together was over after {limits.total_seconds:g} s"
    hint = "collect again: what it had fetched is kept; --total-timeout gives them longer"
    future.set_exception(Unreachable(why, hint=hint))
    return future


def _asking(left: Mapping[str, Question]) -> str:
    return f"asking {', '.join(sorted(left))}" if left else "all have answered"
