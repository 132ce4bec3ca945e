"""What can be asked of Datadog, Prometheus and AWS about a window: each source as a Question."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from incident_rca.asking import Fetched, Outcome, Question
from incident_rca.model import TimeWindow
from incident_rca.model.services import AwsAccount, DatadogAccount, GatewayStage, PrometheusServer
from incident_rca.settings_services import Services
from incident_rca.sources.answers import Absent
from incident_rca.sources.clock import Clock
from incident_rca.sources.tally import Tally

if TYPE_CHECKING:
    from incident_rca.sources.log_collection import Shared

Ask = Callable[[TimeWindow, Tally], Outcome]
# Log lines and points come in late, most of them within minutes: what is younger may still grow.
PROVISIONAL = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What every source is asked with: the environment, the clock, and where to keep parts.

    `log` is what the user said of the servers' logs: `log_line_prefix`, `log_timezone`.
    """

    environ: Mapping[str, str]
    clock: Clock
    spool: Path
    log: Mapping[str, str] = field(default_factory=dict)

    def parts(self, name: str, window: TimeWindow) -> Path:
        """Where the parts of one answer wait: those of another window overlap them otherwise."""
        return self.spool / name / f"{window.start:%Y%m%dT%H%M%S}-{window.end:%Y%m%dT%H%M%S}"

    def question(self, name: str, kind: str, ask: Ask) -> Question:
        """A question whose answer counts into a tally of its own."""
        tally = Tally(self.clock)
        return Question(
            name=name,
            kind=kind,
            ask=lambda window: ask(window, tally),
            tally=tally,
            spool=self.spool / name,
            settles_after=PROVISIONAL,
        )


def questions_of(services: Services, asking: Asking) -> list[Question]:
    """One question a source; of what nobody named, one that says how to name it."""
    asked: list[Question] = []
    for account in services.datadog:
        asked += _datadog(account, asking)
    for server in services.prometheus:
        asked += _prometheus(server, asking)
    for cloud in services.aws:
        asked += _aws(cloud, asking)
    return [*asked, *_unnamed(services)]


def _unnamed(services: Services) -> Iterator[Question]:
    if not services.datadog and not services.prometheus:
        why = Absent(
            "the settings name neither Datadog nor Prometheus: no gRPC metrics were asked for",
            "name one: [[datadog]] or [[prometheus]] in incident-rca.toml; `init` writes one",
        )
        yield Question(name="datadog_metrics", kind="datadog_metrics", ask=lambda _: why)
    if not any(a.stages or a.access_logs or a.load_balancer_logs for a in services.aws):
        missing = Absent(
            "the settings name no API Gateway stage and no logs in S3: no requests were asked for",
            'name one: [[aws]] with stages = ["rest:ID/STAGE"] in incident-rca.toml',
        )
        yield Question(name="access_log", kind="access_log", ask=lambda _: missing)


# --- gRPC metrics -----------------------------------------------------------------------------


def _datadog(account: DatadogAccount, asking: Asking) -> Iterator[Question]:
    from incident_rca.sources import datadog

    for asked in datadog.asked_of(account, environ=asking.environ, clock=asking.clock):
        yield Question(
            name=asked.name,
            kind=asked.kind,
            ask=asked.ask,
            tally=asked.tally,
            settles_after=PROVISIONAL,
        )


def _prometheus(server: PrometheusServer, asking: Asking) -> Iterator[Question]:
    from incident_rca.sources import prometheus

    for part in (prometheus.latency, prometheus.counts, prometheus.pool):

        def ask(window: TimeWindow, tally: Tally, part: _Part = part) -> Outcome:
            return part(
                server,
                window,
                asked_at=asking.clock.now(),
                tally=tally,
                environ=asking.environ,
            )

        yield asking.question(f"{server.name}.{part.__name__}", "prometheus_metrics", ask)


_Part = Callable[..., Outcome]


# --- AWS --------------------------------------------------------------------------------------


def _aws(account: AwsAccount, asking: Asking) -> Iterator[Question]:
    from incident_rca.sources.log_collection import Shared

    shared = Shared()
    for stage in account.stages:
        yield from _stage(account, stage, shared, asking)
    for group in account.postgres_logs:
        yield _postgres(account, group, shared, asking)
    for place in account.access_logs:
        yield _bucket(account, place, "exported_log", asking)
    for place in account.load_balancer_logs:
        yield _bucket(account, place, "load_balancer_log", asking)


