"""What ids of requests in waiting statements say for a lock's path, and against it."""

from __future__ import annotations

from incident_rca.analysis.hypotheses.claims import claim_against, claim_for
from incident_rca.analysis.names import counted
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.traced import TracedWaits
from incident_rca.model import Aspect, Claim

# With so many waiting statements of which none is a failed request's, chance is no explanation:
# were a tenth of them of failed requests, all ten would miss them in one case of three, and were a
# half of them, in one of a thousand (0.9 ** 10, 0.5 ** 10).
MANY_STATEMENTS = 10


def tied_by_ids(traced: TracedWaits) -> list[Claim]:
    """That requests whose statements waited for it are those that failed."""
    if not traced.failed:
        return []
    return [claim_for(Aspect.PATH, traced.in_words, traced.waiting, traced.failing)]


def apart_by_ids(seen: Observations, traced: TracedWaits) -> list[Claim]:
    """That none of many waiting statements is of a failed request, though both sides have ids.

    It speaks against the path only where some other statement's id is found among the failed
    requests: else nothing shows that the ids of the gateway reach the statements at all.
    """
    outage = seen.outage
    if traced.failed or traced.comparable < MANY_STATEMENTS or outage is None:
        return []
    text = (
        f"{counted(traced.comparable, 'waiting statement')} carry ids, and none of them is that of "
        "a failed request, though the gateway logs such ids"
    )
    if seen.clocks.link is not None:
        return [claim_against(Aspect.PATH, text, traced.waiting, outage.evidence)]
    text += "; no id at all is on both sides, so they may not be passed on"
    return [claim_against(Aspect.ABSENCE, text, traced.waiting, outage.evidence)]
