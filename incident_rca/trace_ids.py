"""The ids by which two systems know one request: read out of statements, session names and logs.

One id has one spelling here, so that equal ids are equal texts: a trace is its 32 hex digits,
whether W3C wrote it (`00-4bf9…-00f0…-01`) or AWS X-Ray (`1-8 digits-24 digits`, the same 32 by the
propagators of OpenTelemetry); a request is a uuid in small letters; API Gateway's extended id stays
as it is. What has none of these shapes is no id, so nothing else of a comment is ever kept.

Sources: W3C Trace Context, "traceparent"; sqlcommenter's specification (`key='url-encoded'`);
X-Ray developer guide, "Tracing header"; API Gateway developer guide, variables of `$context`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from urllib.parse import unquote

from incident_rca.redact import comments_of

_TRACEPARENT = re.compile(
    r"(?<![0-9A-Za-z])[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?![0-9A-Za-z])"
)
_XRAY = re.compile(r"(?<![0-9A-Za-z])1-([0-9a-f]{8})-([0-9a-f]{24})(?![0-9A-Za-z])")
_TRACE = re.compile(r"[0-9a-f]{32}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Eleven bytes in base64, as every extended id of API Gateway that was seen.
_EXTENDED = re.compile(r"[A-Za-z0-9_+/-]{15}=")
# `key='value'` of sqlcommenter, `key:value` of marginalia and Rails, `key=value` by hand.
_PAIR = re.compile(r"(?P<key>[A-Za-z][\w.%-]{1,59})\s{0,3}[=:]\s{0,3}'?(?P<value>[^\s',;*]{1,200})")
_ID_KEYS = frozenset(
    {
        *("traceid", "xraytraceid", "xamzntraceid", "requestid", "xrequestid", "xamznrequestid"),
        *("extendedrequestid", "xamzapigwid", "apigwrequestid", "integrationrequestid"),
        *("correlationid", "xcorrelationid"),
    }
)
_NO_TRACE = "0" * 32


class IdKind(StrEnum):
    """What an id is of; only ids of one kind can be equal."""

    TRACE = "trace"
    REQUEST = "request"
    EXTENDED = "extended"


def kind_of(identity: str) -> IdKind:
    """The kind of an id in the spelling of this module.

    >>> kind_of("4bf92f3577b34da6a3ce929d0e0e4736").value
    'trace'
    """
    if _TRACE.fullmatch(identity):
        return IdKind.TRACE
    return IdKind.REQUEST if _UUID.fullmatch(identity) else IdKind.EXTENDED


def ids_of_statement(statement: str | None) -> tuple[str, ...]:
    """The ids in the comments of a statement, sorted; its literals are not searched.

    >>> ids_of_statement("SELECT 1 /*traceparent='00-4bf92f3577b34da6a3ce929d0e0e4736-"
    ...                  "00f067aa0ba902b7-01'*/")
    ('4bf92f3577b34da6a3ce929d0e0e4736',)
    """
    if not statement or ("/*" not in statement and "--" not in statement):
        return ()
    return _sorted(i for comment in comments_of(statement) for i in _ids_in(comment))


def ids_of_name(name: str | None) -> tuple[str, ...]:
    """The ids in an `application_name`, sorted.

    >>> ids_of_name("orders 1-5759e988-bd862e3fe1be46a994272793")
    ('5759e988bd862e3fe1be46a994272793',)
    """
    return _sorted(_ids_in(name)) if name else ()


def ids_in_session(statement: str | None, name: str | None) -> str | None:
    """The ids of a session's statement and of its `application_name`, as one column holds them."""
    return joined_ids(_sorted((*ids_of_statement(statement), *ids_of_name(name))))


def ids_of_log(*values: str | None) -> tuple[str, ...]:
    """The ids in the id fields of a request's log line, sorted.

    >>> ids_of_log("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1", "-G71prPQhzUnczk=", "-")
    ('-G71prPQhzUnczk=', '5759e988bd862e3fe1be46a994272793')
    """
    return _sorted(i for value in values if value for i in (*_traces_in(value), *_whole(value)))


def joined_ids(ids: Iterable[str]) -> str | None:
    """Ids as one column of a table holds them, None where there is none."""
    return " ".join(ids) or None


def split_ids(cell: str | None) -> tuple[str, ...]:
    """The ids that one column of a table holds."""
    return tuple(cell.split()) if cell else ()


def _sorted(ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({i for i in ids if i != _NO_TRACE}))


def _ids_in(text: str) -> Iterator[str]:
    for pair in _PAIR.finditer(text):
        key = re.sub(r"[._-]", "", unquote(pair["key"])).lower()
        if key in _ID_KEYS:
            yield from _whole(unquote(pair["value"]))
    yield from _traces_in(unquote(text))


def _traces_in(text: str) -> Iterator[str]:
    lowered = text.lower()
    yield from (found[1] for found in _TRACEPARENT.finditer(lowered))
    yield from (found[1] + found[2] for found in _XRAY.finditer(lowered))


def _whole(value: str) -> Iterator[str]:
    """The id that a value is as a whole, where it has the shape of one."""
    lowered = value.strip().lower()
    if _TRACE.fullmatch(lowered) or _UUID.fullmatch(lowered):
        yield lowered
    elif _EXTENDED.fullmatch(value.strip()):
        yield value.strip()
