"""How long a thousand settings take on the sample, as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench.figures import Figure, seconds
from incident_rca.demo import prepare_demo

SETTINGS = 1_000


def measure_whatif_sweep(folder: Path, seed: int) -> list[Figure]:
    """`whatif --sweep` on the sample, with a process a core."""
    case = prepare_demo(folder / "INC-2847")
    told = folder / "sweep.json"
    words = [sys.executable, "-m", "incident_rca", "whatif", str(case), "--sweep", "--json", "-q"]

    def sweep() -> None:
        with told.open("w", encoding="utf-8") as file:
            subprocess.run(words, stdout=file, check=True)

    took = seconds(sweep)
    tried = len(json.loads(told.read_text(encoding="utf-8"))["trials"])
    return [
        Figure("settings tried by whatif --sweep", tried, "", f">= {SETTINGS}"),
        Figure("whatif --sweep on the sample", took, "s", "<= 60"),
    ]
