"""The case folder: its manifest, its raw files with their hashes, and its Parquet tables."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, count
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec

from incident_rca import __version__
from incident_rca.errors import BadInput, NewerCase, NoSuchCase
from incident_rca.formats.duckdb_session import open_session
from incident_rca.formats.kept_rows import kept_rows
from incident_rca.json_text import decode
from incident_rca.model import Case, RawFile, SourceState, SourceStatus
from incident_rca.tables import SCHEMAS, TABLE_NAMES, Tables
from incident_rca.typed_frames import plain, with_plain_lists
from incident_rca.work_folder import work_folder

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

CASE_SCHEMA = 1
MANIFEST = "case.json"
RAW = "raw"
# What is being fetched and not whole yet; nothing but a collection reads it.
SPOOL = ".spool"
TABLES = "tables"
CHARTS = "charts"
MADE = "made.json"
# How the names of files end that are not whole yet, and begin with a dot: as nobody else's do.
PART = ".rca-part"
# A group of rows is held until it is written, with the lists of all of them.
ROWS_OF_A_GROUP = 16_384
_COPIED_AT_ONCE = 256 * 1024


def exists(folder: Path) -> bool:
    """Whether `folder` holds a case."""
    return (folder / MANIFEST).is_file()


def read_case(folder: Path) -> Case:
    """The manifest of a case.

    Raises NoSuchCase (missing, or no case), NewerCase, or BadInput where case.json is damaged or
    would have files read or written that lie elsewhere.
    """
    path = folder / MANIFEST
    if not path.is_file():
        what = "is empty or holds no case.json" if folder.is_dir() else "does not exist"
        raise NoSuchCase(
            f"{folder}: {what}", hint=f"begin one: incident-rca import {folder} FILE..."
        )
    try:
        document = decode(path.read_bytes())
        schema = document["case_schema"]
        if schema > CASE_SCHEMA:
            raise NewerCase(
                f"{path}: was written in case schema {schema}, this version reads up to "
                f"{CASE_SCHEMA}",
                hint="update incident-rca",
            )
        case = msgspec.convert(document, Case)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"{path}: cannot be read as a case ({error})",
            hint="restore it, or import the raw files into a new case",
        ) from error
    paths = [file.path for source in case.sources for file in source.files]
    _refuse(folder, [p for p in paths if not _is_in_raw(p) or _is_below_a_link(folder, p)])
    _refuse(folder, _linked_folders(folder))
    return case


def refuse_links(folder: Path) -> None:
    """Raises BadInput where a link would have files written that lie outside of the folder.

    A file of the case is renamed into its place, which no link survives; but through a folder
    that is a link, and what a collection goes on with in the spool, files outside are reached.
    """
    begun = (path for path in (folder / SPOOL).rglob("*") if path.is_symlink())
    links = _linked_folders(folder) or [str(path.relative_to(folder)) for path in begun]
    _refuse(folder, links)


def _linked_folders(folder: Path) -> list[str]:
    return [name for name in (RAW, SPOOL, TABLES, CHARTS) if (folder / name).is_symlink()]


def _refuse(folder: Path, outside: list[str]) -> None:
    if outside:
        raise BadInput(
            f"{folder}: {', '.join(outside[:3])} leads out of the case folder",
            hint="whoever made this case wants other files read or written: do not use it",
        )


def _is_below_a_link(folder: Path, path: str) -> bool:
    """Whether a folder between the case and a file of it is a link, to wherever."""
    between = PurePosixPath(path).parents
    return any((folder / place).is_symlink() for place in between if place != PurePosixPath("."))


def _is_in_raw(path: str) -> bool:
    """Whether a path of the manifest is one that import or collect would write.

    >>> [_is_in_raw(path) for path in ("raw/a.log", "raw/../a", "/raw/a", "raw", "tables/a")]
    [True, False, False, False, False]
    """
    first, *others = PurePosixPath(path).parts or ("",)
    return first == RAW and bool(others) and ".." not in others


def write_case(folder: Path, case: Case) -> None:
    """Writes case.json; a reader sees the old or the new one, never half of one."""
    document = {"case_schema": CASE_SCHEMA, **msgspec.to_builtins(case)}
    # Hardly a source has any.
    for source in document["sources"]:
        if not source["clusters"]:
            del source["clusters"]
    write_text(folder / MANIFEST, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file in one step, with the same line ends on any system."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file in one step: by a temporary file beside it, renamed once it is on the disk."""
    with part_of(path) as beside:
        beside.write_bytes(content)
        _to_disk(beside)
    _to_disk(path.parent)


