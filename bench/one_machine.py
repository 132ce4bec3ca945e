"""A gigabyte of access log from raw file to report, beside what others need for its rollup alone.

`GIGABYTES=10 make bench` takes ten.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from bench.analysis_cost import exponent
from bench.figures import Figure
from bench.large_log import ERROR_TYPES, Truth, write_large_log
from bench.measured_run import Cost, imported_and_reported, measured
from bench.rollup_engine import digest
from incident_rca.analysis.endpoints import percentile_ms
from incident_rca.case import read_case, read_table

LINES_OF_A_GIGABYTE = 2_000_000
SHARES = (0.25, 0.5, 1.0)
PARTS = 8
PERCENTILES = (0.5, 0.99)
LINES_FOR_PANDAS = 200_000
MB = 1e6
HERE = Path(__file__).parent


def measure_one_machine(folder: Path, seed: int) -> list[Figure]:
    """Import and report of one file, plain and packed, of many files, and of smaller ones."""
    lines = int(os.environ.get("GIGABYTES", "1")) * LINES_OF_A_GIGABYTE
    plain = folder / "access.ndjson"
    truth = write_large_log(plain, seed, lines)
    packed = _packed(plain)
    one = _checked([plain], truth)
    figures = _beside_others(plain, one, truth)
    figures += _beside_others(packed, _checked([packed], truth), truth)
    packed.unlink()
    figures += _beside_pandas(folder, seed, one, lines)
    parts = list(_parts(plain, folder))
    plain.unlink()
    figures += _of_parts(_checked(parts, truth), one)
    for part in parts:
        part.unlink()
    return [*figures, *_growth(folder, seed, lines)]


def _beside_others(path: Path, ours: Cost, truth: Truth) -> list[Figure]:
    kind = "gzip" if path.suffix == ".gz" else "plain"
    what = f"import and report of {truth.lines:,} lines, {kind}"
    bare = _by_engine("duckdb", path, truth) + measured(["sha256sum", str(path)]).seconds
    polars, orjson = (_by_engine(name, path, truth) for name in ("polars", "orjson"))
    return [
        Figure(what, ours.seconds, "s"),
        Figure(f"{what}: time of processors", ours.cpu_seconds, "s CPU"),
        Figure(f"{what}: most memory", ours.peak_bytes / MB, "MB", "< 600"),
        Figure(
            f"{what}: over 1.3 x (bare DuckDB query + sha256sum) + 2 s",
            ours.seconds / (1.3 * bare + 2),
            "x time",
            "<= 1",
        ),
        Figure(f"{what}: over the rollup alone by Polars", ours.seconds / polars, "x time", "< 1"),
        Figure(f"{what}: over the rollup alone by orjson", ours.seconds / orjson, "x time"),
    ]


def _beside_pandas(folder: Path, seed: int, ours: Cost, lines: int) -> list[Figure]:
    """pandas on some of the lines, as its time is proportional to them."""
    path = folder / "some.ndjson"
    truth = write_large_log(path, seed, LINES_FOR_PANDAS)
    of_all = _by_engine("pandas", path, truth) * lines / LINES_FOR_PANDAS
    path.unlink()
    name = "the rollup alone by pandas over import and report"
    return [Figure(name, of_all / ours.seconds, "x time", ">= 10")]


def _of_parts(many: Cost, one: Cost) -> list[Figure]:
    what = f"{PARTS} files over one"
    return [
        Figure(f"{what}, time of processors", many.cpu_seconds / one.cpu_seconds, "x", "<= 1.3"),
        Figure(f"{what}, memory", many.peak_bytes / one.peak_bytes, "x", "<= 1.1"),
    ]


def _growth(folder: Path, seed: int, lines: int) -> list[Figure]:
    """How time and memory of an import grow with the lines; time of processors, start and all."""
    path = folder / "growing.ndjson"
    costs = []
    for share in SHARES:
        truth = write_large_log(path, seed, round(lines * share))
        costs.append(_checked([path], truth))
        path.unlink()
    times = [tuple(cost.cpu_seconds for cost in costs)]
    return [
        Figure("import and report, exponent of its time", exponent(SHARES, times), "", "<= 1.1"),
        Figure(
            "import and report, most memory over that of a quarter of the lines",
            costs[-1].peak_bytes / costs[0].peak_bytes,
            "x",
        ),
    ]


def _checked(paths: Sequence[Path], truth: Truth) -> Cost:
    """What the command line costs; raises RuntimeError where its counts are not the truth."""
    case = paths[0].parent / "case"
    cost = imported_and_reported(case, paths)
    check_counts(case, truth)
    check_percentiles(case, truth)
    shutil.rmtree(case)
    return cost


def check_counts(case: Path, truth: Truth) -> None:
    """Raises RuntimeError where the tables of a case do not hold what was made."""
    rows = read_table(case, "gateway")
    seconds = rows["second"].astype("int64") // 1_000_000
    keys = (rows[name].astype(object) for name in ("method", "route", "status"))
    kinds = rows["error_type"].astype(object).fillna("")
    found: Counter[object] = Counter()
    for *key, requests in zip(seconds, *keys, kinds, rows["requests"], strict=True):
        found[tuple(key)] += requests
    made: Counter[object] = Counter()
    for (second, method, route, status, kind), requests in truth.groups.items():
        made[second, method, route, status, ERROR_TYPES.get((status, kind), "")] += requests
    unparsed = sum(source.unparsed for source in read_case(case).sources)
    if found != made or unparsed != truth.unreadable:
        raise RuntimeError(f"{case}: its counts are not those of the log that was made")


def check_percentiles(case: Path, truth: Truth) -> None:
    """Raises RuntimeError where a route's percentile is not the exact one."""
    rows = read_table(case, "gateway")
    for (method, route), counted in truth.latencies_ms.items():
        of_route = rows[(rows["method"] == method) & (rows["route"] == route)]
        latencies = sorted(counted)
        reached = list(accumulate(counted[latency] for latency in latencies))
        for share in PERCENTILES:
            exact = latencies[bisect_left(reached, share * reached[-1])]
            read = percentile_ms(of_route, share)
            if read != exact:
                raise RuntimeError(f"{case}: p{share:g} of {method} {route}: {read}, not {exact}")


def _by_engine(name: str, path: Path, truth: Truth) -> float:
    """The seconds of a library's own rollup; raises RuntimeError where its counts are wrong."""
    words = [sys.executable, str(HERE / "rollup_engine.py"), name, str(path)]
    told = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
    groups = ((*group, requests) for group, requests in truth.groups.items())
    if (told["digest"], told["unreadable"]) != (digest(groups), truth.unreadable):
        raise RuntimeError(f"{name}: its counts are not those of the log that was made")
    return float(told["seconds"])


def _packed(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    with path.open("rb") as source, gzip.open(packed, "wb", compresslevel=6) as out:
        shutil.copyfileobj(source, out, 1 << 20)
    return packed


def _parts(path: Path, folder: Path) -> Iterator[Path]:
    """The same lines in several files."""
    size = path.stat().st_size // PARTS + 1
    with path.open("rb") as source:
        for number in range(PARTS):
            part = folder / f"part{number}.ndjson"
            with part.open("wb") as out:
                out.write(source.read(size))
                out.write(source.readline())
            yield part
