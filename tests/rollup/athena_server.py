"""A local server that answers as Athena does, or badly, and runs what it is asked over its bucket.

A table is what its location says, as Athena finds it, and a query is run by DuckDB on what sqlglot
makes of Trino's words: a reader that is none of ours understands the statement.
"""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp

from tests.rollup.dialects import in_duckdb
from tests.sources.local_server import LocalHandler, serving
from tests.sources.s3_server import Bucket, running_bucket

TARGET = "AmazonAthena."
_TABLE = re.compile(r"CREATE EXTERNAL TABLE IF NOT EXISTS (\S+) \(line string\)")
_LOCATION = re.compile(r"^LOCATION 's3://logs/(.*)'$", re.MULTILINE)


@dataclass(frozen=True)
class Fault:
    """One call's bad answer: an error, or the end that a query comes to."""

    code: str = ""
    status: int = 400
    breaks: bool = False
    html: bool = False
    ends_as: str = ""
    reason: str = ""
    retryable: bool = False


THROTTLED = Fault("ThrottlingException")
TOO_MANY = Fault("TooManyRequestsException")


@dataclass
class Execution:
    """A query that was started, which is under way for so many polls."""

    rows: list[list[Any]]
    polls: int
    read_bytes: int
    fault: Fault
    is_stopped: bool = False


