"""VACUUM FULL, CLUSTER and some of ALTER TABLE: the table is written anew under the lock."""

from __future__ import annotations

from collections.abc import Iterator

from incident_rca.lock_modes import ACCESS_EXCLUSIVE
from incident_rca.migrations.locks import REWRITING_ACTIONS, TableLock, Work
from incident_rca.migrations.operations import OtherAction, Rewrite
from incident_rca.migrations.rule import Context, Hit, Rule, actions_of
from incident_rca.migrations.script import Statement
from incident_rca.model import Severity


def check(statement: Statement, context: Context) -> Iterator[Hit]:
    for altered, action in actions_of(statement, context):
        if isinstance(action, OtherAction) and action.kind in REWRITING_ACTIONS:
            words = REWRITING_ACTIONS[action.kind]
            yield Hit(
                lock=TableLock(altered, ACCESS_EXCLUSIVE, Work.REWRITE),
                what=f"{words} writes {altered} anew while nobody can read or write it",
                rewrite=("-- PostgreSQL has no other way: do it in a maintenance window",),
            )
    of = statement.operation
    if not isinstance(of, Rewrite) or of.command == "TRUNCATE":
        return
    if not of.tables:
        yield Hit(
            lock=None,
            what=f"{of.command} writes one table after the other anew, each under ACCESS EXCLUSIVE",
            severity=Severity.HIGH,
        )
    for table in of.tables:
        if context.session.is_new(table):
            continue
        is_vacuum = of.command == "VACUUM FULL"
        yield Hit(
            lock=TableLock(table, ACCESS_EXCLUSIVE, Work.REWRITE),
            what=f"{of.command} writes {table} anew while nobody can read or write it",
            rewrite=(f"VACUUM {table};",) if is_vacuum else ("-- pg_repack does it online",),
        )


RULE = Rule(
    name="table-rewrite",
    title="VACUUM FULL, CLUSTER, or ALTER TABLE that writes the table anew",
    mode=ACCESS_EXCLUSIVE,
    why=(
        "The table and its indexes are written anew: neither reads nor writes until that is done. "
        "SET LOGGED, UNLOGGED, ACCESS METHOD, TABLESPACE and EXPRESSION of ALTER TABLE do so too."
    ),
    instead=(
        "Plain VACUUM makes the space usable again and blocks nobody. To give it back to the "
        "system, pg_repack or pg_squeeze write the table anew online."
    ),
    bad="VACUUM FULL orders;",
    good="VACUUM orders;",
    check=check,
)
