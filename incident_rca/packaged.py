"""Finds the files that travel with the package: the queries and the sample."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def packaged_path(*parts: str) -> Path:
    """The path of a file or folder that is shipped, such as `("samples", "inc-2847")`.

    A wheel carries these inside the package; in a checkout, and so in an editable install, they
    stand beside it. The first part decides which of the two it is, so they are never mixed.

    >>> packaged_path("no-such-room")
    Traceback (most recent call last):
        ...
    LookupError: not part of incident-rca: no-such-room
    """
    inside = bool(parts) and (_PACKAGE / parts[0]).is_dir()
    path = (_PACKAGE if inside else _PACKAGE.parent).joinpath(*parts)
    if not parts or not path.exists():
        raise LookupError(f"not part of incident-rca: {'/'.join(parts)}")
    return path
