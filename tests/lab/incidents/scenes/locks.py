"""Scenes in which sessions wait for a lock."""

from __future__ import annotations

from tests.lab.incidents.stage import LEAD_SECONDS, Scene, Stage
from tests.lab.incidents.truth import RESERVATIONS, Expected, trigger

HELD_SECONDS = 7.0
BUILD_INDEX = "CREATE INDEX reservations_cart ON stock_reservations (cart)"


def index_build(stage: Stage) -> None:
    """A migration builds an index without CONCURRENTLY and keeps its transaction open."""
    migration = stage.session("migrate")
    stage.until(LEAD_SECONDS)
    with stage.beginning("lock"):
        migration.execute("BEGIN")
        migration.execute(BUILD_INDEX)
    stage.until(LEAD_SECONDS + HELD_SECONDS)
    with stage.ending("lock"):
        migration.execute("COMMIT")


SCENES = (
    Scene(
        index_build,
        Expected((trigger("lock_blocking", RESERVATIONS),)),
        seconds=LEAD_SECONDS + HELD_SECONDS + 5,
    ),
)
