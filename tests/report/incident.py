"""A small analysis built by hand, and ways to vary it."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from incident_rca.model import (
    Analysis,
    Answer,
    Aspect,
    Baseline,
    Basis,
    Case,
    Claim,
    Contradiction,
    EndpointImpact,
    ErrorBurst,
    ErrorType,
    Event,
    Evidence,
    Finding,
    Hypothesis,
    Impact,
    Incident,
    Kind,
    LatencyShift,
    LockEpisode,
    Phase,
    PoolState,
    Question,
    RawFile,
    Role,
    Session,
    Severity,
    SourceState,
    SourceStatus,
    Span,
    Stance,
    Starvation,
    State,
    Stretch,
    System,
    TimeWindow,
    Topology,
    Verdict,
)

HOSTILE = (
    "# Root cause\n| --- | --- |\n\x1b[31mred\x1b[0m \u202eevil\u2066 `code` ```` fence\n```\n"
    "<script>alert(1)</script> <!-- incident-rca:end summary --> [a](javascript:alert(1)) "
    "![i](http://evil.example/x.png) https://evil.example/_a_?b=*c* @everyone &lt; &#60; a|b \\| "
    "*bold* __init__ ~~gone~~ $x$ {{ 7 * 7 }} {% raw %}\n- [ ] task\n1. one\n===\n---\n\x00\x07"
    "\n<!-- incident-rca:begin summary sha256:00000000 -->\n[L1]: javascript:x\n" + "long " * 400
)


def at(clock: str, day: int = 15) -> datetime:
    """An instant of the incident's month, by its time of day."""
    return datetime.fromisoformat(f"2026-01-{day:02}T{clock}").replace(tzinfo=UTC)


def span(lo: str, hi: str | None = None) -> Span:
    return Span(at(lo), at(hi or lo))


def seen(
    system: System, source: str, when: Span, what: str, file: str, rows: tuple[int, int] | None
) -> Evidence:
    return Evidence(
        system=system,
        source=source,
        at=when,
        seen=what,
        file=file,
        rows=rows,
        excerpt=(f"{rows[0]}: mode=[red]{what}[/red]",) if rows else (),
    )


LOCKS, METRICS, GATEWAY = System.POSTGRES, System.GRPC_METRICS, System.GATEWAY
RECORDING = "raw/locks.ndjson"
HOLDER = seen(
    LOCKS,
    "lock recording",
    span("14:23:00", "14:23:01"),
    "PID 48291 holds ShareLock on public.stock_reservations",
    RECORDING,
    (781, 781),
)
WAITERS = seen(
    LOCKS,
    "lock recording",
    span("14:23:46"),
    "100 sessions wait for RowExclusiveLock",
    RECORDING,
    (826, 925),
)
RELEASE = seen(
    LOCKS,
    "lock recording",
    span("14:27:00", "14:27:01"),
    "no session waits any more",
    RECORDING,
    (9001, 9001),
)
IDLE = seen(
    LOCKS,
    "lock recording",
    Span(at("14:27:01"), at("14:46:48")),
    "100 sessions of inventory idle in transaction",
    RECORDING,
    (9002, 10189),
)
PLATEAU = seen(
    METRICS,
    "grpc p99",
    span("14:23:20", "14:23:40"),
    "p99 of Reserve at 30,000 ms",
    "raw/p99.json",
    (79, 81),
)
CODES = seen(
    METRICS,
    "grpc counts",
    span("14:23:30", "14:46:50"),
    "UNAVAILABLE 100, INTERNAL 1,147",
    "raw/codes.json",
    (80, 220),
)
POOL = seen(
    METRICS,
    "pool gauge",
    span("14:23:40", "14:23:50"),
    "100 of 100 used, 12 pending",
    "raw/pool.json",
    (82, 220),
)
FIRST = seen(
    GATEWAY,
    "access log",
    span("14:23:01"),
    "first 502 on POST /api/orders",
    "raw/access.ndjson.gz",
    (48112, 48112),
)
LAST = seen(
    GATEWAY,
    "access log",
    span("14:46:18"),
    "last 502 on POST /api/orders",
    "raw/access.ndjson.gz",
    (61020, 61020),
)
READS = seen(
    GATEWAY,
    "access log",
    span("14:23:47", "14:46:10"),
    "310 of 402 reads of stock failed",
    "raw/access.ndjson.gz",
    (49001, 61000),
)
QUIET = seen(
    GATEWAY,
    "access log",
    span("14:23:01", "14:46:18"),
    "no failure on GET /api/orders/{id}",
    "raw/access.ndjson.gz",
    (48112, 61020),
)
BEFORE = seen(
    GATEWAY,
    "gateway 24 h",
    Span(at("14:10:00", 14), at("14:10:00")),
    "no 502 in 312,440 records",
    "raw/insights.json",
    (1, 96),
)
BLIP = seen(
    GATEWAY,
    "access log",
    span("14:13:10"),
    "two 503 on GET /api/orders/{id}",
    "raw/access.ndjson.gz",
    (3000, 3001),
)
MIGRATION = seen(
    System.CHANGES,
    "changes",
    span("14:22:58"),
    "migration 0042 started",
    "raw/changes.json",
    (1, 1),
)
DEPLOY = seen(
    System.CHANGES, "changes", span("14:05:00"), "deploy of search", "raw/changes.json", (2, 2)
)
AUDIT = seen(
    LOCKS,
    "lock recording",
    span("14:30:00", "14:30:02"),
    "PID 50011 holds AccessExclusiveLock on public.audit_log",
    RECORDING,
    (9300, 9301),
)
TOPOLOGY = seen(
    System.SETTINGS,
    "topology",
    span("14:10:00", "14:55:00"),
    "orders calls inventory.Inventory/Reserve",
    "case.json",
    None,
)
ALL = (
    HOLDER,
    WAITERS,
    RELEASE,
    IDLE,
    PLATEAU,
    CODES,
    POOL,
    FIRST,
    LAST,
    READS,
    QUIET,
    BEFORE,
    BLIP,
    MIGRATION,
    DEPLOY,
    AUDIT,
    TOPOLOGY,
)


