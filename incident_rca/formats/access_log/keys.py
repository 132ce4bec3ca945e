"""The first lines of an access log whose format nobody gave -> the format, by the names in them.

The keys of a JSON log are chosen by its stage's owner, and most take the names of the variables:
as they are, in snake case, dotted or nested. The console offers four formats, which are known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from incident_rca.formats.access_log.stage_format import (
    LineFormat,
    compile_format,
    json_format,
)
from incident_rca.formats.access_log.values import repaired_object, values_of
from incident_rca.formats.access_log.variables import VARIABLES
from incident_rca.formats.lines import object_of

LINES_TO_LOOK_AT = 50
# The keys of a flat log, as most stages have them: those that no line of the head has, a later may.
FLAT_KEYS: Mapping[str, str] = {name: name for name in VARIABLES} | {
    "error.responseType": "errorResponseType",
    "error.message": "errorMessage",
    "error.messageString": "errorMessageString",
}
# The console's own, with and without the extended id; source: API Gateway developer guide, "Set up
# CloudWatch logging" (REST) and "Configure logging" (HTTP).
_CALLER = ("identity.sourceIp", "identity.caller", "identity.user")
_ANSWER = ("status", "responseLength", "requestId")
_ASKED = {"REST": ("httpMethod", "resourcePath"), "HTTP": ("routeKey",)}


def _console_formats() -> Iterator[str]:
    for asked in _ASKED.values():
        for ids in ((*_ANSWER, "extendedRequestId"), _ANSWER):
            caller, line, answer = map(_joined, (_CALLER, (*asked, "protocol"), ids))
            for blank in ("", " "):
                yield f'{caller} [$context.requestTime]{blank}"{line}" {answer}'
            yield ",".join(
                f"$context.{v}" for v in (*_CALLER, "requestTime", *asked, "protocol", *ids)
            )


def _joined(names: Iterable[str]) -> str:
    return " ".join(f"$context.{name}" for name in names)


_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_OTHER_NAMES = {
    "method": "httpMethod",
    "requestmethod": "httpMethod",
    "resource": "resourcePath",
    "requestpath": "path",
    "statuscode": "status",
    "responsestatus": "status",
    "httpstatus": "status",
    "latency": "responseLatency",
    "responsetype": "error.responseType",
}
_BY_NAME = _OTHER_NAMES | {
    name.replace(".", "").lower(): name
    for name in VARIABLES
    if name not in ("integration.status", "integration.latency")
}
_OUTER = {"request", "response", "http", "context", "gateway", "apigateway"}
_STATUS = re.compile("[1-5][0-9]{2}")
_TIME = re.compile(r"\d{10}|\d{13}|\d\d?/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}")
_ELEMENT = re.compile(
    r"<([A-Za-z_][\w.-]{0,99})>[^<]{0,9999}</\1>|([A-Za-z_]\w{0,99})=\"[^\"]{0,9999}\""
)


def format_of_head(lines: Iterable[bytes]) -> LineFormat | None:
    """The format of a log that begins with these lines, or None where none of them is a request."""
    texts = [line.strip() for line in list(lines)[:LINES_TO_LOOK_AT]]
    return _json_of(texts) or _console_of(texts) or _xml_of(texts)


def is_request(values: Mapping[str, str] | None) -> bool:
    """Whether a line says when what was asked for, with which status."""
    if values is None or not _STATUS.fullmatch(values.get("status", "")):
        return False
    times = (values.get("requestTimeEpoch", ""), values.get("requestTime", ""))
    route = values.keys() & {"resourcePath", "routeKey", "path"}
    method = values.keys() & {"httpMethod", "routeKey", "eventType"}
    return any(_TIME.fullmatch(time) for time in times) and bool(route and method)


# --- JSON -----------------------------------------------------------------------------------------


def _json_of(lines: Iterable[bytes]) -> LineFormat | None:
    documents = [
        document
        for line in lines
        if line.startswith(b"{") and (document := object_of(line) or repaired_object(line))
    ]
    paths: dict[str, tuple[str, ...]] = {}
    for document in documents:
        for name, path in paths_in(document).items():
            paths.setdefault(name, path)
    known = json_format(paths)
    if any(is_request(values_of(known, line)) for line in lines):
        return known
    return None


def paths_in(document: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The variables that the keys of an object name, with their paths.

    >>> paths_in({"error_responseType": "-", "integration": {"status": "502"}})
    {'error.responseType': ('error_responseType',), 'integration.status': ('integration', 'status')}
    """
    leaves = list(_leaves(document, ()))
    has_service_status = any(
        _plain(path) == "integrationintegrationstatus" or path[-1] == "integrationStatus"
        for path in leaves
    )
    found: dict[str, tuple[str, ...]] = {}
    for path in leaves:
        name = _variable_of(path, has_service_status)
        if name is not None:
            found.setdefault(name, path)
    return found


def _variable_of(path: tuple[str, ...], has_service_status: bool) -> str | None:
    """The variable of a path.

    `integration_status` may stand for `integrationStatus` (of the service called) as for
    `integration.status` (of the code in it): for the latter where the former has its own key.
    """
    if _plain(path) == "integrationstatus":
        joined = ".".join(path)
        is_backend = "." in joined or ("_" in joined and has_service_status)
        return "integration.status" if is_backend else "integrationStatus"
    name = _BY_NAME.get(_plain(path))
    if name is None and len(path) > 1 and _plain(path[:1]) in _OUTER:
        return _variable_of(path[1:], has_service_status)
    return name


def _plain(path: tuple[str, ...]) -> str:
    return re.sub(r"[._ -]", "", "".join(path)).lower()


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not isinstance(value, dict):
        yield path
        return
    for key, inner in value.items() if len(path) < 4 else ():
        yield from _leaves(inner, (*path, key))


# --- the console's other formats ------------------------------------------------------------------


def _console_of(lines: Iterable[bytes]) -> LineFormat | None:
    """A format of the console that one of the lines has; a web server's log has no such ids."""
    for known in map(compile_format, _console_formats()):
        for line in lines:
            values = values_of(known, line)
            if values and is_request(values) and _UUID.fullmatch(values.get("requestId", "")):
                return known
    return None


def _xml_of(lines: Iterable[bytes]) -> LineFormat | None:
    """The format of which an XML line is made, its elements and attributes turned to variables."""
    for line in lines:
        text = line.decode("utf-8", "replace")
        if not text.startswith("<") or not text.endswith(">"):
            continue
        template, found = _ELEMENT.subn(_as_variable, text)
        if found and is_request(values_of(known := compile_format(template), line)):
            return known
    return None


def _as_variable(found: re.Match[str]) -> str:
    name = found[1] or found[2]
    path = ("requestId",) if name == "id" else (name,)
    variable = _variable_of(path, has_service_status=False) or f"other.{_plain(path) or 'x'}"
    if found[1]:
        return f"<{name}>$context.{variable}</{name}>"
    return f'{name}="$context.{variable}"'
