"""Judged cases -> the figures of the score, with their goals, for any set of cases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from bench.figures import Figure
from score.baselines import BASELINES
from score.cases import Scored
from score.judge import Named
from score.truth import Expected

GOALS: Mapping[str, tuple[str, str | None]] = {
    "right_share": ("share", ">= 0.95"),
    "wrongly_blamed": ("cases", "<= 0"),
    "quiet_supported": ("cases", "<= 0"),
    "abstain_share": ("share", ">= 0.95"),
    "wrong_orders": ("orders", "<= 0"),
    "order_share": ("share", ">= 0.90"),
    "onset_coverage": ("share", ">= 0.90"),
    "onset_width": ("x resolution", "<= 2"),
    "explained_error": ("share", "<= 0.05"),
    "wrong_orders_beyond_bounds": ("orders", None),
}
MEANINGS: Mapping[str, str] = {
    "right_share": "of the incidents whose cause was recorded: named, and nothing else",
    "wrongly_blamed": "incidents and quiet windows with a trigger or sustainer that is none",
    "quiet_supported": "quiet windows with any supported hypothesis",
    "abstain_share": "of the incidents whose cause was not recorded: nothing blamed",
    "wrong_orders": "asserted orders that are not so",
    "order_share": "of the orders that sources and clocks can tell: asserted",
    "onset_coverage": "true onsets inside their span, ramps included; outside is what was missed",
    "onset_width": "median width of a span over its source's resolution, but for outages and ramps",
    "explained_error": "seconds said to be explained, off the truth",
    "wrong_orders_beyond_bounds": "where a clock was off by more than was declared",
}
OF_BASELINES = ("right_share", "wrongly_blamed", "abstain_share")


def figures_of(cases: Sequence[Scored], suffix: str = "") -> list[Figure]:
    """All figures of the analysis on these cases; `suffix` tells a half from the whole."""
    named = [n for c in cases for n in c.judged.named]
    orders = [(c.judged.trusts_clocks, o) for c in cases for o in c.judged.orders]
    told = [o for trusted, o in orders if trusted and o.is_determinable]
    found = [f for c in cases if c.judged.trusts_clocks for f in c.judged.onsets]
    steps = [f.width for f in found if f.width is not None and not f.is_ramp and f.what != "outage"]
    explained = [e for c in cases for e in c.judged.explained]
    values = {
        **blame_values(named),
        "quiet_supported": sum(c.judged.supports_in_quiet for c in cases),
        "wrong_orders": sum(trusted and o.is_wrong for trusted, o in orders),
        "order_share": share(o.is_asserted and not o.is_wrong for o in told),
        "onset_coverage": share(f.is_inside for f in found),
        "onset_width": median(steps) if steps else 0.0,
        "explained_error": _ratio(sum(e.error for e in explained), sum(e.true for e in explained)),
        "wrong_orders_beyond_bounds": sum(o.is_wrong for trusted, o in orders if not trusted),
    }
    return [Figure(name + suffix, float(values[name]), *goal) for name, goal in GOALS.items()]


def of_baseline(cases: Sequence[Scored], baseline: str) -> list[Figure]:
    """What a baseline reaches on the same cases, as information."""
    values = blame_values([n for c in cases for n in c.others[baseline]])
    return [
        Figure(f"{name} ({baseline})", float(values[name]), GOALS[name][0]) for name in OF_BASELINES
    ]


def unbeaten(cases: Sequence[Scored]) -> list[str]:
    """The baselines that are as often right on these cases, or blame fewer wrongly, in words."""
    own = blame_values([n for c in cases for n in c.judged.named])
    lines = []
    for baseline in BASELINES:
        other = blame_values([n for c in cases for n in c.others[baseline]])
        is_beaten = own["right_share"] > other["right_share"]
        if not is_beaten or own["wrongly_blamed"] > other["wrongly_blamed"]:
            lines.append(f"not beaten: {baseline}")
    return lines


def blame_values(named: Sequence[Named]) -> Mapping[str, float]:
    """The three figures of blame."""
    return {
        "right_share": share(n.is_right for n in named if n.expected is Expected.NAME),
        "wrongly_blamed": sum(n.is_wrong for n in named),
        "abstain_share": share(n.abstains for n in named if n.expected is Expected.ABSTAIN),
    }


def share(flags: Iterable[bool]) -> float:
    """How many of them are true; 1 where there are none, for nothing was missed."""
    known = list(flags)
    return _ratio(sum(known), len(known)) if known else 1.0


def _ratio(above: float, below: float) -> float:
    return above / below if below else 0.0


def numbers_of(cases: Sequence[Scored]) -> Mapping[str, int]:
    """How many incidents there are of each expectation, and how many quiet windows."""
    named = [n for c in cases for n in c.judged.named]
    counts: dict[str, Callable[[Named], bool]] = {
        "to be named": lambda n: n.expected is Expected.NAME,
        "to abstain": lambda n: n.expected is Expected.ABSTAIN,
        "open": lambda n: n.expected is Expected.OPEN,
        "quiet": lambda n: n.expected is None,
    }
    return {what: sum(map(test, named)) for what, test in counts.items()}