def claim(text: str, aspect: Aspect, *evidence: Evidence, against: bool = False) -> Claim:
    return Claim(
        text=text,
        stance=Stance.AGAINST if against else Stance.FOR,
        aspect=aspect,
        basis=Basis.OBSERVED,
        evidence=evidence,
    )


def session(pid: int, application: str, mode: str, state: str, statement: str) -> Session:
    return Session(
        pid=pid,
        application=application,
        mode=mode,
        state=state,
        statement=statement,
        statement_basis="running",
    )


def _hypotheses() -> tuple[Hypothesis, ...]:
    table = "inventory.public.stock_reservations"
    return (
        Hypothesis(
            id="H1",
            rank=1,
            kind=Kind.LOCK_BLOCKING,
            object=table,
            role=Role.TRIGGER,
            verdict=Verdict.SUPPORTED,
            statement=(
                "CREATE INDEX (PID 48291) held a SHARE lock, which blocks writes, on "
                "public.stock_reservations for 240 s"
            ),
            claims=(
                claim(
                    "orders calls inventory.Inventory/Reserve, which writes to the table",
                    Aspect.PATH,
                    TOPOLOGY,
                    PLATEAU,
                    FIRST,
                ),
                claim(
                    "ShareLock conflicts with the RowExclusiveLock of 100 waiters",
                    Aspect.MECHANISM,
                    HOLDER,
                    WAITERS,
                ),
                claim(
                    "The lock was taken before the first failing call ended",
                    Aspect.ORDER,
                    HOLDER,
                    PLATEAU,
                ),
                claim(
                    "Failures went on for 1,157 s after the lock was released",
                    Aspect.RECOVERY,
                    RELEASE,
                    LAST,
                    against=True,
                ),
            ),
            explains_seconds=240.0,
            confirm_by="Build the same index on a copy under write load and watch pg_locks",
        ),
        Hypothesis(
            id="H2",
            rank=2,
            kind=Kind.POOL_EXHAUSTION,
            object="inventory",
            role=Role.SUSTAINER,
            verdict=Verdict.SUPPORTED,
            statement=(
                "100 sessions of inventory stayed idle in transaction, so no connection came free"
            ),
            claims=(
                claim("The pool gauge stood at 100 of 100", Aspect.MECHANISM, POOL),
                claim("The 100 sessions were idle in transaction each second", Aspect.PATH, IDLE),
            ),
            explains_seconds=1157.0,
            confirm_by="Look for a missing rollback when a caller goes away",
        ),
        Hypothesis(
            id="H3",
            rank=3,
            kind=Kind.MISSING_DEADLINE,
            object="inventory.Inventory/Reserve",
            role=Role.CONTRIBUTING,
            verdict=Verdict.WEAK,
            statement="No client deadline below 30 s acted",
            claims=(claim("No DEADLINE_EXCEEDED among 1,247 calls", Aspect.ABSENCE, CODES),),
            confirm_by="Read the client's call options",
        ),
        Hypothesis(
            id="H4",
            rank=4,
            kind=Kind.CHANGE,
            object="migration 0042",
            role=Role.CONTRIBUTING,
            verdict=Verdict.WEAK,
            statement="The migration started 3 s before the first failure",
            claims=(claim("It started at 14:22:58", Aspect.ORDER, MIGRATION),),
        ),
        Hypothesis(
            id="H5",
            rank=5,
            kind=Kind.LOCK_BLOCKING,
            object="inventory.public.audit_log",
            role=Role.COINCIDENT,
            verdict=Verdict.INSUFFICIENT,
            statement="A lock on audit_log lasted 2 s; no failing route uses that table",
            claims=(
                claim(
                    "Nothing leads from audit_log to the failing routes",
                    Aspect.PATH,
                    AUDIT,
                    against=True,
                ),
            ),
        ),
    )


