"""`lock_blocking`: a session held a lock that the failing requests' sessions had to wait for."""

from __future__ import annotations

from datetime import datetime, timedelta

from incident_rca.analysis.hypotheses.claims import (
    Candidates,
    claim_against,
    claim_for,
)
from incident_rca.analysis.hypotheses.lock_absence import LOCK_SOURCES, without_episodes
from incident_rca.analysis.hypotheses.lock_mechanism import mechanism
from incident_rca.analysis.hypotheses.lock_order import (
    is_last_seen_before,
    open_order,
    order_of_lock,
    recovery_of_lock,
)
from incident_rca.analysis.hypotheses.lock_traces import apart_by_ids, tied_by_ids
from incident_rca.analysis.hypotheses.orders import Moment, starved_meanwhile
from incident_rca.analysis.lock_turns import Turns, in_turns
from incident_rca.analysis.lock_words import held_in, who
from incident_rca.analysis.names import counted
from incident_rca.analysis.observations import Observations
from incident_rca.analysis.paths import DependencyPath, path_pool_size
from incident_rca.analysis.traced import TracedWaits, path_of_lock, traced_waits
from incident_rca.analysis.verdicts import Candidate, decides, verdict_of
from incident_rca.model import (
    Aspect,
    Basis,
    Claim,
    Hypothesis,
    Impact,
    Kind,
    LockEpisode,
    Role,
    System,
)

# Waiting sessions and failing requests are counted by different systems at different instants.
DOSE_TOLERANCE = 0.05
# A span this narrow is taken at its middle; of a wider one only the certain end counts.
NARROW = timedelta(seconds=5)
# So many waiting sessions may be all that a pool has, where its size is not known.
MANY_WAITERS = 10
HALF_OF_POOL = 0.5
FEWEST_FAILURES = 10
FEW_SHARE = 0.1
CONFIRM_BY = (
    "Ask who ran the statement and when it was cancelled or finished; on a copy, run it beside one "
    "insert and read pg_blocking_pids()."
)


def hypotheses(seen: Observations) -> Candidates:
    """One candidate a relation that was held, by one session or by several in turn."""
    if not seen.lock_episodes:
        return without_episodes(seen)
    return tuple(_candidate(seen, turns) for turns in in_turns(seen.lock_episodes))


def _candidate(seen: Observations, turns: Turns) -> Candidate:
    episode = turns.episode
    path, traced = path_of_lock(seen, episode), traced_waits(seen, episode)
    needs = seen.is_recorded(*LOCK_SOURCES) and seen.has_requests()
    if path is None or not path.failing:
        claims: tuple[Claim, ...] = (
            _no_path(seen, episode),
            mechanism(episode, is_guess=_is_guess(seen, episode)),
            *_starved(seen, episode, path),
            *apart_by_ids(seen, traced),
        )
        role = Role.COINCIDENT if seen.outage else Role.CONTRIBUTING
    else:
        few = _too_few(seen, episode, path)
        is_open = any(not decides(c) for c in few)
        claims = (*_claims(seen, episode, path, traced, is_open=is_open), *few)
        # That few waited may be all there is of it; only ids tell that they are those that failed.
        needs = needs and (not is_open or bool(traced.failed))
        is_wrong = any(map(decides, claims)) or is_last_seen_before(seen, episode)
        role = Role.CONTRIBUTING if is_wrong else Role.TRIGGER
    return Candidate(
        hypothesis=Hypothesis(
            kind=Kind.LOCK_BLOCKING,
            object=episode.object,
            role=role,
            verdict=verdict_of(claims, needs_are_met=needs),
            statement=_statement(turns),
            claims=claims,
            confirm_by=CONFIRM_BY,
        ),
        active=active_of(seen, episode),
        service=path.service if path else "",
        routes=frozenset(e.name for e in path.failing) if path else frozenset(),
        unsettled=open_order(seen, episode),
    )


def _statement(turns: Turns) -> str:
    episode = turns.episode
    holder = episode.root_holder
    what = held_in(episode, explained=True)
    circle = "; they waited for each other in a circle" if episode.deadlocked else ""
    sessions = counted(episode.peak_waiters, "session")
    others = (
        f", and {counted(turns.holders - 1, 'other session')} in turn" if turns.holders > 1 else ""
    )
    return (
        f"{who(holder)} held {what} for {_quoted(holder.statement)}{others}; up to {sessions} "
        f"waited{f' for {episode.relation}' if episode.root_relation else ''} behind it{circle}."
    )


