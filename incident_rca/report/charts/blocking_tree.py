"""Who blocked whom, as boxes: the root holder, what queued behind it, and those who waited."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from incident_rca.analysis.lock_words import held_in
from incident_rca.model import Analysis, LockEpisode, Session
from incident_rca.redact import plain
from incident_rca.report.charts.canvas import (
    BLACK,
    DARK,
    LARGE,
    PALE,
    SMALL,
    WIDTH,
    Spec,
    Stroke,
    box,
    fitting,
    picture,
    rule,
    text,
)
from incident_rca.report.charts.chart import Chart
from incident_rca.report.charts.words import aside, cut, named
from incident_rca.report.numbers import grouped
from incident_rca.report.wording import Clock, lock_words, session_words
from incident_rca.window import format_duration

_MOST_EPISODES, _MOST_AMPLIFIERS = 3, 2
_LINE, _PADDING, _GAP, _INDENT = 15.0, 9.0, 20.0, 34.0
_STATEMENT = 200
_WIRE = Stroke(BLACK, 1.4)

Lines = Sequence[str]


def blocking_tree(analysis: Analysis) -> Chart | None:
    """The lock episodes in which sessions waited longest; None where none was seen."""
    episodes = sorted(analysis.lock_episodes, key=lambda e: -e.waiter_seconds)
    shown = episodes[:_MOST_EPISODES]
    if not shown:
        return None
    clock = Clock.of(analysis)
    marks: list[Spec] = []
    y = 12.0
    for episode in shown:
        title = f"{episode.object}{aside(analysis, episode.evidence)}"
        title = fitting(title, WIDTH - 20, LARGE, bold=True)
        marks.append(text(8, y, title, bold=True, size=LARGE))
        drawn, y = _tree(_boxes(episode, clock), y + 14)
        marks += drawn
        y += 22
    said = cut("Who blocked whom. " + " ".join(_said(analysis, e) for e in shown))
    rest = len(episodes) - len(shown)
    return Chart(
        name="blocking-tree",
        alt=said,
        notes=(f"{rest} more lock episodes are not drawn",) if rest else (),
        evidence=tuple(dict.fromkeys(e.evidence[0] for e in shown)),
        spec=picture(marks, y, said),
    )


def _said(analysis: Analysis, episode: LockEpisode) -> str:
    clock = Clock.of(analysis)
    what = f"{named(held_in(episode))}{aside(analysis, episode.evidence)}"
    return (
        f"{named(session_words(episode.root_holder))} held {what} from "
        f"{clock.span(episode.held_start)} to {clock.span(episode.held_end)}; "
        f"{_sessions(episode.waiters_total)} waited for {named(episode.relation)}, up to "
        f"{grouped(episode.peak_waiters)} at once, "
        f"{format_duration(episode.waiter_seconds)} together."
    )


def _boxes(episode: LockEpisode, clock: Clock) -> Iterator[tuple[int, Lines]]:
    """The lines of each box, and how far it is from the root."""
    root = episode.root_holder
    when = f"{clock.span(episode.held_start)} to {clock.span(episode.held_end)}"
    yield (
        0,
        (
            f"{session_words(root)}, {root.state or 'state unknown'}",
            f"holds {held_in(episode, explained=True)}, {when}",
            _statement(root),
        ),
    )
    for session in episode.queue_amplifiers[:_MOST_AMPLIFIERS]:
        wanted = lock_words(session.mode)
        yield (
            1,
            (
                f"{session_words(session)} waits for {wanted}; others queue behind",
                _statement(session),
            ),
        )
    more = len(episode.queue_amplifiers) - _MOST_AMPLIFIERS
    if more > 0:
        yield 1, (f"{more} more that others queue behind",)
    modes = ", ".join(map(lock_words, episode.waiter_modes)) or "an unknown lock"
    wanted = "rows that it changed" if episode.is_on_rows else modes
    names = ", ".join(episode.waiter_applications) or "unknown application"
    yield (
        2 if episode.queue_amplifiers else 1,
        (
            f"{_sessions(episode.waiters_total)} waited, up to "
            f"{grouped(episode.peak_waiters)} at once ({clock.span(episode.peak_at)})",
            f"for {wanted}",
            f"of {names}; together {format_duration(episode.waiter_seconds)}",
        ),
    )


def _sessions(number: int) -> str:
    return f"{grouped(number)} {'session' if number == 1 else 'sessions'}"


def _statement(session: Session) -> str:
    return plain(session.statement, _STATEMENT) or "(statement not recorded)"


def _tree(boxes: Iterator[tuple[int, Lines]], top: float) -> tuple[list[Spec], float]:
    """The boxes below each other, each wired to the last one nearer to the root; where they end."""
    marks: list[Spec] = []
    feet: dict[int, float] = {}
    y = top
    for depth, lines in boxes:
        x, height = 8 + depth * _INDENT, len(lines) * _LINE + _PADDING
        if depth:
            stem, middle = 8 + (depth - 1) * _INDENT + 14, y + height / 2
            marks.append(rule(stem, feet[depth - 1], stem, middle, _WIRE))
            marks.append(rule(stem, middle, x, middle, _WIRE))
        fill = "white" if depth else PALE
        marks.append(box(x, y, WIDTH - 8, y + height, fill=fill, stroke=BLACK))
        for number, line in enumerate(lines):
            middle = y + _PADDING / 2 + _LINE * (number + 0.5)
            size = SMALL if number else 11
            shown = fitting(line, WIDTH - 24 - x, size, bold=not number)
            colour = DARK if number else BLACK
            marks.append(text(x + 8, middle, shown, size=size, bold=not number, colour=colour))
        feet[depth] = y + height
        y += height + _GAP
    return marks, y - _GAP
