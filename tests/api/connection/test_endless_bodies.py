"""Strangers who announce gigabytes on any route, in any way, and send them in drips: nobody else's place is taken (T1)."""

import contextlib
from collections.abc import Iterator

import pytest

from api.access.request_slots import RequestSlots
from api.main import create_app
from tests.api.conftest import JOBS, House
from tests.api.serving import Running, running

pytestmark = pytest.mark.processes

SLOTS = 4  # of strangers, all of which one peer may have
ASKED = {
    "POST /healthz": b"405",
    "PUT /readyz": b"405",
    "POST /openapi.json": b"405",
    "DELETE /nowhere": b"401",
    "POST /v1/audio/transcriptions": b"401",
    "POST /v1/audio/jobs": b"401",
    "PATCH /admin/accounts/a": b"401",
    "GET /v1/models": b"401",
}
DRIPS = {"length": (b"Content-Length: 5000000000", b"x"), "chunks": (b"Transfer-Encoding: chunked", b"1\r\nx\r\n")}


@pytest.fixture
def served(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(RequestSlots.__init__, "__defaults__", (8, SLOTS, SLOTS))
    with running(create_app(house.services)) as place:
        yield place


def status(served: Running, path: str, key: str = "") -> bytes:
    with served.connection() as honest:
        told = f"Authorization: Bearer {key}\r\n" if key else ""
        honest.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{told}\r\n".encode())
        return honest.recv(65536)[9:12]


@pytest.mark.parametrize("framed", DRIPS)
def test_no_route_lets_a_body_hold_a_place(house: House, served: Running, framed: str) -> None:
    header, drip = DRIPS[framed]
    with contextlib.ExitStack() as open_ones:
        for asked, refusal in ASKED.items():
            for _ in range(2 * SLOTS):
                one = open_ones.enter_context(served.connection())
                one.sendall(asked.encode() + b" HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\n" + drip)
                assert one.recv(65536)[9:12] == refusal, f"{asked}: answered at once, whatever is still to come"
        assert status(served, "/healthz") == status(served, "/version") == b"200"
        assert status(served, JOBS, house.key) == b"200"


def test_heads_that_drip_hold_none_either(house: House, served: Running) -> None:
    with contextlib.ExitStack() as open_ones:
        for asked in ASKED:
            for _ in range(2 * SLOTS):
                open_ones.enter_context(served.connection()).sendall(f"{asked} HTTP/1.1\r\nHost: x\r\nX-Mo".encode())
        assert status(served, "/healthz") == status(served, "/version") == b"200"
        assert status(served, JOBS, house.key) == b"200"
