"""The framing of requests: one reading of the same bytes, however they are cut, and the one that h11 has too."""

import contextlib
import random

import h11
import pytest

from api.connection import request_parser as parser_module
from api.connection.request_parser import Field, HeadTooLarge, InvalidHttp, RequestParser

HEAD = b"POST /a?b=1 HTTP/1.1\r\nHost: x\r\n"
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"


class Told:
    """What a parser said: for each request its head, its body, and whether it ended."""

    def __init__(self) -> None:
        self.requests: list[list[object]] = []

    def on_message_begin(self) -> None:
        self.requests.append([None, b"", False])

    def on_head(self, method: bytes, target: bytes, minor: bytes, fields: list[Field]) -> None:
        self.requests[-1][0] = (method, target, minor, tuple(fields))

    def on_body(self, body: bytes) -> None:
        self.requests[-1][1] += body

    def on_message_complete(self) -> None:
        self.requests[-1][2] = True

    @property
    def bodies(self) -> list[object]:
        return [body for _, body, ended in self.requests if ended]


def told(*parts: bytes) -> Told:
    heard = Told()
    parser = RequestParser(heard)
    for part in parts:
        parser.feed(part)
    return heard


def cut(data: bytes, chance: random.Random, pieces: int) -> list[bytes]:
    at = sorted(chance.randrange(len(data) + 1) for _ in range(pieces))
    return [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]


CONVERSATION = (
    HEAD + UPGRADE + b"Content-Length: 5\r\n\r\nGET /"
    b"\r\n" + HEAD + UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n00\r\nTrailing: x\r\n\r\n"
    b"GET http://x/c HTTP/1.1\r\nHOST:x\t \r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
)


def test_an_upgrade_changes_nothing_of_how_bytes_are_read() -> None:
    heard = told(CONVERSATION)
    assert heard.bodies == [b"GET /", b"abc", b""]
    assert heard.requests[2][0][:3] == (b"GET", b"http://x/c", b"1")
    assert heard.requests[2][0][3][0] == (b"host", b"x")


def test_it_does_not_matter_where_the_bytes_are_cut() -> None:
    whole = told(CONVERSATION).requests
    for at in range(len(CONVERSATION)):
        assert told(CONVERSATION[:at], CONVERSATION[at:]).requests == whole, at
    assert told(*(CONVERSATION[at : at + 1] for at in range(len(CONVERSATION)))).requests == whole


AMBIGUOUS = {
    "a length beside chunks": b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "two lengths": b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n",
    "the same length twice": b"Content-Length: 3\r\nContent-Length: 3\r\n\r\n",
    "a list of lengths": b"Content-Length: 3, 3\r\n\r\n",
    "a signed length": b"Content-Length: +3\r\n\r\n",
    "a length with an underscore": b"Content-Length: 1_0\r\n\r\n",
    "an endless length": b"Content-Length: " + b"9" * 19 + b"\r\n\r\n",
    "no length": b"Content-Length: \r\n\r\n",
    "two codings": b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunked and identity": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
    "another coding": b"Transfer-Encoding: xchunked\r\n\r\n",
    "a quoted coding": b'Transfer-Encoding: "chunked"\r\n\r\n',
    "a folded line": b"Transfer-Encoding:\r\n chunked\r\n\r\n",
    "a folded header": b"X-A: b\r\n\tc\r\n\r\n",
    "a blank before the colon": b"Content-Length : 3\r\n\r\n",
    "a blank before the name": b" Content-Length: 3\r\n\r\n",
    "no colon": b"Content-Length\r\n\r\n",
    "no name": b": 3\r\n\r\n",
    "a bare LF": b"X-A: b\nContent-Length: 3\r\n\r\n",
    "a bare CR": b"X-A: b\rContent-Length: 3\r\n\r\n",
    "LF at the end": b"Content-Length: 3\n\n",
    "NUL in a value": b"X-A: \x00\r\n\r\n",
    "two hosts": b"Host: y\r\n\r\n",
    "LF after a chunk's size": b"Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
    "CR in a chunk's size": b"Transfer-Encoding: chunked\r\n\r\n3\rX\r\nabc\r\n0\r\n\r\n",
    "LF in a chunk's extension": b"Transfer-Encoding: chunked\r\n\r\n3;\nabc\r\n0\r\n\r\n",
    "LF after a chunk": b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n",
    "a chunk longer than its size": b"Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
    "a size in hex with 0x": b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "a signed size": b"Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
    "a blank before a size": b"Transfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n0\r\n\r\n",
    "no size": b"Transfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\n",
    "a size of 16 digits": b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 15 + b"3\r\nabc\r\n0\r\n\r\n",
    "an endless extension": b"Transfer-Encoding: chunked\r\n\r\n3;" + b"x" * 300 + b"\r\nabc\r\n0\r\n\r\n",
    "a folded trailer": b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n c\r\n\r\n",
    "LF in the trailer": b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\r\n\r\n",
    "endless trailers": b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 300 + b"\r\n",
}


