"""JSON values near those of answers, for properties that parsers must hold for anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from incident_rca.errors import BadInput
from incident_rca.formats import BY_KIND
from incident_rca.formats.lines import head_of
from incident_rca.formats.parsed import Parsed, RawInput
from incident_rca.tables import SCHEMAS

TIMES = st.sampled_from(
    [
        *("2026-01-15T14:23:00Z", "2026-01-15T14:23:00.123456+01:00", "2026-01-15T14:23:00"),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00", "infinity", "", "now"),
    ]
)
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | TIMES
    | st.sampled_from(["Lock", "relation", "tuple", "active", "ShareLock", "RowExclusiveLock"])
    | st.sampled_from([4711, 4712, 0, 1, 60])
)
ANYTHING: Any = st.recursive(
    PLAIN, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=4), v, max_size=3)
)


def record(**fields: Any) -> Any:
    """Objects with these fields, of which each may be missing or anything else."""
    return ANYTHING | st.fixed_dictionaries(
        {}, optional={k: ANYTHING | v for k, v in fields.items()}
    )


def table(columns: tuple[str, ...], *cells: Any) -> Any:
    """Answers of these columns; `cells` are the usual values of a row."""
    row = st.tuples(*(cell | ANYTHING for cell in cells)).map(list)
    return record(columns=st.just(list(columns)), rows=st.lists(row | ANYTHING, max_size=4))


def envelopes(service: str, response: Any) -> Any:
    """Documents around an answer, well-formed as often as not."""
    window = st.fixed_dictionaries({"start": TIMES | PLAIN, "end": TIMES | PLAIN})
    request = record(window=window, database=st.just("shop"), query=st.text(max_size=4))
    return st.fixed_dictionaries(
        {"service": st.just(service), "response": response}, optional={"request": request}
    )


def survives(kind: str, folder: Path, content: Any) -> None:
    """The format reads what it is given, as bytes or JSON, or raises BadInput; nothing else."""
    path = folder / "answer.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    known = BY_KIND[kind]
    known.recognises(head_of(path))
    try:
        parsed = known.parse(RawInput(path=path, file="raw/a.json", source="s", work=folder))
    except BadInput as error:
        assert error.message and error.hint
        return
    _is_sound(parsed)


def _is_sound(parsed: Parsed) -> None:
    assert parsed.rows >= 0 and parsed.unparsed >= 0
    for name, frame in parsed.frames.items():
        assert list(frame.columns) == list(SCHEMAS[name])
    for gap in parsed.gaps:
        assert gap.window.seconds > 0
