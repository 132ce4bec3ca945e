"""The `failures` of access logs and execution logs -> one row a request, its type by both.

The rows of the two logs meet by request id. A type follows from the union of what both say: it is
the one that stands first in the taxonomy, whichever log it comes from. What is not explained stands
last, and queries/duckdb/error_type.sql has the same order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

TAXONOMY = (
    "waf_blocked",
    "auth",
    "authorizer_failure",
    "throttled_gateway",
    "client_request",
    "integration_timeout",
    "backend_throttled",
    "backend_permission",
    "function_error/payload_too_large",
    "function_error",
    "malformed_proxy_response",
    "function_error_or_malformed_proxy_response",
    "integration_network",
    "gateway_config",
    "backend_5xx",
    "backend_4xx",
    "client_abort",
    "gateway_4xx_unexplained",
    "gateway_5xx_unexplained",
)
EXECUTION = "execution"
BOTH = "access+execution"

Row = dict[str, Any]


def levels_in(seen_in: Iterable[str]) -> tuple[str, ...]:
    """The logs in which some failures were seen, each once.

    >>> levels_in(["access", "access+execution"])
    ('access', 'execution')
    """
    return tuple(sorted({level for seen in seen_in for level in seen.split("+")}))


def with_execution_logs(failures: pd.DataFrame) -> pd.DataFrame:
    """The failures with each request once; the rows keep their order, and the columns of the table.

    A row of an execution log goes into the access log's row of its request, which keeps its line,
    time, route and status. One whose request no access log has stays, unless its status is not
    known: then nothing says that it failed with a 5xx.
    """
    import pandas as pd

    is_execution = failures["seen_in"] == EXECUTION
    if not is_execution.any():
        return failures
    rows: dict[int, Row] = {
        key: {str(column): value for column, value in record.items()}
        for key, record in enumerate(failures.to_dict("records"))
    }
    by_id: dict[str, list[int]] = {}
    for key, row in rows.items():
        if row["seen_in"] != EXECUTION and _given(row["request_id"]):
            by_id.setdefault(row["request_id"], []).append(key)
    kept: dict[int, Row] = {}
    alone: set[str] = set()
    for key, row in rows.items():
        if row["seen_in"] != EXECUTION:
            kept.setdefault(key, row)
            continue
        ids = str(row["request_id"]).split()
        # The extended id is the unique one: a client may choose the other.
        at = next((by_id[i][0] for i in reversed(ids) if len(by_id.get(i, ())) == 1), None)
        if at is not None:
            kept[at] = _merged(kept.get(at, rows[at]), row)
        elif _given(row["status"]) and not alone.intersection(ids):
            alone.update(ids)
            kept[key] = row | {"request_id": ids[-1]}
    in_order = [kept[key] for key in rows if key in kept]
    return pd.DataFrame(in_order, columns=failures.columns).astype(failures.dtypes)


def _merged(access: Row, execution: Row) -> Row:
    """The row of a request with what an execution log says of it."""
    types = _given(access["error_type"], execution["error_type"])
    messages = dict.fromkeys(_given(access["message"], execution["message"]))
    merged = access | {
        "seen_in": BOTH,
        "error_type": min(types, key=_rank, default=None),
        "message": " ".join(messages) or None,
    }
    for column in ("latency_ms", "integration_status"):
        known = _given(access[column], execution[column])
        merged[column] = known[0] if known else access[column]
    return merged


def _given(*values: Any) -> list[Any]:
    import pandas as pd

    return [value for value in values if not pd.isna(value)]


def _rank(kind: str) -> int:
    return TAXONOMY.index(kind) if kind in TAXONOMY else len(TAXONOMY)
