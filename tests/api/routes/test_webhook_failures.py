"""Whatever way a delivery fails: the test, the delivery, the job, the endpoint and the log tell it in one sentence."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from infra.outbound.client import Answer, Outbound
from infra.outbound.failures import SENTENCES
from tests.api.conftest import JOBS, House
from tests.support.certificates import certificate
from tests.support.tcp_server import Reply, http, plain_text, reset, say, scripted, silence
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes

ENDPOINTS = "/v1/webhook_endpoints"
LOOPBACK = (ip_network("127.0.0.0/8"),)
Way = Callable[[Path], Iterator[tuple[str, Outbound]]]


class Hasty(Outbound):
    """Gives up after half a second."""

    def post(self, *given: Any, **more: Any) -> Answer:
        return super().post(*given, **more, deadline_s=0.5)


def answering(reply: Reply, outbound: type[Outbound] = Outbound) -> Way:
    def way(_: Path) -> Iterator[tuple[str, Outbound]]:
        with scripted(reply) as server:
            yield server.url, outbound(LOOPBACK)

    return way


def nobody(_: Path) -> Iterator[tuple[str, Outbound]]:
    with scripted(http()) as server:
        pass
    yield server.url, Outbound(LOOPBACK)


def unknown(_: Path) -> Iterator[tuple[str, Outbound]]:
    yield "http://nowhere.example/hook", Outbound(LOOPBACK, resolver=lambda host, port: [])


def closed(_: Path) -> Iterator[tuple[str, Outbound]]:
    yield "http://inside.example/hook", Outbound((), resolver=lambda host, port: [ip_address("10.0.0.1")])


def plain(_: Path) -> Iterator[tuple[str, Outbound]]:
    with scripted(plain_text, greets=False) as server:
        yield server.url.replace("http:", "https:"), Outbound(LOOPBACK)


def certified(*, trusted: bool = True, host: str = "127.0.0.1", days: tuple[int, int] = (-1, 1)) -> Way:
    def way(folder: Path) -> Iterator[tuple[str, Outbound]]:
        ours, theirs = certificate(folder, "hooks.example", days=days)
        with scripted(http(), tls=ours) as server:
            yield (
                f"https://{host}:{server.port}/hook",
                Outbound(
                    LOOPBACK, resolver=lambda host, port: [ip_address("127.0.0.1")], tls=theirs if trusted else None
                ),
            )

    return way


WAYS: dict[str, Way] = {
    "connection_refused": nobody,
    "dns": unknown,
    "refused_address": closed,
    "tls": plain,
    "tls_self_signed": certified(trusted=False),
    "tls_expired": certified(days=(-9, -2)),
    "tls_wrong_host": certified(host="other.example"),
    "timeout": answering(silence, Hasty),
    "connection_lost": answering(reset),
    "protocol": answering(say(b"SSH-2.0-OpenSSH_9.2\r\n")),
    "answer_too_large": answering(say(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000)),
    "http_error": answering(http(500)),
    "redirect": answering(http(302, "Location: https://example.com/\r\n")),
    "gone": answering(http(410)),
}


@pytest.mark.parametrize("code", WAYS)
def test_all_say_the_same(
    code: str, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with contextmanager(WAYS[code])(tmp_path) as (url, outbound):
        monkeypatch.setattr(house.services, "outbound", outbound)
        wanted = {"name": "mine", "url": url, "event_types": ["audio.job.completed"]}
        endpoint = house.post(ENDPOINTS, json=wanted).json()["id"]
        with house.delivering(), caplog.at_level(logging.INFO, "workers.steps.deliver"):
            answer = house.post(f"{ENDPOINTS}/{endpoint}/test").json()
        error = answer["error"]
        assert (answer["success"], error["code"]) == (False, code)
        assert error["message"].endswith(".") and error["message"] == SENTENCES.get(code, error["message"])
        assert any(error["message"] in record.getMessage() for record in caplog.records)
        job = house.submit(**{"webhook[url]": url})["id"]
        house.work()
        sent = wait_until(lambda: house.deliver() or attempted(house, job))  # others' messages may come first
    shown = house.get(f"{JOBS}/{job}").json()["webhook"]
    assert shown["error"] == error
    assert shown["status"] == ("dropped" if code == "gone" else "pending")
    assert house.get(f"{ENDPOINTS}/{endpoint}").json()["error"] == error
    sent += house.get(f"{ENDPOINTS}/{endpoint}/deliveries").json()["data"]
    assert {delivery["type"] for delivery in sent} == {"webhook.test", "audio.job.completed"}
    for delivery in sent:
        assert {attempt["error"]["message"] for attempt in delivery["attempts"]} == {error["message"]}
        assert delivery["error"] == error


def attempted(house: House, job: str) -> list[dict[str, Any]]:
    """The job's deliveries, once each was tried."""
    deliveries: list[dict[str, Any]] = house.get(f"{JOBS}/{job}/deliveries").json()["data"]
    return deliveries if all(delivery["attempts"] for delivery in deliveries) else []


def test_every_code_has_one_sentence_of_its_own() -> None:
    assert len(set(SENTENCES.values())) == len(SENTENCES)
    assert all(told.endswith(".") and told[0].isupper() for told in SENTENCES.values())
