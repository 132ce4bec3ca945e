"""The variables of `$context` that a request is read from, and which forms their values take.

Source: the variables' tables of the API Gateway developer guide (REST: mapping template reference;
HTTP API: logging variables; WebSocket: logging). All values are texts; an absent one is `-`.
"""

from __future__ import annotations

from collections.abc import Mapping

# The order is that of the columns of queries/duckdb/access_log_fields_*.sql.
VARIABLES: tuple[str, ...] = (
    "requestTimeEpoch",
    "requestTime",
    "requestId",
    "extendedRequestId",
    "httpMethod",
    "eventType",
    "resourcePath",
    "routeKey",
    "path",
    "status",
    "integrationStatus",
    "integration.integrationStatus",
    "integration.status",
    "integrationLatency",
    "integration.latency",
    "responseLatency",
    "error.responseType",
    "error.message",
    "error.messageString",
    "integrationErrorMessage",
    "integration.error",
    "wafResponseCode",
    "authorizer.error",
    "xrayTraceId",
    "integration.requestId",
)

_STATUS = r"(?:-|\d{1,5})"
_MILLISECONDS = r"(?:-|\d{1,15})"

# What a value looks like where no text around it would tell its end.
VALUE_PATTERNS: Mapping[str, str] = {
    "requestTimeEpoch": _MILLISECONDS,
    "requestTime": r"(?:-|\d\d?/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})",
    "httpMethod": r"(?:-|[A-Z]{1,20})",
    "eventType": r"(?:-|CONNECT|MESSAGE|DISCONNECT)",
    "status": _STATUS,
    "integrationStatus": _STATUS,
    "integration.integrationStatus": _STATUS,
    "integration.status": _STATUS,
    "integrationLatency": _MILLISECONDS,
    "integration.latency": _MILLISECONDS,
    "responseLatency": _MILLISECONDS,
    "error.responseType": r"(?:-|[A-Z0-9_]{1,60})",
    "wafResponseCode": r"(?:-|WAF_[A-Z_]{1,40})",
    "identity.sourceIp": r"(?:-|[\w.:-]{2,60})",
    "responseLength": _MILLISECONDS,
}

# Each fact, the variables of which one is enough for it, and what is lost without.
_NEEDED: tuple[tuple[tuple[str, ...], str], ...] = (
    (("status",), "status: no request can be counted"),
    (("requestTimeEpoch", "requestTime"), "requestTime*: a request's arrival is not in the line"),
    (("httpMethod", "routeKey", "eventType"), "httpMethod: no request can be counted"),
    (("resourcePath", "routeKey", "path"), "resourcePath, routeKey: no request can be counted"),
    (("requestTimeEpoch",), "requestTimeEpoch: times have whole seconds, no milliseconds"),
    (
        ("responseLatency", "integrationLatency", "integration.latency"),
        "responseLatency, integrationLatency: latencies not known",
    ),
    (("error.responseType",), "error.responseType: errors of the gateway's own not separable"),
    (
        ("integration.status", "integrationStatus", "integration.integrationStatus"),
        "integration.*: types not separable",
    ),
    (
        ("integration.error", "integrationErrorMessage"),
        "integration.error: an error of a function and its malformed answer not separable",
    ),
    (("requestId", "extendedRequestId"), "requestId: no join with execution logs"),
)


def lacks_of(known: frozenset[str]) -> tuple[str, ...]:
    """What a format that gives only the `known` variables cannot tell, one text a fact.

    >>> lacks_of(frozenset(VARIABLES))
    ()
    >>> lacks_of(frozenset(VARIABLES) - {"requestTimeEpoch"})
    ('format lacks requestTimeEpoch: times have whole seconds, no milliseconds',)
    """
    lost = (what for enough, what in _NEEDED if not known.intersection(enough))
    return tuple(f"format lacks {what}" for what in lost)
