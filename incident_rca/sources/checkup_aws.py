"""The check-up of an AWS account: may its logs and metrics be read, and what could they tell?

Each permission is tried by a question so small that it costs nothing; what is refused names the IAM
action that is missing. Nothing here needs more rights than collecting does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from incident_rca.errors import Unreachable
from incident_rca.formats.access_log.stage_format import compile_format
from incident_rca.model import TimeWindow
from incident_rca.model.checkup import Check, CheckState, Checkup, PastSource
from incident_rca.model.services import AwsAccount, GatewayStage
from incident_rca.redact import plain
from incident_rca.sources import checkup_aws_logs as logs
from incident_rca.sources import cloudwatch_metrics
from incident_rca.sources.access_log_queries import queries_of
from incident_rca.sources.answers import Absent
from incident_rca.sources.aws_client import Refusal
from incident_rca.sources.checkup_aws_s3 import check_place
from incident_rca.sources.checkup_held import (
    CHECKUP_SECONDS,
    clock_check,
    held,
    refused,
    throttled_check,
)
from incident_rca.sources.clock import Clock
from incident_rca.sources.clock_offset import ClockOffset
from incident_rca.sources.gateway_stages import StageLogs, read_stage
from incident_rca.sources.log_collection import calling
from incident_rca.sources.rate_limit import OF_THIS_PROCESS, Paces
from incident_rca.sources.tally import Tally

# Whoever asks is refused, or nothing can be asked at all: another question would fare the same.
_NOBODY = frozenset(
    "NoCredentialsError PartialCredentialsError SSOTokenLoadError UnauthorizedSSOTokenError "
    "TokenRetrievalError CredentialRetrievalError ProfileNotFound "
    "ExpiredToken ExpiredTokenException TokenRefreshRequired InvalidToken InvalidAccessKeyId "
    "UnrecognizedClientException InvalidClientTokenId InvalidSignatureException "
    "SignatureDoesNotMatch IncompleteSignature MissingAuthenticationToken "
    "MissingAuthenticationTokenException RequestTimeTooSkewed".split()
)
_NOWHERE = frozenset({"NoRegionError", "InvalidRegionError"})
Found = Iterator[Check | PastSource]


@dataclass(slots=True)
class _Asked:
    """One account while it is checked; `has_answered` once a service has said anything to us."""

    account: AwsAccount
    window: TimeWindow
    tally: Tally
    paces: Paces
    checks: list[Check] = field(default_factory=list)
    past: list[PastSource] = field(default_factory=list)
    offset: ClockOffset = field(default_factory=ClockOffset)
    offsets: list[tuple[float, float]] = field(default_factory=list)
    has_answered: bool = False

    def take(self, name: str, ask: Callable[[], Found]) -> None:
        """Takes what `ask` finds and, if it is refused, that; raises where all else would be."""
        try:
            for found in ask():
                if isinstance(found, Check):
                    self.checks.append(found)
                else:
                    self.past.append(found)
        except Unreachable as error:
            code = error.code if isinstance(error, Refusal) else ""
            if code in _NOBODY or code in _NOWHERE:
                raise
            is_of_the_way = code.endswith("Error") or code in ("", "Unreadable")
            self.has_answered = self.has_answered or not is_of_the_way
            self.checks.append(refused(name, error, self.tally))


def check_account(
    account: AwsAccount, *, window: TimeWindow, clock: Clock, paces: Paces = OF_THIS_PROCESS
) -> Checkup:
    """The checks of an account, and what of its logs and metrics holds `window`; raises nothing.

    Credentials are boto3's own chain, so that nothing of them is seen here.
    """
    tally = Tally(clock)
    tally.begin(CHECKUP_SECONDS)
    asked = _Asked(account, window, tally, paces)
    try:
        _ask_all(asked)
    except Refusal as error:
        name = "region" if error.code in _NOWHERE else "credentials"
        return Checkup(account.name, (refused(name, error, tally),), (), reachable=False)
    is_reachable = asked.has_answered or tally.pages > 0
    checks = (*_who(asked, is_reachable=is_reachable), *asked.checks)
    return Checkup(account.name, checks, tuple(asked.past), reachable=is_reachable)


def _who(asked: _Asked, *, is_reachable: bool) -> Iterator[Check]:
    """Credentials, region, clock and quota, as the calls have shown them."""
    account = asked.account
    if not (account.stages or account.postgres_logs or _places(account)):
        cure = 'name what to ask: stages = ["rest:ID/STAGE"] in its [[aws]] table'
        yield Check("asked", CheckState.WARNING, "the account names nothing to ask for", cure)
        return
    profile = f"profile {plain(account.profile)}" if account.profile else "the default chain"
    if is_reachable:
        yield Check("credentials", CheckState.OK, f"accepted ({profile})")
    else:
        yield Check("credentials", CheckState.UNKNOWN, "no call got through")
    region = account.region or "that of the AWS configuration"
    yield Check("region", CheckState.OK, plain(region))
    bounds = asked.offset.bounds
    for lo, hi in asked.offsets:
        bounds = (max(lo, bounds[0]), min(hi, bounds[1])) if bounds else (lo, hi)
    yield clock_check(bounds if bounds is None or bounds[0] <= bounds[1] else asked.offsets[-1])
    if slowed := throttled_check(asked.tally):
        yield slowed


def _places(account: AwsAccount) -> tuple[str, ...]:
    return (*account.access_logs, *account.load_balancer_logs)


def _ask_all(asked: _Asked) -> None:
    for stage in asked.account.stages:
        asked.take(f"stage {stage.text}", partial(_stage, asked, stage))
        asked.take(f"metrics of {stage.text}", partial(_metrics, asked, stage))
    for group in asked.account.postgres_logs:
        asked.take(f"PostgreSQL log {group}", partial(_postgres, asked, group))
    for place in _places(asked.account):
        asked.take(f"s3 {place}", partial(_place, asked, place))


# --- a stage --------------------------------------------------------------------------------------


def _stage(asked: _Asked, stage: GatewayStage) -> Found:
    known = read_stage(asked.account, stage, tally=asked.tally, paces=asked.paces)
    if known.clock_offset_seconds:
        asked.offsets.append(known.clock_offset_seconds)
    yield Check(f"stage {stage.text}", CheckState.OK, "its settings can be read")
    if known.absent is not None:
        name = f"access log of {stage.text}"
        yield Check(name, CheckState.PROBLEM, plain(known.absent.reason, 300), known.absent.hint)
    else:
        yield from _access_log(asked, known)

    def execution() -> Found:
        yield logs.check_execution_log(
            asked.account, known, asked.window, tally=asked.tally, paces=asked.paces
        )

    asked.take(f"execution log of {stage.text}", execution)


def _access_log(asked: _Asked, known: StageLogs) -> Found:
    stage, group = known.stage, known.access_log_group
    try:
        line_format = compile_format(known.format)
    except ValueError as error:
        cure = "give the stage a JSON format with $context.status and $context.requestTimeEpoch"
        name = f"log format of {stage.text}"
        yield Check(name, CheckState.PROBLEM, f"cannot be read: {plain(str(error))}", cure)
        return
    yield logs.check_format(stage, line_format)
    is_fine = "requestTimeEpoch" in line_format.keys
    resolution = "arrivals in milliseconds" if is_fine else "arrivals in whole seconds"

    def lines() -> Found:
        name = f"access log of {stage.text}"
        with calling(asked.account, "logs", asked.tally, asked.paces) as caller:
            yield from logs.check_lines(caller, name, group, asked.window, resolution=resolution)

    def insights() -> Found:
        queries = queries_of(line_format)
        with calling(asked.account, "logs", asked.tally, asked.paces) as caller:
            yield logs.check_insights(caller, stage, group, queries, asked.window)

    asked.take(f"access log of {stage.text}", lines)
    asked.take(f"Logs Insights of {stage.text}", insights)


def _metrics(asked: _Asked, stage: GatewayStage) -> Found:
    """Whether CloudWatch's own counts may be read, by reading those of the window."""
    name = f"metrics of {stage.text}"
    answer = cloudwatch_metrics.fetch(
        asked.account,
        stage,
        asked.window,
        asked_at=asked.tally.clock.now(),
        tally=asked.tally,
        paces=asked.paces,
    )
    if isinstance(answer, Absent):
        yield Check(name, CheckState.UNKNOWN, plain(answer.reason, 300), answer.hint)
        return
    if error := answer["response"]["error"]:
        said = plain(f"{error['code']}: {error['message']}", 300)
        yield Check(
            name, CheckState.WARNING, said, "ask again; Forbidden: cloudwatch:GetMetricData"
        )
    else:
        yield Check(name, CheckState.OK, "CloudWatch's own counts can be read")
    if bounds := answer.get("clock_offset_seconds"):
        asked.offsets.append((bounds[0], bounds[1]))
    period = answer["request"]["MetricDataQueries"][0]["MetricStat"]["Period"]
    instants = list(_instants(answer["response"]["pages"]))
    yield held(
        name,
        max(min(instants), asked.window.start) if instants else None,
        max(instants) + timedelta(seconds=period) if instants else None,
        asked.window,
        tolerance=max(timedelta(minutes=10), (asked.window.end - asked.window.start) / 20),
        why=f"counts of {period} s",
    )


def _instants(pages: list[Mapping[str, Any]]) -> Iterator[datetime]:
    for page in pages:
        for result in page["MetricDataResults"]:
            for at in result.get("Timestamps", ()):
                yield datetime.fromisoformat(at).astimezone(UTC)


# --- logs of PostgreSQL and places in S3 ----------------------------------------------------------


def _postgres(asked: _Asked, group: str) -> Found:
    with calling(asked.account, "logs", asked.tally, asked.paces) as caller:
        try:
            check, past = logs.check_postgres_log(caller, group, asked.window)
        finally:
            if caller.offset.bounds:
                asked.offsets.append(caller.offset.bounds)
    yield check
    if past is not None:
        yield past


def _place(asked: _Asked, place: str) -> Found:
    yield from check_place(
        asked.account, place, asked.window, tally=asked.tally, offset=asked.offset
    )
