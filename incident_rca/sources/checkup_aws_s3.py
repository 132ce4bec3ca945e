"""The check-up of a place in S3: may it be listed and read, and does it hold the window?

Needs s3:ListBucket on the bucket and s3:GetObject on what lies below the place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

from incident_rca.model import TimeWindow
from incident_rca.model.checkup import Check, CheckState, PastSource, WouldShow
from incident_rca.model.services import AwsAccount
from incident_rca.sources.aws_client import Refusal
from incident_rca.sources.checkup_held import held
from incident_rca.sources.clock_offset import ClockOffset
from incident_rca.sources.s3_errors import code_of, hint_of, reason_of
from incident_rca.sources.s3_logs import Client, client_of
from incident_rca.sources.s3_names import S3Object, folder_may_hold, object_may_hold
from incident_rca.sources.tally import Tally

MOST_LISTINGS = 10
# A file of a load balancer is of the five minutes before the time in its name, one of Firehose of
# minutes after it (Elastic Load Balancing user guide, "Access log files"; Amazon Data Firehose
# developer guide, "Amazon S3 object name format").
DELIVERY_INTERVAL = timedelta(minutes=5)
_NAMED = re.compile(r"20\d{6}T\d{4}(?=Z)|20\d\d(?:-\d\d){5}")


def check_place(
    account: AwsAccount, place: str, window: TimeWindow, *, tally: Tally, offset: ClockOffset
) -> Iterator[Check | PastSource]:
    """The checks of one place (`s3://bucket/prefix`) and what it holds; raises Unreachable."""
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    client = client_of(account)
    asking = _Asking(client, bucket, place, tally, offset)
    try:
        pages = asking.pages(prefix, window)
        found: list[S3Object] = next(pages)
        yield Check(f"list {place}", CheckState.OK, "permitted")
        for page in pages:
            found += page
        yield _past(place, found, window, is_cut=asking.is_cut)
        if found:
            asking.read(found[0].key)
            yield Check(f"read {place}", CheckState.OK, "permitted")
        else:
            why = "not tried: no object may hold the window"
            yield Check(f"read {place}", CheckState.UNKNOWN, why)
    finally:
        client.close()


def _past(place: str, found: list[S3Object], window: TimeWindow, *, is_cut: bool) -> PastSource:
    """What the names of the objects say, as nothing of them is read."""
    times = [at for one in found if (at := _named_time(one.key)) is not None]
    if is_cut and not times:
        why = f"{MOST_LISTINGS} listings did not find an end: name a narrower prefix"
        return PastSource(place, WouldShow.UNKNOWN, why)
    if found and not times:
        why = f"{len(found):,} objects may hold records of it: their names state no time"
        return PastSource(place, WouldShow.UNKNOWN, why)
    first = max(min(times) - DELIVERY_INTERVAL, window.start) if times else None
    last = min(max(times) + DELIVERY_INTERVAL, window.end) if times else None
    cut = f", the rest was not listed after {MOST_LISTINGS} pages" if is_cut else ""
    why = f"{len(found):,} objects by their names{cut}"
    return held(place, first, last, window, tolerance=2 * DELIVERY_INTERVAL, why=why)


def _named_time(key: str) -> datetime | None:
    """The time in an object's name, as load balancers and Firehose put it there."""
    named = _NAMED.search(key.rpartition("/")[2])
    if named is None:
        return None
    digits = re.sub(r"\D", "", named[0])
    try:
        return datetime.strptime(f"{digits:0<14}+0000", "%Y%m%d%H%M%S%z")
    except ValueError:
        return None


class _Asking:
    """The calls about one place, each made once: a check-up is no place for patience."""

    def __init__(
        self, client: Client, bucket: str, place: str, tally: Tally, offset: ClockOffset
    ) -> None:
        self.client, self.bucket, self.place = client, bucket, place
        self.tally, self.offset = tally, offset
        self.is_cut = False

    def pages(self, prefix: str, window: TimeWindow) -> Iterator[list[S3Object]]:
        """For each listing the objects that may hold the window; folders of its dates come next."""
        folders: list[tuple[str, dict[str, str]]] = [(prefix, {})]
        for _ in range(MOST_LISTINGS):
            if not folders:
                return
            folder, token = folders.pop()
            page = self._call(
                "ListBucket",
                lambda folder=folder, token=token: self.client.list_objects_v2(
                    Bucket=self.bucket, Prefix=folder, Delimiter="/", **token
                ),
            )
            if "KeyCount" not in page and "Name" not in page:
                said = f"{self.place}: what came is no answer of ListObjectsV2"
                raise Refusal("Unreadable", said, hint="see `endpoint` of [[aws]], and proxies")
            if next_token := page.get("NextContinuationToken"):
                folders.append((folder, {"ContinuationToken": next_token}))
            inner = [item["Prefix"] for item in page.get("CommonPrefixes", ())]
            folders += [(name, {}) for name in inner if folder_may_hold(name, window)]
            listed = map(_object, page.get("Contents", ()))
            yield [one for one in listed if object_may_hold(one, window)]
        self.is_cut = bool(folders)

    def read(self, key: str) -> None:
        """Reads one byte of an object, which asks for the rights on it and on its key."""
        answer = self._call(
            "GetObject",
            lambda: self.client.get_object(Bucket=self.bucket, Key=key, Range="bytes=0-0"),
        )
        answer["Body"].close()

    def _call(self, action: str, ask: Any) -> Mapping[str, Any]:
        failures = import_module("botocore.exceptions")
        unreadable = import_module("botocore.parsers").ResponseParserError
        self.tally.check()
        sent = self.tally.clock.now()
        try:
            answer: Mapping[str, Any] = ask()
        except (failures.BotoCoreError, failures.ClientError, unreadable) as error:
            said, hint = f"{self.place}: {reason_of(error)}", hint_of(error, self.bucket, action)
            raise Refusal(code_of(error), said, hint=hint) from None
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        self.offset.add(headers.get("date", ""), sent, self.tally.clock.now())
        self.tally.pages += 1
        return answer


def _object(item: Mapping[str, Any]) -> S3Object:
    return S3Object(item["Key"], int(item["Size"]), item["ETag"].strip('"'), item["LastModified"])
