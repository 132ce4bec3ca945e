"""What an export says above its settings."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap

_WIDTH = 96


def commented(sign: str, notes: Iterable[str]) -> str:
    """Each note as a comment of its own, its further lines set in."""
    lines = [f"{sign} incident-rca whatif: tried in a model, which is no evidence."]
    for note in notes:
        first, *others = wrap(note, _WIDTH)
        lines += [f"{sign} - {first}", *(f"{sign}   {other}" for other in others)]
    return "\n".join(lines) + "\n"