def _quoted(statement: str) -> str:
    return f'"{statement}"' if statement else "a statement that is not recorded"


def _no_path(seen: Observations, episode: LockEpisode) -> Claim:
    who = ", ".join(episode.waiter_applications) or "sessions without a name"
    if not seen.outage:
        text = "no failing requests are recorded that a path could lead to"
        return claim_against(Aspect.ABSENCE, text, episode.peak_evidence)
    if not seen.knows_what_failed:
        text = f"no path is known from {episode.relation} ({who} waited) to what failed"
        return claim_against(Aspect.ABSENCE, text, episode.peak_evidence)
    return claim_against(
        Aspect.PATH,
        f"no failing route depends on {episode.relation}: only {who} waited for it",
        episode.peak_evidence,
        *(e.evidence for e in seen.failing),
    )


def _claims(
    seen: Observations,
    episode: LockEpisode,
    path: DependencyPath,
    traced: TracedWaits,
    *,
    is_open: bool,
) -> list[Claim]:
    """All but whether enough waited; `is_open` where what is known does not tell that."""
    claims = [
        *_by_service(seen, episode, path),
        *tied_by_ids(traced),
        *apart_by_ids(seen, traced),
        mechanism(episode, is_guess=is_open or _is_guess(seen, episode)),
    ]
    claims += [
        claim_for(
            Aspect.MECHANISM,
            f"calls of {shift.service}.{shift.method} hung in that time: {shift.aggregate} rose "
            f"from {shift.baseline_p99_ms or 0:,.0f} to {shift.plateau_in_words}",
            shift.evidence,
            basis=Basis.INFERRED if is_open else Basis.OBSERVED,
        )
        for shift in seen.latency_shifts
        if shift.service == path.service
    ]
    claims += order_of_lock(seen, episode, traced)
    claims += [
        *_ended_by_deadlocks(episode),
        *_dose(seen, episode, path),
        *_starved(seen, episode, path),
    ]
    claims += recovery_of_lock(seen, episode)
    return [*claims, *_controls(seen, episode, path)]


def _by_service(seen: Observations, episode: LockEpisode, path: DependencyPath) -> list[Claim]:
    """The path by a service and its methods; none where only ids say what depends on it."""
    if not path.methods:
        return []
    slow = tuple(e for s in seen.latency_shifts if s.service == path.service for e in s.evidence)
    who = ", ".join(episode.waiter_applications) or "sessions without a name"
    return [
        claim_for(
            Aspect.PATH,
            f"{episode.relation} is behind {path.in_words}; all waiting sessions were of {who}",
            episode.peak_evidence,
            *(e.evidence for e in path.failing),
            slow,
            path.evidence,
            basis=path.basis,
        )
    ]


def _is_guess(seen: Observations, episode: LockEpisode) -> bool:
    """Whether that it held the lock then rests on what is likely, not on what was seen."""
    return episode.root_holder.mode_basis == "candidate" or is_last_seen_before(seen, episode)


def active_of(seen: Observations, episode: LockEpisode) -> tuple[datetime, datetime | None]:
    """When the lock made sessions wait; an end that is not recorded is its last sign.

    Of an end between two instants it is the middle, or when somebody still waited. It stays open
    only where its last sign is as late as its source can show.
    """
    start, end = episode.held_start, episode.held_end
    is_narrow = start.lo is not None and start.hi is not None and start.hi - start.lo <= NARROW
    begun = start.middle if is_narrow else start.hi or start.first
    if end.hi is not None:
        return begun, min(end.hi, max(end.middle, episode.waited_until or end.middle))
    last = max((at for at in (end.lo, episode.waited_until) if at is not None), default=None)
    covered = [s.covered.end for s in seen.sources_of(System.POSTGRES) if s.covered]
    is_open = last is None or (bool(covered) and last >= max(covered) - NARROW)
    return begun, None if is_open else last


