"""The error types of rows that no access log gave, by queries/duckdb/error_type.sql."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from incident_rca.formats.duckdb_session import define, fetch, open_session, run_file

# What a row may say of its request, and as which type.
_FACTS: Mapping[str, Any] = {
    "status": "Int64",
    "response_type": "str",
    "integration_status": "str",
    "backend_status": "str",
    "message": "str",
    "waf": "str",
    "authorizer_error": "str",
    "latency_ms": "float64",
}


def error_types_of(
    rows: Sequence[Mapping[str, Any]], work: Path, *, knows: Mapping[str, bool]
) -> list[str | None]:
    """The error type of each row, None below status 400 or where nothing says one.

    A row may have `status`, `response_type`, `integration_status`, `backend_status`, `message`,
    `waf`, `authorizer_error` and `latency_ms`. `knows` says which of `response_type`,
    `integration_status`, `backend_status` and `error_text` an absent value proves to be absent.
    """
    import pandas as pd

    if not rows:
        return []
    columns = {
        name: pd.Series([row.get(name) for row in rows], dtype=object).astype(dtype)
        for name, dtype in _FACTS.items()
    }
    with open_session(work) as session:
        for fact, is_known in knows.items():
            session.execute(f"SET VARIABLE knows_{fact} = ?", [is_known])
        session.register("candidates", pd.DataFrame({"position": range(len(rows)), **columns}))
        define(session, "error_type.sql")
        found = fetch(run_file(session, "error_types_of_rows.sql"))["error_type"].tolist()
    return [kind if isinstance(kind, str) else None for kind in found]
