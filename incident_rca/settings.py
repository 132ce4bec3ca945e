"""incident-rca.toml and the environment to frozen Settings, each value with where it came from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from incident_rca import settings_values as reading
from incident_rca.errors import BadSettings
from incident_rca.model import Basis, Route, Service, System, Topology
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
from incident_rca.settings_services import SECTIONS, Services, services_of

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
    "JIRA_API_TOKEN",
    "GITHUB_TOKEN",
    "PAGERDUTY_TOKEN",
    "SLACK_BOT_TOKEN",
)

ASSUMED_OFFSET_SECONDS = (-2.0, 2.0)
_CLOCKS = (System.POSTGRES, System.GRPC_METRICS, System.GATEWAY, System.CHANGES)


def _assumed_offsets() -> Mapping[str, tuple[float, float]]:
    return MappingProxyType({str(clock): ASSUMED_OFFSET_SECONDS for clock in _CLOCKS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a run is set to; where nothing is declared, the defaults.

    `plausible_deadline_seconds`: a client deadline above it is none for a request that a user waits
    for. `clock_offset_seconds`: bounds of each system's clock against true time. What
    begins with `postgres_` says where its past is found and how its log is written, what begins
    with `lint_` how migrations are run; 0 rows per second means that nobody measured. What begins
    with `tickets_` is where a ticket system's API is. `user_ids` are patterns of what reports hide
    as the id of a user.
    """

    timezone: str = "UTC"
    max_window_hours: int = 24
    plausible_deadline_seconds: float = 5.0
    large_table_rows: int = 100_000
    postgres_service: str = ""
    postgres_recordings: str = ""
    postgres_log_line_prefix: str = ""
    postgres_log_timezone: str = ""
    postgres_performance_insights: tuple[str, ...] = ()
    lint_runner: str = "psql"
    lint_lock_timeout_elsewhere: bool = False
    lint_index_rows_per_second: int = 0
    lint_large_tables: Mapping[str, int] = field(
        default_factory=lambda: MappingProxyType({}), hash=False
    )
    tickets_jira: str = ""
    tickets_github: str = "https://api.github.com"
    tickets_pagerduty: str = "https://api.pagerduty.com"
    tickets_slack: str = "https://slack.com/api"
    user_ids: tuple[str, ...] = ()
    clock_offset_seconds: Mapping[str, tuple[float, float]] = field(
        default_factory=_assumed_offsets, hash=False
    )
    services: Services = field(default_factory=Services)
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


# --- what a file may say ----------------------------------------------------------------------

