"""A case: its sources, topology and thresholds, as case.json holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from incident_rca.model.instants import TimeWindow
from incident_rca.model.words import Basis, SourceState, System


@dataclass(frozen=True, slots=True)
class RawFile:
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch in which a source recorded nothing, and why as far as it says."""

    window: TimeWindow
    reason: str = "nothing was recorded"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Rows of a source that lie within a day of each other, and more than that from the rest."""

    window: TimeWindow
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """What one source answered: `name` is unique in the case, `kind` is its format.

    `gaps` are stretches of the covered window in which it recorded nothing. `blind` says why it may
    have missed what it is there for, "" if it cannot have; `cannot_show` what its kind never shows,
    `lacks` which facts the format of these very files does not give.
    `clusters` are given where some of its rows lie more than a day from the others.
    `reading` is what the user said of the files that they do not say themselves. `console` says
    where its service shows the same: the `site` of Datadog, or `region` and `log_group` of AWS.
    """

    name: str
    system: System
    kind: str
    state: SourceState
    asked: TimeWindow | None = None
    covered: TimeWindow | None = None
    rows: int = 0
    unparsed: int = 0
    resolution_seconds: float | None = None
    clock_offset_seconds: tuple[float, float] = (-2.0, 2.0)
    clock_offset_basis: Basis = Basis.ASSUMED
    reason: str = ""
    hint: str = ""
    query: str = ""
    gaps: tuple[Gap, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    blind: str = ""
    cannot_show: str = ""
    lacks: tuple[str, ...] = ()
    reading: Mapping[str, str] = field(default_factory=dict, hash=False)
    console: Mapping[str, str] = field(default_factory=dict, hash=False)
    files: tuple[RawFile, ...] = ()

    @property
    def notes(self) -> str:
        """Why it is in its state and what it may have missed, "" where there is nothing to say."""
        return "; ".join(note for note in (self.reason, self.blind) if note)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service of the topology: its gRPC methods (`pkg.Service/Method`), tables and pool.

    `basis` is `inferred` where nobody has confirmed it yet, else `observed`: a person stated it.
    """

    name: str
    grpc: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    pool_size: int | None = None
    basis: Basis = Basis.OBSERVED


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A gateway route: the methods it `calls`, and routes whose success brings its traffic.

    `basis` as of Service.
    """

    method: str
    path: str
    calls: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    timeout_seconds: float | None = None
    basis: Basis = Basis.OBSERVED

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Topology:
    services: tuple[Service, ...] = ()
    routes: tuple[Route, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.services or self.routes)

    @property
    def is_stated(self) -> bool:
        """Whether people stated all of it: only then does what it leaves out not exist."""
        bases = [*(s.basis for s in self.services), *(r.basis for r in self.routes)]
        return bool(bases) and set(bases) == {Basis.OBSERVED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """The settings that a verdict depends on; they travel with the case.

    A client deadline above `plausible_deadline_seconds` is not plausible for a call that a user
    waits for; a table of `large_table_rows` or more is too large for an index build that blocks.
    """

    plausible_deadline_seconds: float = 5.0
    large_table_rows: int = 100_000


# Each bound of a rollup's latency buckets is so many times the one below it, as in
# queries/rollup/access_log.sql.
BUCKET_GROWTH = 1.02
# A log that covers a window has its first and its last request this near to its ends.
NEAR_THE_EDGE = timedelta(minutes=1)
# What the reason of a partial source says whose requests may stand in another source as well.
COUNTED_TWICE = "may be counted twice"
# What holds each request of a window, or their counts; what a load balancer logs stands in for it.
_GATEWAY_LOGS = frozenset(
    {"access_log", "exported_log", "concatenated_log", "gateway_counts", "gateway_rollup"}
)
# A load balancer's log, which is read in the place of a gateway's that is not there.
LOAD_BALANCER_LOGS = frozenset({"load_balancer_log", "load_balancer_rollup"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The manifest of a case folder (case.json).

    `user_ids` are patterns of what names a user; reports show a number in its place.
    """

    id: str
    title: str
    window: TimeWindow
    window_basis: str = ""
    topology: Topology = Topology()
    thresholds: Thresholds = Thresholds()
    sources: tuple[SourceStatus, ...] = ()
    user_ids: tuple[str, ...] = ()
    note: str = ""
    tool_version: str = ""

    @property
    def gateway_logs(self) -> tuple[SourceStatus, ...]:
        """The sources that answered and know all requests of the window, failed or not."""
        there = (SourceState.OK, SourceState.EMPTY, SourceState.PARTIAL)
        answered = [s for s in self.sources if s.state in there]
        logs = [s for s in answered if s.kind in _GATEWAY_LOGS]
        return tuple(logs or (s for s in answered if s.kind in LOAD_BALANCER_LOGS))

    @property
    def recorded(self) -> TimeWindow | None:
        """The part of the window whose requests the gateway's logs hold; None where no part is.

        An end of theirs that is near to one of the window is taken for it.
        """
        met = self._recorded_parts
        if met is None:
            return self.window if self.gateway_logs else None
        if not met:
            return None
        start, end = met[0].start, max(c.end for c in met)
        if start - self.window.start <= NEAR_THE_EDGE:
            start = self.window.start
        if self.window.end - end <= NEAR_THE_EDGE:
            end = self.window.end
        return TimeWindow(start, end)

    @property
    def is_recorded_whole(self) -> bool:
        """Whether the gateway's logs leave out no stretch of the window that is worth telling."""
        if self.recorded != self.window:
            return False
        parts = self._recorded_parts or ()
        reached = self.window.start
        for part in parts:
            if part.start - reached > NEAR_THE_EDGE:
                return False
            reached = max(reached, part.end)
        return True

    @property
    def _recorded_parts(self) -> tuple[TimeWindow, ...] | None:
        """What the logs cover that meets the window, in order; None where none of them says."""
        covered = [s.covered for s in self.gateway_logs if s.covered]
        if not covered:
            return None
        met = (c for c in covered if c.start < self.window.end and c.end > self.window.start)
        return tuple(sorted(met, key=lambda c: (c.start, c.end)))

    @property
    def was_log_read(self) -> bool:
        """Whether any log of requests could be read: else none is known to have failed or not.

        Counts of a baseline say nothing of the window.
        """
        return any(s.state is not SourceState.EMPTY for s in self.gateway_logs)
