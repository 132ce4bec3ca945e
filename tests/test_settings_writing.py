from __future__ import annotations

import string
import tempfile
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, seed
from hypothesis import settings as effort
from hypothesis import strategies as st

from incident_rca.model import Basis, Route, Service, Topology
from incident_rca.model.services import (
    AwsAccount,
    DatadogAccount,
    GatewayStage,
    PrometheusServer,
)
from incident_rca.redact import is_invisible
from incident_rca.settings import Settings, load_settings
from incident_rca.settings_services import Services
from incident_rca.settings_writing import to_toml

# Anything that UTF-8 can hold and that reading does not strip away: quotes, controls, DEL, emoji.
ANY = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).map(lambda t: f"x{t}x")
LOWER = st.text(string.ascii_lowercase, min_size=1, max_size=8)
PART = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)
NAME = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True)
SECONDS = st.floats(min_value=1e-6, max_value=1e8)
METHOD = st.tuples(PART, PART).map(lambda parts: f"pkg.{parts[0]}/{parts[1]}")
URL = st.tuples(LOWER, st.sampled_from(["", "/a", "/a/%22b", ":99/x"])).map(
    lambda parts: f"https://{parts[0]}.example{parts[1]}"
)
UNIT = st.sampled_from(["", "s", "ms", "us", "ns"])
MAYBE = st.one_of(st.just(""), ANY)
BUCKET = NAME.map(lambda name: f"s3://{'b' * 3}{name.lower().replace('_', '-')}/x")
STAGE = st.builds(
    GatewayStage,
    st.sampled_from(["rest", "http", "websocket"]),
    LOWER,
    st.sampled_from(["$default", "prod", "v1_x-y"]),
)


def several(strategy: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, max_size=most, unique=True).map(tuple)


POOL = st.one_of(
    st.just({}),
    st.builds(lambda used, more: {"used": used, **more}, ANY, st.just({"max": "m.max"})),
)
DATADOG = st.builds(
    DatadogAccount,
    name=NAME,
    site=st.sampled_from(["", "datadoghq.eu", "us3.datadoghq.com"]),
    endpoint=st.one_of(st.just(""), URL),
    proxy=st.one_of(st.just(""), URL),
    scope=st.one_of(st.just("*"), ANY),
    latency=several(ANY),
    unit=UNIT,
    pool=POOL,
    events=MAYBE,
    key_prefix=st.sampled_from(["DD", "DD_EU"]),
)
PROMETHEUS = st.builds(
    PrometheusServer,
    url=URL,
    name=NAME,
    headers=st.dictionaries(
        st.sampled_from(["Authorization", "X-Scope-OrgID"]), st.sampled_from(["A", "PROM_AUTH_2"])
    ),
    matchers=MAYBE,
    latency=several(ANY),
    unit=UNIT,
    pool=POOL,
    sigv4_region=MAYBE,
    sigv4_profile=MAYBE,
)
AWS = st.builds(
    AwsAccount,
    name=NAME,
    region=MAYBE,
    profile=MAYBE,
    endpoint=st.one_of(st.just(""), URL),
    stages=several(STAGE),
    postgres_logs=several(ANY),
    access_logs=several(BUCKET),
    load_balancer_logs=several(BUCKET),
)
BASIS = st.sampled_from([Basis.OBSERVED, Basis.INFERRED])


@st.composite
def asked(draw: st.DrawFn) -> Services:
    """Services whose names differ, as they must."""
    names = draw(st.lists(NAME, min_size=4, max_size=4, unique=True))
    strategies = (DATADOG, DATADOG, PROMETHEUS, AWS)
    one, two, three, four = (
        _named(draw(st.one_of(st.none(), strategy)), name)
        for strategy, name in zip(strategies, names, strict=True)
    )
    return Services(
        datadog=tuple(a for a in (one, two) if a),
        prometheus=(three,) if three else (),
        aws=(four,) if four else (),
    )


def _named(made: Any, name: str) -> Any:
    if made is None:
        return None
    values = {field.name: getattr(made, field.name) for field in fields(made)}
    return type(made)(**(values | {"name": name}))


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """A topology whose routes call methods that are there and follow routes that are."""
    methods = draw(several(METHOD, 6))
    names = draw(st.lists(ANY, max_size=3, unique=True))
    services = tuple(
        Service(
            name=name,
            grpc=methods[n * 2 : n * 2 + 2],
            tables=draw(several(PART.map(lambda part: f'public."{part} t"'))),
            pool_size=draw(st.one_of(st.none(), st.integers(1, 10**6))),
            basis=draw(BASIS),
        )
        for n, name in enumerate(names)
    )
    known = [method for service in services for method in service.grpc]
    paths = draw(several(PART.map(lambda part: f"/{part}/{{id}}"), 4))
    routes = [f"GET {path}" for path in paths]
    return Topology(
        services,
        tuple(
            Route(
                method="GET",
                path=path,
                calls=draw(several(st.sampled_from(known))) if known else (),
                follows=draw(several(st.sampled_from(routes))),
                timeout_seconds=draw(st.one_of(st.none(), SECONDS)),
                basis=draw(BASIS),
            )
            for path in paths
        ),
    )


