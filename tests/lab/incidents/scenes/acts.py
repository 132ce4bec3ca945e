"""What actors do in more than one scene, and how long it takes."""

from __future__ import annotations

from typing import Any

from tests.lab.incidents.stage import LEAD_SECONDS, Stage
from tests.lab.incidents.truth import RESERVATIONS, trigger

HELD_SECONDS = 7.0
RECOVERY_SECONDS = 5.0
WHOLE = LEAD_SECONDS + HELD_SECONDS + RECOVERY_SECONDS
BUILD_INDEX = "CREATE INDEX reservations_cart ON stock_reservations (cart)"
ON_RESERVATIONS = trigger("lock_blocking", RESERVATIONS)
QUIET = "Is anything wrong?"


def build_index(stage: Stage, held_seconds: float = HELD_SECONDS) -> None:
    """A migration builds an index within a transaction and commits when it has held it so long."""
    migration = stage.session("migrate")
    stage.until(LEAD_SECONDS)
    with stage.beginning("lock"):
        migration.execute("BEGIN")
        migration.execute(BUILD_INDEX.encode())
    stage.until(LEAD_SECONDS + held_seconds)
    with stage.ending("lock"):
        migration.execute("COMMIT")


def misbehave(
    stage: Stage,
    cause: str,
    program: str,
    worse: dict[str, Any],
    usual: dict[str, Any],
    start: float = LEAD_SECONDS,
) -> None:
    """A program is told to do something worse from a second of the scene, and then as usual."""
    stage.until(start)
    with stage.beginning(cause):
        stage.stack.tell(program, **worse)
    stage.until(start + HELD_SECONDS)
    with stage.ending(cause):
        stage.stack.tell(program, **usual)
