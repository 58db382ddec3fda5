"""Each request gets its own answer, and never another's: tries over real sockets, with the bytes cut anywhere.

Raw sockets stand for a proxy that keeps its connection and forwards `Upgrade` unbuffered, and nginx is one
(tests/api/connection/nginx.py). `STENOPOOL_SMUGGLING_TRIES=1000` asks
for more tries than an ordinary run makes.
"""

import contextlib
import json
import os
import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse

from api.http import error_responses
from api.http.request_body import BodyGuard, blocks
from api.http.request_middleware import RequestMiddleware
from tests.api.connection.nginx import MISSING, NGINX, behind_nginx
from tests.api.connection.test_request_parser import AMBIGUOUS, UPGRADE, cut
from tests.api.serving import Running, received, running
from tests.support.waiting import pause

TRIES = int(os.environ.get("STENOPOOL_SMUGGLING_TRIES", "200"))
STOLEN = b"POST /echo HTTP/1.1\r\nHost: x\r\nX-Mark: stolen\r\nContent-Length: 0\r\n\r\n"


def application() -> FastAPI:
    app = FastAPI(openapi_url=None)
    error_responses.install(app)
    app.add_middleware(BodyGuard, patience=60.0, drain=1_000_000)
    app.add_middleware(RequestMiddleware)

    @app.post("/echo")
    async def echo(request: Request) -> JSONResponse:
        body = b"".join([block async for block in blocks(request)])
        return JSONResponse({"mark": request.headers["x-mark"], "body": body.decode("latin-1")})

    @app.post("/unread")
    async def unread(request: Request) -> JSONResponse:
        return JSONResponse({"mark": request.headers["x-mark"], "body": None})

    return app


@pytest.fixture(scope="module")
def served() -> Iterator[Running]:
    with running(application()) as place:
        yield place


@pytest.fixture(scope="module")
def proxied(served: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with behind_nginx(served, tmp_path_factory.mktemp("nginx")) as place:
        yield place


PROXIED = (pytest.mark.processes, pytest.mark.skipif(not NGINX, reason=MISSING))
FRONTS = ["served", pytest.param("proxied", marks=PROXIED)]


@pytest.fixture
def front(request: pytest.FixtureRequest) -> Running:
    """What the clients see."""
    place: Running = request.getfixturevalue(request.param)
    return place


@dataclass(frozen=True)
class Asked:
    """One request, and what its answer must hold."""

    raw: bytes
    answer: dict[str, object]

    @classmethod
    def at_random(cls, chance: random.Random, mark: str) -> "Asked":
        path = chance.choice(("/echo", "/echo", "/unread"))
        body = chance.choice((b"", STOLEN, STOLEN * 3, chance.randbytes(chance.randrange(3000)), b"0\r\n\r\n" + STOLEN))
        fields = [b"Host: x", b"X-Mark: " + mark.encode(), *([UPGRADE.strip()] if chance.random() < 0.6 else [])]
        if chance.random() < 0.5:
            fields.append(b"Content-Length: %d" % len(body))
            sent = body
        else:
            fields.append(b"Transfer-Encoding: chunked")
            sent = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in cut(body, chance, 3) if part) + b"0\r\n\r\n"
        chance.shuffle(fields)
        raw = b"POST " + path.encode() + b" HTTP/1.1\r\n" + b"\r\n".join(fields) + b"\r\n\r\n" + sent
        return cls(raw, {"mark": mark, "body": body.decode("latin-1") if path == "/echo" else None})


def send_cut(connection: socket.socket, data: bytes, chance: random.Random) -> None:
    """In pieces that the other side reads one by one, now and then."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for part in cut(data, chance, chance.randrange(1, 6)):
        try:
            connection.sendall(part)
        except (BrokenPipeError, ConnectionResetError):  # the other side has answered and gone
            return
        if chance.random() < 0.5:
            pause(0.001)


def answers(connection: socket.socket, count: int) -> list[dict[str, object]]:
    """So many answers, framed by their Content-Length; fewer where the connection ends behind one."""
    found: list[dict[str, object]] = []
    held = b""
    while len(found) < count:
        head, end, rest = held.partition(b"\r\n\r\n")
        lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:]) if end else {}
        if end and len(rest) >= (size := int(lines[b"content-length"])):
            found.append(json.loads(rest[:size]))
            held = rest[size:]
            continue
        part = b""
        with contextlib.suppress(ConnectionResetError):
            part = connection.recv(65536)
        if not part:
            break
        held += part
    assert held == b"", "an answer that nobody asked for"
    return found


@pytest.mark.parametrize("front", FRONTS, indirect=True)
def test_each_request_gets_its_own_answer(front: Running, served: Running) -> None:
    """A proxy ends its client's connection where an answer comes before the body has been read: nobody asks further there."""
    for seed in range(TRIES):
        chance = random.Random(seed)
        asked = [Asked.at_random(chance, f"{seed}-{n}") for n in range(chance.randrange(2, 5))]
        with front.connection() as connection:
            got = pipelined(connection, asked, chance) if chance.random() < 0.5 else in_turn(connection, asked, chance)
        expected = [one.answer for one in asked]
        assert got == expected[: len(got)], f"seed {seed}"
        whole = len(got) == len(asked)
        assert whole or (front != served and got and expected[len(got) - 1]["body"] is None), f"seed {seed}"