def _postgres(account: AwsAccount, group: str, shared: Shared, asking: Asking) -> Question:
    from incident_rca.sources import cloudwatch_logs

    name = f"{account.name}.{_plain(group)}.postgres"

    def ask(window: TimeWindow, tally: Tally) -> Outcome:
        found = cloudwatch_logs.postgres(
            shared, account, group, window, tally=tally, spool=asking.parts(name, window)
        )
        fetched = _file(found, name)
        # What CloudWatch's clock shows says nothing of the server's, which wrote the times.
        if isinstance(fetched, Fetched):
            return replace(fetched, clock_offset_seconds=None)
        return fetched

    return replace(asking.question(name, "cloudwatch_postgres_log", ask), reading=asking.log)


def _stage(
    account: AwsAccount, stage: GatewayStage, shared: Shared, asking: Asking
) -> Iterator[Question]:
    from incident_rca.sources import cloudwatch_logs as logs
    from incident_rca.sources import cloudwatch_metrics

    own = f"{account.name}.{_plain(f'{stage.api}-{stage.stage}')}"

    def insights(part: _Part) -> Ask:
        return lambda window, tally: part(shared, account, stage, window, tally=tally)

    def lines(part: Callable[..., Path | Absent], name: str, **beside: str) -> Ask:
        def ask(window: TimeWindow, tally: Tally) -> Outcome:
            spools = {key: asking.parts(other, window) for key, other in beside.items()}
            spool = asking.parts(name, window)
            return _file(
                part(shared, account, stage, window, tally=tally, spool=spool, **spools), name
            )

        return ask

    def metrics(window: TimeWindow, tally: Tally) -> Outcome:
        now = asking.clock.now()
        return cloudwatch_metrics.fetch(account, stage, window, asked_at=now, tally=tally)

    yield asking.question(f"{own}.counts", "gateway_counts", insights(logs.counts))
    yield asking.question(f"{own}.latency", "gateway_latency", insights(logs.latency))
    yield asking.question(f"{own}.baseline", "logs_insights", insights(logs.baseline))
    errors, execution = f"{own}.errors", f"{own}.execution"
    yield asking.question(errors, "cloudwatch_events", lines(logs.errors, errors))
    if stage.protocol != "http":
        ask = lines(logs.execution, execution, errors_spool=errors)
        yield asking.question(execution, "cloudwatch_events", ask)
    yield asking.question(f"{own}.metrics", "cloudwatch_metrics", metrics)


def _file(found: Path | Absent, name: str) -> Outcome:
    """A file of events as the answer, with the clock that its first line tells of."""
    from incident_rca.formats.lines import lines_of, object_of
    from incident_rca.formats.parsed import utc_instant

    if isinstance(found, Absent):
        return found
    header = object_of(next(lines_of(found), b"")) or {}
    bounds = header.get("clock_offset_seconds")
    return Fetched(
        {f"{name}.ndjson": found},
        (bounds[0], bounds[1]) if bounds else None,
        asked_at=utc_instant(header["asked_at"]),
    )


def _bucket(account: AwsAccount, place: str, kind: str, asking: Asking) -> Question:
    from incident_rca.sources import s3_logs

    name = f"{account.name}.{_plain(place.removeprefix('s3://'))}"

    def ask(window: TimeWindow, tally: Tally) -> Outcome:
        asked_at = asking.clock.now()
        client = s3_logs.client_of(account)
        try:
            found = s3_logs.fetch(
                account, place, window, client=client, tally=tally, spool=asking.spool / name
            )
        finally:
            client.close()
        if isinstance(found, Absent):
            return found
        return Fetched(found.files, found.clock_offset_seconds, found.damage, asked_at)

    return asking.question(name, kind, ask)


def _plain(text: str) -> str:
    """A text as part of a source's and a file's name.

    >>> _plain("/aws/rds/instance/orders/postgresql"), _plain("a1b2c3-$default")
    ('aws-rds-instance-orders-postgresql', 'a1b2c3-default')
    """
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")
