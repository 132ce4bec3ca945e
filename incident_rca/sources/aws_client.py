"""boto3's clients for one account and region, and calls that keep to quotas and say what failed.

Throttled and broken calls are tried again here and not by botocore, so that each one is counted and
slows the pace of the whole process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from threading import Lock
from typing import Any, NoReturn

from incident_rca.errors import Unreachable
from incident_rca.model.services import AwsAccount
from incident_rca.redact import plain, redact_text
from incident_rca.sources.clock_offset import ClockOffset
from incident_rca.sources.rate_limit import OF_THIS_PROCESS, Paces
from incident_rca.sources.tally import Tally

CONNECT_SECONDS = 5.0
# Tries of one call: throttling passes, a broken service may not.
MOST_THROTTLED = 8
MOST_BROKEN = 4
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
_THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_EXPIRED = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "UnauthorizedSSOTokenError"}
)
# Where an action of the API is allowed by another name.
_PERMISSIONS = {"s3:ListObjectsV2": "s3:ListBucket"}
_WRONG_KEYS = frozenset(
    {
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
    }
)
_NOT_SIGNED_IN = frozenset({"NoCredentialsError", "PartialCredentialsError", "SSOTokenLoadError"})
# boto3's session, of which clients are made, is not safe among threads.
_ONE_AT_A_TIME = Lock()


class Refusal(Unreachable):
    """A call that a service of AWS refused or did not answer; `code` as the service names it."""

    def __init__(self, code: str, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.code = code


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls one client of boto3 within the account's quotas, counting into a tally."""

    account: AwsAccount
    service: str
    client: Any
    tally: Tally
    paces: Paces = OF_THIS_PROCESS
    offset: ClockOffset = field(default_factory=ClockOffset)
    _counting: Lock = field(default_factory=Lock)

    @property
    def console_region(self) -> str:
        """The region whose console shows what is asked; "" where a stand-in of AWS is asked."""
        return "" if self.account.endpoint else str(self.client.meta.region_name or "")

    def call(self, operation: str, expected: str, **parameters: Any) -> Mapping[str, Any]:
        """The answer to `operation` (in snake case), which must have the key `expected`.

        Raises Refusal where it is refused, or stays throttled or broken; Unreachable where the time
        of the tally is over.
        """
        key = (self.account.profile, self.account.region, self.account.endpoint, operation)
        pace = self.paces.of(key)
        throttled = broken = 0
        while True:
            called_at = pace.wait(self.tally)
            try:
                return self._answer(operation, expected, parameters)
            except Refusal as refusal:
                if refusal.code in _THROTTLED:
                    throttled += 1
                    pace.objected(called_at, self.tally.clock.monotonic())
                    self._count(throttled=1)
                elif _may_pass(refusal.code):
                    broken += 1
                else:
                    raise
                if throttled >= MOST_THROTTLED or broken >= MOST_BROKEN:
                    raise
            if broken or throttled > 1:
                pause = FIRST_PAUSE_SECONDS * 2 ** (throttled + broken - 1)
                self.tally.pause(min(LONGEST_PAUSE_SECONDS, pause))

    def _answer(
        self, operation: str, expected: str, parameters: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        sent = self.tally.clock.now()
        answer: Mapping[str, Any] = self._guarded(
            operation, lambda: getattr(self.client, operation)(**parameters)
        )
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        self.offset.add(headers.get("date", ""), sent, self.tally.clock.now())
        if expected not in answer:
            # botocore takes a page of HTML with status 200 for an answer without anything in it.
            what = f"what came is no answer of {self._action(operation)}"
            raise self._refusal(operation, "Unreadable", what)
        self._count(pages=1)
        return answer

    def _guarded(self, operation: str, ask: Callable[[], Any]) -> Any:
        exceptions = import_module("botocore.exceptions")
        unreadable = import_module("botocore.parsers").ResponseParserError
        try:
            return ask()
        except exceptions.ClientError as error:
            said = error.response.get("Error", {})
            code = str(said.get("Code", "")) or "Unknown"
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if code not in _THROTTLED and status >= 500:
                code = f"{status} {code}" if code != str(status) else code
            raise self._refusal(operation, code, str(said.get("Message", ""))) from None
        except unreadable:
            what = f"what came is no answer of {self._action(operation)}"
            raise self._refusal(operation, "Unreadable", what) from None
        except exceptions.BotoCoreError as error:
            raise self._refusal(operation, type(error).__name__, str(error)) from None

    def _action(self, operation: str) -> str:
        return "".join(word.capitalize() for word in operation.split("_"))

    def _refusal(self, operation: str, code: str, message: str) -> Refusal:
        asked = f"{self.service}:{self._action(operation)}"
        action = _PERMISSIONS.get(asked, asked)
        said = _without_secrets(message)
        return Refusal(
            code,
            f"{self._action(operation)} in {place_of(self.account)}: {code}: {said}",
            hint=_hint(code, self.account, action),
        )

    def _count(self, *, pages: int = 0, throttled: int = 0) -> None:
        with self._counting:
            self.tally.pages += pages
            self.tally.throttled += throttled

    def count_rows(self, rows: int) -> None:
        """Counts rows from any thread."""
        with self._counting:
            self.tally.rows += rows


def caller_of(
    account: AwsAccount, service: str, tally: Tally, paces: Paces = OF_THIS_PROCESS
) -> Caller:
    """A caller of `service` (logs, apigateway, apigatewayv2) with boto3's chain of credentials.

    Raises Refusal where region, profile or endpoint make no client.
    """
    tally.check()
    config = import_module("botocore.config").Config(
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=min(CONNECT_SECONDS, tally.request_seconds()),
        read_timeout=tally.request_seconds(),
        max_pool_connections=16,
    )
    exceptions = import_module("botocore.exceptions")
    with _ONE_AT_A_TIME:
        try:
            core = import_module("botocore.session").Session()
            core.register_component("data_loader", _loader())
            session = import_module("boto3").Session(
                profile_name=account.profile or None,
                region_name=account.region or None,
                botocore_session=core,
            )
            client = session.client(service, config=config, endpoint_url=account.endpoint or None)
        except (exceptions.BotoCoreError, ValueError) as error:
            _no_client(account, service, error)
    return Caller(account, service, client, tally, paces)


@cache
def _loader() -> Any:
    """botocore's reader of service models, which keeps what it has read: a third of a second."""
    return import_module("botocore.loaders").create_loader()


def place_of(account: AwsAccount) -> str:
    """The account as the settings name it, with its region."""
    return f"{account.name} ({account.region})" if account.region else account.name


def _no_client(account: AwsAccount, service: str, error: Exception) -> NoReturn:
    code = type(error).__name__
    raise Refusal(
        code,
        f"{service} in {place_of(account)}: {code}: {_without_secrets(str(error))}",
        hint=_hint(code, account, service),
    ) from None


def _may_pass(code: str) -> bool:
    """Whether the same call may get an answer a little later."""
    return (
        code in ("Unreadable", "ServiceUnavailableException", "InternalFailure")
        or code[:1] == "5"
        or code.endswith(("TimeoutError", "ConnectionError", "ConnectionClosedError"))
        or code in ("HTTPClientError", "ResponseStreamingError", "IncompleteReadError")
    )


def _without_secrets(message: str) -> str:
    """The service's words; a refused signature comes with what was signed, the token among it."""
    told = message.partition("The Canonical String")[0]
    return plain(redact_text(told).strip()) or "no reason given"


def _hint(code: str, account: AwsAccount, action: str) -> str:
    service, _, operation = action.partition(":")
    named = f"[[aws]] {account.name}"
    if code in _DENIED:
        # API Gateway's actions are named for the HTTP method.
        needed = "apigateway:GET" if service.startswith("apigateway") else f"{service}:{operation}"
        return f"the AWS credentials need {needed} here: see the IAM policy in the README"
    if code in _EXPIRED:
        return "the AWS session is over: sign in again (aws sso login, or fresh keys)"
    if code in _WRONG_KEYS:
        return "check the AWS keys (key id, secret, session token) and this machine's clock"
    if code in _NOT_SIGNED_IN:
        return f"sign in to AWS (aws sso login, AWS_PROFILE, keys), or set `profile` in {named}"
    if code == "ProfileNotFound":
        return f"correct `profile` in {named}, or add it to the AWS configuration"
    if code in ("NoRegionError", "InvalidRegionError"):
        return f"set `region` in {named}, such as eu-west-1"
    if code in ("ResourceNotFoundException", "NotFoundException"):
        return f"check its name, and `region` and `profile` in {named}"
    if code == "MalformedQueryException":
        return "the stage's log format has a field that the query cannot name: report it"
    if code == "LimitExceededException":
        return "too many Logs Insights queries run in this account: ask again in a minute"
    if code in _THROTTLED:
        return "others use up the account's quota: ask again, or leave it more time (--timeout)"
    return "ask again; the region, the endpoint and the network are to be checked first"
