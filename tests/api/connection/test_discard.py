"""What arrives after the answer is thrown away within an allowance, and holds nothing but its connection."""

import contextlib
from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from api.access.request_slots import RequestSlots
from api.connection.discard import Discard
from api.http import error_responses
from api.http.request_body import LEAST_RATE, STRANGER, UPLOADS, Allowance, BodyGuard
from api.http.request_middleware import RequestMiddleware
from api.main import create_app
from infra.settings import Settings
from tests.api.serving import Running, running

SLOTS = 4


class Later:
    """The loop's clock, turned by hand."""

    def __init__(self) -> None:
        self.due: list[tuple[float, object]] = []

    def call_later(self, seconds: float, call: object) -> "Later":
        self.due.append((seconds, call))
        return self

    def cancel(self) -> None:
        self.due.clear()

    def turn(self) -> float:
        seconds, call = self.due.pop()
        call()
        return seconds


def discard(allowance: Allowance) -> tuple[Discard, Later, list[str]]:
    clock, ended = Later(), []
    return Discard(clock, lambda: ended.append("closed"), allowance), clock, ended


def test_a_strangers_bytes_and_seconds_are_few() -> None:
    thrown, _, ended = discard(STRANGER)
    for _ in range(64):
        thrown.count(1024)
    assert not ended
    thrown.count(1)
    assert ended == ["closed"]
    _, clock, ended = discard(STRANGER)
    assert (clock.turn(), ended) == (1.0, ["closed"])


def test_a_key_holders_upload_goes_on_at_the_least_rate() -> None:
    allowance = BodyGuard(FastAPI(), patience=30, drain=10**9).upload
    assert allowance.least == 30 * LEAST_RATE
    thrown, clock, ended = discard(allowance)
    for _ in range(3):
        thrown.count(allowance.least)
        assert clock.turn() == 30
    thrown.count(allowance.least - 1)
    clock.turn()
    assert ended == ["closed"]


def test_every_route_that_takes_a_form_is_an_upload() -> None:
    paths = create_app(settings=Settings()).openapi()["paths"]
    operations = [(path, operation) for path, methods in paths.items() for operation in methods.values()]
    contents = [(path, operation.get("requestBody", {}).get("content", {})) for path, operation in operations]
    assert {path for path, content in contents if "multipart/form-data" in content} == UPLOADS


class FewSlots:
    """Stands where the key check stands, and holds what it holds."""

    def __init__(self, app: object) -> None:
        self.app = app
        self.slots = RequestSlots(strangers=SLOTS)

    async def __call__(self, scope: dict, receive: object, send: object) -> None:
        with self.slots.stranger(scope["state"]["peer"]) if scope["type"] == "http" else contextlib.nullcontext():
            await self.app(scope, receive, send)


@pytest.fixture(scope="module")
def served() -> Iterator[Running]:
    app = FastAPI(openapi_url=None)
    error_responses.install(app)
    app.add_middleware(FewSlots)
    app.add_middleware(BodyGuard, patience=30, drain=10**9)
    app.add_middleware(RequestMiddleware)

    @app.get("/here")
    async def here() -> str:
        return "yes"

    with running(app) as place:
        yield place


@pytest.mark.parametrize("asked", ["POST /nowhere", "POST /here"])
def test_endless_bodies_hold_no_slot(served: Running, asked: str) -> None:
    """512 of them made every request a 503."""
    head = f"{asked} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000000\r\n\r\n".encode()
    with contextlib.ExitStack() as open_ones:
        greedy = [open_ones.enter_context(served.connection()) for _ in range(3 * SLOTS)]
        for one in greedy:
            one.sendall(head + b"x")
            assert one.recv(65536)[9:12] in (b"404", b"405"), "answered at once, and nobody else's slot is gone"
        with served.connection() as honest:
            honest.sendall(b"GET /here HTTP/1.1\r\nHost: x\r\n\r\n")
            assert honest.recv(65536).startswith(b"HTTP/1.1 200")


def test_the_answer_is_followed_by_a_half_close(served: Running) -> None:
    with served.connection() as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000000\r\n\r\n")
        said = b""
        while part := connection.recv(65536):
            said += part
        assert said.startswith(b"HTTP/1.1 404") and b"connection: close" in said
        connection.sendall(b"x")  # the other half is open: a client that sends before it reads gets its answer