def _endpoint(
    method: str,
    route: str,
    requests: int,
    failed: int,
    impact: Impact,
    *evidence: Evidence,
    **more: Any,
) -> EndpointImpact:
    given = {
        "by_status": {502: failed} if failed else {},
        "first_failure": at("14:23:01") if failed else None,
        "last_failure": at("14:46:18") if failed else None,
        "baseline_per_minute": 53.2,
        "incident_per_minute": 53.557,
        "p99_ms": 30004.0 if failed else 48.0,
        "baseline_p99_ms": 51.0,
    } | more
    return EndpointImpact(
        method=method,
        route=route,
        requests=requests,
        failed=failed,
        is_failing=bool(failed),
        impact=impact,
        evidence=evidence,
        **given,
    )


def _endpoints() -> tuple[EndpointImpact, ...]:
    return (
        _endpoint("POST", "/api/orders", 1247, 1247, Impact.FAILED, FIRST, LAST),
        _endpoint(
            "GET",
            "/api/inventory/{sku}",
            402,
            310,
            Impact.DEGRADED,
            READS,
            by_status={504: 310, 200: 92},
            p99_ms=29001.0,
        ),
        _endpoint(
            "POST",
            "/api/payments/intent",
            0,
            0,
            Impact.STARVED,
            QUIET,
            incident_per_minute=0.0,
            p99_ms=None,
        ),
        _endpoint("GET", "/api/orders/{id}", 2231, 0, Impact.UNAFFECTED, QUIET),
    )


def _error(kind: str, status: int, count: int, *evidence: Evidence) -> ErrorType:
    return ErrorType(
        type=kind,
        status=status,
        count=count,
        share=count / 1557,
        seen_in=("access",),
        evidence=evidence,
    )


def _events() -> tuple[Event, ...]:
    def event(kind: str, title: str, evidence: Evidence) -> Event:
        return Event(
            at=evidence.at,
            system=evidence.system,
            source=evidence.source,
            kind=kind,
            title=title,
            evidence=(evidence,),
        )

    told = [
        event("change", "Deploy of search finished", DEPLOY),
        event("blip", "Two 503 on GET /api/orders/{id}, outside the outage", BLIP),
        event("change", "Migration 0042 started", MIGRATION),
        event("lock_held", "CREATE INDEX takes ShareLock on public.stock_reservations", HOLDER),
        event("failure_first", "First 502 on POST /api/orders", FIRST),
        event("latency_onset", "Reserve stops answering within 30 s", PLATEAU),
        event("pool_full", "Pool of inventory full: 100 of 100", POOL),
        event("lock_queue", "100 sessions wait for the lock", WAITERS),
        event("failure_first", "First 504 on GET /api/inventory/{sku}", READS),
        event("lock_released", "Lock released; the 100 sessions stay idle in transaction", RELEASE),
        event("lock_held", "Another lock: public.audit_log, 2 s", AUDIT),
        event("failure_last", "Last 502 on POST /api/orders", LAST),
    ]
    return tuple(told)


