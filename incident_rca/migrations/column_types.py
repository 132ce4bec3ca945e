"""What a change of a column's type does to the rows, from both types; tests ask real servers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A type by its name in pg_type, with its schema where it is not PostgreSQL's own.

    `modifiers` are those of the grammar, such as (10, 2) of numeric(10, 2).
    """

    name: str
    modifiers: tuple[int, ...] = ()
    is_array: bool = False


class Effect(StrEnum):
    """What a change of type does while it holds ACCESS EXCLUSIVE."""

    NONE = "none"  # the catalog changes, and no index is built
    REWRITE = "rewrite"
    BY_TIME_ZONE = "by time zone"  # none where the session's time zone is UTC
    UNKNOWN = "unknown"


# The values of these are the same bytes, and so are the classes of their indexes.
_SAME_BYTES = frozenset({("varchar", "text"), ("text", "varchar"), ("cidr", "inet")})
_CLOCKS = frozenset({"timestamp", "timestamptz", "time", "timetz"})
# Of these each change to another is known, apart from the pairs above: it writes the table anew.
_KNOWN = _CLOCKS | frozenset(
    """
    bool int2 int4 int8 float4 float8 numeric text varchar bpchar date interval uuid json jsonb
    bytea inet cidr varbit
    """.split()
)
_FINEST = 6  # digits of a second


def effect_of(old: ColumnType, new: ColumnType) -> Effect:
    """What a change without USING does, indexes of expressions and CHECKs left aside.

    >>> str(effect_of(ColumnType("varchar", (20,)), ColumnType("text")))
    'none'
    >>> str(effect_of(ColumnType("int4"), ColumnType("int8")))
    'rewrite'
    """
    if old == new:
        return Effect.NONE
    if not {old.name, new.name} <= _KNOWN or _is_doubtful(old, new):
        return Effect.UNKNOWN
    if old.is_array or new.is_array:
        return Effect.REWRITE
    if {old.name, new.name} == {"timestamp", "timestamptz"}:
        return Effect.BY_TIME_ZONE
    if old.name == new.name or (old.name, new.name) in _SAME_BYTES:
        return Effect.NONE if _fits(old, new) else Effect.REWRITE
    return Effect.REWRITE


def _is_doubtful(old: ColumnType, new: ColumnType) -> bool:
    """The fields of an interval, and a bpchar without its length, which only builds indexes."""
    if new.name == "interval":
        return old.name == new.name and bool(new.modifiers)
    return new.name == "bpchar" and not new.modifiers and old.name != new.name


def _fits(old: ColumnType, new: ColumnType) -> bool:
    """Whether each value of a type is one of another, so that none is looked at."""
    if not new.modifiers:
        return True
    if old.name in _CLOCKS:
        return max(new.modifiers) >= max(old.modifiers, default=_FINEST)
    if not old.modifiers:
        return False
    if old.name == "numeric":
        (old_digits, old_scale), (digits, scale) = ((*t.modifiers, 0)[:2] for t in (old, new))
        return digits >= old_digits and scale == old_scale
    return old.name in ("varchar", "varbit") and new.modifiers >= old.modifiers
