from __future__ import annotations

import time
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from incident_rca.errors import BadSettings, ExitCode
from incident_rca.importing import with_settings
from incident_rca.model import Basis, Case, Route, Service, TimeWindow
from incident_rca.model.services import (
    AwsAccount,
    DatadogAccount,
    GatewayStage,
    PrometheusServer,
)
from incident_rca.settings import LoadedSettings, Settings, describe_settings, load_settings

START = datetime(2026, 1, 15, 14, tzinfo=UTC)
FULL = """\
timezone = "Asia/Tokyo"

[analysis]
max_window_hours = 48
plausible_deadline_seconds = 2
large_table_rows = 5000

[clock_offset_seconds]
postgres = [-0.05, 0.05]
gateway = [0, 1]

[services.inventory]
grpc = ["/inventory.Inventory/Reserve", "inventory.Inventory/Stock"]
tables = ["stock_reservations", "stock.items", "public.stock_reservations", '"My T.1"']
pool_size = 100

[services.orders]

[[routes]]
method = "post"
path = "/api/orders"
calls = ["inventory.Inventory/Reserve"]
timeout_seconds = 60

[[routes]]
method = "POST"
path = "/api/payments/intent"
follows = ["POST /api/orders"]
"""


def load(
    folder: Path, text: str | None = None, environ: Mapping[str, str] | None = None
) -> LoadedSettings:
    if text is not None:
        (folder / "incident-rca.toml").write_text(text, encoding="utf-8")
    return load_settings(
        config=None, environ=environ or {}, cwd=folder, user_config_dir=folder / "user"
    )


def refusal(
    folder: Path, text: str | None = None, environ: Mapping[str, str] | None = None
) -> BadSettings:
    with pytest.raises(BadSettings) as caught:
        load(folder, text, environ)
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    assert loaded.settings == Settings()
    assert loaded.path is None
    assert loaded.origins["timezone"] == "default"
    assert loaded.origins["clock_offset_seconds.gateway"] == "assumed"
    assert loaded.settings.clock_offset_seconds["changes"] == (-2.0, 2.0)
    assert not loaded.settings.topology


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, "").settings == Settings()


def test_a_full_file(tmp_path: Path) -> None:
    loaded = load(tmp_path, FULL)
    settings = loaded.settings
    assert (settings.timezone, settings.max_window_hours) == ("Asia/Tokyo", 48)
    assert (settings.plausible_deadline_seconds, settings.large_table_rows) == (2.0, 5000)
    assert settings.clock_offset_seconds["postgres"] == (-0.05, 0.05)
    assert settings.clock_offset_seconds["gateway"] == (0.0, 1.0)
    assert settings.topology.services == (
        Service(
            name="inventory",
            grpc=("inventory.Inventory/Reserve", "inventory.Inventory/Stock"),
            tables=("public.stock_reservations", "stock.items", 'public."My T.1"'),
            pool_size=100,
        ),
        Service(name="orders"),
    )
    assert settings.topology.routes == (
        Route(
            method="POST",
            path="/api/orders",
            calls=("inventory.Inventory/Reserve",),
            timeout_seconds=60.0,
        ),
        Route(method="POST", path="/api/payments/intent", follows=("POST /api/orders",)),
    )
    assert loaded.path == tmp_path / "incident-rca.toml"
    for key in ("timezone", "analysis.large_table_rows", "services.inventory"):
        assert loaded.origins[key] == str(loaded.path)


