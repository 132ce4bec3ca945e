"""Lines filled with drawn secrets, and what of a secret is left in a text."""

from __future__ import annotations

import base64
import string
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.redaction import harmless, planted

# So much of a secret may not be found in an output; shorter pieces are found by chance.
TELLING = 8


@dataclass(frozen=True)
class Line:
    """A line, the template that it was made from, and what was drawn for it."""

    template: str
    text: str
    drawn: tuple[str, ...]


Draw = Callable[[Random, str], tuple[list[str], str]]


class _Filling(string.Formatter):
    def __init__(self, rng: Random, draw: Draw) -> None:
        self.rng, self.draw = rng, draw
        self.drawn: list[str] = []

    def get_value(self, key: int | str, args: Any, kwargs: Any) -> str:
        values, shown = self.draw(self.rng, str(key))
        self.drawn += values
        return shown


def secret(rng: Random, field: str) -> tuple[list[str], str]:
    """The secrets that a field takes, and how they stand in the line."""
    match field:
        case "named":
            kinds = planted.NAMED if rng.random() < 0.7 else planted.SHAPED
            value = planted.drawn(rng, kinds)
        case "shaped":
            value = planted.drawn(rng, planted.SHAPED)
        case "personal":
            value = planted.drawn(rng, planted.PERSONAL)
        case "password":
            value = planted.password(rng).replace("#", "x")
        case "literal":
            of = {"n": _name, "p": lambda r: planted.chars(r, 9), **planted.PERSONAL}
            value = planted.drawn(rng, of)
        case "mixed":
            value = f"a{planted.chars(rng, rng.randint(10, 40))}Z{rng.randint(0, 9)}"
        case "digits":
            value = str(rng.randint(10**8, 10**10))
        case "hex":
            value = planted.chars(rng, 16, planted.HEX)
        case "email" | "ipv4" | "ipv6":
            value = planted.PERSONAL[field](rng)
        case "basic":
            password = planted.password(rng)
            value = base64.b64encode(f"svc:{password}".encode()).decode()
        case "hook":
            value = f"{planted.chars(rng, 8)}/B{planted.chars(rng, 9)}/{planted.chars(rng, 24)}"
        case "hex4":
            value = f"{rng.randint(1, 9)}{planted.chars(rng, 3, planted.HEX)}"
        case "dashed":
            value = planted.ipv4(rng).replace(".", "-")
        case "ipv6_encoded":
            value = planted.ipv6(rng).replace(":", "%3A")
        case "encoded_email":
            at = rng.choice(["%40", "\\u0040", "&#64;"])
            value = planted.email(rng).replace("@", at)
        case _:
            return _key(rng, field)
    return [value], value


def _name(rng: Random) -> str:
    parts = (planted.chars(rng, rng.randint(5, 9), string.ascii_lowercase) for _ in range(2))
    return " ".join(part.title() for part in parts)


def _key(rng: Random, field: str) -> tuple[list[str], str]:
    """A private key: its secrets are its lines of base64."""
    whole = planted.pem(rng)
    lines = whole.split("\n")[1:-1]
    match field:
        case "pem":
            return lines, whole
        case "pem_escaped":
            return lines, whole.replace("\n", "\\n")
        case "pem_cut":
            return lines[:-1], "\n".join(whole.split("\n")[:-2])
        case "pem_tail":
            return lines[1:], "\n".join(whole.split("\n")[2:])
    raise LookupError(field)


def name(rng: Random, field: str) -> tuple[list[str], str]:
    """A name or a time that must stay, and how it stands in the line."""
    value = harmless.drawn(rng, field)
    return [value], value


def filled(templates: Iterable[str], draw: Draw, seed: int, each: int) -> Iterator[Line]:
    """Each template so often, with other values every time."""
    rng = Random(seed)
    for template in templates:
        for _ in range(each):
            filling = _Filling(rng, draw)
            text = filling.format(template)
            yield Line(template, text, tuple(filling.drawn))


def left_of(secret: str, output: str) -> str:
    """A piece of a secret that an output still has, "" where it has none."""
    return next((piece for piece in pieces_of(secret) if piece in output), "")


def pieces_of(secret: str) -> list[str]:
    """Each piece of a secret that tells; a short secret is one."""
    size = min(TELLING, len(secret))
    return [secret[at : at + size] for at in range(len(secret) - size + 1)]
