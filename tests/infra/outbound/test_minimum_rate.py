"""Whoever drips is cut; whoever is only made to wait by us is not."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from infra.outbound.minimum_rate import at_minimum_rate
from pipeline.errors import DownloadTooSlow


class Clock:
    """Time passes when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def blocks(clock: Clock, size: int, every: float, count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        clock.now += every
        yield bytes(size)


def poured(clock: Clock, size: int, every: float, count: int, sink: float = 0.0) -> int:
    """How many blocks of that size came through, one in so many seconds, each of which takes `sink` seconds to store."""
    got = []

    async def pour() -> None:
        async for block in at_minimum_rate(blocks(clock, size, every, count)):
            got.append(block)
            clock.now += sink

    with_trouble = asyncio.Runner()
    with with_trouble:
        with_trouble.run(pour())
    return len(got)


def test_a_byte_in_ten_seconds_is_cut_after_the_first_window(clock: Clock) -> None:
    with pytest.raises(DownloadTooSlow, match="too slowly: 3 bytes in 30 s"):
        poured(clock, 1, 10.0, 1000)
    assert clock.now == 30.0


def test_a_slow_line_is_no_drip(clock: Clock) -> None:
    assert poured(clock, 5120, 10.0, 100) == 100


def test_one_who_stops_dripping_later_is_cut_later(clock: Clock) -> None:
    async def good_then_bad() -> AsyncIterator[bytes]:
        async for block in blocks(clock, 100_000, 10.0, 6):
            yield block
        async for block in blocks(clock, 1, 10.0, 100):
            yield block

    async def pour() -> None:
        async for _ in at_minimum_rate(good_then_bad()):
            pass

    with pytest.raises(DownloadTooSlow):
        asyncio.run(pour())
    assert clock.now == 90.0


def test_our_own_slowness_is_not_the_peers(clock: Clock) -> None:
    assert poured(clock, 10, 0.001, 100, sink=60.0) == 100
