"""Windows and settings that are wrong, unclear or of another kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.running import refused, run

TOO_LONG = ("2026-01-10T00:00Z", "2026-01-15T14:55Z")


@pytest.mark.parametrize(
    ("start", "end", "more"),
    [
        ("2026-01-15T14:45Z", "2026-01-15T14:15Z", ()),
        ("2126-01-15T14:15Z", "2126-01-15T14:45Z", ()),
        ("3 dec", "now", ()),
        ("05", "now", ()),
        ("2026-03-29T02:30", "2026-03-29T03:30", ("--tz", "Europe/Berlin")),
        ("2025-10-26T02:30", "2025-10-26T04:00", ("--tz", "Europe/Berlin")),
        ("2026-01-15T14:15", "2026-01-15T14:45", ("--tz", "EST")),
        ("\x1b[31m14:15", "now", ()),
        (*TOO_LONG, ()),
    ],
    ids=range(9),
)
def test_an_unsound_window(small: Path, start: str, end: str, more: tuple[str, ...]) -> None:
    before = (small / "case.json").read_bytes()
    refused(2, small.parent, "report", small.name, "--from", start, "--to", end, *more)
    assert (small / "case.json").read_bytes() == before


def test_an_unsound_window_keeps_no_file(tmp_path: Path, files: Path) -> None:
    refused(2, tmp_path, "import", "INC-1", files / "access.ndjson", "--from", "05")
    assert not (tmp_path / "INC-1").exists()


def test_an_end_alone(small: Path) -> None:
    refused(2, small.parent, "report", small.name, "--to", "14:15")


def test_a_long_window_with_force(tmp_path: Path, files: Path) -> None:
    start, end = TOO_LONG
    window = ("--from", start, "--to", end)
    ran = run(tmp_path, "import", "INC-1", files / "access.ndjson", *window, "--force")
    assert ran.code == 0
    window_of_case = json.loads((tmp_path / "INC-1" / "case.json").read_text())["window"]
    assert window_of_case == {"start": "2026-01-10T00:00:00Z", "end": "2026-01-15T14:55:00Z"}
    assert "2026-01-10T00:00:00Z" in ran.err


def test_a_window_is_read_in_the_zone_and_told_in_both(tmp_path: Path, files: Path) -> None:
    window = ("--from", "2026-01-15T23:15", "--to", "2026-01-15T23:22", "--tz", "Asia/Tokyo")
    ran = run(tmp_path, "import", "INC-1", files / "access.ndjson", *window)
    assert ran.code == 0
    assert "2026-01-15T14:15:00Z" in ran.err and "Asia/Tokyo" in ran.err


# --- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("timezon = 'UTC'", "timezone"),
        ("[analysis]\nmax_window_hour = 3", "max_window_hours"),
        ("[services.a]\npoolsize = 3", "pool_size"),
        ("[[routes]]\nmethod = 'GET'\npath = '/a'\ncall = []", "calls"),
        ("timezone = 7", "timezone"),
        ("[analysis]\nmax_window_hours = 'many'", "max_window_hours"),
        ("[analysis]\nplausible_deadline_seconds = -1", "plausible_deadline_seconds"),
        ("[analysis]\nplausible_deadline_seconds = nan", "plausible_deadline_seconds"),
        ("[clock_offset_seconds]\ngateway = [1, 0]", "gateway"),
        ("routes = 'all'", "routes"),
        ("services = []", "services"),
        ("timezone = 'UTC", "incident-rca.toml"),
        ("timezone = 'Europe/Berln'", "Berlin"),
    ],
    ids=range(13),
)
def test_a_wrong_setting_names_the_right_one(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "incident-rca.toml").write_text(text)
    ran = run(tmp_path, "config", "show")
    assert (ran.code, ran.out, len(ran.errors)) == (2, "", 1)
    assert all(line.startswith(("error: ", "hint: ")) for line in ran.err.splitlines())
    assert named in ran.err


def test_settings_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "incident-rca.toml").write_bytes(b"\xff\xfe")
    ran = run(tmp_path, "config", "show")
    assert (ran.code, ran.out, len(ran.errors)) == (2, "", 1)


def test_a_settings_file_that_is_missing_or_a_folder(tmp_path: Path) -> None:
    for name in ("missing.toml", "."):
        ran = run(tmp_path, "config", "show", "--config", name)
        assert (ran.code, ran.out, len(ran.errors)) == (2, "", 1)


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    ran = refused(2, tmp_path, "config", "show", INCIDENT_RCA_TIMEZON="UTC")
    assert "INCIDENT_RCA_TIMEZONE" in ran.hints[0]


SECRETS = {
    "DD_API_KEY": "0123456789abcdef",
    "DD_APP_KEY": "fedcba9876543210",
    "PGPASSWORD": "hunter2#Qx7!",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI",
    "AWS_SESSION_TOKEN": "FwoGZXIvYXdzEBYaD",
}


def test_secrets_are_masked(tmp_path: Path) -> None:
    for more in ((), ("--json",)):
        ran = run(tmp_path, "config", "show", *more, **SECRETS)
        assert ran.code == 0
        for name, value in SECRETS.items():
            assert name in ran.out
            assert not any(value[n : n + 6] in ran.out + ran.err for n in range(len(value) - 5))


def test_each_setting_says_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "incident-rca.toml").write_text("timezone = 'Asia/Tokyo'")
    ran = run(
        tmp_path, "config", "show", "--json", INCIDENT_RCA_LARGE_TABLE_ROWS="7", DD_API_KEY="x"
    )
    found = {row["key"]: row for row in json.loads(ran.out)}
    assert found["timezone"]["value"] == "Asia/Tokyo"
    assert found["timezone"]["origin"].endswith("incident-rca.toml")
    assert found["analysis.large_table_rows"]["value"] == "7"
    assert found["analysis.max_window_hours"]["origin"] == "default"
    assert found["DD_API_KEY"]["value"] != found["DD_APP_KEY"]["value"]