BOUNDS = st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)).map(lambda b: (min(b), max(b)))
SETTINGS = st.builds(
    Settings,
    timezone=st.sampled_from(["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"]),
    max_window_hours=st.integers(1, 10**9),
    plausible_deadline_seconds=SECONDS,
    large_table_rows=st.integers(1, 10**15),
    postgres_service=st.sampled_from(["", "orders-prod", "é"]),
    postgres_recordings=MAYBE,
    postgres_log_line_prefix=st.one_of(st.just(""), ANY.map(lambda text: f"{text} ")),
    postgres_log_timezone=st.sampled_from(["", "Asia/Tokyo"]),
    postgres_performance_insights=several(st.sampled_from(["db-ABC", "db-D@eu-west-1"])),
    clock_offset_seconds=st.fixed_dictionaries(
        dict.fromkeys(("postgres", "grpc_metrics", "gateway", "changes"), BOUNDS)
    ).map(MappingProxyType),
    services=asked(),
    topology=topologies(),
)


def read_back(text: str) -> Settings:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "settings.toml"
        file.write_text(text, encoding="utf-8", newline="\n")
        nowhere = Path(folder) / "none"
        return load_settings(config=file, environ={}, cwd=nowhere, user_config_dir=nowhere).settings


@seed(20260115)
@effort(max_examples=150, deadline=None, database=None)
@given(SETTINGS)
def test_what_is_written_reads_back_as_it_was(made: Settings) -> None:
    assert read_back(to_toml(made)) == made


@seed(20260115)
@effort(max_examples=60, deadline=None, database=None)
@given(topologies(), st.lists(st.text(st.characters(codec="utf-8")), max_size=3))
def test_comments_change_nothing(topology: Topology, texts: list[str]) -> None:
    made = Settings(topology=topology)
    tables = [f"services.{s.name}" for s in topology.services]
    tables += [f"routes.{r.name}" for r in topology.routes]
    keys = ("", "grpc", "tables", "pool_size", "calls", "follows", "timeout_seconds")
    notes = {(table, key): texts for table in tables for key in keys}
    assert read_back(to_toml(made, head=texts, notes=notes)) == made


def test_defaults_are_left_out() -> None:
    assert to_toml(Settings()).strip() == ""


def test_the_text_that_a_topology_makes() -> None:
    topology = Topology(
        (Service(name="stock", grpc=("stock.Stock/Reserve",), pool_size=5, basis=Basis.INFERRED),),
        (Route(method="GET", path="/items", calls=("stock.Stock/Reserve",), timeout_seconds=29.0),),
    )
    notes = {("services.stock", "pool_size"): ["seen\nin a gauge"]}
    assert to_toml(Settings(topology=topology), head=["Mine."], notes=notes) == (
        "# Mine.\n"
        "\n"
        "[services.stock]\n"
        "inferred = true\n"
        'grpc = ["stock.Stock/Reserve"]\n'
        "# seen in a gauge\n"
        "pool_size = 5\n"
        "\n"
        "[[routes]]\n"
        'method = "GET"\n'
        'path = "/items"\n'
        'calls = ["stock.Stock/Reserve"]\n'
        "timeout_seconds = 29.0\n"
    )


@pytest.mark.parametrize("made", [DatadogAccount, PrometheusServer, AwsAccount])
def test_every_key_is_among_those_that_are_tried(made: type) -> None:
    """A key that is new must be added to the random settings above, else it is not tried."""
    strategy = {DatadogAccount: DATADOG, PrometheusServer: PROMETHEUS, AwsAccount: AWS}[made]
    tried = {f.name: set[str]() for f in fields(made)}

    @seed(1)
    @effort(max_examples=60, deadline=None, database=None)
    @given(strategy)
    def collect(one: Any) -> None:
        for name, values in tried.items():
            values.add(repr(getattr(one, name)))

    collect()
    assert {name for name, values in tried.items() if len(values) < 2} == set()


def test_what_cannot_be_seen_is_neither_in_a_comment_nor_in_a_value() -> None:
    turned = "/orders\u202e/sredro\u200b"
    made = Settings(
        topology=Topology(routes=(Route(method="GET", path=turned, timeout_seconds=3),))
    )
    name = f"GET {turned}"
    notes = {(f"routes.{name}", "timeout_seconds"): [f"seen of {name}"]}
    text = to_toml(made, head=[f"of {name}"], notes=notes)
    assert "# seen of GET /orders/sredro" in text
    assert not any(is_invisible(sign) for sign in text.replace("\n", ""))
    assert read_back(text) == made
