"""What happened in INC-2847, as constants, and the requests and sessions that follow from them."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS, SECOND = 1_000, 1_000_000  # every time and duration here is whole microseconds


def at(clock: str, date: str = "2026-01-15") -> int:
    """Give the microseconds since the epoch of a UTC time of day."""
    return (datetime.fromisoformat(f"{date}T{clock}+00:00") - EPOCH) // timedelta(microseconds=1)


def moment(us: int) -> datetime:
    """Give the UTC date and time of microseconds since the epoch."""
    return EPOCH + timedelta(microseconds=us)


# The window and the outage.
WINDOW_START, WINDOW_END = at("14:10:00.000"), at("14:55:00.000")  # chosen by us
FIRST_FAILURE, LAST_FAILURE = at("14:23:01.000"), at("14:46:18.000")
FAILED_ORDERS = 1_247
POOL_SIZE = 100  # the first hundred orders fill the pool
FILL_STEP = 45 * SECOND // POOL_SIZE
SECOND_PHASE = at("14:23:46.700")  # chosen by us: the first order that finds the pool taken
CUT_AFTER = 30 * SECOND  # an idle timeout at first, the pool's acquire timeout later: chosen by us
READ_LIMIT = 29 * SECOND  # chosen by us: the gateway's limit on every route but orders
NETWORK_FAILURES = 38  # chosen by us: the gateway's own 502s among the orders'
AUTHORIZER_FAILURES = 9  # chosen by us
READ_503_SHARE = 0.05  # chosen by us

# The lock, and what sustained the outage after it.
LOCK_TAKEN, LOCK_RELEASED = at("14:23:00.600"), at("14:27:00.600")  # chosen by us: the moments
MIGRATION_PID = 48291
MIGRATION_CONNECTED = at("14:22:57.031")  # chosen by us
INDEX_STARTED = at("14:23:00.588")  # chosen by us
CREATE_INDEX = "CREATE INDEX idx_reservations_expiry ON stock_reservations (expires_at)"
TERMINATED = at("14:46:48.060")  # chosen by us, like every exact moment of the recovery
POOL_FREE, RECOVERED = at("14:46:48.100"), at("14:46:48.900")

# Ordinary life. All chosen by us.
QUIET_ORDERS = (at("14:23:00.500"), at("14:46:19.200"))  # no order between a bound and the outage
QUIET_READS = ((at("14:23:45.500"), at("14:23:46.200")), (at("14:46:17.900"), at("14:46:19.200")))
ORDERS_PER_SECOND, OUTAGE_ORDERS_PER_SECOND, RETURNING_ORDERS_PER_SECOND = 2.2, 0.85, 1.4
READS_PER_SECOND, STATUS_PER_SECOND = 1.5, 1.0
BACK_TO_NORMAL = at("14:47:40.000")
PAYMENT_SHARE, PAYMENT_DELAY = 0.95, (800 * MS, 3_000 * MS)
NOISE_SHARE = 0.01
EXHAUSTED_AT, EXHAUSTED_ORDERS = at("14:15:00.000"), (0, 7, 15)  # three 429s of a busy moment
UNRELATED_500, UNRELATED_503 = at("14:12:44.318"), at("14:13:20.907")


class Route(NamedTuple):
    """One route of the gateway, with the client errors it sees in ordinary life."""

    method: str
    path: str
    noise: tuple[int, ...]


ORDERS = Route("POST", "/api/orders", (400,))
READS = Route("GET", "/api/inventory/{sku}", (404,))
PAYMENTS = Route("POST", "/api/payments/intent", (400, 429))
STATUS = Route("GET", "/api/orders/{id}", (404,))


@dataclass(frozen=True)
class Call:
    """One request as the gateway saw it, and the gRPC call it caused, if any."""

    route: Route
    arrived: int
    latency: int
    status: int
    ending: str = "backend"
    rpc: int | None = None
    rpc_status: str = "ok"

    @property
    def ended(self) -> int:
        """Give the moment of the response."""
        return self.arrived + self.latency

    @property
    def rpc_ended(self) -> int:
        """Give the moment at which the gRPC call was recorded."""
        return self.arrived + 3 * MS + (self.rpc or 0)


def millis(rng: Random, low: float, high: float) -> int:
    """Draw whole milliseconds, in microseconds."""
    return rng.randint(round(low), round(high)) * MS


def skewed(rng: Random, low: int, high: int, usual: int) -> int:
    """Draw a duration in milliseconds with a usual value, in microseconds."""
    return round(rng.triangular(low, high, usual) * MS)


def arrivals(rng: Random, start: int, end: int, per_second: float) -> Iterator[int]:
    """Yield random arrivals at a mean rate."""
    arrived = start
    while (arrived := arrived + round(rng.expovariate(per_second) * 1_000) * MS) < end:
        yield arrived


def healthy(rng: Random, route: Route, arrived: int, latency: int, rpc: int | None = None) -> Call:
    """Give a request of ordinary life, now and then with a client error."""
    if rng.random() < NOISE_SHARE:
        return Call(route, arrived, millis(rng, 8, 20), rng.choice(route.noise))
    ok = 200 if route.method == "GET" or rng.random() < 0.06 else 201
    return Call(route, arrived, latency, ok, rpc=rpc)


def healthy_orders(rng: Random, moments: Iterator[int]) -> Iterator[Call]:
    """Yield orders that reserve stock within a few ten milliseconds."""
    for arrived in moments:
        rpc = skewed(rng, 9, 60, 20)
        yield healthy(rng, ORDERS, arrived, rpc // MS * MS + millis(rng, 15, 45), rpc)


def failing_moments(rng: Random) -> list[int]:
    """Give the arrivals of all failing orders: a hundred fill the pool, the others follow it."""
    filling = [FIRST_FAILURE + k * FILL_STEP for k in range(POOL_SIZE)]
    others = FAILED_ORDERS - POOL_SIZE - 1
    step = (LAST_FAILURE - SECOND_PHASE) / others
    jittered = [
        SECOND_PHASE + round(k * step / MS) * MS + millis(rng, -350, 350) for k in range(1, others)
    ]
    return [*filling, SECOND_PHASE, *jittered, LAST_FAILURE]


def failing_orders(rng: Random) -> Iterator[Call]:
    """Yield the orders that were cut after thirty seconds and answered with 502."""
    network = set(rng.sample(range(FAILED_ORDERS), NETWORK_FAILURES))
    for k, arrived in enumerate(failing_moments(rng)):
        rpc = CUT_AFTER + rng.randint(0, 40 * MS)
        latency = rpc // MS * MS + millis(rng, 5, 20)
        ending = "network" if k in network else "backend"
        code = "unavailable" if k < POOL_SIZE else "internal"
        yield Call(ORDERS, arrived, latency, 502, ending, rpc, code)


def released(rng: Random, arrived: int) -> int:
    """Give the moment at which a call that waits for the pool is served at last, in turn."""
    waited_from = QUIET_ORDERS[1]
    turn = (arrived - waited_from) / (POOL_FREE - waited_from)
    return POOL_FREE + round(turn * 750) * MS + millis(rng, 0, 40)


def order_calls(rng: Random) -> list[Call]:
    """Give every order of the window."""
    before = list(
        healthy_orders(rng, arrivals(rng, WINDOW_START, QUIET_ORDERS[0], ORDERS_PER_SECOND))
    )
    busy = bisect([call.arrived for call in before], EXHAUSTED_AT)
    for k in EXHAUSTED_ORDERS:
        refused = before[busy + k]
        before[busy + k] = Call(
            ORDERS, refused.arrived, 21 * MS, 429, rpc=6 * MS, rpc_status="resource_exhausted"
        )
    waiting = []
    for arrived in arrivals(rng, QUIET_ORDERS[1], POOL_FREE, OUTAGE_ORDERS_PER_SECOND):
        latency = released(rng, arrived) - arrived
        waiting.append(Call(ORDERS, arrived, latency, 201, rpc=latency - millis(rng, 8, 20)))
    returning = arrivals(rng, RECOVERED, BACK_TO_NORMAL, RETURNING_ORDERS_PER_SECOND)
    normal = arrivals(rng, BACK_TO_NORMAL, WINDOW_END, ORDERS_PER_SECOND)
    after = [*healthy_orders(rng, returning), *healthy_orders(rng, normal)]
    return [*before, *failing_orders(rng), *waiting, *after]


def read_calls(rng: Random) -> Iterator[Call]:
    """Yield the stock reads: failing while the pool is empty, the last of them served late."""
    fine_until, fails_until = QUIET_READS[0][0], QUIET_READS[1][0]
    moments = [
        arrived
        for arrived in arrivals(rng, WINDOW_START, WINDOW_END, READS_PER_SECOND)
        if not any(start < arrived < end for start, end in QUIET_READS)
    ]
    failing = [arrived for arrived in moments if fine_until < arrived <= fails_until]
    refused = set(rng.sample(failing, AUTHORIZER_FAILURES))
    for arrived in moments:
        if arrived in refused:
            yield Call(READS, arrived, millis(rng, 10, 60), 500, "authorizer")
        elif fine_until < arrived <= fails_until and rng.random() < READ_503_SHARE:
            yield Call(READS, arrived, millis(rng, 28_000, 28_900), 503)
        elif fine_until < arrived <= fails_until:
            yield Call(READS, arrived, READ_LIMIT + millis(rng, 0, 12), 504, "timeout")
        elif fails_until < arrived < POOL_FREE:
            yield Call(READS, arrived, released(rng, arrived) - arrived, 200)
        else:
            yield healthy(rng, READS, arrived, skewed(rng, 5, 40, 11) // MS * MS)


def payment_calls(rng: Random, orders: Sequence[Call]) -> Iterator[Call]:
    """Yield the payment intents: each follows an order that succeeded."""
    for order in orders:
        arrived = order.ended + millis(rng, PAYMENT_DELAY[0] / MS, PAYMENT_DELAY[1] / MS)
        if order.status < 400 and arrived < WINDOW_END and rng.random() < PAYMENT_SHARE:
            rpc = skewed(rng, 25, 90, 45)
            yield healthy(rng, PAYMENTS, arrived, rpc // MS * MS + millis(rng, 15, 40), rpc)
    yield Call(PAYMENTS, UNRELATED_503, 61 * MS, 503)


def status_calls(rng: Random) -> Iterator[Call]:
    """Yield the reads of an order's status, which need neither stock nor its pool."""
    for arrived in arrivals(rng, WINDOW_START, WINDOW_END, STATUS_PER_SECOND):
        yield healthy(rng, STATUS, arrived, skewed(rng, 8, 60, 17) // MS * MS)
    yield Call(STATUS, UNRELATED_500, 34 * MS, 500)


def all_calls(rng: Random) -> list[Call]:
    """Give every request of the window, in the order in which they ended."""
    orders = order_calls(rng)
    calls = [*orders, *read_calls(rng), *payment_calls(rng, orders), *status_calls(rng)]
    return sorted(calls, key=lambda call: (call.ended, call.arrived, call.route))


# The database. Names, numbers and moments are chosen by us; the document names the one table.
RESERVATIONS, SHIPMENTS = 16437, 16502
RELATIONS = {
    RESERVATIONS: ("inventory", RESERVATIONS, "public", "stock_reservations", "r", 4_200_000.0),
    SHIPMENTS: ("inventory", SHIPMENTS, "public", "warehouse_shipments", "r", 51_000.0),
}
FIRST_POOL_PID = 48010
POOL_STARTED = at("13:55:02.140")
RESERVE = (
    "INSERT INTO stock_reservations (sku, qty, cart_id, expires_at)"
    " VALUES ($1, $2, $3, now() + interval '15 minutes')"
)
RESERVE_WITH_LITERALS = (
    "INSERT INTO stock_reservations (sku, qty, customer_email, expires_at)"
    " VALUES ('{}', {}, '{}', now() + interval '15 minutes')"
)
CUSTOMERS = (
    ("WH-1000XM5", 2, "ada@example.com"),
    ("KB-K380-GR", 1, "grace.h@example.net"),
    ("USB4-DOCK-12", 3, "l.torvik@example.org"),
)
COUNT_STOCK = "SELECT count(*) FROM stock_reservations WHERE status = 'available'"
ADD_NOTE = "ALTER TABLE warehouse_shipments ADD COLUMN carrier_note text"
PACK = "UPDATE warehouse_shipments SET state = 'packed' WHERE id = $1"


CLIENT_READ = ("Client", "ClientRead")  # the wait of every session that is idle


@dataclass(frozen=True)
class Session:
    """One database session that held or awaited a lock, through one transaction."""

    pid: int
    application: str
    connected: int
    begun: int
    query: str
    relation: int
    mode: str
    granted: int
    ended: int
    vxid: str
    xid: int | None = None
    idle: int = WINDOW_END  # when its statement ended and the transaction stayed open
    since: int | None = None  # when it began to wait
    blockers: tuple[int, ...] = ()

    def present(self, now: int) -> bool:
        """Say whether its transaction is open."""
        return self.begun <= now < self.ended

    def waits(self, now: int) -> bool:
        """Say whether it waits for its lock."""
        return self.since is not None and self.since <= now < self.granted

    def state(self, now: int) -> tuple[str, str | None, str | None]:
        """Give state, wait event type and wait event."""
        if self.waits(now):
            return "active", "Lock", "relation"
        return ("active", None, None) if now < self.idle else ("idle in transaction", *CLIENT_READ)


def waiters(rng: Random) -> Iterator[Session]:
    """Yield the hundred sessions that waited for the lock and then kept their connections."""
    for k in range(POOL_SIZE):
        since = FIRST_FAILURE + k * FILL_STEP + 20 * MS + rng.randint(-900, 900)
        granted = LOCK_RELEASED + 1_100 + k * 770 + rng.randint(0, 500)
        customer = CUSTOMERS[k // 10 % len(CUSTOMERS)]
        yield Session(
            pid=FIRST_POOL_PID + k,
            application="inventory-service",
            connected=POOL_STARTED + k * 21 * MS + rng.randint(0, 9_000),
            begun=since - rng.randint(2_000, 6_000),
            query=RESERVE_WITH_LITERALS.format(*customer) if k % 10 == 4 else RESERVE,
            relation=RESERVATIONS,
            mode="RowExclusiveLock",
            granted=granted,
            idle=granted + rng.randint(1_500, 4_000),
            ended=TERMINATED + k * 1_290 + rng.randint(0, 900),
            vxid=f"{k + 9}/{rng.randint(9_000, 30_000)}",
            xid=7_340_118 + k,
            since=since,
            blockers=(MIGRATION_PID,),
        )


def sessions(rng: Random) -> list[Session]:
    """Give every session that held or awaited a lock on the two tables."""
    reader = Session(
        pid=47733,
        application="reporting",
        connected=at("13:41:26.508"),
        begun=at("14:20:00.116"),
        query=COUNT_STOCK,
        relation=RESERVATIONS,
        mode="AccessShareLock",
        granted=at("14:20:00.117"),
        idle=at("14:20:00.902"),
        ended=at("14:52:00.540"),
        vxid="4/20117",
    )
    migration = Session(
        pid=MIGRATION_PID,
        application="migrate",
        connected=MIGRATION_CONNECTED,
        begun=INDEX_STARTED,
        query=CREATE_INDEX,
        relation=RESERVATIONS,
        mode="ShareLock",
        granted=LOCK_TAKEN,
        ended=LOCK_RELEASED,
        vxid="111/38",
        xid=7_340_102,
    )
    column = Session(
        pid=48777,
        application="warehouse-sync",
        connected=at("14:31:05.220"),
        begun=at("14:31:09.980"),
        query=ADD_NOTE,
        relation=SHIPMENTS,
        mode="AccessExclusiveLock",
        granted=at("14:31:10.000"),
        ended=at("14:31:12.399755"),
        vxid="112/7",
        xid=7_340_241,
    )
    packing = Session(
        pid=48802,
        application="fulfillment-worker",
        connected=at("14:31:08.731"),
        begun=at("14:31:10.298"),
        query=PACK,
        relation=SHIPMENTS,
        mode="RowExclusiveLock",
        granted=column.ended + 310,
        ended=column.ended + 9 * MS,
        vxid="113/12",
        xid=7_340_244,
        since=at("14:31:10.300"),
        blockers=(column.pid,),
    )
    return [reader, migration, *waiters(rng), column, packing]
