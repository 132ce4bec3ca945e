"""What is fuzzed: one function of bytes for each reader of what others wrote.

A target raises nothing but what its reader promises for bad input, and gives a sound answer else.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from incident_rca.case import MANIFEST, read_case
from incident_rca.errors import BadInput, IncidentRcaError
from incident_rca.formats import BY_KIND, FORMATS, recognise
from incident_rca.formats.access_log.stage_format import compile_format
from incident_rca.formats.access_log.values import values_of
from incident_rca.formats.lines import head_of
from incident_rca.formats.parsed import RawInput
from incident_rca.migrations.lint import lint_text
from incident_rca.packaged import packaged_path
from incident_rca.pipeline import parse_raw
from incident_rca.redact import redact_query, redact_text
from incident_rca.report.blocks import NAMES, edited_blocks, generated_only, merge, seal
from incident_rca.settings import FILE_NAME, load_settings
from incident_rca.tables import SCHEMAS
from incident_rca.tickets import system_of
from incident_rca.window import parse_window
from tests.redaction.raw_examples import EXAMPLES, STDERR

CORPUS = Path(__file__).with_name("corpus")
# Of at most 1 MB, in seconds of processor time: what a person would call a hang.
LONGEST_SECONDS = 2.0
LARGE = 1_000_000
# Longer than any prefix of a log or format of a stage: those do not grow with a log.
LONGEST_SETTING = 4_000
NOW = datetime(2026, 1, 15, 15, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Target:
    """A reader under test, good inputs to begin from, and how long 1 MB may take it."""

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    longest_seconds: float = LONGEST_SECONDS


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much longer than LONGEST_SECONDS 1 MB may take a reader, and why it needs that."""

    seconds: float
    reason: str


# Both are linear: half of it takes half the time.
ALLOWANCES: Mapping[str, Allowance] = {
    "lint": Allowance(8.0, "1 MB may hold 45,000 statements, each of which is parsed and weighed"),
    "redact_text": Allowance(8.0, "1 MB may hold 30,000 secrets, each of which is replaced"),
}


class TooSlow(Exception):
    """An input took its reader more processor time than it may."""


def checked(target: Target, data: bytes) -> None:
    """Runs a target on some bytes; raises TooSlow, and whatever it must not raise."""
    before = time.process_time()
    target.run(data)
    used = time.process_time() - before
    if used > target.longest_seconds:
        raise TooSlow(f"{len(data)} bytes took {used:.1f} s of processor time")


