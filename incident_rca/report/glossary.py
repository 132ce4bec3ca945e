"""The terms that a report uses, each in one sentence, and where a text uses them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from incident_rca.lock_modes import MODES, in_words, meaning


@dataclass(frozen=True, slots=True)
class Term:
    """A term as the glossary lists it; `forms` are the other ways in which texts write it."""

    name: str
    meaning: str
    forms: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        """What a link to it names: `idle-in-transaction`."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


TERMS: tuple[Term, ...] = (
    Term("arrival", "When a request reached the gateway, not when it was answered.", ("arrivals",)),
    Term(
        "baseline", "What was usual before the outage; what happened in it is compared with that."
    ),
    Term(
        "circuit breaker",
        "Stands before a call and counts its failures; above a threshold it refuses further calls "
        "at once (open), and later lets a few through to see whether the other side is well again.",
        ("circuit breakers", "breaker"),
    ),
    Term("half-open", "A circuit breaker that lets a few calls through to see how they end."),
    Term(
        "clock offset",
        "How far the clock of a source may be off; two instants of two sources are put in order "
        "only where their offsets cannot change it.",
        ("clock offsets",),
    ),
    Term("CONCURRENTLY", "Builds an index while others write to the table: slower, no SHARE lock."),
    Term(
        "connection pool",
        "The fixed set of database connections that a service shares among its requests; who finds "
        "none free waits.",
        ("connection pools", "pool"),
    ),
    Term(
        "deadline",
        "How long a caller waits for an answer. Without one a call lasts until somebody else cuts "
        "it.",
        ("deadlines", "time-out"),
    ),
    Term(
        "DEADLINE_EXCEEDED",
        "The gRPC status of a call whose own deadline passed. The server may still be at work.",
    ),
    Term("UNAVAILABLE", "The gRPC status of a call that lost its connection or found none."),
    Term("INTERNAL", "The gRPC status of a call that failed inside the server that answered it."),
    Term(
        "idle in transaction",
        "A session that began a transaction and does nothing: its locks and its connection stay "
        "taken.",
    ),
    Term("p99", "The time that 99 of 100 calls stay below; 1 in 100 is slower."),
    Term("HTTP 502", "The gateway got no valid answer from the service behind it."),
    Term("HTTP 503", "The service behind the gateway says that it cannot answer now."),
    Term("HTTP 504", "The gateway gave up waiting for the service behind it."),
    *(Term(in_words(mode), f"A lock mode of PostgreSQL: {meaning(mode)}.") for mode in MODES),
    Term("trigger", "What started the outage.", ("triggers",)),
    Term("sustainer", "What kept the outage going once its trigger was gone.", ("sustainers",)),
    Term("coincident", "Happened at the same time; nothing links it to the failures."),
    Term(
        "supported",
        "Path and mechanism were observed, by at least two independent systems, and nothing speaks "
        "against either.",
    ),
    Term("weak", "Exactly one of what `supported` asks for is missing."),
    Term("insufficient", "More than one of what `supported` asks for is missing, or a source."),
    Term("contradicted", "The evidence speaks against the path or the mechanism."),
    Term("starved", "Requests stopped coming, or hung and were never logged.", ("starvation",)),
    Term("degraded", "More failures than usual, or a p99 of at least three times the usual one."),
    Term("unexplained", "Seconds of the outage that no hypothesis accounts for."),
)


@dataclass(frozen=True, slots=True)
class Used:
    """A piece of a text; `term` is what it is a use of, None for the text between."""

    text: str
    term: Term | None = None


def pieces(text: str) -> Iterator[Used]:
    """Yields the text in pieces that join to it, each use of a term as one.

    >>> [(p.text, p.term and p.term.name) for p in pieces("its pool is full")]
    [('its ', None), ('pool', 'connection pool'), (' is full', None)]
    """
    for position, piece in enumerate(_forms()[0].split(text)):
        if piece:
            yield Used(piece, _term_of(piece) if position % 2 else None)


def _term_of(form: str) -> Term:
    known = _forms()[1]
    return known.get(form) or known[form.lower()]


@cache
def _forms() -> tuple[re.Pattern[str], dict[str, Term]]:
    by_form = {form: term for term in TERMS for form in (term.name, *term.forms)}
    # The longest form first, and whole words only: no part of a name of a table or a route. What
    # is written in capitals is a term only in capitals: SHARE is a lock mode, a share is none.
    ordered = sorted(by_form, key=lambda form: (-len(form), form))
    forms = "|".join(form if form != form.lower() else f"(?i:{form})" for form in ordered)
    return re.compile(rf"(?<![\w./{{-])({forms})(?![\w/}}]|[.-]\w)"), by_form
