"""`incident-rca init`: a settings file from flags, from answers and from the evidence of a case."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import tomllib
from pathlib import Path

import pytest

from incident_rca.demo import prepare_demo
from tests.cli.running import COMMAND, environment, refused, run, tree

FLAGS = (
    *("--datadog-site", "datadoghq.eu", "--prometheus-url", "https://mimir.example/prometheus"),
    *("--aws-region", "eu-west-1", "--stage", "rest:a1b2c3/prod", "--stage", "http:d4/$default"),
    *("--postgres-log-group", "/aws/rds/instance/orders/postgresql"),
    *("--service", "orders-prod", "--recordings", "/var/lib/recordings", "--tz", "Asia/Tokyo"),
)
SAYS = {
    "timezone": "Asia/Tokyo",
    "postgres": {"service": "orders-prod", "recordings": "/var/lib/recordings"},
    "datadog": [{"site": "datadoghq.eu"}],
    "prometheus": [{"url": "https://mimir.example/prometheus"}],
    "aws": [
        {
            "region": "eu-west-1",
            "stages": ["rest:a1b2c3/prod", "http:d4/$default"],
            "postgres_logs": ["/aws/rds/instance/orders/postgresql"],
        }
    ],
}
NAME = "incident-rca.toml"


def test_flags_make_a_file_that_works(tmp_path: Path) -> None:
    ran = run(tmp_path, "init", *FLAGS, DD_API_KEY="0123456789abcdef")
    assert (ran.code, ran.out) == (0, "")
    assert [p.name for p in tmp_path.iterdir()] == [NAME]
    assert tomllib.loads((tmp_path / NAME).read_text()) == SAYS
    for name in ("DD_API_KEY", "DD_APP_KEY", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD"):
        assert name in ran.err
    assert "0123456789abcdef" not in ran.err + (tmp_path / NAME).read_text()
    shown = json.loads(run(tmp_path, "config", "show", "--json").out)
    values = {row["key"]: row["value"] for row in shown}
    assert values["timezone"] == "Asia/Tokyo"
    assert values["datadog.datadog"].startswith("site datadoghq.eu")


def test_only_what_is_used_is_asked_of_the_environment(tmp_path: Path) -> None:
    ran = run(tmp_path, "init", "--prometheus-url", "http://localhost:9090/")
    assert ran.err == f"Written: {NAME}\n"
    assert tomllib.loads((tmp_path / NAME).read_text()) == {
        "prometheus": [{"url": "http://localhost:9090"}]
    }
    assert run(tmp_path, "init", "-q", "b.toml", "--tz", "UTC", "--service", "x").err == ""


def test_a_file_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("# mine\n")
    (tmp_path / NAME).chmod(0o640)
    before = tree(tmp_path)
    ran = refused(2, tmp_path, "init", *FLAGS)
    assert "is there already" in ran.err and "--force" in ran.hints[0]
    assert tree(tmp_path) == before
    assert run(tmp_path, "init", "--print", *FLAGS).code == 0
    assert tree(tmp_path) == before
    assert run(tmp_path, "init", "--force", *FLAGS).code == 0
    assert tomllib.loads((tmp_path / NAME).read_text()) == SAYS
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o640


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x.toml").write_text("")
    (tmp_path / NAME).symlink_to("real/x.toml")
    assert run(tmp_path, "init", "--force", *FLAGS).code == 0
    assert (tmp_path / NAME).is_symlink()
    assert tomllib.loads((tmp_path / "real" / "x.toml").read_text()) == SAYS


def test_print_writes_to_stdout_only(tmp_path: Path) -> None:
    ran = run(tmp_path, "init", "--print", *FLAGS)
    assert ran.code == 0 and tomllib.loads(ran.out) == SAYS
    assert list(tmp_path.iterdir()) == []
    found = json.loads(run(tmp_path, "init", "--print", "--json", *FLAGS).out)
    assert (found["file"], found["inferred"]) == (None, [])
    assert tomllib.loads(found["text"]) == SAYS and len(found["environment"]) == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "nothing was named"),
        (("--datadog-site", "https://datadoghq.eu"), "--datadog-site must be"),
        (("--prometheus-url", "http://prom:hunter2@mimir.example"), "--prometheus-url must be"),
        (("--stage", "a1b2c3/prod"), "--stage must be"),
        (("--stage", "rest:a1/b", "--stage", ""), "--stage must be"),
        (("--postgres-log-group", " "), "--postgres-log-group must be"),
        (("--service", "host=db password=hunter2"), "--service must be"),
        (("--tz", "CET"), "--tz must be"),
        (("--aws-region", ""), "--aws-region must be"),
        (("--recordings", b"\xff".decode("utf-8", "surrogateescape")), "UTF-8"),
        (("--from-case", "INC-404"), "INC-404: does not exist"),
        (("absent/x.toml", "--tz", "UTC"), "its folder does not exist"),
        ((".", "--tz", "UTC"), "is a folder"),
    ],
)
def test_what_is_wrong_is_refused_and_leaves_nothing(
    tmp_path: Path, arguments: tuple[str, ...], named: str
) -> None:
    ran = refused(2, tmp_path, "init", *arguments)
    assert named in ran.err and "hunter2" not in ran.err
    assert list(tmp_path.iterdir()) == []


# --- from a case --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample without its topology, and beside it what was inferred of it."""
    folder = prepare_demo(tmp_path_factory.mktemp("bare") / "INC-2847")
    case = json.loads((folder / "case.json").read_text())
    case["topology"] = {"services": [], "routes": []}
    (folder / "case.json").write_text(json.dumps(case))
    more = ("--from-case", folder.name, "--json", "--datadog-site", "datadoghq.eu")
    ran = run(folder.parent, "init", "inferred.toml", *more)
    assert ran.code == 0
    (folder.parent / "inferred.json").write_text(ran.out)
    return folder


