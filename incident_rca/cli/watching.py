"""One line a source while sources are asked: what it has given, and what that has cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from incident_rca.cli.terminal import err

if TYPE_CHECKING:
    from rich.table import Table

    from incident_rca.asking import Question

REFRESHED_PER_SECOND = 4


@contextmanager
def watching(questions: Sequence[Question], *, quiet: bool) -> Iterator[None]:
    """Shows the lines on a terminal as long as it lasts; nothing elsewhere."""
    console = err()
    if quiet or not console.is_terminal:
        yield
        return
    from rich.live import Live

    with Live(
        get_renderable=lambda: lines(questions),
        console=console,
        refresh_per_second=REFRESHED_PER_SECOND,
        transient=True,
    ):
        yield


def lines(questions: Sequence[Question]) -> Table:
    """A line for each source: whether it has answered, its rows, answers, throttling, seconds."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for question in questions:
        tally = question.tally
        if tally is None or tally.begun is None:
            table.add_row(Text(question.name, style="dim"), Text("waiting", style="dim"))
            continue
        is_over = tally.ended is not None
        state = Text("answered", style="green") if is_over else Text("asking", style="cyan")
        table.add_row(Text(question.name), state, Text(cost(question)))
    return table


def cost(question: Question) -> str:
    """What the fetching of a source has taken: `1,200 rows, 12 answers, 2 throttled, 3.4 s`."""
    tally = question.tally
    if tally is None or tally.begun is None:
        return ""
    parts = [
        f"{tally.rows:,} rows" if tally.rows else "",
        f"{tally.pages:,} answers" if tally.pages else "",
        f"{tally.throttled:,} throttled" if tally.throttled else "",
        f"{tally.took_seconds():.1f} s",
    ]
    return ", ".join(part for part in parts if part)
