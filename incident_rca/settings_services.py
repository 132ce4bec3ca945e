"""The tables of incident-rca.toml that name what to ask: [[datadog]], [[prometheus]], [[aws]]."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from incident_rca import settings_values as reading
from incident_rca.model.services import AwsAccount, DatadogAccount, PrometheusServer
from incident_rca.settings_document import Document, Place, Reader, dotted

Service = DatadogAccount | PrometheusServer | AwsAccount
Made = TypeVar("Made", DatadogAccount, PrometheusServer, AwsAccount)

_DATADOG: Mapping[str, Reader] = {
    "name": reading.source_name,
    "site": reading.site,
    "endpoint": reading.url,
    "proxy": reading.url,
    "scope": reading.text,
    "latency": reading.texts,
    "unit": reading.unit,
    "pool": reading.pool,
    "events": reading.text,
    "key_prefix": reading.variable,
}
_PROMETHEUS: Mapping[str, Reader] = {
    "name": reading.source_name,
    "url": reading.url,
    "headers": reading.headers,
    "matchers": reading.text,
    "latency": reading.texts,
    "unit": reading.unit,
    "pool": reading.pool,
    "sigv4_region": reading.text,
    "sigv4_profile": reading.text,
}
_AWS: Mapping[str, Reader] = {
    "name": reading.source_name,
    "region": reading.text,
    "profile": reading.text,
    "endpoint": reading.url,
    "stages": reading.stages,
    "postgres_logs": reading.texts,
    "access_logs": reading.buckets,
    "load_balancer_logs": reading.buckets,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What is asked beside PostgreSQL; the names are unique over all of them."""

    datadog: tuple[DatadogAccount, ...] = ()
    prometheus: tuple[PrometheusServer, ...] = ()
    aws: tuple[AwsAccount, ...] = ()


SECTIONS = ("datadog", "prometheus", "aws")


def services_of(document: Document, data: Mapping[str, Any]) -> Services:
    """The services that a file names; raises BadSettings where a table is not as it must be."""
    found = Services(
        datadog=_all(document, data, "datadog", _DATADOG, (), DatadogAccount),
        prometheus=_all(document, data, "prometheus", _PROMETHEUS, ("url",), PrometheusServer),
        aws=_all(document, data, "aws", _AWS, (), AwsAccount),
    )
    named: dict[str, str] = {}
    for section in SECTIONS:
        for index, service in enumerate(getattr(found, section)):
            if service.name in named:
                document.refuse(
                    (section, index),
                    f"`{dotted((section, index))}` is named `{service.name}`, as"
                    f" `{named[service.name]}` is,",
                    hint="give each a `name` of its own",
                )
            named[service.name] = dotted((section, index))
    return found


def _all(
    document: Document,
    data: Mapping[str, Any],
    section: str,
    known: Mapping[str, Reader],
    needed: tuple[str, ...],
    make: Callable[..., Made],
) -> tuple[Made, ...]:
    tables = data.get(section, [])
    if not isinstance(tables, list):
        document.refuse(
            (section,), f"`{section}` must be a list of tables", hint=f"write [[{section}]]"
        )
    made = []
    for index, table in enumerate(tables):
        place: Place = (section, index)
        given = document.table(place, table, known)
        read = {k: document.read((*place, k), v, known[k]) for k, v in given.items()}
        for key in needed:
            if key not in read:
                document.refuse(place, f"`{dotted(place)}` has no `{key}`")
        made.append(make(**read))
    return tuple(made)
