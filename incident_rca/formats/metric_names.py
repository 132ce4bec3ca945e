"""What a metric's name and tags say, in whichever spelling its store keeps them.

Dots or underscores, the case of letters and the suffixes of a histogram's parts differ between
stores: all spellings are one name here. The table itself is `known_metrics`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from incident_rca.formats.known_metrics import KNOWN, Keys, Kind, KnownMetric
from incident_rca.pseudonyms import mark
from incident_rca.redact import redact_text


@dataclass(frozen=True, slots=True)
class Labels:
    """What the tags of a series say; None where they do not.

    `service` (with its package) and `method` are gRPC's, `status` is the canonical name of a status
    code, `owner` the program or pool that recorded the series.
    """

    service: str | None
    method: str | None
    status: str | None
    owner: str | None


_ANY: Mapping[str, Keys] = {
    "service": (
        *("rpc.service", "grpc.service", "grpc_service_name", "envoy_grpc_bridge_service"),
        "grpc_bridge_service",
    ),
    "method": (
        *("rpc.method", "grpc.method", "grpc_client_method", "grpc_server_method"),
        *("envoy_grpc_bridge_method", "grpc_bridge_method", "grpc_method_name", "rpc.grpc.method"),
        *("method", "resource_name"),
    ),
    "status": (
        *("grpc.status", "rpc.grpc.status_code", "rpc.response.status_code", "grpc_code"),
        *("grpc_response_status", "grpc_client_status", "grpc_server_status", "grpc.status_code"),
        *("status_code", "statuscode", "status"),
    ),
    "owner": (
        *("pool.name", "db.client.connection.pool.name", "db.client.connections.pool.name"),
        *("pool", "service.name", "service", "application", "app", "job"),
        "envoy_cluster_name",
    ),
}


# What the gauges of a connection pool count, in the settings' words.
POOL_ROLES = frozenset({"used", "max", "pending"})


def pool_role(said: object) -> str | None:
    """What a question says that its gauge counts of a pool, None where that is no such role."""
    return said if isinstance(said, str) and said in POOL_ROLES else None


# How a store names the parts of a histogram or timer, and what DogStatsD makes of one.
_PART = re.compile(r"_(bucket|sum|count|total|max|min|avg|median|\d+percentile)$")
_TIME_SUFFIXES: Mapping[str, str] = {
    **dict.fromkeys(("seconds",), "s"),
    **dict.fromkeys(("ms", "millis", "milliseconds"), "ms"),
    **dict.fromkeys(("us", "micros", "microseconds"), "us"),
    **dict.fromkeys(("ns", "nanos", "nanoseconds"), "ns"),
}


# Names and tags are few and asked about for each point.
@lru_cache(maxsize=4096)
def _folded(name: str) -> str:
    """A name or tag in the one spelling that all stores share."""
    return re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")


_BY_NAME: Mapping[str, KnownMetric] = {
    _folded(name): metric for metric in reversed(KNOWN) for name in metric.names
}


@lru_cache(maxsize=4096)
def known(metric: str) -> KnownMetric | None:
    """What is known of a metric by its name in any spelling, or None.

    The names of its parts (`_bucket`, `.count`) are its own. A unit that a store has put behind the
    name is the metric's, whatever the name has without it.

    >>> known("rpc.client.duration").unit, known("rpc_client_duration_seconds_bucket").unit
    ('ms', 's')
    >>> known("http.server.duration") is None
    True
    """
    name = _folded(metric)
    for candidate in (name, _PART.sub("", name)):
        if found := _BY_NAME.get(candidate):
            return found
        base, _, last = candidate.rpartition("_")
        if last in _TIME_SUFFIXES and (found := _BY_NAME.get(base)):
            return replace(found, unit=_TIME_SUFFIXES[last])
    return None


def suffix_unit(metric: str) -> str:
    """The unit that stands behind a name (`s`, `ms`, `us`, `ns`), or "".

    >>> suffix_unit("grpc.latency_ms"), suffix_unit("x_seconds_sum"), suffix_unit("grpc.calls")
    ('ms', 's', '')
    """
    return _TIME_SUFFIXES.get(_PART.sub("", _folded(metric)).rpartition("_")[2], "")


def names_of(kind: Kind) -> tuple[str, ...]:
    """The names of all known metrics of a kind in every spelling, those to be preferred first."""
    return tuple(name for metric in KNOWN if metric.kind == kind for name in metric.names)


def without_doubles(metrics: Iterable[str]) -> tuple[str, ...]:
    """The given names but those that measure the same calls as one that is preferred, in order.

    With OTEL_SEMCONV_STABILITY_OPT_IN=rpc/dup a program records its calls under the old name (in
    milliseconds) and the new one (in seconds): their sum would be twice the calls.

    >>> without_doubles(["rpc.client.duration", "rpc.client.call.duration", "my.latency"])
    ('rpc.client.call.duration', 'my.latency')
    """
    given = tuple(dict.fromkeys(metrics))
    ranks = {metric: position for position, metric in enumerate(KNOWN)}
    best: dict[tuple[str, str], int] = {}
    placed = {name: _BY_NAME.get(_named(name)) for name in given}
    for metric in filter(None, placed.values()):
        key = (metric.kind, metric.measures)
        best[key] = min(best.get(key, len(KNOWN)), ranks[metric])
    return tuple(
        name
        for name, metric in placed.items()
        if metric is None or best[metric.kind, metric.measures] == ranks[metric]
    )


def _named(metric: str) -> str:
    """The spelling under which a metric stands in the table, or the folded name."""
    found = known(metric)
    return _folded(found.names[0]) if found else _folded(metric)


# --- tags -----------------------------------------------------------------------------------------


def labels_of(metric: str, tags: Mapping[str, str]) -> Labels:
    """What the tags of a series say, by the keys of this metric first and the usual ones then.

    A method may be the whole path, with its service: `/pkg.Inventory/Reserve`. Case stays as it is,
    since some stores lower it: names are to be compared without it.

    >>> labels_of("grpc.client.call.duration", {"grpc.method": "pkg.Inv/Reserve"})
    Labels(service='pkg.Inv', method='Reserve', status=None, owner=None)
    """
    folded = {_folded(key): str(value).strip() for key, value in tags.items()}
    by_name = known(metric)
    said = {
        column: next(
            (
                value
                for key in (*(getattr(by_name, column) if by_name else ()), *usual)
                if (value := folded.get(_folded(key)))
            ),
            None,
        )
        for column, usual in _ANY.items()
    }
    service, method = method_of(said["service"], said["method"])
    owner = said["owner"] if said["owner"] != said["service"] else _other_owner(folded, service)
    status = status_of(said["status"]) if said["status"] else None
    return Labels(service=service, method=method, status=status, owner=owner)


def _other_owner(folded: Mapping[str, str], service: str | None) -> str | None:
    """The owner where the tag `service` is the gRPC service (Micrometer)."""
    candidates = (folded.get(_folded(key)) for key in _ANY["owner"])
    return next((value for value in candidates if value and value != service), None)


def method_of(service: str | None, method: str | None) -> tuple[str | None, str | None]:
    """Service and method out of the two tags, either of which may be missing or hold both.

    A method that its library does not name (`other`, `_OTHER`) is `_OTHER`.

    >>> method_of(None, "/pkg.Inventory/Reserve"), method_of("pkg.Inventory", "Reserve")
    (('pkg.Inventory', 'Reserve'), ('pkg.Inventory', 'Reserve'))
    >>> method_of(None, "inventory.reserve"), method_of(None, "other")
    (('inventory', 'reserve'), (None, '_OTHER'))
    """
    if not method:
        return service or None, None
    if method.casefold() in ("other", "_other"):
        return service or None, "_OTHER"
    # Half a secret has no shape by which it could be known.
    path = redact_text(method, mark).strip("/")
    before, slash, last = path.rpartition("/")
    if not slash and not service:
        before, _, last = path.rpartition(".")
    return (before or service or None), (last or None) if before else path or None


_CODES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND"),
    *("ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"),
    *("ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"),
    "UNAUTHENTICATED",
)
_CODE_BY_SPELLING: Mapping[str, str] = {
    **{str(number): code for number, code in enumerate(_CODES)},
    **{code.replace("_", "").casefold(): code for code in _CODES},
    "canceled": "CANCELLED",  # Go writes it with one l
}


def status_of(text: str) -> str:
    """The canonical name of a gRPC status code; what is none stays as it is, in upper case.

    The numbers are those of "gRPC status codes" (grpc.io, statuscodes.md).

    >>> [status_of(code) for code in ("4", "DeadlineExceeded", "statuscode.unavailable", "499")]
    ['DEADLINE_EXCEEDED', 'DEADLINE_EXCEEDED', 'UNAVAILABLE', '499']
    """
    spelling = re.sub(r"[^a-z0-9]", "", text.casefold()).removeprefix("statuscode")
    return _CODE_BY_SPELLING.get(spelling.removeprefix("grpcstatus"), text.strip().upper())
