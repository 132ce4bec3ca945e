"""How much a lock matters: the size of its table, the time under the lock, who would queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from incident_rca.lock_modes import blocks_reads
from incident_rca.migrations.locks import TableLock, Work, blocks_writes
from incident_rca.migrations.operations import Relation
from incident_rca.migrations.sizes import TableSize, TableSizes
from incident_rca.model import Severity

# A table of few but wide rows takes as long as one of many: 1 GB are the 100,000 rows of the
# threshold at 10 kB, more than a page, so most of it is long values that are stored beside the
# table (TOAST).
LARGE_BYTES = 1_000_000_000
# Rows a second with everything in memory, the best of four on a million rows of 76 bytes, one
# process: a btree on a bigint 0.8 (PostgreSQL 18.4) and 0.9 million (16.14), the scan for a CHECK
# 10 and 23 million, a change of type with a primary key 0.5 and 0.8 million. Tables that do not
# fit in memory take longer, so the time that comes of these is called assumed and the least.
ASSUMED_ROWS_PER_SECOND: Mapping[Work, float] = {
    Work.BUILD: 1_000_000.0,
    Work.SCAN: 20_000_000.0,
    Work.REWRITE: 1_000_000.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From how many rows on a table counts as large, and how fast rows are worked through."""

    large_table_rows: int = 100_000
    per_table: Mapping[Relation, int] = field(default_factory=lambda: MappingProxyType({}))
    rows_per_second: float | None = None  # measured by the user, for builds

    def of(self, relation: Relation) -> int:
        return self.per_table.get(relation, self.large_table_rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocking:
    """What the statement would stop: seconds, and the requests that would queue meanwhile."""

    seconds: float
    basis: str
    queued_writes: float | None
    queued_scans: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """How severe it is, the reason, and the estimate for a table that is known to be large."""

    severity: Severity
    reason: str
    blocking: Blocking | None = None


def weigh(
    lock: TableLock, relation: Relation | None, sizes: TableSizes | None, thresholds: Thresholds
) -> Weight | None:
    """The weight of work under a lock on a table, None where the table is known to be small.

    `relation` has its schema; None where it is not known which table it is. Unknown is never small:
    without sizes it is a warning (medium), and a table that was never analyzed counts as large.
    """
    if relation is None:
        return Weight(severity=Severity.MEDIUM, reason="its table is not known here")
    if sizes is None:
        return Weight(
            severity=Severity.MEDIUM,
            reason=f"the size of {relation} is not known: give --dsn or --stats",
        )
    size = sizes.of(relation)
    if size is None:
        return Weight(
            severity=Severity.MEDIUM,
            reason=f"the table {relation} is not among the tables of {sizes.origin}",
        )
    if size.rows is None:
        return Weight(
            severity=Severity.HIGH,
            reason=f"the table {relation} has no statistics in {sizes.origin}, so it counts as "
            f"large: ANALYZE {relation}",
        )
    threshold = thresholds.of(relation)
    if size.rows < threshold and size.bytes < LARGE_BYTES:
        return None
    return Weight(
        severity=Severity.HIGH,
        reason=_described(relation, size.rows, size, sizes, threshold),
        blocking=_blocking(lock, size.rows, size, thresholds),
    )


def _described(
    relation: Relation, rows: int, size: TableSize, sizes: TableSizes, threshold: int
) -> str:
    """The size with its origin and age, and the threshold that it passes."""
    parts = f" in {len(size.partitions)} partitions" if size.partitions else ""
    counted = f"analyzed {size.analyzed_at}" if size.analyzed_at else "counted by writes alone"
    limit = f"threshold {threshold:,} rows"
    if rows < threshold:
        limit = f"threshold {LARGE_BYTES / 1e9:g} GB"
    return (
        f"the table {relation} has about {rows:,} rows, {size.bytes / 1e6:,.0f} MB"
        f"{parts} ({counted}; {sizes.origin}, {sizes.as_of}; {limit})"
    )


def _blocking(lock: TableLock, rows: int, size: TableSize, thresholds: Thresholds) -> Blocking:
    """How long the work takes at least, and what would queue at the rates that were seen."""
    measured = thresholds.rows_per_second if lock.work is Work.BUILD else None
    rate = measured or ASSUMED_ROWS_PER_SECOND[lock.work]
    seconds = rows / rate
    writes, scans = size.writes_per_second, size.scans_per_second
    return Blocking(
        seconds=seconds,
        basis=f"{'measured' if measured else 'assumed'} {rate:,.0f} rows/s",
        queued_writes=seconds * writes if writes is not None and blocks_writes(lock.mode) else None,
        queued_scans=seconds * scans if scans is not None and blocks_reads(lock.mode) else None,
    )
