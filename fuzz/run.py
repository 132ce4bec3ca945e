"""`make fuzz`: each target for MINUTES under atheris; exit with 1 if one was broken.

Prints a table and writes build/fuzz.json. TARGETS="lint case" names some only. What broke a target
stays in build/fuzz/; once mended it belongs into fuzz/corpus/TARGET/, which `make test` replays.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # when run as a script
from bench.figures import Figure, as_table, missed, write_json
from fuzz.targets import TARGETS, blown_up, checked, found_cases

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "fuzz"
WORKER = Path(__file__).with_name("one.py")
MINUTES = 10.0
SEED = 1
LONGEST_INPUT_BYTES = 20_000
# By the clock, so well above what a busy machine makes of LONGEST_SECONDS.
STUCK_SECONDS = 30
MEMORY_MB = 2048
# How many inputs of a target's corpus are tried as 1 MB of themselves.
LARGE_INPUTS = 8


def main() -> int:
    """Fuzzes the targets in turn."""
    minutes = float(os.environ.get("MINUTES", MINUTES))
    seed = int(os.environ.get("SEED", SEED))
    names = os.environ.get("TARGETS", "").split() or list(TARGETS)
    figures: list[Figure] = []
    for name in names:
        print(f"fuzzing: {name}", file=sys.stderr, flush=True)
        figures += fuzzed(name, minutes * 60, seed)
    target = BUILD.with_suffix(".json")
    write_json(figures, target)
    Console(highlight=False, markup=False).print(as_table(figures))
    print(f"seed {seed}, {minutes:g} minutes each; written to {target.relative_to(ROOT)}")
    print("\n".join(missed(figures)) or "nothing was found")
    return 1 if missed(figures) else 0


def fuzzed(name: str, seconds: float, seed: int) -> list[Figure]:
    """How often a target ran, for how long, and how many inputs broke it."""
    corpus = BUILD / name
    corpus.mkdir(parents=True, exist_ok=True)
    for data in (*TARGETS[name].seeds, *found_cases(name)):
        (corpus / hashlib.sha1(data).hexdigest()).write_bytes(data)
    start = time.monotonic()
    options = {
        "max_total_time": round(seconds),
        "seed": seed,
        "max_len": LONGEST_INPUT_BYTES,
        "timeout": STUCK_SECONDS,
        "rss_limit_mb": MEMORY_MB,
        "artifact_prefix": f"{BUILD / name}-",
        "print_final_stats": 1,
    }
    words = [sys.executable, str(WORKER), name, str(corpus)]
    words += [f"-{option}={value}" for option, value in options.items()]
    log = BUILD / f"{name}.log"
    with log.open("wb") as output:
        done = subprocess.run(words, stdout=output, stderr=subprocess.STDOUT, check=False)
    took = time.monotonic() - start
    runs = re.findall(r"number_of_executed_units: *(\d+)", log.read_text("utf-8", "replace"))
    broken = [*large_inputs_that_break(name, sorted(corpus.iterdir()))]
    for data, error in broken:
        (BUILD / f"{name}-large-{hashlib.sha1(data).hexdigest()}").write_bytes(data)
        print(f"{name}: {error}", file=sys.stderr)
    if done.returncode:
        print(f"{name}: ended with {done.returncode}, see {log}", file=sys.stderr)
    return [
        Figure(f"{name}: inputs", float(runs[-1]) if runs else 0.0, "inputs", "> 0"),
        Figure(f"{name}: time", took, "s"),
        Figure(f"{name}: found", (done.returncode != 0) + len(broken), "inputs", "<= 0"),
    ]


def large_inputs_that_break(name: str, corpus: Sequence[Path]) -> Iterator[tuple[bytes, Exception]]:
    """Some of a corpus, evenly chosen, as 1 MB of themselves, up to the first that breaks it."""
    for path in corpus[:: len(corpus) // LARGE_INPUTS + 1]:
        for data in blown_up(path.read_bytes()):
            try:
                checked(TARGETS[name], data)
            except Exception as error:
                yield data, error
                return


if __name__ == "__main__":
    sys.exit(main())
