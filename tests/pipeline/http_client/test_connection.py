"""The transport under every OpenAI-compatible server: connections that are used again, and those that must not be."""

import asyncio
import gzip
import socket
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx2
import pytest
import uvloop

from pipeline.concurrency.greenlet_io import run_in_greenlet
from pipeline.http_client.connection import HttpConnectionPool, InvalidTarget, Target
from pipeline.http_client.response_parser import Response, ResponseBroken, ResponseUnreadable
from pipeline.resilience.deadline import Deadline
from tests.support.certificates import certificate
from tests.support.cycles import goes_by_itself
from tests.support.tcp_server import Reply, forever, reset, say, scripted
from tests.support.tcp_server import http as http_reply

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n there\r\n0\r\n\r\n"


class Asked(HttpConnectionPool):
    """`run` does what is asked of it: in a thread, or as an errand on an event loop of its own."""

    def __init__(self, run: Callable[[Callable[[], bytes]], bytes]) -> None:
        super().__init__(2)
        self.run = run


async def _attend(call: Callable[[], bytes]) -> bytes:
    return await run_in_greenlet(call, asyncio.to_thread)


RUNS: dict[str, Callable[[Callable[[], bytes]], bytes]] = {
    "thread": lambda call: call(),
    "errand": lambda call: uvloop.run(_attend(call)),
}


@pytest.fixture(params=RUNS)
def wire(request: pytest.FixtureRequest) -> Iterator[Asked]:
    opened = Asked(RUNS[request.param])
    yield opened
    opened.close()


def ask(wire: Asked, url: str, seconds: float = 20.0, content: bytes = b"sound") -> bytes:
    target = Target(httpx2.URL(f"{url}/v1?a=b"), {"accept": "*/*"})

    def answered() -> bytes:
        with wire.post(
            target, {"content-type": "audio/wav"}, (content[:2], content[2:]), Deadline(seconds), 5.0
        ) as answer:
            return b"".join(answer.iter_bytes())

    return wire.run(answered)


def staying(*answers: bytes) -> Reply:
    """Answer request after request on one connection; the first one has been read already."""

    def reply(connection: socket.socket) -> None:
        for answer in answers:
            connection.sendall(answer)
            if not connection.recv(65_536):
                return

    return reply


