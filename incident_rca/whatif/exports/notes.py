"""What an export says above its settings."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from textwrap import wrap

_WIDTH = 96


def commented(sign: str, notes: Iterable[str]) -> str:
    """Each note as a comment of its own, its further lines set in."""
    lines = [f"{sign} incident-rca whatif: tried in a model, which is no evidence."]
    for note in notes:
        first, *others = _wrapped(note)
        lines += [f"{sign} - {first}", *(f"{sign}   {other}" for other in others)]
    return "\n".join(lines) + "\n"


# The page exports each setting of a sweep, and all of them have the same few notes.
@lru_cache(maxsize=64)
def _wrapped(note: str) -> tuple[str, ...]:
    return tuple(wrap(note, _WIDTH))
