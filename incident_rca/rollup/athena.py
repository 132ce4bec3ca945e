"""The rollup of a log in S3, by Athena: nothing of the log leaves AWS but the counts.

What is used (Amazon Athena API reference): GetWorkGroup, StartQueryExecution, GetQueryExecution,
GetQueryResults (1,000 rows a page) and StopQueryExecution; of S3, ListObjectsV2 and GetObject.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from incident_rca.errors import BadInput, BadSettings, BadWindow
from incident_rca.model import TimeWindow
from incident_rca.model.services import AwsAccount
from incident_rca.redact import plain, redact_text
from incident_rca.rollup import NUMBERS, Answer, Asked, Plan, Row, seconds_of
from incident_rca.rollup.athena_places import (
    Layout,
    Place,
    first_lines,
    layout_of,
    objects_of,
    pages_of,
)
from incident_rca.rollup.log_format import LogFormat, log_format_of
from incident_rca.rollup.statement import athena_statement, athena_table
from incident_rca.sources.aws_client import Caller, Refusal
from incident_rca.sources.log_collection import calling
from incident_rca.sources.rate_limit import OF_THIS_PROCESS, Paces
from incident_rca.sources.tally import Tally

# The list price of most regions, for a terabyte read as it is stored; at least 10 MB are charged. A
# terabyte is taken for 10^12 bytes, so that what is said is never too little.
USD_PER_TERABYTE = 5.0
LEAST_BYTES = 10_000_000
ROWS_OF_A_PAGE = 1_000
MOST_STARTS = 3
FIRST_POLL_SECONDS = 0.5
LONGEST_POLL_SECONDS = 10.0
_PLACE = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([\w./=+@:-]*))?")
_NAME = re.compile(r"[a-z0-9_]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """A place of the log, and which workgroup and database of Athena to use.

    `results` is where Athena puts its results, "" where the workgroup says so.
    """

    place: str
    workgroup: str = "primary"
    database: str = "default"
    results: str = ""


@dataclass(frozen=True, slots=True)
class Athena:
    """A place in S3, and who calls the two services."""

    athena: Caller
    s3: Caller
    where: Where
    place: Place
    name: str = "athena"

    @property
    def places(self) -> tuple[str, ...]:
        return (self.place.text,)

    def plan(self, asked: Asked) -> Plan:
        if asked.window is None:
            raise BadWindow(
                "Athena charges for what it reads, so it is not asked without a window",
                hint="give --from and --to",
            )
        most_bytes = self._most_bytes()
        layout = layout_of(self.s3, self.place)
        known: LogFormat | None = asked.line_format
        size = 0
        for key, of_object in objects_of(self.s3, self.place, layout, asked.window):
            size += of_object
            known = known or log_format_of(first_lines(self.s3, self.place, key))
        if known is None:
            raise BadInput(
                f"{self.place.text}: no object of that time"
                + (" has a request among its first lines" if size else ""),
                hint="check the prefix and the window, or give --access-log-format",
            )
        if most_bytes is not None and size > most_bytes:
            raise BadSettings(
                f"the workgroup {self.where.workgroup} cancels what reads more than "
                f"{most_bytes:,} bytes, and this would read {size:,}",
                hint="ask for a shorter window, or another --workgroup; nothing was run",
            )
        return Plan(
            statements=self._statements(known, layout, asked.window),
            line_format=known,
            bytes=size,
            usd=max(size, LEAST_BYTES) / 1e12 * USD_PER_TERABYTE,
            basis=f"sizes in S3 of {'the window' if layout.java else 'all'}"
            f"{'’s folders' if layout.java else ' objects: no folder names a date'}, at "
            f"${USD_PER_TERABYTE:g} a TB",
        )

    def run(self, asked: Asked, plan: Plan) -> Answer:
        said: dict[str, Any] = {}
        return Answer(self._rows(plan, said), said)

    def _most_bytes(self) -> int | None:
        """The workgroup's own limit of a query; raises BadSettings where it takes no query."""
        name = self.where.workgroup
        group = self.athena.call("get_work_group", "WorkGroup", WorkGroup=name)["WorkGroup"]
        if group.get("State") == "DISABLED":
            raise BadSettings(f"the workgroup {name} is disabled", hint="name another --workgroup")
        configuration = group.get("Configuration", {})
        is_managed = configuration.get("ManagedQueryResultsConfiguration", {}).get("Enabled")
        location = configuration.get("ResultConfiguration", {}).get("OutputLocation")
        if not (self.where.results or location or is_managed):
            raise BadSettings(
                f"the workgroup {name} has no place for results",
                hint="name one of yours: --results s3://bucket/prefix",
            )
        limit = configuration.get("BytesScannedCutoffPerQuery")
        return None if limit is None else int(limit)

    def _statements(self, known: LogFormat, layout: Layout, window: TimeWindow) -> tuple[str, ...]:
        # Another place or layout is another table; the same is found again.
        identity = hashlib.sha256(f"{self.place.text}\n{layout.java}".encode()).hexdigest()[:12]
        table = f"{self.where.database}.incident_rca_lines_{identity}"
        partitions = "true"
        if layout.java:
            folders = layout.folders(window)
            partitions = f"stretch BETWEEN '{folders[0]}' AND '{folders[-1]}'"
        return (
            athena_table(
                table,
                self.place.text,
                form=layout.java,
                first=layout.first,
                unit="HOURS" if layout.is_hourly else "DAYS",
            ),
            athena_statement(known, seconds_of(window), table=table, partitions=partitions),
        )

    def _rows(self, plan: Plan, said: dict[str, Any]) -> Iterator[Row]:
        for statement in plan.statements[:-1]:
            self._ran(statement)
        query_id, statistics = self._ran(plan.statements[-1])
        said["query_id"] = query_id
        said["bytes_scanned"] = statistics.get("DataScannedInBytes")
        said["engine_seconds"] = statistics.get("EngineExecutionTimeInMillis", 0) / 1000
        yield from self._pages(query_id)

    def _ran(self, statement: str) -> tuple[str, Mapping[str, Any]]:
        """Runs a statement to its end; where the service calls a failure passing, again."""
        for attempt in range(1, MOST_STARTS + 1):
            query_id = self._started(statement, attempt)
            try:
                execution = self._ended(query_id)
            except BaseException:  # time is over, or a person interrupts: what runs on costs
                self._stop(query_id)
                raise
            status = execution["Status"]
            if status["State"] == "SUCCEEDED":
                return query_id, execution.get("Statistics", {})
            may_pass = status.get("AthenaError", {}).get("Retryable")
            if status["State"] == "CANCELLED" or not may_pass or attempt == MOST_STARTS:
                raise _failed(query_id, status)
        raise AssertionError("the last attempt returns or raises")

    def _started(self, statement: str, attempt: int) -> str:
        configuration = {"OutputLocation": self.where.results} if self.where.results else None
        more = {"ResultConfiguration": configuration} if configuration else {}
        # The same token for the tries of one call: a start whose answer got lost is not paid twice.
        token = f"{statement}\n{self.athena.tally.clock.now()}\n{attempt}"
        answer = self.athena.call(
            "start_query_execution",
            "QueryExecutionId",
            QueryString=statement,
            ClientRequestToken=hashlib.sha256(token.encode()).hexdigest(),
            WorkGroup=self.where.workgroup,
            **more,
        )
        return str(answer["QueryExecutionId"])

    def _ended(self, query_id: str) -> Mapping[str, Any]:
        pause = FIRST_POLL_SECONDS
        while True:
            answer = self.athena.call(
                "get_query_execution", "QueryExecution", QueryExecutionId=query_id
            )
            execution: Mapping[str, Any] = answer["QueryExecution"]
            if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
                return execution
            self.athena.tally.pause(pause)
            pause = min(LONGEST_POLL_SECONDS, pause * 2)

    def _pages(self, query_id: str) -> Iterator[Row]:
        asked = {"QueryExecutionId": query_id, "MaxResults": ROWS_OF_A_PAGE}
        ask = partial(self.athena.call, "get_query_results", "ResultSet", **asked)
        names: list[str] = []
        for page in pages_of(ask, "NextToken", "NextToken", f"the results of {query_id}"):
            rows = [
                [cell.get("VarCharValue") for cell in row.get("Data", ())]
                for row in page["ResultSet"].get("Rows", ())
            ]
            if rows and not names:
                names = [str(name) for name in rows.pop(0)]
            for cells in rows:
                yield tuple(
                    int(value) if name in NUMBERS and value is not None else value
                    for name, value in zip(names, cells, strict=True)
                )

    def _stop(self, query_id: str) -> None:
        """Stops a query, by a call of its own: there is no time left to wait for a turn."""
        try:
            self.athena.client.stop_query_execution(QueryExecutionId=query_id)
        except Exception:  # whatever it is, the reason why we stop is what is told
            return


