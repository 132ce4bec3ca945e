"""Which incident a seed is: the world, what acts on it, and how it is observed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from score.causes import (
    BehindReader,
    Cause,
    CrossedRows,
    Failing,
    HeldRow,
    HeldTable,
    Misrouted,
    Restart,
    Slow,
    Surge,
)
from score.lock_table import ACCESS_EXCLUSIVE, SHARE, SHARE_UPDATE_EXCLUSIVE
from score.observation import Observation, usual_observation, with_wrong_clock, without
from score.world import World
from score.worlds import MAIN, OTHER, PLAIN, drawn_world, resized, with_behaviour


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One case before it is played; `culprits` are the places of its triggers among the causes.

    `sustainers` are the kinds that may rightly be said to have kept it going, by the design of the
    scene: connections that are not given back, callers that try again.
    """

    seed: int
    kind: str
    world: World
    causes: tuple[Cause, ...]
    culprits: tuple[int, ...]
    seconds: float
    observation: Observation
    sustainers: frozenset[str] = frozenset()


@dataclass(slots=True)
class Draft:
    """What every scene starts from: a world that is well, and an observation."""

    rng: random.Random
    world: World
    observation: Observation
    start: float
    sustainers: frozenset[str] = frozenset()

    @property
    def patience(self) -> float:
        """How long a request waits before it fails."""
        how = self.world.behaviour
        return min(how.gateway_seconds, (how.deadline_seconds or 1e9) * how.attempts)

    def long_enough(self) -> float:
        """Seconds of an incident that each source can see: four buckets, and some failures."""
        shortest = max(60.0, 4 * self.observation.bucket_seconds)
        return self.rng.uniform(shortest, shortest + 90.0) + self.patience

    def short_of(self, limit: float, work: float) -> float:
        """The factor that makes most calls last longer than a limit."""
        return limit * self.rng.uniform(2.0, 4.0) / work


Made = tuple[Sequence[Cause], Sequence[int]]


def _index_build(d: Draft) -> Made:
    name = d.world.service(MAIN).tables[0]
    statement = f"CREATE INDEX by_amount ON {name.rpartition('.')[2]} (amount)"
    end = d.start + d.long_enough()
    held = HeldTable(
        table=name, mode=SHARE, statement=statement, application="migrate", start=d.start, end=end
    )
    return [held], [0]


def _idle_holder(d: Draft) -> Made:
    name = d.world.service(MAIN).tables[0]
    held = HeldTable(
        table=name,
        mode=ACCESS_EXCLUSIVE,
        statement=f"ALTER TABLE {name.rpartition('.')[2]} ADD COLUMN note text",
        application=d.rng.choice(("migrate", "psql")),
        start=d.start,
        end=d.start + d.long_enough(),
        last=d.rng.choice(("SELECT version()", "SELECT now()")),
    )
    return [held], [0]


def _alter_behind_reader(d: Draft) -> Made:
    name = d.world.service(MAIN).tables[0]
    alter = d.start + d.rng.uniform(5, 60)
    cause = BehindReader(table=name, start=d.start, alter_at=alter, end=alter + d.long_enough())
    return [cause], [0]


def _hot_row(d: Draft) -> Made:
    d.world = resized(d.world, hot_share=d.rng.uniform(0.15, 0.4))
    name = d.world.service(MAIN).tables[0]
    end = d.start + d.long_enough()
    return [HeldRow(table=name, application="batch", start=d.start, end=end)], [0]


def _deadlocks(d: Draft) -> Made:
    d.world = resized(d.world, per_second=d.rng.uniform(2.7, 3.3), pool_size=40)
    end = d.start + d.rng.uniform(120, 180)
    cause = CrossedRows(
        table=d.world.service(MAIN).tables[0],
        rows=5,
        pause=d.rng.uniform(0.25, 0.4),
        start=d.start,
        end=end,
    )
    return [cause], [0]


def _slow(d: Draft) -> Made:
    service = d.rng.choice((MAIN, PLAIN, PLAIN))
    work = d.world.service(service).methods[0].work_seconds
    factor = d.short_of(d.world.behaviour.deadline_seconds or d.patience, work)
    return [Slow(service=service, factor=factor, start=d.start, end=d.start + d.long_enough())], [0]


def _slow_by_and_by(d: Draft) -> Made:
    (cause,), culprits = _slow(d)
    assert isinstance(cause, Slow)
    ramp = d.rng.uniform(20, 90)
    return [replace(cause, ramp=ramp, end=cause.end + ramp)], culprits


