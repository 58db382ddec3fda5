"""Threads behind busy routes: what they return, raise and know, how many there are, and who need not wait."""

import asyncio
import contextvars
import threading
from collections.abc import Callable

import pytest

from api.thread_pool import ThreadPool
from pipeline.concurrency.shares import Shares
from tests.support.waiting import wait_until

ASKED: contextvars.ContextVar[str] = contextvars.ContextVar("asked", default="nobody")


@pytest.fixture
def pool() -> ThreadPool:
    return ThreadPool(Shares(3), "pool under test")


def test_what_a_call_returns_and_raises_comes_back(pool: ThreadPool) -> None:
    async def ask() -> tuple[int, str]:
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda: 1 // 0)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await pool.run(lambda: next(iter(())))
        return await pool.run(lambda: 6 * 7), await pool.run(lambda: threading.current_thread().name)

    assert asyncio.run(ask()) == (42, "pool under test-1")
    pool.close()


def test_a_call_knows_for_whom_it_works(pool: ThreadPool) -> None:
    async def ask(who: str) -> str:
        ASKED.set(who)
        return await pool.run(ASKED.get)

    async def all_at_once() -> list[str]:
        return await asyncio.gather(*(ask(str(number)) for number in range(9)))

    assert asyncio.run(all_at_once()) == [str(number) for number in range(9)]
    pool.close()


def test_no_more_threads_than_are_needed_and_no_more_than_there_may_be(pool: ThreadPool) -> None:
    async def busy(count: int) -> set[str]:
        meet = threading.Barrier(count)

        def call() -> str:
            meet.wait(60)
            return threading.current_thread().name

        return set(await asyncio.gather(*(pool.run(call) for _ in range(count))))

    async def many() -> list[str]:
        return await asyncio.gather(*(pool.run(lambda: threading.current_thread().name) for _ in range(50)))

    assert len(asyncio.run(busy(1))) == 1
    assert len(asyncio.run(busy(2))) == 2
    assert len(asyncio.run(busy(3))) == 3
    assert len(set(asyncio.run(many()))) <= 3
    pool.close()


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.01)


def test_who_is_cancelled_leaves_the_call_to_itself(pool: ThreadPool) -> None:
    begun, go, done = threading.Event(), threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        assert go.wait(60)
        done.set()

    async def leave() -> str:
        task = asyncio.ensure_future(pool.run(call))
        await until(begun.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go.set()
        return await pool.run(lambda: "the next one")

    assert asyncio.run(leave()) == "the next one"
    assert done.wait(60)
    pool.close()


def test_a_loop_that_is_gone_harms_nobody(pool: ThreadPool) -> None:
    begun, go = threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        assert go.wait(60)

    async def leave() -> None:
        task = asyncio.ensure_future(pool.run(call))
        await until(begun.is_set)
        task.cancel()

    asyncio.run(leave())
    go.set()
    assert asyncio.run(pool.run(lambda: "alive")) == "alive"
    pool.close()
    wait_until(lambda: not [one for one in threading.enumerate() if one.name.startswith("pool under test")])
