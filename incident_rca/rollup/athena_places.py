"""Where a log lies in S3: the dates that its folders name, and how many bytes a window has there.

Athena has no dry run. What it reads is every byte of the partitions that a query names, so their
objects' sizes, as S3 lists them, say before what it will read and charge.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from typing import Any

from incident_rca.errors import Unreachable
from incident_rca.formats.lines import HEAD_BYTES
from incident_rca.model import TimeWindow
from incident_rca.sources.aws_client import Caller
from incident_rca.sources.s3_errors import ATTEMPTS, pause_before, refusal
from incident_rca.sources.s3_names import FIREHOSE_BUFFER, LATE_DELIVERY

# Where Athena begins to look for partitions; CloudWatch and Firehose logs are younger.
FIRST_YEAR = 2015
# What a folder's name may be, and the same as a form of Java and of Python.
_Level = tuple[re.Pattern[str], str, str]
_LEVELS: tuple[_Level, ...] = (
    (re.compile(r"(\w+=)?20\d\d-\d\d-\d\d-\d\d"), "yyyy-MM-dd-HH", "%Y-%m-%d-%H"),
    (re.compile(r"(\w+=)?20\d\d-\d\d-\d\d"), "yyyy-MM-dd", "%Y-%m-%d"),
    (re.compile(r"(\w+=)?20\d\d"), "yyyy", "%Y"),
)
_INNER: Mapping[str, _Level] = {
    "yyyy": (re.compile(r"(\w+=)?[01]\d"), "MM", "%m"),
    "MM": (re.compile(r"(\w+=)?[0-3]\d"), "dd", "%d"),
    "dd": (re.compile(r"(\w+=)?[0-2]\d"), "HH", "%H"),
    "yyyy-MM-dd": (re.compile(r"(\w+=)?[0-2]\d"), "HH", "%H"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of a bucket; `prefix` is empty or ends with a slash."""

    bucket: str
    prefix: str

    @property
    def text(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True, slots=True)
class Layout:
    """How folders below a place name dates: by day, or by hour. Empty forms: they name none.

    `java` is the form of Athena's partition projection, `python` the same for strftime.
    """

    java: str = ""
    python: str = ""

    @property
    def is_hourly(self) -> bool:
        return self.python.endswith("%H")

    @property
    def first(self) -> str:
        """The first folder that Athena looks for."""
        return datetime(FIRST_YEAR, 1, 1, tzinfo=UTC).strftime(self.python)

    def folders(self, window: TimeWindow) -> tuple[str, ...]:
        """The folders that may hold requests of a window, in order.

        Firehose files a record by when the first of its batch came, up to 15 minutes before; a
        record may be delivered later than it was made.

        >>> start = datetime(2026, 1, 15, 14, 5, tzinfo=UTC)
        >>> Layout("yyyy/MM/dd/HH", "%Y/%m/%d/%H").folders(TimeWindow(start, start + LATE_DELIVERY))
        ('2026/01/15/13', '2026/01/15/14', '2026/01/15/15', '2026/01/15/16')
        """
        at = (
            (window.start - FIREHOSE_BUFFER)
            .astimezone(UTC)
            .replace(minute=0, second=0, microsecond=0)
        )
        at = at if self.is_hourly else at.replace(hour=0)
        step = timedelta(hours=1) if self.is_hourly else timedelta(days=1)
        end = window.end + LATE_DELIVERY
        found = []
        while at < end:
            found.append(at.strftime(self.python))
            at += step
        return tuple(found)


def layout_of(caller: Caller, place: Place) -> Layout:
    """How the folders of a place name dates, by looking into the first of each level."""
    folder, java, python = place.prefix, "", ""
    levels = _LEVELS
    while levels:
        names = [
            item["Prefix"].removeprefix(folder).rstrip("/")
            for item in _first_page(caller, place.bucket, folder).get("CommonPrefixes", ())
        ]
        found = next(
            ((m, level) for level in levels for name in names if (m := level[0].fullmatch(name))),
            None,
        )
        if found is None:
            break
        match, (_, of_java, of_python) = found
        key = match[1] or ""
        java += f"{'/' * bool(java)}{key and repr(key)}{of_java}"
        python += f"{'/' * bool(python)}{key}{of_python}"
        folder += f"{match[0]}/"
        levels = (_INNER[of_java],) if of_java in _INNER else ()
    # A month alone is no partition that a window could choose by.
    return Layout(java, python) if "dd" in java else Layout()


def objects_of(
    caller: Caller, place: Place, layout: Layout, window: TimeWindow
) -> Iterator[tuple[str, int]]:
    """Each object that Athena reads for a window, with its size; raises Refusal, Unreachable.

    Names that begin with a dot or an underscore are hidden from Athena.
    """
    folders = [f"{name}/" for name in layout.folders(window)] if layout.java else [""]
    for folder in folders:
        asked = {"Bucket": place.bucket, "Prefix": place.prefix + folder}
        ask = partial(caller.call, "list_objects_v2", "KeyCount", **asked)
        what = f"{place.text}{folder}"
        for page in pages_of(ask, "ContinuationToken", "NextContinuationToken", what):
            for item in page.get("Contents", ()):
                is_hidden = item["Key"].rpartition("/")[2].startswith((".", "_"))
                if item["Size"] and not is_hidden:
                    yield item["Key"], int(item["Size"])


def pages_of(
    ask: Callable[..., Mapping[str, Any]], sent: str, given: str, what: str
) -> Iterator[Mapping[str, Any]]:
    """All pages of an answer: a page names the next one as `given`, which is asked for as `sent`.

    Raises Unreachable where they go round in circles, and what `ask` raises.
    """
    token: dict[str, str] = {}
    seen: set[str] = set()
    while True:
        page = ask(**token)
        yield page
        following = page.get(given)
        if not following:
            return
        if following in seen:
            raise Unreachable(
                f"{what}: the same {given} came twice",
                hint="ask again; a proxy in between may answer from a cache",
            )
        seen.add(following)
        token = {sent: following}


def _first_page(caller: Caller, bucket: str, folder: str) -> Mapping[str, Any]:
    return caller.call("list_objects_v2", "KeyCount", Bucket=bucket, Prefix=folder, Delimiter="/")


def first_lines(caller: Caller, place: Place, key: str) -> list[bytes]:
    """The first whole lines of an object, gzip or plain; none where its gzip is damaged."""
    data = _head(caller, place, key)
    if data.startswith(b"\x1f\x8b"):
        try:
            data = zlib.decompressobj(wbits=31).decompress(data, HEAD_BYTES)
        except zlib.error:
            return []
    *whole, rest = data.split(b"\n")
    return whole or [rest]


def _head(caller: Caller, place: Place, key: str) -> bytes:
    """The first bytes of an object; raises Unreachable where they break off each time."""
    broken: type[Exception] = import_module("botocore.exceptions").BotoCoreError
    asked = {"Bucket": place.bucket, "Key": key, "Range": f"bytes=0-{HEAD_BYTES - 1}"}
    for attempt in range(1, ATTEMPTS + 1):
        answer = caller.call("get_object", "Body", **asked)
        try:
            # botocore's own block gives what lies below it, with errors of another library.
            with closing(answer["Body"]) as body:
                return bytes(body.read())
        except broken as error:
            if attempt == ATTEMPTS:
                raise refusal(place.text, place.bucket, error, "GetObject") from error
            pause_before(attempt, error, caller.tally)
    raise AssertionError("the last attempt returns or raises")
