"""What stands for a sign that a terminal's encoding does not have."""

from __future__ import annotations

import codecs

ERRORS = "incident-rca-plain"
_SIGNS = {
    "–": "-",
    "—": "-",
    "’": "'",
    "…": "...",
    "→": "->",
    "≥": ">=",
    "≤": "<=",
    "±": "+/-",
    "×": "x",
    "·": ".",
}


def _plain(error: UnicodeError) -> tuple[str, int]:
    """The signs of our own texts in ASCII, any other one as a question mark."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(_SIGNS.get(sign, "?") for sign in lost), error.end


codecs.register_error(ERRORS, _plain)
