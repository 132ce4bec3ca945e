"""The typed tables between formats and analysis: their columns, and nothing that reads a file.

Every row names its `source`, `file` and the 1-based line (or position) it came from. Instants are
`TIMESTAMPTZ` in UTC, durations say their unit in the column's name, absent values are null.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_ORIGIN = {"source": "VARCHAR", "file": "VARCHAR"}

SCHEMAS: Mapping[str, Mapping[str, str]] = {
    # One row a second, route, status and type; its histogram gives latencies or upper bounds of
    # their buckets, in milliseconds, and their counts: rows merge without losing percentiles.
    "gateway": _ORIGIN
    | {
        "second": "TIMESTAMPTZ",
        "method": "VARCHAR",
        "route": "VARCHAR",
        "status": "INTEGER",
        "error_type": "VARCHAR",
        "requests": "BIGINT",
        "latency_ms_bounds": "BIGINT[]",
        "latency_ms_counts": "BIGINT[]",
        "line_first": "BIGINT",
        "line_last": "BIGINT",
    },
    # One row a failed request (status 5xx); `at` is its arrival. `trace_ids` are all ids that its
    # line has, by blanks, in the spelling of `trace_ids.py`; `trace_id` is its X-Ray root as it is.
    "failures": _ORIGIN
    | {
        "line": "BIGINT",
        "at": "TIMESTAMPTZ",
        "request_id": "VARCHAR",
        "method": "VARCHAR",
        "route": "VARCHAR",
        "status": "INTEGER",
        "error_type": "VARCHAR",
        "latency_ms": "DOUBLE",
        "integration_status": "VARCHAR",
        "message": "VARCHAR",
        "seen_in": "VARCHAR",
        "trace_id": "VARCHAR",
        "trace_ids": "VARCHAR",
    },
    # What a load balancer says of its requests, by second, path and statuses; `at` is null there.
    # A request that failed (elb_status 5xx, or 460: the client closed first) has a row of its own,
    # with its arrival `at`. `target_status` is null where no target answered; `answered_by`:
    # `load_balancer` (no target did), `target` (its status was passed on) or `altered` (was not).
    "load_balancer": _ORIGIN
    | {
        "second": "TIMESTAMPTZ",
        "at": "TIMESTAMPTZ",
        "load_balancer": "VARCHAR",
        "method": "VARCHAR",
        "path": "VARCHAR",
        "elb_status": "INTEGER",
        "target_status": "INTEGER",
        "answered_by": "VARCHAR",
        "error_type": "VARCHAR",
        "error_reason": "VARCHAR",
        "trace_id": "VARCHAR",
        "latency_ms": "DOUBLE",
        "requests": "BIGINT",
        "latency_ms_bounds": "BIGINT[]",
        "latency_ms_counts": "BIGINT[]",
        "line_first": "BIGINT",
        "line_last": "BIGINT",
    },
    # Counts before the outage, as a log query answered them.
    "baseline": _ORIGIN
    | {
        "row": "BIGINT",
        "at": "TIMESTAMPTZ",
        "until": "TIMESTAMPTZ",
        "method": "VARCHAR",
        "route": "VARCHAR",
        "status": "INTEGER",
        "requests": "BIGINT",
        "records_scanned": "BIGINT",
    },
    # One row an edge (waiter and holder) and sample. `edge`: `hard` (the holder's granted mode
    # conflicts), `soft` (ahead in the queue), `named` (its source says that it blocks, not how),
    # `unknown` (somebody waits, for whom is not recorded: the holder columns are null), `none`
    # (holds a lock there that blocks nobody, or nobody provably: the waiter columns are null).
    # `lock_type` is that of pg_locks; a row lock (`transactionid`, `tuple`) has the relation of the
    # row where it is known. The sessions identify by pid and start of the backend (`session_of`);
    # a prepared transaction has pid 0. `holder_mode_basis`: `granted` (seen in pg_locks) or
    # `statement` (what its statement takes by PostgreSQL's documentation, and its end shows that it
    # held it) or `candidate` (the same, but when it ended is not logged) or `requested` (it waits
    # for that mode itself).
    # `holder_statement_basis`: `running`, `last` or `recovered`. `wait_end_line` is the log's line
    # that says so, `wait_outcome` how: `granted`, `cancelled` (57014), `lock_timeout` (55P03),
    # `deadlock` (40P01) or `terminated` (57P01). `*_trace_ids` are the ids of requests in a
    # statement's comments or the session's name, by blanks, in the spelling of `trace_ids.py`.
    "locks": _ORIGIN
    | {
        "line": "BIGINT",
        "at": "TIMESTAMPTZ",
        "edge": "VARCHAR",
        "lock_type": "VARCHAR",
        "database": "VARCHAR",
        "relation": "VARCHAR",
        "relation_oid": "BIGINT",
        "waiter_pid": "BIGINT",
        "waiter_session": "VARCHAR",
        "waiter_application": "VARCHAR",
        "waiter_mode": "VARCHAR",
        "waiter_statement": "VARCHAR",
        "waiter_trace_ids": "VARCHAR",
        "wait_start": "TIMESTAMPTZ",
        "wait_end": "TIMESTAMPTZ",
        "wait_end_line": "BIGINT",
        "wait_outcome": "VARCHAR",
        "holder_pid": "BIGINT",
        "holder_session": "VARCHAR",
        "holder_application": "VARCHAR",
        "holder_mode": "VARCHAR",
        "holder_mode_basis": "VARCHAR",
        "holder_state": "VARCHAR",
        "holder_statement": "VARCHAR",
        "holder_statement_basis": "VARCHAR",
        "holder_trace_ids": "VARCHAR",
        "held_since": "TIMESTAMPTZ",
        "held_until": "TIMESTAMPTZ",
    },
    # The recorder's heartbeat: how many sessions were in which state at a server time.
    "session_counts": _ORIGIN
    | {
        "line": "BIGINT",
        "at": "TIMESTAMPTZ",
        "application": "VARCHAR",
        "state": "VARCHAR",
        "wait_event_type": "VARCHAR",
        "wait_event": "VARCHAR",
        "sessions": "BIGINT",
    },
    # How many sessions a monitoring service counted on average in a bucket, by one dimension
    # (`wait_event`, `blocking_session`, `blocking_sql`, `blocking_object`) and one `value` of it.
    "lock_load": _ORIGIN
    | {
        "row": "BIGINT",
        "at": "TIMESTAMPTZ",
        "bucket_seconds": "DOUBLE",
        "dimension": "VARCHAR",
        "value": "VARCHAR",
        "statement": "VARCHAR",
        "sessions": "DOUBLE",
    },
    # What an incident leaves on a live server. `kind`: `invalid_index` (of a build that failed),
    # `statement` (its longest run ever, by pg_stat_statements), `migration` (its tool keeps no time
    # with a zone). None says when.
    "residue": _ORIGIN
    | {
        "row": "BIGINT",
        "at": "TIMESTAMPTZ",
        "kind": "VARCHAR",
        "database": "VARCHAR",
        "relation": "VARCHAR",
        "name": "VARCHAR",
        "statement": "VARCHAR",
        "calls": "BIGINT",
        "max_ms": "DOUBLE",
        "mean_ms": "DOUBLE",
    },
    "relations": _ORIGIN
    | {
        "line": "BIGINT",
        "at": "TIMESTAMPTZ",
        "database": "VARCHAR",
        "relation": "VARCHAR",
        "oid": "BIGINT",
        "reltuples": "DOUBLE",
    },
    # What the server's log says beside lock waits. `kind`: `ddl` (a statement that began),
    # `finished` (its duration), `terminated`, `cancelled`, `lock_timeout`, `deadlock`, `error`.
    "server_events": _ORIGIN
    | {
        "line": "BIGINT",
        "at": "TIMESTAMPTZ",
        "kind": "VARCHAR",
        "pid": "BIGINT",
        "application": "VARCHAR",
        "database": "VARCHAR",
        "sqlstate": "VARCHAR",
        "statement": "VARCHAR",
        "message": "VARCHAR",
        "duration_ms": "DOUBLE",
    },
    # One row a bucket and series; `at` is the bucket's start. A null `value` is missing, not zero.
    # `unit_basis` is what told the unit: `settings`, `payload`, `name`, `suffix` or `buckets`.
    # `ceiling` is the top finite bound of the histogram behind a percentile, in the row's unit: a
    # value there is "at least"; null where no histogram is known to be behind it. `role` is what a
    # gauge counts of a connection pool (`used`, `max`, `pending`), where the question says it.
    "metrics": _ORIGIN
    | {
        "row": "INTEGER",
        "at": "TIMESTAMPTZ",
        "bucket_seconds": "DOUBLE",
        "metric": "VARCHAR",
        "aggregate": "VARCHAR",
        "unit": "VARCHAR",
        "unit_basis": "VARCHAR",
        "owner": "VARCHAR",
        "service": "VARCHAR",
        "method": "VARCHAR",
        "status": "VARCHAR",
        "role": "VARCHAR",
        "value": "DOUBLE",
        "ceiling": "DOUBLE",
    },
    "changes": _ORIGIN
    | {
        "row": "BIGINT",
        "row_last": "BIGINT",
        "at": "TIMESTAMPTZ",
        "until": "TIMESTAMPTZ",
        "kind": "VARCHAR",
        "name": "VARCHAR",
        "title": "VARCHAR",
        "service": "VARCHAR",
        "application": "VARCHAR",
    },
}

# What comes again in row after row of the tables with a row a second and series: each held once.
REPEATED: Mapping[str, frozenset[str]] = {
    "gateway": frozenset({"source", "file", "method", "route", "error_type"}),
    "metrics": frozenset(
        {"source", "file", "bucket_seconds", "metric", "aggregate", "unit", "unit_basis"}
        | {"owner", "service", "method", "status", "role", "ceiling"}
    ),
    "session_counts": frozenset(
        {"source", "file", "application", "state", "wait_event_type", "wait_event"}
    ),
}

# Whole numbers of those tables that every row has.
NEVER_NULL: Mapping[str, frozenset[str]] = {
    "gateway": frozenset({"requests", "line_first", "line_last"}),
    "metrics": frozenset({"row"}),
    "session_counts": frozenset({"line"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """All tables of a case as pandas frames, with the columns of SCHEMAS; none is ever absent."""

    gateway: pd.DataFrame = field(hash=False)
    failures: pd.DataFrame = field(hash=False)
    load_balancer: pd.DataFrame = field(hash=False)
    baseline: pd.DataFrame = field(hash=False)
    locks: pd.DataFrame = field(hash=False)
    session_counts: pd.DataFrame = field(hash=False)
    lock_load: pd.DataFrame = field(hash=False)
    residue: pd.DataFrame = field(hash=False)
    relations: pd.DataFrame = field(hash=False)
    server_events: pd.DataFrame = field(hash=False)
    metrics: pd.DataFrame = field(hash=False)
    changes: pd.DataFrame = field(hash=False)


TABLE_NAMES = tuple(f.name for f in fields(Tables))