def test_a_topology_out_of_evidence(bare: Path) -> None:
    text = (bare.parent / "inferred.toml").read_text()
    said = tomllib.loads(text)
    reserve = ["inventory.inventory/reserve"]
    assert said["services"]["inventory"] == {
        "inferred": True,
        "grpc": reserve,
        "tables": ["public.stock_reservations"],
        "pool_size": 100,
    }
    routes = {f"{r['method']} {r['path']}": r for r in said["routes"]}
    assert routes["POST /api/orders"]["calls"] == reserve
    assert routes["POST /api/payments/intent"]["follows"] == ["POST /api/orders"]
    assert all(part["inferred"] for part in (*said["routes"], *said["services"].values()))
    assert said["datadog"] == SAYS["datadog"]
    # Each line says what it rests on; what is left out is there as a comment.
    lines = text.splitlines()
    for key in ("grpc", "tables", "pool_size", "calls", "follows", "timeout_seconds"):
        above = [lines[n - 1] for n, line in enumerate(lines) if line.startswith(f"{key} =")]
        assert above and all(line.startswith("#") and line.endswith("]") for line in above)
    assert '# tables = ["public.warehouse_shipments"]' in lines
    assert "GET /api/orders/{id}" in text and "GET /api/orders/{id}" not in routes


def test_what_is_inferred_as_json(bare: Path) -> None:
    found = json.loads((bare.parent / "inferred.json").read_text())
    assert found["file"] == "inferred.toml"
    assert found["text"] == (bare.parent / "inferred.toml").read_text()
    pool = next(i for i in found["inferred"] if i["key"] == "pool_size")
    assert (pool["table"], pool["value"]) == ("services.inventory", 100)
    assert pool["evidence"][0]["file"] == "raw/pool.datadog.json"
    assert all(i["reason"] and i["evidence"] for i in (*found["inferred"], *found["left_out"]))


def test_a_report_is_weak_until_the_marks_are_taken_out(bare: Path) -> None:
    text = (bare.parent / "inferred.toml").read_text()
    (bare.parent / "confirmed.toml").write_text(text.replace("inferred = true\n", ""))

    def verdicts(config: str) -> dict[str, str]:
        ran = run(bare.parent, "report", bare.name, "--config", config, "--json")
        assert ran.code == 0
        hypotheses = json.loads(ran.out)["hypotheses"]
        assert ("are inferred" in ran.err) is (config == "inferred.toml")
        return {f"{h['kind']} {h['object']}": h["verdict"] for h in hypotheses}

    lock = "lock_blocking inventory.public.stock_reservations"
    marked = verdicts("inferred.toml")
    assert marked[lock] == "weak" and "supported" not in marked.values()
    assert verdicts("confirmed.toml")[lock] == "supported"


# --- on a terminal ------------------------------------------------------------------------------


def at_terminal(cwd: Path, typed: str, *arguments: str) -> tuple[int, str]:
    """Runs the command on a pseudo-terminal; what was typed stands ready before it asks."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(cwd, TERM="dumb"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        close_fds=True,
    )
    os.close(theirs)
    os.write(ours, typed.encode())
    shown = b""
    while select.select([ours], [], [], 30)[0]:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # Linux says so when the other side of a terminal is closed.
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    return process.wait(timeout=30), shown.decode()


def test_on_a_terminal_it_asks(tmp_path: Path) -> None:
    answers = [
        *("orders-prod", "/var/lib/recordings", "http://datadoghq.eu", "datadoghq.eu"),
        *("https://mimir.example/prometheus", "eu-west-1"),
        *("rest:a1b2c3/prod, http:d4/$default", "/aws/rds/instance/orders/postgresql"),
        "Asia/Tokyo",
    ]
    code, shown = at_terminal(tmp_path, "\n".join(answers) + "\n", "init")
    assert code == 0, shown
    assert "--datadog-site must be" in shown and "Traceback" not in shown
    assert tomllib.loads((tmp_path / NAME).read_text()) == SAYS


def test_questions_left_out_or_broken_off_leave_no_file(tmp_path: Path) -> None:
    code, shown = at_terminal(tmp_path, "\n" * 8, "init")
    assert (code, "nothing was named" in shown) == (2, True), shown
    code, shown = at_terminal(tmp_path, "orders-prod\n\x04", "init")
    assert (code, "Traceback" in shown) == (130, False), shown
    code, shown = at_terminal(tmp_path, "", "init", "--tz", "UTC", "--print", "--service", "a")
    assert (code, "Enter leaves" in shown) == (0, False), shown
    assert list(tmp_path.iterdir()) == []
