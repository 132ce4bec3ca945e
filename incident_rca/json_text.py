"""JSON that anybody may have written."""

from __future__ import annotations

from typing import Any

import msgspec


def decode(data: bytes) -> Any:
    """The JSON value of some bytes; raises ValueError for what is none, however deep."""
    try:
        return msgspec.json.decode(data)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
