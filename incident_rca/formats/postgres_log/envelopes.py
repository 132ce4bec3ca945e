"""Log lines inside the JSON of who keeps them -> the lines, each with its entry's number.

Known entries: Cloud Logging (`textPayload`, `jsonPayload.message`), CloudWatch Logs and its answers
(`{"events": [{"timestamp", "message"}]}`), container runtimes (`log`). Entries stand one a line or
in the arrays of one document of any size, which is never read as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from incident_rca.formats.lines import object_of

_EDGE = re.compile(rb'["\[\]{}]')
_STRING_END = re.compile(rb'(?:[^"\\]|\\.)*+"', re.DOTALL)
# What is longer is no entry of a log service (256 KiB is the most that CloudWatch takes).
LONGEST_ENTRY = 4 << 20
# Deeper than any entry nests, and than JSON is read.
DEEPEST = 1000
_TIMES = ("timestamp", "receiveTimestamp", "time")

Entry = tuple[int, Mapping[str, Any] | None]


def message_of(entry: Mapping[str, Any]) -> str | None:
    """The text that a log service kept in an entry, or None if it is no such entry."""
    payload = entry.get("jsonPayload")
    texts = [
        entry.get("textPayload"),
        payload.get("message") if isinstance(payload, dict) else None,
    ]
    if entry.keys() & {"timestamp", "eventId", "ingestionTime"}:
        texts.append(entry.get("message"))
    if entry.keys() & {"stream", "time"}:
        texts.append(entry.get("log"))
    return next((text for text in texts if isinstance(text, str)), None)


def entries_of_lines(lines: Iterable[tuple[int, bytes]]) -> Iterator[Entry]:
    """One entry a line; None for what is no object."""
    for number, line in lines:
        yield number, object_of(line)


def entries_of_document(chunks: Iterable[bytes]) -> Iterator[Entry]:
    """The objects that stand in the arrays of a document, numbered; torn ones are None."""
    for number, text in enumerate(_objects(chunks), start=1):
        yield number, object_of(text)


def _objects(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The text of each object right inside an array, not of those inside such an object."""
    data, at, start, depth = b"", 0, -1, 0
    above: list[int] = []
    for chunk in chunks:
        kept = at if start < 0 else start
        data, at, start = data[kept:] + chunk, at - kept, start if start < 0 else 0
        while edge := _EDGE.search(data, at):
            if edge.group() == b'"':
                end = _STRING_END.match(data, edge.end())
                if end is None:
                    at = edge.start()
                    break
                at = end.end()
                continue
            at = edge.end()
            mark = edge.group()[0]
            if mark in b"[{":
                if mark == 0x7B and start < 0 and above and above[-1] == 0x5B:
                    start, depth = edge.start(), len(above)
                above.append(mark)
                if len(above) > DEEPEST:
                    yield data[:1]
                    return
            elif above:
                above.pop()
                if start >= 0 and len(above) == depth:
                    yield data[start:at]
                    start = -1
        else:
            at = len(data)
        if at - max(start, 0) > LONGEST_ENTRY or len(data) - at > LONGEST_ENTRY:
            # No entry is that long: what follows cannot be told apart.
            yield data[:1]
            return
    if start >= 0:
        yield data[start:]


def texts_of(entries: Iterable[Entry]) -> Iterator[tuple[int, str | None]]:
    """The lines in the entries, oldest first; None for an entry that has none.

    `gcloud logging read` answers newest first: then all are kept, to be turned.
    """
    source = iter(entries)
    ahead = list(islice(source, 500))
    times = [time for _, entry in ahead if entry and (time := _time_of(entry)) is not None]
    if len(times) > 1 and times[0] > times[-1]:
        ahead = [*reversed([*ahead, *source])]
        source = iter(())
    for number, entry in chain(ahead, source):
        message = message_of(entry) if entry else None
        if message is None:
            yield number, None
            continue
        for line in message.split("\n"):
            if line:
                yield number, line.rstrip("\r")


def _time_of(entry: Mapping[str, Any]) -> tuple[float, str] | None:
    """Something to compare entries of one stream by: a number, or a text of one form."""
    for name in _TIMES:
        value = entry.get(name)
        if isinstance(value, int | float):
            return float(value), ""
        if isinstance(value, str):
            return 0.0, value
    return None
