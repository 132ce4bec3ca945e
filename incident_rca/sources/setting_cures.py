"""The line that changes a setting, as the platform wants it: SQL or the provider's command."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Platform(StrEnum):
    """Who operates the server: ALTER SYSTEM is refused on all but our own."""

    OWN = ""
    RDS = "rds"
    AURORA = "aurora"
    CLOUD_SQL = "cloudsql"
    AZURE = "azure"


PLATFORM_NAMES: Mapping[Platform, str] = {
    Platform.RDS: "Amazon RDS",
    Platform.AURORA: "Amazon Aurora",
    Platform.CLOUD_SQL: "Google Cloud SQL",
    Platform.AZURE: "Azure Database for PostgreSQL",
}
RESTART = "SELECT pg_reload_conf(); -- then restart PostgreSQL"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSetting:
    """A row of pg_settings: `setting` is in its base unit, `shown` as people write it."""

    name: str
    setting: str
    shown: str
    source: str
    pending_restart: bool


def setting_cure(
    platform: Platform, name: str, value: str, *, source: str = "", restart: bool = False
) -> str:
    """The line that sets `name` to `value` (in its base unit); `source` is where it is set now.

    RDS and Aurora take it from a parameter group; ALTER SYSTEM is refused there (Amazon RDS User
    Guide, "Parameters for logging in RDS for PostgreSQL").

    >>> print(setting_cure(Platform.OWN, "log_lock_waits", "on"))
    ALTER SYSTEM SET log_lock_waits = on; SELECT pg_reload_conf();
    """
    match platform:
        case Platform.RDS | Platform.AURORA:
            return _parameter_group(platform, name, value, restart=restart)
        case Platform.CLOUD_SQL | Platform.AZURE:
            kind = "database flag" if platform is Platform.CLOUD_SQL else "server parameter"
            later = ", then restart it" if restart else ""
            return f"{PLATFORM_NAMES[platform]}: set the {kind} {name} to {value}{later}"
        case Platform.OWN if source == "command line":
            # What stands on the command line goes over ALTER SYSTEM.
            return f"start the server with -c {name}={_sql_value(value)} on its command line"
        case Platform.OWN:
            end = RESTART if restart else "SELECT pg_reload_conf();"
            return f"ALTER SYSTEM SET {name} = {_sql_value(value)}; {end}"


def _sql_value(value: str) -> str:
    # An unquoted word is folded to lower case, and `C` is another locale than `c`.
    if value.isalnum() and value == value.lower():
        return value
    return "'" + value.replace("'", "''") + "'"


def _parameter_group(platform: Platform, name: str, value: str, *, restart: bool) -> str:
    kind = "db-cluster-parameter-group" if platform is Platform.AURORA else "db-parameter-group"
    parameter = {
        "ParameterName": name,
        "ParameterValue": {"on": "1", "off": "0"}.get(value, value),
        "ApplyMethod": "pending-reboot" if restart else "immediate",
    }
    return f"aws rds modify-{kind} --{kind}-name GROUP --parameters '{json.dumps([parameter])}'"
