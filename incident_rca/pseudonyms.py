"""One placeholder for one value: `<ip-1>` is the same address in all that a case says.

A parser cannot number what other files hold too. So it puts a mark there, the kind of a value and
a hash of it (`<ip#9f2c41d07a3e>`), which stays in the tables. Of an address a hash is no secret:
it could be found by trying. Before anything is analysed, and so before anything leaves the case
folder, each mark becomes a number, in the order in which manifest and tables have them, which
tells nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from incident_rca.model import Case, SourceStatus
from incident_rca.redact import by_kind, redact_query, redact_text
from incident_rca.secret_shapes import KINDS, StandIn
from incident_rca.tables import SCHEMAS, TABLE_NAMES, Tables
from incident_rca.typed_frames import as_schema, plain

if TYPE_CHECKING:
    import pandas as pd

_MARK = re.compile(rf"<(?P<kind>{'|'.join(KINDS)})#[0-9a-f]{{12}}>")

# What requests are counted by: they are counted together where only a hidden value differs.
COUNTED_BY = frozenset({"route", "path"})


def mark(kind: str, value: str) -> str:
    """The placeholder of a value until all are numbered; equal values have equal ones.

    >>> mark("ip", "10.0.0.1")
    '<ip#bc57ce91bd24>'
    """
    digest = hashlib.sha256(f"{kind}\0{value}".encode("utf-8", "surrogatepass"))
    return f"<{kind}#{digest.hexdigest()[:12]}>"


Change = Callable[[str], str]


def _redacted_case(case: Case, of_text: Change, of_query: Change) -> Case:
    """The case without secrets and personal data in what its sources and its user wrote."""
    return replace(
        case,
        title=of_text(case.title),
        note=of_text(case.note),
        sources=tuple(redacted_source(source, of_text, of_query) for source in case.sources),
    )


def redacted_source(
    source: SourceStatus, of_text: Change = redact_text, of_query: Change = redact_query
) -> SourceStatus:
    """The source without secrets and personal data in its names, its query and its reasons."""
    return replace(
        source,
        name=of_text(source.name),
        # What these quote is to be asked or done again, or is a name of our own.
        query=of_query(source.query),
        hint=of_query(source.hint),
        reason=of_query(source.reason),
        blind=of_query(source.blind),
        lacks=tuple(map(of_query, source.lacks)),
        gaps=tuple(replace(gap, reason=of_query(gap.reason)) for gap in source.gaps),
        files=tuple(replace(file, path=of_text(file.path)) for file in source.files),
    )


def numbered(case: Case, tables: Tables) -> tuple[Case, Tables]:
    """The case and its tables with a number for each value that was hidden.

    What the case says to be ids of users is hidden here too.
    """
    numbers = _Numbers()
    users = tuple(map(re.compile, case.user_ids))

    def without_users(text: str, stand_in: StandIn) -> str:
        for pattern in users:
            text = pattern.sub(lambda found: stand_in("user", found[0]), text)
        return text

    def shown(text: str) -> str:
        return numbers.put_into(without_users(text, mark))

    def named(text: str) -> str:
        return shown(redact_text(text, mark))

    # What the manifest says first, so that its numbers are the same without the tables.
    of_query = partial(redact_query, stand_in=mark)
    told = _redacted_case(case, named, lambda text: shown(of_query(text)))
    changes = dict.fromkeys(COUNTED_BY, lambda text: without_users(text, by_kind))
    changes |= {"source": named, "file": named}
    frames = {
        name: _shown_frame(getattr(tables, name), name, shown, changes, every_text=bool(users))
        for name in TABLE_NAMES
    }
    return told, Tables(**frames)


def _shown_frame(
    frame: pd.DataFrame,
    table: str,
    shown: Change,
    others: Mapping[str, Change],
    *,
    every_text: bool,
) -> pd.DataFrame:
    """The frame with each distinct text as shown, in some columns by other changes; where nothing
    changes, itself.
    """
    columns: dict[str, pd.Series[Any]] = {}
    for column, duckdb_type in SCHEMAS[table].items():
        if duckdb_type != "VARCHAR":
            continue
        change = others.get(column, shown)
        texts = _texts_of(frame[column], every_text=every_text or column in others)
        new = {text: changed for text in texts if (changed := change(text)) != text}
        if new:
            values = plain(frame[column])
            columns[column] = values.map(new).fillna(values)
    return as_schema(frame.assign(**columns), table) if columns else frame


def _texts_of(values: pd.Series[Any], *, every_text: bool) -> Iterable[str]:
    """The distinct texts in their order, or only those that may hold a mark."""
    import pandas as pd

    if every_text or isinstance(values.dtype, pd.CategoricalDtype):
        return list(values.dropna().unique())
    return dict.fromkeys(t for t in values.to_numpy() if isinstance(t, str) and "#" in t)


class _Numbers:
    """The numbers that were given so far, by mark."""

    def __init__(self) -> None:
        self.by_mark: dict[str, str] = {}
        self.given: Counter[str] = Counter()

    def put_into(self, text: str) -> str:
        return _MARK.sub(self._number, text) if "#" in text else text

    def _number(self, found: re.Match[str]) -> str:
        if found[0] not in self.by_mark:
            kind = found["kind"]
            self.given[kind] += 1
            self.by_mark[found[0]] = f"<{kind}-{self.given[kind]}>"
        return self.by_mark[found[0]]
