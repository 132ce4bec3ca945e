"""Files are known by their content; what is of no known kind is of none, never a guess."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from incident_rca.formats import BY_KIND, FORMATS
from incident_rca.packaged import packaged_path
from tests.formats.builders import (
    Snapshot,
    header,
    kind_of,
    parse,
    probe,
    record,
    request,
    write,
)

RAW = packaged_path("samples", "inc-2847", "raw")
KIND_BY_START = {
    "access": "access_log",
    "baseline": "logs_insights",
    "changes": "datadog_events",
    "grpc": "datadog_metrics",
    "pool": "datadog_metrics",
    "locks": "lock_recording",
    "postgresql": "postgres_log",
}
SAMPLES = sorted(RAW.iterdir())
# They are recognised where they are fetched or made: tests/sources/, tests/rollup/.
OF_OTHER_TOOLS = {
    "cloudwatch_events",
    "cloudwatch_metrics",
    "cloudwatch_postgres_log",
    "execution_log",
    "gateway_counts",
    "gateway_latency",
    "gateway_rollup",
    "concatenated_log",
    "exported_log",
    "load_balancer_log",
    "load_balancer_rollup",
    "otlp_metrics",
    "pgsentinel_history",
    "pgwatch_history",
    "performance_insights",
    "prometheus_metrics",
    "server_residue",
}


def test_the_sample_has_every_kind_but_those_of_other_tools() -> None:
    assert {
        KIND_BY_START[path.name.partition(".")[0].partition("-")[0]] for path in SAMPLES
    } == set(BY_KIND) - OF_OTHER_TOOLS


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_raw_file_of_the_sample_is_its_kind(path: Path, tmp_path: Path) -> None:
    wanted = KIND_BY_START[path.name.partition(".")[0].partition("-")[0]]
    assert kind_of(path) == wanted
    content = path.read_bytes()
    nameless = tmp_path / "x"
    nameless.write_bytes(gzip.decompress(content) if path.suffix == ".gz" else content)
    assert kind_of(nameless) == wanted
    nameless.write_bytes(gzip.compress(nameless.read_bytes()))
    assert kind_of(nameless) == wanted


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_only_one_format_claims_a_file(path: Path) -> None:
    from incident_rca.formats.lines import head_of

    head = head_of(path)
    assert sum(known.recognises(head) for known in FORMATS) == 1


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_raw_file_of_the_sample_gives_rows(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    parsed = parse(str(kind_of(path)), copy)
    assert parsed.rows > 0 and not parsed.damage
    assert any(len(frame) for frame in parsed.frames.values())


UNKNOWN: dict[str, bytes] = {
    "empty": b"",
    "blank": b"\n \n\n",
    "text": b"2026-01-15 14:10:00 INFO hello\n" * 100,
    "binary": bytes(range(256)) * 200,
    "zeros": b"\x00" * 10_000,
    "UTF-16": '{"status": 200}\n'.encode("utf-16"),
    "gzip of nothing": gzip.compress(b""),
    "gzip of gzip": gzip.compress(gzip.compress(b"x")),
    "half a gzip head": b"\x1f\x8b\x08",
    "gzip magic and junk": b"\x1f\x8b" + b"junk" * 100,
    "JSON lines": b'{"level": "info", "msg": "x"}\n' * 50,
    "JSON list": json.dumps([{"a": 1}]).encode(),
    "other JSON": json.dumps({"results": [], "data": {"x": 1}}).encode(),
    "huge other JSON": json.dumps({"items": list(range(200_000))}).encode(),
    "huge other JSON, gzip": gzip.compress(json.dumps({"items": ["x"] * 200_000}).encode()),
    "deep list": b"[" * 300_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep line": b"[" * 20_000 + b"\n" + b'{"a":' * 20_000 + b"\n",
    "an error": b'{"errors": ["Forbidden"]}',
    "an error in its envelope": b'{"service": "datadog", "response": {"errors": ["x"]}}',
    "v1 answer": b'{"status": "ok", "series": [{"pointlist": [[1768486200000, 1.0]]}]}',
    "odd envelopes": b'{"response": null}',
    "odd data": b'{"data": [1, null]}',
    "CLF": b'203.0.113.9 - - [15/Jan/2026:14:10:00 +0000] "GET / HTTP/1.1" 200 12 r-1\n' * 3,
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_other_content_is_of_no_kind(name: str, tmp_path: Path) -> None:
    path = tmp_path / "access.ndjson"
    path.write_bytes(UNKNOWN[name])
    assert kind_of(path) is None


def good_lines() -> dict[str, list[str]]:
    return {
        "access_log": [request(n) for n in range(5)],
        "postgres_log": [record(f"14:10:0{n}", 1, "checkpoint starting") for n in range(5)],
        "lock_recording": [header(), probe("14:10:00"), Snapshot().line()],
    }


@pytest.mark.parametrize("kind", ["access_log", "postgres_log"])
@pytest.mark.parametrize("junk", ["", "{", "not json", "[" * 20_000, "\x00", "{}", "x" * 70_000])
def test_a_broken_first_line_hides_nothing(kind: str, junk: str, tmp_path: Path) -> None:
    assert kind_of(write(tmp_path / "a", junk, *good_lines()[kind])) == kind


@pytest.mark.parametrize("kind", ["access_log", "postgres_log", "lock_recording"])
def test_a_truncated_gzip_is_known_by_what_is_left(kind: str, tmp_path: Path) -> None:
    lines = [*good_lines()[kind], *(f"{n * 2654435761 % 2**32:x}" for n in range(100_000))]
    content = gzip.compress("\n".join(lines).encode())
    path = tmp_path / "a.gz"
    for cut in (len(content) - 1, len(content) // 2):
        path.write_bytes(content[:cut])
        assert kind_of(path) == kind


def test_a_truncated_gzip_with_a_broken_first_line_is_known(tmp_path: Path) -> None:
    noise = [f"{n * 2654435761 % 2**32:x}" for n in range(100_000)]
    content = gzip.compress("\n".join(["{", *good_lines()["access_log"], *noise]).encode())
    path = tmp_path / "a.gz"
    path.write_bytes(content[:-100])
    assert kind_of(path) == "access_log"


def test_one_line_is_enough(tmp_path: Path) -> None:
    for kind, lines in good_lines().items():
        assert kind_of(write(tmp_path / "a", lines[0], last_end=False)) == kind