def test_the_nearest_file_upwards_wins_over_the_user_folder(tmp_path: Path) -> None:
    deep, user = tmp_path / "a" / "b", tmp_path / "user"
    deep.mkdir(parents=True)
    user.mkdir()

    def timezone(config: Path | None = None, environ: Mapping[str, str] | None = None) -> str:
        loaded = load_settings(config=config, environ=environ or {}, cwd=deep, user_config_dir=user)
        return f"{loaded.settings.timezone} by {loaded.origins['config']}"

    assert timezone() == "UTC by none found"
    (user / "incident-rca.toml").write_text('timezone = "Asia/Tokyo"')
    assert timezone() == "Asia/Tokyo by user config folder"
    (tmp_path / "incident-rca.toml").write_text('timezone = "Europe/Paris"')
    assert timezone() == "Europe/Paris by working folder upwards"
    (tmp_path / "a" / "incident-rca.toml").write_text('timezone = "Europe/Rome"')
    assert timezone() == "Europe/Rome by working folder upwards"
    (deep / "env.toml").write_text('timezone = "Europe/Oslo"')
    named = {"INCIDENT_RCA_CONFIG": "env.toml"}
    assert timezone(environ=named) == "Europe/Oslo by $INCIDENT_RCA_CONFIG"
    (deep / "flag.toml").write_text('timezone = "Europe/Kyiv"')
    assert timezone(Path("flag.toml"), named) == "Europe/Kyiv by --config"
    assert timezone(tmp_path / "a" / "incident-rca.toml", named) == "Europe/Rome by --config"


def test_the_environment_overrules_the_file(tmp_path: Path) -> None:
    environ = {
        "INCIDENT_RCA_TIMEZONE": "Europe/Berlin",
        "INCIDENT_RCA_MAX_WINDOW_HOURS": "12",
        "INCIDENT_RCA_PLAUSIBLE_DEADLINE_SECONDS": "0.5",
        "INCIDENT_RCA_LARGE_TABLE_ROWS": "",
        "HOME": "/somewhere",
    }
    loaded = load(tmp_path, FULL, environ)
    settings = loaded.settings
    assert (settings.timezone, settings.max_window_hours) == ("Europe/Berlin", 12)
    assert (settings.plausible_deadline_seconds, settings.large_table_rows) == (0.5, 5000)
    assert loaded.origins["analysis.max_window_hours"] == "$INCIDENT_RCA_MAX_WINDOW_HOURS"


@pytest.mark.parametrize(
    ("variable", "text", "word"),
    [
        ("INCIDENT_RCA_TIMEZONE", "Berlin/Europe", "IANA"),
        ("INCIDENT_RCA_TIMEZONE", "EST", "IANA"),
        ("INCIDENT_RCA_MAX_WINDOW_HOURS", "two", "whole number"),
        ("INCIDENT_RCA_MAX_WINDOW_HOURS", "1.5", "whole number"),
        ("INCIDENT_RCA_LARGE_TABLE_ROWS", "-1", "whole number"),
        ("INCIDENT_RCA_LARGE_TABLE_ROWS", "9" * 5000, "whole number"),
        ("INCIDENT_RCA_PLAUSIBLE_DEADLINE_SECONDS", "nan", "seconds"),
    ],
)
def test_bad_values_of_the_environment(tmp_path: Path, variable: str, text: str, word: str) -> None:
    error = refusal(tmp_path, environ={variable: text})
    assert variable in error.message and word in error.message
    assert len(error.message) < 300


def test_an_unknown_variable_is_named_with_its_nearest(tmp_path: Path) -> None:
    error = refusal(tmp_path, environ={"INCIDENT_RCA_TIMEZON": "UTC"})
    assert "INCIDENT_RCA_TIMEZON" in error.message
    assert error.hint == "did you mean `INCIDENT_RCA_TIMEZONE`?"


@pytest.mark.parametrize(
    ("text", "key", "line", "near"),
    [
        ("\n[servces.x]\n", "servces", 2, "services"),
        ('timezon = "UTC"', "timezon", 1, "timezone"),
        ("[analysis]\nmax_window_hour = 3", "analysis.max_window_hour", 2, "max_window_hours"),
        ("[clock_offset_seconds]\npostgresql = [0, 1]", "postgresql", 2, "postgres"),
        ("[services.a]\n[services.b]\n\ntable = []", "services.b.table", 4, "tables"),
        (
            '[[routes]]\nmethod = "GET"\npath = "/a"\n[[routes]]\n# x\ncall = []',
            "routes[2].call",
            6,
            "calls",
        ),
    ],
)
def test_an_unknown_key_is_named_with_its_nearest(
    tmp_path: Path, text: str, key: str, line: int, near: str
) -> None:
    error = refusal(tmp_path, text)
    assert f"{key}`" in error.message
    assert f"{tmp_path / 'incident-rca.toml'}, line {line}" in error.message
    assert error.hint == f"did you mean `{near}`?"


