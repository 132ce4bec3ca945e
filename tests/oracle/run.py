"""`make oracle`: the real opossum and ours through random scenarios, event by event."""

from __future__ import annotations

import os
import sys
from collections import Counter

from rich.console import Console

from bench.figures import Figure, as_table, missed, write_json
from tests.oracle.libraries import ROOT
from tests.oracle.scenarios import first_difference, play_ours, play_real, scenarios

TARGET = ROOT / "build" / "oracle.json"
SCENARIOS, FEWEST = 3_000, 2_000
SEED = 1
BATCH = 250
SHOWN = 5
EVENTS = ("open", "close", "halfOpen", "timeout", "reject", "semaphoreLocked")


def main() -> int:
    """Plays every scenario both ways; 1 where one differs, or too few of an event were seen."""
    seed, number = int(os.environ.get("SEED", SEED)), int(os.environ.get("SCENARIOS", SCENARIOS))
    played = list(scenarios(seed, number))
    events: Counter[str] = Counter()
    ties, differences = 0, []
    for start in range(0, number, BATCH):
        batch = played[start : start + BATCH]
        for index, real in enumerate(play_real(batch, timeout_seconds=300), start=start):
            events.update(name for _, name in real["events"])
            ties += len(played[index].calls) - len({at for at, _, _ in played[index].calls})
            if difference := first_difference(real, play_ours(played[index])):
                differences.append(f"scenario {seed}/{index}: {difference}")
        print(f"played {min(start + BATCH, number):,} of {number:,}", file=sys.stderr, flush=True)
    figures = [
        Figure("scenarios that differ from opossum 10.0.0", len(differences), "", "<= 0"),
        Figure("scenarios", number, "", f">= {FEWEST}"),
        Figure("events compared", events.total(), "", ">= 500000"),
        Figure("calls at the same millisecond as another", ties, ""),
        *(Figure(f"events: {name}", events[name], "", ">= 1000") for name in EVENTS),
    ]
    write_json(figures, TARGET)
    Console(highlight=False, markup=False).print(as_table(figures))
    print("\n".join(differences[:SHOWN]) or f"seed {seed}; written to {TARGET.relative_to(ROOT)}")
    misses = missed(figures)
    print("\n".join(misses) or "every goal is met")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
