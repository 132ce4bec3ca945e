"""`import` keeps what is good, names what is not, and never half-writes a case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from incident_rca.formats import BY_KIND
from tests.cli.running import refused, run, tree
from tests.formats.builders import envelope, request, write


def manifest(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "INC-1" / "case.json").read_text())
    return document


def test_an_unknown_kind(tmp_path: Path, files: Path) -> None:
    ran = refused(2, tmp_path, "import", "INC-1", files / "access.ndjson", "--as", "nginx")
    assert "nginx" in ran.errors[0]
    assert all(kind in ran.hints[0] for kind in BY_KIND)


@pytest.mark.parametrize("name", ["notes.txt", "empty.json", "missing.json", "folder", "half.json"])
def test_a_file_that_cannot_be_read(tmp_path: Path, files: Path, name: str) -> None:
    ran = refused(2, tmp_path, "import", "INC-1", files / name)
    assert name in ran.errors[0]
    assert not (tmp_path / "INC-1").exists()


def test_a_file_of_no_kind_lists_the_kinds(tmp_path: Path, files: Path) -> None:
    ran = refused(2, tmp_path, "import", "INC-1", files / "notes.txt")
    assert all(kind in ran.hints[0] for kind in BY_KIND)


def test_what_is_good_is_kept(tmp_path: Path, files: Path) -> None:
    names = ["notes.txt", "access.ndjson", "empty.json", "missing.json"]
    ran = run(tmp_path, "import", "INC-1", *(files / name for name in names), "--json")
    assert ran.code == 2
    assert len(ran.errors) == 3
    answer = json.loads(ran.out)
    assert [source["name"] for source in answer["added"]] == ["access"]
    assert len(answer["refused"]) == 3
    assert [source["name"] for source in manifest(tmp_path)["sources"]] == ["access"]
    assert run(tmp_path, "report", "INC-1").code == 0


def test_none_of_many_files(tmp_path: Path, files: Path) -> None:
    ran = run(tmp_path, "import", "INC-1", files / "notes.txt", files / "empty.json")
    assert (ran.code, ran.out, len(ran.errors)) == (4, "", 1)
    assert "notes.txt" in ran.errors[0] and "empty.json" in ran.errors[0]
    assert not (tmp_path / "INC-1").exists()


def test_a_truncated_gzip_is_partial(tmp_path: Path, files: Path) -> None:
    ran = run(tmp_path, "import", "INC-1", files / "cut.ndjson.gz")
    assert ran.code == 3 and not ran.errors
    (source,) = manifest(tmp_path)["sources"]
    assert source["state"] == "partial" and source["rows"] > 100
    assert "cut.ndjson.gz" in source["reason"]
    kept = (tmp_path / "INC-1" / "raw" / "cut.ndjson.gz").read_bytes()
    assert kept == (files / "cut.ndjson.gz").read_bytes()
    reported = run(tmp_path, "report", "INC-1")
    assert reported.code == 3
    assert "partial" in reported.out
    assert "partial" in (tmp_path / "INC-1" / "report.md").read_text()
    assert run(tmp_path, "verify", "INC-1").code == 0


def test_broken_lines_are_counted(tmp_path: Path, files: Path) -> None:
    ran = run(tmp_path, "import", "INC-1", files / "broken-few.ndjson", "--json")
    assert ran.code == 0
    (source,) = json.loads(ran.out)["added"]
    assert (source["rows"], source["unparsed"], source["state"]) == (500, 1, "ok")
    ran = run(tmp_path, "import", "INC-1", files / "broken-lines.ndjson", "--json")
    assert ran.code == 3
    (source,) = json.loads(ran.out)["added"]
    assert (source["rows"], source["unparsed"], source["state"]) == (180, 3, "partial")


def test_half_an_answer_beside_a_good_file(tmp_path: Path, files: Path) -> None:
    ran = run(
        tmp_path, "import", "INC-1", files / "half.json", files / "access.ndjson",
    )  # fmt: skip
    assert ran.code == 2 and len(ran.errors) == 1 and "half.json" in ran.errors[0]
    forced = run(tmp_path, "import", "INC-2", files / "half.json", "--as", "datadog_metrics")
    assert forced.code == 2 and len(forced.errors) == 1 and "half.json" in forced.errors[0]


@pytest.mark.parametrize("kind", sorted(BY_KIND))
def test_a_wrong_kind_is_refused(tmp_path: Path, kind: str) -> None:
    odd: dict[str, Any] = {"data": [1], "results": None, "statistics": {}}
    path = write(tmp_path / "odd.json", envelope({"body": None}, odd))
    ran = refused(2, tmp_path, "import", "INC-1", path, "--as", kind)
    assert "odd.json" in ran.errors[0]
    assert not (tmp_path / "INC-1").exists()


def test_an_empty_file_is_refused_whatever_it_is_called(tmp_path: Path, files: Path) -> None:
    ran = refused(2, tmp_path, "import", "INC-1", files / "empty.json", "--as", "access_log")
    assert "empty.json" in ran.errors[0]


def test_a_bare_answer_needs_its_query(tmp_path: Path) -> None:
    bare = {"series": [{"query_index": 0}], "times": [1768486200000], "values": [[1.0]]}
    path = write(tmp_path / "pool.json", json.dumps({"data": {"attributes": bare}}))
    ran = refused(2, tmp_path, "import", "INC-1", path)
    assert "--query" in ran.hints[0]
    assert run(tmp_path, "import", "INC-1", path, "--query", "max:pool.used{*}").code == 0
    assert run(tmp_path, "report", "INC-1").code == 0
    assert run(tmp_path, "verify", "INC-1").code == 0
    report = json.loads((tmp_path / "INC-1" / "report.json").read_text())
    assert any(source["query"] == "max:pool.used{*}" for source in report["sources"])


def test_a_bare_answer_with_its_metric(tmp_path: Path) -> None:
    bare = {"series": [{"query_index": 0}], "times": [1768486200000], "values": [[1.0]]}
    path = write(tmp_path / "pool.json", json.dumps({"data": {"attributes": bare}}))
    assert run(tmp_path, "import", "INC-1", path, "--metric", "pool.used").code == 0
    assert run(tmp_path, "report", "INC-1").code == 0


def test_the_same_file_twice(tmp_path: Path, files: Path) -> None:
    for _ in range(2):
        ran = run(tmp_path, "import", "INC-1", files / "access.ndjson", "--json")
        assert ran.code == 0
    answer = json.loads(ran.out)
    assert (answer["added"], answer["already_there"]) == ([], ["access.ndjson"])
    assert len(manifest(tmp_path)["sources"]) == 1
    assert len(list((tmp_path / "INC-1" / "raw").iterdir())) == 1


def test_the_same_file_twice_in_one_call(tmp_path: Path, files: Path) -> None:
    path = files / "access.ndjson"
    assert run(tmp_path, "import", "INC-1", path, path).code == 0
    assert len(manifest(tmp_path)["sources"]) == 1


def test_two_files_of_one_name(tmp_path: Path) -> None:
    for folder, start in (("a", 0), ("b", 100)):
        (tmp_path / folder).mkdir()
        lines = [request(start + n, requestId=f"{folder}{n}") for n in range(20)]
        write(tmp_path / folder / "access.ndjson", *lines)
    given = (tmp_path / "a" / "access.ndjson", tmp_path / "b" / "access.ndjson")
    assert run(tmp_path, "import", "INC-1", *given).code == 0
    sources = manifest(tmp_path)["sources"]
    assert [source["rows"] for source in sources] == [20, 20]
    assert len({source["name"] for source in sources}) == 2
    kept = [tmp_path / "INC-1" / source["files"][0]["path"] for source in sources]
    assert [path.read_bytes() for path in kept] == [path.read_bytes() for path in given]


def test_files_that_lie_in_raw_already(tmp_path: Path) -> None:
    raw = tmp_path / "INC-1" / "raw"
    raw.mkdir(parents=True)
    path = write(raw / "access.ndjson", *(request(n) for n in range(20)))
    before = path.read_bytes()
    assert run(tmp_path, "import", "INC-1", path).code == 0
    assert path.read_bytes() == before
    assert run(tmp_path, "report", "INC-1").code == 0


def test_odd_names(tmp_path: Path) -> None:
    names = ("-access.ndjson", "a b\n.ndjson", "[bold]x.ndjson", ".hidden", "ü.gz", "<!-- x -->")
    given = [
        write(tmp_path / name, *(request(100 * i + n, requestId=f"{name}{n}") for n in range(20)))
        for i, name in enumerate(names)
    ]
    assert run(tmp_path, "import", "INC-1", *given).code == 0
    assert len(manifest(tmp_path)["sources"]) == len(names)
    assert run(tmp_path, "report", "INC-1").code == 0
    assert run(tmp_path, "verify", "INC-1").code == 0


def test_files_without_any_time(tmp_path: Path) -> None:
    nothing: dict[str, Any] = {"series": [], "times": [], "values": []}
    request_ = {"body": {"data": {"attributes": {"queries": [{"name": "a", "query": "max:p{*}"}]}}}}
    path = write(tmp_path / "p.json", envelope(request_, {"data": {"attributes": nothing}}))
    ran = refused(2, tmp_path, "import", "INC-1", path, "--as", "datadog_metrics")
    assert "--from" in ran.hints[0]
    assert tree(tmp_path).keys() == {"p.json"}


# --- what helps where a server's log cannot be read ---------------------------------------------

EPOCH = "%n %p %u %d %a "


def epoch_log(folder: Path) -> Path:
    lines = [
        f"17684862{n}.412 81{n} app shop [unknown] LOG:  checkpoint starting" for n in (60, 61)
    ]
    return write(folder / "epoch.log", *lines)


@pytest.mark.parametrize(("zone", "cure"), [("CET", "Europe/Berlin"), ("IST", "Asia/Kolkata")])
def test_a_log_in_a_zone_of_many_meanings_names_what_tells_it(
    tmp_path: Path, zone: str, cure: str
) -> None:
    line = f"2026-01-15 15:11:07.412 {zone} [812] app@shop LOG:  checkpoint starting: time"
    log = write(tmp_path / "postgresql.log", line)
    ran = refused(2, tmp_path, "import", "INC-1", log)
    assert zone in ran.hints[0] and "--log-timezone" in ran.hints[0]
    assert "--as" not in ran.hints[0]
    ran = refused(2, tmp_path, "import", "INC-1", log, "--log-timezone", "America/New_York")
    assert f"America/New_York has no {zone}" in ran.hints[0]
    assert run(tmp_path, "import", "INC-1", log, "--log-timezone", cure).code == 0


def test_a_prefix_that_is_given_tells_the_kind(tmp_path: Path) -> None:
    log = epoch_log(tmp_path)
    ran = refused(2, tmp_path, "import", "INC-1", log)
    assert "no known kind" in ran.errors[0] and "--log-line-prefix" in ran.hints[0]
    assert run(tmp_path, "import", "INC-1", log, "--log-line-prefix", EPOCH).code == 0
    (source,) = manifest(tmp_path)["sources"]
    assert (source["kind"], source["rows"]) == ("postgres_log", 2)


def test_a_prefix_takes_no_file_of_another_kind(tmp_path: Path, files: Path) -> None:
    words = ("--log-line-prefix", EPOCH)
    assert run(tmp_path, "import", "INC-1", files / "access.ndjson", *words).code == 0
    assert manifest(tmp_path)["sources"][0]["kind"] == "access_log"
    refused(2, tmp_path, "import", "INC-2", files / "notes.txt", *words)


def test_a_log_without_its_prefix_is_asked_for_it(tmp_path: Path) -> None:
    words = ("import", "INC-1", epoch_log(tmp_path), "--as", "postgres_log")
    ran = refused(2, tmp_path, *words)
    assert "--log-line-prefix" in ran.hints[0]
    ran = refused(2, tmp_path, *words, "--log-line-prefix", "%m <%p> ")
    assert "--log-line-prefix" in ran.hints[0] and "%m <%p> " in ran.hints[0]


def test_a_localised_log_is_said_to_be_one(tmp_path: Path) -> None:
    lines = (
        "2026-01-15 14:11:07.412 UTC [812] app@shop LOG:  checkpoint starting: time",
        "2026-01-15 14:12:07.412 UTC [813] app@shop FEHLER:  Relation »x« existiert nicht",
    )
    log = write(tmp_path / "postgresql.log", *lines)
    told = "this log is localised (FEHLER): lock waits cannot be read from it (lc_messages)"
    ran = run(tmp_path, "import", "INC-1", log, "--json")
    assert told in ran.err
    (added,) = json.loads(ran.out)["added"]
    assert (added["state"], added["reason"]) == ("ok", told)
    assert run(tmp_path, "report", "INC-1").code == 0
    sources = json.loads((tmp_path / "INC-1" / "report.json").read_text())["sources"]
    (source,) = [s for s in sources if s["name"] == "postgresql"]
    assert (source["state"], source["reason"]) == ("ok", told)
