"""The rollup of files on this machine, by DuckDB."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incident_rca.errors import BadInput
from incident_rca.formats.access_log.pieces import Piece, pieces_of
from incident_rca.formats.access_log.reading import (
    USUAL_FORMAT,
    define_fields,
    has_plain_keys,
    is_failure,
    numbered,
    pieces_of_lines,
)
from incident_rca.formats.access_log.rolling import Counted, Lines, LostFailure, roll_up
from incident_rca.formats.access_log.stage_format import LineFormat
from incident_rca.formats.duckdb_session import open_session
from incident_rca.formats.lines import head_of
from incident_rca.queries import load_query
from incident_rca.rollup import Answer, Asked, Plan, Row, seconds_of
from incident_rca.rollup.log_format import (
    LogFormat,
    log_format_of,
    no_request,
    one_format,
    query_of,
)
from incident_rca.rollup.statement import duckdb_piece, duckdb_pieces
from incident_rca.work_folder import work_folder

if TYPE_CHECKING:
    import duckdb

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
        known = asked.line_format or one_format(
            {str(file): log_format_of(head_of(file).lines) for file in self.files}
        )
        if known is None:
            raise no_request(str(self.files[0]))
        return Plan(
            statements=(load_query(f"rollup/{query_of(known)}.sql").text,),
            line_format=known,
            bytes=sum(file.stat().st_size for file in self.files),
            usd=None,
            basis="the files' sizes",
        )

    def run(self, asked: Asked, plan: Plan) -> Answer:
        said: dict[str, str] = {}
        return Answer(self._rows(asked, plan.line_format, said), said)

    def _rows(self, asked: Asked, known: LogFormat, said: dict[str, str]) -> Iterator[Row]:
        with work_folder() as work, open_session(work) as session:
            said.update(self._rolled_up(session, asked, known, work))
            cursor = session.execute(_text("rows"))
            while some := cursor.fetchmany(_ROWS_AT_ONCE):
                yield from some

    def _rolled_up(
        self, session: duckdb.DuckDBPyConnection, asked: Asked, known: LogFormat, work: Path
    ) -> dict[str, str]:
        """Keeps the pieces of all files in `session`; what is said of damage.

        Where a line that is no JSON tells of a failure, all files are read by their values. That is
        what `import` does with such a file, and takes several times as long.
        """
        if not isinstance(known, LineFormat):
            how = _how(asked, known, lambda _: False)
            return self._kept(session, known, lambda file: pieces_of(file, work), how)
        if known.kind == "json" and has_plain_keys(known):
            with suppress(LostFailure):
                how = _how(asked, known, lambda line: is_failure(known, line))
                return self._kept(session, known, lambda file: pieces_of(file, work), how)
        how = _how(asked, USUAL_FORMAT, lambda _: False)
        return self._kept(
            session, known, lambda file: pieces_of_lines(numbered(file), known, work), how
        )

    def _kept(
        self,
        session: duckdb.DuckDBPyConnection,
        known: LogFormat,
        cut: Callable[[Path], Iterable[Piece]],
        how: Lines,
    ) -> dict[str, str]:
        session.execute(duckdb_pieces(query_of(known)))
        damages = []
        for file in self.files:
            try:
                _, damage = roll_up(session, cut(file), how)
            except ValueError as error:
                raise BadInput(
                    f"{file}: is damaged, or no log of requests after all ({error})",
                    hint="fetch or copy the file again",
                ) from error
            if damage:
                damages.append(f"{file.name}: {damage}")
        return {"error": "; ".join(damages)} if damages else {}


def _how(asked: Asked, known: LogFormat, is_failure: Callable[[bytes], bool]) -> Lines:
    """How a load balancer's lines, or JSON lines with these keys, become rows of the rollup."""
    piece = duckdb_piece(query_of(known))

    def prepare(connection: duckdb.DuckDBPyConnection) -> None:
        for name, second in zip(_BOUNDS, seconds_of(asked.window), strict=True):
            connection.execute(f"SET VARIABLE {name} = ?", [second])
        connection.execute(_text("lines"))
        if isinstance(known, LineFormat):
            define_fields(connection, known)

    def read(connection: duckdb.DuckDBPyConnection) -> Counted:
        connection.execute(piece)
        lines, unread = connection.execute(_text("counted")).fetchall()[0]
        is_json = isinstance(known, LineFormat)
        found = connection.execute(_text("unread")).fetchall() if unread and is_json else []
        return Counted(lines, unread, [line for (line,) in found])

    def keep(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(_text("keep"))

    return Lines(prepare, read, keep, is_failure)


def _text(name: str) -> str:
    return load_query(f"rollup/{name}.duckdb.sql").text
