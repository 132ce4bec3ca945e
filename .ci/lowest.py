"""Prints constraints that pin each direct dependency of the program to its lowest bound."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def main() -> None:
    """One line a dependency: `boto3==1.40`."""
    for text in tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]["dependencies"]:
        found = re.match(r"([A-Za-z0-9-]+)(?:\[[a-z,]+\])?>=([0-9.]+)", text)
        if found is None:
            raise SystemExit(f"pyproject.toml: {text} has no lowest version")
        print(f"{found[1]}=={found[2]}")


if __name__ == "__main__":
    main()
