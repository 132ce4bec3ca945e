"""Scenes of too much: a surge, retries, and transactions that deadlock."""

from __future__ import annotations

from collections.abc import Sequence

from tests.lab.incidents.load import ARTICLES, ORDERS, Rush
from tests.lab.incidents.scenes.acts import HELD_SECONDS, WHOLE, misbehave
from tests.lab.incidents.stack import Build
from tests.lab.incidents.stage import LEAD_SECONDS, Scene, Stage
from tests.lab.incidents.truth import STOCK, Expected, sustainer, trigger

STALL_SECONDS, STORM_SECONDS = 4.0, 6.0
USUAL_SUPPLIER_SECONDS = 0.1
PAIRS = 3


def small_pool(stage: Stage) -> None:
    """Five times as many orders come, and the pool of two connections cannot serve them."""
    # Two connections serve 40 calls a second so; 13 come in ordinary life.
    stage.stack.tell("inventory", work_seconds=0.05)
    stage.until(LEAD_SECONDS)
    with stage.beginning("surge"):
        pass  # the clients' schedule has it
    stage.until(LEAD_SECONDS + HELD_SECONDS)
    with stage.ending("surge"):
        pass


def retry_storm(stage: Stage) -> None:
    """The inventory stalls for some seconds; then the retries of its callers keep it busy."""
    # Two workers serve 20 orders a second so; 8 come in ordinary life, thrice as many calls with
    # the attempts that fit into the gateway's patience.
    stack = stage.stack
    stack.tell("orders", deadline_seconds=0.5, attempts=4)
    stack.tell("inventory", supplier_seconds=USUAL_SUPPLIER_SECONDS)
    stage.until(LEAD_SECONDS)
    with stage.beginning("stall"):
        stack.tell("inventory", supplier_seconds=0.9)
    stage.until(LEAD_SECONDS + STALL_SECONDS)
    with stage.ending("stall"), stage.beginning("retries"):
        stack.tell("inventory", supplier_seconds=USUAL_SUPPLIER_SECONDS)
    stage.until(LEAD_SECONDS + STALL_SECONDS + STORM_SECONDS)
    with stage.ending("retries"):
        stack.tell("orders", attempts=1)


def crossed_basket(number: int, second: float) -> Sequence[str]:
    """While the storm lasts, pairs of articles, each in both orders one after the other."""
    if not LEAD_SECONDS <= second < LEAD_SECONDS + HELD_SECONDS:
        return [f"sku-{100 + number % (ARTICLES - 100)}"]
    pair = number // 2 % PAIRS
    both = [f"sku-{2 * pair}", f"sku-{2 * pair + 1}"]
    return both if number % 2 else both[::-1]


def deadlock_storm(stage: Stage) -> None:
    """Orders of two articles take their rows in whichever order they name them."""
    worse, usual = {"work_seconds": 0.15}, {"work_seconds": 0.0}
    misbehave(stage, "crossed orders", "inventory", worse, usual)


SCENES = (
    Scene(
        small_pool,
        Expected((trigger("traffic_surge", ORDERS), sustainer("pool_exhaustion", "inventory"))),
        WHOLE,
        build=Build(pool_size=2),
        rushes=(Rush(ORDERS, LEAD_SECONDS, LEAD_SECONDS + HELD_SECONDS, 45.0),),
    ),
    Scene(
        retry_storm,
        Expected(
            (
                trigger("dependency_latency", "inventory.Reserve"),
                sustainer("retry_storm", "inventory.Reserve"),
            )
        ),
        LEAD_SECONDS + STALL_SECONDS + STORM_SECONDS + 6.0,
        build=Build(workers=2),
    ),
    Scene(
        deadlock_storm,
        Expected((trigger("deadlock", STOCK),)),
        WHOLE,
        build=Build(pool_size=12),
        basket=crossed_basket,
    ),
)
