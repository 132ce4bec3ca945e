"""Worlds as a seed draws them: names, rates, service times, pools and manners of failing."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

from score.world import Behaviour, Method, Route, Service, World

# The service that most scenes hurt, another one with a table, and one without a database.
MAIN, OTHER, PLAIN = "stock", "billing", "pricing"


def drawn_world(rng: random.Random) -> World:
    """A system that is well: pools are a tenth to a third in use, calls take some ten ms."""
    work = {name: rng.uniform(0.02, 0.15) for name in (MAIN, OTHER, PLAIN)}
    reserve, lookup = "stock.Stock/Reserve", "stock.Stock/Lookup"
    charge, quote = "billing.Billing/Charge", "pricing.Pricing/Quote"
    items, bills = "public.items", "public.bills"
    main = Service(
        name=MAIN,
        methods=(
            Method(full=reserve, table=items, writes=True, work_seconds=work[MAIN]),
            Method(full=lookup, table=items, work_seconds=work[MAIN] / 2),
        ),
        pool_size=rng.randint(10, 40),
        application="stock-service",
    )
    other = Service(
        name=OTHER,
        methods=(Method(full=charge, table=bills, writes=True, work_seconds=work[OTHER]),),
        pool_size=rng.randint(5, 20),
        application="billing-service",
    )
    plain = Service(name=PLAIN, methods=(Method(full=quote, work_seconds=work[PLAIN]),))
    routes = [
        Route(method="POST", path="/orders", calls=(reserve,), per_second=rng.uniform(1, 4)),
        Route(method="GET", path="/items", calls=(lookup,), per_second=rng.uniform(1, 4)),
        Route(method="POST", path="/bills", calls=(charge,), per_second=rng.uniform(0.5, 2)),
        Route(method="GET", path="/prices", calls=(quote,), per_second=rng.uniform(1, 3)),
    ]
    behaviour = Behaviour(
        gateway_seconds=rng.uniform(5, 29),
        deadline_seconds=rng.uniform(2, 4) if rng.random() < 0.2 else None,
        cancels=rng.random() < 0.7,
        cut_code=rng.choice(("CANCELLED", "UNAVAILABLE", "INTERNAL")),
        failed_status=rng.choice((500, 502, 503)),
    )
    return World(
        database="shop",
        services=(main, other, plain),
        routes=tuple(routes),
        behaviour=behaviour,
        noise=rng.choice((0.0, 0.0002, 0.001, 0.004)),
    )


def with_behaviour(world: World, **changed: Any) -> World:
    """The world with some of its manners changed."""
    return replace(world, behaviour=replace(world.behaviour, **changed))


def resized(
    world: World,
    *,
    work_seconds: float | None = None,
    load: float | None = None,
    pool_size: int | None = None,
    per_second: float | None = None,
    hot_share: float = 0.0,
) -> World:
    """The world with another main service; `load` sizes its pool so that this share is in use."""
    main = world.service(MAIN)
    methods = tuple(
        replace(
            m,
            work_seconds=work_seconds or m.work_seconds,
            hot_share=hot_share if m.writes else 0.0,
        )
        for m in main.methods
    )
    own = {m.full: m for m in methods}
    routes = tuple(
        replace(r, per_second=per_second if per_second and own[r.calls[0]].writes else r.per_second)
        if r.calls[0] in own
        else r
        for r in world.routes
    )
    busy = sum(r.per_second * own[r.calls[0]].work_seconds for r in routes if r.calls[0] in own)
    size = pool_size or (math.ceil(busy / load) if load else main.pool_size)
    changed = replace(main, methods=methods, pool_size=size)
    services = tuple(changed if s.name == MAIN else s for s in world.services)
    return replace(world, services=services, routes=routes)
