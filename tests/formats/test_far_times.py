"""A time outside of this century is damage: its row is unreadable, and the others are read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from incident_rca.formats.clusters import Days, clusters_of
from tests.formats.builders import parse, request, write
from tests.redaction.raw_examples import EXAMPLES

_JSON, _STDERR = EXAMPLES["postgres_log"][:2]
_CSV = (
    b'2026-01-15 14:23:01.000 UTC,"app","shop",7,"[local]",69690000.7,1,"SELECT",'
    b'2026-01-15 14:00:00 UTC,3/4,0,LOG,00000,"ready",,,,,,,,,"app","client backend",,0\n'
)
_OTHER_MS = (b"[1768486200000, 1768486210000]", b"[1768486200000, %d]")


@pytest.mark.parametrize(
    ("kind", "good", "old", "new"),
    [
        ("postgres_log", _JSON * 2, b"2026-01-15 14:23:01 UTC", b"3000-01-15 14:23:01 UTC"),
        ("postgres_log", _JSON * 2, b"2026-01-15 14:23:01 UTC", b"1999-12-31 23:59:59 UTC"),
        ("postgres_log", _CSV * 2, b"2026-01-15 14:23:01.000 UTC", b"3000-01-15 14:23:01.000 UTC"),
        ("postgres_log", _STDERR + _STDERR.replace(b"14:23:01", b"14:24:01"), b"2026-", b"2100-"),
        ("lock_recording", EXAMPLES["lock_recording"][0], b'"at": "2026', b'"at": "3000'),
        ("lock_recording", EXAMPLES["lock_recording"][0], b'"locks_at": "2026', b'"locks_at": "19'),
        ("datadog_metrics", EXAMPLES["datadog_metrics"][0], _OTHER_MS[0], _OTHER_MS[1] % (1 << 45)),
        ("prometheus_metrics", EXAMPLES["prometheus_metrics"][0], b"[1768486215", b"[32503680001"),
        ("prometheus_metrics", EXAMPLES["prometheus_metrics"][0], b"[1768486215", b"[215"),
        (
            "otlp_metrics",
            EXAMPLES["otlp_metrics"][0],
            b'"timeUnixNano": "17',
            b'"timeUnixNano": "41',
        ),
        ("cloudwatch_metrics", EXAMPLES["cloudwatch_metrics"][0], b'["2026', b'["3000'),
    ],
)
def test_a_time_outside_of_this_century_is_damage(
    tmp_path: Path, kind: str, good: bytes, old: bytes, new: bytes
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.write_bytes(good)
    assert good.count(old)
    after.write_bytes(good.replace(old, new, 1))
    read, torn = parse(kind, before), parse(kind, after)
    assert torn.unparsed == read.unparsed + 1
    if torn.covered is not None:
        assert torn.covered.start.year >= 2026 and torn.covered.end.year <= 2026


def test_times_of_this_century_that_lie_far_apart_are_clusters(tmp_path: Path) -> None:
    lines = [request(second) for second in (0, 1, 86_000, 400_000, 400_000)]
    found = clusters_of(parse("access_log", write(tmp_path / "a.ndjson", *lines)))
    assert [cluster.rows for cluster in found] == [3, 2]
    assert found[0].window.end < found[1].window.start
    near = write(tmp_path / "b.ndjson", *lines[:3])
    assert clusters_of(parse("access_log", near)) == ()


def test_a_log_that_goes_on_for_days_is_one_cluster() -> None:
    days = Days()
    for day in (1, 2, 3):
        days.add(datetime(2026, 1, day, 12, tzinfo=UTC))
    days.add(datetime(2026, 1, 4, 12, 0, 1, tzinfo=UTC))
    assert [cluster.rows for cluster in days.clusters()] == [3, 1]
