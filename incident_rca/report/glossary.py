"""What the terms of a report mean in general; they say nothing of the incident."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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
# The longest first, so that ROW SHARE is no SHARE. No part of a name or a route is a term.
_ANY = re.compile(
    r"(?<![\w./{-])("
    + "|".join(
        re.escape(term)
        if term[0].isupper()
        else f"[{term[0].upper()}{term[0]}]{re.escape(term[1:])}"
        for term in sorted(TERMS, key=len, reverse=True)
    )
    + r")s?(?![\w/}-]|\.\w)"
)


@dataclass(frozen=True, slots=True)
class Term:
    name: str
    meaning: str

    @property
    def anchor(self) -> str:
        """What a link to it names: `idle-in-transaction`."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower())


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a text; `term` is what it is a use of, None for the text between."""

    text: str
    term: Term | None = None


def terms_in(text: str) -> tuple[Term, ...]:
    """The terms that a text uses, by the alphabet.

    >>> [term.name for term in terms_in("it held ROW SHARE; p99 and two deadlines")]
    ['deadline', 'p99', 'ROW SHARE']
    """
    used = {piece.term for piece in pieces(text)}
    return tuple(term for term in map(_term, TERMS) if term in used)


def pieces(text: str) -> Iterator[Piece]:
    """Yields the text in pieces that join to it, each use of a term as one.

    >>> [(p.text, p.term and p.term.name) for p in pieces("2 Deadlines passed")]
    [('2 ', None), ('Deadlines', 'deadline'), (' passed', None)]
    """
    end = 0
    for match in _ANY.finditer(text):
        yield Piece(text[end : match.start()])
        name = match[1] if match[1] in TERMS else match[1][0].lower() + match[1][1:]
        yield Piece(match[0], _term(name))
        end = match.end()
    yield Piece(text[end:])


def _term(name: str) -> Term:
    return Term(name, TERMS[name])