def test_an_unknown_key_unlike_any_lists_the_known(tmp_path: Path) -> None:
    error = refusal(tmp_path, 'zzz = "hunter2"')
    assert "known here: timezone, analysis" in error.hint
    assert "hunter2" not in f"{error.message}{error.hint}"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("timezone = 9", "timezone"),
        ('timezone = "Mars/Olympus"', "timezone"),
        ("analysis = 3", "analysis"),
        ("[analysis]\nmax_window_hours = true", "analysis.max_window_hours"),
        ("[analysis]\nmax_window_hours = 0", "analysis.max_window_hours"),
        ("[analysis]\nplausible_deadline_seconds = inf", "analysis.plausible_deadline_seconds"),
        ("[analysis]\nplausible_deadline_seconds = nan", "analysis.plausible_deadline_seconds"),
        ("[analysis]\nlarge_table_rows = 1.5", "analysis.large_table_rows"),
        ("[clock_offset_seconds]\ngateway = [1, -1]", "clock_offset_seconds.gateway"),
        ("[clock_offset_seconds]\ngateway = [1]", "clock_offset_seconds.gateway"),
        ("[clock_offset_seconds]\ngateway = 1", "clock_offset_seconds.gateway"),
        ("[clock_offset_seconds]\ngateway = [nan, 1]", "clock_offset_seconds.gateway"),
        ('[clock_offset_seconds]\ngateway = ["0", 1]', "clock_offset_seconds.gateway"),
        ("services = []", "services"),
        ("services.a = 1", "services.a"),
        ('[services.a]\ngrpc = "x.Y/Z"', "services.a.grpc"),
        ('[services.a]\ngrpc = ["reserve"]', "services.a.grpc"),
        ('[services.a]\ntables = ["db.schema.t"]', "services.a.tables"),
        ('[services.a]\ntables = [""]', "services.a.tables"),
        ("[services.a]\npool_size = 0", "services.a.pool_size"),
        ('[services.a]\ngrpc = ["x.Y/Z"]\n[services.b]\ngrpc = ["x.Y/Z"]', "x.Y/Z"),
        ("routes = 3", "routes"),
        ("routes = [3]", "routes[1]"),
        ('[[routes]]\nmethod = "GET"', "routes[1]"),
        ('[[routes]]\nmethod = "GET"\npath = "api"', "routes[1].path"),
        ('[[routes]]\nmethod = "GET"\npath = "/api/:sku"', "routes[1].path"),
        ('[[routes]]\nmethod = "G T"\npath = "/api"', "routes[1].method"),
        ('[[routes]]\nmethod="GET"\npath="/a"\ntimeout_seconds="1"', "routes[1].timeout_seconds"),
        ('[[routes]]\nmethod="GET"\npath="/a"\n[[routes]]\nmethod="get"\npath="/a"', "GET /a"),
    ],
)
def test_bad_values_name_key_and_file(tmp_path: Path, text: str, key: str) -> None:
    error = refusal(tmp_path, text)
    assert f"`{key}`" in error.message
    assert "incident-rca.toml" in error.message


def test_a_call_must_be_a_method_of_a_service(tmp_path: Path) -> None:
    text = FULL.replace(
        'calls = ["inventory.Inventory/Reserve"]', 'calls = ["inventory.Inventory/Reserv"]'
    )
    error = refusal(tmp_path, text)
    assert "`inventory.Inventory/Reserv`, which is a method of no service" in error.message
    assert error.hint == "did you mean `inventory.Inventory/Reserve`?"


