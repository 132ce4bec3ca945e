"""What the check-ups of services share: a check that failed, a time bound, and what is held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from incident_rca.errors import Unreachable
from incident_rca.model import TimeWindow
from incident_rca.model.checkup import Check, CheckState, PastSource, WouldShow, window_covered
from incident_rca.redact import plain
from incident_rca.sources.checkup_path import check_clock
from incident_rca.sources.tally import Tally
from incident_rca.window import format_instant

# A check-up is waited for by a person: one service may take so long, whatever it does.
CHECKUP_SECONDS = 60.0
_ASK_AGAIN = "ask again; if it stays so, check the address and the network"
_TOO_LATE = "not asked: the check-up's time was over"


def refused(name: str, error: Unreachable, tally: Tally) -> Check:
    """The check of a question that got no answer; `unknown` where only its time was over."""
    if tally.left() <= 0:
        return Check(name, CheckState.UNKNOWN, _TOO_LATE)
    return Check(name, CheckState.PROBLEM, plain(error.message, 400), error.hint or _ASK_AGAIN)


def isolated(name: str, tally: Tally, ask: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """The checks of `ask` as far as they go, then the one that says what ended them."""
    try:
        yield from ask()
    except Unreachable as error:
        yield refused(name, error, tally)


def clock_check(bounds: tuple[float, float] | None) -> Check:
    """Whether the service's clock agrees with ours; answers without a Date say nothing of it."""
    if bounds is None:
        return Check("clock", CheckState.UNKNOWN, "no answer had a Date")
    return check_clock(bounds)


def throttled_check(tally: Tally) -> Check | None:
    """Whether the service asked to slow down while so little was asked."""
    if not tally.throttled:
        return None
    found = f"{tally.throttled} of the check-up's own few calls were asked to slow down"
    cure = "find out who uses the quota up (dashboards, exporters), or ask for a higher one"
    return Check("throttling", CheckState.WARNING, found, cure)


def held(
    source: str,
    first: datetime | None,
    last: datetime | None,
    window: TimeWindow,
    *,
    tolerance: timedelta,
    why: str,
) -> PastSource:
    """Whether data from `first` to `last`, both of the window, are all of it.

    What is missing at an end is no gap where it is shorter than `tolerance`: nothing need have
    happened in every second.
    """
    if first is None or last is None or first >= last:
        return PastSource(source, WouldShow.NO, f"{why}, nothing is there from this window")
    start = window.start if first - window.start <= tolerance else first
    end = window.end if window.end - last <= tolerance else last
    covered = TimeWindow(max(start, window.start), min(end, window.end))
    told = f"{why}, from {_shown(covered.start)} to {_shown(covered.end)}"
    return PastSource(source, window_covered([covered], window), told, covered)


def past_unknown(source: str, error: Unreachable, tally: Tally) -> PastSource:
    """A place that could not be asked what it holds."""
    why = _TOO_LATE if tally.left() <= 0 else plain(error.message, 300)
    return PastSource(source, WouldShow.UNKNOWN, why)


def _shown(instant: datetime) -> str:
    return format_instant(whole(instant))


def whole(instant: datetime) -> datetime:
    """An instant in whole seconds."""
    return instant.replace(microsecond=0)
