"""One writer a case: its lock, who holds it, and what one that was killed left behind."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import Any

import msgspec

from incident_rca import case as case_folder
from incident_rca.errors import CaseInUse, NoSuchCase
from incident_rca.json_text import decode

# Who writes, for the message to whoever else wants to; the lock itself is on the folder.
WRITER = ".writer"
# Raw files on their way in or out: the manifest alone says which of them the case has.
MOVING = ".moving.json"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the case for writing; raises CaseInUse, naming the process, while another one does.

    What a killed writer left half done is taken away first. The lock goes with its process. A new
    folder that stays empty goes at the end. Raises BadInput where a link would lead it elsewhere.
    """
    import fcntl

    if folder.exists() and not folder.is_dir():
        raise NoSuchCase(f"{folder}: is a file, not a case folder", hint="name a folder first")
    is_new = not folder.exists()
    with case_folder.private():
        folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _in_use(folder) from error
        if os.fstat(descriptor).st_nlink == 0:
            # Whoever held it before us took the folder away again, for it was new and empty.
            raise _in_use(folder)
        try:
            with case_folder.private():
                case_folder.refuse_links(folder)
                _name_writer(folder)
                _clear(folder)
                yield
        finally:
            with contextlib.suppress(OSError):
                (folder / WRITER).unlink(missing_ok=True)
                if is_new and not any(folder.iterdir()):
                    folder.rmdir()
    finally:
        os.close(descriptor)


def _name_writer(folder: Path) -> None:
    """Says who writes, in a file of its own: a link that somebody left there leads elsewhere."""
    writer = folder / WRITER
    writer.unlink(missing_ok=True)
    with writer.open("x", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")


def holds_other_files(folder: Path) -> bool:
    """Whether a folder that is held has any file but what holding it leaves there."""
    return any(path.name != WRITER for path in folder.iterdir())


def _in_use(folder: Path) -> CaseInUse:
    try:
        writer = int((folder / WRITER).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return CaseInUse(
            f"{folder}: another incident-rca is writing to it", hint="wait for it to end"
        )
    return CaseInUse(
        f"{folder}: the incident-rca with process id {writer} is writing to it",
        hint=f"wait for it to end; `ps -p {writer}` shows what it is",
    )


@contextlib.contextmanager
def moving(folder: Path, paths: Iterable[str]) -> Iterator[None]:
    """While raw files come and go together with a manifest that names those that stay.

    Those of `paths` that the manifest does not name at the end go: also where it ends in an error,
    and by the next writer where the process is killed. So raw/ has what the manifest names, and no
    more, whenever nobody writes.
    """
    names = sorted({PurePath(path).name for path in paths})
    if not names:
        yield
        return
    case_folder.write_text(folder / MOVING, json.dumps(names) + "\n")
    try:
        yield
    finally:
        _settle(folder)


def _settle(folder: Path) -> None:
    """Removes the raw files that were moving and that the manifest does not name."""
    list_of_names = folder / MOVING
    try:
        names = msgspec.convert(decode(list_of_names.read_bytes()), list[Any])
    except (OSError, ValueError):
        return
    raw = folder / case_folder.RAW
    case = case_folder.read_case(folder) if case_folder.exists(folder) else None
    needed = {file.path for source in case.sources for file in source.files} if case else set()
    for name in names:
        # A case may come from somebody else: nothing but a file right in raw/ is touched.
        is_inside = isinstance(name, str) and name == PurePath(name).name and not raw.is_symlink()
        if is_inside and (raw / name).is_file() and f"{case_folder.RAW}/{name}" not in needed:
            (raw / name).unlink()
    list_of_names.unlink()
    if raw.is_dir() and not any(raw.iterdir()):
        raw.rmdir()


def _clear(folder: Path) -> None:
    """Takes away what nobody writes any more: the lock is ours, so its writer is dead."""
    for name in ("", case_folder.RAW, case_folder.TABLES, case_folder.CHARTS):
        for part in (folder / name).glob(f".*{case_folder.PART}"):
            part.unlink()
    _settle(folder)