@contextlib.contextmanager
def part_of(path: Path) -> Iterator[Path]:
    """Where a file is written until it is whole; it takes its place at the end, or is removed."""
    beside = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    if os.path.lexists(beside):
        # Of a killed process that had our number; or a link, by which we would write elsewhere.
        beside.unlink()
    try:
        yield beside
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def put(part: Path, path: Path) -> None:
    """Renames a file that is whole, so that after a power cut the old or the new one is there."""
    _to_disk(part)
    part.replace(path)
    _to_disk(path.parent)


def _to_disk(path: Path) -> None:
    """Waits until the disk has what was written to a file, or which names a folder has."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def private() -> Iterator[None]:
    """Whatever is made meanwhile is its owner's alone (0600, 0700): a case holds users' data."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def free_name(folder: Path, given: Path, taken: frozenset[str]) -> str:
    """Where below the case a given file can be kept: under its own name, or a numbered one.

    A file that lies in raw/ already stays where it is; a link there is no file of the case.
    """
    stem, dot, endings = given.name.partition(".")
    names = chain([given.name], (f"{stem}-{number}{dot}{endings}" for number in count(2)))
    return next(
        path
        for name in names
        if (path := f"{RAW}/{name}") not in taken
        and (not os.path.lexists(folder / path) or lies_at(given, folder / path))
    )


def lies_at(given: Path, kept: Path) -> bool:
    """Whether a given file is the one that stands there; a link there is none."""
    return kept.exists() and not kept.is_symlink() and kept.samefile(given)


def keep_raw(folder: Path, given: Path, path: str) -> None:
    """Copies a given file to `path` in the case, byte for byte, in the place of what stands there.

    The given one stays, and the manifest has its hash, so it need not be on the disk at once.
    """
    kept = folder / path
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.unlink(missing_ok=True)
    # Linux takes a third less time for this than for sendfile, by which copyfile copies.
    with given.open("rb") as source, kept.open("xb") as out:
        shutil.copyfileobj(source, out, _COPIED_AT_ONCE)


def problem_of(folder: Path, file: RawFile) -> str:
    """Why a raw file may not be read: it is gone, elsewhere, or not what was collected; else ""."""
    path = folder / file.path
    if not path.is_file():
        return f"{file.path} is gone"
    if not path.resolve().is_relative_to(folder.resolve()):
        return f"{file.path} is a link that leads out of the case folder"
    if sha256_of(path) != file.sha256:
        return f"{file.path} was changed since it was collected (its SHA-256 differs)"
    return ""


def check_files(folder: Path, source: SourceStatus) -> SourceStatus:
    """The source as it stands: `failed`, naming the files, where one is gone or was changed."""
    problems = [problem for file in source.files if (problem := problem_of(folder, file))]
    if not problems:
        return source
    return failed(source, "; ".join(problems), "restore the file, or import it again")


def failed(source: SourceStatus, reason: str, hint: str) -> SourceStatus:
    """The source as one that gave nothing, and why."""
    return replace(
        source,
        state=SourceState.FAILED,
        covered=None,
        rows=0,
        unparsed=0,
        reason=reason,
        hint=hint,
    )


# --- tables ------------------------------------------------------------------------------------


def _made_from(sources: tuple[SourceStatus, ...]) -> Any:
    """What tables are made from: other files, names, queries, parsers or columns make others."""
    files = [
        [file.path, file.sha256, source.name, source.kind, source.query, dict(source.reading)]
        for source in sources
        if source.state is not SourceState.FAILED
        for file in source.files
    ]
    columns = {name: list(schema) for name, schema in SCHEMAS.items()}
    return {"tool_version": __version__, "columns": columns, "files": sorted(files)}


