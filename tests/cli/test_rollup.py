"""`rollup`: what it says before it reads, what it refuses, and a case made of its file alone."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import refused, run
from tests.formats.builders import START, request, write
from tests.formats.load_balancer_lines import Line
from tests.rollup.athena_server import Service, running_athena
from tests.sources.gateway_scene import GROUP, STAGE, no_way_out, requests, running_stage

RAW = Path(__file__).parents[2] / "samples" / "inc-2847" / "raw"


def facts(case: Path) -> dict[str, Any]:
    """What a report says of the gateway, but for instants finer than a second."""
    report = json.loads((case / "report.json").read_text())
    endpoints = [
        {
            k: v
            for k, v in endpoint.items()
            if k not in ("evidence", "first_failure", "last_failure")
        }
        for endpoint in report["impact"].pop("endpoints")
    ]
    return {
        "endpoints": endpoints,
        "impact": report["impact"],
        "types": [
            {k: v for k, v in kind.items() if k != "evidence"} for kind in report["error_types"]
        ],
        "blamed": [(h["kind"], h["object"], h["role"], h["verdict"]) for h in report["hypotheses"]],
        "outage": report["outage"]["start"][0][:16] + report["outage"]["end"][1][:16],
    }


def test_a_case_of_the_rollup_says_what_one_of_the_log_says(tmp_path: Path) -> None:
    log, others = RAW / "access.ndjson.gz", sorted(RAW.glob("[!a]*"))
    made = run(tmp_path, "rollup", log, "--json")
    assert made.code == 0, made.err
    assert "Reads 726 KB (the files' sizes)" in made.err
    answer = json.loads(made.out)
    assert (answer["engine"], answer["requests"], answer["unread"]) == ("duckdb", 13_178, 5)
    for case, file in (("OF-LOG", log), ("OF-ROLLUP", answer["file"])):
        assert run(tmp_path, "import", case, file, *others).code == 0
        assert run(tmp_path, "report", case, "--no-charts", "--no-page").code == 0
    found, truth = facts(tmp_path / "OF-ROLLUP"), facts(tmp_path / "OF-LOG")
    for kept, exact in zip(found["endpoints"], truth["endpoints"], strict=True):
        for name in ("p99_ms", "baseline_p99_ms"):
            read, true = kept.pop(name, None), exact.pop(name, None)
            assert (read is None) == (true is None)
            assert read is None or true <= read <= true * 1.02
    assert found == truth
    orders = next(
        e for e in found["endpoints"] if (e["method"], e["route"]) == ("POST", "/api/orders")
    )
    assert (orders["failed"], orders["by_status"]) == (1_247, {"502": 1_247})
    assert run(tmp_path, "verify", "OF-ROLLUP").code == 0


def test_nothing_is_read_beyond_what_is_allowed(tmp_path: Path) -> None:
    ran = run(tmp_path, "rollup", RAW / "access.ndjson.gz", "--max-bytes", "700KB")
    assert ran.code == 2 and not list(tmp_path.iterdir())
    assert "726 KB" in ran.errors[0] and "700 KB" in ran.errors[0]
    refused(2, tmp_path, "rollup", RAW / "access.ndjson.gz", "--max-bytes", "lots")


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    log = write(tmp_path / "log", request())
    (tmp_path / "out.gz").write_text("precious")
    refused(2, tmp_path, "rollup", log, "--out", "out.gz")
    # Before anything is opened, and so before a cluster would be started.
    ran = refused(2, tmp_path, "rollup", "nowhere", "--out", "out.gz")
    assert "out.gz: is there already" in ran.errors[0]
    assert (tmp_path / "out.gz").read_text() == "precious"
    assert run(tmp_path, "rollup", log, "--out", "out.gz", "--force").code == 0
    assert (tmp_path / "out.gz").read_bytes()[:2] == b"\x1f\x8b"


def test_a_dry_run_prints_the_statement_and_runs_nothing(tmp_path: Path) -> None:
    ran = run(tmp_path, "rollup", write(tmp_path / "log", request()), "--dry-run")
    assert ran.code == 0 and "count(*) AS requests" in ran.out
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_log_without_a_request_in_the_window(tmp_path: Path) -> None:
    log = write(tmp_path / "log", request())
    ran = run(tmp_path, "rollup", log, "--from", "2026-01-15T10:00Z", "--to", "2026-01-15T11:00Z")
    assert ran.code == 4 and "0 requests" in ran.err


def test_what_broke_off_is_partial(tmp_path: Path) -> None:
    lines = "".join(f"{request(n * 0.1)}\n" for n in range(3_000)).encode()
    (tmp_path / "torn.gz").write_bytes(gzip.compress(lines)[:-2_000])
    ran = run(tmp_path, "rollup", "torn.gz")
    assert ran.code == 3 and "partial: torn.gz" in ran.err


@pytest.mark.parametrize("place", ["missing.log", "notes"])
def test_a_place_without_a_log(tmp_path: Path, place: str) -> None:
    write(tmp_path / "notes", "nothing in particular")
    ran = run(tmp_path, "rollup", place)
    assert ran.code == 2 and place in ran.errors[0]
    assert not list(tmp_path.glob("*rollup*"))


# --- a load balancer's log ------------------------------------------------------------------------


def balancer_lines() -> list[str]:
    """100 requests a minute on two paths, of which those of two minutes fail in several ways."""
    failed = (
        {"elb_status": "502", "target_status": "502"},
        {"elb_status": "504", "target_status": "-", "took": ("0.001", "-1", "-1")},
        {"elb_status": "503", "target_status": "-"},
        {"elb_status": "502", "target_status": "-", "reason": "LambdaUnhandled"},
        {"elb_status": "460", "target_status": "-", "took": ("0.001", "-1", "-1")},
        {"elb_status": "404", "target_status": "404"},
    )
    return [
        str(
            Line(
                second=n * 0.6,
                request=f"POST https://a.example:443/api/{'ab'[n % 2]}/{n} HTTP/1.1",
                **(failed[n % 7] if 900 <= n < 1100 and n % 7 < len(failed) else {}),
            )
        )
        for n in range(2000)
    ]


def test_a_case_of_a_load_balancers_rollup_says_what_one_of_its_log_says(tmp_path: Path) -> None:
    log = write(tmp_path / "alb.log", *balancer_lines(), "https torn")
    made = run(tmp_path, "rollup", log, "--json")
    assert made.code == 0, made.err
    answer = json.loads(made.out)
    assert (answer["file"], answer["requests"], answer["unread"]) == (
        "load-balancer.rollup.ndjson.gz",
        2000,
        1,
    )
    kinds = {}
    for case, file in (("OF-LOG", log), ("OF-ROLLUP", answer["file"])):
        ran = run(tmp_path, "import", case, file)
        assert ran.code == 0, ran.err
        kinds[case] = ran.err
        assert run(tmp_path, "report", case, "--no-charts", "--no-page").code == 0
    assert "load_balancer_rollup" in kinds["OF-ROLLUP"] and "1 unreadable" in kinds["OF-ROLLUP"]
    found, truth = facts(tmp_path / "OF-ROLLUP"), facts(tmp_path / "OF-LOG")
    for kept, exact in zip(found["endpoints"], truth["endpoints"], strict=True):
        for name in ("p99_ms", "baseline_p99_ms"):
            read, true = kept.pop(name, None), exact.pop(name, None)
            assert (read is None) == (true is None)
            # The log's own is up to 1 % high already.
            assert read is None or true / 1.02 - 1 <= read <= true * 1.02 + 1
    assert {kind["type"] for kind in truth["types"]} >= {"backend_5xx", "integration_timeout"}
    assert found == truth
    assert run(tmp_path, "verify", "OF-ROLLUP").code == 0


def test_a_file_that_nobody_named_stays_too(tmp_path: Path) -> None:
    log = write(tmp_path / "alb.log", str(Line()))
    (tmp_path / "load-balancer.rollup.ndjson.gz").write_text("precious")
    refused(2, tmp_path, "rollup", log)
    assert (tmp_path / "load-balancer.rollup.ndjson.gz").read_text() == "precious"


# --- other engines, behind a local service --------------------------------------------------------

HOUR = ("--from", "2026-01-15T14:00Z", "--to", "2026-01-15T15:00Z")


@pytest.fixture
def aws(tmp_path: Path) -> Mapping[str, str]:
    environ: dict[str, str] = {}
    no_way_out(environ.__setitem__, tmp_path)
    return environ


@pytest.fixture
def athena(tmp_path: Path) -> Iterator[Service]:
    """Athena with an hour of a log, named by the settings."""
    with running_athena() as service:
        service.clear()
        text = "".join(f"{request(n * 0.7, status=502)}\n" for n in range(200))
        service.bucket.put("gw/2026/01/15/14/a.gz", gzip.compress(text.encode(), mtime=0), START)
        named = f'[[aws]]\nregion = "eu-west-1"\nendpoint = "{service.url}"\n'
        (tmp_path / "incident-rca.toml").write_text(named)
        yield service


def test_athena_says_the_cost_and_counts(
    athena: Service, aws: Mapping[str, str], tmp_path: Path
) -> None:
    ask = ("rollup", "s3://logs/gw", "--engine", "athena", *HOUR)
    size = len(athena.bucket.objects["gw/2026/01/15/14/a.gz"].body)
    dry = run(tmp_path, *ask, "--dry-run", **aws)
    assert dry.code == 0 and "CREATE EXTERNAL TABLE" in dry.out and "count(*)" in dry.out.lower()
    assert f"Reads {size / 1000:.3g} KB, $0.0001" in dry.err
    refusal = run(tmp_path, *ask, "--max-bytes", str(size - 1), **aws)
    assert refusal.code == 2 and "--max-bytes" in refusal.errors[0]
    assert "StartQueryExecution" not in athena.actions()
    ran = run(tmp_path, *ask, "--max-bytes", str(size), "--json", **aws)
    assert ran.code == 0, ran.err
    answer = json.loads(ran.out)
    assert (answer["requests"], answer["bytes"]) == (200, size)
    assert run(tmp_path, "import", "INC-1", answer["file"]).code == 0
    assert run(tmp_path, "report", "INC-1", "--no-charts", "--no-page").code == 0
    report = json.loads((tmp_path / "INC-1" / "report.json").read_text())
    assert report["impact"]["failed_requests"] == 200


def test_athena_says_the_cost_of_a_load_balancers_log(
    athena: Service, aws: Mapping[str, str], tmp_path: Path
) -> None:
    place = "AWSLogs/123456789012/elasticloadbalancing/eu-west-1"
    body = gzip.compress("".join(f"{line}\n" for line in balancer_lines()).encode(), mtime=0)
    athena.bucket.put(f"{place}/2026/01/15/a.log.gz", body, START)
    ask = ("rollup", f"s3://logs/{place}", "--engine", "athena", *HOUR)
    dry = run(tmp_path, *ask, "--dry-run", **aws)
    assert dry.code == 0 and "'projection.stretch.format' = 'yyyy/MM/dd'" in dry.out
    assert "elb_status" in dry.out and f"Reads {len(body) / 1000:.3g} KB, $0.0001" in dry.err
    assert run(tmp_path, *ask, "--max-bytes", str(len(body) - 1), **aws).code == 2
    assert "StartQueryExecution" not in athena.actions()
    ran = run(tmp_path, *ask, "--max-bytes", str(len(body)), "--json", **aws)
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["requests"] == 2000
    local = run(tmp_path, "rollup", write(tmp_path / "alb.log", *balancer_lines()), "--out", "b.gz")
    assert local.code == 0
    of_athena, of_duckdb = (
        gzip.open(tmp_path / name).read().splitlines()[1:-1]
        for name in ("load-balancer.rollup.ndjson.gz", "b.gz")
    )
    assert of_athena == of_duckdb


def test_insights_cannot_know_before_how_much_it_reads(
    aws: Mapping[str, str], tmp_path: Path
) -> None:
    with running_stage() as service:
        service.put(GROUP, [(r.written_ms, r.json()) for r in requests(500)])
        named = f'[[aws]]\nname = "shop"\nregion = "eu-west-1"\nendpoint = "{service.url}"\n'
        (tmp_path / "incident-rca.toml").write_text(named)
        ask = ("rollup", STAGE.text, "--engine", "insights", "--account", "shop", *HOUR)
        assert run(tmp_path, *ask, "--max-bytes", "1TB", **aws).code == 2
        ran = run(tmp_path, *ask, "--json", **aws)
    assert ran.code == 0 and "$0.005 for each GB" in ran.err, ran.err
    assert json.loads(ran.out)["requests"] == 500


@pytest.mark.parametrize(
    "given",
    [
        ("rest:a1b2c3", "--engine", "insights"),
        ("/tmp/log", "--engine", "athena"),
        ("s3://logs/gw", "s3://logs/other", "--engine", "athena"),
        ("s3://logs/gw", "--engine", "athena", "--account", "nobody"),
        ("s3://logs/gw", "--engine", "athena", "--database", "a-b"),
    ],
)
def test_a_place_that_is_not_for_its_engine(given: tuple[str, ...], tmp_path: Path) -> None:
    refused(2, tmp_path, "rollup", *given, *HOUR)
