"""What is true of a scene, stated before it runs, and where a report says something else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HOLDS = frozenset({"supported", "weak"})
DATABASE = "inventory"
STOCK = f"{DATABASE}.public.stock"
RESERVATIONS = f"{DATABASE}.public.stock_reservations"
SHIPMENTS = f"{DATABASE}.public.warehouse_shipments"


@dataclass(frozen=True)
class Part:
    """A hypothesis that a report must have: its kind, object, role, and the verdicts it may have.

    `says` stands in its statement.
    """

    kind: str
    object: str
    role: str
    verdicts: frozenset[str] = HOLDS
    says: str = ""


@dataclass(frozen=True)
class Expected:
    """The truth of a scene: these parts, and no other trigger or sustainer that holds.

    Where `quiet`, no hypothesis of any role may be supported.
    """

    parts: tuple[Part, ...] = ()
    quiet: bool = False

    @property
    def names(self) -> frozenset[tuple[str, str, str]]:
        """Role, kind and object of each part."""
        return frozenset((p.role, p.kind, p.object) for p in self.parts)


@dataclass
class Measured:
    """When the actor of a scene did what it did, by the machine's clock: RFC 3339 in pairs.

    Of each cause, by its name, the instants right before and right after it began and ended.
    """

    began: dict[str, tuple[str, str]] = field(default_factory=dict)
    ended: dict[str, tuple[str, str]] = field(default_factory=dict)


def trigger(kind: str, thing: str) -> Part:
    """What started it."""
    return Part(kind, thing, "trigger")


def sustainer(kind: str, thing: str) -> Part:
    """What kept it going when the trigger was over."""
    return Part(kind, thing, "sustainer")


def as_json(scene: str, about: str, expected: Expected, measured: Measured) -> dict[str, Any]:
    """The truth file that lies beside a case."""
    return {
        "scene": scene,
        "about": about,
        "quiet": expected.quiet,
        "parts": [
            {
                "kind": part.kind,
                "object": part.object,
                "role": part.role,
                "verdicts": sorted(part.verdicts),
                "says": part.says,
            }
            for part in expected.parts
        ],
        "began": measured.began,
        "ended": measured.ended,
    }


def expected_of(document: Mapping[str, Any]) -> Expected:
    """The truth that a truth file states."""
    parts = (
        Part(p["kind"], p["object"], p["role"], frozenset(p["verdicts"]), p["says"])
        for p in document["parts"]
    )
    return Expected(tuple(parts), document["quiet"])


def wrongly_blamed(expected: Expected, report: Mapping[str, Any]) -> list[str]:
    """The hypotheses that hold as trigger or sustainer and are none: `role kind (object)`."""
    return [
        f"{h['role']} {h['kind']} ({h['object']})"
        for h in report["hypotheses"]
        if h["role"] in ("trigger", "sustainer")
        and h["verdict"] in HOLDS
        and (h["role"], h["kind"], h["object"]) not in expected.names
    ]


def disagreements(expected: Expected, report: Mapping[str, Any]) -> Iterator[str]:
    """Where a report contradicts the truth, in words."""
    hypotheses: Sequence[Mapping[str, Any]] = report["hypotheses"]
    for blamed in wrongly_blamed(expected, report):
        yield f"blames {blamed}"
    for part in expected.parts:
        same = [h for h in hypotheses if (h["kind"], h["object"]) == (part.kind, part.object)]
        if not same:
            yield f"does not name {part.kind} ({part.object})"
        if same and not any(_is(found, part) for found in same):
            said = " and ".join(f"{h['role']}, {h['verdict']}" for h in same)
            yield f"calls {part.kind} ({part.object}) {said}: {same[0]['statement']}"
    if expected.quiet:
        for h in hypotheses:
            if h["verdict"] == "supported":
                yield f"supports {h['kind']} ({h['object']}) as {h['role']}"


def _is(found: Mapping[str, Any], part: Part) -> bool:
    return (
        found["role"] == part.role
        and found["verdict"] in part.verdicts
        and part.says in found["statement"]
    )


def in_words(report: Mapping[str, Any]) -> str:
    """What a report says of causes, in one line: each that holds, or may hold, with its role."""
    shown = [
        f"{h['role']} {h['kind']} ({h['object'].rpartition('.')[2]}) {h['verdict']}"
        for h in report["hypotheses"]
        if h["role"] in ("trigger", "sustainer", "coincident")
    ]
    return "; ".join(shown) or "nothing blamed"
