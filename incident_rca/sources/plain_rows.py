"""Rows of PostgreSQL as a recording holds them: instants as text, whatever bytes a text has.

Imported only where a connection is open already, for it loads psycopg.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format

from incident_rca.queries import load_query

if TYPE_CHECKING:
    import psycopg

# The binary format of timestamptz: microseconds since then (src/include/datatype/timestamp.h).
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def written(instant: datetime) -> str:
    """An aware instant as a recording writes it: UTC, always with microseconds.

    >>> written(datetime(2026, 1, 15, 14, 0, tzinfo=UTC))
    '2026-01-15T14:00:00.000000Z'
    """
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


# Most instants and texts of a snapshot stood in the one before, too.
@lru_cache(maxsize=4096)
def _instant(data: bytes) -> str:
    return written(_EPOCH + timedelta(microseconds=int.from_bytes(data, "big", signed=True)))


class _InstantLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        return _instant(bytes(data))


class _XidLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> int:
        return int.from_bytes(data, "big")


class _TextLoader(Loader):
    """Statements of other databases come in the encoding of those, or cut within a character."""

    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        return bytes(data).decode("utf-8", "replace")


def rows_of(
    connection: psycopg.Connection[tuple[Any, ...]],
    query: str,
    parameters: Mapping[str, Sequence[int]] | None = None,
) -> list[tuple[Any, ...]]:
    """The rows of `queries/postgres/QUERY.sql`, every value ready for JSON.

    The statement is prepared once a connection: a server under load is not asked to plan it again.
    """
    with connection.cursor(binary=True) as cursor:
        for name, loader in (
            ("timestamptz", _InstantLoader),
            ("xid", _XidLoader),
            ("text", _TextLoader),
        ):
            cursor.adapters.register_loader(name, loader)
        cursor.execute(load_query(f"postgres/{query}.sql").text.encode(), parameters, prepare=True)
        return cursor.fetchall()
