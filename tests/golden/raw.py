"""What the raw files of the demo say, by plain loops: nothing of incident_rca is used here.

What was read is kept: no test edits the demo itself, only copies of it.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

Json = dict[str, Any]
SAMPLE = Path(__file__).parents[2] / "samples" / "inc-2847"

ORDERS = "POST /api/orders"
READS = "GET /api/inventory/{sku}"
PAYMENTS = "POST /api/payments/intent"
STATUS = "GET /api/orders/{id}"

# errorResponseType and integrationStatus; whatever is not in here is not in the sample either.
TYPES = {
    ("-", "502"): "backend_5xx",
    ("-", "503"): "backend_5xx",
    ("-", "500"): "backend_5xx",
    ("INTEGRATION_TIMEOUT", "-"): "integration_timeout",
    ("INTEGRATION_FAILURE", "-"): "integration_network",
    ("AUTHORIZER_FAILURE", "-"): "authorizer_failure",
}
_ACQUIRED = re.compile(r"process (\d+) acquired \w+ on relation (\d+) of .* after ([\d.]+) ms")


@cache
def text_of(path: Path) -> str:
    """The text of a raw file, unpacked where it is packed."""
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode()


def instant(text: str) -> datetime:
    """An instant as the sources and report.json write it."""
    return datetime.fromisoformat(text.replace(" UTC", "+00:00").replace("Z", "+00:00"))


@cache
def objects(path: Path) -> list[tuple[int, Json]]:
    """The lines that are JSON objects, each with its number."""
    return list(_objects(path))


def _objects(path: Path) -> Iterator[tuple[int, Json]]:
    for number, line in enumerate(text_of(path).splitlines(), start=1):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield number, found


# --- the gateway ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """One readable line of the access log."""

    line: int
    at: datetime
    name: str
    status: int
    row: Json

    @property
    def type(self) -> str:
        """The error type that the line's tuple says."""
        return TYPES[self.row["errorResponseType"], self.row["integrationStatus"]]


def requests(raw: Path) -> list[Request]:
    """Every readable request, in the order of the file."""
    return [
        Request(
            line=line,
            at=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(epoch)),
            name=f"{row['httpMethod']} {row['resourcePath']}",
            status=int(row["status"]),
            row=row,
        )
        for line, row in objects(raw / "access.ndjson.gz")
        if (epoch := row["requestTimeEpoch"])
    ]


def unreadable_lines(raw: Path) -> int:
    """How many lines of the access log are no JSON object."""
    path = raw / "access.ndjson.gz"
    return len(text_of(path).splitlines()) - len(objects(path))


def failures(found: list[Request]) -> list[Request]:
    """The failing requests by arrival."""
    return sorted((r for r in found if r.status >= 500), key=lambda r: (r.at, r.line))


def outage(found: list[Request]) -> list[Request]:
    """The longest run of failures in which none is more than a minute after the one before."""
    runs: list[list[Request]] = [[]]
    for request in failures(found):
        if runs[-1] and request.at - runs[-1][-1].at > timedelta(minutes=1):
            runs.append([])
        runs[-1].append(request)
    return max(runs, key=len)


def baseline_counts(raw: Path) -> tuple[Counter[str], int]:
    """The 24 hours before: requests by status, and the records that the query scanned."""
    answer = json.loads(text_of(raw / "baseline-24h.insights.json"))["response"]
    counts: Counter[str] = Counter()
    for result in answer["results"]:
        cells = {cell["field"]: cell["value"] for cell in result}
        counts[cells["status"]] += int(cells["requests"])
    return counts, int(answer["statistics"]["recordsScanned"])


# --- PostgreSQL ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Snapshot:
    """One full snapshot of the lock recording, its rows by column name."""

    at: datetime
    locks: list[Json]
    sessions: list[Json]
    relations: list[Json]

    def waiting_for(self, oid: int) -> list[int]:
        """The sessions whose lock on this relation is not granted."""
        return [k["pid"] for k in self.locks if k["relation"] == oid and not k["granted"]]

    def holding(self, oid: int, mode: str) -> list[int]:
        """The sessions that hold this mode on this relation."""
        return [
            k["pid"]
            for k in self.locks
            if (k["relation"], k["mode"], k["granted"]) == (oid, mode, True)
        ]


def recording(raw: Path, kind: str) -> list[Json]:
    """The lines of one kind in the lock recording."""
    return [row for _, row in objects(raw / "locks.recording.ndjson.gz") if row["kind"] == kind]


