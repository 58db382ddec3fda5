"""Rates: exact over processes while Redis is there, bounded and quick while it is not."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from infra.embedded_redis import PrivateRedis
from infra.limits import rate_limits as module
from infra.limits.rate_limits import LocalWindows, RateLimits, Standing, Window
from tests.support.repository import ROOT

pytestmark = pytest.mark.processes

SURE = 60.0  # seconds: a patience that no loaded machine exhausts
CHILD = """
import asyncio, json, sys
from infra.limits import rate_limits
from infra.limits.rate_limits import RateLimits, Window
rate_limits.WAIT = 60.0
async def main(url, key):
    limits = RateLimits(lambda: url, patience=60.0)
    await limits.admit([Window("warm", key + ":warm", 1000)])
    print("ready", flush=True)
    sys.stdin.readline()
    told = await asyncio.gather(*(limits.admit([Window("speech", key, 10)]) for _ in range(8)))
    print(json.dumps([[one.wait, one.remaining] for (one,) in told] + [[limits.shared, 0]]), flush=True)
    await limits.close()
asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    with PrivateRedis(tmp_path_factory.mktemp("limits")) as server:
        yield server


def ask(url: str | None, *asked: list[Window], patience: float = SURE) -> list[list[Standing]]:
    """One after the other, on a loop of their own."""

    async def all_of_them() -> list[list[Standing]]:
        limits = RateLimits(lambda: url, patience=patience)
        told = [await limits.admit(windows) for windows in asked]
        assert limits.shared == (url is not None)
        await limits.close()
        return told

    return asyncio.run(all_of_them())


def at_once(asked: Coroutine[Any, Any, list[Standing]]) -> list[Standing]:
    """What is told without waiting for anything."""
    with pytest.raises(StopIteration) as ended:
        asked.send(None)
    told: list[Standing] = ended.value.value
    return told


def test_eight_processes_at_the_boundary_are_let_in_ten_times(redis: PrivateRedis) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", CHILD, redis.url, "eight"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    told = [json.loads(child.communicate(timeout=300)[0]) for child in children]
    assert all(shared for *_, (shared, _) in told)
    answers = [tuple(answer) for process in told for answer in process[:-1]]
    admitted = [remaining for wait, remaining in answers if not wait]
    assert sorted(admitted) == list(range(10))
    refused = [wait for wait, _ in answers if wait]
    assert len(refused) == 64 - 10
    assert all(0 < wait <= 60_000 for wait in refused)


@pytest.mark.parametrize("shared", [True, False])
def test_a_place_becomes_free_when_the_oldest_leaves_and_not_before(redis: PrivateRedis, shared: bool) -> None:
    window = Window("speech", f"short{shared}", 2, seconds=1)

    async def scenario() -> None:
        limits = RateLimits(lambda: redis.url if shared else None, patience=SURE)
        began = time.monotonic()
        told = [(await limits.admit([window]))[0] for _ in range(3)]
        if time.monotonic() - began < 0.9:  # else the machine slept through the window
            assert [(one.remaining, bool(one.wait)) for one in told] == [(1, False), (0, False), (0, True)]
            assert 0 < told[2].wait <= 1000
            while (await limits.admit([window]))[0].wait:
                await asyncio.sleep(0.02)
            assert time.monotonic() - began > 0.99
        assert limits.shared == shared
        await limits.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("shared", [True, False])
def test_a_request_that_one_window_refuses_counts_in_none(redis: PrivateRedis, shared: bool) -> None:
    narrow, wide = Window("speech", f"narrow{shared}", 1), Window("requests", f"wide{shared}", 5)
    told = ask(redis.url if shared else None, *[[narrow, wide]] * 3, [wide])
    assert [one.wait > 0 for one, _ in told[:3] if one] == [False, True, True]
    assert [standings[-1].remaining for standings in told] == [4, 4, 4, 3]
    assert all(59_000 < one.grows_in <= 60_000 or one.grows_in > 0 for standings in told for one in standings)


@pytest.mark.parametrize("shared", [True, False])
def test_a_limit_that_was_lowered_waits_for_the_right_one(redis: PrivateRedis, shared: bool) -> None:
    key = f"lowered{shared}"
    told = ask(
        redis.url if shared else None, *[[Window("r", key, 5)]] * 4, [Window("r", key, 2)], [Window("r", key, 0)]
    )
    assert [bool(one.wait) for (one,) in told] == [False] * 4 + [True] * 2
    assert told[-1][0].remaining == told[-2][0].remaining == 0
    assert told[-1][0].wait == 60_000 if shared else told[-1][0].wait > 0


