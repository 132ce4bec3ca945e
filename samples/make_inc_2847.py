"""Write samples/inc-2847: what the sources would have answered about INC-2847, as a case folder."""

from __future__ import annotations

import base64
import gzip
import io
import json
import shutil
import sys
import tempfile
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from math import ceil
from pathlib import Path
from random import Random
from uuid import UUID

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # when run as a script
from incident_rca.case import TABLES, write_case
from incident_rca.importing import import_files
from incident_rca.model import Basis, Case, Route, Service, TimeWindow, Topology
from incident_rca.settings import Settings
from samples import inc_2847_truth as truth
from samples.inc_2847_truth import MS, POOL_SIZE, SECOND, Call, Session, at, moment

CASE_ID = "INC-2847"
TITLE = "Orders fail with 502"  # chosen by us
LABEL = "reconstructed from the incident document, not recorded"
WINDOW = ("2026-01-15T14:10:00Z", "2026-01-15T14:55:00Z")
CLOCK_OFFSETS = {  # measured at collection; chosen by us
    "postgres": (-0.05, 0.05),
    "grpc_metrics": (-1.0, 1.0),
    "gateway": (-0.5, 0.5),
    "changes": (-1.0, 1.0),
}
SEED = 2847
CASE = Path(__file__).resolve().parent / "inc-2847"

Row = dict[str, object]
Counts = Counter[tuple[str, str | None, str | None, str | None]]


# The gateway: its access log, and the 24 hours before as counts.

ENDINGS = {  # errorResponseType, errorMessage, integrationErrorMessage
    "backend": ("-", "-", "-"),
    "timeout": ("INTEGRATION_TIMEOUT", "Endpoint request timed out", "-"),
    "authorizer": ("AUTHORIZER_FAILURE", "Internal server error", "-"),
    "network": ("INTEGRATION_FAILURE", *["Network error communicating with endpoint"] * 2),
}
CLIENTS = ("203.0.113.", "198.51.100.")  # chosen by us
BROKEN_AT = tuple(at(f"14:{m}:00.000") for m in ("12", "19", "28", "39", "51"))  # chosen by us
HOURLY_LOAD = (  # percent of the incident's hour, from midnight; chosen by us
    *(31, 24, 18, 15, 14, 17, 25, 39, 58, 74, 86, 93),
    *(97, 98, 100, 101, 99, 95, 92, 90, 84, 70, 54, 41),
)
BASELINE_STATUSES = (  # requests a second at full load; chosen by us
    (truth.ORDERS, {"200": 0.13, "201": 2.05, "400": 0.02}),
    (truth.READS, {"200": 1.48, "404": 0.02}),
    (truth.PAYMENTS, {"200": 0.12, "201": 1.95, "400": 0.01, "429": 0.01}),
    (truth.STATUS, {"200": 0.99, "404": 0.01}),
)
BASELINE_ERRORS = {  # hours after the first bin, route, status: requests; chosen by us
    (2, truth.READS, "504"): 2,
    (4, truth.STATUS, "500"): 1,
    (9, truth.PAYMENTS, "503"): 3,
    (17, truth.READS, "500"): 1,
    (20, truth.PAYMENTS, "504"): 1,
    (23, truth.READS, "503"): 2,
}