def _unrelated_lock(d: Draft) -> Made:
    """Another service's table is held while a service is slow for reasons of its own.

    The held table's own route is hardly used, and those that wait there are served in time.
    """
    causes, culprits = _slow(d)
    slow = causes[0]
    name = d.world.service(OTHER).tables[0]
    starts, step = slow.start + d.rng.uniform(-20, 20), 0.6 * d.patience
    holds = [
        HeldTable(
            table=name,
            mode=ACCESS_EXCLUSIVE,
            statement=f"ALTER TABLE {name.rpartition('.')[2]} ADD COLUMN note text",
            application="sync",
            start=starts + 3 * n * step,
            end=starts + 3 * n * step + step,
        )
        for n in range(max(1, min(3, int((slow.end - starts) / (3 * step)))))
    ]
    return [*causes, *holds], culprits


def _crashed(d: Draft) -> Made:
    service = d.rng.choice((MAIN, OTHER, PLAIN))
    end = d.start + d.rng.uniform(60, 240)
    cause = Failing(
        service=service, share=1.0, code="UNAVAILABLE", seconds=0.004, start=d.start, end=end
    )
    return [cause], [0]


def _failing_fast(d: Draft) -> Made:
    service = d.rng.choice((MAIN, OTHER, PLAIN))
    end = d.start + d.rng.uniform(60, 240)
    share, seconds = d.rng.uniform(0.4, 1.0), d.rng.uniform(0.004, 0.05)
    cause = Failing(
        service=service, share=share, code="INTERNAL", seconds=seconds, start=d.start, end=end
    )
    return [cause], [0]


def _misrouted(d: Draft) -> Made:
    routes = d.world.callers_of(d.world.service(MAIN))
    cause = Misrouted(
        route=d.rng.choice(routes).name, start=d.start, end=d.start + d.rng.uniform(60, 240)
    )
    return [cause], [0]


def _surge(d: Draft) -> Made:
    """Traffic comes that the pool of a service cannot serve."""
    d.world = resized(d.world, work_seconds=d.rng.uniform(0.3, 0.8), load=d.rng.uniform(0.4, 0.6))
    routes = d.world.callers_of(d.world.service(MAIN))
    cause = Surge(
        routes=tuple(r.name for r in routes),
        factor=d.rng.uniform(3.5, 6.0),
        start=d.start,
        end=d.start + d.long_enough(),
        ramp=d.rng.choice((0.0, 0.0, 10.0)),
    )
    d.sustainers = frozenset({"pool_exhaustion"})
    return [cause], [0]


def _retry_storm(d: Draft) -> Made:
    """A stall; then callers that try again keep a service busy with work that nobody waits for."""
    d.world = resized(d.world, work_seconds=d.rng.uniform(0.2, 0.4), load=d.rng.uniform(0.5, 0.6))
    d.world = with_behaviour(
        d.world,
        deadline_seconds=d.rng.uniform(1.0, 2.0),
        attempts=d.rng.randint(3, 4),
        cancels=False,
        gateway_seconds=29.0,
    )
    shortest = max(30.0, 4 * d.observation.bucket_seconds)
    stall = Slow(
        service=MAIN,
        factor=d.rng.uniform(8, 14),
        start=d.start,
        end=d.start + d.rng.uniform(shortest, shortest + 30),
    )
    restart = Restart(service=MAIN, start=stall.end + d.rng.uniform(60, 200))
    d.sustainers = frozenset({"retry_storm", "pool_exhaustion"})
    return [stall, restart], [0]


def _deadline_set(d: Draft) -> Made:
    d.world = with_behaviour(
        d.world, deadline_seconds=d.rng.uniform(1.0, 4.0), gateway_seconds=29.0, cancels=True
    )
    return d.rng.choice((_index_build, _idle_holder))(d)


def _deadline_too_long(d: Draft) -> Made:
    d.world = with_behaviour(d.world, deadline_seconds=d.rng.uniform(8, 25), gateway_seconds=29.0)
    return d.rng.choice((_index_build, _idle_holder))(d)


def _leaked(d: Draft) -> Made:
    """Calls that were cut off while they waited for a lock never give their connection back."""
    d.world = resized(d.world, pool_size=d.rng.randint(8, 20))
    d.world = with_behaviour(
        d.world,
        cancels=False,
        leak_share=1.0,
        deadline_seconds=None,
        attempts=1,
        gateway_seconds=d.rng.uniform(5, 15),
    )
    (held,), culprits = d.rng.choice((_index_build, _idle_holder))(d)
    after = d.rng.uniform(60, 240)
    d.sustainers = frozenset({"pool_exhaustion"})
    return [held, Restart(service=MAIN, start=held.end + after)], culprits