def test_without_windows_nobody_is_asked() -> None:
    assert ask("redis://127.0.0.1:1/0", []) == [[]]


def test_a_redis_that_refuses_connections_costs_nothing(redis: PrivateRedis) -> None:
    windows = [Window("speech", "nobody", 10)]

    async def scenario() -> int:
        limits = RateLimits(lambda: "redis://127.0.0.1:1/0", patience=SURE)
        told = await asyncio.gather(*(limits.admit(windows) for _ in range(12)))
        assert not limits.shared
        return sum(not one.wait for (one,) in told)

    assert asyncio.run(scenario()) == 10


def test_a_frozen_redis_holds_nobody_up_and_is_found_again(
    redis: PrivateRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACK_OFF", 0.2)
    assert redis.pid is not None

    async def scenario() -> None:
        limits = RateLimits(lambda: redis.url, patience=SURE)
        windows = [Window("speech", "frozen", 10)]
        assert (await limits.admit(windows))[0].remaining == 9
        limits.patience = 0.5
        os.kill(redis.pid or 0, signal.SIGSTOP)
        try:
            told = [await limits.admit(windows)]
            while len(told) < 30:
                await asyncio.sleep(0.02)  # beyond the time without a look: what looks again holds nobody up either
                told.append(at_once(limits.admit(windows)))
            assert not limits.shared
            assert sum(not one.wait for (one,) in told) == 10  # this process' own ten
        finally:
            os.kill(redis.pid or 0, signal.SIGCONT)
        while not limits.shared:
            await limits.admit(windows)
            await asyncio.sleep(0.05)
        await limits.close()

    asyncio.run(scenario())


def test_a_redis_that_is_merely_slow_is_waited_for(redis: PrivateRedis) -> None:
    """As on a busy machine: each process counting for itself would let through as many as there are processes, times the limit."""
    assert redis.pid is not None

    async def scenario() -> None:
        limits = RateLimits(lambda: redis.url, patience=SURE)
        await limits.greet()
        os.kill(redis.pid or 0, signal.SIGSTOP)
        asked = [asyncio.ensure_future(limits.admit([Window("speech", "slow", 10)])) for _ in range(4)]
        await asyncio.wait(asked, timeout=0.3)
        assert not any(one.done() for one in asked)
        os.kill(redis.pid or 0, signal.SIGCONT)
        await asyncio.gather(*asked)
        assert limits.shared
        await limits.close()

    try:
        asyncio.run(scenario())
    finally:
        os.kill(redis.pid, signal.SIGCONT)
    assert ask(redis.url, [Window("speech", "slow", 10)])[0][0].remaining == 5


def test_after_a_greeting_a_request_is_one_round_trip(redis: PrivateRedis) -> None:
    async def scenario() -> set[str]:
        limits = RateLimits(lambda: redis.url, patience=SURE)
        await limits.greet()
        with Redis.from_url(redis.url) as watcher:
            watcher.config_resetstat()
            await limits.admit([Window("speech", "greeted", 10), Window("requests", "greeted-all", 10)])
            asked = set(watcher.info("commandstats"))
        await limits.close()
        return asked

    asked = asyncio.run(scenario())
    assert "cmdstat_evalsha" in asked
    assert not [name for name in asked if any(word in name for word in ("script", "auth", "client", "hello"))]


def test_a_redis_that_came_back_elsewhere_or_empty_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACK_OFF", 0.05)
    windows = [Window("speech", "restart", 10)]

    async def scenario() -> None:
        limits = RateLimits(lambda: server.url, patience=SURE)
        await limits.admit(windows)
        server.stop()
        (tmp_path / "redis.url").unlink()  # another port, another password, no script
        assert (await limits.admit(windows))[0].wait == 0
        assert not limits.shared
        server.start()
        while not limits.shared:
            await asyncio.sleep(0.06)
            await limits.admit(windows)
        await limits.close()

    with PrivateRedis(tmp_path) as server:
        asyncio.run(scenario())


def test_one_service_serves_one_loop_after_the_other(redis: PrivateRedis) -> None:
    limits = RateLimits(lambda: redis.url, patience=SURE)

    async def once() -> int:
        (told,) = await limits.admit([Window("speech", "loops", 10)])
        await limits.close()
        return told.remaining

    assert [asyncio.run(once()) for _ in range(3)] == [9, 8, 7]
    assert limits.shared


def test_what_one_process_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 3)
    here = LocalWindows()
    for number in range(10):
        here.admit([Window("speech", f"key{number}", 10)])
    assert len(here._logs) == 3