def whole(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def test_a_connection_is_used_again(wire: Asked) -> None:
    with scripted(staying(whole(b"one"), CHUNKED, whole(b""), whole(b"four"))) as server:
        answers = [ask(wire, server.url) for _ in range(4)]
    assert answers == [b"one", b"hello there", b"", b"four"]
    assert server.connections == 1
    assert server.requests[0].line == "POST /v1?a=b HTTP/1.1"
    assert server.requests[0].headers["content-length"] == "5"
    assert server.requests[0].headers["content-type"] == "audio/wav"
    assert server.requests[0].headers["host"] == server.url.removeprefix("http://")
    assert server.requests[0].body == b"sound"


@pytest.mark.parametrize(
    ("first", "hangs_up"),
    [
        (http_reply(200, "", b"one"), True),
        (staying(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\none", whole(b"wrong")), False),
        (staying(whole(b"one") + whole(b"nobody asked"), whole(b"wrong")), False),
        (staying(b"HTTP/1.1 100 Continue\r\n\r\n" + whole(b"one") + b"x", whole(b"wrong")), False),
    ],
)
def test_a_connection_that_cannot_be_trusted_is_not(wire: Asked, first: Reply, hangs_up: bool) -> None:
    with scripted(first, http_reply(200, "", b"two")) as server:
        assert ask(wire, server.url) == b"one"
        assert not hangs_up or server.hung_up.wait(60)
        assert ask(wire, server.url) == b"two"
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"220 hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 300_000,
        b"",
    ],
)
def test_what_is_cut_off_is_an_error(wire: Asked, answer: bytes) -> None:
    with scripted(say(answer)) as server, pytest.raises(ResponseBroken):
        ask(wire, server.url)


def packed(how: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n%b" % (how, len(body), body)


@pytest.mark.parametrize(
    ("how", "body"),
    [(b"gzip", gzip.compress(b"one" * 9, mtime=0)), (b"deflate", zlib.compress(b"one" * 9)), (b"identity", b"one" * 9)],
)
def test_a_body_that_is_packed_though_nobody_asked(wire: Asked, how: bytes, body: bytes) -> None:
    with scripted(staying(packed(how, body), whole(b"two"))) as server:
        assert ask(wire, server.url) == b"one" * 9
        assert ask(wire, server.url) == b"two"
    assert server.connections == 1


@pytest.mark.parametrize(
    ("how", "body"), [(b"br", b"one"), (b"gzip", b"one"), (b"gzip", gzip.compress(b"one", mtime=0)[:-1])]
)
def test_a_body_that_is_not_packed_as_it_says(wire: Asked, how: bytes, body: bytes) -> None:
    with scripted(say(packed(how, body))) as server, pytest.raises((ResponseUnreadable, ResponseBroken)):
        ask(wire, server.url)


def test_what_is_unpacked_comes_in_bounded_blocks(wire: Asked) -> None:
    with scripted(say(packed(b"gzip", gzip.compress(bytes(30_000_000))))) as server:
        target = Target(httpx2.URL(server.url), {})
        with wire.post(target, {}, (b"",), Deadline(20.0), 5.0) as answer:
            sizes = [len(block) for block in answer.iter_bytes()]
    assert sum(sizes) == 30_000_000
    assert max(sizes) <= 1024 * 1024


def test_a_header_that_comes_twice(wire: Asked) -> None:
    with (
        scripted(say(b"HTTP/1.1 204 No Content\r\nX-A: 1\r\nx-a: 2\r\n\r\n")) as server,
        wire.post(Target(httpx2.URL(server.url), {}), {}, (b"",), Deadline(20.0), 5.0) as answer,
    ):
        assert (answer.status_code, answer.headers["x-a"], list(answer.iter_bytes())) == (204, "1, 2", [])


def test_an_answer_that_comes_before_all_is_sent(wire: Asked) -> None:
    """A server that takes no such body says so and hangs up; that it did is no reason to ask it again."""
    refusal = http_reply(413, "Connection: close\r\n", b"too large")
    with scripted(refusal, http_reply(200, "", b"two"), greets=False) as server:
        assert ask(wire, server.url, content=bytes(30_000_000)) == b"too large"
        assert ask(wire, server.url) == b"two"
    assert server.connections == 2


def test_a_server_that_hangs_up_while_all_is_sent(wire: Asked) -> None:
    with scripted(reset, greets=False) as server, pytest.raises(ConnectionError):
        ask(wire, server.url, content=bytes(30_000_000))


def test_until_the_server_hangs_up(wire: Asked) -> None:
    with scripted(say(b"HTTP/1.1 200 OK\r\n\r\nas long ", b"as it is")) as server:
        assert ask(wire, server.url) == b"as long as it is"


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
def test_bytes_that_drip_in_win_no_time(wire: Asked, head: bytes) -> None:
    with scripted(forever(head, b"a", 0.02)) as server, pytest.raises(TimeoutError):
        ask(wire, server.url, seconds=0.3)


def test_a_server_that_shows_a_certificate(wire: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = certificate(tmp_path, "localhost")
    with scripted(staying(whole(b"one"), CHUNKED), tls=theirs) as server:
        url = server.url.replace("http:", "https:")
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            ask(wire, url)
        monkeypatch.setattr(httpx2, "create_ssl_context", lambda: ours)
        trusting = Asked(wire.run)
        assert [ask(trusting, url), ask(trusting, url)] == [b"one", b"hello there"]
        trusting.close()


def test_nothing_is_asked_after_the_end(wire: Asked) -> None:
    wire.close()
    with scripted(http_reply(200)) as server, pytest.raises(OSError, match="closed"):
        ask(wire, server.url)


@pytest.mark.parametrize("headers", [{"x": "a\r\nb: c"}, {"x\ny": "a"}])
def test_a_header_cannot_bring_another(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidTarget, match="line's end"):
        Target(httpx2.URL("http://127.0.0.1:9/"), headers)


def test_only_http_is_spoken() -> None:
    with pytest.raises(InvalidTarget, match="neither"):
        Target(httpx2.URL("ftp://127.0.0.1/"), {})


def test_an_answer_that_was_read_waits_for_no_collector(wire: Asked) -> None:
    def read(url: str) -> Response:
        with wire.post(Target(httpx2.URL(url), {}), {}, (b"",), Deadline(20.0), 5.0) as answer:
            assert list(answer.iter_bytes()) == [b"one"]
        return answer

    with scripted(staying(whole(b"one"))) as server:
        assert goes_by_itself(partial(read, server.url))