def tables_are_current(folder: Path, sources: tuple[SourceStatus, ...]) -> bool:
    """Whether tables/ holds every table as it was written, made from just these sources."""
    try:
        known = decode((folder / TABLES / MADE).read_bytes())
    except (OSError, ValueError):
        return False
    if not isinstance(known, dict) or known.get("made_from") != _made_from(sources):
        return False
    return bool(known.get("tables") == _table_hashes(folder))


def table_path(folder: Path, name: str) -> Path:
    """Where a table of a case stands."""
    return folder / TABLES / f"{name}.parquet"


def _table_hashes(folder: Path) -> dict[str, str]:
    paths = {name: table_path(folder, name) for name in TABLE_NAMES}
    return {name: sha256_of(path) for name, path in paths.items() if path.is_file()}


def write_tables(folder: Path, tables: Tables, sources: tuple[SourceStatus, ...]) -> None:
    """Writes every table as Parquet, and what they were made from; the caller holds the case."""
    target = folder / TABLES
    with work_folder() as work, open_session(work) as session:
        target.mkdir(parents=True, exist_ok=True)
        for name in TABLE_NAMES:
            rows = _typed_rows(session, getattr(tables, name), name, work)
            # Whoever reads meanwhile finds a whole table, and by `made.json` that it is another. It
            # need not be on the disk at once: where it is not as made.json says, it is made anew.
            with part_of(table_path(folder, name)) as beside:
                rows.write_parquet(str(beside), compression="zstd", row_group_size=ROWS_OF_A_GROUP)
    made = {"made_from": _made_from(sources), "tables": _table_hashes(folder)}
    write_text(target / MADE, json.dumps(made, indent=2) + "\n")


def _typed_rows(
    session: duckdb.DuckDBPyConnection, frame: pd.DataFrame, name: str, work: Path
) -> duckdb.DuckDBPyRelation:
    """The rows of a table with the types of its schema.

    Those with lists come by scratch files of some rows each: a list takes many times its numbers
    while DuckDB is given it.
    """
    typed = ", ".join(f'CAST("{c}" AS {kind}) AS "{c}"' for c, kind in SCHEMAS[name].items())
    if "BIGINT[]" not in SCHEMAS[name].values() or len(frame) <= ROWS_OF_A_GROUP:
        return session.from_df(with_plain_lists(frame)).project(typed)
    parts = []
    for first in range(0, len(frame), ROWS_OF_A_GROUP):
        some = with_plain_lists(frame.iloc[first : first + ROWS_OF_A_GROUP])
        parts.append(str(work / f"{name}-{first}"))
        session.from_df(some).project(typed).write_parquet(parts[-1])
    return session.read_parquet(parts)


def read_tables(folder: Path) -> Tables:
    """The tables as typed frames; raises BadInput where one cannot be read."""
    with work_folder() as work, open_session(work) as session:
        # The largest first, while nothing else takes room.
        sizes = {name: _size(table_path(folder, name)) for name in TABLE_NAMES}
        order = sorted(TABLE_NAMES, key=lambda name: -sizes[name])
        return Tables(**{name: _read_table(session, folder, name) for name in order})


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def read_table(folder: Path, name: str) -> pd.DataFrame:
    """One table as a typed frame; raises BadInput where it cannot be read."""
    with work_folder() as work, open_session(work) as session:
        return _read_table(session, folder, name)


def _read_table(session: duckdb.DuckDBPyConnection, folder: Path, name: str) -> pd.DataFrame:
    import duckdb

    path = table_path(folder, name)
    try:
        return kept_rows(session, session.read_parquet(str(path)), name)
    except (duckdb.Error, KeyError) as error:
        raise BadInput(
            f"{path}: cannot be read", hint=f"delete {path.parent}: it is made anew"
        ) from error


def same_rows(kept: pd.DataFrame, fresh: pd.DataFrame) -> bool:
    """Whether two frames of one table hold the same rows in the same order."""
    if list(kept.columns) != list(fresh.columns) or len(kept) != len(fresh):
        return False
    return all(_same_values(kept[column], fresh[column]) for column in kept.columns)


def _same_values(kept: pd.Series[Any], fresh: pd.Series[Any]) -> bool:
    one, other = (plain(values).reset_index(drop=True) for values in (kept, fresh))
    return bool(one.equals(other))