def pipelined(connection: socket.socket, asked: list[Asked], chance: random.Random) -> list[dict[str, object]]:
    send_cut(connection, b"".join(one.raw for one in asked), chance)
    return answers(connection, len(asked))


def in_turn(connection: socket.socket, asked: list[Asked], chance: random.Random) -> list[dict[str, object]]:
    got: list[dict[str, object]] = []
    for one in asked:
        send_cut(connection, one.raw, chance)
        heard = answers(connection, 1)
        got += heard
        if not heard:
            break
    return got


@pytest.mark.parametrize("rest", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_might_be_read_in_two_ways_ends_the_connection(served: Running, rest: bytes) -> None:
    """There is one answer at most, a refusal, and never one to what comes behind."""
    chance = random.Random(rest)
    with served.connection() as connection:
        send_cut(connection, b"POST /echo HTTP/1.1\r\nX-Mark: own\r\nHost: x\r\n" + rest + STOLEN, chance)
        raw = received(connection)
    assert raw.startswith(b"HTTP/1.1 400 ") and raw.count(b"HTTP/1.1") == 1
    assert b"stolen" not in raw


@pytest.mark.parametrize("front", FRONTS, indirect=True)
def test_nobody_gets_what_a_neighbour_has_left_behind(front: Running) -> None:
    """Each try is a connection that somebody poisons, and others that ask beside and behind it; a proxy takes what connection it
    has for each of them."""
    kinds = sorted(AMBIGUOUS.values())
    for seed in range(TRIES):
        chance = random.Random(f"poison {seed}")
        head = b"POST /echo HTTP/1.1\r\nX-Mark: own\r\nHost: x\r\n" + (UPGRADE if chance.random() < 0.5 else b"")
        poison = head + chance.choice([*kinds, b"Content-Length: %d\r\n\r\n" % chance.randrange(200)]) + STOLEN * 2
        asked = Asked.at_random(chance, f"neighbour-{seed}")
        with front.connection() as attacker, front.connection() as neighbour:
            send_cut(attacker, poison, chance)
            send_cut(neighbour, asked.raw, chance)
            assert answers(neighbour, 1) == [asked.answer], f"seed {seed}"
            with contextlib.suppress(OSError):  # it may be gone already
                attacker.shutdown(socket.SHUT_WR)
            assert b"neighbour" not in received(attacker), f"seed {seed}"


@pytest.mark.parametrize("front", FRONTS, indirect=True)
def test_a_body_in_a_later_packet_is_no_request(front: Running) -> None:
    """The finding: with `Upgrade: h2c` the body was dropped, and what came later was read as a new request."""
    with front.connection() as connection:
        head = (
            b"POST /echo HTTP/1.1\r\nHost: x\r\nX-Mark: own\r\n" + UPGRADE + b"Content-Length: %d\r\n\r\n" % len(STOLEN)
        )
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(head)
        with front.connection() as other:  # by the time that it has its answer, the head has been read
            other.sendall(STOLEN.replace(b"stolen", b"other"))
            assert answers(other, 1) == [{"mark": "other", "body": ""}]
        connection.sendall(STOLEN)
        assert answers(connection, 1) == [{"mark": "own", "body": STOLEN.decode()}]
        connection.sendall(STOLEN.replace(b"stolen", b"second"))
        assert answers(connection, 1) == [{"mark": "second", "body": ""}]


def test_a_websocket_is_an_ordinary_request(served: Running) -> None:
    with served.connection() as connection:
        asked = b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
        connection.sendall(asked + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        assert received(connection).startswith(b"HTTP/1.1 405 ")
