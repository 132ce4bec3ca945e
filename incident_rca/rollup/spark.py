"""The rollup of a lake, by Spark: on its own cluster, or on this machine.

pyspark is an extra (`incident-rca[spark]`) and needs Java 17. The files are whatever Spark reads as
text: plain or gzip, local, s3a://, gs://, abfss://. Only the rollup's rows come to this process.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from incident_rca.errors import BadInput, BadSettings, Unreachable
from incident_rca.formats.access_log.keys import LINES_TO_LOOK_AT
from incident_rca.redact import plain, redact_text
from incident_rca.rollup import Answer, Asked, Plan, Row, seconds_of
from incident_rca.rollup.log_format import LogFormat, log_format_of, no_request, one_format
from incident_rca.rollup.statement import spark_statement

APPLICATION = "incident-rca rollup"
# What the statement rests on, however the cluster is set: a line in which a key stands twice is no
# variant, of which the last would count, and is read otherwise.
_SET = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.variant.allowDuplicateKeys": "false",
    "spark.ui.showConsoleProgress": "false",
}
# What Java says of a file that it cannot read, below a line that says no more than that it did not.
_FILE_READ = re.compile(r"error while reading file (\S+?)\.\s")
_CAUSE = re.compile(r"^Caused by: [\w.$]+: (.+)$", re.MULTILINE)
_DAMAGE = re.compile("unexpected end of|not a gzip file|gzip stream|^invalid |^incorrect ", re.I)


@dataclass(frozen=True, slots=True)
class Spark:
    """Files, and the Spark session that reads them."""

    session: Any
    places: tuple[str, ...]
    name: str = "spark"

    def plan(self, asked: Asked) -> Plan:
        with _told(", ".join(self.places)):
            known = asked.line_format or one_format({p: self._format(p) for p in self.places})
            files = self.session.read.format("binaryFile").load(list(self.places))
            ((size,),) = files.agg({"length": "sum"}).collect()
        if known is None:
            raise no_request(self.places[0])
        return Plan(
            statements=(spark_statement(known, seconds_of(asked.window)),),
            line_format=known,
            bytes=int(size or 0),
            usd=None,
            basis="the files' sizes; what the cluster costs, Spark does not know",
        )

    def run(self, asked: Asked, plan: Plan) -> Answer:
        return Answer(self._rows(plan.statements[-1]))

    def _rows(self, statement: str) -> Iterator[Row]:
        with _told(", ".join(self.places)):
            self._lines(*self.places).createOrReplaceTempView("lines")
            yield from map(tuple, self.session.sql(statement).toLocalIterator())

    def _format(self, place: str) -> LogFormat | None:
        head = self._lines(place).head(LINES_TO_LOOK_AT)
        return log_format_of(row.value.encode() for row in head)

    def _lines(self, *places: str) -> Any:
        # Spark would also end a line at a carriage return alone.
        return self.session.read.text(list(places), lineSep="\n")


@contextmanager
def opened(places: tuple[str, ...], master: str) -> Iterator[Spark]:
    """Spark over files; `master` is its address, "" for what Spark itself is set to.

    Raises BadSettings where pyspark or Java is missing, Unreachable where no session comes.
    """
    try:
        sql = import_module("pyspark.sql")
    except ImportError as error:
        raise BadSettings(
            f"--engine spark: {error}", hint="pip install 'incident-rca[spark]'"
        ) from error
    builder = sql.SparkSession.builder.appName(APPLICATION)
    for key, value in _SET.items():
        builder = builder.config(key, value)
    if master:
        builder = builder.master(master)
    with _told(master or "Spark"), warnings.catch_warnings():
        # pyspark warns of versions of pandas, which takes no part in this.
        warnings.simplefilter("ignore")
        session = builder.getOrCreate()
    try:
        yield Spark(session, places)
    finally:
        session.stop()


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Turns what pyspark raises into errors of this program."""
    of_spark = import_module("pyspark.errors").PySparkException
    of_java = import_module("py4j.protocol").Py4JError
    try:
        yield
    except (of_spark, of_java) as error:
        if damage := _damage_in(str(error)):
            raise BadInput(
                plain(redact_text(damage), 500),
                hint="fetch or copy the file again; --engine duckdb reads what stands before it",
            ) from error
        said = plain(redact_text(str(error).strip().partition("\n")[0]), 500)
        if "JAVA_GATEWAY_EXITED" in said or "JAVA_HOME" in said:
            raise BadSettings(
                f"--engine spark: {said}",
                hint="install Java 17 or newer (openjdk-17-jre-headless), or set JAVA_HOME",
            ) from error
        raise Unreachable(
            f"{where}: {said}", hint="check the places, --master and Spark's own log"
        ) from error


def _damage_in(said: str) -> str:
    """Which file is damaged and how, by what Java said; "" where it said nothing of that.

    >>> _damage_in("error while reading file s3a://b/a.gz. X\\nCaused by: a.E: not a gzip file")
    's3a://b/a.gz: its gzip stream is damaged (not a gzip file)'
    """
    file, causes = _FILE_READ.search(said), _CAUSE.findall(said)
    if file is None or not causes or not _DAMAGE.search(causes[-1]):
        return ""
    return f"{file[1]}: its gzip stream is damaged ({causes[-1].strip()})"
