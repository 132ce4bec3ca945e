"""What load balancers say: of the gateway's failures, or in its place where it left no log.

A load balancer behind the gateway saw the same requests, so it confirms failures and adds none.
That `elb_status` is `target_status` where the target answered so itself, and that `target_status`
is missing where none did, is of the Elastic Load Balancing user guide, "Access logs for your
Application Load Balancer"; 460 is a client that closed the connection first ("Troubleshoot your
Application Load Balancers").
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from incident_rca.analysis.evidence import instant, rows_as_evidence
from incident_rca.analysis.frames import pieces, values
from incident_rca.model import Case, Evidence, Span, System
from incident_rca.tables import Tables
from incident_rca.typed_frames import as_schema

if TYPE_CHECKING:
    import pandas as pd

CLIENT_CLOSED = 460
SEEN_IN = "load_balancer"
# A log may say whole seconds only, and two clocks of AWS differ by less than one.
SLACK = timedelta(seconds=1)
# How long the gateway waits where its log says no latency: REST 29 s, HTTP 30 s by default.
LONGEST_USUAL = timedelta(seconds=30)

RouteName = tuple[str, str]


# --- in the gateway's place ---------------------------------------------------------------------


def stands_in(tables: Tables) -> bool:
    """Whether load balancers are the gateway: they have rows, and no log of a gateway has any."""
    return bool(len(tables.load_balancer)) and not len(tables.gateway) and not len(tables.failures)


def promoted(case: Case, tables: Tables) -> Tables:
    """The tables with the load balancers as the gateway, where they stand in for it.

    Its rows then are no longer in `load_balancer`: no request is there twice. Of load balancers
    behind each other the first one counts.
    """
    if not stands_in(tables):
        return tables
    rows = in_front(tables.load_balancer)
    routes = [(route.method, route.path) for route in case.topology.routes]
    known = _routes_of(rows, routes)
    named = rows.assign(
        route=[known[name] for name in values(rows, "method", "path")], status=rows["elb_status"]
    )
    failed = named[named["elb_status"] >= 500]
    failures = failed.assign(
        line=failed["line_first"],
        request_id=failed["trace_id"],
        integration_status=failed["target_status"].astype("string"),
        message=failed["error_reason"],
        seen_in=SEEN_IN,
    )
    return replace(
        tables,
        gateway=as_schema(named, "gateway"),
        failures=as_schema(failures, "failures"),
        load_balancer=tables.load_balancer.iloc[:0],
    )


def in_front(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of load balancers that none of the others stands before.

    One stands before another where most failures of that one have a trace of its own failures, and
    came later.
    """
    first: dict[str, dict[str, datetime]] = defaultdict(dict)
    failed = rows[rows["at"].notna() & rows["trace_id"].notna()].sort_values("at", kind="stable")
    for name, trace, at in values(failed, "load_balancer", "trace_id", "at"):
        first[name].setdefault(trace, at)
    behind = {b for b in first for a in first if a != b and _is_before(first[a], first[b])}
    return rows[~rows["load_balancer"].isin(sorted(behind))]


def _is_before(one: Mapping[str, datetime], other: Mapping[str, datetime]) -> bool:
    later = [trace for trace in other if trace in one and other[trace] > one[trace]]
    return 2 * len(later) > len(other)


# --- routes -------------------------------------------------------------------------------------


def route_of(method: str, path: str, routes: Iterable[RouteName]) -> str:
    """The route that a path belongs to, the most literal one; the path itself where there is none.

    >>> routes = [("GET", "/items/{sku}"), ("GET", "/items/new"), ("ANY", "/files/{proxy+}")]
    >>> [route_of("GET", p, routes) for p in ("/items/{id}", "/items/new", "/files/a/b", "/x")]
    ['/items/{sku}', '/items/new', '/files/{proxy+}', '/x']
    """
    fitting = [
        route for of, route in routes if of in (method, "ANY") and _fits(_parts(route), path)
    ]
    return min(
        fitting, key=lambda route: (route.count("+}"), route.count("{"), route), default=path
    )


def _routes_of(rows: pd.DataFrame, routes: Iterable[RouteName]) -> dict[tuple[str, ...], str]:
    """The route of each method and path of load balancer rows."""
    known = list(routes)
    paths = set(values(rows, "method", "path"))
    return {(method, path): route_of(method, path, known) for method, path in paths}


@cache
def _parts(route: str) -> tuple[str, ...]:
    return tuple(route.strip("/").split("/"))


