"""How long lint takes for many statements, in processor time: others may use the machine too."""

from __future__ import annotations

import random
import time
from pathlib import Path

from bench.figures import Figure
from incident_rca.migrations.lint import FileReport, lint_text

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


def block(seed: int) -> str:
    """The same as the body of one DO block, without what PL/pgSQL does not have."""
    rng = random.Random(seed)
    lines = (rng.choice(KINDS[:5]).format(n=n + 1) for n in range(COUNT))
    return "DO $body$ BEGIN\n" + "\n".join(lines) + "\nEND $body$;"


def measure_lint(_: Path, seed: int) -> list[Figure]:
    """One file of many statements, and one of a single long DO block, read and judged; once."""
    flat, flat_seconds = _linted(statements(seed))
    inside, inside_seconds = _linted(block(seed))
    if (flat.statements, inside.statements) != (COUNT, 1) or not flat.findings:
        raise RuntimeError(f"{flat.statements} and {inside.statements} statements were read")
    if len(inside.findings) < COUNT // 2:
        raise RuntimeError(f"only {len(inside.findings)} findings inside the block")
    return [
        Figure(f"lint of {COUNT:,} statements", flat_seconds, "s", "<= 5"),
        Figure(f"lint of a DO block of {COUNT:,} statements", inside_seconds, "s", "<= 5"),
    ]


def _linted(text: str) -> tuple[FileReport, float]:
    start = time.process_time()
    report = lint_text(text)
    took = time.process_time() - start
    if report.not_checked:
        raise RuntimeError(f"{len(report.not_checked)} statements could not be read")
    return report, took
