"""The rollup of files on this machine, by DuckDB."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incident_rca.errors import BadInput
from incident_rca.formats.access_log.keys import format_of_head
from incident_rca.formats.access_log.reading import (
    VALUES_FORMAT,
    copy_values,
    define_fields,
    has_plain_keys,
    may_be_failures,
    numbered,
)
from incident_rca.formats.access_log.stage_format import LineFormat
from incident_rca.formats.duckdb_session import open_session
from incident_rca.formats.lines import damage_of, head_of, repaired_copy
from incident_rca.queries import load_query
from incident_rca.rollup import UNREAD_FAILURE, Answer, Asked, Plan, Row, seconds_of

if TYPE_CHECKING:
    import duckdb

_ROLLUP = "rollup/access_log.sql"
_BOUNDS = ("first_second", "end_second")
_ROWS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """DuckDB over plain or gzipped files; they are read as `import` reads them."""

    files: tuple[Path, ...]
    name: str = "duckdb"

    @property
    def places(self) -> tuple[str, ...]:
        return tuple(file.name for file in self.files)

    def plan(self, asked: Asked) -> Plan:
        heads = (head_of(file).lines for file in self.files)
        known = asked.line_format or next(filter(None, map(format_of_head, heads)), None)
        if known is None:
            raise BadInput(
                f"{self.files[0]}: none of its first lines is a request",
                hint="give the stage's own format: --access-log-format",
            )
        return Plan(
            statements=(load_query(_ROLLUP).text,),
            line_format=known,
            bytes=sum(file.stat().st_size for file in self.files),
            usd=None,
            basis="the files' sizes",
        )

    def run(self, asked: Asked, plan: Plan) -> Answer:
        said: dict[str, Any] = {}
        return Answer(self._rows(asked, plan.line_format, said), said)

    def _rows(self, asked: Asked, known: LineFormat, said: dict[str, Any]) -> Iterator[Row]:
        """The rows; where a line that is no JSON tells of a failure, all are read by their values.

        That is what `import` does with such a file, and takes several times as long.
        """
        import duckdb

        with tempfile.TemporaryDirectory(prefix="incident-rca-") as folder:
            work = Path(folder)
            if known.kind == "json" and has_plain_keys(known):
                paths, damage = _even(self.files, work)
                try:
                    session = _rolled_up(paths, known, asked, work)
                except duckdb.Error:
                    # Foreign bytes: which of the files has them is not said.
                    paths, damage = _repaired(self.files, work)
                    session = _rolled_up(paths, known, asked, work)
                with session:
                    if not _lacks_failures(session, known):
                        yield from _fetched(session)
                        said.update(damage)
                        return
            paths, damage = _values(self.files, known, work)
            with _rolled_up(paths, VALUES_FORMAT, asked, work) as session:
                yield from _fetched(session)
            said.update(damage)


def _rolled_up(
    paths: Sequence[Path], keys: LineFormat, asked: Asked, work: Path
) -> duckdb.DuckDBPyConnection:
    """A session with the table `rollup` of JSON lines."""
    session = open_session(work)
    try:
        define_fields(session, paths, keys)
        for name, second in zip(_BOUNDS, seconds_of(asked.window), strict=True):
            session.execute(f"SET VARIABLE {name} = ?", [second])
        session.execute(load_query("rollup/asked.duckdb.sql").text)
        session.sql(load_query(_ROLLUP).text).create("rollup")
    except BaseException:
        session.close()
        raise
    return session


def _lacks_failures(session: duckdb.DuckDBPyConnection, known: LineFormat) -> bool:
    """Whether a line that is no valid JSON tells of a failure that the rollup did not read."""
    if not session.table("rollup").filter(f"kind = '{UNREAD_FAILURE}'").limit(1).fetchall():
        return False
    unread = session.execute(load_query("rollup/unread.duckdb.sql").text).fetchall()
    return may_be_failures(known, (text for (text,) in unread))


def _fetched(session: duckdb.DuckDBPyConnection) -> Iterator[Row]:
    cursor = session.execute(load_query("rollup/rows.duckdb.sql").text)
    while some := cursor.fetchmany(_ROWS_AT_ONCE):
        yield from some


def _even(files: Sequence[Path], work: Path) -> tuple[list[Path], dict[str, str]]:
    """What DuckDB can read of JSON lines: the files, or copies of those that are uneven or torn."""
    paths, damages = [], []
    for number, file in enumerate(files):
        is_uneven, damage = damage_of(file)
        path = _copied(file, number, work)[0] if is_uneven or damage else file
        paths.append(path)
        damages.append(damage)
    return paths, _said(files, damages)


def _repaired(files: Sequence[Path], work: Path) -> tuple[list[Path], dict[str, str]]:
    """Copies of all of them."""
    copies = [_copied(file, number, work) for number, file in enumerate(files)]
    return [path for path, _ in copies], _said(files, [damage for _, damage in copies])


def _copied(file: Path, number: int, work: Path) -> tuple[Path, str]:
    inner = work / str(number)
    inner.mkdir(exist_ok=True)
    return repaired_copy(file, inner)


def _values(
    files: Sequence[Path], known: LineFormat, work: Path
) -> tuple[list[Path], dict[str, str]]:
    """Copies of the lines' values, of any format."""
    paths = [work / f"values-{number}.ndjson" for number in range(len(files))]
    damages = [
        copy_values(numbered(file), known, path) for file, path in zip(files, paths, strict=True)
    ]
    return paths, _said(files, damages)


def _said(files: Sequence[Path], damages: Sequence[str]) -> dict[str, str]:
    texts = [
        f"{file.name}: {damage}" for file, damage in zip(files, damages, strict=True) if damage
    ]
    return {"error": "; ".join(texts)} if texts else {}
