"""Rolls up one access log with a library alone, in a process of its own.

Usage: python bench/rollup_engine.py duckdb|polars|pandas|orjson FILE

Each counts requests and takes exact p50 and p99 of the latency by second, method, route, status and
error type, and counts the lines that are no request. Printed as JSON: the seconds that this took
(not the loading of the library), the lines that are no request, and the digest of the counts.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path

KEYS = ("httpMethod", "resourcePath", "status", "errorResponseType")
FIELDS = ("requestTimeEpoch", *KEYS, "responseLatency")
QUANTILES = (0.5, 0.99)
PANDAS_ROWS = 20_000
DUCKDB = Path(__file__).with_name("rollup_by_duckdb.sql")

# The epoch second, the four keys, and how many requests.
Counted = tuple[int, str, str, int, str, int]
Rolled = tuple[list[Counted], int]


def digest(groups: Iterable[Counted]) -> str:
    """A hash of counts that does not depend on their order."""
    lines = sorted(f"{group}" for group in groups)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def by_duckdb(path: Path) -> Rolled:
    """One query over explicit columns; a line that is no JSON is a row of nulls."""
    import duckdb

    with duckdb.connect() as session:
        session.execute("SET VARIABLE raw_path = ?", [str(path)])
        rows = session.sql(DUCKDB.read_text(encoding="utf-8")).fetchall()
    groups = [(s, m, r, int(status), t, n) for s, m, r, status, t, n, _ in rows if s is not None]
    return groups, sum(row[5] for row in rows if row[0] is None)


def by_polars(path: Path) -> Rolled:
    """Streaming over lines of text, as `scan_ndjson` gives up at the first that is no JSON."""
    import polars as pl

    lines = pl.scan_csv(
        path, has_header=False, separator="\x01", quote_char=None, schema={"line": pl.String}
    )
    line = pl.col("line")
    whole = line.str.starts_with("{") & line.str.ends_with("}")
    known = pl.Struct(dict.fromkeys(FIELDS, pl.String))
    decoded = pl.when(whole).then(line).otherwise(pl.lit("{}")).str.json_decode(known)
    latency = pl.col("responseLatency").cast(pl.Float64, strict=False)
    rolled = (
        lines.select(decoded.alias("fields"))
        .select(pl.col("fields").struct.unnest())
        .group_by(pl.col("requestTimeEpoch").cast(pl.Int64) // 1000, *KEYS)
        .agg(pl.len(), *(latency.quantile(q, "linear").alias(f"p{q}") for q in QUANTILES))
        .collect(engine="streaming")
        .select("requestTimeEpoch", *KEYS, "len")
        .rows()
    )
    groups = [(s, m, r, int(status), t, n) for s, m, r, status, t, n in rolled if s is not None]
    return groups, sum(row[-1] for row in rolled if row[0] is None)


def by_pandas(path: Path) -> Rolled:
    """Chunk by chunk; one with a line that is no JSON is read again without such lines."""
    import numpy as np
    import pandas as pd

    kept: list[pd.DataFrame] = []
    unreadable = 0
    with _opened(path) as file:
        while lines := list(islice(file, PANDAS_ROWS)):
            try:
                chunk = pd.read_json(io.BytesIO(b"".join(lines)), lines=True, dtype=False)
            except ValueError:
                good = [line for line in lines if _is_json(line)]
                unreadable += len(lines) - len(good)
                chunk = pd.read_json(io.BytesIO(b"".join(good)), lines=True, dtype=False)
            requests = chunk.dropna(subset="status")
            unreadable += len(chunk) - len(requests)
            kept.append(requests[list(FIELDS)].astype(str))
    whole = pd.concat(kept)
    second = pd.to_numeric(whole["requestTimeEpoch"]) // 1000
    latency = pd.to_numeric(whole["responseLatency"], errors="coerce")
    by = [second, *(whole[key] for key in KEYS)]
    grouped = latency.groupby(by, sort=False)
    grouped.quantile(np.array(QUANTILES))
    sizes = grouped.size().reset_index().itertuples(index=False)
    return [(s, m, r, int(status), t, n) for s, m, r, status, t, n in sizes], unreadable


def by_orjson(path: Path) -> Rolled:
    """A loop over the lines."""
    import orjson

    latencies: dict[tuple[int, str, str, str, str], list[float]] = defaultdict(list)
    unreadable = 0
    with _opened(path) as file:
        for line in file:
            try:
                row = orjson.loads(line)
                key = (int(row["requestTimeEpoch"]) // 1000, *(row[name] for name in KEYS))
                latencies[key].append(float(row["responseLatency"]))
            except (ValueError, KeyError, TypeError):
                unreadable += 1
    for values in latencies.values():
        values.sort()
    groups = [(s, m, r, int(status), t, len(v)) for (s, m, r, status, t), v in latencies.items()]
    return groups, unreadable


ENGINES: Mapping[str, Callable[[Path], Rolled]] = {
    "duckdb": by_duckdb,
    "polars": by_polars,
    "pandas": by_pandas,
    "orjson": by_orjson,
}


def _opened(path: Path) -> gzip.GzipFile | io.BufferedReader:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def main(engine: str, file: str) -> None:
    """Prints one JSON object."""
    roll_up = ENGINES[engine]
    __import__(engine)
    start = time.perf_counter()
    groups, unreadable = roll_up(Path(file))
    seconds = time.perf_counter() - start
    told = {"seconds": seconds, "unreadable": unreadable, "digest": digest(groups)}
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
