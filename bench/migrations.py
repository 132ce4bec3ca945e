"""How long lint takes for many statements."""

from __future__ import annotations

import random
import time
from pathlib import Path

from bench.figures import Figure
from incident_rca.migrations.lint import lint_text

COUNT = 10_000
KINDS = (
    "CREATE INDEX i{n} ON orders (a, lower(b)) WHERE c > {n};",
    "CREATE INDEX CONCURRENTLY j{n} ON orders (a);",
    "ALTER TABLE orders ADD CONSTRAINT c{n} CHECK (a > {n}), ADD COLUMN d{n} int DEFAULT {n};",
    "CREATE TABLE t{n} (id bigint PRIMARY KEY, a text NOT NULL DEFAULT 'x{n}');",
    "UPDATE orders SET a = {n} WHERE id BETWEEN {n} AND {n} + 1000;",
    "DO $$ BEGIN IF {n} > 0 THEN CREATE INDEX k{n} ON orders (a); END IF; END $$;",
    "SET LOCAL lock_timeout = '{n}s';",
)


def statements(seed: int) -> str:
    """A file of COUNT statements of every kind."""
    rng = random.Random(seed)
    return "\n".join(rng.choice(KINDS).format(n=n + 1) for n in range(COUNT))


def measure_lint(_: Path, seed: int) -> list[Figure]:
    """One file of many statements, read and judged; once."""
    text = statements(seed)
    start = time.perf_counter()
    report = lint_text(text)
    took = time.perf_counter() - start
    if report.statements != COUNT or report.not_checked or not report.findings:
        raise RuntimeError(f"{report.statements} statements, {len(report.findings)} findings")
    return [Figure(f"lint of {COUNT:,} statements", took, "s", "<= 5")]