def test_follows_must_name_a_route(tmp_path: Path) -> None:
    error = refusal(tmp_path, FULL.replace('"POST /api/orders"', '"POST /api/order"'))
    assert "`routes[2].follows`" in error.message
    assert error.hint == "did you mean `POST /api/orders`?"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for config in (Path("absent.toml"), tmp_path, Path("a\0b")):
        with pytest.raises(BadSettings, match="cannot read"):
            load_settings(config=config, environ={}, cwd=tmp_path, user_config_dir=tmp_path)
    assert "absent" in refusal(tmp_path, environ={"INCIDENT_RCA_CONFIG": "absent.toml"}).message
    file = tmp_path / "incident-rca.toml"
    file.write_bytes(b'timezone = "\xff"')
    assert "UTF-8" in refusal(tmp_path).message
    assert "line 2" in refusal(tmp_path, "\ntimezone = x\n").message
    assert "not valid TOML" in refusal(tmp_path, "a = " + "[" * 10_000).message
    assert "not valid TOML" in refusal(tmp_path, "a = " + "9" * 5000).message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# é\n" * 300_000, "is larger than 1 MiB"),
        ("\n" + "1." * 150_000 + "1 = 1\n", "line 2 has a name of more than 100 parts"),
        ("\n\n[ " + "a . " * 200_000 + "b]\n", "line 3 has a name of more than 100 parts"),
        ("x = {" + "'a'." * 200_000 + "b = 1}\n", "line 1 has a name of more than 100 parts"),
        ("x" * 1_000_000, "not valid TOML"),
        (" " * 1_000_000, ""),
        ("a" + " " * 1_000_000, "not valid TOML"),
    ],
    ids=["large", "dotted", "header", "inline", "word", "blanks", "late"],
)
def test_a_file_that_would_take_minutes_is_refused_at_once(
    tmp_path: Path, text: str, said: str
) -> None:
    before = time.process_time()
    if said:
        assert said in refusal(tmp_path, text).message
    else:
        (tmp_path / "incident-rca.toml").write_text(text)
        load_settings(config=None, environ={}, cwd=tmp_path, user_config_dir=tmp_path)
    assert time.process_time() - before < 2


def test_describe_settings_masks_secrets(tmp_path: Path) -> None:
    environ = {"PGPASSWORD": "hunter2", "DD_API_KEY": "", "INCIDENT_RCA_TIMEZONE": "Asia/Seoul"}
    loaded = load(tmp_path, FULL, environ)
    rows = describe_settings(loaded, environ)
    file = str(tmp_path / "incident-rca.toml")
    assert rows[0] == ("config", file, "working folder upwards")
    assert ("timezone", "Asia/Seoul", "$INCIDENT_RCA_TIMEZONE") in rows
    assert ("clock_offset_seconds.postgres", "[-0.05, 0.05]", file) in rows
    assert ("clock_offset_seconds.changes", "[-2, 2]", "assumed") in rows
    assert ("routes.POST /api/payments/intent", "follows POST /api/orders", file) in rows
    assert ("PGPASSWORD", "set (masked)", "environment") in rows
    assert ("DD_API_KEY", "not set", "environment") in rows
    assert "hunter2" not in str(rows)
    assert len({key for key, _, _ in rows}) == len(rows)


# --- where the past of PostgreSQL is found ------------------------------------------------------

POSTGRES = """
[postgres]
service = "orders-prod"
recordings = "/var/lib/incident-rca/recordings"
log_line_prefix = "%m [%p] "
log_timezone = "Europe/Berlin"
performance_insights = ["db-ABC@eu-west-1", "db-DEF"]
"""


def test_where_the_past_of_postgres_is_found(tmp_path: Path) -> None:
    settings = load(tmp_path, POSTGRES).settings
    assert settings.postgres_service == "orders-prod"
    assert settings.postgres_recordings == "/var/lib/incident-rca/recordings"
    assert settings.postgres_log_line_prefix == "%m [%p] "
    assert settings.postgres_log_timezone == "Europe/Berlin"
    assert settings.postgres_performance_insights == ("db-ABC@eu-west-1", "db-DEF")


