"""A bounded pool of connections to PostgreSQL, as application servers have one."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from tests.lab.incidents.services.telemetry import Numbers

# How often connections that were taken and never given back are looked at.
REAPER_SECONDS = 0.1


class NoConnection(Exception):
    """Every connection stayed taken for as long as the pool lets a caller wait."""


@dataclass
class Pool:
    """`size` connections that are lent; who waits longer than `patience_seconds` gets none."""

    dsn: str
    size: int
    patience_seconds: float
    numbers: Numbers
    free: queue.LifoQueue[psycopg.Connection] = field(default_factory=queue.LifoQueue)
    lost: list[psycopg.Connection] = field(default_factory=list)
    used: int = 0
    waiting: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self) -> None:
        """Connects all of them, and begins to look after those that are lost."""
        for _ in range(self.size):
            self.free.put(self._connect())
        self.numbers.gauge("db_client_connections_max", self.size, pool_name="inventory-db")
        self._publish(0, 0)
        threading.Thread(target=self._reap, daemon=True).start()

    @contextmanager
    def lent(self) -> Iterator[psycopg.Connection]:
        """A connection; given back at the end, unless `lose` was told of it."""
        self._publish(0, +1)
        try:
            connection = self.free.get(timeout=self.patience_seconds)
        except queue.Empty:
            raise NoConnection(f"no connection within {self.patience_seconds} s") from None
        finally:
            self._publish(0, -1)
        self._publish(+1, 0)
        try:
            yield connection
        finally:
            if connection not in self.lost:
                self._give_back(connection)

    def lose(self, connection: psycopg.Connection) -> None:
        """Forgets to give it back, as code does that never reaches its last line."""
        self.lost.append(connection)

    def _give_back(self, connection: psycopg.Connection) -> None:
        if connection.closed:
            connection = self._connect()
        self._publish(-1, 0)
        self.free.put(connection)

    def _reap(self) -> None:
        """A lost connection that the server has ended is replaced: so pools find out."""
        while True:
            time.sleep(REAPER_SECONDS)
            for connection in list(self.lost):
                try:
                    connection.pgconn.consume_input()
                except psycopg.OperationalError:
                    connection.close()
                if connection.closed or connection.broken:
                    self.lost.remove(connection)
                    connection.close()
                    self._give_back(connection)

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(self.dsn, application_name="inventory-service")

    def _publish(self, used: int, waiting: int) -> None:
        with self.lock:
            self.used += used
            self.waiting += waiting
            labels = {"pool_name": "inventory-db"}
            self.numbers.gauge("db_client_connections_usage", self.used, state="used", **labels)
            self.numbers.gauge("db_client_connections_pending_requests", self.waiting, **labels)
