"""What a source gives back: an envelope for raw/, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from incident_rca.errors import Unreachable
from incident_rca.model import TimeWindow
from incident_rca.queries import load_query
from incident_rca.sources.postgres import reason_of

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Absent:
    """A source that does not exist here: why, and what would have to be done to have it."""

    reason: str
    hint: str = ""


def envelope(
    service: str,
    request: Mapping[str, Any],
    response: Mapping[str, Any],
    *,
    window: TimeWindow,
    asked_at: datetime,
) -> Answer:
    """The answer with its question, since an answer alone does not say what it answers."""
    asked = {"start": in_utc(window.start), "end": in_utc(window.end)}
    return {
        "service": service,
        "request": {**request, "window": asked},
        "asked_at": in_utc(asked_at),
        "response": response,
    }


def in_utc(instant: datetime) -> str:
    """An aware instant as ISO 8601 in UTC with `Z`.

    >>> in_utc(datetime(2026, 1, 15, 14, 23, tzinfo=UTC))
    '2026-01-15T14:23:00Z'
    """
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def asked(
    connection: Connection, sql: str, parameters: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """`columns` and `rows` of a statement, in the types of JSON; psycopg's errors pass through."""
    cursor = connection.execute(sql.encode(), parameters)
    return {
        "columns": [column.name for column in cursor.description or ()],
        "rows": [[json_value(value) for value in row] for row in cursor.fetchall()],
    }


def asked_once(
    connection: Connection, name: str, parameters: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The first row of a query file by its columns, empty where it gives none."""
    answer = asked(connection, load_query(name).text, parameters)
    return dict(zip(answer["columns"], answer["rows"][0], strict=True)) if answer["rows"] else {}


def unreachable(what: str, error: psycopg.Error) -> Unreachable:
    """The error of this program for one of the driver, naming what was asked."""
    return Unreachable(
        f"{what}: {reason_of(error)}",
        hint="check the role's privileges, and ask again when the server is calm",
    )


def json_value(value: Any) -> Any:
    """A value of a driver or client as JSON has it; a time without a zone stays without one."""
    if isinstance(value, dict):
        return {key: json_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [json_value(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, datetime) and value.tzinfo is not None:
        return in_utc(value)
    return value.isoformat() if isinstance(value, date) else str(value)
