"""What was measured and replayed of the incident built by hand: a little series and a sweep."""

from __future__ import annotations

from itertools import product

from incident_rca.model import (
    AlignedSeries,
    Episode,
    Fit,
    Lane,
    LaneName,
    Premise,
    ReplayFigures,
    Series,
    Span,
    Sweep,
    SweptAxis,
    SweptSetting,
    TimeWindow,
)
from incident_rca.whatif.opossum import OpossumOptions
from incident_rca.whatif.options import to_document
from incident_rca.whatif.protection import Protection
from tests.report.incident import FIRST, HOLDER, MIGRATION, POOL, WAITERS, at, span

STEPS = 45


def series() -> AlignedSeries:
    """Forty-five minutes in steps of a minute; the pool has a gap, and calls were not recorded."""
    return AlignedSeries(
        incident=None,
        start=at("14:10:00"),
        step_seconds=60.0,
        steps=STEPS,
        lanes=(
            Lane(
                name=LaneName.CHANGES,
                unit="",
                episodes=(
                    Episode(
                        title="migration 0042",
                        start=span("14:22:58"),
                        end=Span(at("14:27:00"), None),
                        evidence=(MIGRATION,),
                    ),
                ),
            ),
            Lane(
                name=LaneName.LOCK_WAITERS,
                unit="sessions",
                series=(
                    Series(
                        name="public.stock_reservations",
                        values=(*[0.0] * 13, 80.0, 100.0, 100.0, 100.0, *[0.0] * 28),
                        at_least=(13,),
                        evidence=(WAITERS,),
                    ),
                ),
                episodes=(
                    Episode(
                        title="SHARE on public.stock_reservations",
                        start=span("14:23:00", "14:23:01"),
                        end=span("14:27:00", "14:27:01"),
                        evidence=(HOLDER,),
                    ),
                ),
            ),
            Lane(
                name=LaneName.LATENCY,
                unit="ms",
                not_recorded=(TimeWindow(at("14:10:00"), at("14:55:00")),),
            ),
            Lane(
                name=LaneName.POOL,
                unit="connections in use",
                series=(
                    Series(
                        name="inventory",
                        values=(*[7.0] * 13, None, *[100.0] * 23, *[6.0] * 8),
                        limit=100.0,
                        evidence=(POOL,),
                    ),
                ),
                not_recorded=(TimeWindow(at("14:23:00"), at("14:24:00")),),
            ),
            Lane(
                name=LaneName.FAILURES,
                unit="failed requests/s",
                series=(
                    Series(
                        name="HTTP 502",
                        values=(*[0.0] * 13, *[0.9] * 24, *[0.0] * 8),
                        evidence=(FIRST,),
                    ),
                ),
                left_out=("HTTP 418",),
            ),
            Lane(name=LaneName.REQUESTS, unit="requests/s"),
            Lane(name=LaneName.ERROR_TYPES, unit="failed requests/s"),
        ),
    )


AXES = (
    SweptAxis(name="deadline", values=("1s", "5s")),
    SweptAxis(name="errorThresholdPercentage", values=("25", "50", "75")),
    SweptAxis(name="resetTimeout", values=("5s", "30s")),
)


def figures(failed: int, refused_healthy: int, held: tuple[int | None, ...]) -> ReplayFigures:
    return ReplayFigures(
        requests=3880,
        failed=failed,
        by_type=_by_type(failed, is_refused=bool(refused_healthy)),
        by_route={"POST /api/orders": failed},
        refused=failed - 10 if refused_healthy else 0,
        refused_healthy=refused_healthy,
        first_fast_failure_seconds=12.5 if refused_healthy else None,
        p50_ms=22.0,
        p99_ms=30_000.0,
        pool_peak=max((h for h in held if h is not None), default=None),
        pool_exhausted_after_seconds=None,
        pool_exhausted_seconds=0.0,
        held_by_step=held,
    )


def _by_type(failed: int, *, is_refused: bool) -> dict[str, int]:
    return (
        {"error": 0, "refused": failed - 10, "timeout": 10}
        if is_refused
        else {
            "error": failed,
            "refused": 0,
            "timeout": 0,
        }
    )


def sweep() -> Sweep:
    """Twelve settings of opossum, each with figures of its own in both ways."""
    chosen = list(product(*(axis.values for axis in AXES)))
    return Sweep(
        replayed="ab" * 32,
        pool="inventory",
        pool_size=100,
        given_pool_size=None,
        breaker="opossum",
        basis="exactly as the library behaves",
        base=to_document(Protection(breaker=OpossumOptions(), deadline_ms=10_000)),
        axes=AXES,
        step_seconds=600.0,
        recorded=figures(1557, 0, (7, None, 100, 100, 6)),
        unprotected=figures(1550, 0, (7, 90, 100, 100, 7)),
        fit=Fit(
            failed_in_both=1540,
            failed_only_recorded=17,
            failed_only_in_model=10,
            problems=("a pool that is not recorded",),
        ),
        trials=tuple(
            SweptSetting(
                settings=dict(zip((axis.name for axis in AXES), values, strict=True)),
                cancelled=figures(100 + n, 40 - n, (7, 20 + n, 30, 30, 7)),
                left_running=figures(300 + n, 80 - n, (7, 60, 70 + n, 70, 7)),
            )
            for n, values in enumerate(chosen)
        ),
        front_cancelled=tuple(range(12)),
        front_left_running=(3, 5),
        premises=(Premise("The callers keep their rate"),),
    )
