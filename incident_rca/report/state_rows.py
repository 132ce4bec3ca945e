"""What held in each stretch of the outages, in words, and where its seconds go; few enough rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from incident_rca.model import Analysis, Answer, Evidence, Question, State, Stretch
from incident_rca.report.numbers import grouped
from incident_rca.report.wording import Clock

ROWS = 15
UNEXPLAINED = "unexplained"
# A cell names so many things; the rest stands in report.json.
NAMED = 2


@dataclass(frozen=True, slots=True)
class StateRow:
    """One line: `when` it was, its seconds, the hypothesis they go to, and what held."""

    when: str
    seconds: str
    cause: str
    held: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Joined:
    """Stretches one after the other that go to the same cause, as one."""

    stretches: tuple[Stretch, ...]

    @property
    def start(self) -> datetime:
        return self.stretches[0].start

    @property
    def end(self) -> datetime:
        return self.stretches[-1].end

    @property
    def seconds(self) -> float:
        return sum(s.seconds for s in self.stretches)

    @property
    def key(self) -> tuple[int, str]:
        first = self.stretches[0]
        cause = first.cause
        return first.incident, f"{cause.id} {cause.kind.value}" if cause else UNEXPLAINED


def state_rows(analysis: Analysis, limit: int = ROWS) -> tuple[StateRow, ...]:
    """The stretches of all outages, the shortest joined with their neighbours until few are left.

    Only what goes to the same cause is joined; where that is not enough, the shortest become one
    row at the end, so that the seconds of the rows still add up.
    """
    joined = [_Joined(stretches=(s,)) for s in analysis.states]
    while len(joined) > limit:
        pairs = [n for n, (a, b) in enumerate(pairwise(joined)) if a.key == b.key]
        if not pairs:
            break
        at = min(pairs, key=lambda n: min(joined[n].seconds, joined[n + 1].seconds))
        both = joined[at].stretches + joined[at + 1].stretches
        joined[at : at + 2] = [_Joined(stretches=both)]
    clock = Clock.of(analysis)
    kept = sorted(joined, key=lambda j: -j.seconds)[: limit - 1] if len(joined) > limit else joined
    rows = [_row(clock, j) for j in joined if any(j is k for k in kept)]
    rest = [j for j in joined if not any(j is k for k in kept)]
    return (*rows, *([_rest(rest)] if rest else []))


def _row(clock: Clock, joined: _Joined) -> StateRow:
    cells = [
        [s for stretch in joined.stretches for s in stretch.states if s.question is question]
        for question in Question
    ]
    weights = [stretch.seconds for stretch in joined.stretches]
    hung = {s.detail for states in cells for s in states if s.question is Question.CALLS_HUNG}
    held = [_in_words(states, weights) for states in cells if states and not _is_told(states, hung)]
    unknown = [
        _UNKNOWN[states[0].question]
        for states in cells
        if states and all(s.answer is Answer.NOT_RECORDED for s in states)
    ]
    said = [text for text in held if text]
    if unknown:
        said.append(f"not known: {', '.join(dict.fromkeys(unknown))}")
    return StateRow(
        when=f"{clock.time(joined.start)} to {clock.time(joined.end)}",
        seconds=grouped(round(joined.seconds, 1)),
        cause=joined.key[1],
        held="; ".join(said),
        evidence=_evidence(cells),
    )


def _rest(joined: Sequence[_Joined]) -> StateRow:
    """What is left of too many: its seconds by cause."""
    by_cause: dict[str, float] = {}
    for each in joined:
        by_cause[each.key[1]] = by_cause.get(each.key[1], 0.0) + each.seconds
    causes = ", ".join(f"{cause} {grouped(round(s, 1))} s" for cause, s in sorted(by_cause.items()))
    return StateRow(
        when=f"{len(joined)} shorter stretches",
        seconds=grouped(round(sum(each.seconds for each in joined), 1)),
        cause=causes,
        held="they stand in report.json",
        evidence=_evidence([list(each.stretches[0].states) for each in joined]),
    )


def _evidence(cells: Iterable[Sequence[State]]) -> tuple[Evidence, ...]:
    """One piece a question that holds, then the others."""
    states = [s for some in cells for s in some]
    ordered = sorted(states, key=lambda s: s.answer is not Answer.YES)
    return tuple(dict.fromkeys(s.evidence[0] for s in ordered))


_UNKNOWN = {
    Question.LOCK_HELD: "locks",
    Question.WAITERS: "locks",
    Question.POOL_FULL: "the pool",
    Question.CALLS_HUNG: "the calls",
    Question.METHODS_SLOW: "the calls",
    Question.FAILURES: "failures",
    Question.STARVED_ROUTES: "usual traffic",
}


def _in_words(states: Sequence[State], weights: Sequence[float]) -> str:
    """One answer of a row; nothing where it is not recorded, or is said by another one."""
    question, answers = states[0].question, [s.answer for s in states]
    names = dict.fromkeys(n for s in states for n in s.detail.split(", ") if n)
    numbers = [s.number for s in states if s.number is not None]
    at_times = " at times" if len(set(answers)) > 1 else ""
    if question is Question.FAILURES:
        return f"{_mean(states, weights):.1f} failures a second"
    if Answer.YES not in answers:
        return _NOT[question] if Answer.NO in answers else ""
    listed = ", ".join(list(names)[:NAMED])
    listed += f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    if question is Question.LOCK_HELD:
        return f"lock held on {listed}{at_times}"
    if question is Question.WAITERS:
        return f"up to {grouped(max(numbers, default=0))} wait"
    if question is Question.POOL_FULL:
        return f"pool full ({listed}){at_times}"
    if question is Question.CALLS_HUNG:
        return f"calls hang ({listed}){at_times}"
    if question is Question.METHODS_SLOW:
        return f"calls slow ({listed}){at_times}"
    return f"starved: {listed}{at_times}"


def _is_told(states: Sequence[State], hung: set[str]) -> bool:
    """Whether these are calls that are slow because they hang."""
    return states[0].question is Question.METHODS_SLOW and {s.detail for s in states} <= hung


def _mean(states: Sequence[State], weights: Sequence[float]) -> float:
    whole = sum(weights)
    counted = zip(states, weights, strict=True)
    return sum((s.number or 0.0) * w for s, w in counted) / whole if whole else 0.0


_NOT = {
    Question.LOCK_HELD: "no lock waited for",
    Question.WAITERS: "",
    Question.POOL_FULL: "pool not full",
    Question.CALLS_HUNG: "no call hangs",
    Question.METHODS_SLOW: "no call slow",
    Question.FAILURES: "",
    Question.STARVED_ROUTES: "",
}
