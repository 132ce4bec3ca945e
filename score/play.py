"""Plays a plan: runs its model to the end of the window."""

from __future__ import annotations

import random
from collections.abc import Callable

from score.causes import BehindReader, HeldRow, HeldTable, Restart
from score.holders import hold_row, hold_table, read_and_forget
from score.plans import Plan
from score.recorder import Recorder
from score.simulator import Simulation


def played(plan: Plan, stamp: Callable[[float], str]) -> tuple[Simulation, Recorder]:
    """What happened, and what a recorder on the database's clock (`stamp`) saw of it."""
    rng = random.Random(f"play {plan.seed}")
    simulation = Simulation(plan.world, plan.causes, plan.seconds, rng)
    seen = plan.observation
    recorder = Recorder(
        simulation=simulation,
        interval=seen.interval_seconds,
        stamp=stamp,
        knows_wait_start=seen.knows_wait_start,
        gaps=(seen.recorder_gap,) if seen.recorder_gap else (),
    )
    for number in range(len(plan.world.routes)):
        simulation.engine.start(simulation.arrivals(number))
    for number, cause in enumerate(plan.causes):
        if isinstance(cause, HeldTable):
            simulation.engine.start(hold_table(simulation, number, cause), at=cause.start)
        elif isinstance(cause, BehindReader):
            simulation.engine.start(read_and_forget(simulation, number, cause), at=cause.start)
        elif isinstance(cause, HeldRow):
            simulation.engine.start(hold_row(simulation, number, cause), at=cause.start)
        elif isinstance(cause, Restart):
            simulation.engine.start(simulation.restart(cause), at=cause.start)
    simulation.engine.start(recorder.watch())
    simulation.engine.run(plan.seconds)
    return simulation, recorder
