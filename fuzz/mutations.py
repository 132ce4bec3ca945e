"""Inputs that differ a little from good ones, the same in each run, for a short look in CI."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

# What readers of numbers, times, quotes and nesting trip over.
TELLING: Sequence[bytes] = (
    *(b"\0", b"\xff", b"\xe2\x80\xa8", b"\r", b"\n\n", b'"', b"'", b"\\", b"$$", b"/*", b"--"),
    *(b"{", b"}", b"[", b"]", b"(", b"null", b"-1", b"1e999", b"NaN", b"9" * 30, b"3000-01-01"),
)
Change = Callable[[random.Random, bytes, bytes], bytes]


def mutated(seeds: Sequence[bytes], number: int, seed: str) -> Iterator[bytes]:
    """So many inputs made of good ones, each by one change to four; `seed` chooses which.

    >>> list(mutated([b"abc"], 3, "x")) == list(mutated([b"abc"], 3, "x"))
    True
    """
    chance = random.Random(seed)
    for _ in range(number):
        data = chance.choice(seeds)
        for _ in range(chance.randint(1, 4)):
            data = chance.choice(_CHANGES)(chance, data, chance.choice(seeds))
        yield data


def _place(chance: random.Random, data: bytes) -> tuple[int, int]:
    start = chance.randint(0, len(data))
    return start, min(len(data), start + chance.choice((1, 2, 8, 64)))


def _flipped(chance: random.Random, data: bytes, other: bytes) -> bytes:
    start, end = _place(chance, data)
    return (
        data[:start]
        + bytes(byte ^ 1 << chance.randint(0, 7) for byte in data[start:end])
        + (data[end:])
    )


def _cut_out(chance: random.Random, data: bytes, other: bytes) -> bytes:
    start, end = _place(chance, data)
    return data[:start] + data[end:]


def _repeated(chance: random.Random, data: bytes, other: bytes) -> bytes:
    start, end = _place(chance, data)
    return data[:end] + data[start:end] * chance.choice((1, 3, 100)) + data[end:]


def _told(chance: random.Random, data: bytes, other: bytes) -> bytes:
    start, end = _place(chance, data)
    return data[:start] + chance.choice(TELLING) + data[chance.choice((start, end)) :]


def _broken_off(chance: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: chance.randint(0, len(data))]


def _joined(chance: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]


_CHANGES: Sequence[Change] = (_flipped, _cut_out, _repeated, _told, _told, _broken_off, _joined)