@dataclass
class Service:
    """Athena and the bucket `logs` behind `url`; `faults` has a list by action, used in order."""

    bucket: Bucket
    url: str = ""
    state: str = "ENABLED"
    page_rows: int = 1_000
    polls: int = 2
    same_token: bool = False
    workgroup: dict[str, Any] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    tables: dict[str, str] = field(default_factory=dict)
    executions: dict[str, Execution] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def clear(self) -> None:
        """Forgets everything but its address."""
        self.bucket.clear()
        for known in (self.faults, self.calls, self.tables, self.executions, self.tokens):
            known.clear()
        self.state, self.page_rows, self.polls, self.same_token = "ENABLED", 1_000, 2, False
        self.workgroup = {
            "ResultConfiguration": {"OutputLocation": "s3://results/"},
            "BytesScannedCutoffPerQuery": 10**12,
        }

    def actions(self) -> list[str]:
        return [action for action, _ in self.calls]

    def answer(self, action: str, asked: dict[str, Any]) -> tuple[int, Any]:
        with self.lock:
            self.calls.append((action, asked))
            left = self.faults.get(action, [])
            fault = left.pop(0) if left else Fault()
            if fault.code:
                return fault.status, {"__type": fault.code, "message": "Rate exceeded"}
            if fault.breaks or fault.html:
                # The query is started all the same: only the answer is lost.
                getattr(self, f"_{action}")(asked, fault)
                return (200 if fault.html else 0), None
            return 200, getattr(self, f"_{action}")(asked, fault)

    def _GetWorkGroup(self, asked: dict[str, Any], fault: Fault) -> Any:
        name = asked["WorkGroup"]
        return {"WorkGroup": {"Name": name, "State": self.state, "Configuration": self.workgroup}}

    def _StartQueryExecution(self, asked: dict[str, Any], fault: Fault) -> Any:
        token = asked["ClientRequestToken"]
        assert len(token) >= 32
        if token not in self.tokens:
            query_id = f"q-{len(self.executions) + 1}"
            self.tokens[token] = query_id
            rows, size = self._run(asked["QueryString"])
            self.executions[query_id] = Execution(rows, self.polls, size, fault)
        return {"QueryExecutionId": self.tokens[token]}

    def _GetQueryExecution(self, asked: dict[str, Any], fault: Fault) -> Any:
        execution = self.executions[asked["QueryExecutionId"]]
        execution.polls -= 1
        state = "QUEUED" if execution.polls > 1 else "RUNNING"
        status: dict[str, Any] = {"State": state}
        if execution.polls <= 0:
            status["State"] = execution.fault.ends_as or "SUCCEEDED"
            if execution.fault.ends_as:
                status["StateChangeReason"] = execution.fault.reason
            if execution.fault.ends_as == "FAILED":
                status["AthenaError"] = {
                    "ErrorCategory": 1,
                    "Retryable": execution.fault.retryable,
                    "ErrorMessage": execution.fault.reason,
                }
        statistics = {
            "DataScannedInBytes": execution.read_bytes,
            "EngineExecutionTimeInMillis": 1500,
        }
        return {"QueryExecution": {"Status": status, "Statistics": statistics}}

    def _GetQueryResults(self, asked: dict[str, Any], fault: Fault) -> Any:
        assert 0 < asked["MaxResults"] <= 1_000
        rows = self.executions[asked["QueryExecutionId"]].rows
        first = int(asked.get("NextToken", "0"))
        shown = rows[first : first + self.page_rows]
        data = [
            {"Data": [{} if v is None else {"VarCharValue": str(v)} for v in row]} for row in shown
        ]
        answer: dict[str, Any] = {"ResultSet": {"Rows": data}}
        if first + self.page_rows < len(rows):
            answer["NextToken"] = "1" if self.same_token else str(first + self.page_rows)
        return answer

    def _StopQueryExecution(self, asked: dict[str, Any], fault: Fault) -> Any:
        self.executions[asked["QueryExecutionId"]].is_stopped = True
        return {}

    def _run(self, text: str) -> tuple[list[list[Any]], int]:
        """A statement's rows, the first of which are the names of its columns, and what it read."""
        if made := _TABLE.match(text):
            location = _LOCATION.search(text)
            assert location is not None
            self.tables[made[1]] = location[1]
            return [], 0
        statement = sqlglot.parse_one(text, read="trino")
        names = {cte.alias for cte in statement.find_all(exp.CTE)}
        (table,) = (t for t in statement.find_all(exp.Table) if t.name not in names)
        prefix = self.tables[table.sql("trino")]
        table.replace(exp.to_table("lines_of_bucket"))
        with duckdb.connect() as session:
            session.execute(
                "CREATE TABLE lines_of_bucket (stretch VARCHAR, key VARCHAR, line VARCHAR)"
            )
            for key, stored in self.bucket.objects.items():
                stretch, _, name = key.removeprefix(prefix).rpartition("/")
                body = stored.body
                lines = (gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).decode()
                if key.startswith(prefix) and not name.startswith(("_", ".")):
                    values = [[stretch, key, line] for line in lines.removesuffix("\n").split("\n")]
                    session.executemany("INSERT INTO lines_of_bucket VALUES (?, ?, ?)", values)
            cursor = session.execute(in_duckdb(statement))
            assert cursor.description is not None
            head = [column[0] for column in cursor.description]
            rows = [head, *map(list, cursor.fetchall())]
            keys = exp.select("key").distinct().from_("lines_of_bucket")
            for chosen in statement.find_all(exp.Between):
                keys = keys.where(chosen) if chosen.this.name == "stretch" else keys
            scanned = session.execute(keys.sql("duckdb")).fetchall()
        return rows, sum(len(self.bucket.objects[key].body) for (key,) in scanned)


@contextmanager
def running_athena() -> Iterator[Service]:
    """The service with its bucket on a free port of this machine."""
    with ExitStack() as stack:
        service = Service(stack.enter_context(running_bucket()))

        class Handler(LocalHandler):
            def do_POST(self) -> None:
                action = self.headers.get("X-Amz-Target", "").removeprefix(TARGET)
                status, answer = service.answer(action, json.loads(self.body()))
                self.close_connection = True
                if status:
                    data = b"<html>busy</html>" if answer is None else json.dumps(answer).encode()
                    self.reply(status, "application/x-amz-json-1.1", data)

            def do_GET(self) -> None:
                self.pass_on(service.bucket.url)

        service.url = stack.enter_context(serving(Handler))
        yield service