def test_the_environment_overrules_what_the_file_says_of_postgres(tmp_path: Path) -> None:
    environ = {
        "INCIDENT_RCA_POSTGRES_SERVICE": "7",
        "INCIDENT_RCA_POSTGRES_LOG_LINE_PREFIX": "%t:%r:%u@%d:[%p]: ",
        "INCIDENT_RCA_POSTGRES_PERFORMANCE_INSIGHTS": "db-X, db-Y@us-east-1",
    }
    loaded = load(tmp_path, POSTGRES, environ)
    assert loaded.settings.postgres_service == "7"
    assert loaded.settings.postgres_log_line_prefix == "%t:%r:%u@%d:[%p]: "
    assert loaded.settings.postgres_performance_insights == ("db-X", "db-Y@us-east-1")
    assert loaded.origins["postgres.service"] == "$INCIDENT_RCA_POSTGRES_SERVICE"
    assert loaded.origins["postgres.recordings"] == str(tmp_path / "incident-rca.toml")
    rows = {key: value for key, value, _ in describe_settings(loaded, environ)}
    assert rows["postgres.performance_insights"] == "db-X, db-Y@us-east-1"


def test_what_names_a_user_is_a_list_of_patterns(tmp_path: Path) -> None:
    text = '[redaction]\nuser_ids = ["\\\\bu-[0-9]{3,5}\\\\b", "ACME-[0-9]+"]\n'
    loaded = load(tmp_path, text)
    assert loaded.settings.user_ids == (r"\bu-[0-9]{3,5}\b", "ACME-[0-9]+")
    environ = {"INCIDENT_RCA_USER_IDS": "x[0-9]{1,3}"}
    assert load(tmp_path, text, environ).settings.user_ids == ("x[0-9]{1,3}",)
    case = Case(id="INC-1", title="", window=TimeWindow(START, START + timedelta(hours=1)))
    assert with_settings(case, loaded.settings).user_ids == loaded.settings.user_ids


@pytest.mark.parametrize("wrong", ['"u"', "[5]", '["("]', '["u*"]', '[""]'])
def test_a_pattern_that_cannot_name_a_user_is_refused(tmp_path: Path, wrong: str) -> None:
    error = refusal(tmp_path, f"[redaction]\nuser_ids = {wrong}")
    assert "`redaction.user_ids`" in error.message and "line 2" in error.message


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('service = "host=db password=hunter2"', "postgres.service"),
        ('service = "postgresql://app:hunter2@db/orders"', "postgres.service"),
        ("service = 5", "postgres.service"),
        ('recordings = ""', "postgres.recordings"),
        ('log_line_prefix = ""', "postgres.log_line_prefix"),
        ('log_timezone = "CET"', "postgres.log_timezone"),
        ('performance_insights = "db-ABC"', "postgres.performance_insights"),
        ('performance_insights = ["orders"]', "postgres.performance_insights"),
        ('performance_insights = ["db-ABC@"]', "postgres.performance_insights"),
        ('dsn = "host=db password=hunter2"', "postgres.dsn"),
    ],
)
def test_what_is_wrong_of_postgres_is_named(tmp_path: Path, text: str, key: str) -> None:
    error = refusal(tmp_path, f"[postgres]\n{text}")
    assert f"`{key}`" in error.message and "line 2" in error.message
    # A DSN does not belong there, and what is in it does not belong into a message.
    assert "hunter2" not in error.message + error.hint


# --- what is asked beside PostgreSQL ------------------------------------------------------------

ASKED = """
[[datadog]]
name = "dd-eu"
site = "datadoghq.eu"
endpoint = "https://proxy.example/dd/"
proxy = "http://proxy.example:3128"
scope = "env:prod"
latency = ["grpc.client.duration", "grpc.client.duration"]
unit = "ms"
pool = { used = "pool.used", max = "pool.max", pending = "pool.pending" }
events = "source:deploy"
key_prefix = "DD_EU"

[[prometheus]]
name = "mimir"
url = "https://mimir.example/prometheus/"
headers = { Authorization = "$PROM_AUTH", X-Scope-OrgID = "$ORG" }
matchers = 'env="prod"'
latency = ["grpc_client_handling_seconds"]
unit = "s"
pool = { used = "pool_used" }
sigv4_region = "eu-west-1"
sigv4_profile = "readonly"

[[aws]]
name = "shop"
region = "eu-west-1"
profile = "readonly"
endpoint = "http://127.0.0.1:4566"
stages = ["rest:a1b2c3/prod", "http:d4e5f6/$default", "websocket:g7/live"]
postgres_logs = ["/aws/rds/instance/orders/postgresql"]
access_logs = ["s3://logs/access"]
load_balancer_logs = ["s3://logs"]

[[aws]]
name = "other"
"""