@cache
def snapshots(raw: Path) -> list[Snapshot]:
    """Every snapshot of the lock recording."""
    columns = recording(raw, "header")[0]["columns"]

    def named(row: Json, what: str) -> list[Json]:
        return [dict(zip(columns[what], values, strict=True)) for values in row[what]]

    return [
        Snapshot(
            at=instant(row["locks_at"]),
            locks=named(row, "locks"),
            sessions=named(row, "sessions"),
            relations=named(row, "relations"),
        )
        for row in recording(raw, "snapshot")
    ]


def oid_of(found: list[Snapshot], relation: str) -> int:
    """The OID that the recording gives for a relation of the schema public."""
    oids = {r["oid"] for s in found for r in s.relations if r["relation"] == relation}
    assert len(oids) == 1, oids
    return int(oids.pop())


def server_log(raw: Path) -> list[Json]:
    """Every line of the server's log."""
    return [row for _, row in objects(raw / "postgresql.jsonlog.gz")]


def waited_seconds(raw: Path, oid: int) -> list[float]:
    """How long each wait for a relation lasted, by the lines that say that it ended."""
    said = (_ACQUIRED.match(row["message"]) for row in server_log(raw))
    return [float(s[3]) / 1000 for s in said if s and int(s[2]) == oid]


# --- metrics -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Series:
    """One series of a Datadog answer."""

    tags: dict[str, str]
    query: str
    points: list[tuple[datetime, float | None]]

    def total(self) -> int:
        """The sum of all points."""
        return int(sum(value or 0 for _, value in self.points))


def series(raw: Path, name: str) -> list[Series]:
    """Every series of a Datadog answer."""
    document = json.loads(text_of(raw / name))
    asked = document["request"]["body"]["data"]["attributes"]["queries"]
    answer = document["response"]["data"]["attributes"]
    times = [datetime.fromtimestamp(ms / 1000, UTC) for ms in answer["times"]]
    return [
        Series(
            tags=dict(tag.split(":", 1) for tag in one["group_tags"]),
            query=asked[one["query_index"]]["query"],
            points=list(zip(times, values, strict=True)),
        )
        for one, values in zip(answer["series"], answer["values"], strict=True)
    ]


def reserve_p99(raw: Path) -> list[tuple[datetime, float]]:
    """The buckets of the p99 of Reserve in which a call ended."""
    found = [s for s in series(raw, "grpc-p99.datadog.json") if s.tags["rpc.method"] == "reserve"]
    assert len(found) == 1
    return [(at, value) for at, value in found[0].points if value is not None]


def reserve_codes(raw: Path) -> dict[str, Series]:
    """The counts of calls of Reserve by status code."""
    return {
        s.tags["grpc.status"].upper(): s
        for s in series(raw, "grpc-count.datadog.json")
        if s.tags["rpc.method"] == "reserve"
    }


# --- what must not leave raw/ --------------------------------------------------------------------


def everything(raw: Path) -> str:
    """The text of all raw files."""
    return "\n".join(text_of(path) for path in sorted(raw.iterdir()))


def e_mails(raw: Path) -> set[str]:
    """Every e-mail address in the raw files."""
    return set(re.findall(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+", everything(raw)))


def addresses(raw: Path) -> set[str]:
    """Every address of a client: of the gateway's and of the database server's."""
    return set(re.findall(r'"(?:sourceIp|remote_host)":"([\d.]+)"', everything(raw)))


def statements(raw: Path) -> set[str]:
    """Every SQL text of the server's log and of the lock recording."""
    logged = {row.get("statement", "") for row in server_log(raw)}
    logged |= {row["message"] for row in server_log(raw) if "statement: " in row["message"]}
    return logged | {session["query"] for s in snapshots(raw) for session in s.sessions}


def literals(raw: Path) -> set[str]:
    """Every SQL string literal, with its quotes."""
    return {found for text in statements(raw) for found in re.findall(r"'[^']+'", text)}


def skus(raw: Path) -> set[str]:
    """Every article number: the first literal of an INSERT's values."""
    return {m[1] for text in statements(raw) if (m := re.search(r"VALUES \('([^']+)'", text))}


def longest_gap(instants: list[datetime]) -> timedelta:
    """The longest time between two instants that follow each other."""
    return max(b - a for a, b in pairwise(sorted(instants)))
