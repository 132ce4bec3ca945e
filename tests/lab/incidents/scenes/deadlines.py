"""Scenes about what callers do with a lock: their deadlines, and connections that they leave."""

from __future__ import annotations

from tests.lab.incidents.scenes.acts import (
    ON_RESERVATIONS,
    RECOVERY_SECONDS,
    WHOLE,
    build_index,
)
from tests.lab.incidents.stack import Build
from tests.lab.incidents.stage import LEAD_SECONDS, Scene, Stage
from tests.lab.incidents.truth import Expected, Part, sustainer

SHORT_LOCK_SECONDS = 4.0
LEFT_SECONDS = 7.0


def deadline_set(stage: Stage) -> None:
    """The index build again, but each call has a deadline of 0.4 s, which ends it."""
    stage.stack.tell("orders", deadline_seconds=0.4)
    build_index(stage)


def deadline_too_long(stage: Stage) -> None:
    """The index build again, with a deadline of 1.1 s: longer than a user's request may take."""
    stage.stack.tell("orders", deadline_seconds=1.1)
    build_index(stage)


def leaked_connections(stage: Stage) -> None:
    """A lock ends, and calls whose callers had gone never give their connections back."""
    operator = stage.session("psql")
    stage.stack.tell("inventory", loses=True)
    build_index(stage, SHORT_LOCK_SECONDS)
    with stage.beginning("leaked connections"):
        pass  # they were left meanwhile; from now on they are the cause
    stage.until(LEAD_SECONDS + SHORT_LOCK_SECONDS + LEFT_SECONDS)
    with stage.ending("leaked connections"):
        operator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'inventory-service' AND state = 'idle in transaction'"
        )


SCENES = (
    Scene(
        deadline_set,
        Expected(
            (
                ON_RESERVATIONS,
                Part(
                    "missing_deadline",
                    "inventory.Reserve",
                    "ruled_out",
                    frozenset({"contradicted"}),
                ),
            )
        ),
        WHOLE,
    ),
    Scene(
        deadline_too_long,
        Expected(
            (
                ON_RESERVATIONS,
                Part("missing_deadline", "inventory.Reserve", "contributing", says="was too long"),
            )
        ),
        WHOLE,
        # Callers of a full pool wait until their deadline, not until the pool turns them away.
        build=Build(patience_seconds=5.0),
    ),
    Scene(
        leaked_connections,
        Expected((ON_RESERVATIONS, sustainer("pool_exhaustion", "inventory"))),
        LEAD_SECONDS + SHORT_LOCK_SECONDS + LEFT_SECONDS + RECOVERY_SECONDS,
    ),
)