def _source(
    name: str, system: System, kind: str, file: str, rows: int, **more: Any
) -> SourceStatus:
    window = TimeWindow(at("14:10:00"), at("14:55:00"))
    given: dict[str, Any] = {
        "state": SourceState.OK,
        "asked": window,
        "covered": window,
        "clock_offset_seconds": (-0.5, 0.5),
        "clock_offset_basis": Basis.OBSERVED,
    } | more
    return SourceStatus(
        name=name, system=system, kind=kind, rows=rows, files=(RawFile(file, "ab" * 32),), **given
    )


def _case() -> Case:
    return Case(
        id="INC-2847",
        title="Orders fail while an index is built on stock_reservations",
        window=TimeWindow(at("14:10:00"), at("14:55:00")),
        window_basis="given on the command line",
        topology=Topology(),
        sources=(
            _source("access log", GATEWAY, "access_log", "raw/access.ndjson.gz", 66120, unparsed=5),
            _source(
                "gateway 24 h",
                GATEWAY,
                "logs_insights",
                "raw/insights.json",
                96,
                query="stats count(*) by bin(1h), status",
                covered=TimeWindow(at("14:10:00", 14), at("14:10:00")),
                resolution_seconds=3600.0,
            ),
            _source(
                "lock recording",
                LOCKS,
                "lock_recording",
                RECORDING,
                10211,
                resolution_seconds=1.0,
                clock_offset_seconds=(-0.05, 0.05),
            ),
            _source(
                "grpc p99",
                METRICS,
                "datadog_answer",
                "raw/p99.json",
                270,
                resolution_seconds=10.0,
                query="p99:grpc.client.duration{service:orders}",
                clock_offset_seconds=(-1.0, 1.0),
            ),
            _source(
                "grpc counts",
                METRICS,
                "datadog_answer",
                "raw/codes.json",
                540,
                resolution_seconds=10.0,
            ),
            _source(
                "pool gauge",
                METRICS,
                "datadog_answer",
                "raw/pool.json",
                270,
                resolution_seconds=10.0,
            ),
            _source("changes", System.CHANGES, "changes", "raw/changes.json", 3),
        ),
        note="reconstructed from the incident document, not recorded",
        tool_version="0.1.0",
    )


def _lock_episode() -> LockEpisode:
    return LockEpisode(
        database="inventory",
        relation="public.stock_reservations",
        root_holder=session(
            48291,
            "migrate",
            "ShareLock",
            "active",
            "CREATE INDEX idx_reservations_expiry ON stock_reservations (expires_at)",
        ),
        queue_amplifiers=(
            session(
                48400,
                "admin",
                "AccessExclusiveLock",
                "active",
                "ALTER TABLE stock_reservations ADD COLUMN note text",
            ),
        ),
        waiter_modes=("RowExclusiveLock",),
        waiter_applications=("inventory",),
        held_start=span("14:23:00", "14:23:01"),
        held_end=span("14:27:00", "14:27:01"),
        peak_waiters=100,
        peak_at=span("14:23:46"),
        waiters_total=100,
        waiter_seconds=21750.5,
        bystanders=(
            session(
                47001,
                "report",
                "AccessShareLock",
                "idle in transaction",
                "SELECT count(*) FROM stock_reservations",
            ),
        ),
        evidence=(HOLDER, WAITERS, RELEASE),
    )


def _findings() -> tuple[Finding, ...]:
    return (
        Finding(
            rule="no-deadline-acted",
            severity=Severity.CRITICAL,
            statement=(
                "No call to inventory.Inventory/Reserve ended by a deadline; 1,247 calls lasted "
                "30 s"
            ),
            remedy="Set a deadline of a few seconds on each call to inventory.Inventory/Reserve",
            evidence=(CODES, PLATEAU),
        ),
        Finding(
            rule="no-breaker-acted",
            severity=Severity.HIGH,
            statement=(
                "No fast failures in 1,397 s: nothing stopped calling a service that did not answer"
            ),
            remedy="Stop calling after repeated failures, and answer at once",
            evidence=(CODES,),
        ),
        Finding(
            rule="blocking-index-build",
            severity=Severity.MEDIUM,
            statement="An index on a table of 4.2 million rows was built without CONCURRENTLY",
            remedy="Use CREATE INDEX CONCURRENTLY, and set lock_timeout",
            evidence=(HOLDER,),
        ),
    )


