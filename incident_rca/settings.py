"""incident-rca.toml and the environment to frozen Settings, each value with where it came from."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from incident_rca.errors import BadSettings, BadWindow
from incident_rca.model import Route, Service, System, Topology
from incident_rca.settings_document import (
    Document,
    Place,
    Reader,
    Unfit,
    dotted,
    nearest,
    read_document,
    shown,
)
from incident_rca.window import load_zone

FILE_NAME = "incident-rca.toml"
ENVIRONMENT_PREFIX = "INCIDENT_RCA_"
CONFIG_VARIABLE = "INCIDENT_RCA_CONFIG"

SECRETS = (
    "DD_API_KEY",
    "DD_APP_KEY",
    "PGPASSWORD",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)

ASSUMED_OFFSET_SECONDS = (-2.0, 2.0)
_CLOCKS = (System.POSTGRES, System.GRPC_METRICS, System.GATEWAY, System.CHANGES)


def _assumed_offsets() -> Mapping[str, tuple[float, float]]:
    return MappingProxyType({str(clock): ASSUMED_OFFSET_SECONDS for clock in _CLOCKS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a run is set to; where nothing is declared, the defaults.

    `plausible_deadline_seconds`: a client deadline above it is none for a request that a user waits
    for. `clock_offset_seconds`: bounds of each system's clock against true time.
    """

    timezone: str = "UTC"
    max_window_hours: int = 24
    plausible_deadline_seconds: float = 5.0
    large_table_rows: int = 100_000
    clock_offset_seconds: Mapping[str, tuple[float, float]] = field(
        default_factory=_assumed_offsets, hash=False
    )
    topology: Topology = field(default_factory=Topology)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """Settings and where they came from.

    `origins` has the dotted key of each value (and `config`, for how the file was found) and says
    `default`, `assumed`, `$VARIABLE` or the path of the file; `path` is None without a file.
    """

    settings: Settings
    origins: Mapping[str, str] = field(hash=False)
    path: Path | None


# --- what a value may be ----------------------------------------------------------------------


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Unfit("a whole number from 1")
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unfit("a number of seconds above 0")
    # An integer that is too large for a float is no length of time either.
    if not 0 < value < 10**9:
        raise Unfit("a number of seconds above 0")
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Unfit("a text that is not empty")
    return value.strip()


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
        raise Unfit("a list of texts that are not empty")
    return tuple(dict.fromkeys(v.strip() for v in value))


def _timezone(value: object) -> str:
    name = _text(value)
    try:
        load_zone(name)
    except BadWindow as error:
        raise Unfit(f"an IANA time zone ({error.hint})") from error
    return name


def _bounds(value: object) -> tuple[float, float]:
    expected = "two numbers of seconds [earliest, latest] in that order, such as [-0.5, 0.5]"
    if not isinstance(value, list) or len(value) != 2:
        raise Unfit(expected)
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in value):
        raise Unfit(expected)
    if any(abs(v) > 10**9 or math.isnan(v) for v in value) or value[0] > value[1]:
        raise Unfit(expected)
    return float(value[0]), float(value[1])


_TABLE_NAME = re.compile(r'(?:(?:"[^"]+"|[^".\s]+)\.)?(?:"[^"]+"|[^".\s]+)')


def _tables(value: object) -> tuple[str, ...]:
    names = _texts(value)
    if not all(_TABLE_NAME.fullmatch(name) for name in names):
        raise Unfit("a list of tables as `schema.table`")
    return tuple(dict.fromkeys(_with_schema(name) for name in names))


def _with_schema(table: str) -> str:
    has_schema = "." in re.sub(r'"[^"]+"', "", table)
    return table if has_schema else f"public.{table}"


def _methods(value: object) -> tuple[str, ...]:
    """gRPC methods; the slash in front that they have on the wire is cut."""
    names = tuple(name.removeprefix("/") for name in _texts(value))
    if not all(re.fullmatch(r"[^\s/]+/[^\s/]+", name) for name in names):
        raise Unfit("a list of gRPC methods as `package.Service/Method`")
    return tuple(dict.fromkeys(names))


def _http_method(value: object) -> str:
    name = _text(value).upper()
    if not re.fullmatch(r"[A-Z]+", name):
        raise Unfit("an HTTP method such as GET")
    return name


def _route_path(value: object) -> str:
    path = _text(value)
    if not re.fullmatch(r"/\S*", path) or "/:" in path:
        raise Unfit("a path as the gateway names it, such as /api/inventory/{sku}")
    return path


