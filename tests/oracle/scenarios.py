"""Random scenarios for a circuit breaker, played by the real opossum and by ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from incident_rca.whatif.breakers import ERROR, FULL, OK, REFUSED, Guard, Settle
from incident_rca.whatif.opossum import Opossum, OpossumOptions
from incident_rca.whatif.virtual_time import VirtualTime
from tests.oracle.libraries import BESIDE_MODULES, run

Call = tuple[int, int, str]  # its instant in ms, how many ms it takes, how it ends
Json = dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """Options by the library's names, calls in order of time, and when to stop, in ms."""

    options: Json
    calls: tuple[Call, ...]
    until: int

    @property
    def line(self) -> str:
        """The scenario as the driver reads it."""
        return json.dumps({"options": self.options, "calls": self.calls, "until": self.until})


def scenarios(seed: int, number: int) -> Iterator[Scenario]:
    """Yields random scenarios; about one in three lies on a coarse grid, so that times collide."""
    for index in range(number):
        yield scenario(Random(f"{seed}/{index}"))


def scenario(rng: Random) -> Scenario:
    """One scenario: options of every kind, and calls through good and bad times."""
    grid = rng.choice((1, 1, 100))
    buckets = rng.choice((1, 2, 5, 10, 10))
    options: Json = {
        "timeout": rng.choice((False, 0, 200, 500, 1_000, 2_000, 3_333)),
        "errorThresholdPercentage": rng.choice((0, 1, 25, 50, 50, 75, 99, 100)),
        "rollingCountTimeout": rng.choice((1_000, 2_000, 5_000, 10_000)),
        "rollingCountBuckets": buckets,
        "volumeThreshold": rng.choice((0, 0, 1, 3, 5, 10, 20)),
        "resetTimeout": rng.choice((100, 500, 1_000, 3_000, 5_000)),
        "allowWarmUp": rng.random() < 0.2,
    }
    if rng.random() < 0.5:
        options["capacity"] = rng.choice((1, 2, 5, 10))
    left_out = rng.sample(sorted(options), rng.randrange(3))
    options = {key: value for key, value in options.items() if key not in left_out}
    return Scenario(options, tuple(_calls(rng, grid)), rng.randrange(20_000, 40_000))


def _calls(rng: Random, grid: int) -> Iterator[Call]:
    now = 0
    while now < 20_000:
        pace, failing = rng.choice((5, 20, 100, 400)), rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        slow = rng.choice((0.0, 0.1, 0.8))
        for _ in range(rng.randrange(3, 40)):
            now += _on_grid(rng.expovariate(1 / pace), grid)
            if rng.random() < slow:
                takes = _on_grid(rng.uniform(100, 9_000), grid)
            else:
                takes = _on_grid(rng.uniform(1, 200), grid)
            ends = rng.choice(("error", "error", "filtered")) if rng.random() < failing else "ok"
            yield now, max(1, takes), ends
        now += rng.choice((0, 0, 100, 2_000))


def _on_grid(milliseconds: float, grid: int) -> int:
    return round(milliseconds / grid) * grid


def play_ours(played: Scenario) -> Json:
    """What our opossum does in a scenario, in the driver's shape."""
    clock, events = VirtualTime(), []
    asked = played.options
    breaker = Opossum(clock, options_of(asked), lambda name: events.append([clock.now, name]))
    timeout = asked.get("timeout", 10_000)
    guard = Guard(clock, breaker, timeout_ms=int(timeout), places=asked.get("capacity"))

    def fire(takes: int, ends: str) -> None:
        def action(end: Settle) -> None:
            clock.at(clock.now + takes, end, ERROR if ends == "error" else OK)

        call(guard, action, lambda _: None)

    for at, takes, ends in played.calls:
        clock.at(at, fire, takes, ends)
    clock.run_until(played.until)
    return {"events": events, "counts": breaker.counts, "state": breaker.state}


def call(guard: Guard, action: Callable[[Settle], None], settle: Settle) -> None:
    """Runs `action` unless it is refused; `settle` hears once how the call ended."""
    ticket = guard.admit()
    if ticket is None:
        settle(REFUSED)
    elif not guard.takes_a_place(ticket):
        settle(FULL)
    else:
        action(guard.ending(ticket, settle))


def options_of(asked: Json) -> OpossumOptions:
    """Options by the library's names as ours: what is not asked for keeps its default."""
    names = {
        "errorThresholdPercentage": "error_threshold_percentage",
        "rollingCountTimeout": "rolling_count_timeout_ms",
        "rollingCountBuckets": "rolling_count_buckets",
        "volumeThreshold": "volume_threshold",
        "resetTimeout": "reset_timeout_ms",
        "allowWarmUp": "allow_warm_up",
    }
    return OpossumOptions(**{names[key]: value for key, value in asked.items() if key in names})


def play_real(played: Sequence[Scenario], timeout_seconds: float) -> list[Json]:
    """What the library does in each scenario, in one process of Node.js."""
    lines = "\n".join(one.line for one in played)
    told = run("drive_opossum.cjs", BESIDE_MODULES, given=lines, timeout_seconds=timeout_seconds)
    return [json.loads(line) for line in told.splitlines()]


def first_difference(real: Json, ours: Json) -> str:
    """Where two runs of a scenario part, or "" where they are the same."""
    for number, (one, other) in enumerate(zip(real["events"], ours["events"], strict=False)):
        if one != other:
            return f"event {number}: the library {one}, ours {other}"
    if len(real["events"]) != len(ours["events"]):
        return f"the library has {len(real['events'])} events, ours {len(ours['events'])}"
    for key in ("counts", "state"):
        if real[key] != ours[key]:
            return f"{key}: the library {real[key]}, ours {ours[key]}"
    return ""
