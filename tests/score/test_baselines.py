"""Each baseline on series worked out by hand, and the series that it gets."""

from __future__ import annotations

from score.baselines import first_timestamp, lock_waits, robust_z
from score.blame import Blame
from score.signals import Signal

OUTAGE = (600.0, 700.0)


def series(kind: str, name: str, usual: tuple[float, ...], **later: float) -> Signal:
    """A value each 10 s from 0 to 800, the usual ones in turn; `later` says others: `at_610=9`."""
    changed = {float(at.removeprefix("at_")): value for at, value in later.items()}
    points = [
        (at, changed.get(at, usual[int(at / 10) % len(usual)]))
        for at in map(float, range(0, 800, 10))
    ]
    return Signal(kind, name, tuple(points))


def test_the_first_bucket_beyond_three_sigma_is_blamed() -> None:
    """Usual values 1 and 3: mean 2, deviation 1, limit 5."""
    slow = series("dependency_latency", "stock.Reserve", (1, 3), at_590=5.1)
    lock = series("lock_blocking", "shop.public.items", (0,), at_600=4)
    assert first_timestamp([slow, lock], OUTAGE) == Blame("dependency_latency", "stock.Reserve")
    under = series("dependency_latency", "stock.Reserve", (1, 3), at_590=5.0, at_620=9)
    assert first_timestamp([under, lock], OUTAGE) == Blame("lock_blocking", "shop.public.items")
    assert first_timestamp([series("traffic_surge", "GET /items", (1, 3))], OUTAGE) is None
    behind = series("traffic_surge", "GET /items", (1, 3), at_710=99)
    assert first_timestamp([behind], OUTAGE) is None


def test_the_largest_robust_z_score_is_blamed() -> None:
    """Usual 10, 20, 30, 40 in turn: median 25, quartiles 17.5 and 32.5, so a range of 15."""
    wide = series(
        "dependency_latency", "stock.Reserve", (10, 20, 30, 40), at_650=325
    )  # (325-25)/15 = 20
    flat = series("backend_failure", "stock.Reserve", (0,), at_650=19)  # a range of 0 counts as 1
    assert robust_z([wide, flat], OUTAGE) == Blame("dependency_latency", "stock.Reserve")
    more = series("backend_failure", "stock.Reserve", (0,), at_650=21)
    assert robust_z([wide, more], OUTAGE) == Blame("backend_failure", "stock.Reserve")
    low = series("traffic_surge", "GET /items", (10, 20, 30, 40), at_650=-300)  # |−325| / 15 = 21.7
    assert robust_z([wide, more, low], OUTAGE) == Blame("traffic_surge", "GET /items")
    assert robust_z([series("backend_failure", "a.B", (0,))], OUTAGE) is None


def test_the_relation_with_most_waits_is_blamed_and_nothing_where_nobody_waits() -> None:
    few = series("lock_blocking", "shop.public.bills", (0,), at_610=3, at_620=3)
    many = series("lock_blocking", "shop.public.items", (0,), at_610=2, at_620=2, at_630=3)
    slow = series("dependency_latency", "stock.Reserve", (1,), at_610=999)
    assert lock_waits([few, many, slow], OUTAGE) == Blame("lock_blocking", "shop.public.items")
    before = series("lock_blocking", "shop.public.items", (0,), at_100=99)
    assert lock_waits([few, before, slow], OUTAGE) == Blame("lock_blocking", "shop.public.bills")
    assert lock_waits([before, slow], OUTAGE) is None
