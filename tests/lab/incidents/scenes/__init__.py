"""All scenes, by the module that has them."""

from __future__ import annotations

from tests.lab.incidents.scenes import deadlines, locks, overload, services
from tests.lab.incidents.stage import Scene

SCENES: tuple[Scene, ...] = (
    *locks.SCENES,
    *deadlines.SCENES,
    *services.SCENES,
    *overload.SCENES,
)
BY_NAME = {scene.name: scene for scene in SCENES}