def _states() -> tuple[Stretch, ...]:
    lock, pool, *_ = _hypotheses()
    held = {
        Question.LOCK_HELD: ("public.stock_reservations", None, HOLDER),
        Question.WAITERS: ("public.stock_reservations", 100.0, HOLDER),
    }
    full = {
        Question.POOL_FULL: ("inventory: 100 of 100", 100.0, POOL),
        Question.CALLS_HUNG: ("inventory.Reserve", None, PLATEAU),
        Question.METHODS_SLOW: ("inventory.Reserve", None, PLATEAU),
        Question.FAILURES: ("", 1.1, FIRST),
    }

    def stretch(start: str, end: str, cause: Hypothesis, *, is_watched: bool) -> Stretch:
        yes = held | full if is_watched else full
        return Stretch(
            incident=1,
            start=at(start),
            end=at(end),
            seconds=(at(end) - at(start)).total_seconds(),
            cause=cause,
            states=tuple(
                State(
                    question=q,
                    answer=Answer.YES if q in yes else Answer.NOT_RECORDED,
                    detail=yes[q][0] if q in yes else "",
                    number=yes[q][1] if q in yes else None,
                    evidence=(yes[q][2] if q in yes else IDLE,),
                )
                for q in Question
            ),
        )

    return (
        stretch("14:23:01", "14:27:01", lock, is_watched=True),
        stretch("14:27:01", "14:46:18", pool, is_watched=False),
    )


def reference() -> Analysis:
    ids = {e.digest: e.letter + e.digest[:4] for e in ALL}
    return Analysis(
        case=_case(),
        outage=ErrorBurst(
            start=span("14:23:01"),
            onset=span("14:22:59", "14:23:01"),
            end=span("14:46:18"),
            duration_seconds=1397.0,
            ongoing=False,
            failures=1557,
            blips=(BLIP,),
            evidence=(FIRST, LAST),
        ),
        baselines=(
            Baseline(
                start=at("14:10:00", 14),
                end=at("14:10:00"),
                source="gateway 24 h",
                records=312440,
                failures_by_status={502: 0, 503: 7},
                evidence=(BEFORE,),
            ),
            Baseline(
                start=at("14:10:00"),
                end=at("14:23:01"),
                source="access log",
                records=6120,
                failures_by_status={503: 2},
                evidence=(BLIP,),
            ),
        ),
        requests=3880,
        failed_requests=1557,
        endpoints=_endpoints(),
        error_types=(
            _error("INTEGRATION_FAILURE", 502, 1247, FIRST),
            _error("INTEGRATION_TIMEOUT", 504, 310, READS),
        ),
        lock_episodes=(_lock_episode(),),
        latency_shifts=(
            LatencyShift(
                service="inventory",
                method="Reserve",
                metric="grpc.client.duration",
                unit="ms",
                baseline_p99_ms=18.25,
                peak_ms=30012.0,
                plateau_ms=30000.0,
                onset=span("14:22:50", "14:23:10"),
                offset=span("14:46:10", "14:46:20"),
                censored=True,
                status_counts={"UNAVAILABLE": 100, "INTERNAL": 1147, "OK": 900},
                evidence=(PLATEAU, CODES),
            ),
        ),
        pool=PoolState(
            owner="inventory",
            size=100,
            size_basis="topology and gauge",
            exhausted_at=span("14:23:40", "14:23:50"),
            exhausted_until=span("14:46:40", "14:46:50"),
            fill_seconds=45.0,
            arrival_per_second=2.2222222,
            consistent=False,
            note=(
                "2.222 calls a second that end after 30 s hold 66.7 connections, not 100: some "
                "stayed held after their callers were cut off"
            ),
            evidence=(POOL, FIRST),
        ),
        starvations=(
            Starvation(
                method="POST",
                route="/api/payments/intent",
                onset=span("14:23:02", "14:23:20"),
                offset=span("14:46:19", "14:46:40"),
                requests=0,
                usual_per_minute=21.4,
                per_minute=0.0,
                evidence=(QUIET,),
            ),
        ),
        timeline=_events(),
        phases=(
            Phase(name="lead_up", start=at("14:10:00"), end=at("14:23:00"), evidence=(BEFORE,)),
            Phase(name="trigger", start=at("14:23:00"), end=at("14:23:01"), evidence=(HOLDER,)),
            Phase(name="propagation", start=at("14:23:01"), end=at("14:23:46"), evidence=(POOL,)),
            Phase(name="sustained", start=at("14:23:46"), end=at("14:46:48"), evidence=(IDLE,)),
            Phase(name="recovery", start=at("14:46:48"), end=None, evidence=(LAST,)),
        ),
        hypotheses=_hypotheses(),
        unexplained_seconds=0.0,
        states=_states(),
        contradictions=(
            Contradiction(
                statement=(
                    "A SHARE lock does not block reads, yet reads of stock failed from 14:23:47 on"
                ),
                evidence=(HOLDER, READS),
            ),
            Contradiction(
                statement=(
                    "A gateway that gives up on a hung backend logs 504; orders ended with 502"
                ),
                evidence=(FIRST,),
            ),
        ),
        findings=_findings(),
        questions=(
            "Which step turned a timeout into a 502?",
            "Was a deadline configured and not applied?",
        ),
        evidence=ALL,
        evidence_ids=ids,
    )