# One entry a scalar: its field in Settings, its place in the file, and what reads it. Its variable
# is the prefix and the field in capitals.
SCALARS: Mapping[str, tuple[tuple[str, ...], Reader]] = {
    "timezone": (("timezone",), reading.timezone),
    "max_window_hours": (("analysis", "max_window_hours"), reading.integer),
    "plausible_deadline_seconds": (("analysis", "plausible_deadline_seconds"), reading.seconds),
    "large_table_rows": (("analysis", "large_table_rows"), reading.integer),
    "postgres_service": (("postgres", "service"), reading.service),
    "postgres_recordings": (("postgres", "recordings"), reading.text),
    "postgres_log_line_prefix": (("postgres", "log_line_prefix"), reading.verbatim),
    "postgres_log_timezone": (("postgres", "log_timezone"), reading.timezone),
    "postgres_performance_insights": (("postgres", "performance_insights"), reading.instances),
    "lint_runner": (("lint", "runner"), reading.runner),
    "lint_lock_timeout_elsewhere": (("lint", "lock_timeout_elsewhere"), reading.boolean),
    "lint_index_rows_per_second": (("lint", "index_rows_per_second"), reading.integer),
    "lint_large_tables": (("lint", "large_tables"), reading.row_counts),
    "tickets_jira": (("tickets", "jira"), reading.secure_url),
    "tickets_github": (("tickets", "github"), reading.secure_url),
    "tickets_pagerduty": (("tickets", "pagerduty"), reading.secure_url),
    "tickets_slack": (("tickets", "slack"), reading.secure_url),
    "user_ids": (("redaction", "user_ids"), reading.patterns),
}
_TOP = (
    *("timezone", "analysis", "postgres", "lint", "tickets", "redaction", *SECTIONS),
    *("clock_offset_seconds", "services", "routes"),
)
_TABLES = ("analysis", "postgres", "lint", "tickets", "redaction")
_SERVICE: Mapping[str, Reader] = {
    "grpc": reading.methods,
    "tables": reading.tables,
    "pool_size": reading.integer,
    "inferred": reading.boolean,
}
_ROUTE: Mapping[str, Reader] = {
    "method": reading.http_method,
    "path": reading.route_path,
    "calls": reading.methods,
    "follows": reading.texts,
    "timeout_seconds": reading.seconds,
    "inferred": reading.boolean,
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
        services.append(Service(name=name, basis=_basis(read), **read))
    return tuple(services)


def _basis(read: dict[str, Any]) -> Basis:
    """What a table says of itself; takes `inferred` out of what was read of it."""
    return Basis.INFERRED if read.pop("inferred", False) else Basis.OBSERVED


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
        route = Route(basis=_basis(read), **read)
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
    origins = {".".join(place): "default" for place, _ in SCALARS.values()}
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
    tables: dict[tuple[str, ...], dict[str, Any]] = {(): data}
    for table in _TABLES:
        known = [place[1] for place, _ in SCALARS.values() if place[0] == table]
        tables[(table,)] = document.table((table,), data.get(table, {}), known)
    for name, (place, reader) in SCALARS.items():
        *above, key = place
        if key in tables[tuple(above)]:
            values[name] = document.read(place, tables[tuple(above)][key], reader)
            origins[".".join(place)] = str(document.path)
    clocks = document.table(
        ("clock_offset_seconds",), data.get("clock_offset_seconds", {}), map(str, _CLOCKS)
    )
    values["clock_offset_seconds"] = {
        clock: document.read(("clock_offset_seconds", clock), bounds, reading.bounds)
        for clock, bounds in clocks.items()
    }
    origins |= {f"clock_offset_seconds.{clock}": str(document.path) for clock in clocks}
    services = _services(document, data.get("services", {}))
    routes = _routes(document, data.get("routes", []), services)
    values["topology"] = Topology(services, routes)
    values["services"] = services_of(document, data)
    origins |= {f"services.{service.name}": str(document.path) for service in services}
    origins |= {f"routes.{route.name}": str(document.path) for route in routes}
    origins |= {key: str(document.path) for key in _asked(values["services"])}
    return values


def _overrule(values: dict[str, Any], origins: dict[str, str], environ: Mapping[str, str]) -> None:
    """Puts the environment's scalars into `values`; an empty variable counts as not set."""
    known = {f"{ENVIRONMENT_PREFIX}{name.upper()}": name for name in SCALARS}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable == CONFIG_VARIABLE or not text:
            continue
        if variable not in known:
            names = (CONFIG_VARIABLE, *known)
            raise BadSettings(
                f"unknown key `{variable}` in the environment",
                hint=nearest(variable, names) or f"known: {', '.join(names)}",
            )
        place, reader = SCALARS[known[variable]]
        try:
            values[known[variable]] = reader(_given_as_text(text, reader))
        except Unfit as error:
            raise BadSettings(
                f"`{variable}` in the environment must be {error}: got {shown(text)}"
            ) from error
        origins[".".join(place)] = f"${variable}"


def _given_as_text(text: str, reader: Reader) -> object:
    """A variable's text as its reader takes it: a list, one pattern, a number, or as it is."""
    if reader is reading.instances:
        return text.split(",")
    if reader is reading.patterns:
        return [text]
    if reader is reading.boolean:
        return {"true": True, "false": False}.get(text, text)
    if reader not in (reading.integer, reading.seconds):
        return text
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
    for name, (place, _) in SCALARS.items():
        key = ".".join(place)
        value = getattr(settings, name)
        shown_value = ", ".join(value) if isinstance(value, tuple) else f"{value}"
        shown_value = _listed(value) if isinstance(value, Mapping) else shown_value
        rows.append((key, shown_value or "-", origins[key]))
    for clock, (lo, hi) in settings.clock_offset_seconds.items():
        key = f"clock_offset_seconds.{clock}"
        rows.append((key, f"[{lo:g}, {hi:g}]", origins[key]))
    for service in settings.topology.services:
        key = f"services.{service.name}"
        pool = [] if service.pool_size is None else [f"pool of {service.pool_size}"]
        marked = ["inferred"] if service.basis is Basis.INFERRED else []
        owned = ", ".join([*service.grpc, *service.tables, *pool, *marked]) or "-"
        rows.append((key, owned, origins[key]))
    for route in settings.topology.routes:
        key = f"routes.{route.name}"
        parts = [f"calls {name}" for name in route.calls]
        parts += [f"follows {name}" for name in route.follows]
        if route.timeout_seconds is not None:
            parts.append(f"timeout {route.timeout_seconds:g} s")
        parts += ["inferred"] if route.basis is Basis.INFERRED else []
        rows.append((key, ", ".join(parts) or "-", origins[key]))
    rows += [(key, what, origins[key]) for key, what in _asked(settings.services).items()]
    present = {True: "set (masked)", False: "not set"}
    return rows + [(name, present[bool(environ.get(name))], "environment") for name in SECRETS]


def _asked(services: Services) -> dict[str, str]:
    """Each service that is asked, by its key, in a few words; no value of it is a secret."""
    return {
        f"{section}.{service.name}": ", ".join(
            f"{key} {value if isinstance(value, str) else _listed(value)}"
            for key, value in ((f.name, getattr(service, f.name)) for f in fields(service))
            if value and key != "name"
        )
        or "-"
        for section in SECTIONS
        for service in getattr(services, section)
    }


def _listed(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}={item}" for key, item in value.items())
    return " ".join(getattr(item, "text", item) for item in value)
