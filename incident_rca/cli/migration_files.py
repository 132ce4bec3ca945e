"""Which files a run looks at, in the order in which a migration tool runs them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from incident_rca.errors import BadInput

_DIGITS = re.compile(r"(\d+)")


def migration_files(given: Sequence[Path]) -> tuple[Path, ...]:
    """The files given, and all *.sql below the folders given, by their numbers; each once.

    Files of one folder that are named one after the other are put in order too: a shell and
    pre-commit name V10 before V9. Raises BadInput for what does not exist, is no SQL, or has no
    SQL in it.
    """
    found: dict[Path, None] = {}
    for _, group in groupby(given, key=lambda path: path if path.is_dir() else path.parent):
        files = [file for path in group for file in _files_of(path)]
        found |= dict.fromkeys(sorted(files, key=lambda path: natural(path.as_posix())))
    return tuple(found)


def _files_of(path: Path) -> tuple[Path, ...]:
    if path.is_dir():
        inside = tuple(found for found in path.rglob("*.sql") if found.is_file())
        if not inside:
            raise BadInput(f"{path}: no *.sql in it", hint=_python_hint(path))
        return inside
    if not path.is_file():
        raise BadInput(f"{path}: no such file or folder", hint="name migrations in SQL")
    if path.suffix == ".py":
        raise BadInput(f"{path}: this is Python, not SQL", hint=_PYTHON)
    return (path,)


_PYTHON = (
    "print its SQL first, which says BEGIN itself: `alembic upgrade A:B --sql | incident-rca lint "
    "--runner psql -`, or `manage.py sqlmigrate APP NAME | incident-rca lint --runner psql -`"
)


def _python_hint(folder: Path) -> str:
    return _PYTHON if any(folder.rglob("*.py")) else "name the folder of the migrations"


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts V2 before V10.

    >>> sorted(["V10__a.sql", "V2__b.sql"], key=natural)
    ['V2__b.sql', 'V10__a.sql']
    """
    return [(int(p), "") if p.isdigit() else (-1, p) for p in _DIGITS.split(name) if p]


def decoded(data: bytes) -> str | None:
    """The text of a file's bytes, None if they are not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
