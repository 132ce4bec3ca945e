"""What the values of incident-rca.toml may be: each reader gives the value or raises Unfit."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType

from incident_rca.errors import BadWindow
from incident_rca.model.services import GatewayStage
from incident_rca.settings_document import Unfit
from incident_rca.window import load_zone

# Of migrations/runners.py, which is not imported for it: no other command needs that room.
RUNNER_NAMES = ("psql", "sqitch", "flyway", "golang-migrate", "alembic", "django")
# A DbiResourceId of RDS, and the region if it is not that of the AWS environment.
INSTANCE = r"db-[A-Za-z0-9-]+(@[a-z0-9-]+)?"


def integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Unfit("a whole number from 1")
    return value


def boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise Unfit("true or false")
    return value


def seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unfit("a number of seconds above 0")
    # An integer that is too large for a float is no length of time either.
    if not 0 < value < 10**9:
        raise Unfit("a number of seconds above 0")
    return float(value)


def text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Unfit("a text that is not empty")
    return value.strip()


def texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
        raise Unfit("a list of texts that are not empty")
    return tuple(dict.fromkeys(v.strip() for v in value))


def verbatim(value: object) -> str:
    """A text whose blanks count: a log_line_prefix ends with one."""
    text(value)
    return str(value)


def service(value: object) -> str:
    name = text(value)
    if not re.fullmatch(r"[^\s'=\\/:]+", name):
        raise Unfit("the name of a libpq service, in whose file host and role stand")
    return name


def instances(value: object) -> tuple[str, ...]:
    names = texts(value)
    if not all(re.fullmatch(INSTANCE, name) for name in names):
        raise Unfit("a list of DbiResourceIds such as db-ABC or db-ABC@eu-west-1")
    return names


def patterns(value: object) -> tuple[str, ...]:
    found = texts(value)
    for pattern in found:
        try:
            is_empty = re.search(pattern, "") is not None
        except re.error as error:
            raise Unfit(f"a list of regular expressions ({error})") from error
        if is_empty:
            raise Unfit("a list of regular expressions that match no empty text")
    return found


def timezone(value: object) -> str:
    name = text(value)
    try:
        load_zone(name)
    except BadWindow as error:
        raise Unfit(f"an IANA time zone ({error.hint})") from error
    return name


def bounds(value: object) -> tuple[float, float]:
    expected = "two numbers of seconds [earliest, latest] in that order, such as [-0.5, 0.5]"
    if not isinstance(value, list) or len(value) != 2:
        raise Unfit(expected)
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in value):
        raise Unfit(expected)
    if any(abs(v) > 10**9 or math.isnan(v) for v in value) or value[0] > value[1]:
        raise Unfit(expected)
    return float(value[0]), float(value[1])


_TABLE_NAME = re.compile(r'(?:(?:"[^"]+"|[^".\s]+)\.)?(?:"[^"]+"|[^".\s]+)')


def tables(value: object) -> tuple[str, ...]:
    names = texts(value)
    if not all(_TABLE_NAME.fullmatch(name) for name in names):
        raise Unfit("a list of tables as `schema.table`")
    return tuple(dict.fromkeys(_with_schema(name) for name in names))


def _with_schema(table: str) -> str:
    has_schema = "." in re.sub(r'"[^"]+"', "", table)
    return table if has_schema else f"public.{table}"


def row_counts(value: object) -> Mapping[str, int]:
    """From how many rows on a table is large, by its name with its schema."""
    counts = {_with_schema(name): integer(count) for name, count in _table(value).items()}
    if not all(_TABLE_NAME.fullmatch(name) for name in counts):
        raise Unfit('a table of tables and rows, such as { "public.orders" = 20000 }')
    return MappingProxyType(counts)


def runner(value: object) -> str:
    name = text(value)
    if name not in RUNNER_NAMES:
        raise Unfit(f"one of {', '.join(RUNNER_NAMES)}")
    return name


def methods(value: object) -> tuple[str, ...]:
    """gRPC methods; the slash in front that they have on the wire is cut."""
    names = tuple(name.removeprefix("/") for name in texts(value))
    if not all(re.fullmatch(r"[^\s/]+/[^\s/]+", name) for name in names):
        raise Unfit("a list of gRPC methods as `package.Service/Method`")
    return tuple(dict.fromkeys(names))


def http_method(value: object) -> str:
    name = text(value).upper()
    if not re.fullmatch(r"[A-Z]+", name):
        raise Unfit("an HTTP method such as GET")
    return name


def route_path(value: object) -> str:
    path = text(value)
    if not re.fullmatch(r"/\S*", path) or "/:" in path:
        raise Unfit("a path as the gateway names it, such as /api/inventory/{sku}")
    return path


# --- of [[datadog]], [[prometheus]] and [[aws]] -----------------------------------------------

_UNITS = ("s", "ms", "us", "ns")
_POOL_GAUGES = ("used", "max", "pending")


def source_name(value: object) -> str:
    name = text(value)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", name):
        raise Unfit("a name of letters, digits, - and _")
    return name


def site(value: object) -> str:
    name = text(value)
    if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", name):
        raise Unfit("a Datadog site such as datadoghq.eu")
    return name


# A host and a port: `me:se/cret@host` has no port, and its password would stand in the path.
_URL = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[^\s/@:?#\[\]]+)(:[0-9]{1,5})?(/[^\s@]*)?")


def url(value: object) -> str:
    address = text(value)
    if not _URL.fullmatch(address):
        raise Unfit("a URL that begins with http:// or https:// and holds no user or password")
    return address.rstrip("/")


def secure_url(value: object) -> str:
    """A URL to which a token that writes may go: over TLS, or on this machine."""
    address = url(value)
    if not re.match(r"https://|http://(?:localhost|127\.0\.0\.1|\[::1\])(?:[:/]|$)", address):
        raise Unfit("a URL that begins with https://, since a token goes there")
    return address


def unit(value: object) -> str:
    name = text(value)
    if name not in _UNITS:
        raise Unfit(f"one of {', '.join(_UNITS)}")
    return name


def pool(value: object) -> dict[str, str]:
    known = {name: text(metric) for name, metric in _table(value).items()}
    if not known.keys() <= set(_POOL_GAUGES) or "used" not in known:
        raise Unfit('a table such as { used = "pool.used", max = "pool.max" }')
    return known


def variable(value: object) -> str:
    name = text(value)
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
        raise Unfit("the beginning of variables of the environment, such as DD or DD_EU")
    return name


def headers(value: object) -> dict[str, str]:
    named = {name: text(of) for name, of in _table(value).items()}
    if not all(re.fullmatch(r"[A-Za-z0-9-]+", name) for name in named):
        raise Unfit("a table of HTTP headers")
    if not all(re.fullmatch(r"\$[A-Z_][A-Z0-9_]*", of) for of in named.values()):
        raise Unfit('a table of headers and variables, such as { Authorization = "$PROM_AUTH" }')
    return {name: of.removeprefix("$") for name, of in named.items()}


def stages(value: object) -> tuple[GatewayStage, ...]:
    found = []
    for given in texts(value):
        match = re.fullmatch(r"(rest|http|websocket):([a-z0-9]+)/([A-Za-z0-9_$-]+)", given)
        if match is None:
            raise Unfit("a list of stages such as rest:a1b2c3/prod or http:a1b2c3/$default")
        found.append(GatewayStage(match[1], match[2], match[3]))
    return tuple(found)


def buckets(value: object) -> tuple[str, ...]:
    places = texts(value)
    if not all(re.fullmatch(r"s3://[a-z0-9.-]{3,63}(/\S*)?", place) for place in places):
        raise Unfit("a list of places such as s3://bucket/prefix")
    return places


def _table(value: object) -> dict[str, object]:
    if not isinstance(value, dict) or not value:
        raise Unfit("a table that is not empty")
    return {str(key): item for key, item in value.items()}
