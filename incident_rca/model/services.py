"""The accounts and servers that are asked for evidence, as the settings name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class DatadogAccount:
    """A Datadog organisation; its keys stand in the environment only.

    `site` such as `datadoghq.eu`, or `endpoint` as a URL in its place; `scope` is a tag filter. The
    metrics are found by their names where `latency` names none; `unit` is that of `latency` where
    Datadog does not know it. `pool` names gauges by what they count: `used`, `max`, `pending`.
    `key_prefix` + `_API_KEY` and `_APP_KEY` are the variables of its keys.
    """

    name: str = "datadog"
    site: str = ""
    endpoint: str = ""
    proxy: str = ""
    scope: str = "*"
    latency: tuple[str, ...] = ()
    unit: str = ""
    pool: Mapping[str, str] = field(default_factory=dict, hash=False)
    events: str = ""
    key_prefix: str = "DD"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusServer:
    """A server with the Prometheus HTTP API: Prometheus, Mimir, Thanos, VictoriaMetrics or AMP.

    `headers` has a variable of the environment for the value of each header. `sigv4_region` signs
    requests with the AWS chain. `latency`, `unit` and `pool` as of DatadogAccount.
    """

    url: str
    name: str = "prometheus"
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    matchers: str = ""
    latency: tuple[str, ...] = ()
    unit: str = ""
    pool: Mapping[str, str] = field(default_factory=dict, hash=False)
    sigv4_region: str = ""
    sigv4_profile: str = ""


@dataclass(frozen=True, slots=True)
class GatewayStage:
    """One stage of an API: `protocol` is `rest`, `http` or `websocket`."""

    protocol: str
    api: str
    stage: str

    @property
    def text(self) -> str:
        return f"{self.protocol}:{self.api}/{self.stage}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsAccount:
    """One account and region of AWS; credentials come by boto3's own chain, or `profile`.

    `stages` are API Gateway stages, `postgres_logs` log groups of RDS or Aurora,
    `access_logs` and `load_balancer_logs` places in S3 (`s3://bucket/prefix`). `endpoint` takes the
    place of AWS's own, for a proxy or a local stand-in.
    """

    name: str = "aws"
    region: str = ""
    profile: str = ""
    endpoint: str = ""
    stages: tuple[GatewayStage, ...] = ()
    postgres_logs: tuple[str, ...] = ()
    access_logs: tuple[str, ...] = ()
    load_balancer_logs: tuple[str, ...] = ()
