"""Writes docs/lint/ from the rules themselves: run it after a rule has changed."""

from __future__ import annotations

from pathlib import Path

from incident_rca.migrations.document import pages
from incident_rca.migrations.rules import RULES

FOLDER = Path(__file__).parent / "lint"


def main() -> None:
    for old in FOLDER.glob("*.md"):
        old.unlink()
    for name, text in pages(RULES):
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