def _two_incidents(d: Draft) -> Made:
    """One after the other, with the quiet of some minutes between them."""
    first, second = d.rng.sample((_index_build, _failing_fast, _crashed, _slow), 2)
    (one,), _ = first(d)
    d.start = one.end + d.rng.uniform(240, 360)
    (two,), _ = second(d)
    return [one, two], [0, 1]


def _quiet(d: Draft) -> Made:
    return [], []


def _quiet_but_busy(d: Draft) -> Made:
    """Any day: an index built CONCURRENTLY, a lock for a moment, somewhat more load."""
    name = d.world.service(MAIN).tables[0]
    short = name.rpartition(".")[2]
    routes = tuple(r.name for r in d.world.routes)
    causes: list[Cause] = [
        HeldTable(
            table=name,
            mode=SHARE_UPDATE_EXCLUSIVE,
            statement=f"CREATE INDEX CONCURRENTLY by_amount ON {short} (amount)",
            application="migrate",
            start=d.start,
            end=d.start + d.rng.uniform(60, 200),
        ),
        Surge(routes=routes, factor=d.rng.uniform(1.1, 1.5), start=d.start - 60, end=d.start + 120),
    ]
    if d.rng.random() < 0.5:
        at = d.start + d.rng.uniform(210, 260)
        causes.append(
            HeldTable(
                table=name,
                mode=ACCESS_EXCLUSIVE,
                statement=f"ALTER TABLE {short} ADD COLUMN note text",
                application="migrate",
                start=at,
                end=at + d.rng.uniform(0.3, 0.3 * d.patience),
            )
        )
    return causes, []


def _overlap_only(d: Draft) -> Made:
    """The cause leaves no trace in what was collected, and a lock that has no part in it does."""
    d.observation = without(d.observation, "metrics")
    return _unrelated_lock(d)


SCENES: Mapping[str, Callable[[Draft], Made]] = {
    "index build": _index_build,
    "idle holder": _idle_holder,
    "ALTER behind a reader": _alter_behind_reader,
    "hot row": _hot_row,
    "deadlock storm": _deadlocks,
    "unrelated lock": _unrelated_lock,
    "slow dependency": _slow,
    "slow by and by": _slow_by_and_by,
    "crashed": _crashed,
    "failing fast": _failing_fast,
    "misrouted": _misrouted,
    "surge": _surge,
    "retry storm": _retry_storm,
    "deadline set": _deadline_set,
    "deadline too long": _deadline_too_long,
    "leaked connections": _leaked,
    "two incidents": _two_incidents,
    "quiet": _quiet,
    "quiet but busy": _quiet_but_busy,
    "overlap only": _overlap_only,
}
_UNHURT = frozenset({"quiet", "quiet but busy", "overlap only"})
LACKING_SHARE = 0.2
WRONG_CLOCK_SHARE = 0.06


def plan_of(seed: int) -> Plan:
    """The case of a seed: its scene goes round, so that even and odd seeds have the same mix."""
    kind = list(SCENES)[(seed // 2) % len(SCENES)]
    rng = random.Random(f"plan {seed}")
    draft = Draft(rng, drawn_world(rng), usual_observation(rng), start=rng.uniform(390, 480))
    draft.observation = _lacking(rng, kind, draft.observation)
    causes, culprits = SCENES[kind](draft)
    last = max([draft.start + 120, *(c.end for c in causes)])
    return Plan(
        seed=seed,
        kind=kind,
        world=draft.world,
        causes=tuple(causes),
        culprits=tuple(culprits),
        seconds=last + draft.patience + rng.uniform(120, 240),
        observation=_with_gap(rng, draft, causes),
        sustainers=draft.sustainers,
    )


def _lacking(rng: random.Random, kind: str, observation: Observation) -> Observation:
    drawn = rng.random()
    if drawn < LACKING_SHARE and kind not in _UNHURT:
        lost = rng.choice((("recorder",), ("recorder", "log"), ("metrics",), ("gateway",)))
        return without(observation, *lost)
    if drawn > 1 - WRONG_CLOCK_SHARE:
        return with_wrong_clock(rng, observation)
    return observation


def _with_gap(rng: random.Random, draft: Draft, causes: Sequence[Cause]) -> Observation:
    """The recorder is off for a while, in one case of twenty over the whole cause."""
    drawn = rng.random()
    if drawn < 0.9 or not causes:
        return draft.observation
    if drawn < 0.95:
        begin = rng.uniform(0, draft.start - 120)
        return replace(draft.observation, recorder_gap=(begin, begin + rng.uniform(20, 100)))
    gap = (causes[0].start - 20, causes[0].end + 30)
    return replace(draft.observation, recorder_gap=gap)
