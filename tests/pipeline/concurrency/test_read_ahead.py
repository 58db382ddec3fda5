"""Blocks read ahead: in order, none lost, errors in their turn, and no thread left."""

import threading
from collections.abc import Iterator

import pytest

from pipeline.concurrency import read_ahead
from pipeline.concurrency.read_ahead import ReadAhead
from tests.support.waiting import wait_until

SOME = 20
MOST = read_ahead._MOST_BLOCKS


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name == "read-ahead":
            thread.join(60)
            assert not thread.is_alive()


def test_all_blocks_come_in_order() -> None:
    assert list(ReadAhead(iter([bytes([number]) for number in range(200)]))) == [bytes([n]) for n in range(200)]


def test_what_ends_soon_is_seen_to_end_and_still_read() -> None:
    ahead = ReadAhead(iter([b"a", b"b"]))
    assert ahead.ends_within(30)
    assert list(ahead) == [b"a", b"b"]


def test_what_does_not_is_waited_for_no_longer() -> None:
    go = threading.Event()

    def source() -> Iterator[bytes]:
        yield b"a"
        assert go.wait(60)
        yield b"b"

    ahead = ReadAhead(source())
    assert not ahead.ends_within(0.05)
    go.set()
    assert list(ahead) == [b"a", b"b"]


def test_the_first_block_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = [0.0]
    monkeypatch.setattr(read_ahead, "monotonic", lambda: passed[0])

    def source() -> Iterator[bytes]:
        passed[0] = 1000.0
        yield b"a"

    assert ReadAhead(source()).ends_within(60)


def test_an_error_is_no_end_and_raised_behind_the_blocks() -> None:
    def source() -> Iterator[bytes]:
        yield b"a"
        raise LookupError("gone")

    ahead = ReadAhead(source())
    assert not ahead.ends_within(30)
    blocks = iter(ahead)
    assert next(blocks) == b"a"
    with pytest.raises(LookupError, match="gone"):
        next(blocks)


def test_it_does_not_run_far_ahead_once_nobody_waits_for_the_end() -> None:
    asked: list[int] = []

    def source() -> Iterator[bytes]:
        for number in range(1000):
            asked.append(number)
            yield b"x"
            if number == SOME:
                assert known.wait(60)

    known, ahead = threading.Event(), ReadAhead(source())
    assert not ahead.ends_within(0.01), "SOME of them have come, or will; the rest only now that this is known"
    known.set()
    blocks = iter(ahead)
    read = [next(blocks) for _ in range(SOME)]
    wait_until(lambda: len(ahead._blocks) >= MOST)
    assert len(asked) <= len(read) + MOST + 1
    assert len(read) + len(list(blocks)) == 1000


def test_closing_it_closes_the_source() -> None:
    closed = threading.Event()

    def source() -> Iterator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            closed.set()

    ahead = ReadAhead(source())
    blocks = iter(ahead)
    assert next(blocks) == b"x"
    assert not ahead.ends_within(0.0)
    ahead.close()
    assert closed.wait(60)
