"""Evidence, and what may not be said without it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime

from incident_rca.model.instants import Span
from incident_rca.model.words import (
    EVIDENCE_LETTER,
    INDEPENDENT_SYSTEMS,
    Aspect,
    Basis,
    Kind,
    Role,
    Severity,
    Stance,
    System,
    Verdict,
)

_NUMBER_OF_HIDDEN = re.compile(r"(?<=[a-z])-[0-9]+>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Something that was seen, with the file and rows (1-based, inclusive) where it stands.

    `rows` are line numbers of a text file, and positions in the list of points or results of a JSON
    answer; `None` where the evidence is the case itself (a setting, a source's state). `excerpt`
    shows its first rows and its last as the redacted tables hold them.
    """

    system: System
    source: str
    at: Span
    seen: str
    file: str
    rows: tuple[int, int] | None
    count: int = 1
    excerpt: tuple[str, ...] = ()

    @property
    def letter(self) -> str:
        return EVIDENCE_LETTER[self.system]

    @property
    def digest(self) -> str:
        """A hash of what was seen, when and where: it stays when other evidence comes."""
        bounds = [i.isoformat() if i else "open" for i in (self.at.lo, self.at.hi)]
        text = "\x1f".join([self.source, self.file, *bounds, self.seen])
        # Other evidence may change the number of what was hidden.
        text = _NUMBER_OF_HIDDEN.sub(">", text)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Uncited(ValueError):
    """A sentence without evidence: it may not be made, so it cannot be rendered."""


def require_evidence(what: object, evidence: tuple[Evidence, ...]) -> None:
    if not evidence:
        raise Uncited(f"cites no evidence: {what!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of the timeline. `certain` is false for times that were estimated."""

    at: Span
    system: System
    source: str
    kind: str
    title: str
    evidence: tuple[Evidence, ...]

    def __post_init__(self) -> None:
        require_evidence(self.title, self.evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    text: str
    stance: Stance
    aspect: Aspect
    basis: Basis
    evidence: tuple[Evidence, ...]

    def __post_init__(self) -> None:
        require_evidence(self.text, self.evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """One candidate explanation; `id` is `H1`, `H2`, … by rank, given when all are ranked.

    `incident` is 1 for the largest outage of the window, 2 for the next one.
    """

    kind: Kind
    object: str
    role: Role
    verdict: Verdict
    statement: str
    claims: tuple[Claim, ...]
    explains_seconds: float = 0.0
    confirm_by: str = ""
    incident: int = 1
    id: str = ""
    rank: int = 0

    def __post_init__(self) -> None:
        if not self.claims:
            raise Uncited(f"a hypothesis without claims: {self.statement!r}")

    @property
    def systems(self) -> tuple[System, ...]:
        """The independent systems among the claims for it, sorted."""
        cited = {e.system for c in self.claims if c.stance is Stance.FOR for e in c.evidence}
        return tuple(sorted(cited & INDEPENDENT_SYSTEMS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    statement: str
    evidence: tuple[Evidence, ...]

    def __post_init__(self) -> None:
        require_evidence(self.statement, self.evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What to fix, worded as what the evidence shows."""

    rule: str
    severity: Severity
    statement: str
    remedy: str
    evidence: tuple[Evidence, ...]

    def __post_init__(self) -> None:
        require_evidence(self.statement, self.evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """`lead_up`, `trigger`, `propagation`, `sustained` or `recovery`; an open end is `None`."""

    name: str
    start: datetime
    end: datetime | None
    evidence: tuple[Evidence, ...]

    def __post_init__(self) -> None:
        require_evidence(self.name, self.evidence)
