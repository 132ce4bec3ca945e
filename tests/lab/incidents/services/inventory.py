"""The inventory service: reserves stock and reads it, each call with a connection of its pool."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import grpc
import psycopg

from tests.lab.incidents.services.grpc_service import Refused, serve
from tests.lab.incidents.services.pool import NoConnection, Pool
from tests.lab.incidents.services.process import given
from tests.lab.incidents.services.telemetry import Numbers, Timings

TAKE = "UPDATE stock SET quantity = quantity - 1 WHERE sku = %s"
RESERVE = "INSERT INTO stock_reservations (sku, cart) VALUES (%s, %s)"
READ = "SELECT quantity FROM stock WHERE sku = %s"


@dataclass
class Told:
    """What is wrong with it; nothing at first.

    `supplier_seconds` an order waits before it asks for a connection, `work_seconds` its database
    works in each transaction, `fails` makes it refuse every call at once. With `loses` a call whose
    caller has gone never commits, and never gives its connection back.
    """

    supplier_seconds: float = 0.0
    work_seconds: float = 0.0
    fails: bool = False
    loses: bool = False


@dataclass
class Inventory:
    """Its methods, on one pool."""

    pool: Pool
    told: Told

    def reserve(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Takes one of each article, in the order of the request, and notes the reservation."""
        order = json.loads(request)
        self._before()
        if self.told.supplier_seconds:
            time.sleep(self.told.supplier_seconds)
        trace = _comment(context)
        try:
            with self.pool.lent() as connection:
                try:
                    for sku in order["skus"]:
                        connection.execute((TAKE + trace).encode(), [sku])
                        self._work(connection)
                    connection.execute(
                        (RESERVE + trace).encode(), [order["skus"][0], order["cart"]]
                    )
                    if self.told.loses and not context.is_active():
                        self.pool.lose(connection)
                        return b"{}"
                    connection.commit()
                except psycopg.Error:
                    if not connection.closed:
                        connection.rollback()
                    raise
        except NoConnection as error:
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)) from error
        return b"{}"

    def get_stock(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """How many there are of one article."""
        self._before()
        try:
            with self.pool.lent() as connection, connection.transaction():
                row = connection.execute(READ, [json.loads(request)["sku"]]).fetchone()
                self._work(connection)
        except NoConnection as error:
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)) from error
        return json.dumps({"quantity": row[0] if row else 0}).encode()

    def _before(self) -> None:
        if self.told.fails:
            raise Refused(grpc.StatusCode.INTERNAL, "stock cache is not initialised")

    def _work(self, connection: psycopg.Connection) -> None:
        if self.told.work_seconds:
            connection.execute("SELECT pg_sleep(%s)", [self.told.work_seconds])


def _comment(context: grpc.ServicerContext) -> str:
    """The trace of a call as sqlcommenter puts it behind a statement."""
    for key, value in context.invocation_metadata():
        if key == "traceparent" and isinstance(value, str):
            return f" /*traceparent='{value}'*/"
    return ""


def main() -> None:
    options, told, numbers = given(), Told(), Numbers()
    pool = Pool(options["dsn"], options["pool_size"], options["patience_seconds"], numbers)
    pool.open()
    inventory = Inventory(pool, told)
    serve(
        "inventory.Inventory",
        {"Reserve": inventory.reserve, "GetStock": inventory.get_stock},
        owner="inventory-service",
        port=options["port"],
        workers=options["workers"],
        numbers=numbers,
        timings=Timings(options["timings"]),
        told=told,
    )


if __name__ == "__main__":
    main()
