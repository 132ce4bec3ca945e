"""The same incident told in another way: in another order, in pieces, twice, at another time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pandas as pd

from incident_rca.model import Case, Gap, Service, SourceStatus, TimeWindow, Topology
from incident_rca.tables import SCHEMAS, TABLE_NAMES, Tables
from incident_rca.typed_frames import as_schema, plain
from tests.analysis.cases import Row, served

Told = tuple[Case, Tables]
# What is written line by line, so that a file of it can be cut anywhere.
IN_LINES = frozenset({"access_log", "lock_recording", "postgres_log"})
_LINES = ("line", "line_first", "line_last", "wait_end_line")


def each_frame(tables: Tables, change: Callable[[str, pd.DataFrame], pd.DataFrame]) -> Tables:
    """The tables with each frame changed."""
    changed = {name: change(name, getattr(tables, name)) for name in TABLE_NAMES}
    return Tables(**{name: as_schema(frame, name) for name, frame in changed.items()})


def shuffled(told: Told, seed: int) -> Told:
    """The rows of each table in another order."""
    case, tables = told
    return case, each_frame(
        tables, lambda _, frame: frame.sample(frac=1.0, random_state=seed).reset_index(drop=True)
    )


def doubled(told: Told, names: frozenset[str]) -> Told:
    """Each of these sources once more under another name, as a file is that was imported twice."""
    case, tables = told
    copies = [_renamed(s, f"{s.name}-2") for s in case.sources if s.name in names]

    def twice(_: str, frame: pd.DataFrame) -> pd.DataFrame:
        again = frame[frame["source"].isin(sorted(names))]
        again = again.assign(**{c: plain(again[c]) + "-2" for c in ("source", "file")})
        return pd.concat([frame, again], ignore_index=True)

    return replace(case, sources=(*case.sources, *copies)), each_frame(tables, twice)


def split(told: Told, share: float) -> Told:
    """Each file of lines cut in two at a share of its lines, the second half under another name."""
    case, tables = told
    names = {s.name for s in case.sources if s.kind in IN_LINES}
    cuts = {name: _cut(tables, name, share) for name in names}

    def parted(_: str, frame: pd.DataFrame) -> pd.DataFrame:
        number = next((c for c in ("line", "line_first") if c in frame), None)
        if number is None:
            return frame
        texts = {c: plain(frame[c]) for c in ("source", "file")}
        cut = texts["source"].map(cuts)
        is_late = (frame[number] > cut) & cut.notna()
        moved = {c: frame[c].where(~is_late, frame[c] - cut) for c in _LINES if c in frame}
        return frame.assign(
            **{c: column.where(~is_late, column + "-2") for c, column in texts.items()},
            **{c: column.astype(frame[c].dtype) for c, column in moved.items()},
        )

    halves = [_renamed(s, f"{s.name}-2") for s in case.sources if s.name in names]
    return replace(case, sources=(*case.sources, *halves)), each_frame(tables, parted)


def _cut(tables: Tables, name: str, share: float) -> int:
    lines = [
        int(frame.loc[frame["source"] == name, number].max())
        for frame in (getattr(tables, table) for table in TABLE_NAMES)
        for number in ("line", "line_first")
        if number in frame and (frame["source"] == name).any()
    ]
    return int(max(lines, default=0) * share)


def _renamed(source: SourceStatus, name: str) -> SourceStatus:
    return replace(source, name=name, files=())


def shifted(told: Told, by: timedelta) -> Told:
    """Everything so much later."""
    case, tables = told

    def later(table: str, frame: pd.DataFrame) -> pd.DataFrame:
        instants = [c for c, kind in SCHEMAS[table].items() if kind == "TIMESTAMPTZ"]
        return frame.assign(**{c: frame[c] + by for c in instants})

    def window(given: TimeWindow | None) -> TimeWindow | None:
        return given and TimeWindow(given.start + by, given.end + by)

    sources = tuple(
        replace(
            s,
            covered=window(s.covered),
            asked=window(s.asked),
            gaps=tuple(Gap(TimeWindow(g.window.start + by, g.window.end + by)) for g in s.gaps),
        )
        for s in case.sources
    )
    moved = TimeWindow(case.window.start + by, case.window.end + by)
    return replace(case, window=moved, sources=sources), each_frame(tables, later)


def with_quiet_service(told: Told, a_minute: int) -> Told:
    """A service beside it that nothing of the incident touches, with its steady traffic."""
    case, tables = told
    first = case.window.start
    minutes = int(case.window.seconds // 60)
    name = next(iter(tables.gateway["source"]), "access")
    file = next(iter(tables.gateway["file"]), "raw/access")
    rows = [
        {
            **served(0, "GET /ping", requests=a_minute),
            "second": first + timedelta(minutes=minute, seconds=7),
            "source": name,
            "file": file,
            "line_first": minute + 1,
            "line_last": minute + 1,
        }
        for minute in range(minutes)
    ]
    topology = case.topology
    if topology:
        service = Service(name="quiet", grpc=("quiet.Quiet/Ping",), tables=("public.pings",))
        topology = Topology((*topology.services, service), topology.routes)
    return replace(case, topology=topology), replace(tables, gateway=_more(tables.gateway, rows))


def _more(frame: pd.DataFrame, rows: Sequence[Row]) -> pd.DataFrame:
    added = pd.DataFrame.from_records([dict(r) for r in rows], columns=list(frame.columns))
    return as_schema(pd.concat([frame, as_schema(added, "gateway")], ignore_index=True), "gateway")
