"""Fuzzes one target under atheris: python fuzz/one.py TARGET [FOLDER...] [-option=...].

The options and folders are libFuzzer's. Ends with its code: 0 where the time was over, else 77.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # when run as a script
with atheris.instrument_imports(include=["incident_rca"]):
    from fuzz.targets import TARGETS, checked


def main(name: str, *arguments: str) -> None:
    """Runs libFuzzer, which ends the process."""
    target = TARGETS[name]
    atheris.Setup([name, *arguments], lambda data: checked(target, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
