"""One request that writes, over real HTTP: what is waited out, repeated, refused or left open."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from incident_rca.errors import Unreachable
from incident_rca.settings_document import Unfit
from incident_rca.settings_values import secure_url
from incident_rca.sources import http
from incident_rca.sources.http import Failed
from incident_rca.sources.tally import Tally
from incident_rca.tickets.system import texts_of
from incident_rca.tickets.wire import (
    Attachment,
    Connection,
    Json,
    Refused,
    Request,
    Unsure,
    Upload,
    send,
)
from tests.sources.fake_clock import NOW, FakeClock
from tests.tickets import tls_certificate
from tests.tickets.http_service import Answer, Fault, Service, running

TOKEN = "xoxb-s3cr3t-of-mine"
GOOD = Answer({"id": 1})


@pytest.fixture
def service() -> Iterator[Service]:
    with running(Service(lambda heard: GOOD)) as running_service:
        yield running_service


def write(url: str, *, repeatable: bool = False, **more: Any) -> Request:
    given = {"what": "add a note", "method": "POST", "body": Json({"a": "é"}), **more}
    given.setdefault("answer", {"id": "<id>"})
    return Request(url=f"{url}/notes", repeatable=repeatable, **given)


def _explain(document: object) -> str:
    return "; ".join(texts_of(document))


def sent(
    service: Service,
    *faults: Fault,
    request: Request | None = None,
    seconds: float = 1000.0,
    environ: Mapping[str, str] | None = None,
) -> tuple[Any, FakeClock]:
    """The document of one request, and the clock that it waited by."""
    service.faults += faults
    clock = FakeClock()
    tally = Tally(clock, until=clock.monotonic() + seconds)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with http.opened(service.url, headers=headers, environ=environ) as site:
        names = ("NOTES_TOKEN",)
        connection = Connection(
            site, tally, names, _explain, secrets=(TOKEN,), environ=environ or {}
        )
        return send(connection, request or write(service.url)), clock


def put_off(status: int, **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(answer=Answer({"message": "slow down"}, status, named))


def test_a_document_goes_as_json_and_comes_back(service: Service) -> None:
    assert sent(service)[0] == {"id": 1}
    (heard,) = service.heard
    assert (heard.method, heard.path, heard.document) == ("POST", "/notes", {"a": "é"})
    assert heard.header("Authorization") == f"Bearer {TOKEN}"
    assert heard.header("User-Agent") == "incident-rca"
    assert int(heard.header("Content-Length")) == len(heard.body)


@pytest.mark.parametrize(
    ("faults", "waited"),
    [
        ([put_off(429, Retry_After="7"), put_off(429)], [7.0, 2.0]),
        ([put_off(403, Retry_After="5")], [5.0]),
        ([put_off(403, x_ratelimit_remaining="0", x_ratelimit_reset="TEN")], [10.0]),
        ([put_off(403, x_ratelimit_remaining="0")], [1.0]),
        ([put_off(429, Retry_After="DATE")], [20.0]),
    ],
    ids=["seconds", "secondary limit", "limit that ends", "limit", "date"],
)
def test_what_was_put_off_is_sent_again_after_the_wait(
    service: Service, faults: list[Fault], waited: list[float]
) -> None:
    values = {
        "TEN": str(int(NOW.timestamp()) + 10),
        "DATE": format_datetime(NOW + timedelta(seconds=20), usegmt=True),
    }
    for fault in faults:
        headers = {n: values.get(v, v) for n, v in fault.answer.headers.items()}
        service.faults.append(Fault(answer=Answer(fault.answer.body, fault.answer.status, headers)))
    document, clock = sent(service)
    assert document == {"id": 1} and clock.slept == waited
    assert len(service.heard) == len(faults) + 1


@pytest.mark.parametrize(("asked", "left"), [("3600", 1000.0), ("30", 20.0)])
def test_a_wait_that_nobody_has_time_for_is_told(service: Service, asked: str, left: float) -> None:
    with pytest.raises(Failed, match=f"to wait {int(asked):,} s") as raised:
        sent(service, put_off(429, Retry_After=asked), seconds=left)
    assert not isinstance(raised.value, Refused) and len(service.heard) == 1


def test_a_service_that_puts_off_for_ever_is_asked_four_times(service: Service) -> None:
    with pytest.raises(Refused) as raised:
        sent(service, *[put_off(429, Retry_After="1")] * 9)
    assert raised.value.status == 429 and len(service.heard) == 4


@pytest.mark.parametrize(
    "happens", ["unheard", "unanswered", "halved", "500", "502", "503", "504", "html", "other"]
)
def test_a_write_whose_answer_is_lost_is_not_repeated(service: Service, happens: str) -> None:
    fault = Fault(happens)
    if happens.isdigit():
        fault = Fault(answer=Answer({}, int(happens)))
    if happens == "html":
        fault = Fault(answer=Answer(b"<html>Sign in</html>"))
    if happens == "other":
        fault = Fault(answer=Answer({"id": True}))
    with pytest.raises(Unsure, match="whether it did `add a note` is not known"):
        sent(service, fault)
    assert len(service.heard) == 1


def test_a_login_page_is_no_answer_even_where_none_is_read(service: Service) -> None:
    page = Fault(answer=Answer(b"<html>Sign in</html>"))
    with pytest.raises(Failed, match="answers with HTML") as raised:
        sent(service, page, request=write(service.url, repeatable=True, answer=None))
    assert "login page" in raised.value.hint


@pytest.mark.parametrize("happens", ["unheard", "halved", "500", "503"])
def test_what_may_be_repeated_is(service: Service, happens: str) -> None:
    fault = Fault(answer=Answer({}, int(happens))) if happens.isdigit() else Fault(happens)
    document, clock = sent(service, fault, request=write(service.url, repeatable=True))
    assert document == {"id": 1} and clock.slept == [1.0] and len(service.heard) == 2, happens


@pytest.mark.parametrize("repeatable", [True, False])
def test_a_stall_ends_in_time(service: Service, repeatable: bool) -> None:
    expected = Failed if repeatable else Unsure
    request = write(service.url, repeatable=repeatable)
    with pytest.raises(expected, match=r"did not answer within 0\.3 s"):
        sent(service, Fault("stalled"), request=request, seconds=0.3)


def test_what_could_not_be_reached_was_not_done(service: Service) -> None:
    request = write("http://127.0.0.1:1")
    with pytest.raises(Failed, match="cannot be reached") as raised:
        sent(service, request=request)
    assert not isinstance(raised.value, Unsure)


@pytest.mark.parametrize(
    ("status", "is_of_this", "hint"),
    [(400, True, ""), (401, False, "NOTES_TOKEN"), (403, False, "scopes"), (404, False, "see it"),
     (413, True, "too large"), (422, True, "")],
)  # fmt: skip
def test_a_refusal_says_what_the_service_says(
    service: Service, status: int, is_of_this: bool, hint: str
) -> None:
    answer = Answer({"errors": [{"message": f"no,\x1b[31m {TOKEN} may not"}]}, status)
    with pytest.raises(Refused) as raised:
        sent(service, Fault(answer=answer))
    error = raised.value
    assert f"status {status}: errors: message: no, <secret> may not" in error.message
    assert (error.status, error.is_of_this) == (status, is_of_this) and hint in error.hint
    assert len(service.heard) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(service: Service, status: int) -> None:
    answer = Answer(b"", status, {"Location": "https://login.example/sso"})
    with pytest.raises(Refused, match=r"sends us to login\.example instead"):
        sent(service, Fault(answer=answer))
    assert len(service.heard) == 1


def test_a_token_does_not_go_to_another_place(service: Service) -> None:
    file = Attachment("a/b.md", "text/markdown", b"x")
    request = write(service.url, body=Upload(file), is_bare=True)
    sent(service, request=request)
    assert service.heard[0].header("Authorization") == "" and service.heard[0].body == b"x"
    with pytest.raises(Failed, match="which is not TLS"):
        sent(service, request=write("http://files.example", is_bare=True))


def test_it_goes_through_the_proxy_that_is_named(service: Service) -> None:
    environ = {"HTTP_PROXY": service.url}
    with http.opened("http://tickets.example", environ=environ) as site:
        connection = Connection(site, Tally(FakeClock()), (), str, environ=environ)
        assert send(connection, write("http://tickets.example")) == {"id": 1}
        bare = write("http://tickets.example", is_bare=True)
        assert send(connection, bare) == {"id": 1}
    assert [one.header("Host") for one in service.heard] == ["tickets.example"] * 2
    with http.opened(
        "http://tickets.example", environ={**environ, "NO_PROXY": "tickets.example"}
    ) as site:
        connection = Connection(site, Tally(FakeClock()), (), str)
        with pytest.raises(Failed, match="cannot be reached"):
            send(connection, write("http://tickets.example"))
    assert len(service.heard) == 2


def test_a_certificate_that_nobody_vouches_for_gets_no_token(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_text(tls_certificate.CERTIFICATE)
    key.write_text(tls_certificate.KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with running(Service(lambda heard: GOOD), context) as service:
        with pytest.raises(Failed, match="certificate verify failed"):
            sent(service)
        assert service.heard == []
        assert sent(service, environ={"SSL_CERT_FILE": str(certificate)})[0] == {"id": 1}


def test_time_that_is_over_sends_nothing(service: Service) -> None:
    with pytest.raises(Unreachable, match="time was over"):
        sent(service, seconds=0.0)
    assert service.heard == []


def test_nothing_of_a_connection_shows_its_secrets() -> None:
    site = http.Site("http://x", None, {"Authorization": TOKEN})
    connection = Connection(
        site, Tally(FakeClock()), (), str, secrets=(TOKEN,), environ={"NOTES_TOKEN": TOKEN}
    )
    assert TOKEN not in repr(connection)


@pytest.mark.parametrize(
    "url",
    ["http://acme.example", "http://127.0.0.1.acme.example", "http://localhost.acme.example/x",
     "https://ann:secret@acme.example", "ftp://127.0.0.1"],
)  # fmt: skip
def test_a_token_that_writes_travels_by_tls_only(url: str) -> None:
    with pytest.raises(Unfit):
        secure_url(url)


@pytest.mark.parametrize("url", ["https://acme.example/api/v3/", "http://127.0.0.1:8080"])
def test_tls_and_this_machine_will_do(url: str) -> None:
    assert secure_url(url) == url.rstrip("/")


def test_texts_of_an_error_are_found_wherever_they_stand() -> None:
    document = {"errors": [{"code": "x", "n": 1}], "m": ["a", None]}
    assert texts_of(json.loads(json.dumps(document))) == ["errors: code: x", "m: a"]