def blown_up(data: bytes) -> tuple[bytes, ...]:
    """Inputs of 1 MB that repeat some bytes as they are, line by line, and byte by byte.

    What takes a time that is quadratic in its input shows only where that is large.
    """
    in_one_line = data.replace(b"\n", b" ")
    pieces = dict.fromkeys((data, data.rstrip(b"\n") + b"\n", in_one_line, data[-1:]))
    middle = len(data) // 2
    swollen = data[middle : middle + 1] * (LARGE - len(data))
    return (
        *((piece * (LARGE // len(piece) + 1))[:LARGE] for piece in pieces if piece),
        data[:middle] + swollen + data[middle:],
    )


def found_cases(name: str) -> list[bytes]:
    """The inputs that once broke a target."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _parsed(kind: str, data: bytes, reading: Mapping[str, str] = {}) -> None:
    with tempfile.TemporaryDirectory(prefix="incident-rca-fuzz-") as folder:
        path = Path(folder) / "given"
        path.write_bytes(data)
        raw = RawInput(
            path=path, file="raw/given", source="given", work=Path(folder), reading=reading
        )
        try:
            parsed = parse_raw(BY_KIND[kind], raw)
        except BadInput as error:
            assert error.message and error.hint
            return
    assert parsed.rows >= 0 and parsed.unparsed >= 0
    for name, frame in parsed.frames.items():
        assert list(frame.columns) == list(SCHEMAS[name])


def _recognised(data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="incident-rca-fuzz-") as folder:
        path = Path(folder) / "given"
        path.write_bytes(data)
        recognise(head_of(path))


def _read_with(kind: str, name: str, data: bytes) -> None:
    """The first line is what the user says of the log, the others are the log."""
    said, _, log = data.partition(b"\n")
    _parsed(kind, log, {name: _text(said[:LONGEST_SETTING])})


def _line_of_a_stage(data: bytes) -> None:
    said, _, lines = data.partition(b"\n")
    try:
        known = compile_format(_text(said[:LONGEST_SETTING]))
    except ValueError:
        return
    for line in lines.split(b"\n"):
        values = values_of(known, line)
        assert values is None or all(isinstance(value, str) for value in values.values())


def _linted(data: bytes) -> None:
    text = _text(data)
    report = lint_text(text)
    lines = text.count("\n") + 1
    assert all(1 <= finding.start.line <= lines for finding in report.findings)


def _redacted(redact: Callable[[str], str], data: bytes) -> None:
    redact(_text(data))


def _target_of(data: bytes) -> None:
    from incident_rca.attaching import target_of
    from incident_rca.settings import Settings

    refuses(lambda: system_of(_text(data)))
    refuses(lambda: target_of(_text(data), Settings(), {}))


def refuses(task: Callable[[], object]) -> None:
    """Runs what may refuse its input with a clear error."""
    try:
        task()
    except IncidentRcaError as error:
        assert error.message


def _settings(data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="incident-rca-fuzz-") as folder:
        here = Path(folder)
        (here / FILE_NAME).write_bytes(data)
        refuses(lambda: load_settings(config=None, environ={}, cwd=here, user_config_dir=here))


def _case(data: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="incident-rca-fuzz-") as folder:
        (Path(folder) / MANIFEST).write_bytes(data)
        refuses(lambda: read_case(Path(folder)))


def _report(data: bytes) -> None:
    """What people wrote into a report is in it once it was made anew, and so are its own blocks."""
    text = _text(data)
    generated_only(text), edited_blocks(text)
    mixed = f"{FRESH}{text}"
    try:
        again = merge(mixed, FRESH)
    except IncidentRcaError:
        return
    assert generated_only(again) == generated_only(FRESH)
    for line in text.split("\n"):
        assert line in again


def _window(data: bytes) -> None:
    names = ("start", "end", "around", "window", "last", "timezone")
    texts = [*_text(data).split("\n"), *[""] * len(names)]
    given = {name: text or None for name, text in zip(names, texts, strict=False)}
    zone = given.pop("timezone") or "UTC"
    refuses(lambda: parse_window(**given, now=NOW, timezone=zone, force=False, max_hours=24))


FRESH = seal(
    "".join(
        f"## {name}\n<!-- incident-rca:begin {name} -->\n{name}\n"
        f"<!-- incident-rca:end {name} -->\n\n"
        for name in NAMES
    )
)
_PREFIXED = "\n".join(["%m [%p] %q%u@%d ", *STDERR]).encode()
_FORMATS: Sequence[str] = (
    '{"requestId":"$context.requestId","status":"$context.status"}\n{"requestId":"a","status":"2"}',
    "$context.identity.sourceIp [$context.requestTime] $context.status\n1.1.1.1 [15/Jan/2026] 200",
    "$context.requestId,$context.status,$context.path\na,502,/x\nb,200,/y",
    "<r><s>$context.status</s></r>\n<r><s>502</s></r>",
)
_MIGRATION = b"""\
BEGIN;
SET lock_timeout = '2s';
CREATE INDEX i ON stock (sku); -- incident-rca: ignore index-without-concurrently because x
ALTER TABLE stock ADD COLUMN n int NOT NULL DEFAULT 0, ALTER COLUMN a TYPE bigint;
DO $$ BEGIN EXECUTE 'DROP INDEX i'; END $$;
CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN LOCK TABLE stock; END $f$;
SELECT f();
COMMIT;
"""
_SETTINGS = b"""\
timezone = "Europe/Berlin"
[services.inventory]
grpc = ["inv.Inv/Reserve"]
tables = ["public.stock"]
pool_size = 10
[[routes]]
method = "POST"
path = "/api/orders"
calls = ["inv.Inv/Reserve"]
timeout_seconds = 29
[clock_offset_seconds]
postgres = [-1, 1]
"""
_SECRETS = (
    b"postgresql://app:hunter2@db/x AKIAIOSFODNN7EXAMPLE ada@example.org 203.0.113.9 "
    b"INSERT INTO t VALUES ('x', 4111111111111111) Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"
)
_CASE = (packaged_path("samples", "inc-2847") / MANIFEST).read_bytes()

TARGETS: Mapping[str, Target] = {
    **{known.kind: Target(partial(_parsed, known.kind), EXAMPLES[known.kind]) for known in FORMATS},
    "recognition": Target(_recognised, tuple(one[0] for one in EXAMPLES.values())),
    "log_line_prefix": Target(partial(_read_with, "postgres_log", "log_line_prefix"), (_PREFIXED,)),
    "access_log_format": Target(_line_of_a_stage, tuple(text.encode() for text in _FORMATS)),
    "lint": Target(_linted, (_MIGRATION,), ALLOWANCES["lint"].seconds),
    "redact_text": Target(
        partial(_redacted, redact_text), (_SECRETS,), ALLOWANCES["redact_text"].seconds
    ),
    "redact_query": Target(partial(_redacted, redact_query), (_SECRETS,)),
    "ticket": Target(_target_of, (b"jira:OPS-7", b"github:a/b#7", b"slack:#ops", b"folder:/x")),
    "settings": Target(_settings, (_SETTINGS,)),
    "case": Target(_case, (_CASE, json.dumps({"case_schema": 1}).encode())),
    "report": Target(_report, (b"## What we did\n\nWe waited.\n",)),
    "window": Target(_window, (b"14:15\nnow", b"\n\n14:15\n30m", b"\n\n\n\n2h\nEurope/Berlin")),
}
