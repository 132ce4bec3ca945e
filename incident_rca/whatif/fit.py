"""How well the model without a protection tells what was recorded: request by request."""

from __future__ import annotations

from collections.abc import Iterator

from incident_rca.model import Fit, ReplayFigures
from incident_rca.whatif.breakers import OK
from incident_rca.whatif.figures import is_failure
from incident_rca.whatif.replay import Answers
from incident_rca.whatif.traffic import Traffic


def fit_of(
    traffic: Traffic, answers: Answers, recorded: ReplayFigures, replayed: ReplayFigures
) -> Fit:
    """The replay as it was beside the record, and why it must not be relied on, if so."""
    both = only_recorded = only_in_model = 0
    for request, outcome in zip(traffic.requests, answers.outcomes, strict=True):
        has_failed, fails = is_failure(request.status), outcome != OK
        both += has_failed and fails
        only_recorded += has_failed and not fails
        only_in_model += fails and not has_failed
    wrong = only_recorded + only_in_model
    return Fit(
        failed_in_both=both,
        failed_only_recorded=only_recorded,
        failed_only_in_model=only_in_model,
        problems=(*_of_requests(both, wrong), *_of_connections(recorded, replayed)),
    )


def _of_requests(right: int, wrong: int) -> Iterator[str]:
    # The threat score of forecasts, hits / (hits + misses + false alarms), below a half.
    if wrong > right:
        yield (
            f"as it was, it is wrong about {wrong:,} requests and right about {right:,} of those "
            "that failed"
        )


def _of_connections(recorded: ReplayFigures, replayed: ReplayFigures) -> Iterator[str]:
    pairs = [
        (one, other)
        for one, other in zip(recorded.held_by_step, replayed.held_by_step, strict=True)
        if one is not None and other is not None
    ]
    off = sum(abs(one - other) for one, other in pairs)
    if off and off >= sum(one for one, _ in pairs):
        yield (
            "its connections are no nearer to the recorded ones than a pool that nobody uses: it "
            f"holds {max(other for _, other in pairs):,} at most where "
            f"{max(one for one, _ in pairs):,} were recorded"
        )


def too_small_to_tell(fit: Fit, replayed: ReplayFigures, *tried: ReplayFigures) -> Iterator[str]:
    """Yields that a protection changes no more failures than the model is wrong about, if so."""
    wrong = fit.failed_only_recorded + fit.failed_only_in_model
    most = max(abs(replayed.failed - figures.failed) for figures in tried)
    if most <= wrong:
        yield (
            f"with the protection {most:,} requests more or fewer fail, and the model is wrong "
            f"about {wrong:,}: it does not tell whether the protection would have helped"
        )