def test_every_key_of_what_is_asked(tmp_path: Path) -> None:
    services = load(tmp_path, ASKED).settings.services
    assert services.datadog == (
        DatadogAccount(
            name="dd-eu",
            site="datadoghq.eu",
            endpoint="https://proxy.example/dd",
            proxy="http://proxy.example:3128",
            scope="env:prod",
            latency=("grpc.client.duration",),
            unit="ms",
            pool={"used": "pool.used", "max": "pool.max", "pending": "pool.pending"},
            events="source:deploy",
            key_prefix="DD_EU",
        ),
    )
    assert services.prometheus == (
        PrometheusServer(
            name="mimir",
            url="https://mimir.example/prometheus",
            headers={"Authorization": "PROM_AUTH", "X-Scope-OrgID": "ORG"},
            matchers='env="prod"',
            latency=("grpc_client_handling_seconds",),
            unit="s",
            pool={"used": "pool_used"},
            sigv4_region="eu-west-1",
            sigv4_profile="readonly",
        ),
    )
    assert services.aws == (
        AwsAccount(
            name="shop",
            region="eu-west-1",
            profile="readonly",
            endpoint="http://127.0.0.1:4566",
            stages=(
                GatewayStage("rest", "a1b2c3", "prod"),
                GatewayStage("http", "d4e5f6", "$default"),
                GatewayStage("websocket", "g7", "live"),
            ),
            postgres_logs=("/aws/rds/instance/orders/postgresql",),
            access_logs=("s3://logs/access",),
            load_balancer_logs=("s3://logs",),
        ),
        AwsAccount(name="other"),
    )


def test_the_example_above_has_every_key_there_is() -> None:
    given = tomllib.loads(ASKED)
    for section, made in (
        ("datadog", DatadogAccount),
        ("prometheus", PrometheusServer),
        ("aws", AwsAccount),
    ):
        assert set(given[section][0]) == {field.name for field in fields(made)}