# One entry a scalar: its field in Settings, its place in the file, and what reads it. Its variable
# is the prefix and the field in capitals.
_SCALARS: Mapping[str, tuple[tuple[str, ...], Reader]] = {
    "timezone": (("timezone",), _timezone),
    "max_window_hours": (("analysis", "max_window_hours"), _integer),
    "plausible_deadline_seconds": (("analysis", "plausible_deadline_seconds"), _seconds),
    "large_table_rows": (("analysis", "large_table_rows"), _integer),
}
_TOP = ("timezone", "analysis", "clock_offset_seconds", "services", "routes")
_ANALYSIS = tuple(name for name, (place, _) in _SCALARS.items() if place[0] == "analysis")
_SERVICE: Mapping[str, Reader] = {"grpc": _methods, "tables": _tables, "pool_size": _integer}
_ROUTE: Mapping[str, Reader] = {
    "method": _http_method,
    "path": _route_path,
    "calls": _methods,
    "follows": _texts,
    "timeout_seconds": _seconds,
}


# --- the topology -----------------------------------------------------------------------------


def _services(document: Document, value: object) -> tuple[Service, ...]:
    owners: dict[str, str] = {}
    services: list[Service] = []
    for name, table in document.table(("services",), value, None).items():
        place: Place = ("services", name)
        given = document.table(place, table, _SERVICE)
        read = {k: document.read((*place, k), v, _SERVICE[k]) for k, v in given.items()}
        for method in read.get("grpc", ()):
            owner = owners.setdefault(method, name)
            if owner != name:
                document.refuse(
                    (*place, "grpc"), f"`{method}` belongs to both `{owner}` and `{name}`"
                )
        services.append(Service(name=name, **read))
    return tuple(services)


def _routes(document: Document, value: object, services: tuple[Service, ...]) -> tuple[Route, ...]:
    if not isinstance(value, list):
        document.refuse(("routes",), "`routes` must be a list of tables", hint="write [[routes]]")
    routes: list[Route] = []
    for index, table in enumerate(value):
        place: Place = ("routes", index)
        given = document.table(place, table, _ROUTE)
        read = {k: document.read((*place, k), v, _ROUTE[k]) for k, v in given.items()}
        for needed in ("method", "path"):
            if needed not in read:
                document.refuse(place, f"`{dotted(place)}` has no `{needed}`")
        route = Route(**read)
        if route.name in {r.name for r in routes}:
            document.refuse(place, f"route `{route.name}` stands twice")
        routes.append(route)
    methods = [m for service in services for m in service.grpc]
    names = [route.name for route in routes]
    for index, route in enumerate(routes):
        for key, wanted, known, owner in (
            ("calls", route.calls, methods, "a method of no service"),
            ("follows", route.follows, names, "no route"),
        ):
            for name in wanted:
                if name not in known:
                    document.refuse(
                        ("routes", index, key),
                        f"`routes[{index + 1}].{key}` names `{name}`, which is {owner},",
                        hint=nearest(name, known) or f"known: {', '.join(known) or 'none'}",
                    )
    return tuple(routes)


# --- loading ----------------------------------------------------------------------------------


def load_settings(
    *, config: Path | None, environ: Mapping[str, str], cwd: Path, user_config_dir: Path
) -> LoadedSettings:
    """The settings in force, and the origin of each.

    The file is `config`, else $INCIDENT_RCA_CONFIG, else the first incident-rca.toml from `cwd`
    upwards, else the one in `user_config_dir`; variables of the environment overrule it. Raises
    BadSettings for a file that cannot be read, for unknown keys and for values of a wrong kind.
    """
    path, found_by = _find_file(config, environ, cwd, user_config_dir)
    values: dict[str, Any] = {}
    origins = {".".join(place): "default" for place, _ in _SCALARS.values()}
    origins |= {f"clock_offset_seconds.{clock}": "assumed" for clock in _CLOCKS}
    if path is not None:
        document, data = read_document(path)
        values = _values_of_file(document, data, origins)
    _overrule(values, origins, environ)
    offsets: Mapping[str, tuple[float, float]] = values.pop("clock_offset_seconds", {})
    settings = Settings(
        clock_offset_seconds=MappingProxyType({**_assumed_offsets(), **offsets}),
        **values,
    )
    origins["config"] = found_by
    return LoadedSettings(settings=settings, origins=MappingProxyType(origins), path=path)


