"""What held in each stretch of an outage, and to which hypothesis its seconds go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from incident_rca.model.evidence import Evidence, Hypothesis, require_evidence


class Answer(StrEnum):
    YES = "yes"
    NO = "no"
    NOT_RECORDED = "not recorded"


class Question(StrEnum):
    """What is asked of every second of an outage."""

    LOCK_HELD = "lock_held"
    WAITERS = "waiters"
    POOL_FULL = "pool_full"
    CALLS_HUNG = "calls_hung"
    METHODS_SLOW = "methods_slow"
    FAILURES = "failures"
    STARVED_ROUTES = "starved_routes"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The answer to one question; `detail` names what it is about.

    `number` is the most sessions that waited at once, the most connections in use, the failures a
    second or the starved routes; None where nothing is counted.
    """

    question: Question
    answer: Answer
    detail: str
    number: float | None
    evidence: tuple[Evidence, ...]

    def __post_init__(self) -> None:
        require_evidence(self.question, self.evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Seconds `[start, end)` of an outage in which nothing changed; no `cause` is unexplained."""

    incident: int
    start: datetime
    end: datetime
    seconds: float
    cause: Hypothesis | None
    states: tuple[State, ...]
