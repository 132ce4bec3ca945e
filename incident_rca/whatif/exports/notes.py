"""What an export says above its settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from textwrap import wrap

from incident_rca.whatif.protection import Protection

_WIDTH = 96


def breakers_in_code(protection: Protection, of_library: str) -> Iterator[str]:
    """Yields how many breakers were replayed, where each is an object of the calling program."""
    if protection.breaker is None:
        return
    if protection.is_shared:
        one = f"one breaker for all routes: use the same {of_library} for them"
    else:
        one = f"a breaker for each route: these are the settings of each {of_library}"
    processes = f", in each of {protection.clients} processes" if protection.clients > 1 else ""
    yield f"replayed was {one}{processes}"


def breakers_in_proxy(protection: Protection) -> Iterator[str]:
    """Yields that breakers for single routes were replayed, which a proxy does not have."""
    if protection.breaker is not None and not protection.is_shared:
        yield (
            "replayed was a breaker for each route; Envoy counts the failures of a host whatever "
            "the route: --shared replays that"
        )


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