def test_a_section_may_be_empty_but_for_what_it_needs(tmp_path: Path) -> None:
    services = load(tmp_path, "[[datadog]]\n[[aws]]\n").settings.services
    assert (services.datadog, services.aws) == ((DatadogAccount(),), (AwsAccount(),))
    assert "`prometheus[1]` has no `url`" in refusal(tmp_path, "[[prometheus]]\n").message


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("datadog", 'name = "two words"'),
        ("datadog", 'site = "https://datadoghq.eu"'),
        ("datadog", 'site = "localhost"'),
        ("datadog", 'endpoint = "datadoghq.eu"'),
        ("datadog", 'endpoint = "https://me:hunter2@proxy.example"'),
        ("datadog", 'proxy = "http://me:hunter2@proxy.example:3128"'),
        ("datadog", 'proxy = "http://hunter2@proxy.example"'),
        ("datadog", 'scope = ""'),
        ("datadog", 'latency = "grpc.client.duration"'),
        ("datadog", 'latency = [""]'),
        ("datadog", 'unit = "minutes"'),
        ("datadog", "pool = {}"),
        ("datadog", 'pool = { max = "pool.max" }'),
        ("datadog", 'pool = { used = "a", idle = "b" }'),
        ("datadog", "pool = { used = 3 }"),
        ("datadog", "events = 3"),
        ("datadog", 'key_prefix = "dd-eu"'),
        ("datadog", 'api_key = "hunter2"'),
        ("prometheus", 'name = ""'),
        ("prometheus", "url = 9090"),
        ("prometheus", 'url = "http://prom:hunter2@mimir.example/prometheus"'),
        ("prometheus", 'url = "http://prom:hun/hunter2@mimir.example"'),
        ("prometheus", 'url = "http://prom:hunter2"'),
        ("prometheus", 'url = "http://mimir.example/?user=a:hunter2@b"'),
        ("prometheus", 'url = "ftp://mimir.example"'),
        ("prometheus", 'headers = { Authorization = "Bearer hunter2" }'),
        ("prometheus", 'headers = { "Bad Header" = "$X" }'),
        ("prometheus", 'headers = "Authorization"'),
        ("prometheus", "matchers = []"),
        ("prometheus", 'latency = ["a", 3]'),
        ("prometheus", 'unit = "S"'),
        ("prometheus", 'pool = "pool_used"'),
        ("prometheus", "sigv4_region = true"),
        ("prometheus", 'sigv4_profile = " "'),
        ("prometheus", 'password = "hunter2"'),
        ("aws", 'name = "-shop"'),
        ("aws", "region = 1"),
        ("aws", 'profile = ""'),
        ("aws", 'endpoint = "http://AKIA:hunter2@localhost:4566"'),
        ("aws", 'stages = ["a1b2c3/prod"]'),
        ("aws", 'stages = ["soap:a1b2c3/prod"]'),
        ("aws", 'stages = "rest:a1b2c3/prod"'),
        ("aws", 'postgres_logs = "/aws/rds"'),
        ("aws", 'access_logs = ["https://bucket.s3.amazonaws.com"]'),
        ("aws", 'load_balancer_logs = ["s3://x"]'),
        ("aws", 'secret_access_key = "hunter2"'),
    ],
)
def test_what_is_wrong_of_what_is_asked_is_named(tmp_path: Path, section: str, line: str) -> None:
    error = refusal(tmp_path, f"# what is asked\n[[{section}]]\n{line}\n")
    key = line.partition(" ")[0]
    assert f"`{section}[1].{key}`" in error.message
    assert f"{tmp_path / 'incident-rca.toml'}, line 3" in error.message
    assert "hunter2" not in error.message + error.hint


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path, "[[datadog]]\n\n[[datadog]]\n")
    assert "`datadog[2]` is named `datadog`, as `datadog[1]` is, in" in error.message
    assert "line 3" in error.message
    text = '[[datadog]]\nname = "x"\n[[aws]]\nname = "x"\n'
    assert "`aws[1]` is named `x`, as `datadog[1]` is" in refusal(tmp_path, text).message


@pytest.mark.parametrize("section", ["datadog", "prometheus", "aws"])
def test_a_single_table_is_no_list(tmp_path: Path, section: str) -> None:
    error = refusal(tmp_path, f'\n[{section}]\nname = "x"\n')
    assert f"`{section}` must be a list of tables" in error.message and "line 2" in error.message
    assert error.hint == f"write [[{section}]]"


# --- what nobody has confirmed ------------------------------------------------------------------


def test_what_is_inferred_is_marked(tmp_path: Path) -> None:
    text = FULL.replace("pool_size = 100", "pool_size = 100\ninferred = true")
    text = text.replace("timeout_seconds = 60", "inferred = false")
    loaded = load(tmp_path, text)
    topology = loaded.settings.topology
    assert [s.basis for s in topology.services] == [Basis.INFERRED, Basis.OBSERVED]
    assert [r.basis for r in topology.routes] == [Basis.OBSERVED, Basis.OBSERVED]
    assert not topology.is_stated and load(tmp_path, FULL).settings.topology.is_stated
    rows = {key: value for key, value, _ in describe_settings(loaded, {})}
    assert rows["services.inventory"].endswith(", inferred")
    assert "inferred" not in rows["routes.POST /api/orders"]


@pytest.mark.parametrize("value", ['"yes"', "1"])
def test_a_mark_is_true_or_false(tmp_path: Path, value: str) -> None:
    error = refusal(tmp_path, f"[services.a]\ninferred = {value}\n")
    assert "`services.a.inferred` must be true or false" in error.message
    assert "line 2" in error.message
