"""Below the application: slow, greedy and confused clients, over real connections."""

import asyncio
import json
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from fastapi import FastAPI, Request
from starlette.datastructures import Headers

from api.connection.protocol import TimeoutProtocol
from api.http import error_responses
from api.http import request_body as body_module
from api.http.error_responses import RequestTimeout, render
from api.http.request_body import BodyGuard, blocks
from api.http.request_middleware import RequestMiddleware
from pipeline.errors import InvalidRequest, Unauthenticated
from tests.api.serving import Running, received, running

PATIENCE = 60.0  # seconds


class Strangers:
    """Stands where the key check stands."""

    def __init__(self, app: object) -> None:
        self.app = app

    async def __call__(self, scope: dict, receive: object, send: object) -> None:
        if scope["type"] == "http" and scope["path"] == "/stranger":
            await render(Unauthenticated())(scope, receive, send)
        elif scope["type"] == "http":
            scope["state"]["principal"] = "somebody"
            await self.app(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def application(patience: float = PATIENCE) -> FastAPI:
    app = FastAPI(openapi_url=None)
    error_responses.install(app)
    app.add_middleware(Strangers)
    app.add_middleware(BodyGuard, patience=patience, drain=50_000_000)
    app.add_middleware(RequestMiddleware)

    @app.post("/count")
    async def count(request: Request) -> dict[str, int]:
        return {"bytes": sum([len(block) async for block in blocks(request)])}

    @app.post("/refuse")
    @app.post("/v1/audio/jobs")
    async def refuse() -> None:
        raise InvalidRequest("No.", param="x")

    @app.post("/broken")
    async def broken() -> None:
        raise RuntimeError("password=hunter2")

    return app


@pytest.fixture(scope="module")
def served() -> Iterator[Running]:
    with running(application()) as place:
        yield place


@pytest.fixture
def impatient() -> Iterator[Running]:
    """Cuts off soon who sends nothing."""
    with running(application(0.5)) as place:
        yield place


def post(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def answer_of(raw: bytes) -> tuple[int, dict[str, str], dict]:
    head, _, content = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", maxsplit=1) for line in lines)
    return int(status.split()[1]), headers, json.loads(content)


def test_headers_that_do_not_end_are_cut_off(served: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.connection.protocol.HEADER_SECONDS", 1.0)
    with served.connection() as connection:
        connection.sendall(b"GET /count HTTP/1.1\r\nHost: x\r\nX-A: ")
        status, _, body = answer_of(received(connection))
    assert (status, body["error"]["code"]) == (408, "request_timeout")


def test_a_connection_that_asks_nothing_is_closed(served: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.connection.protocol.HEADER_SECONDS", 0.2)
    with served.connection() as connection:
        assert received(connection) == b""


def test_endless_headers_are_cut_off(served: Running) -> None:
    with served.connection() as connection:
        connection.sendall(b"GET /count HTTP/1.1\r\nHost: x\r\n" + b"X-A: " + b"y" * 100_000)
        status, _, body = answer_of(received(connection))
    assert (status, body["error"]["code"]) == (431, "headers_too_large")


def test_what_is_no_http_gets_an_error_in_the_one_shape(served: Running) -> None:
    with served.connection() as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        status, _, body = answer_of(received(connection))
    assert status == 400
    assert set(body["error"]) == {"message", "type", "param", "code"}


def test_requests_on_one_connection_each_get_their_answer(served: Running) -> None:
    with served.connection() as connection:
        connection.sendall(
            post("/count", "Content-Length: 3") + b"abc" + post("/count", "Content-Length: 0", "Connection: close")
        )
        raw = received(connection)
    assert raw.count(b"HTTP/1.1 200") == 2
    assert b'{"bytes":3}' in raw


def test_a_body_that_stops_coming_is_cut_off(impatient: Running) -> None:
    with impatient.connection() as connection:
        connection.sendall(post("/count", "Content-Length: 100") + b"abc")
        status, headers, body = answer_of(received(connection))
    assert (status, body["error"]["code"], headers["connection"]) == (408, "request_timeout", "close")


def test_a_body_that_drips_is_cut_off(impatient: Running) -> None:
    """A byte now and then is not progress."""
    with impatient.connection() as connection:
        connection.sendall(post("/count", "Content-Length: 100000"))
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.05):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        raw = connection.recv(65536)
        stop.set()
        thread.join()
    assert raw.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(("size", "taken"), [(body_module.PROGRESS, 20), (1, 3)])
def test_a_slow_body_is_taken_as_long_as_it_is_steady(size: int, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four seconds for each block, of ten in which some progress has to be made: longer than the patience in all."""
    now = [0.0]
    monkeypatch.setattr(body_module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    async def receive() -> dict[str, object]:
        await asyncio.sleep(0)
        now[0] += 4.0
        return {"type": "http.request", "body": bytes(size), "more_body": True}

    async def blocks_taken() -> int:
        body = body_module._Body(receive, Headers({"content-length": "1000000"}), 10.0)
        for number in range(20):
            try:
                await body()
            except RequestTimeout:
                return number
        return 20

    assert asyncio.run(blocks_taken()) == taken


@pytest.mark.parametrize("framing", ["Content-Length: 20000000", "Transfer-Encoding: chunked"])
def test_who_is_refused_early_gets_the_answer_not_a_broken_pipe(served: Running, framing: str) -> None:
    content = b"x" * 20_000_000
    if "chunked" in framing:
        content = b"".join(b"100000\r\n" + content[:0x100000] + b"\r\n" for _ in range(19)) + b"0\r\n\r\n"
    with served.connection() as connection:
        connection.sendall(post("/v1/audio/jobs", framing))
        connection.sendall(content)  # raises if the server hangs up
        status, headers, _ = answer_of(received(connection))
    assert (status, headers["connection"]) == (400, "close")


def test_who_is_refused_early_is_told_at_once(served: Running) -> None:
    """Long before the body has come, so that a client who listens can stop sending."""
    with served.connection() as connection:
        connection.sendall(post("/refuse", "Content-Length: 20000000") + bytes(100_000))
        assert connection.recv(65536).startswith(b"HTTP/1.1 400")


def test_a_small_body_that_nobody_reads_costs_no_connection(served: Running) -> None:
    with served.connection() as connection:
        connection.sendall(post("/refuse", "Content-Length: 20000") + bytes(20_000))
        connection.sendall(post("/count", "Content-Length: 0", "Connection: close"))
        raw = received(connection)
    assert raw.startswith(b"HTTP/1.1 400")
    assert raw.endswith(b'{"bytes":0}'), "the connection goes on"


def test_a_stranger_is_answered_before_much_is_read(served: Running) -> None:
    sent = 0
    with served.connection() as connection:
        connection.sendall(post("/stranger", "Content-Length: 100000000"))
        connection.settimeout(60)
        try:
            while sent < 100_000_000:
                sent += connection.send(b"x" * 65536)
        except OSError:
            pass
        raw = received(connection)
    assert sent < 30_000_000, "what the kernel buffers, and what was thrown away; not the whole"
    assert raw == b"" or raw.startswith(b"HTTP/1.1 401")


def test_a_stranger_who_reads_first_gets_a_clean_answer(served: Running) -> None:
    with served.connection() as connection:
        connection.sendall(post("/stranger", "Content-Length: 100000000") + b"x" * body_module.STRANGER.total)
        status, headers, body = answer_of(received(connection))
    assert (status, headers["connection"]) == (401, "close")
    assert body["error"]["code"] == "invalid_api_key"


def test_who_asks_before_sending_is_told_before_sending(served: Running) -> None:
    with served.connection() as connection:
        connection.sendall(post("/refuse", "Content-Length: 100000000", "Expect: 100-continue"))
        raw = received(connection)
    assert raw.startswith(b"HTTP/1.1 400"), "no 100 Continue, no waiting"


@pytest.mark.parametrize("expected", ["100-continue", "100-Continue"])
def test_who_waits_to_be_asked_is_asked(served: Running, expected: str) -> None:
    with served.connection() as connection:
        connection.sendall(post("/count", "Content-Length: 3", f"Expect: {expected}", "Connection: close"))
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert received(connection).endswith(b'{"bytes":3}')


def test_a_fault_of_ours_shows_nothing(served: Running) -> None:
    with served.connection() as connection:
        connection.sendall(post("/broken", "Content-Length: 0", "X-Request-Id: my-own.id", "Connection: close"))
        status, headers, body = answer_of(received(connection))
    assert status == 500
    assert body == {
        "error": {
            "message": "The server had an error while processing your request.",
            "type": "server_error",
            "param": None,
            "code": "internal_error",
        }
    }
    assert headers["x-request-id"] == "my-own.id"
    assert headers["x-perf-request-id"].startswith("req_")  # the receipt's, which no caller chooses
    assert headers["openai-processing-ms"].isdigit()


def test_what_we_use_of_the_servers_protocol_is_still_there() -> None:
    """It is not a public interface: these are the parts we build on."""
    base = TimeoutProtocol.__mro__[1]
    names = (
        "connection_made",
        "connection_lost",
        "data_received",
        "on_response_complete",
        "timeout_keep_alive_handler",
    )
    for name in (*names, "_start_asgi_task", "_unset_keepalive_if_required"):
        assert callable(getattr(base, name))
