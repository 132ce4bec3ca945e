"""The rollup by Spark on a cluster of two workers against that of DuckDB, row for row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bench.access_lines import write_access_log
from incident_rca.errors import BadInput, Unreachable
from incident_rca.formats.access_log import given_format
from incident_rca.model import TimeWindow
from incident_rca.rollup import Asked, Engine, Row
from incident_rca.rollup.local_files import LocalFiles
from incident_rca.rollup.spark import Spark, opened
from tests.cli.running import run
from tests.formats.builders import START, request, write
from tests.rollup import balancer_logs
from tests.rollup.logs import LOGS, packed
from tests.system.spark_cluster import WORKERS, Cluster, running_cluster

SAMPLE = Path(__file__).parents[2] / "samples" / "inc-2847" / "raw" / "access.ndjson.gz"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("spark")) as running:
        yield running


@pytest.fixture(scope="module")
def spark(cluster: Cluster) -> Iterator[Spark]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environ.items():
            patch.setenv(name, value)
        with opened((), cluster.master) as engine:
            yield engine


def rows_of(engine: Engine, asked: Asked) -> list[Row]:
    return list(engine.run(asked, engine.plan(asked)).rows)


def over(spark: Spark, *paths: Path) -> Spark:
    return Spark(spark.session, tuple(map(str, paths)))


@pytest.mark.parametrize("name", LOGS)
def test_both_engines_give_the_same_rows(name: str, spark: Spark, tmp_path: Path) -> None:
    log = LOGS[name]
    path = log.written(tmp_path, "access")
    asked = Asked(line_format=given_format(log.format))
    wanted = rows_of(LocalFiles((path,)), asked)
    assert wanted and rows_of(over(spark, path), asked) == wanted


@pytest.mark.parametrize("name", balancer_logs.LOGS)
def test_both_engines_read_a_load_balancers_log_alike(
    name: str, spark: Spark, tmp_path: Path
) -> None:
    path = balancer_logs.written(name, tmp_path)
    wanted = rows_of(LocalFiles((path,)), Asked())
    assert wanted and rows_of(over(spark, path), Asked()) == wanted


def test_logs_of_both_kinds_are_no_one_rollup(spark: Spark, tmp_path: Path) -> None:
    of_gateway = write(tmp_path / "gateway", request())
    of_balancer = write(tmp_path / "balancer", balancer_logs.SOUND["seconds"][0])
    with pytest.raises(BadInput, match=r"gateway is a gateway's log, .* a load balancer's"):
        over(spark, of_balancer, of_gateway).plan(Asked())


def test_only_the_window_of_a_load_balancers_files(spark: Spark, tmp_path: Path) -> None:
    lines = balancer_logs.SOUND["seconds"]
    paths = (packed(write(tmp_path / "a", *lines[::2])), write(tmp_path / "b", *lines[1::2]))
    asked = Asked(window=TimeWindow(START + timedelta(seconds=7), START + timedelta(seconds=30)))
    found = rows_of(over(spark, *paths), asked)
    assert found == rows_of(LocalFiles(paths), asked)
    inside = [n for n in range(len(lines)) if 7 <= int(n * 0.37) < 30]
    assert sum(row[-1] for row in found) == len(inside)


def test_the_sample_and_many_files(spark: Spark, cluster: Cluster, tmp_path: Path) -> None:
    paths = [
        SAMPLE,
        packed(write_access_log(tmp_path / "a", seed=1, count=5_000)),
        write_access_log(tmp_path / "b", seed=2, count=20_000),
    ]
    engine = over(spark, *paths)
    assert engine.plan(Asked()).bytes == sum(path.stat().st_size for path in paths)
    assert rows_of(engine, Asked()) == rows_of(LocalFiles(tuple(paths)), Asked())
    (application,) = cluster.state()["activeapps"]
    workers = cluster.state()["workers"]
    assert application["cores"] == WORKERS == len(workers)
    assert [worker["coresused"] for worker in workers] == [1] * WORKERS


def test_a_log_of_no_format_is_refused(spark: Spark, tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        over(spark, write(tmp_path / "a", "hello")).plan(Asked())


def test_a_place_that_is_not_there(spark: Spark, tmp_path: Path) -> None:
    with pytest.raises(Unreachable) as caught:
        over(spark, tmp_path / "missing").plan(Asked())
    assert "missing" in caught.value.message


def cut_off(content: bytearray) -> bytes:
    return bytes(content[:-2000])


def with_wrong_checksum(content: bytearray) -> bytes:
    content[-6] ^= 1
    return bytes(content)


@pytest.mark.parametrize("spoil", [cut_off, with_wrong_checksum])
def test_a_damaged_file_is_told(
    spoil: Callable[[bytearray], bytes], spark: Spark, tmp_path: Path
) -> None:
    whole = packed(write_access_log(tmp_path / "a", seed=1, count=5_000))
    damaged = tmp_path / "damaged.gz"
    damaged.write_bytes(spoil(bytearray(whole.read_bytes())))
    with pytest.raises(BadInput, match=r"damaged\.gz: its gzip stream is damaged"):
        rows_of(over(spark, whole, damaged), Asked())


def test_the_command_writes_what_duckdbs_does(cluster: Cluster, tmp_path: Path) -> None:
    answers = {}
    for engine, more in (("duckdb", ()), ("spark", ("--master", cluster.master))):
        out = f"{engine}.gz"
        ran = run(
            tmp_path,
            *("rollup", SAMPLE, "--engine", engine, "--out", out, "--json", *more),
            **cluster.environ,
        )
        assert ran.code == 0, ran.err
        answers[engine] = json.loads(ran.out)
        assert run(tmp_path, "import", engine, out).code == 0
        assert run(tmp_path, "report", engine, "--no-charts", "--no-page").code == 0
    different = {"file", "engine"}
    spark, duckdb = (
        {k: v for k, v in answers[name].items() if k not in different} for name in answers
    )
    assert spark == duckdb
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in answers]
    assert reports[0]["impact"]["failed_requests"] == reports[1]["impact"]["failed_requests"]
    assert [kind["count"] for kind in reports[0]["error_types"]] == [
        kind["count"] for kind in reports[1]["error_types"]
    ]
