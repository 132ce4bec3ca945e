"""What a measurement says: a figure with its goal, as a table and as JSON; times taken in turn."""

from __future__ import annotations

import json
import operator
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.table import Table

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; a goal is written as `<= 4`, and None marks mere information."""

    name: str
    value: float
    unit: str
    goal: str | None = None

    @property
    def met(self) -> bool | None:
        """Whether the value reaches its goal; None without one."""
        if self.goal is None:
            return None
        sign, limit = self.goal.split()
        return COMPARISONS[sign](self.value, float(limit))

    @property
    def row(self) -> dict[str, str | float | bool | None]:
        """The figure as `build/*.json` holds it."""
        return {
            "name": self.name,
            "value": round(self.value, 3),
            "unit": self.unit,
            "goal": self.goal,
            "met": self.met,
        }


def write_json(figures: Iterable[Figure], path: Path) -> None:
    """Writes the figures as a list of objects."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [figure.row for figure in figures]
    path.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def as_table(figures: Iterable[Figure]) -> Table:
    """The figures for a terminal."""
    table = Table(box=None, pad_edge=False)
    table.add_column("figure", overflow="fold")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    table.add_column("goal", no_wrap=True)
    table.add_column("met", no_wrap=True)
    words = {True: "yes", False: "MISSED", None: "information"}
    for f in figures:
        value = f"{f.value:,.0f}" if f.value >= 1000 else f"{f.value:.2f}"
        table.add_row(f.name, value, f.unit, f.goal or "", words[f.met])
    return table


def missed(figures: Iterable[Figure]) -> list[str]:
    """One line for each goal that was missed."""
    return [
        f"missed: {f.name} is {f.value:.2f} {f.unit}, goal {f.goal}"
        for f in figures
        if f.met is False
    ]


def seconds(task: Callable[[], object]) -> float:
    """How long one go of a task takes."""
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def in_turn(rounds: int, *tasks: Callable[[], object]) -> list[tuple[float, ...]]:
    """The seconds of each task, round by round: A, B, A, B, …, so that a slow spell hits both."""
    return [tuple(seconds(task) for task in tasks) for _ in range(rounds)]


def ratio(rounds: Sequence[tuple[float, ...]], above: int, below: int) -> float:
    """The median over the rounds of one task's time over another's."""
    return median(times[above] / times[below] for times in rounds)