def _find_file(
    config: Path | None, environ: Mapping[str, str], cwd: Path, user_config_dir: Path
) -> tuple[Path | None, str]:
    if config is not None:
        return cwd / config, "--config"
    if named := environ.get(CONFIG_VARIABLE):
        return cwd / named, f"${CONFIG_VARIABLE}"
    for folder in (cwd, *cwd.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME, "working folder upwards"
    if (user_config_dir / FILE_NAME).is_file():
        return user_config_dir / FILE_NAME, "user config folder"
    return None, "none found"


def _values_of_file(
    document: Document, data: dict[str, Any], origins: dict[str, str]
) -> dict[str, Any]:
    """The fields of Settings that the file states; notes its path in `origins`."""
    values: dict[str, Any] = {}
    document.table((), data, _TOP)
    analysis = document.table(("analysis",), data.get("analysis", {}), _ANALYSIS)
    for name, (place, reader) in _SCALARS.items():
        table = analysis if place[0] == "analysis" else data
        if name in table:
            values[name] = document.read(place, table[name], reader)
            origins[".".join(place)] = str(document.path)
    clocks = document.table(
        ("clock_offset_seconds",), data.get("clock_offset_seconds", {}), map(str, _CLOCKS)
    )
    values["clock_offset_seconds"] = {
        clock: document.read(("clock_offset_seconds", clock), bounds, _bounds)
        for clock, bounds in clocks.items()
    }
    origins |= {f"clock_offset_seconds.{clock}": str(document.path) for clock in clocks}
    services = _services(document, data.get("services", {}))
    routes = _routes(document, data.get("routes", []), services)
    values["topology"] = Topology(services, routes)
    origins |= {f"services.{service.name}": str(document.path) for service in services}
    origins |= {f"routes.{route.name}": str(document.path) for route in routes}
    return values


def _overrule(values: dict[str, Any], origins: dict[str, str], environ: Mapping[str, str]) -> None:
    """Puts the environment's scalars into `values`; an empty variable counts as not set."""
    known = {f"{ENVIRONMENT_PREFIX}{name.upper()}": name for name in _SCALARS}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable == CONFIG_VARIABLE or not text:
            continue
        if variable not in known:
            names = (CONFIG_VARIABLE, *known)
            raise BadSettings(
                f"unknown key `{variable}` in the environment",
                hint=nearest(variable, names) or f"known: {', '.join(names)}",
            )
        place, reader = _SCALARS[known[variable]]
        try:
            values[known[variable]] = reader(_number_or_text(text) if reader != _timezone else text)
        except Unfit as error:
            raise BadSettings(
                f"`{variable}` in the environment must be {error}: got {shown(text)}"
            ) from error
        origins[".".join(place)] = f"${variable}"


def _number_or_text(text: str) -> object:
    if re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?[0-9]{1,18}\.[0-9]{1,18}", text) else text


# --- showing ----------------------------------------------------------------------------------


def describe_settings(
    loaded: LoadedSettings, environ: Mapping[str, str]
) -> list[tuple[str, str, str]]:
    """Each setting in force as (key, value, origin), then which secrets the environment has.

    A secret's value is never shown.
    """
    settings, origins = loaded.settings, loaded.origins
    rows = [("config", str(loaded.path or "-"), origins["config"])]
    for name, (place, _) in _SCALARS.items():
        key = ".".join(place)
        rows.append((key, f"{getattr(settings, name)}", origins[key]))
    for clock, (lo, hi) in settings.clock_offset_seconds.items():
        key = f"clock_offset_seconds.{clock}"
        rows.append((key, f"[{lo:g}, {hi:g}]", origins[key]))
    for service in settings.topology.services:
        key = f"services.{service.name}"
        pool = [] if service.pool_size is None else [f"pool of {service.pool_size}"]
        owned = ", ".join([*service.grpc, *service.tables, *pool]) or "-"
        rows.append((key, owned, origins[key]))
    for route in settings.topology.routes:
        key = f"routes.{route.name}"
        parts = [f"calls {name}" for name in route.calls]
        parts += [f"follows {name}" for name in route.follows]
        if route.timeout_seconds is not None:
            parts.append(f"timeout {route.timeout_seconds:g} s")
        rows.append((key, ", ".join(parts) or "-", origins[key]))
    present = {True: "set (masked)", False: "not set"}
    return rows + [(name, present[bool(environ.get(name))], "environment") for name in SECRETS]