def access_row(call: Call, rng: Random) -> dict[str, str]:
    """Give one request as the access log's JSON format writes it: strings only."""
    response_type, message, integration_message = ENDINGS[call.ending]
    backend_status = str(call.status) if call.ending == "backend" else "-"
    latency = call.latency // MS
    integration_latency = "-" if call.ending == "authorizer" else str(latency - rng.randint(1, 4))
    return {
        "requestTimeEpoch": str(call.arrived // MS),
        "requestTime": moment(call.arrived).strftime("%d/Jan/%Y:%H:%M:%S +0000"),
        "requestId": str(UUID(bytes=rng.randbytes(16), version=4)),
        "extendedRequestId": base64.urlsafe_b64encode(rng.randbytes(11)).decode(),
        "httpMethod": call.route.method,
        "resourcePath": call.route.path,
        "status": str(call.status),
        "integrationStatus": backend_status,
        "integration.status": backend_status,
        "integrationLatency": integration_latency,
        "responseLatency": str(latency),
        "errorResponseType": response_type,
        "errorMessage": message,
        "integrationErrorMessage": integration_message,
        "sourceIp": f"{rng.choice(CLIENTS)}{rng.randint(1, 254)}",
    }


def broken(row: dict[str, str], how: int) -> str:
    """Give one row as a line that is no JSON object, in one of five ways."""
    line = dumps(row)
    return (
        line[: len(line) // 2],
        line.replace('"errorMessage":"-"', '"errorMessage":" "Endpoint request timed out""'),
        f"{row['requestTime']} log delivery: 1 record could not be formatted",
        line.replace(
            f'"integrationLatency":"{row["integrationLatency"]}"', '"integrationLatency":-'
        ),
        dumps(list(row.values())),
    )[how]


def access_lines(calls: Sequence[Call], rng: Random) -> Iterator[str]:
    """Yield the access log; five healthy status reads have become unreadable."""
    healthy = [call for call in calls if call.route == truth.STATUS and call.status == 200]
    ended = [call.ended for call in healthy]
    unreadable = {id(healthy[bisect(ended, start)]): how for how, start in enumerate(BROKEN_AT)}
    for call in calls:
        row = access_row(call, rng)
        yield broken(row, unreadable[id(call)]) if id(call) in unreadable else dumps(row)


def baseline_rows(rng: Random) -> Iterator[tuple[str, truth.Route, str, int]]:
    """Yield the requests of each hour, route and status of the 24 hours before the window."""
    start, end = at("14:10:00.000", "2026-01-14"), truth.WINDOW_START
    for k in range(25):
        hour = at("14:00:00.000", "2026-01-14") + k * 3_600 * SECOND
        seconds = (min(hour + 3_600 * SECOND, end) - max(hour, start)) / SECOND
        load = HOURLY_LOAD[moment(hour).hour] / 100 * rng.uniform(0.97, 1.03)
        for route, statuses in BASELINE_STATUSES:
            for status, per_second in statuses.items():
                requests = round(per_second * seconds * load)
                yield f"{moment(hour):%Y-%m-%d %H:%M:%S}.000", route, status, requests
            for (after, failing, status), requests in BASELINE_ERRORS.items():
                if (after, failing) == (k, route):
                    yield f"{moment(hour):%Y-%m-%d %H:%M:%S}.000", route, status, requests


def baseline(rng: Random) -> Row:
    """Give the Logs Insights answer about the 24 hours before the window, in its envelope."""
    rows = [row for row in baseline_rows(rng) if row[3]]
    records = sum(requests for *_, requests in rows)
    names = ("bin(1h)", "httpMethod", "resourcePath", "status", "requests")
    return {
        "service": "cloudwatch_logs",
        "request": {
            "operation": "StartQuery",
            "logGroupNames": ["/aws/apigateway/shop-prod-access"],
            "startTime": at("14:10:00", "2026-01-14") // SECOND,
            "endTime": at("14:09:59") // SECOND,
            "queryString": "stats count(*) as requests"
            " by bin(1h), httpMethod, resourcePath, status",
        },
        "asked_at": "2026-01-15T15:05:12Z",
        "response": {
            "status": "Complete",
            "statistics": {
                "recordsMatched": records,
                "recordsScanned": records,
                "bytesScanned": records * 509,
            },
            "results": [
                [
                    {"field": field, "value": str(value)}
                    for field, value in zip(
                        names, (hour, route.method, route.path, status, requests), strict=True
                    )
                ]
                for hour, route, status, requests in rows
            ],
        },
    }


# PostgreSQL: the flight recorder's file and the server's log.

COLUMNS = {
    "counts": ["application_name", "state", "wait_event_type", "wait_event", "sessions"],
    "locks": [
        *("pid", "locktype", "database", "relation", "page", "tuple", "virtualxid"),
        *("transactionid", "classid", "objid", "objsubid", "virtualtransaction", "mode"),
        *("granted", "fastpath", "waitstart"),
    ],
    "sessions": [
        *("pid", "backend_start", "leader_pid", "database", "application_name", "backend_type"),
        *("state", "wait_event_type", "wait_event", "xact_start", "query_start", "state_change"),
        *("query", "blocking_pids"),
    ],
    "relations": ["database", "oid", "schema", "relation", "kind", "reltuples"],
    "databases": ["oid", "database"],
}
SERVER = {  # chosen by us
    "version": "16.14",
    "version_num": 160014,
    "cluster": "inventory-db",
    "database": "inventory",
    "max_connections": 200,
    "deadlock_timeout_ms": 1000,
    "track_activity_query_size": 1024,
    "log_lock_waits": True,
}
DATABASE_OID = 16402  # chosen by us
REFILL = 10 * SECOND  # chosen by us: how long the pool took to fill again
OTHER_CLIENTS = {"fulfillment-worker": 3, "reporting": 1, "warehouse-sync": 1}  # chosen by us
BACKGROUND = (  # chosen by us
    "AutoVacuumMain",
    "BgWriterHibernate",
    "CheckpointerMain",
    "WalWriterMain",
)


def stamp(us: int | None) -> str | None:
    """Write a moment as the recorder does."""
    return None if us is None else f"{moment(us):%Y-%m-%dT%H:%M:%S.%fZ}"


def counts(now: int, everyone: Sequence[Session], rng: Random) -> list[list[object]]:
    """Count the server's sessions by application, state and wait event."""
    found: Counts = Counter((s.application, *s.state(now)) for s in everyone if s.present(now))
    busy = Counter(application for application, *_ in found.elements())
    returned = (now - truth.TERMINATED) / REFILL
    pool = POOL_SIZE if returned < 0 or returned > 1 else round(POOL_SIZE * returned)
    working = min(pool - busy["inventory-service"], rng.randint(2, 3))
    found["inventory-service", "active", None, None] += working
    busy["inventory-service"] += working
    if truth.MIGRATION_CONNECTED <= now < truth.INDEX_STARTED:
        found["migrate", "active", None, None] = 1
    for application, size in {**OTHER_CLIENTS, "inventory-service": pool}.items():
        found[application, "idle", *truth.CLIENT_READ] += size - busy[application]
    found.update({("", None, "Activity", event): 1 for event in BACKGROUND})
    rows: list[list[object]] = [[*key, sessions] for key, sessions in found.items() if sessions]
    return sorted(rows, key=str)


def lock_rows(session: Session, now: int) -> Iterator[list[object]]:
    """Yield the rows of pg_locks for one session."""
    pid, vxid, mode = session.pid, session.vxid, session.mode
    waits = session.waits(now)
    none = [None] * 3
    yield [
        pid,
        "virtualxid",
        *none,
        None,
        vxid,
        *none,
        None,
        vxid,
        "ExclusiveLock",
        True,
        True,
        None,
    ]
    if session.xid and not waits:
        xid = ["transactionid", *none, None, None, session.xid, *none]
        yield [pid, *xid, vxid, "ExclusiveLock", True, False, None]
    relation = ["relation", DATABASE_OID, session.relation, *none, None, *none]
    waitstart = stamp(session.since) if waits else None
    yield [pid, *relation, vxid, mode, not waits, False, waitstart]


def session_row(session: Session, now: int) -> list[object]:
    """Give the row of pg_stat_activity for one session."""
    state = session.state(now)
    changed = session.idle if state[0] == "idle in transaction" else session.begun
    return [
        *(session.pid, stamp(session.connected), None, "inventory", session.application),
        *("client backend", *state, stamp(session.begun), stamp(session.begun), stamp(changed)),
        *(session.query, list(session.blockers) if session.waits(now) else None),
    ]


def snapshot(now: int, everyone: Sequence[Session], contended: set[int]) -> Row:
    """Give a full snapshot of locks and sessions."""
    present = [session for session in everyone if session.present(now)]
    return {
        "kind": "snapshot",
        "locks_at": stamp(now),
        "sessions_at": stamp(now + 2 * MS),
        "locks": [row for session in present for row in lock_rows(session, now)],
        "sessions": [session_row(session, now) for session in present],
        "relations": [truth.RELATIONS[oid] for oid in sorted(contended)],
        "databases": [[DATABASE_OID, "inventory"]],
        "prepared": [],
    }


def recording(everyone: Sequence[Session], rng: Random) -> Iterator[Row]:
    """Yield the flight recorder's lines: a probe each second, a snapshot while somebody waits."""
    yield {
        "kind": "header",
        "format": "incident-rca/lock-recording",
        "format_version": 1,
        "recorder_version": "0.1.0",
        "started_at": stamp(truth.WINDOW_START),
        "interval_seconds": 1.0,
        "server": SERVER,
        "visibility": "full",
        "columns": COLUMNS,
    }
    before: set[int] = set()
    for second in range(truth.WINDOW_START, truth.WINDOW_END, SECOND):
        now = second + 200 * MS + rng.randint(0, 45_000)
        waiting = [session for session in everyone if session.waits(now)]
        yield {
            "kind": "probe",
            "at": stamp(now),
            "waiting": len(waiting),
            "counts": counts(now, everyone, rng),
        }
        contended = {session.relation for session in waiting}
        if contended or before:
            yield snapshot(now + rng.randint(3_000, 6_000), everyone, contended or before)
        before = contended


ROLES = {  # application: role and database; chosen by us
    "inventory-service": ("inventory_app", "inventory"),
    "migrate": ("inventory_ddl", "inventory"),
    "warehouse-sync": ("inventory_ddl", "inventory"),  # this role logs every duration
    "fulfillment-worker": ("fulfillment", "inventory"),
    "account-service": ("accounts_app", "accounts"),
}
DURATION_PRINTED = 345  # chosen by us: microseconds from the release to the line
LONG_LIVED = at("09:12:40.000")  # chosen by us: when the server's own processes started
SIGN_UPS = ("ada@example.com", "m.okafor@example.org", "lin.tran@example.net")  # chosen by us
SIGN_UP = "INSERT INTO accounts (email, display_name) VALUES ($1, $2)"


def log_entry(now: int, pid: int, connected: int, message: str, **more: object) -> Row:
    """Give a line of the jsonlog: the server's keys in its order, absent ones left out."""
    application = more.get("application_name")
    user, database = ROLES[str(application)] if application else (None, None)
    started = moment(connected)
    entry: Row = {
        "timestamp": f"{moment(now):%Y-%m-%d %H:%M:%S}.{now // MS % 1_000:03d} UTC",
        "user": user,
        "dbname": database,
        "pid": pid,
        "remote_host": f"192.0.2.{pid % 20 + 10}" if application else None,
        "remote_port": 32_768 + pid % 28_000 if application else None,
        "session_id": f"{connected // SECOND:x}.{pid:x}",
        "line_num": 0,
        "ps": None,
        "session_start": f"{started:%Y-%m-%d %H:%M:%S} UTC",
        "vxid": None,
        "txid": 0,
        "error_severity": "LOG",
        "state_code": None,
        "message": message,
        "detail": None,
        "statement": None,
        "cursor_position": None,
        "application_name": None,
        "backend_type": "client backend",
        "query_id": 0,
    }
    return {key: value for key, value in (entry | more).items() if value is not None}


def entry_of(session: Session, now: int, message: str, **more: object) -> tuple[int, Row]:
    """Give a line of the log that one session wrote."""
    who = {"vxid": session.vxid, "application_name": session.application}
    return now, log_entry(now, session.pid, session.connected, message, **who | more)


def log_of_ddl(session: Session) -> Iterator[tuple[int, Row]]:
    """Yield the statement and, after its transaction, the duration of one DDL command."""
    ended = session.ended + DURATION_PRINTED
    command = " ".join(session.query.split()[:2])
    duration = f"duration: {(ended - session.begun) / MS:.3f} ms"
    yield entry_of(session, session.begun, f"statement: {session.query}", ps="idle")
    yield entry_of(session, ended, duration, ps=command, vxid=f"{session.vxid.split('/')[0]}/0")


def log_of_wait(session: Session, everyone: Sequence[Session]) -> Iterator[tuple[int, Row]]:
    """Yield what log_lock_waits says: every holder, even one that blocks nobody, and the queue."""
    since = session.since or 0
    told = since + SECOND + 60 + session.pid * 37 % 700
    rivals = [other for other in everyone if other.relation == session.relation]
    holders = [str(other.pid) for other in reversed(rivals) if other.granted <= told < other.ended]
    queue = [str(other.pid) for other in rivals if other.waits(told)]
    holding = "Processes" if len(holders) > 1 else "Process"
    lock = f"{session.mode} on relation {session.relation} of database {DATABASE_OID}"
    more: Row = {
        "ps": f"{session.query.split()[0]} waiting",
        "statement": session.query,
        "cursor_position": session.query.index(truth.RELATIONS[session.relation][3]) + 1,
    }
    message = f"process {session.pid} still waiting for {lock} after {(told - since) / MS:.3f} ms"
    detail = f"{holding} holding the lock: {', '.join(holders)}. Wait queue: {', '.join(queue)}."
    yield entry_of(session, told, message, detail=detail, **more)
    waited = (session.granted - since) / MS
    message = f"process {session.pid} acquired {lock} after {waited:.3f} ms"
    yield entry_of(session, session.granted, message, **more)


def log_of(session: Session, everyone: Sequence[Session]) -> Iterator[tuple[int, Row]]:
    """Yield what the server logged about one session that held or awaited a lock."""
    if session.application in ("migrate", "warehouse-sync"):
        yield from log_of_ddl(session)
    if session.since is not None:
        yield from log_of_wait(session, everyone)
    if session.application == "inventory-service":
        yield entry_of(
            session,
            session.ended,
            "terminating connection due to administrator command",
            ps="idle in transaction",
            txid=session.xid,
            error_severity="FATAL",
            state_code="57P01",
        )


def log_noise(rng: Random) -> Iterator[tuple[int, Row]]:
    """Yield the log lines of ordinary life: checkpoints, autovacuum, an account that exists."""
    for k, start in enumerate(range(at("14:11:07.412"), truth.WINDOW_END, 300 * SECOND)):
        write, buffers = rng.randint(262_000, 269_900), rng.randint(1_900, 6_200)
        end = start + (write + 41) * MS
        distance = rng.randint(21_000, 64_000)
        done = (
            f"checkpoint complete: wrote {buffers} buffers ({buffers / 5242.88:.1f}%);"
            f" 0 WAL file(s) added, 0 removed, {distance // 16_384} recycled;"
            f" write={write / MS:.3f} s, sync=0.012 s, total={(write + 41) / MS:.3f} s;"
            f" sync files={rng.randint(31, 90)}, longest=0.006 s, average=0.001 s;"
            f" distance={distance} kB, estimate={distance + 3_117} kB;"
            f" lsn=2A/{0x5C0012F8 + k * 0x2C51000:X}, redo lsn=2A/{0x5B00E440 + k * 0x2C51000:X}"
        )
        for now, message in ((start, "checkpoint starting: time"), (end, done)):
            if now < truth.WINDOW_END:
                yield now, log_entry(now, 812, LONG_LIVED, message, backend_type="checkpointer")
    for k, start in enumerate(range(at("14:12:31.088"), truth.WINDOW_END, 420 * SECOND)):
        hits, misses, dirtied = (
            rng.randint(*bounds) for bounds in ((900, 9_000), (3, 160), (1, 40))
        )
        elapsed = rng.uniform(0.2, 1.4)
        message = (
            f'automatic analyze of table "inventory.public.{("carts", "cart_items")[k % 2]}"\n'
            f"avg read rate: {misses / 128 / elapsed:.3f} MB/s,"
            f" avg write rate: {dirtied / 128 / elapsed:.3f} MB/s\n"
            f"buffer usage: {hits} hits, {misses} misses, {dirtied} dirtied\n"
            f"system usage: CPU: user: {elapsed / 6:.2f} s, system: 0.00 s,"
            f" elapsed: {elapsed:.2f} s"
        )
        more = {"vxid": f"5/{2_610 + k * 31}", "txid": 7_339_004 + k * 190}
        pid = 46_900 + k * 311
        yield (
            start,
            log_entry(
                start, pid, start - SECOND, message, backend_type="autovacuum worker", **more
            ),
        )
    for k, (clock, email) in enumerate(
        zip(("14:13:52", "14:34:09", "14:50:27"), SIGN_UPS, strict=True)
    ):
        now = at(f"{clock}.{rng.randint(0, 999):03d}")
        yield (
            now,
            log_entry(
                now,
                47_310 + k,
                at("13:38:19.700"),
                'duplicate key value violates unique constraint "accounts_email_key"',
                ps="INSERT",
                vxid=f"{71 + k}/{rng.randint(300, 900)}",
                txid=7_339_500 + k * 611,
                error_severity="ERROR",
                state_code="23505",
                detail=f"Key (email)=({email}) already exists.",
                statement=SIGN_UP,
                application_name="account-service",
            ),
        )


def server_log(everyone: Sequence[Session], rng: Random) -> Iterator[Row]:
    """Yield the server's log in order of time, lines numbered by process."""
    told = [line for session in everyone for line in log_of(session, everyone)]
    lines: Counter[object] = Counter()
    for _, entry in sorted([*told, *log_noise(rng)], key=lambda line: line[0]):
        lines[entry["session_id"]] += 1
        yield entry | {"line_num": lines[entry["session_id"]]}


# Datadog: gRPC calls, the pool, and the changes.

BUCKET = 10 * SECOND  # chosen by us
BUCKETS = range(truth.WINDOW_START, truth.WINDOW_END, BUCKET)
ASKED_AT = "2026-01-15T15:05:14Z"  # chosen by us
MILLISECOND = {
    "family": "time",
    "name": "millisecond",
    "plural": "milliseconds",
    "short_name": "ms",
    "scale_factor": 0.001,
    "id": 10,
}
RPC_TAGS = {  # chosen by us, but for Reserve
    "reserve": ("order-service", "inventory.inventory"),
    "createintent": ("order-service", "payments.payments"),
    "quote": ("catalog-service", "pricing.pricing"),
}
LOST_POINTS = {11: 0, 42: 1, 58: 2, 240: 0, 256: 1}  # bucket: series; chosen by us

Rpc = tuple[str, str, int, int]  # method, status, recorded at, duration
Series = tuple[list[str], int, list[float | None]]  # tags, query, one value a bucket


def rpcs(calls: Iterable[Call], rng: Random) -> Iterator[Rpc]:
    """Yield every gRPC call, recorded when it ended."""
    methods = {truth.ORDERS: "reserve", truth.PAYMENTS: "createintent"}
    for call in calls:
        if call.rpc is not None:
            yield methods[call.route], call.rpc_status, call.rpc_ended, call.rpc
    for ended in truth.arrivals(rng, truth.WINDOW_START, truth.WINDOW_END, 4.2):
        yield "quote", "ok", ended, truth.skewed(rng, 6, 30, 11)


def rpc_tags(method: str) -> list[str]:
    """Give the tags of a method's series."""
    service, package = RPC_TAGS[method]
    return [f"service:{service}", f"rpc.service:{package}", f"rpc.method:{method}"]


def p99_series(recorded: Sequence[Rpc]) -> Iterator[Series]:
    """Yield the 99th percentile by method, null where nothing ended."""
    for method in RPC_TAGS:
        ended: dict[int, list[int]] = defaultdict(list)
        for name, _, end, duration in recorded:
            if name == method:
                ended[end - end % BUCKET].append(duration)
        ranked = [sorted(ended[bucket]) for bucket in BUCKETS]
        yield (
            rpc_tags(method),
            0,
            [some[ceil(0.99 * len(some)) - 1] / MS if some else None for some in ranked],
        )


def count_series(recorded: Sequence[Rpc]) -> Iterator[Series]:
    """Yield the number of calls by method and status, null where there were none."""
    found = Counter((method, status, end - end % BUCKET) for method, status, end, _ in recorded)
    for method, status in sorted({(method, status) for method, status, *_ in recorded}):
        values = [found[method, status, bucket] or None for bucket in BUCKETS]
        yield [*rpc_tags(method), f"grpc.status:{status}"], 0, list(values)


def pool_series(
    calls: Sequence[Call], everyone: Sequence[Session], rng: Random
) -> Iterator[Series]:
    """Yield the pool's used, largest and awaited connections: the maximum of each bucket."""
    held = [session for session in everyone if session.application == "inventory-service"]
    began, ended = [], []
    for call in calls:
        queued = call.route == truth.READS and call.status in (503, 504)
        late = call.route in (truth.ORDERS, truth.READS) and call.latency > SECOND
        if (queued or late) and call.arrived >= truth.QUIET_READS[0][1]:
            began.append(call.arrived)
            wait = truth.CUT_AFTER if queued and call.status == 504 else call.latency
            ended.append(min(call.arrived + wait, truth.POOL_FREE))
    began.sort()
    ended.sort()
    used: list[float | None] = []
    pending: list[float | None] = []
    for bucket in BUCKETS:
        moments = range(bucket, bucket + BUCKET, SECOND)
        taken = sum(h.since < bucket + BUCKET and bucket < h.ended for h in held if h.since)
        used.append(min(POOL_SIZE, taken + rng.randint(2, 6)))
        pending.append(max(bisect(began, now) - bisect(ended, now) for now in moments))
    limits: list[float | None] = [POOL_SIZE] * len(BUCKETS)
    for query, values in enumerate((used, limits, pending)):
        for bucket, series in LOST_POINTS.items():
            values[bucket] = None if series == query else values[bucket]
        yield ["pool.name:inventory-db"], query, values


def timeseries(queries: Sequence[str], series: Iterable[Series], unit: list[object] | None) -> Row:
    """Give a Datadog v2 timeseries answer in its envelope."""
    asked = dict(zip("abc", queries, strict=False))
    found = list(series)
    attributes = {
        "from": truth.WINDOW_START // MS,
        "to": truth.WINDOW_END // MS,
        "interval": BUCKET // MS,
        "formulas": [{"formula": name} for name in asked],
        "queries": [
            {"data_source": "metrics", "name": name, "query": query}
            for name, query in asked.items()
        ],
    }
    return {
        "service": "datadog",
        "request": {
            "method": "POST",
            "path": "/api/v2/query/timeseries",
            "body": {"data": {"type": "timeseries_request", "attributes": attributes}},
        },
        "asked_at": ASKED_AT,
        "response": {
            "data": {
                "type": "timeseries_response",
                "attributes": {
                    "series": [
                        {"group_tags": tags, "query_index": query, "unit": unit}
                        for tags, query, _ in found
                    ],
                    "times": [bucket // MS for bucket in BUCKETS],
                    "values": [values for *_, values in found],
                },
            }
        },
    }


MIGRATION = "20260115_add_reservation_expiry_index"  # chosen by us, like the times of the events
CHANGES = (
    (
        at("14:16:20.000"),
        "deployed search-service 4.11.2",
        "Rolling update of search-service finished, all replicas ready",
        "search-service-4.11.2",
        "search-service",
        ("change:deployment", "phase:finished"),
    ),
    (
        at("14:22:58.412"),
        f"migration {MIGRATION} started",
        "Applying 1 migration to inventory-db",
        MIGRATION,
        "inventory",
        ("change:migration", "phase:started", "application:migrate"),
    ),
    (
        at("14:27:01.020"),
        f"migration {MIGRATION} finished",
        "Applied 1 migration to inventory-db",
        MIGRATION,
        "inventory",
        ("change:migration", "phase:finished", "application:migrate"),
    ),
)


def changes(rng: Random) -> Row:
    """Give the Datadog events about migrations and deployments, in their envelope."""
    return {
        "service": "datadog",
        "request": {
            "method": "GET",
            "path": "/api/v2/events",
            "params": {
                "filter[query]": "source:(migrations OR argocd)",
                "filter[from]": WINDOW[0],
                "filter[to]": WINDOW[1],
                "sort": "timestamp",
            },
        },
        "asked_at": "2026-01-15T15:05:16Z",
        "response": {
            "data": [
                {
                    "id": "AZ" + base64.urlsafe_b64encode(rng.randbytes(24)).decode(),
                    "type": "event",
                    "attributes": {
                        "timestamp": f"{moment(now):%Y-%m-%dT%H:%M:%S}.{now // MS % 1_000:03d}Z",
                        "message": message,
                        "tags": [*tags[:2], f"service:{service}", "env:prod", *tags[2:]],
                        "attributes": {
                            "title": title,
                            "timestamp": now // MS,
                            "service": service,
                            "aggregation_key": key,
                            "status": "info",
                        },
                    },
                }
                for now, title, message, key, service, tags in CHANGES
            ],
            "meta": {"status": "done", "page": {}},
        },
    }


def dumps(value: object) -> str:
    """Write JSON on one line, without blanks."""
    return json.dumps(value, separators=(",", ":"))


def packed(lines: Iterable[str]) -> bytes:
    """Compress lines so that the same lines give the same bytes."""
    target = io.BytesIO()
    with gzip.GzipFile("", "wb", compresslevel=9, fileobj=target, mtime=0) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())
    return target.getvalue()


def raw_files(rng: Random) -> dict[str, bytes]:
    """Give the content of every raw file by its name."""
    calls, everyone = truth.all_calls(rng), truth.sessions(rng)
    recorded = list(rpcs(calls, rng))
    rpc = "grpc.client.duration{env:prod} by {service,rpc.service,rpc.method"
    pool = "{service:inventory-service} by {pool.name}"
    pool_queries = (
        "max:db.client.connections.usage{service:inventory-service,state:used} by {pool.name}",
        f"max:db.client.connections.max{pool}",
        f"max:db.client.connections.pending_requests{pool}",
    )
    documents = {
        "baseline-24h.insights.json": baseline(rng),
        "grpc-p99.datadog.json": timeseries(
            [f"p99:{rpc}}}"], p99_series(recorded), [MILLISECOND, None]
        ),
        "grpc-count.datadog.json": timeseries(
            [f"count:{rpc},grpc.status}}.as_count()"], count_series(recorded), None
        ),
        "pool.datadog.json": timeseries(pool_queries, pool_series(calls, everyone, rng), None),
        "changes.datadog.json": changes(rng),
    }
    return {
        "access.ndjson.gz": packed(access_lines(calls, rng)),
        "locks.recording.ndjson.gz": packed(map(dumps, recording(everyone, rng))),
        "postgresql.jsonlog.gz": packed(map(dumps, server_log(everyone, rng))),
        **{name: f"{dumps(answer)}\n".encode() for name, answer in documents.items()},
    }


def topology() -> Topology:
    """What calls what: the document's architecture, with names and limits chosen by us."""
    reserve, intent = "inventory.Inventory/Reserve", "payments.Payments/CreateIntent"
    orders = Route(method="POST", path="/api/orders", calls=(reserve,), timeout_seconds=60)
    return Topology(
        services=(
            Service(
                name="inventory",
                grpc=(reserve,),
                tables=("public.stock_reservations",),
                pool_size=100,
            ),
            Service(name="payments", grpc=(intent,)),
        ),
        routes=(
            orders,
            Route(method="GET", path="/api/inventory/{sku}", calls=(reserve,), timeout_seconds=29),
            Route(
                method="POST",
                path="/api/payments/intent",
                calls=(intent,),
                follows=(orders.name,),
                timeout_seconds=29,
            ),
            Route(method="GET", path="/api/orders/{id}", timeout_seconds=29),
        ),
    )


def as_case(imported: Case) -> Case:
    """The manifest as collection would have written it: named, labelled, with measured offsets."""
    return replace(
        imported,
        id=CASE_ID,
        title=TITLE,
        note=LABEL,
        sources=tuple(
            replace(
                source,
                clock_offset_seconds=CLOCK_OFFSETS[source.system],
                clock_offset_basis=Basis.OBSERVED,
            )
            for source in imported.sources
        ),
    )


def main() -> None:
    """Write every raw file anew, and case.json by importing them; print their sizes."""
    shutil.rmtree(CASE, ignore_errors=True)
    files = raw_files(Random(SEED))
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
            print(f"{len(content):>9,}  {name}")
        window = TimeWindow(*(datetime.fromisoformat(instant) for instant in WINDOW))
        done = import_files(
            CASE,
            [Path(folder) / name for name in sorted(files)],
            settings=Settings(topology=topology()),
            window=window,
        )
    shutil.rmtree(CASE / TABLES)
    write_case(CASE, as_case(done.case))
    print(f"{sum(map(len, files.values())):>9,}  in all")


if __name__ == "__main__":
    main()
