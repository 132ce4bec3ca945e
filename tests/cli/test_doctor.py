"""`incident-rca doctor` as a user runs it: the table, the JSON, the exit code."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import COMMAND, Ran, environment, refused, run
from tests.lab.servers import Server, running_server
from tests.sources import datadog_server, prometheus_server
from tests.sources.aws_front_server import running_account

GOOD = {"track_activity_query_size": "4096"}
PASSWORD = "correct-horse"
NOBODY = "postgresql://postgres@127.0.0.1:1/postgres"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server(18, GOOD) as running:
        yield running


def doctor(cwd: Path, *arguments: object, **more: str) -> Ran:
    state = {"XDG_STATE_HOME": str(cwd / "state")}
    return run(cwd, "doctor", *arguments, **{**state, **more})


def as_json(ran: Ran) -> Any:
    assert ran.err == ""
    return json.loads(ran.out)


def state_of(server: Any, name: str) -> str:
    (check,) = (check for check in server["checks"] if check["name"] == name)
    return str(check["state"])


@contextmanager
def recording(cwd: Path, server: Server) -> Iterator[None]:
    """A recorder of this server that runs and has probed."""
    to = cwd / "recordings"
    command = [*COMMAND, "record", "--dsn", server.dsn, "--to", str(to), "--quiet"]
    process = subprocess.Popen(command, cwd=cwd, env=environment(cwd))
    try:
        for _ in range(600):
            if sum(text.count("probe") for text in map(_text, to.rglob("*.ndjson"))) >= 2:
                break
            assert process.poll() is None
            time.sleep(0.05)
        else:
            raise AssertionError("it never probed")
        yield
    finally:
        process.terminate()
        process.wait()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_the_shape_of_the_json(tmp_path: Path, server: Server) -> None:
    ran = doctor(tmp_path, "--dsn", server.dsn, "--json")
    found = as_json(ran)
    (one,) = found["servers"]
    assert one.keys() == {"server", "checks", "past_window"}
    assert one["server"] == f"127.0.0.1:{server.port}/postgres"
    for check in one["checks"]:
        assert check.keys() == {"name", "state", "found", "cure"}
        assert check["state"] in ("ok", "warning", "problem", "unknown")
        assert check["cure"] or check["state"] in ("ok", "unknown")
    for source in one["past_window"]:
        assert source.keys() == {"source", "would_show", "from", "to", "why"}
        assert source["would_show"] in ("yes", "partly", "no", "unknown")
    assert state_of(one, "recorder") == "problem" and ran.code == 1
    assert [s["source"] for s in one["past_window"]][:2] == ["recordings", "server log"]


def test_a_recorder_that_runs_makes_it_whole(tmp_path: Path, server: Server) -> None:
    missing = doctor(tmp_path, "--dsn", server.dsn, "--recordings", "recordings")
    assert missing.code == 1
    assert f"incident-rca record --dsn {server.dsn} --to recordings" in missing.out
    with recording(tmp_path, server):
        time.sleep(1.2)
        arguments = ("--dsn", server.dsn, "--recordings", "recordings")
        ran = doctor(tmp_path, *arguments)
        short = doctor(tmp_path, *arguments, "--json", "--from", "now-1s", "--to", "now")
    assert (ran.code, ran.err) == (0, "")
    assert "An incident tonight could be explained: the recorder runs." in ran.out
    assert "Cures" not in ran.out
    (own,) = (
        source
        for source in as_json(short)["servers"][0]["past_window"]
        if source["source"] == "recordings"
    )
    assert own["would_show"] == "yes" and own["from"] < own["to"]
    after = doctor(tmp_path, "--dsn", server.dsn, "--recordings", "recordings", "--json")
    (one,) = as_json(after)["servers"]
    assert after.code == 1 and state_of(one, "recorder") == "problem"
    assert one["past_window"][0]["would_show"] == "partly"


def test_the_table_says_in_words_what_is_wrong_first(tmp_path: Path, server: Server) -> None:
    ran = doctor(tmp_path, "--dsn", server.dsn)
    lines = ran.out.splitlines()
    assert max(map(len, lines[: lines.index("Cures")])) <= 100
    table = [line.split() for line in lines[lines.index("") + 2 :]]
    assert table[0][:2] == ["recorder", "problem"]
    assert ran.out.count(" problem ") >= 1 and " ok " in ran.out
    cure = lines[lines.index("# recorder") + 1]
    assert cure == f"incident-rca record --dsn {server.dsn}"


def test_colour_on_a_terminal_only_and_never_with_no_color(tmp_path: Path, server: Server) -> None:
    def on_terminal(**more: str) -> bytes:
        ours, theirs = pty.openpty()
        env = environment(tmp_path, TERM="xterm-256color", **more)
        process = subprocess.Popen(
            [*COMMAND, "doctor", "--dsn", server.dsn], cwd=tmp_path, env=env, stdout=theirs
        )
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
        os.close(ours)
        assert process.wait() == 1
        return shown

    assert b"\x1b[1;31mproblem" in on_terminal()
    plain = on_terminal(NO_COLOR="1")
    assert b"problem" in plain and b"\x1b[31m" not in plain and b";31m" not in plain


def test_the_environment_names_the_server(tmp_path: Path, server: Server) -> None:
    pg = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": "postgres"}
    ran = doctor(tmp_path, "--json", **pg)
    (one,) = as_json(ran)["servers"]
    assert one["server"] == f"127.0.0.1:{server.port}/postgres"
    assert state_of(one, "reachable") == "ok"
    assert "\nincident-rca record\n" in doctor(tmp_path, **pg).out


def test_nobody_there(tmp_path: Path) -> None:
    ran = doctor(tmp_path, "--dsn", NOBODY, "--json")
    assert ran.code == 4
    (one,) = as_json(ran)["servers"]
    assert state_of(one, "reachable") == "problem"
    assert [source["source"] for source in one["past_window"]] == ["recordings"]
    shown = doctor(tmp_path, "--dsn", NOBODY)
    assert shown.code == 4 and "pg_isready" in shown.out


def test_one_that_is_away_hides_no_other(tmp_path: Path, server: Server) -> None:
    other = server.dsn_of("template1")
    arguments = ("--dsn", NOBODY, "--dsn", server.dsn, "--dsn", other)
    ran = doctor(tmp_path, *arguments, "--json")
    assert ran.code == 1
    states = [state_of(one, "reachable") for one in as_json(ran)["servers"]]
    assert states == ["problem", "ok", "ok"]
    shown = doctor(tmp_path, *arguments).out
    places = [shown.index(name) for name in ("127.0.0.1:1/", f":{server.port}/postgres")]
    assert places == sorted(places) and f":{server.port}/template1" in shown


def test_a_wrong_password(tmp_path: Path) -> None:
    with running_server(16, GOOD) as server:
        with server.connect() as connection:
            connection.execute(f"CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'".encode())
            connection.execute("GRANT pg_monitor TO app")
        rules = server.folder / "data" / "pg_hba.conf"
        rules.write_text("host all app 127.0.0.1/32 scram-sha-256\n")
        server.restart("fast")
        dsn = f"postgresql://app@127.0.0.1:{server.port}/postgres"
        for more in ({}, {"PGPASSWORD": "hunter2-wrong"}):
            ran = doctor(tmp_path, "--dsn", dsn, **more)
            assert ran.code == 4 and "PGPASSWORD" in ran.out
            assert "hunter2" not in ran.out + ran.err
        right = doctor(tmp_path, "--dsn", dsn.replace("app@", f"app:{PASSWORD}@"), "--json")
        (one,) = as_json(right)["servers"]
        assert right.code == 1 and state_of(one, "privileges") == "ok"
        assert PASSWORD not in right.out
        shut = doctor(tmp_path, "--dsn", server.dsn)
        assert shut.code == 4 and "pg_hba.conf" in shut.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--dsn", "no dsn at all"),
        ("--dsn", "postgresql://a@b:port/c?bogus=1"),
        ("--from", "yesterday"),
        ("--to", "now"),
        ("--from", "now-2h", "--tz", "EST"),
    ],
    ids=range(5),
)
def test_what_cannot_be_understood(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    refused(2, tmp_path, "doctor", *arguments)


def test_hostile_names_never_reach_the_terminal(tmp_path: Path, server: Server) -> None:
    """`run` itself refuses escapes in what is printed."""
    with server.connect() as connection:
        connection.execute('CREATE ROLE "x\x1b[31m\ny" LOGIN')
        connection.execute('ALTER ROLE "x\x1b[31m\ny" SET log_lock_waits = off')
        try:
            dsn = f"postgresql://x%1b%5b31m%0ay@127.0.0.1:{server.port}/postgres"
            shown = doctor(tmp_path, "--dsn", dsn)
            data = doctor(tmp_path, "--dsn", dsn, "--json")
        finally:
            connection.execute('DROP ROLE "x\x1b[31m\ny"')
    assert "GRANT pg_read_all_stats TO U&" in shown.out and data.code == 1
    assert len([line for line in shown.out.splitlines() if line.startswith("# ")]) >= 3


# --- services that the settings name --------------------------------------------------------------

WINDOW = ("--from", "2026-01-15T14:10:00Z", "--to", "2026-01-15T14:50:00Z")
AWS = {
    "AWS_ACCESS_KEY_ID": "AKIDSHOPREADER01",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIK7MDENGbPxRfiCYsecretkey",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "no-config",
    "AWS_SHARED_CREDENTIALS_FILE": "no-credentials",
}
SECRETS = {**datadog_server.KEYS, **AWS, "PROM_AUTH": "Bearer s3cr3t-of-mine"}


def name_services(cwd: Path, *tables: str) -> None:
    (cwd / "incident-rca.toml").write_text("\n".join(tables), encoding="utf-8")


@pytest.fixture(scope="module")
def tables() -> Iterator[tuple[str, str, str]]:
    """The tables of three local services."""
    with (
        datadog_server.running_service() as datadog,
        prometheus_server.running_service() as prometheus,
        running_account() as aws,
    ):
        yield (
            f'[[datadog]]\nname = "dogs"\nendpoint = "{datadog.url}"\n',
            f'[[prometheus]]\nname = "prom"\nurl = "{prometheus.url}"\n'
            'headers = { Authorization = "$PROM_AUTH" }\n',
            f'[[aws]]\nname = "shop"\nregion = "eu-west-1"\nendpoint = "{aws.url}"\n'
            'stages = ["rest:a1b2c3/prod"]\naccess_logs = ["s3://logs/export/"]\n',
        )


def test_services_are_checked_without_postgresql(
    tmp_path: Path, tables: tuple[str, str, str]
) -> None:
    name_services(tmp_path, *tables)
    ran = doctor(tmp_path, "--json", *WINDOW, **SECRETS)
    found = as_json(ran)
    assert [one["server"] for one in found["servers"]] == ["dogs", "prom", "shop"]
    (left_out,) = found["not_checked"]
    assert left_out.startswith("PostgreSQL") and "--dsn" in left_out
    dogs, prom, shop = found["servers"]
    assert (state_of(dogs, "site"), state_of(dogs, "latency")) == ("ok", "problem")
    assert (state_of(prom, "latency"), state_of(prom, "clock")) == ("ok", "ok")
    assert (state_of(shop, "credentials"), state_of(shop, "clock")) == ("ok", "ok")
    assert state_of(shop, "log format of rest:a1b2c3/prod") == "warning"
    assert ran.code == 1
    assert not [secret for secret in SECRETS.values() if len(secret) > 14 and secret in ran.out]


def test_services_in_words(tmp_path: Path, tables: tuple[str, str, str]) -> None:
    name_services(tmp_path, *tables)
    ran = doctor(tmp_path, *WINDOW, **SECRETS)
    assert ran.code == 1 and ran.err == ""
    assert "Evidence of an incident tonight would be missing: see the problems below." in ran.out
    assert "\nPostgreSQL was not checked" in ran.out and "the recorder runs" not in ran.out
    assert '"integration.status": "$context.integration.status"' in ran.out.splitlines()
    assert "An incident in 2026-01-15" in ran.out


def test_a_service_that_is_away_hides_no_other(
    tmp_path: Path, tables: tuple[str, str, str]
) -> None:
    name_services(tmp_path, *tables[:2])
    ran = doctor(tmp_path, "--json", *WINDOW, PROM_AUTH="x-of-mine")
    dogs, prom = as_json(ran)["servers"]
    assert state_of(dogs, "keys") == "problem" and state_of(prom, "reachable") == "ok"
    assert ran.code == 1


def test_no_service_that_lets_us_ask(tmp_path: Path, tables: tuple[str, str, str]) -> None:
    name_services(tmp_path, *tables[:2])
    ran = doctor(tmp_path, *WINDOW)
    assert ran.code == 4 and "DD_API_KEY" in ran.out and "PROM_AUTH" in ran.out
    assert ran.out.count("it does not let us ask") == 2


@pytest.mark.parametrize("by", ["flag", "environment", "settings"])
def test_postgresql_is_checked_beside_services_where_it_is_named(
    tmp_path: Path, tables: tuple[str, str, str], by: str
) -> None:
    service = tmp_path / "pg_service.conf"
    service.write_text("[orders]\nhost=127.0.0.1\nport=1\n")
    in_file = '[postgres]\nservice = "orders"\nrecordings = "kept"\n'
    named = in_file if by == "settings" else ""
    name_services(tmp_path, named, tables[0])
    arguments = ("--dsn", NOBODY) if by == "flag" else ()
    more = {"PGHOST": "127.0.0.1", "PGPORT": "1"} if by == "environment" else {}
    more |= {"PGSERVICEFILE": str(service)}
    ran = doctor(tmp_path, "--json", *arguments, *WINDOW, **SECRETS, **more)
    found = as_json(ran)
    assert found["not_checked"] == [] and ran.code == 1
    postgres, dogs = found["servers"]
    assert (state_of(postgres, "reachable"), state_of(dogs, "keys")) == ("problem", "ok")
    (cure,) = (check["cure"] for check in postgres["checks"] if check["name"] == "recorder")
    assert ("--to kept" in cure) == (by == "settings")
