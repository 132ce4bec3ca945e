"""`make bench-rollup`: what a rollup costs in processor time, and so what 1 and 100 TB would cost.

Wall time says nothing on a shared machine, so processor seconds are measured, and on logs of two
sizes: their difference leaves out what starting costs. The plan is arithmetic from these rates and
from list prices; Athena and Logs Insights are run by AWS, so nothing is said of their time.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # when run as a script
from bench.access_lines import write_access_log
from bench.figures import Figure, as_table, write_json
from bench.peak_memory import peak_kib
from incident_rca.formats.access_log.rolling import AT_ONCE
from incident_rca.rollup import Asked, Engine
from incident_rca.rollup.athena import USD_PER_TERABYTE
from incident_rca.rollup.insights import USD_PER_GIGABYTE
from incident_rca.rollup.local_files import LocalFiles
from incident_rca.rollup.rollup_file import write_rollup
from incident_rca.rollup.spark import Spark, opened

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "build" / "rollup.json"
SIZES = (50_000, 250_000)
SEED = 1
TERABYTE = 1e12
# Of a cluster; on one machine an import and a rollup parse so many pieces at once.
CORES = {"spark": 16, "duckdb": AT_ONCE}
NOW = datetime(2026, 1, 16, tzinfo=UTC)
Clock = Callable[[], float]


def main() -> int:
    """Prints the table; figures of Spark are there where pyspark is."""
    seed = int(os.environ.get("SEED", SEED))
    with tempfile.TemporaryDirectory(prefix="incident-rca-bench-") as name:
        folder = Path(name)
        plain = [write_access_log(folder / f"{n}.ndjson", seed, n) for n in SIZES]
        packed = [write_access_log(folder / f"{n}.ndjson.gz", seed, n) for n in SIZES]
        raw, stored = plain[-1].stat().st_size, packed[-1].stat().st_size
        rates = {
            "duckdb, plain": _rate(plain, plain, _of_duckdb, _own_seconds),
            "duckdb, gz": _rate(packed, plain, _of_duckdb, _own_seconds),
        }
        peak = peak_kib() / 1024
        rollup = (folder / "out").stat().st_size
        if find_spec("pyspark"):
            with opened((), "local[2]") as spark:
                clock = _java_seconds(spark)
                _rate(plain, plain, _of_spark(spark), clock)  # until Java has compiled it
                rates["spark, plain"] = _rate(plain, plain, _of_spark(spark), clock)
                rates["spark, gz"] = _rate(packed, plain, _of_spark(spark), clock)
    figures = [Figure(f"rate: {name}", rate, "MB/core s") for name, rate in rates.items()]
    figures += [
        Figure("log / its gz", raw / stored, ""),
        Figure("log / its rollup", raw / rollup, ""),
        Figure("peak memory of duckdb's process", peak, "MiB"),
        *_plan(rates, raw / stored),
    ]
    write_json(figures, TARGET)
    Console(highlight=False, markup=False).print(as_table(figures))
    print(f"seed {seed}; rates are of the log before compression; {TARGET.relative_to(ROOT)}")
    return 0


def _plan(rates: dict[str, float], packing: float) -> list[Figure]:
    """What 1 and 100 TB of log, as it is before compression, take and cost."""
    found = []
    for terabytes in (1, 100):
        of = f"{terabytes} TB"
        for name, rate in rates.items():
            hours = terabytes * TERABYTE / (rate * 1e6) / 3600
            found.append(Figure(f"{of}: {name}", hours, "core h"))
            cores = CORES[name.partition(",")[0]]
            found.append(Figure(f"{of}: {name}, {cores} cores", hours / cores, "h"))
        prices = {
            "insights": terabytes * 1000 * USD_PER_GIGABYTE,
            "athena, plain": terabytes * USD_PER_TERABYTE,
            f"athena, gz {packing:.1f}:1": terabytes * USD_PER_TERABYTE / packing,
            "athena, gz 6:1": terabytes * USD_PER_TERABYTE / 6,
        }
        found += [Figure(f"{of}: {name}", usd, "USD") for name, usd in prices.items()]
    return found


def _rate(
    paths: list[Path],
    plain: list[Path],
    engine_of: Callable[[Path], AbstractContextManager[Engine]],
    clock: Clock,
) -> float:
    """Megabytes of log before compression in a second of a core."""
    seconds = []
    for path in paths:
        with engine_of(path) as engine:
            plan = engine.plan(Asked())
            before = clock()
            write_rollup(path.parent / "out", engine, Asked(), plan, asked_at=NOW)
            seconds.append(clock() - before)
    small, large = (path.stat().st_size / 1e6 for path in plain)
    return (large - small) / (seconds[1] - seconds[0])


def _of_duckdb(path: Path) -> AbstractContextManager[Engine]:
    return nullcontext(LocalFiles((path,)))


def _of_spark(spark: Spark) -> Callable[[Path], AbstractContextManager[Engine]]:
    return lambda path: nullcontext(Spark(spark.session, (str(path),)))


def _own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _java_seconds(spark: Spark) -> Clock:
    """The processor time of the Java that runs Spark, as Linux counts it, and of this process."""
    stat = Path(f"/proc/{spark.session.sparkContext._gateway.proc.pid}/stat")
    ticks = os.sysconf("SC_CLK_TCK")

    def seconds() -> float:
        user, system = stat.read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / ticks + _own_seconds()

    return seconds


if __name__ == "__main__":
    sys.exit(main())
