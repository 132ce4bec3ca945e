"""A statement that PostgreSQL runs outside of transactions only, inside one: it fails."""

from __future__ import annotations

from collections.abc import Iterator

from incident_rca.migrations.rule import Context, Hit, Rule
from incident_rca.migrations.runners import refuses_transaction, way_out
from incident_rca.migrations.script import Statement
from incident_rca.model import Severity


def check(statement: Statement, context: Context) -> Iterator[Hit]:
    command = refuses_transaction(statement.operation)
    inside = context.session.in_transaction
    if not command or not (inside or statement.in_body):
        return
    runner = context.runner
    if statement.in_body:
        where = "from a DO block or function"
    elif inside == runner.name:
        where = f"inside a transaction; {runner.name} runs {runner.how}"
    else:
        where = "inside a transaction block"
    yield Hit(
        lock=None,
        what=f"{command} cannot run {where}: the migration fails here",
        rewrite=(f"-- {way_out(runner, inside, in_body=statement.in_body)}",),
        severity=Severity.HIGH,
    )


RULE = Rule(
    name="concurrently-in-transaction",
    title="CONCURRENTLY inside a transaction",
    mode="",
    why=(
        "PostgreSQL refuses it: such a statement commits on its own several times. The migration "
        "fails, and people take CONCURRENTLY out to make it pass."
    ),
    instead=(
        "Keep it in a migration of its own that runs outside a transaction; each migration tool "
        "has a way to say so."
    ),
    bad="BEGIN;\nCREATE INDEX CONCURRENTLY orders_created_idx ON orders (created_at);\nCOMMIT;",
    good="CREATE INDEX CONCURRENTLY orders_created_idx ON orders (created_at);",
    check=check,
)
