"""`make score`: plays 500 seeds, judges what is said of them and of the lab's recorded scenes.

`SEED=n` takes other seeds, `CASES=n` fewer of them. Even seeds may be looked at while the analysis
is worked on (`python score/show.py SEED`); odd ones are held out and only ever counted.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # when run as a script
from bench.figures import Figure, missed, write_json
from score.baselines import BASELINES
from score.cases import Scored, scored
from score.figures import (
    GOALS,
    MEANINGS,
    OF_BASELINES,
    figures_of,
    numbers_of,
    of_baseline,
    unbeaten,
)
from score.lab import LAB_MEANINGS, Read, figures_of_lab, read, recorded
from score.truth import Expected

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "build" / "score.json"
SEEDS = 500
PROCESSES = 2
TOLD_EACH = 50
WIDTH = 132
TUNING, HOLD_OUT = " (tuning)", " (hold-out)"


def main() -> int:
    """Scores all seeds; 1 where a goal is missed or a baseline is not beaten."""
    start = time.monotonic()
    first = int(os.environ.get("SEED", 0)) * SEEDS
    last = first + int(os.environ.get("CASES", SEEDS)) - 1
    cases, ended = played(range(first, last + 1))
    tuning = [c for c in cases if c.is_tuning]
    held_out = [c for c in cases if not c.is_tuning]
    halves = [figures_of(cases), figures_of(tuning, TUNING), figures_of(held_out, HOLD_OUT)]
    others = [of_baseline(cases, name) for name in BASELINES]
    scenes = scenes_read()
    lab = figures_of_lab(scenes)
    write_json([f for group in (*halves, lab, *others) for f in group], TARGET)
    Console(highlight=False, markup=False, width=WIDTH).print(as_table(halves, others, lab))
    print("\n".join(_notes(tuning, held_out, scenes)))
    took = time.monotonic() - start
    print(f"seeds {first} to {last}, {took:.0f} s; written to {TARGET.relative_to(ROOT)}")
    misses = [*missed([*halves[0], *lab]), *unbeaten(cases), *ended]
    print("\n".join(misses) or "every goal is met, every baseline beaten")
    return 1 if misses else 0


def played(seeds: Sequence[int]) -> tuple[list[Scored], list[str]]:
    """The scores of these seeds, in their order, and the seeds that ended in an error.

    How many are played goes to stderr.
    """
    cases, ended = [], []
    with ProcessPoolExecutor(PROCESSES) as processes:
        for number, case in enumerate(processes.map(attempted, seeds, chunksize=5), start=1):
            if isinstance(case, Scored):
                cases.append(case)
            else:
                ended.append(case)
            if number % TOLD_EACH == 0:
                print(f"played: {number} of {len(seeds)}", file=sys.stderr, flush=True)
    return cases, ended


def attempted(seed: int) -> Scored | str:
    """The score of a seed or, of one that ends in an error, that in words: it hides no other."""
    try:
        return scored(seed)
    except Exception as error:
        return f"seed {seed} ended in an error: {type(error).__name__}: {error}"


def scenes_read() -> list[Read]:
    """The lab's recorded scenes, each with what its report says beside its truth."""
    with ProcessPoolExecutor(PROCESSES) as processes:
        return list(processes.map(read, recorded()))


def as_table(
    halves: Sequence[Sequence[Figure]],
    others: Sequence[Sequence[Figure]],
    lab: Sequence[Figure],
) -> Table:
    """The figures for a terminal: both halves, what each baseline reaches on all cases, the lab."""
    table = Table(box=None, pad_edge=False)
    table.add_column("figure", no_wrap=True)
    for name in ("goal", "all", "tuning", "hold-out", "met", *BASELINES):
        table.add_column(name, justify="right", no_wrap=name != "lock waits")
    words = {True: "yes", False: "MISSED", None: ""}
    for row, name in enumerate(GOALS):
        values = [_shown(half[row]) for half in halves]
        compared = [
            _shown(o[OF_BASELINES.index(name)]) if name in OF_BASELINES else "" for o in others
        ]
        whole = halves[0][row]
        table.add_row(name, whole.goal or "", *values, words[whole.met], *compared)
    for figure in lab:
        table.add_row(figure.name, figure.goal or "", _shown(figure), "", "", words[figure.met])
    return table


def _shown(figure: Figure) -> str:
    return (
        f"{figure.value:.3f}" if figure.unit in ("share", "x resolution") else f"{figure.value:.0f}"
    )


def _notes(
    tuning: Sequence[Scored], held_out: Sequence[Scored], scenes: Sequence[Read]
) -> list[str]:
    """What each figure counts, how many cases there are, and what went wrong where one may look."""
    lines = [f"{name}: {meaning}" for name, meaning in {**MEANINGS, **LAB_MEANINGS}.items()]
    for half, cases in (("tuning", tuning), ("hold-out", held_out)):
        numbers = ", ".join(f"{n} {what}" for what, n in numbers_of(cases).items())
        lines.append(f"{half}: {numbers}")
    wrong = {
        "wrongly blamed": [c for c in tuning if any(n.is_wrong for n in c.judged.named)],
        "wrongly ordered": [
            c for c in tuning if c.judged.trusts_clocks and any(o.is_wrong for o in c.judged.orders)
        ],
        "not abstained from": [
            c
            for c in tuning
            if any(n.expected is Expected.ABSTAIN and not n.abstains for n in c.judged.named)
        ],
    }
    for what, those in wrong.items():
        if those:
            lines.append(f"tuning, {what}: {', '.join(str(c.judged.seed) for c in those)}")
    lines.append(f"lab: {len(scenes)} recorded scenes")
    return [*lines, *(f"{s.scene}: {words}" for s in scenes for words in s.wrong)]


if __name__ == "__main__":
    sys.exit(main())
