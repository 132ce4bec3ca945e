"""Scenes in which a service or the gateway is to blame, and no lock."""

from __future__ import annotations

from tests.lab.incidents.load import ORDERS
from tests.lab.incidents.scenes.acts import (
    HELD_SECONDS,
    ON_RESERVATIONS,
    QUIET,
    RECOVERY_SECONDS,
    WHOLE,
    build_index,
    misbehave,
)
from tests.lab.incidents.stage import LEAD_SECONDS, Scene, Stage
from tests.lab.incidents.truth import Expected, trigger

ERRORS = trigger("backend_failure", "inventory.Reserve")
SLOW_PAYMENTS = trigger("dependency_latency", "payments.CreateIntent")
PAUSE_SECONDS = 9.0


def slow_dependency(stage: Stage) -> None:
    """The payment service waits for its provider longer than the gateway waits for it."""
    worse, usual = {"provider_seconds": 2.5}, {"provider_seconds": 0.02}
    misbehave(stage, "slow provider", "payments", worse, usual)


def inventory_crashed(stage: Stage) -> None:
    """The inventory service is killed, and started again some seconds later."""
    stage.until(LEAD_SECONDS)
    with stage.beginning("crash"):
        stage.stack.kill("inventory")
    stage.until(LEAD_SECONDS + HELD_SECONDS)
    with stage.ending("crash"):
        stage.stack.start_again("inventory")


def inventory_errors(stage: Stage) -> None:
    """The inventory service answers every call with an error, at once."""
    misbehave(stage, "errors", "inventory", {"fails": True}, {"fails": False})


def gateway_misrouted(stage: Stage) -> None:
    """A deployment of the gateway sends orders to a port where nobody listens."""
    misbehave(stage, "wrong port", "proxy", {"ports": {ORDERS: 9}}, {"ports": {}})


def two_incidents(stage: Stage) -> None:
    """A lock, and when all is well again an inventory service that answers with errors."""
    build_index(stage)
    again = LEAD_SECONDS + HELD_SECONDS + PAUSE_SECONDS
    misbehave(stage, "errors", "inventory", {"fails": True}, {"fails": False}, start=again)


def quiet_hour(stage: Stage) -> None:
    """Nothing happens but ordinary life."""
    stage.until(WHOLE)


SCENES = (
    Scene(slow_dependency, Expected((SLOW_PAYMENTS,)), WHOLE, symptom="Payments fail"),
    Scene(inventory_crashed, Expected((ERRORS,)), WHOLE),
    Scene(inventory_errors, Expected((ERRORS,)), WHOLE),
    Scene(gateway_misrouted, Expected((trigger("gateway_configuration", ORDERS),)), WHOLE),
    Scene(
        two_incidents,
        Expected((ON_RESERVATIONS, ERRORS)),
        LEAD_SECONDS + HELD_SECONDS + PAUSE_SECONDS + HELD_SECONDS + RECOVERY_SECONDS,
    ),
    Scene(quiet_hour, Expected(quiet=True), WHOLE, symptom=QUIET),
)
