"""`run --follow` against all services while the outage of INC-2847 goes on, and ends."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import refused
from tests.cli.services import Services, incident

FOLLOW = ("run", "INC-2847", "--from", "2026-01-15T14:10:00Z", "--to", "now")
EVERY = ("--follow", "--every", "1")
LONGEST_SECONDS = 90.0


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with incident(tmp_path_factory.mktemp("services")) as running:
        yield running


def on_the_day(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-01-15T{clock}").replace(tzinfo=UTC)


@contextmanager
def following(
    services: Services, folder: Path, *more: str
) -> Iterator[tuple[subprocess.Popen[str], Iterator[str]]]:
    """The command under way, and its lines that answer whether it is over."""
    with services.started(folder, *FOLLOW, *EVERY, *more) as process:
        timer = threading.Timer(LONGEST_SECONDS, process.kill)
        timer.start()
        assert process.stderr is not None
        try:
            yield process, (line for line in process.stderr if "Is it over?" in line)
        finally:
            timer.cancel()


def next_answer(answers: Iterator[str], wanted: str) -> str:
    """The next line with this answer; a round that had begun before may still say the former."""
    return next(line for line in answers if f"Is it over? {wanted}" in line)


def report_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (folder / "INC-2847" / "report.json").read_text(encoding="utf-8")
    )
    return found


def charts_of(folder: Path) -> set[str]:
    return {path.name for path in (folder / "INC-2847" / "charts").glob("*")}


def test_it_goes_on_until_the_outage_is_over(services: Services, tmp_path: Path) -> None:
    services.settings(tmp_path)
    services.set_clock(on_the_day("14:30:00"))
    with following(services, tmp_path) as (process, answers):
        no = next_answer(answers, "No")
        early = report_of(tmp_path)
        assert early["outage"]["ongoing"] and early["outage"]["end"][1] is None
        assert not charts_of(tmp_path), "drawn while the outage goes on"

        services.set_clock(on_the_day("14:49:00"))
        perhaps = next_answer(answers, "As far as the log goes, yes")
        assert "the last failing request arrived at 14:46:18 UTC" in perhaps

        services.set_clock(on_the_day("14:54:00"))
        yes = next_answer(answers, "Yes")
        assert process.wait(30) == 0
    assert no < perhaps < yes  # each line begins with its time
    late = report_of(tmp_path)
    assert late["outage"]["end"] == ["2026-01-15T14:46:18Z"] * 2
    assert not late["outage"]["ongoing"]
    assert late["impact"]["failed_requests"] > early["impact"]["failed_requests"]
    best = late["hypotheses"][0]
    assert (best["kind"], best["role"], best["verdict"]) == (
        "lock_blocking",
        "trigger",
        "supported",
    )
    assert "timeline.svg" in charts_of(tmp_path)
    names = [source["name"] for source in late["sources"]]
    assert len(set(names)) == len(names) and not any(name.endswith("-2") for name in names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["INC-2847", "incident-rca.toml"]
    assert services.run(tmp_path, "verify", "INC-2847").code == 0


def test_interrupted_it_leaves_a_case_that_can_be_read(services: Services, tmp_path: Path) -> None:
    services.settings(tmp_path, without=["datadog"])
    services.set_clock(on_the_day("14:30:00"))
    with following(services, tmp_path) as (process, answers):
        next_answer(answers, "No")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    services.forget()
    assert "timeline.svg" in charts_of(tmp_path)
    assert services.run(tmp_path, "verify", "INC-2847").code == 0
    again = services.run(tmp_path, "report", "INC-2847")
    assert again.code in (0, 3), again.err
    assert report_of(tmp_path)["outage"]["ongoing"]
    assert services.asked() == []


def test_a_window_that_ends_in_the_past_cannot_be_followed(tmp_path: Path) -> None:
    ended = ("--from", "2026-01-15T14:10:00Z", "--to", "2026-01-15T14:55:00Z")
    ran = refused(2, tmp_path, "run", "INC-2847", *ended, "--follow")
    assert "a window that ends now" in ran.errors[0]
    assert not (tmp_path / "INC-2847").exists()
