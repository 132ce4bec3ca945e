"""FilterLogEvents: the events of a stretch of time, page by page, each one once.

A page may be empty while there are more, and a token may come again (botocore's model of CloudWatch
Logs; the paginators of AWS's own tools stop at either). So the end is where no token comes, and a
token that comes again and again without any new event ends the reading as not whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from incident_rca.sources.aws_client import Caller, Refusal, place_of

# A token seen before, with nothing new in its page: the service may still be looking.
MOST_STANDSTILLS = 3

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which events of a log group are asked for; no `pattern` means all of them."""

    log_group: str
    pattern: str = ""


def read_pages(
    caller: Caller, selection: Selection, start_ms: int, end_ms: int
) -> Iterator[list[Event]]:
    """The new events of each page of [start_ms, end_ms); an event that came before is left out.

    Raises Refusal where the service refuses, or does not get on; Unreachable where time is over.
    """
    asked: dict[str, Any] = {
        "logGroupName": selection.log_group,
        "startTime": start_ms,
        "endTime": end_ms - 1,  # both ends are inclusive
    }
    if selection.pattern:
        asked["filterPattern"] = selection.pattern
    events: set[str] = set()
    tokens: set[str] = set()
    token: dict[str, str] = {}
    standstills = 0
    while True:
        page = caller.call("filter_log_events", "events", **asked, **token)
        fresh = [event for event in page["events"] if _is_new(event, events)]
        yield fresh
        next_token = page.get("nextToken")
        if not next_token:
            return
        standstills = 0 if fresh or next_token not in tokens else standstills + 1
        if standstills >= MOST_STANDSTILLS:
            raise Refusal(
                "Pagination",
                f"FilterLogEvents of {selection.log_group} in {place_of(caller.account)}: the same "
                f"nextToken again and again, after {len(events)} events",
                hint="collect again: only what is missing is asked for",
            )
        tokens.add(next_token)
        token = {"nextToken": next_token}


def _is_new(event: Event, known: set[str]) -> bool:
    """Whether an event has not come before; it is known from now on."""
    count = len(known)
    known.add(event["eventId"])
    return len(known) > count
