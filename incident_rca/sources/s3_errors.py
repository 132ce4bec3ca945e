"""What S3 refuses and why, in words that say what to do; which refusals pass by themselves.

Codes are those of the Amazon S3 API reference, "Error responses".
"""

from __future__ import annotations

from importlib import import_module
from threading import Lock
from typing import Any

from incident_rca.errors import Unreachable
from incident_rca.redact import plain, redact_text
from incident_rca.sources.tally import Tally

ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 0.5
_SLOWER = frozenset({"SlowDown", "503", "ServiceUnavailable", "Throttling", "RequestLimitExceeded"})
_DENIED = frozenset({"AccessDenied", "403", "Forbidden", "AllAccessDisabled", "AccountProblem"})
_ELSEWHERE = frozenset(
    {
        "PermanentRedirect",
        "301",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
    }
)
_KEYS = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"})
_NOT_SIGNED_IN = frozenset({"NoCredentialsError", "PartialCredentialsError", "SSOTokenLoadError"})
_EXPIRED = frozenset({"ExpiredToken", "TokenRefreshRequired", "UnauthorizedSSOTokenError"})
_COUNTING = Lock()


def pause_before(attempt: int, error: Exception, tally: Tally) -> None:
    """Waits before the next attempt, twice as long each time; Unreachable if time is over."""
    if code_of(error) in _SLOWER:
        with _COUNTING:
            tally.throttled += 1
    tally.pause(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))


def code_of(error: Exception) -> str:
    """The service's code, or the name of the error of the connection."""
    response = getattr(error, "response", None)
    said = response.get("Error", {}) if isinstance(response, dict) else {}
    return str(said.get("Code") or type(error).__name__)


def is_momentary(error: Exception) -> bool:
    """Whether the same request may be answered a little later."""
    failures = import_module("botocore.exceptions")
    if isinstance(error, failures.ClientError):
        status = int(_metadata(error).get("HTTPStatusCode", 0))
        momentary = _SLOWER | {"InternalError", "RequestTimeout", "OperationAborted"}
        return status >= 500 or status == 429 or code_of(error) in momentary
    broken: tuple[type[Exception], ...] = (
        failures.HTTPClientError,
        failures.ConnectionError,
        failures.IncompleteReadError,
        failures.FlexibleChecksumError,
        import_module("botocore.parsers").ResponseParserError,
    )
    return isinstance(error, broken)


def reason_of(error: Exception) -> str:
    """The error in one line, without secrets."""
    response = getattr(error, "response", None)
    said = response.get("Error", {}).get("Message") if isinstance(response, dict) else str(error)
    return f"{code_of(error)}: {plain(redact_text(str(said or 'no reason given')))}"


def hint_of(error: Exception, bucket: str, action: str) -> str:
    """What to do about an error of `action`, such as ListBucket."""
    code = code_of(error)
    if code == "NoSuchBucket":
        return "correct the bucket's name in the settings"
    if code in _DENIED:
        place = bucket if action == "ListBucket" else f"{bucket}/*"
        key = ", and kms:Decrypt on its key" if "kms" in reason_of(error).casefold() else ""
        return f"the AWS credentials need s3:{action} on arn:aws:s3:::{place}{key}"
    if code in _ELSEWHERE:
        region = _region_of(error)
        where = f"in {region}: set `region` to it" if region else "in another region: set `region`"
        return f"the bucket is {where} in its [[aws]] table"
    if code in _NOT_SIGNED_IN:
        return "sign in to AWS (aws sso login, AWS_PROFILE, keys), or set `profile` in [[aws]]"
    if code in _EXPIRED:
        return "the AWS session is over: sign in again (aws sso login, or fresh keys)"
    if code in _KEYS:
        return "check the AWS keys: key id, secret and session token"
    if code == "RequestTimeTooSkewed":
        return "this machine's clock is wrong by more than 15 minutes: set it"
    if code == "InvalidObjectState":
        return "the object is archived: restore it in S3, then collect again"
    if code in ("PreconditionFailed", "NoSuchKey"):
        return "collect again: the object was replaced or deleted since it was listed"
    if code in _SLOWER:
        return "others ask the bucket as well: collect again, it goes on where it stopped"
    return "collect again: it goes on where it stopped; check region, endpoint and network first"


def refusal(place: str, bucket: str, error: Exception, action: str) -> Unreachable:
    """The error of this program for one of boto3's."""
    return Unreachable(f"{place}: {reason_of(error)}", hint=hint_of(error, bucket, action))


def _metadata(error: Exception) -> dict[str, Any]:
    response = getattr(error, "response", None)
    return response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}


def _region_of(error: Exception) -> str:
    """The region that the refusal names, in its header or body."""
    headers = _metadata(error).get("HTTPHeaders", {})
    response = getattr(error, "response", None)
    said = response.get("Error", {}) if isinstance(response, dict) else {}
    return plain(str(headers.get("x-amz-bucket-region") or said.get("Region") or ""), 30)
