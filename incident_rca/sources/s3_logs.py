"""Logs that AWS delivers to S3: found by the window, copied byte by byte into a spool folder.

What is used: ListObjectsV2 and GetObject (Amazon S3 API reference), so the permissions are
s3:ListBucket on the bucket, s3:GetObject on its objects, and kms:Decrypt where a key of one's own
encrypts them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from incident_rca.errors import Unreachable
from incident_rca.model import TimeWindow
from incident_rca.model.services import AwsAccount
from incident_rca.redact import plain
from incident_rca.sources.answers import Absent
from incident_rca.sources.clock_offset import ClockOffset
from incident_rca.sources.s3_download import Copy, copied
from incident_rca.sources.s3_errors import ATTEMPTS, is_momentary, pause_before, refusal
from incident_rca.sources.s3_names import S3Object, file_name, folder_may_hold, object_may_hold
from incident_rca.sources.tally import Tally

MOST_OBJECTS = 5_000
MOST_BYTES = 8 * 1024**3
MOST_LISTINGS = 2_000
_SIDE_BY_SIDE = 8
# A batch of which nothing came is the last one: the rest would be refused as well.
_BATCH = 4 * _SIDE_BY_SIDE


class Client(Protocol):
    """What is used of boto3's client `s3`."""

    def list_objects_v2(self, **parameters: Any) -> Mapping[str, Any]: ...

    def get_object(self, **parameters: Any) -> Mapping[str, Any]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """The copies by name, sorted, and what is missing of them.

    `damage` says which objects could not be copied in whole, "" if none; `objects` and `bytes`
    count those that the window needs. `clock_offset_seconds` bounds (server clock - our clock).
    """

    files: Mapping[str, Path] = field(hash=False)
    objects: int
    bytes: int
    damage: str = ""
    clock_offset_seconds: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one place may hold of a window before it is refused."""

    objects: int = MOST_OBJECTS
    bytes: int = MOST_BYTES
    listings: int = MOST_LISTINGS


def client_of(account: AwsAccount, **settings: Any) -> Client:
    """boto3's client with its chain of credentials; `settings` are boto3's own.

    Nothing is tried again by botocore itself: the pauses are those of the source's clock. Raises
    Unreachable where the profile is unknown.
    """
    config = import_module("botocore.config").Config(
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=5,
        read_timeout=20,
        max_pool_connections=_SIDE_BY_SIDE,
        s3={"addressing_style": "path"} if account.endpoint else {},
    )
    failures = import_module("botocore.exceptions")
    try:
        session = import_module("boto3").Session(profile_name=account.profile or None)
        client: Client = session.client(
            "s3",
            region_name=account.region or None,
            endpoint_url=account.endpoint or None,
            config=config,
            **settings,
        )
    except (failures.BotoCoreError, ValueError) as error:
        raise Unreachable(
            f"S3 of {account.name}: {plain(str(error))}",
            hint=f"see `profile`, `region` and `endpoint` of [[aws]] named `{account.name}`",
        ) from error
    return client


def fetch(
    account: AwsAccount,
    place: str,
    window: TimeWindow,
    *,
    client: Client,
    tally: Tally,
    spool: Path,
    limits: Limits = Limits(),
) -> Fetched | Absent:
    """Copies of the objects below `place` (`s3://bucket/prefix`) that may hold the window.

    A copy that `spool` has already is not fetched again, and one that broke off goes on where it
    broke. `tally.rows` counts copies. Absent where no object may hold the window; raises
    Unreachable where the bucket refuses, where nothing could be copied, or where there is more than
    `limits`.
    """
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    named = f"{place} ({account.name})"
    listing = _Listing(client, bucket, named, tally, limits)
    wanted = sorted(listing.below(prefix, window), key=lambda found: found.key)
    if not wanted:
        return _absent(window, listing)
    spool.mkdir(parents=True, exist_ok=True)
    files, problems = _copies(client, bucket, prefix, wanted, tally=tally, spool=spool)
    if not files:
        raise Unreachable(
            f"{named}: none of {len(wanted):,} objects could be copied: {problems[0][0]}",
            hint=problems[0][1],
        )
    return Fetched(
        files=dict(sorted(files.items())),
        objects=len(wanted),
        bytes=sum(found.size for found in wanted),
        damage=_damage(len(wanted) - len(files), len(wanted), problems),
        clock_offset_seconds=listing.offset.bounds,
    )


def _absent(window: TimeWindow, listing: _Listing) -> Absent:
    seen = (
        f"{listing.seen:,} objects were listed there"
        if listing.seen
        else "the folders of other dates were passed over"
        if listing.passed_over
        else "there is no object at all"
    )
    span = f"{window.start:%Y-%m-%d %H:%M:%S} to {window.end:%Y-%m-%d %H:%M:%S} UTC"
    return Absent(
        f"{listing.place}: no object may hold records from {span} by its name and time ({seen})",
        "is the prefix right, is logging on, and was it delivered yet? It may take minutes: "
        "5 for a load balancer, 15 for Firehose, hours for an export task",
    )


def _damage(missing: int, wanted: int, problems: list[tuple[str, str]]) -> str:
    if not missing:
        return ""
    reasons = list(dict.fromkeys(reason for reason, _ in problems))
    more = f", and {len(reasons) - 3} other reasons" if len(reasons) > 3 else ""
    return f"{missing:,} of {wanted:,} objects could not be copied: {'; '.join(reasons[:3])}{more}"


def _copies(
    client: Client,
    bucket: str,
    prefix: str,
    wanted: list[S3Object],
    *,
    tally: Tally,
    spool: Path,
) -> tuple[dict[str, Path], list[tuple[str, str]]]:
    """The copies by name, and for each that failed its reason and hint."""
    files: dict[str, Path] = {}
    problems: list[tuple[str, str]] = []
    copies = [Copy(found, bucket, spool / file_name(bucket, prefix, found)) for found in wanted]
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        for first in range(0, len(copies), _BATCH):
            batch = copies[first : first + _BATCH]
            before = len(files)
            for copy, problem in zip(
                batch, pool.map(lambda c: copied(client, c, tally), batch), strict=True
            ):
                if problem is None:
                    files[copy.path.name] = copy.path
                    tally.rows += 1
                else:
                    problems.append(problem)
            left = len(copies) - first - len(batch)
            if len(files) == before and left:
                problems.append((f"the other {left:,} were not tried", problems[-1][1]))
                break
    return files, problems


class _Listing:
    """The objects below a prefix, folder by folder; folders of other dates are not entered."""

    def __init__(
        self, client: Client, bucket: str, place: str, tally: Tally, limits: Limits
    ) -> None:
        self.client, self.bucket, self.place = client, bucket, place
        self.tally, self.limits = tally, limits
        self.seen = self.passed_over = self.listings = 0
        self.offset = ClockOffset()

    def below(self, prefix: str, window: TimeWindow) -> list[S3Object]:
        """The objects that may hold the window; raises Unreachable where they are too many."""
        found: list[S3Object] = []
        folders = [prefix]
        while folders:
            for page in self._pages(folders.pop()):
                objects = [_object(item) for item in page.get("Contents", ())]
                self.seen += len(objects)
                found += [item for item in objects if object_may_hold(item, window)]
                self._hold_to_limits(found)
                inner = [item["Prefix"] for item in page.get("CommonPrefixes", ())]
                entered = [folder for folder in inner if folder_may_hold(folder, window)]
                self.passed_over += len(inner) - len(entered)
                folders += entered
        return found

    def _hold_to_limits(self, found: list[S3Object]) -> None:
        size = sum(item.size for item in found)
        if len(found) > self.limits.objects or size > self.limits.bytes:
            raise Unreachable(
                f"{self.place}: {len(found):,} objects with {size / 1024**3:,.1f} GiB or more may "
                f"hold the window, at most {self.limits.objects:,} with "
                f"{self.limits.bytes / 1024**3:,.1f} GiB are fetched",
                hint="name a narrower prefix (account, region, day) or a shorter window",
            )

    def _pages(self, folder: str) -> Iterator[Mapping[str, Any]]:
        token: dict[str, str] = {}
        tokens: set[str] = set()
        while True:
            if self.listings >= self.limits.listings:
                raise Unreachable(
                    f"{self.place}: {self.limits.listings:,} listings did not find an end",
                    hint="name a narrower prefix, down to the account and region",
                )
            page = self._page(folder, token)
            yield page
            next_token = page.get("NextContinuationToken")
            if not page.get("IsTruncated") or not next_token:
                return
            if next_token in tokens:
                raise Unreachable(
                    f"{self.place}: the listing gave the same continuation token twice",
                    hint="ask again; a proxy in between may answer from a cache",
                )
            tokens.add(next_token)
            token = {"ContinuationToken": next_token}

    def _page(self, folder: str, token: Mapping[str, str]) -> Mapping[str, Any]:
        """One page; raises Unreachable where the bucket refuses, or stays unwell."""
        failures = import_module("botocore.exceptions")
        unreadable = import_module("botocore.parsers").ResponseParserError
        for attempt in range(1, ATTEMPTS + 1):
            self.tally.check()
            sent = self.tally.clock.now()
            try:
                page = self.client.list_objects_v2(
                    Bucket=self.bucket, Prefix=folder, Delimiter="/", **token
                )
            except (failures.BotoCoreError, failures.ClientError, unreadable) as error:
                if attempt == ATTEMPTS or not is_momentary(error):
                    raise refusal(self.place, self.bucket, error, "ListBucket") from error
                pause_before(attempt, error, self.tally)
                continue
            self.listings += 1
            self.tally.pages += 1
            headers = page.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            self.offset.add(headers.get("date", ""), sent, self.tally.clock.now())
            if "KeyCount" not in page and "Name" not in page:
                # botocore takes a page of HTML with status 200 for an answer with nothing in it.
                raise Unreachable(
                    f"{self.place}: what came is no answer of ListObjectsV2",
                    hint="see `endpoint` of [[aws]], and what proxy stands in between",
                )
            return page
        raise AssertionError("the last attempt returns or raises")


def _object(item: Mapping[str, Any]) -> S3Object:
    return S3Object(item["Key"], int(item["Size"]), item["ETag"].strip('"'), item["LastModified"])
