"""JSON over real HTTP: what is tried again, what is refused, and that no secret travels."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from incident_rca.errors import Unreachable
from incident_rca.sources import http
from incident_rca.sources.http import Failed, Reply, ask, opened, proxy_of
from incident_rca.sources.tally import Tally
from tests.sources import prometheus_server
from tests.sources.prometheus_server import START, Asked, FakeClock, Service, running_service

Answer = prometheus_server.Reply
GOOD = Answer({"fine": True})
SECRET = "s3cr3t-of-mine"


@pytest.fixture
def service() -> Iterator[Service]:
    with running_service() as running:
        yield running


def replies(service: Service, *given: Answer) -> None:
    left = list(given)
    service.answer = lambda asked: left.pop(0) if len(left) > 1 else left[0]


def asked(
    service: Service, clock: FakeClock | None = None, *, until: float = 1e9, **given: Any
) -> tuple[Reply, Tally]:
    tally = Tally(clock or FakeClock(), until=until)
    parameters = given.pop("parameters", [("query", 'up{a="b c"}')])
    with opened(service.url, **given) as site:
        return ask(site, "api/v1/query", parameters, tally=tally), tally


def test_an_answer_of_any_status_is_given_with_its_document(service: Service) -> None:
    replies(service, Answer({"error": "no"}, 422))
    reply, tally = asked(service)
    assert (reply.status, reply.document) == (422, {"error": "no"})
    assert (tally.pages, tally.throttled) == (1, 0)
    assert service.asked[0].parameters == {"query": 'up{a="b c"}'}


def test_a_long_question_goes_into_the_body(service: Service) -> None:
    replies(service, GOOD)
    long = "x" * http.LONGEST_URL
    asked(service, parameters=[("query", long)])
    assert service.asked[0].method == "POST" and service.asked[0].parameters == {"query": long}
    assert service.asked[0].headers["Content-Type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize("status", [429, 503])
def test_being_told_to_wait_is_waited_out(service: Service, status: int) -> None:
    clock = FakeClock()
    replies(service, Answer({}, status, {"Retry-After": "7"}), Answer({}, status), GOOD)
    reply, tally = asked(service, clock)
    assert reply.document == {"fine": True}
    assert (clock.slept, tally.throttled, len(service.asked)) == ([7.0, 2.0], 2, 3)


def test_an_hour_of_waiting_is_cut(service: Service) -> None:
    clock = FakeClock()
    late = format_datetime(START + timedelta(hours=1), usegmt=True)
    replies(
        service,
        Answer({}, 429, {"Retry-After": "3600"}),
        Answer({}, 429, {"Retry-After": late}),
        Answer({}, 429, {"Retry-After": "soon"}),
        GOOD,
    )
    asked(service, clock)
    assert clock.slept == [30.0, 30.0, 4.0]


def test_a_service_that_is_busy_for_ever_is_asked_four_times(service: Service) -> None:
    replies(service, Answer({"error": "busy"}, 503))
    reply, _ = asked(service)
    assert (reply.status, len(service.asked)) == (503, 4)


@pytest.mark.parametrize("where", ["before", "within"])
def test_a_broken_connection_is_tried_again(service: Service, where: str) -> None:
    replies(service, Answer({"a": "b" * 100}, breaks=where), GOOD)
    assert asked(service)[0].document == {"fine": True}
    service.asked.clear()
    replies(service, Answer({"a": "b" * 100}, breaks=where))
    with pytest.raises(Failed) as raised:
        asked(service)
    assert raised.value.code == "connection_broken" and raised.value.hint
    assert len(service.asked) == 4


def test_a_stall_ends_with_the_sources_time(service: Service) -> None:
    clock = FakeClock()
    replies(service, Answer({"a": 1}, stalls=True))
    with pytest.raises(Failed) as raised:
        asked(service, clock, until=0.3)
    assert raised.value.code == "timeout" and "0.3 s" in raised.value.message
    assert len(service.asked) == 1


def test_time_that_is_over_asks_nothing(service: Service) -> None:
    with pytest.raises(Unreachable, match="time was over"):
        asked(service, FakeClock(at=5.0), until=5.0)
    assert service.asked == []


@pytest.mark.parametrize(
    ("body", "what"),
    [(b"<html><body>Log in</body></html>", "HTML"), (b"", "nothing"), (b"404 page", "no JSON")],
)
@pytest.mark.parametrize("status", [200, 404])
def test_what_is_no_json_is_said(service: Service, body: bytes, what: str, status: int) -> None:
    replies(service, Answer(body, status))
    with pytest.raises(Failed) as raised:
        asked(service)
    assert what in raised.value.message and str(status) in raised.value.message
    assert raised.value.code == ("not_json" if status == 200 else "http_404")
    assert raised.value.hint and "\n" not in raised.value.message


def test_a_body_without_end_is_cut(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_BYTES", 1000)
    replies(service, Answer({"a": "b" * 100_000}))
    with pytest.raises(Failed) as raised:
        asked(service)
    assert raised.value.code == "too_large"


def test_a_redirect_to_another_host_is_refused_and_its_header_stays(service: Service) -> None:
    with running_service() as other:
        replies(service, Answer({}, 302, {"Location": f"{other.url}/login?next=x"}))
        with pytest.raises(Failed) as raised:
            asked(service, headers={"Authorization": f"Bearer {SECRET}"})
        assert other.asked == []
    assert raised.value.code == "redirected" and other.url in raised.value.message
    assert service.asked[0].headers["Authorization"] == f"Bearer {SECRET}"


def test_a_redirect_on_the_same_host_is_followed_but_not_for_ever(service: Service) -> None:
    def answer(one: Asked) -> Answer:
        return GOOD if one.path == "/there" else Answer({}, 307, {"Location": "/there"})

    service.answer = answer
    assert asked(service)[0].document == {"fine": True}
    count = [0]

    def circle(one: Asked) -> Answer:
        count[0] += 1
        return Answer({}, 302, {"Location": f"/{count[0]}"})

    service.answer = circle
    with pytest.raises(Failed, match="again and again"):
        asked(service)
    assert count[0] == 4


def test_no_message_repeats_a_secret(service: Service) -> None:
    replies(service, Answer(f"bad token {SECRET}!".encode(), 401))
    with pytest.raises(Failed) as raised:
        asked(service, headers={"Authorization": f"Bearer {SECRET}"})
    assert SECRET not in raised.value.message and "<secret>" in raised.value.message
    with opened(service.url, headers={"X-Key": SECRET}) as site:
        assert SECRET not in repr(site)


def test_nobody_listens() -> None:
    with running_service() as gone:
        pass
    with pytest.raises(Failed) as raised:
        asked(gone)
    assert raised.value.code == "unreachable" and raised.value.hint


def test_the_date_header_bounds_the_offset(service: Service) -> None:
    ahead = format_datetime(START + timedelta(seconds=90), usegmt=True)

    def answer(one: Asked) -> Answer:
        return Answer({}, headers={"X-Nothing": "1"})

    service.answer = answer
    reply, _ = asked(service)
    assert reply.clock_offset_seconds is not None  # the stand-in sends the Date of this machine
    assert http._offset(ahead, START, START + timedelta(seconds=2)) == (88.0, 91.0)
    assert http._offset("nonsense", START, START) is None
    assert http._offset(None, START, START) is None


def test_requests_go_through_the_proxy_of_the_environment(service: Service) -> None:
    replies(service, GOOD)
    through = {"http_proxy": service.url.replace("://", "://user:word@")}
    with opened("http://prometheus.invalid/base", environ=through) as site:
        ask(site, "api/v1/query", [], tally=Tally(FakeClock()))
    assert service.asked[0].target == "http://prometheus.invalid/base/api/v1/query"
    assert service.asked[0].headers["proxy-authorization"].startswith("Basic ")
    around = {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
    assert asked(service, environ=around)[0].document == {"fine": True}


def test_a_proxy_of_another_kind_is_refused() -> None:
    with pytest.raises(Unreachable, match="socks5"):
        proxy_of("https://prom", {"ALL_PROXY": "socks5://127.0.0.1:1080"})
