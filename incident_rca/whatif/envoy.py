"""Envoy's outlier detection by the rules of its documentation.

Tests see its main rules in a running Envoy; it is not compared event by event.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from incident_rca.whatif.breakers import FULL
from incident_rca.whatif.virtual_time import VirtualTime


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyOptions:
    """The fields of OutlierDetection that decide who is refused, with Envoy's defaults.

    `hosts` are the endpoints of the cluster, which share the pool. With fewer healthy ones than
    `healthy_panic_percent`, Envoy calls them all, ejected or not. Ejections by success rate and
    failure percentage are left out: they need five hosts of which some differ from the others,
    which hosts that share one pool do not. A change of health that comes within
    `update_merge_window` of the last one is told to those who choose a host that much later.
    """

    consecutive_5xx: int = 5
    interval_ms: int = 10_000
    base_ejection_time_ms: int = 30_000
    max_ejection_time_ms: int = 300_000
    max_ejection_percent: int = 10
    always_eject_one_host: bool = False
    hosts: int = 1
    healthy_panic_percent: int = 50
    update_merge_window_ms: int = 1_000


@dataclass(slots=True)
class _Host:
    failures_in_a_row: int = 0
    ejected_at: int | None = None
    returned_at: int | None = None
    times: int = field(default=0)


class Envoy:
    """The outlier detection of one cluster: a call goes to the next host that is not ejected.

    A host is ejected at once, and returns at a sweep. It refuses a call only where all hosts are
    ejected, which needs `max_ejection_percent` 100 and no panic threshold.
    """

    __slots__ = ("_called", "_clock", "_hosts", "_next", "_options", "_telling", "_told_at")

    def __init__(self, clock: VirtualTime, options: EnvoyOptions) -> None:
        self._clock = clock
        self._options = options
        self._hosts = [_Host() for _ in range(options.hosts)]
        self._called = self._hosts
        self._next = 0
        self._told_at: int | None = None
        self._telling = False
        clock.at(clock.now + options.interval_ms, self._sweep)

    def admit(self) -> object | None:
        if not self._called:
            return None
        self._next += 1
        return self._called[self._next % len(self._called)]

    def succeeded(self, ticket: object) -> None:
        assert isinstance(ticket, _Host)
        ticket.failures_in_a_row = 0

    def decides_alike(self, options: object) -> bool:
        return options == self._options

    def failed(self, ticket: object, outcome: str) -> None:
        assert isinstance(ticket, _Host)
        if outcome == FULL:
            # Refused by the cluster's own limit: no host has answered.
            return
        ticket.failures_in_a_row += 1
        if ticket.failures_in_a_row >= self._options.consecutive_5xx and ticket.ejected_at is None:
            self._eject(ticket)
            ticket.failures_in_a_row = 0

    def _eject(self, host: _Host) -> None:
        options = self._options
        ejected = sum(1 for other in self._hosts if other.ejected_at is not None)
        allowed = 100 * (ejected + 1) <= options.max_ejection_percent * len(self._hosts)
        if allowed or (options.always_eject_one_host and not ejected):
            host.ejected_at = self._clock.now
            if host.times * options.base_ejection_time_ms < (
                options.max_ejection_time_ms + options.base_ejection_time_ms
            ):
                host.times += 1
            self._changed()

    def _changed(self) -> None:
        """The health of a host changed: those who choose hear of it now, or with the next ones."""
        now, window = self._clock.now, self._options.update_merge_window_ms
        if not window or self._told_at is None or now - self._told_at > window:
            self._tell()
        elif not self._telling:
            self._telling = True
            self._clock.at(now + window, self._tell)

    def _tell(self) -> None:
        hosts = self._hosts
        healthy = [host for host in hosts if host.ejected_at is None]
        is_panic = 100 * len(healthy) < self._options.healthy_panic_percent * len(hosts)
        self._called = hosts if is_panic else healthy
        self._told_at = self._clock.now
        self._telling = False

    def _sweep(self) -> None:
        """Hosts whose time is over return; those that stay healthy are soon trusted again."""
        now, options = self._clock.now, self._options
        for host in self._hosts:
            if host.ejected_at is not None:
                stays = min(
                    options.base_ejection_time_ms * host.times, options.max_ejection_time_ms
                )
                if now - host.ejected_at >= stays:
                    host.ejected_at, host.returned_at, host.failures_in_a_row = None, now, 0
                    self._changed()
            if host.ejected_at is None and host.returned_at is not None and host.times:
                if now - host.returned_at >= options.interval_ms:
                    host.times -= 1
        self._clock.at(now + options.interval_ms, self._sweep)
