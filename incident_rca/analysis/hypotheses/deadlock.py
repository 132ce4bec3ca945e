"""`deadlock`: sessions waited for each other in a circle, and the server ended one of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from incident_rca.analysis.coverage import Hole, hole_of_logs
from incident_rca.analysis.evidence import instant, rows_as_evidence, setting_as_evidence
from incident_rca.analysis.frames import values
from incident_rca.analysis.hypotheses.claims import (
    Candidates,
    claim_against,
    claim_for,
    lacks_number,
    not_covered,
    not_recorded,
    ruled_out,
)
from incident_rca.analysis.hypotheses.deadlock_circles import ENOUGH, no_path, of_circles
from incident_rca.analysis.hypotheses.orders import at_another_time
from incident_rca.analysis.locks import POSTGRES_LOGS
from incident_rca.analysis.names import counted
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.paths import DependencyPath, path_from_relation
from incident_rca.analysis.verdicts import Candidate, verdict_of
from incident_rca.model import (
    Aspect,
    Claim,
    Evidence,
    Hypothesis,
    Kind,
    Role,
    SourceState,
    Span,
    System,
    Verdict,
)
from incident_rca.statement_tables import tables_of

if TYPE_CHECKING:
    import pandas as pd

# A request that a deadlock ends fails this soon after it, by two clocks.
AROUND = timedelta(seconds=5)
CONFIRM_BY = "Read the DETAIL lines of the deadlocks: which code takes its locks in which order?"


def hypotheses(seen: Observations) -> Candidates:
    """Whether the server's log holds deadlocks (SQLSTATE 40P01), one candidate a table of them.

    Without a log that was read in full: the circles of waits that were sampled.
    """
    events = seen.tables.server_events
    if not seen.is_recorded(*POSTGRES_LOGS):
        if seen.outage is None:
            return ()
        if circles := of_circles(seen):
            return circles
        confirm = "Import PostgreSQL's log of the window."
        return (not_recorded(seen, Kind.DEADLOCK, "a deadlock", System.POSTGRES, confirm),)
    found = events[events["kind"] == "deadlock"]
    hole = _hole(seen)
    if found.empty:
        return (_none(seen),) if hole is None else _unlogged(seen, hole)
    named = found.assign(object=[_object(*cells) for cells in values(found, *_NAMED)])
    return tuple(
        _candidate(seen, str(name), rows) for name, rows in named.groupby("object", sort=True)
    )


def _hole(seen: Observations) -> Hole | None:
    """What the server's logs leave out of the outage."""
    return hole_of_logs(seen, POSTGRES_LOGS, "lines of the server's log")


def _unlogged(seen: Observations, hole: Hole) -> Candidates:
    """What is said of an outage that the log leaves out: by the circles that were sampled."""
    confirm = "Import PostgreSQL's log of the whole outage."
    unknown = not_covered(seen, Kind.DEADLOCK, "a deadlock", (hole,), confirm)
    return of_circles(seen) or (unknown,)


_NAMED = ("database", "statement", "message")


def _object(database: str | None, statement: str | None, message: str | None) -> str:
    """`database.schema.relation` of the first table that the ended statement names."""
    tables = tables_of(statement or message or "")
    parts = [database or "", *tables[:1]]
    return ".".join(p for p in parts if p) or "all databases"


def _none(seen: Observations) -> Candidate:
    events = seen.tables.server_events
    logs = [s for s in seen.case.sources if s.kind in POSTGRES_LOGS and s.state is SourceState.OK]
    read = [setting_as_evidence(seen.case, f"the server's log {s.name} was read") for s in logs]
    number = f"no deadlock among {len(events)} statements and errors of the log"
    cited = (*read, *([_cited(events, number)] if len(events) else []))
    text = "the server's log reports no deadlock (40P01)"
    return ruled_out(
        Kind.DEADLOCK,
        ", ".join(sorted(set(events["database"].dropna()))) or "all databases",
        "No deadlock was reported.",
        CONFIRM_BY,
        claim_against(Aspect.MECHANISM, text, *cited),
    )


def _candidate(seen: Observations, name: str, rows: pd.DataFrame) -> Candidate:
    during = _during(seen, rows)
    applications = sorted(set(rows["application"].dropna()))
    database, _, relation = name.partition(".")
    path = path_from_relation(seen, relation, applications) if relation else None
    cited = _cited(rows, f"{counted(len(rows), 'deadlock')} on {name}")
    claims = tuple(_claims(seen, rows, path, cited, is_named=bool(relation)))
    if path is not None and relation and "." not in relation:
        name = f"{database}.{_full_name(seen, path, relation)}"
    instants = [i for at in during["at"] if (i := instant(at)) is not None]
    needs = seen.has_requests() and not lacks_number(claims)
    verdict = verdict_of(claims, needs_are_met=needs)
    reaches = path is not None and bool(path.failing) and bool(instants)
    return Candidate(
        hypothesis=Hypothesis(
            kind=Kind.DEADLOCK,
            object=name,
            role=Role.TRIGGER if reaches and verdict is not Verdict.CONTRADICTED else _aside(seen),
            verdict=verdict,
            statement=(
                f"{counted(len(rows), 'deadlock')} on {name}: each time the server ended one of "
                "the transactions that waited for each other."
            ),
            claims=claims,
            confirm_by=CONFIRM_BY,
        ),
        active=_active(instants) if instants else None,
        service=path.service if path else "",
        routes=frozenset(e.name for e in path.failing) if path else frozenset(),
    )