# The program's own words in its types, which no log or setting can change.
OWN_WORDS: tuple[tuple[type, str], ...] = (
    (Event, "kind"),
    (Finding, "rule"),
    (Hypothesis, "id"),
    (Phase, "name"),
    (RawFile, "sha256"),
)


def spoiled(value: Any, text: str) -> Any:
    """`value` with `text` for each string that is none of the program's own."""
    if isinstance(value, Enum | datetime | timedelta | Evidence):
        return value
    if isinstance(value, str):
        return text if value else value
    if isinstance(value, tuple):
        return tuple(spoiled(item, text) for item in value)
    if isinstance(value, dict):
        return {(spoiled(k, text) if len(value) == 1 else k): v for k, v in value.items()}
    if not is_dataclass(value):
        return value
    kept = {name for kind, name in OWN_WORDS if isinstance(value, kind)}
    given = {
        f.name: spoiled(getattr(value, f.name), text) for f in fields(value) if f.name not in kept
    }
    made: Any = value
    return replace(made, **given)


def hostile_from(analysis: Analysis, text: str) -> Analysis:
    """`analysis` with `text` in every field that may carry text from logs or settings."""
    bad = {
        e.digest: replace(
            e,
            seen=f"{n} {text}",
            source=text,
            file=text,
            excerpt=tuple(f"{row} {text}" for row in e.excerpt),
        )
        for n, e in enumerate(analysis.evidence)
    }

    def moved(value: Any) -> Any:
        if isinstance(value, Evidence):
            return bad[value.digest]
        if isinstance(value, tuple):
            return tuple(moved(item) for item in value)
        if not is_dataclass(value):
            return value
        made: Any = value
        return replace(made, **{f.name: moved(getattr(made, f.name)) for f in fields(made)})

    ids = {bad[digest].digest: short for digest, short in analysis.evidence_ids.items()}
    given = {
        f.name: moved(spoiled(getattr(analysis, f.name), text))
        for f in fields(analysis)
        if f.name not in ("evidence", "evidence_ids")
    }
    return replace(analysis, evidence=tuple(bad.values()), evidence_ids=ids, **given)


def about_another_outage(analysis: Analysis) -> Analysis:
    """The analysis as if all its hypotheses were about a second outage, none about the first."""
    assert analysis.outage is not None
    other = Incident(
        number=2,
        outage=replace(analysis.outage, start=span("14:50:00"), end=span("14:51:00")),
        requests=60,
        failed_requests=60,
        endpoints=(),
        error_types=(),
        unexplained_seconds=0.0,
    )
    return replace(
        analysis,
        other_incidents=(other,),
        hypotheses=tuple(replace(h, incident=2) for h in analysis.hypotheses),
    )
