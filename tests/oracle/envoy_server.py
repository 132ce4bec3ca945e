"""The real Envoy, from its wheel: its program, and a configuration around exported fields."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Any

PROGRAM = Path(sysconfig.get_path("purelib")) / "envoy" / "_bin" / "envoy"
_TYPES = "type.googleapis.com/envoy.extensions.filters"


def bootstrap(exported: dict[str, Any], *, listens_on: int = 0, calls: int = 9) -> dict[str, Any]:
    """A whole configuration: one listener, one cluster of one host on the loopback."""
    cluster = {
        "name": "stock",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "stock",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _loopback(calls)}}]}],
        },
        **exported.get("cluster", {}),
    }
    route = {"match": {"prefix": "/"}, "route": {"cluster": "stock", **exported["route"]}}
    manager = f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager"
    router = {"@type": f"{_TYPES}.http.router.v3.Router"}
    connections = {
        "@type": manager,
        "stat_prefix": "in",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "router", "typed_config": router}],
    }
    listener = {
        "name": "in",
        "address": _loopback(listens_on),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": connections}]}],
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _loopback(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