def _aside(seen: Observations) -> Role:
    return Role.CONTRIBUTING if seen.outage else Role.COINCIDENT


def _full_name(seen: Observations, path: DependencyPath, relation: str) -> str:
    """The relation as its service's topology names it, with its schema."""
    owner = next((s for s in seen.case.topology.services if s.name == path.service), None)
    known = [t for t in owner.tables if t.endswith(f".{relation}")] if owner else []
    return known[0] if len(known) == 1 else relation


def _during(seen: Observations, rows: pd.DataFrame) -> pd.DataFrame:
    """The deadlocks of the outage, and of the seconds before its first failure."""
    if seen.outage is None or seen.outage.start.lo is None:
        return rows.iloc[:0]
    end = seen.outage.end.lo or seen.part.end
    inside = (rows["at"] >= seen.outage.start.lo - AROUND) & (rows["at"] <= end + AROUND)
    return rows[inside]


def _active(instants: list[datetime]) -> tuple[datetime, datetime]:
    """From the first to the last deadlock, and before and behind them for as long as they pause."""
    first, last = min(instants), max(instants)
    pause = (last - first) / max(1, len(instants) - 1)
    return first - min(pause, AROUND), last + min(pause, AROUND)


def _claims(
    seen: Observations,
    rows: pd.DataFrame,
    path: DependencyPath | None,
    cited: tuple[Evidence, ...],
    *,
    is_named: bool,
) -> list[Claim]:
    during = _during(seen, rows)
    if seen.outage is None or during.empty:
        return [
            claim_for(Aspect.MECHANISM, "the server reported deadlocks", cited),
            *_apart(seen, rows, cited),
        ]
    claims = [
        claim_for(
            Aspect.MECHANISM,
            f"the server ended {counted(len(during), 'transaction')} in a deadlock while "
            "requests failed",
            cited,
        )
    ]
    if path is None or not path.failing:
        return [*claims, no_path(seen, cited, is_named=is_named)]
    failed = sum(e.failed for e in path.failing)
    routes = tuple(e for endpoint in path.failing for e in endpoint.evidence)
    claims.append(
        claim_for(
            Aspect.PATH,
            f"the statements that were ended are of {path.service}: {path.in_words}",
            cited,
            routes,
            path.evidence,
            basis=path.basis,
        )
    )
    text = f"{len(during):,} deadlocks beside {failed:,} failing requests on their path"
    if len(during) >= ENOUGH * failed:
        claims.append(claim_for(Aspect.DOSE, text, cited, routes))
    elif hole := _hole(seen):
        text += f", but not all are recorded: {hole.in_words} are missing"
        claims.append(claim_against(Aspect.DOSE, text, cited, routes))
    else:
        text += ": each deadlock ends one transaction, so most requests failed for another reason"
        claims.append(claim_against(Aspect.MECHANISM, text, cited, routes))
    return claims


def _apart(seen: Observations, rows: pd.DataFrame, cited: tuple[Evidence, ...]) -> list[Claim]:
    """That all of them lie before the outage or behind it; none where the clocks may hide one."""
    if seen.outage is None:
        return []
    is_before = rows["at"] < seen.outage.start.first
    sides = [side for side in (rows[is_before], rows[~is_before]) if len(side)]
    claims = [_at_another_time(seen, side, cited) for side in sides]
    return [c for of_side in claims for c in of_side] if all(claims) else []


def _at_another_time(
    seen: Observations, rows: pd.DataFrame, cited: tuple[Evidence, ...]
) -> list[Claim]:
    instants = [i for at in rows["at"] if (i := instant(at)) is not None]
    first, last = Span.at(min(instants)), Span.at(max(instants))
    what = "the deadlock" if len(rows) == 1 else f"a stretch of {len(rows):,} deadlocks"
    return at_another_time(seen, what, first, last, System.POSTGRES, cited)


def _cited(rows: pd.DataFrame, what: str) -> tuple[Evidence, ...]:
    return rows_as_evidence(
        rows,
        system=System.POSTGRES,
        at=Span(instant(rows["at"].min()), instant(rows["at"].max()), "first to last log line"),
        seen=what,
    )