@pytest.mark.parametrize("rest", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_might_be_read_in_two_ways_is_refused(rest: bytes) -> None:
    heard = Told()
    parser = RequestParser(heard)
    with pytest.raises(InvalidHttp):
        parser.feed(HEAD + rest + b"GET /stolen HTTP/1.1\r\nHost: x\r\n\r\n")
    assert heard.bodies == []
    chance = random.Random(rest)
    for _ in range(20):
        heard = Told()
        parser = RequestParser(heard)
        with pytest.raises(InvalidHttp):
            for part in cut(HEAD + rest + b"GET /stolen HTTP/1.1\r\nHost: x\r\n\r\n", chance, 4):
                parser.feed(part)
        assert heard.bodies == []


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1 ",
        b"GET  / HTTP/1.1",
        b"GET /",
        b"GET / HTTP/2.0",
        b"GET / http/1.1",
        b"G ET / HTTP/1.1",
        b"GET /\xe4 HTTP/1.1",
        b"GET x HTTP/1.1",
        b"CONNECT x:443 HTTP/1.1",
        b"CONNECT / HTTP/1.1",
        b"POST * HTTP/1.1",
        b"PRI * HTTP/2.0",
    ],
)
def test_what_is_no_request_line(line: bytes) -> None:
    with pytest.raises(InvalidHttp):
        told(line + b"\r\nHost: x\r\n\r\n")


def test_chunks_are_no_part_of_http_1_0_and_a_host_is_of_1_1() -> None:
    with pytest.raises(InvalidHttp):
        told(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")
    with pytest.raises(InvalidHttp):
        told(b"GET / HTTP/1.1\r\n\r\n")
    assert told(b"GET / HTTP/1.0\r\n\r\n").bodies == [b""]


def test_heads_are_bounded_in_bytes_and_in_number() -> None:
    with pytest.raises(HeadTooLarge):
        told(HEAD + b"X-A: " + b"y" * parser_module.HEADER_BYTES)
    with pytest.raises(HeadTooLarge):
        told(HEAD + b"A: b\r\n" * parser_module.MOST_FIELDS + b"\r\n")


def test_while_it_is_paused_it_begins_nothing() -> None:
    heard = Told()
    parser = RequestParser(heard)
    parser.paused = True
    parser.feed(HEAD + b"\r\n")
    assert heard.requests == [] and parser.pending == len(HEAD) + 2
    parser.paused = False
    parser.feed()
    assert heard.bodies == [b""] and parser.pending == 0


PIECES = (
    *(
        b"Content-Length: 4\r\n",
        b"Content-Length: 0\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
    ),
    *(b"Connection: keep-alive\r\n", UPGRADE, b"X: \xe4 y\r\n", b" folded\r\n", b"Bad Name: x\r\n", b"A:\r\n"),
)
BODIES = (
    b"",
    b"abcd",
    b"0\r\n\r\n",
    b"4\r\nabcd\r\n0\r\n\r\n",
    b"4;x=y\r\nabcd\r\n0\r\nT: u\r\n\r\n",
    b"4\nabcd\r\n0\r\n\r\n",
)


def by_h11(data: bytes) -> tuple[bytes, bytes, list[Field], bytes] | None:
    """The first request as the reference reads it, if it ends."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    head, body = None, b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return head.method, head.target, [(bytes(n), bytes(v)) for n, v in head.headers], body
            elif event is h11.NEED_DATA:
                return None
    except h11.RemoteProtocolError:
        return None


def test_whatever_is_understood_h11_understands_the_same() -> None:
    chance = random.Random(20)
    taken = 0
    for _ in range(2000):
        fields = chance.sample(PIECES, chance.randrange(4))
        data = HEAD + b"".join(fields) + b"\r\n" + chance.choice(BODIES)
        heard = Told()
        with contextlib.suppress(InvalidHttp):
            RequestParser(heard).feed(data)
        if not heard.bodies:
            continue
        taken += 1
        (method, target, _, own), body, _ = heard.requests[0]
        assert by_h11(data) == (method, target, list(own), body), data
    assert taken > 300