@contextmanager
def opened(
    account: AwsAccount, where: Where, tally: Tally, paces: Paces = OF_THIS_PROCESS
) -> Iterator[Athena]:
    """Athena over a place in S3; raises BadSettings where it or the database is no name."""
    found = _PLACE.fullmatch(where.place)
    if found is None:
        raise BadSettings(f"{where.place!r} is no place in S3", hint="write s3://bucket/prefix")
    if not _NAME.fullmatch(where.database):
        raise BadSettings(f"--database {where.database!r}: is no name", hint="write a-z, 0-9, _")
    prefix = (found[2] or "").strip("/")
    place = Place(found[1], f"{prefix}/" if prefix else "")
    with ExitStack() as stack:
        athena = stack.enter_context(calling(account, "athena", tally, paces))
        s3 = stack.enter_context(calling(account, "s3", tally, paces))
        yield Athena(athena, s3, where, place)


def _failed(query_id: str, status: Mapping[str, Any]) -> Refusal:
    said = status.get("AthenaError", {}).get("ErrorMessage") or status.get("StateChangeReason")
    reason = plain(redact_text(str(said or "no reason given")), 500)
    return Refusal(
        str(status["State"]),
        f"Athena's query {query_id} ended as {status['State']}: {reason}",
        hint="see it in Athena's history; --dry-run prints the statements to try there",
    )
