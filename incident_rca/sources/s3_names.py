"""Which keys and folders of a bucket may hold the logs of a window, by what their names say.

Load balancers name a file by the end of its five minutes and file it by day (Elastic Load Balancing
user guide, "Access log files"). Firehose names an object by the time of its first record, files it
by hour, and holds records back for 900 s at most (Amazon Data Firehose developer guide, "Amazon S3
object name format" and "buffering hints"). Export tasks name no time at all.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from incident_rca.model import TimeWindow

# A file of five minutes may hold a request that came before them; a record may be delivered late.
LONGEST_REQUEST = timedelta(minutes=5)
BALANCER_INTERVAL = timedelta(minutes=5)
FIREHOSE_BUFFER = timedelta(minutes=15)
LATE_DELIVERY = timedelta(hours=1)
LONGEST_NAME = 120

_FOLDER = re.compile(
    r"(?:^|/)(?:year=|dt=|date=|day=)?(?P<year>20\d\d)"
    r"(?:[/-](?:month=)?(?P<month>\d\d)(?:[/-](?:day=)?(?P<day>\d\d)"
    r"(?:[/-](?:hour=)?(?P<hour>\d\d))?)?)?/$"
)
_BALANCER = re.compile(r"_elasticloadbalancing_.*_(\d{8}T\d{4})Z_")
_FIREHOSE = re.compile(r"-(20\d\d-\d\d-\d\d-\d\d-\d\d-\d\d)-[0-9A-Za-z]")
_UNSAFE = re.compile(r"[^A-Za-z0-9._=-]+")


@dataclass(frozen=True, slots=True)
class S3Object:
    """One object as the bucket lists it."""

    key: str
    size: int
    etag: str
    modified: datetime


def folder_may_hold(prefix: str, window: TimeWindow) -> bool:
    """Whether a folder may hold records of the window: one that names no date may.

    >>> start = datetime(2026, 1, 15, 14, tzinfo=UTC)
    >>> hour = TimeWindow(start, start + timedelta(hours=1))
    >>> [folder_may_hold(f"alb/{p}/", hour) for p in ("2026", "2026/01", "2026/01/14", "other")]
    [True, True, False, True]
    """
    named = _FOLDER.search(prefix)
    if named is None:
        return True
    try:
        start, end = _stretch(*(int(named[p]) if named[p] else None for p in named.groupdict()))
    except ValueError:
        return True
    return start < window.end + LATE_DELIVERY and end > window.start - FIREHOSE_BUFFER


def _stretch(
    year: int | None, month: int | None, day: int | None, hour: int | None
) -> tuple[datetime, datetime]:
    """The year, month, day or hour that a folder's name says."""
    start = datetime(year or 0, month or 1, day or 1, hour or 0, tzinfo=UTC)
    if hour is not None:
        return start, start + timedelta(hours=1)
    if day is not None:
        return start, start + timedelta(days=1)
    if month is not None:
        # 31 days reach into the next month where there are fewer: a listing more, no record less.
        return start, start + timedelta(days=31)
    return start, start + timedelta(days=366)


def object_may_hold(found: S3Object, window: TimeWindow) -> bool:
    """Whether an object may hold records of the window: it is not empty, nor written before it."""
    if found.size == 0 or found.key.endswith("/") or found.modified < window.start:
        return False
    name = found.key.rpartition("/")[2]
    if ended := _named_time(_BALANCER, name, "%Y%m%dT%H%M"):
        last = window.end + BALANCER_INTERVAL + LONGEST_REQUEST
        return window.start < ended <= last + timedelta(minutes=1)
    if began := _named_time(_FIREHOSE, name, "%Y-%m-%d-%H-%M-%S"):
        return window.start - FIREHOSE_BUFFER <= began <= window.end + LATE_DELIVERY
    return True


def _named_time(pattern: re.Pattern[str], name: str, form: str) -> datetime | None:
    found = pattern.search(name)
    try:
        return datetime.strptime(found[1], form).replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


def file_name(bucket: str, prefix: str, found: S3Object) -> str:
    """A name for a copy: readable, safe for a folder, and another one for another content.

    >>> one = S3Object("logs/task/stream/000000.gz", 9, "abc", datetime(2026, 1, 15, tzinfo=UTC))
    >>> file_name("b", "logs/", one)
    'df01cc65-task-stream-000000.gz'
    """
    identity = "\n".join((bucket, found.key, found.etag, str(found.size)))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    rest = found.key.removeprefix(prefix) or found.key.rpartition("/")[2]
    return f"{digest}-{_UNSAFE.sub('-', rest)[-LONGEST_NAME:].lstrip('.-')}"
