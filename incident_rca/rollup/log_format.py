"""Which log is rolled up, by its first lines: a load balancer's, or a gateway's in its format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from incident_rca.errors import BadInput
from incident_rca.formats import load_balancer_log
from incident_rca.formats.access_log.keys import format_of_head
from incident_rca.formats.access_log.stage_format import LineFormat
from incident_rca.formats.parsed import Head


@dataclass(frozen=True, slots=True)
class LoadBalancerFormat:
    """The lines of an Application Load Balancer: nobody chooses their fields."""


LogFormat = LineFormat | LoadBalancerFormat


def log_format_of(lines: Iterable[bytes]) -> LogFormat | None:
    """The format of a log that begins with these lines, None where none of them is a request."""
    head = tuple(lines)
    if load_balancer_log.recognises(Head(head, None)):
        return LoadBalancerFormat()
    return format_of_head(head)


def one_format(found: Mapping[str, LogFormat | None]) -> LogFormat | None:
    """The format of several places, by what the first lines of each say: the first that says any.

    Raises BadInput where some are logs of a gateway and some of a load balancer.
    """
    known = {place: one for place, one in found.items() if one is not None}
    kinds = {isinstance(one, LineFormat): place for place, one in reversed(known.items())}
    if len(kinds) > 1:
        raise BadInput(
            f"{kinds[True]} is a gateway's log, {kinds[False]} a load balancer's",
            hint="make a rollup of each",
        )
    return next(iter(known.values()), None)


def no_request(place: str) -> BadInput:
    """The error of a place whose first lines say no format."""
    return BadInput(
        f"{place}: none of its first lines is a request",
        hint="give the stage's own format: --access-log-format",
    )


def file_name(known: LogFormat) -> str:
    """What a rollup's file is called where nobody names it."""
    log = "gateway" if isinstance(known, LineFormat) else "load-balancer"
    return f"{log}.rollup.ndjson.gz"


def query_of(known: LogFormat) -> str:
    """The rollup's name in `queries/rollup/`."""
    return "access_log" if isinstance(known, LineFormat) else "load_balancer"
