"""The way between us and the server: how far apart the clocks are, and who stands in between."""

from __future__ import annotations

import os
import socket
from math import ceil, floor
from typing import TYPE_CHECKING, Any

from incident_rca.model.checkup import Check, CheckState
from incident_rca.redact import plain
from incident_rca.sources.postgres_rows import Row

if TYPE_CHECKING:
    import psycopg

TOLERATED_OFFSET_SECONDS = 0.5
UNIX_SOCKET = -1


def check_clock(bounds: tuple[float, float]) -> Check:
    """Whether the server's clock can agree with ours; `bounds` are its lead in seconds.

    >>> check_clock((1.9, 2.1)).state
    <CheckState.WARNING: 'warning'>
    >>> check_clock((-0.00002, 0.00003)).found
    "the server's clock minus ours is -0.0001 .. +0.0001 s"
    """
    lo, hi = bounds
    # Rounded outwards: as bounds they must stay true.
    lo, hi = floor(lo * 1e4) / 1e4, ceil(hi * 1e4) / 1e4
    found = f"the server's clock minus ours is {lo:+.4f} .. {hi:+.4f} s"
    if lo <= TOLERATED_OFFSET_SECONDS and hi >= -TOLERATED_OFFSET_SECONDS:
        return Check("clock", CheckState.OK, found)
    cure = "on both machines: chronyc tracking; on the one that is off: sudo chronyc makestep"
    return Check("clock", CheckState.WARNING, found, cure)


def our_port(connection: psycopg.Connection[tuple[Any, ...]]) -> int:
    """The port at our end of the connection, -1 for a Unix socket as in pg_stat_activity."""
    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as ours:
        name = ours.getsockname()
    return int(name[1]) if isinstance(name, tuple) else UNIX_SOCKET


def check_pooler(row: Row, *, announced_pid: int, port: int) -> Check:
    """Whether the server talks to us or to something in between, by two independent signs.

    The process that was announced when the connection began is another than the one that answers
    (a pooler makes up its own BackendKeyData), and the server sees another port than ours.
    """
    other_pid = row["backend_pid"] != announced_pid
    other_port = row["client_port"] != port
    if not other_pid and not other_port:
        return Check("pooler", CheckState.OK, "none: process and port are the same at both ends")
    where = plain(f"host={row['server_address']} port={row['server_port']}")
    if row["server_address"] is None:
        where = "host=(the server's socket folder)"
    cure = f"connect past it; the server itself answers at: {where}"
    if other_pid:
        found = (
            f"a pooler such as PgBouncer: process {announced_pid} was announced, "
            f"{row['backend_pid']} answers"
        )
        return Check("pooler", CheckState.PROBLEM, found, cure)
    seen = "a Unix socket" if row["client_port"] == UNIX_SOCKET else row["client_port"]
    ours = "a Unix socket" if port == UNIX_SOCKET else port
    found = f"NAT, a proxy or a pooler: our end is {ours}, the server sees {seen}"
    return Check("pooler", CheckState.WARNING, found, cure)
