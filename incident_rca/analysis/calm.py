"""What was read of a window in which no outage was found: that nothing is seen needs rows too."""

from __future__ import annotations

from collections.abc import Iterator

from incident_rca.analysis.evidence import rows_as_evidence, source_as_evidence
from incident_rca.analysis.observations import Observations
from incident_rca.model import Evidence, SourceState, Span, System

_READ = (SourceState.OK, SourceState.PARTIAL)


def looked_at(seen: Observations) -> tuple[Evidence, ...]:
    """The requests and the samples of waiting sessions, else the sources that were read.

    None where an outage was found: then its own evidence says what was read.
    """
    if seen.outage is not None:
        return ()
    found = (*_requests(seen), *_samples(seen))
    read = (s for s in seen.case.sources if s.state in _READ)
    return found or tuple(e for source in read for e in source_as_evidence(seen.case, source))


def _whole(seen: Observations) -> Span:
    return Span(seen.case.window.start, seen.case.window.end, "the whole window")


def _requests(seen: Observations) -> Iterator[Evidence]:
    rows = seen.tables.gateway
    requests, failed = int(rows["requests"].sum()), len(seen.tables.failures)
    number = f"{failed:,}" if failed else "none"
    yield from rows_as_evidence(
        rows,
        system=System.GATEWAY,
        at=_whole(seen),
        seen=f"{requests:,} requests in the window, {number} of them failed with status 5xx",
        first="line_first",
        last="line_last",
        count=requests,
    )


def _samples(seen: Observations) -> Iterator[Evidence]:
    window, rows = seen.case.window, seen.tables.session_counts
    inside = rows[(rows["at"] >= window.start) & (rows["at"] < window.end)]
    number = int(inside["at"].nunique())
    calm = "" if seen.lock_episodes else ", in none of which one held what another waited for"
    yield from rows_as_evidence(
        inside,
        system=System.POSTGRES,
        at=_whole(seen),
        seen=f"{number:,} samples of the sessions in the window{calm}",
        count=number,
    )
