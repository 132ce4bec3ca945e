"""The whole program over a case full of secrets: none is in anything that it writes or prints."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from incident_rca import pipeline
from incident_rca.cli import app
from incident_rca.packaged import packaged_path
from tests.redaction.planting import Garden, leaves, planted_at

SAMPLE = packaged_path("samples", "lab-index-build")
# Of the lines of a log one in so many has secrets, so that there is still an incident to see.
ONE_IN = {"access.ndjson.gz": 5, "locks.recording.ndjson.gz": 3, "postgresql.jsonlog.gz": 2}
WRITTEN = {
    *("title", "message", "tags", "service", "aggregation_key", "group_tags", "query"),
    *("queryString", "filter[query]"),
}
TITLE = "gone for ada.lovelace@example.com at 198.51.100.77"
COMMANDS = (
    ("report", "--show-redactions"),
    ("report", "--json"),
    ("timeline",),
    ("timeline", "--json"),
    ("explain",),
    ("explain", "--json"),
    *(("explain", f"H{n}") for n in range(1, 9)),
    ("explain", "H1", "--json"),
    ("whatif", "--json"),
    ("verify",),
)
MARK = re.compile(r"<[a-z]+#[0-9a-f]{12}")


def planted_copy(path: Path, garden: Garden) -> bytes:
    """A raw file of the sample with secrets in its texts."""
    if path.name not in ONE_IN:
        document = json.loads(path.read_bytes())
        places = [at for at in leaves(document) if WRITTEN & set(at)]
        for at in places[:: max(1, len(places) // 12)]:
            document = planted_at(document, at, garden)
        return json.dumps(document).encode()
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    for count, number in enumerate(range(3, len(lines), ONE_IN[path.name])):
        document = json.loads(lines[number])
        inside = list(leaves(document))
        if inside:
            at = inside[count % len(inside)]
            lines[number] = json.dumps(planted_at(document, at, garden))
    return gzip.compress("\n".join(lines).encode(), compresslevel=1)


def planted_case(folder: Path, garden: Garden) -> Path:
    """The sample's case with its topology, around files full of secrets."""
    case = folder / "INC-1"
    (case / "raw").mkdir(parents=True)
    manifest = json.loads((SAMPLE / "case.json").read_text(encoding="utf-8"))
    manifest["title"] = TITLE
    garden.secrets += [*TITLE.split()[2::2], "198.51.100.78"]
    for source in manifest["sources"]:
        source["query"] = garden.behind(source["query"])
        for file in source["files"]:
            content = planted_copy(SAMPLE / file["path"], garden)
            # A load balancer names its files by its address.
            file["path"] = file["path"].replace("pool", "app.shop_198.51.100.78_20jg")
            file["sha256"] = hashlib.sha256(content).hexdigest()
            (case / file["path"]).write_bytes(content)
    (case / "case.json").write_text(json.dumps(manifest), encoding="utf-8")
    return case


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Garden, dict[str, str]]]:
    """The garden, and each output by what made it."""
    folder, garden = tmp_path_factory.mktemp("given"), Garden(7)
    case, outputs = planted_case(folder, garden), dict[str, str]()
    runner = CliRunner(env={"COLUMNS": "5000", "NO_COLOR": "1", "HOME": str(folder)})

    def run(*words: object) -> None:
        done = runner.invoke(app, [str(word) for word in words])
        outputs[" ".join(map(str, words))] = f"{done.output}{done.exception or ''}"

    with pytest.MonkeyPatch.context() as patch:
        # The same case gives the same analysis, which takes far longer than to print it.
        patch.setattr(pipeline, "analyse_case", cache(pipeline.analyse_case))
        for command, *words in COMMANDS:
            run(command, case, *words)
    for name in ("report.md", "report.json"):
        outputs[name] = (case / name).read_text(encoding="utf-8")
    given = folder / "10.20.30.44 postgresql.jsonlog.gz"
    shutil.copy(case / "raw" / "postgresql.jsonlog.gz", given)
    garden.secrets.append("10.20.30.44")
    for _ in range(2):
        run("import", folder / "INC-2", given, "--title", TITLE)
    run("import", folder / "INC-3", given, "--json")
    run("import", folder / "INC-2", case / "case.json")
    shutil.rmtree(case / "raw")
    run("verify", case, "--json")
    yield garden, outputs


def test_no_secret_is_in_any_output(ran: tuple[Garden, dict[str, str]]) -> None:
    garden, outputs = ran
    assert len(garden.secrets) > 400
    assert all(outputs.values())
    lines = {line for output in outputs.values() for line in output.split("\n")}
    assert garden.left_in(sorted(lines)) == []
    assert not [line for line in lines if MARK.search(line)]


def test_there_was_an_incident_to_see_in_it(ran: tuple[Garden, dict[str, str]]) -> None:
    _, outputs = ran
    report: Any = json.loads(outputs["report.json"])
    assert report["hypotheses"] and report["lock_episodes"] and report["outage"]
    hidden = {row["kind"]: row for row in report["redactions"]}
    for kind in ("email", "ip", "secret"):
        numbers = set(re.findall(rf"<{kind}-([0-9]+)>", outputs["report.json"]))
        assert hidden[kind]["values"] == len(numbers) > 0
