"""Who takes an answer too slowly is cut off, and nobody else."""

import threading
from collections.abc import AsyncIterator

import pytest
from starlette.responses import StreamingResponse

from api.connection import slow_reader
from api.connection.slow_reader import SlowReader
from api.http.request_body import LEAST_RATE
from tests.api.serving import received, running
from tests.support.waiting import wait_until

ENOUGH = int(LEAST_RATE * slow_reader.SECONDS)
CHUNK, CHUNKS = bytes(1 << 20), 256


class Connection:
    """Its loop, its transport, and its clock."""

    def __init__(self) -> None:
        self.waiting = 0
        self.cut = False
        self.due: list[object] = []
        self.reader = SlowReader(self, self, self._cut)

    def call_later(self, _seconds: float, call: object) -> "Connection":
        self.due.append(call)
        return self

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def write(self, size: int) -> None:
        self.reader.written += size
        self.waiting += size
        self.reader.watch()

    def after(self, *, taken: int) -> bool:
        """Half a minute later; whether it is still watched."""
        self.waiting -= taken
        self.due.pop()()
        return bool(self.due)

    def _cut(self) -> None:
        self.cut = True


def test_who_takes_nothing_is_cut() -> None:
    one = Connection()
    one.write(100)
    assert not one.after(taken=0) and one.cut


def test_who_takes_enough_is_watched_and_kept() -> None:
    one = Connection()
    one.write(10 * ENOUGH)
    for _ in range(9):
        assert one.after(taken=ENOUGH) and not one.cut
    assert not one.after(taken=ENOUGH - 1) and one.cut


def test_who_has_taken_all_is_not_watched() -> None:
    one = Connection()
    one.write(100)
    assert not one.after(taken=100) and not one.cut


def test_an_answer_that_comes_slowly_is_not_read_slowly() -> None:
    """Events now and then: what is waiting at the moment was not there at the last look."""
    one = Connection()
    one.write(100)
    for _ in range(5):
        one.write(100)
        assert one.after(taken=100) and not one.cut


def test_over_a_real_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_reader, "SECONDS", 0.3)
    ended = threading.Event()

    async def app(scope: dict, receive: object, send: object) -> None:
        async def content() -> AsyncIterator[bytes]:
            for _ in range(CHUNKS):
                yield CHUNK

        if scope["type"] == "http":
            await StreamingResponse(content())(scope, receive, send)
            ended.set()
        else:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})

    with running(app) as place, place.connection() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(ended.is_set)
        assert len(received(connection)) < CHUNKS * len(CHUNK)
