"""What the terms of a report mean in general; they say nothing of the incident."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from incident_rca import lock_modes

_LOCKS = {
    lock_modes.in_words(mode): f"a table lock of PostgreSQL: {lock_modes.meaning(mode)}"
    for mode in lock_modes.MODES
}
# gRPC's documentation of status codes; PostgreSQL's of error codes, locks and pg_stat_activity;
# RFC 9110 for HTTP. In the order of the alphabet, letters first.
TERMS: Mapping[str, str] = dict(
    sorted(
        {
            **_LOCKS,
            "57P01": "PostgreSQL's code for a session that an administrator ended; what it had "
            "not committed is rolled back",
            "40P01": "PostgreSQL's code for a statement that ended because of a deadlock",
            "55P03": "PostgreSQL's code for a lock that was not to be had, or not in time",
            "57014": "PostgreSQL's code for a statement that was cancelled, by request or by its "
            "time-out",
            "ABORTED": "gRPC: the call was given up, mostly because another one came between",
            "CANCELLED": "gRPC: the caller, or what stands before it, gave the call up",
            "CONCURRENTLY": "a way to build an index that lets writes go on; not inside a "
            "transaction",
            "DEADLINE_EXCEEDED": "gRPC: the call's deadline passed before it ended; the server may "
            "still be at work",
            "INTERNAL": "gRPC: something broke inside, as far as the server or a library says",
            "OK": "gRPC: the call succeeded",
            "RESOURCE_EXHAUSTED": "gRPC: a quota or a pool had nothing left to give",
            "UNAVAILABLE": "gRPC: the service could not be reached, or the connection broke",
            "UNKNOWN": "gRPC: an error of which no more is said",
            "baseline": "a stretch before the outage that says what is usual",
            "blip": "a single failure apart from the outage",
            "circuit breaker": "a guard at the caller that stops calling for a while once too "
            "many calls have failed",
            "coincident": "at the same time, without a way to what failed",
            "connection pool": "the fixed set of database connections that a service shares among "
            "its requests",
            "deadline": "the time after which a caller gives up on a call",
            "deadlock": "sessions that wait for each other in a circle",
            "degraded": "more failures than before, or a p99 of at least three times as long",
            "idle in transaction": "a session that has begun a transaction and runs nothing: it "
            "keeps its locks and its connection",
            "onset": "when something began, as far as it can be told",
            "p99": "the time that 99 of 100 calls stay below",
            "starved": "requests that stopped coming, to a fifth of what is usual or less",
            "sustainer": "what may have kept the outage going after the trigger was over",
            "symptom": "an effect, not a cause",
            "trigger": "what may have started the outage",
        }.items(),
        key=lambda item: (not item[0][0].isalpha(), item[0].casefold()),
    )
)
# The longest first, so that ROW SHARE is no SHARE.
_ANY = re.compile(
    r"(?<![\w-])("
    + "|".join(re.escape(term) for term in sorted(TERMS, key=len, reverse=True))
    + r")s?(?![\w-])"
)


@dataclass(frozen=True, slots=True)
class Term:
    name: str
    meaning: str


def terms_in(text: str) -> tuple[Term, ...]:
    """The terms that a text uses, by the alphabet.

    >>> [term.name for term in terms_in("it held ROW SHARE; p99 and two deadlines")]
    ['deadline', 'p99', 'ROW SHARE']
    """
    used = {match[1] for match in _ANY.finditer(text)}
    return tuple(Term(name, meaning) for name, meaning in TERMS.items() if name in used)