def _too_few(seen: Observations, episode: LockEpisode, path: DependencyPath) -> list[Claim]:
    """A claim against a lock that far fewer statements waited for than requests failed meanwhile.

    One request waits once; a session whose caller gave up waits again for the next. Where the pool
    is full, or so many sessions wait that it may be, the others wait for a connection instead: then
    the numbers say nothing. Where nobody knows how large it is, a few may be all that it has: then
    they decide nothing.
    """
    limit = path_pool_size(seen, path)
    if episode.peak_waiters >= (MANY_WAITERS if limit is None else HALF_OF_POOL * limit):
        return []
    begun, until = active_of(seen, episode)
    failures = seen.failures_of(path.failing)
    meanwhile = failures[failures["at"] >= begun]
    if until is not None:
        meanwhile = meanwhile[meanwhile["at"] <= until]
    failed = len(meanwhile)
    if failed < FEWEST_FAILURES or episode.waits >= FEW_SHARE * failed:
        return []
    text = (
        f"only {counted(episode.waiters_total, 'session')} waited for it "
        f"({counted(episode.waits, 'wait')}) while {failed:,} requests of its path failed: "
    )
    cited = (episode.peak_evidence, *(e.evidence for e in path.failing))
    if limit is None:
        text += (
            f"how many connections {path.service} has is not recorded, so the others may have "
            "waited for one, or for something else"
        )
        return [claim_against(Aspect.ABSENCE, text, *cited)]
    text += "most of them waited for something else"
    return [claim_against(Aspect.MECHANISM, text, *cited)]


def _ended_by_deadlocks(episode: LockEpisode) -> list[Claim]:
    """Waits that the server ended as deadlocks are explained by these."""
    ended, known = episode.outcomes.get("deadlock", 0), sum(episode.outcomes.values())
    if not ended or 2 * ended < known:
        return []
    text = f"{ended} of the {known} waits whose end is logged were ended as deadlocks"
    return [claim_against(Aspect.DOSE, text, episode.end_evidence or episode.evidence)]


def _dose(seen: Observations, episode: LockEpisode, path: DependencyPath) -> list[Claim]:
    if seen.pool is None or seen.outage is None or seen.pool.exhausted_at.hi is None:
        return []
    failures = seen.tables.failures
    routes = {(e.method, e.route) for e in path.failing}
    early = failures[
        (failures["at"] >= seen.outage.start.lo) & (failures["at"] <= seen.pool.exhausted_at.hi)
    ]
    known = zip(early["method"], early["route"], strict=True)
    number = sum(1 for pair in known if pair in routes)
    if not number or abs(number - episode.peak_waiters) > DOSE_TOLERANCE * episode.peak_waiters:
        return []
    return [
        claim_for(
            Aspect.DOSE,
            f"{number} failing requests had arrived on this path when the pool was full, and "
            f"{episode.peak_waiters} sessions waited at the peak: one request, one waiting session",
            episode.peak_evidence,
            *(e.evidence for e in path.failing),
        )
    ]


def _starved(seen: Observations, episode: LockEpisode, path: DependencyPath | None) -> list[Claim]:
    start, end, cited = episode.held_start, episode.held_end, episode.peak_evidence
    return starved_meanwhile(
        seen, path, Moment(start, System.POSTGRES, cited), Moment(end, System.POSTGRES, cited)
    )


def _controls(seen: Observations, episode: LockEpisode, path: DependencyPath) -> list[Claim]:
    is_stated = seen.case.topology.is_stated
    apart = [
        e
        for e in seen.endpoints
        if e.impact is Impact.UNAFFECTED and e not in path.endpoints and is_stated
    ]
    claims = [
        claim_for(
            Aspect.CONTROL,
            f"{endpoint.name} does not depend on {episode.relation} and stayed as usual",
            endpoint.evidence,
            path.evidence,
        )
        for endpoint in apart
    ]
    if episode.bystander_evidence:
        pids = ", ".join(str(b.pid) for b in episode.bystanders)
        claims.append(
            claim_for(
                Aspect.CONTROL,
                f"pid {pids} held a lock on {episode.relation} as well, in a mode that conflicts "
                "with none of the waiters': it blocked nobody",
                episode.bystander_evidence,
            )
        )
    return claims
