"""Every client refuses a server whose certificate nobody vouches for, before it says anything.

What writes to tickets is tested in tests/tickets/test_wire.py. libpq's own `sslmode` decides for
PostgreSQL: `prefer` unless the DSN, PGSSLMODE or the service file says more.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from incident_rca.errors import Unreachable
from incident_rca.model.services import AwsAccount, DatadogAccount
from incident_rca.sources import http
from incident_rca.sources.aws_client import caller_of
from incident_rca.sources.datadog_client import METRICS_V1, Connection, access_of
from incident_rca.sources.tally import Tally
from tests.sources.fake_clock import FakeClock
from tests.tickets import tls_certificate
from tests.tickets.http_service import Answer, Service, running

KEYS = {"DD_API_KEY": "a" * 32, "DD_APP_KEY": "b" * 40}


def ask_by_http(url: str, tally: Tally) -> object:
    with http.opened(url) as site:
        return http.ask(site, "api/v1/query", [("query", "up")], tally=tally)


def ask_datadog(url: str, tally: Tally) -> object:
    access = access_of(DatadogAccount(endpoint=url), KEYS)
    with Connection("datadog", access, tally) as connection:
        return connection.ask(METRICS_V1, "list_active_metrics", _from=0)


def ask_aws(service: str, operation: str, expected: str) -> Callable[[str, Tally], object]:
    def ask(url: str, tally: Tally) -> object:
        account = AwsAccount(endpoint=url, region="eu-west-1")
        return caller_of(account, service, tally).call(operation, expected)

    return ask


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A server that speaks TLS with a certificate of its own making."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_text(tls_certificate.CERTIFICATE)
    key.write_text(tls_certificate.KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with running(Service(lambda heard: Answer({})), context) as running_service:
        yield running_service


@pytest.mark.parametrize(
    "ask",
    [
        ask_by_http,
        ask_datadog,
        ask_aws("logs", "describe_log_groups", "logGroups"),
        ask_aws("cloudwatch", "list_metrics", "Metrics"),
        ask_aws("s3", "list_buckets", "Buckets"),
    ],
    ids=["http", "datadog", "logs", "cloudwatch", "s3"],
)
def test_an_unknown_certificate_is_refused(
    ask: Callable[[str, Tally], object], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-mine")
    clock = FakeClock()
    with pytest.raises(Unreachable, match=r"(?i)certificate verify failed") as raised:
        ask(service.url, Tally(clock, until=clock.monotonic() + 1000))
    assert service.heard == []
    assert raised.value.hint
