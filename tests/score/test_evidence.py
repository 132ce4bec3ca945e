"""What sources show of a played plan: the same by files and by tables, no more than they can."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pandas as pd
import pytest

from incident_rca.model import SourceState
from score.evidence import Collected, collected
from score.manifest import START
from score.observation import Observation, without
from score.plans import SCENES, Plan, plan_of

LOST = ["row", "source", "file", "line", "line_first", "line_last", "request_id"]


def plan(kind: str) -> Plan:
    """The first tuning plan of a scene; all is collected, as tables."""
    found = plan_of(2 * list(SCENES).index(kind))
    return seen(found, replace(found.observation, missing=frozenset(), as_files=False))


def seen(found: Plan, observation: Observation) -> Plan:
    """The same incident, observed in another way."""
    return replace(found, observation=observation)


def content(frame: pd.DataFrame) -> Counter[str]:
    """The rows as text, whatever their order and where they stand.

    The format of access logs counts latencies in buckets of its own: their number is kept. That of
    Datadog has a row without a value where an answer says null: it says no more than no row.
    """
    frame = frame[frame["value"].notna()] if "value" in frame else frame
    kept = frame.drop(columns=[c for c in (*LOST, "latency_ms_bounds") if c in frame])
    if "latency_ms_counts" in kept:
        kept = kept.assign(latency_ms_counts=[int(sum(n)) for n in kept["latency_ms_counts"]])
    rows = kept.astype(object).where(kept.notna(), None).to_dict("records")
    return Counter(str(row) for row in rows)


@pytest.mark.parametrize("kind", ["misrouted", "crashed"])
def test_files_and_tables_say_the_same(kind: str) -> None:
    found = plan(kind)
    by_files = collected(seen(found, replace(found.observation, as_files=True))).tables
    by_tables = collected(found).tables
    for name in ("gateway", "failures", "metrics"):
        one, other = content(getattr(by_files, name)), content(getattr(by_tables, name))
        assert one and not (one - other) and not (other - one), name


def test_each_request_that_ended_in_the_window_is_in_the_log_once() -> None:
    made = collected(plan("surge"))
    ended = [r for r in made.simulation.trace.requests if r.ended < made.simulation.seconds]
    assert made.tables.gateway["requests"].sum() == len(ended)
    assert len(made.tables.failures) == sum(r.status >= 500 for r in ended)


def test_clocks_that_are_off_shift_what_their_system_shows_and_nothing_else() -> None:
    found = plan("index build")
    in_time = dict.fromkeys(found.observation.offsets, 0.0)

    def off(**offsets: float) -> Collected:
        return collected(seen(found, replace(found.observation, offsets=in_time | offsets)))

    right, late = off(), off(gateway=5.0)
    assert late.tables.failures["at"].min() - right.tables.failures["at"].min() == pd.Timedelta(
        5, "s"
    )
    assert late.tables.locks["wait_start"].equals(right.tables.locks["wait_start"])
    behind = off(postgres=-3.0)
    first = right.tables.locks["wait_start"].min() - behind.tables.locks["wait_start"].min()
    assert first == pd.Timedelta(3, "s")


def test_what_was_not_collected_is_missing_and_says_so() -> None:
    found = plan("index build")
    made = collected(seen(found, without(found.observation, "metrics", "log")))
    states = {s.name: s.state for s in made.case.sources}
    assert states["metrics"] is states["log"] is SourceState.SKIPPED
    assert states["gateway"] is states["recorder"] is SourceState.OK
    assert made.tables.metrics.empty and made.tables.server_events.empty
    assert len(made.tables.locks) and len(made.tables.gateway)


def test_a_recorder_that_was_off_recorded_nothing_then() -> None:
    found = plan("index build")
    made = collected(seen(found, replace(found.observation, recorder_gap=(100.0, 200.0))))
    shift = found.observation.offsets["postgres"]
    at = (made.tables.session_counts["at"] - START).dt.total_seconds() - shift
    assert not at.between(100.0, 200.0, inclusive="left").any()
    assert at.lt(100.0).any() and at.gt(200.0).any()
    (recorder,) = [s for s in made.case.sources if s.name == "recorder"]
    assert len(recorder.gaps) == 1


def test_a_percentile_is_that_of_the_calls_that_ended_in_its_bucket() -> None:
    found = plan("slow dependency")
    in_time = dict.fromkeys(found.observation.offsets, 0.0)
    whole = replace(found.observation, bucket_seconds=10.0, lost_buckets=0.0, offsets=in_time)
    made = collected(seen(found, whole))
    rows = made.tables.metrics
    row = rows[rows["aggregate"] == "p99"].iloc[20]
    begin = (row["at"] - START).total_seconds()
    took = [
        1000 * (c.ended - c.started)
        for c in made.simulation.trace.calls
        if c.method.casefold() == f"{row['service']}/{row['method']}"
        and begin <= c.ended < begin + 10
    ]
    assert sum(ms <= row["value"] + 0.001 for ms in took) >= 0.99 * len(took)
    assert sum(ms < row["value"] - 0.001 for ms in took) < 0.99 * len(took)
