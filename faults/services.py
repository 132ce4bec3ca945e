"""Services that misbehave while they are asked, and what asking them again gives."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from faults.kills import INCOMPLETE, MOST_DRAWS, WHOLE
from faults.scenes import CASE, QUICK
from tests.cli.services import Services
from tests.sources import cloudwatch_logs_server, cloudwatch_metrics_server
from tests.sources.datadog_server import V2, Reply, throttled

# Long enough for every answer, short enough that what stalls is given up soon.
TIMES = ("--timeout", "6", "--total-timeout", "20")
WINDOW = ("--from", "2026-01-15T14:22:00Z", "--to", "2026-01-15T14:26:00Z")
COLLECT = ("collect", CASE, *WINDOW)
NO_EVIDENCE = 4
# How fast a service answered bounds the clocks, and is in what it answered: never twice the same.
# A file that takes the place of half an answer has another name, and what cites it another id.
_OF_THE_RUN = ("clock_offset_seconds", "sha256", "file", "path", "id", "evidence")
# Evidence of what the sources themselves said: it has these bounds in its words.
_OF_SOURCES = "S"
# What is said of orders is said within these bounds; what is blamed for what does not hang on them.
_BLAME = ("kind", "object", "role", "verdict")
_WITHIN_BOUNDS = ("hypotheses", "questions")


def stalls(services: Services) -> None:
    """AWS takes connections and says nothing; Datadog takes longer than there is time."""
    services.aws.hold("logs")
    services.datadog.fail(V2, Reply(stalls=8.0), always=True)


def resets(services: Services) -> None:
    """Connections break in the middle of answers, again and again."""
    services.datadog.fail(V2, Reply(breaks=True), Reply({"data": {}}, is_cut=True), always=True)
    services.metrics.faults.extend([cloudwatch_metrics_server.Fault(breaks=True)] * 20)


def throttles(services: Services) -> None:
    """Too many requests, for the first of them."""
    services.datadog.fail(V2, throttled("1"), throttled("1"))
    services.logs.plan("FilterLogEvents", *[cloudwatch_logs_server.THROTTLED] * 3)


def garbage(services: Services) -> None:
    """Answers that are no JSON, or JSON of another shape."""
    services.datadog.fail(
        V2, Reply("<html>login</html>"), Reply([1, 2]), Reply({"data": None}), always=True
    )


def late(services: Services) -> None:
    """Every answer comes, each of them late."""
    services.datadog.latency_seconds = 0.6
    services.logs.seconds_a_call = 0.3


MISBEHAVIOURS: Mapping[str, Callable[[Services], None]] = {
    kind.__name__: kind for kind in (stalls, resets, throttles, garbage, late)
}


def undisturbed(services: Services, folder: Path) -> dict[str, Any]:
    """The report of the window where every service answers."""
    there = _begun(services, folder)
    ran = services.run(there, *COLLECT)
    if ran.code != WHOLE:
        raise AssertionError(f"collect ended with {ran.code}: {ran.err}")
    return _report(services, there)


def misbehaving(services: Services, folder: Path, kind: str, wanted: dict[str, Any]) -> list[str]:
    """What is wrong while a service misbehaves, and once it answers again."""
    there = _begun(services, folder)
    MISBEHAVIOURS[kind](services)
    ran = services.run(there, *COLLECT, *TIMES)
    problems = []
    if ran.code not in (WHOLE, INCOMPLETE, NO_EVIDENCE):
        problems.append(f"collect ended with {ran.code}: {ran.err}")
    if kind in ("stalls", "resets", "garbage") and ran.code != INCOMPLETE:
        problems.append(f"a source failed, and collect ended with {ran.code}")
    problems += _damaged(services, there)
    services.forget()
    problems += _gone_on(services, there, wanted)
    return [f"{kind}: {problem}" for problem in problems]


def killed(
    services: Services, folder: Path, count: int, seed: int, wanted: dict[str, Any]
) -> list[str]:
    """What is wrong where collect is killed so many times at random while services answer.

    In the place of a kill that came after the end another moment is drawn.
    """
    drawn, problems, hits = random.Random(f"{seed} services"), list[str](), 0
    for _ in range(MOST_DRAWS * count):
        there = _begun(services, folder)
        after = drawn.uniform(0, 1.5)
        process = subprocess.Popen(
            services.command(*COLLECT),
            cwd=there,
            env=services.environment(there, {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 30
        # Before the case is begun a process only loads its modules.
        while not (there / CASE / "case.json").exists() and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
        hits += process.wait() == -signal.SIGKILL
        found = [*_damaged(services, there), *_gone_on(services, there, wanted)]
        problems += [f"killed {after:.2f} s after the case was begun: {p}" for p in found]
        if hits == count:
            return problems
    return [*problems, f"of {count} kills {hits} came before its end"]


def _begun(services: Services, folder: Path) -> Path:
    """An empty folder with the settings that name all services, of which none misbehaves."""
    there = folder / "user"
    shutil.rmtree(there, ignore_errors=True)
    there.mkdir()
    services.forget()
    services.settings(there)
    return there


def _damaged(services: Services, there: Path) -> list[str]:
    """The raw files that are not what the manifest says of them."""
    ran = services.run(there, "verify", CASE, "--json")
    if not ran.out:
        return [] if "no source can be read" in ran.err else [f"verify ended with {ran.code}"]
    checks = json.loads(ran.out)
    return [
        f"{c['file']}: {c['problem']}"
        for c in checks
        if not c["ok"] and c["file"].startswith("raw/")
    ]


def _gone_on(services: Services, there: Path, wanted: dict[str, Any]) -> list[str]:
    """What is wrong after the same command where all answer."""
    ran = services.run(there, *COLLECT)
    if ran.code != WHOLE:
        return [f"collect again ended with {ran.code}: {ran.err}"]
    found = _report(services, there)
    left = [path.name for path in (there / CASE).rglob(".*")]
    problems = [f"{name} is left over" for name in left]
    return problems + [f"report.json: {key} differs" for key in wanted if found[key] != wanted[key]]


def _report(services: Services, there: Path) -> dict[str, Any]:
    """What report.json says, without what is another in each run that goes well."""
    ran = services.run(there, "report", CASE, *QUICK)
    if ran.code not in (WHOLE, INCOMPLETE):
        raise AssertionError(f"report ended with {ran.code}: {ran.err}")
    text = (there / CASE / "report.json").read_text(encoding="utf-8")
    document = json.loads(text)
    # Which lines they are depends on the order in which a service gave them.
    rows = [
        {**evidence, "rows": None}
        for evidence in document.pop("evidence")
        if not evidence["id"].startswith(_OF_SOURCES)
    ]
    found: dict[str, Any] = _facts(document)
    blamed = [{key: each[key] for key in _BLAME} for each in found["hypotheses"]]
    told = {key: found[key] for key in found if key not in _WITHIN_BOUNDS}
    return {**told, "blamed": blamed, "rows": sorted(map(str, _facts(rows)))}


def _facts(part: Any) -> Any:
    """A part of the report without what is another in each run."""
    if isinstance(part, dict):
        return {key: _facts(value) for key, value in part.items() if key not in _OF_THE_RUN}
    return [_facts(item) for item in part] if isinstance(part, list) else part