def _fits(route: tuple[str, ...], path: str) -> bool:
    given = path.strip("/").split("/")
    if route[-1].endswith("+}"):
        if len(given) < len(route):
            return False
        given = given[: len(route)]
    return len(given) == len(route) and all(map(_fits_part, route, given))


def _fits_part(route: str, given: str) -> bool:
    # `{id}` in a path stands for anything with digits, which a literal part may have as well.
    return (
        route == given
        or route.startswith("{")
        or (given == "{id}" and any(letter.isdigit() for letter in route))
    )


# --- beside the gateway -------------------------------------------------------------------------


def witnesses(failures: pd.DataFrame, load_balancer: pd.DataFrame) -> Mapping[Any, Any]:
    """For each failure that a load balancer saw, by its index, the index of the row that says so.

    Joined by the trace id where both logs have it, else by route, status and time: the request to
    the load balancer lies within the gateway's own. No row stands for two failures.
    """
    seen = load_balancer[load_balancer["at"].notna()].sort_values("at", kind="stable")
    if not len(seen) or not len(failures):
        return {}
    ordered = failures.sort_values("at", kind="stable")
    traces = ordered["trace_id"].isin(seen["trace_id"].dropna())
    by_trace = _by_trace(ordered[traces], seen)
    rest = seen[~seen.index.isin(list(by_trace.values()))]
    by_time = _by_time(ordered[ordered["trace_id"].isna()], rest)
    # A rollup has no ids: its rows may be of failures that have one.
    with_ids = seen.loc[seen["trace_id"].notna(), "source"].unique()
    left = ordered[ordered["trace_id"].notna() & ~ordered.index.isin([*by_trace])]
    of_rollups = rest[~rest["source"].isin(with_ids) & ~rest.index.isin(list(by_time.values()))]
    return by_trace | by_time | _by_time(left, of_rollups)


def _by_trace(failures: pd.DataFrame, seen: pd.DataFrame) -> dict[Any, Any]:
    waiting: dict[str, deque[Any]] = defaultdict(deque)
    for label, (trace,) in zip(seen.index, values(seen, "trace_id"), strict=True):
        waiting[trace].append(label)
    found = {}
    for label, (trace,) in zip(failures.index, values(failures, "trace_id"), strict=True):
        if waiting[trace]:
            found[label] = waiting[trace].popleft()
    return found


def _by_time(failures: pd.DataFrame, seen: pd.DataFrame) -> dict[Any, Any]:
    routes = [(method, route) for method, route in sorted(set(values(failures, "method", "route")))]
    known = _routes_of(seen, routes)
    waiting: dict[tuple[str, str, int], deque[tuple[datetime, Any]]] = defaultdict(deque)
    columns = values(seen, "method", "path", "elb_status", "at")
    for label, (method, path, status, at) in zip(seen.index, columns, strict=True):
        waiting[method, known[method, path], status].append((at, label))
    found = {}
    columns = values(failures, "method", "route", "status", "at", "latency_ms")
    for label, (method, route, status, at, latency_ms) in zip(failures.index, columns, strict=True):
        took = LONGEST_USUAL if latency_ms is None else timedelta(milliseconds=latency_ms)
        for key in ((method, route, status), (method, route, CLIENT_CLOSED)):
            queue = waiting[key]
            while queue and queue[0][0] < at - SLACK:
                queue.popleft()
            if queue and queue[0][0] <= at + took + SLACK:
                found[label] = queue.popleft()[1]
                break
    return found


def said_of(
    failures: pd.DataFrame, found: Mapping[Any, Any], load_balancer: pd.DataFrame
) -> tuple[Evidence, ...]:
    """What the load balancers say of some failures, by who answered; `found` is of `witnesses`."""
    rows = load_balancer.loc[[found[label] for label in failures.index if label in found]]
    said: list[Evidence] = []
    for (answered_by, status), some in pieces(rows, "answered_by", "elb_status"):
        first, last = instant(some["at"].min()), instant(some["at"].max())
        said += rows_as_evidence(
            some,
            system=System.GATEWAY,
            at=Span(first, last, "first to last arrival at the load balancer"),
            seen=f"{len(some):,} of {len(failures):,} failures: {_words(answered_by, status)}",
            first="line_first",
            last="line_last",
        )
    return tuple(said)


def _words(answered_by: str, status: int) -> str:
    if status == CLIENT_CLOSED:
        return "the gateway gave up on the load balancer before an answer came (elb_status 460)"
    if answered_by == "target":
        return f"the target itself answered {status} (elb_status = target_status)"
    if answered_by == "load_balancer":
        return f"the load balancer itself answered {status}: no target answered"
    return f"the load balancer answered {status}, its target another status"
