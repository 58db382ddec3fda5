"""Threads behind busy routes: what they return, raise and know, how many there are, and who need not wait."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable

import pytest

from api.thread_pool import Crew

ASKED: contextvars.ContextVar[str] = contextvars.ContextVar("asked", default="nobody")


@pytest.fixture
def crew() -> Crew:
    return Crew(3, "crew under test")


def test_what_a_call_returns_and_raises_comes_back(crew: Crew) -> None:
    async def ask() -> tuple[int, str]:
        with pytest.raises(ZeroDivisionError):
            await crew.do(lambda: 1 // 0)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await crew.do(lambda: next(iter(())))
        return await crew.do(lambda: 6 * 7), await crew.do(lambda: threading.current_thread().name)

    assert asyncio.run(ask()) == (42, "crew under test-1")
    crew.close()


def test_a_call_knows_for_whom_it_works(crew: Crew) -> None:
    async def ask(who: str) -> str:
        ASKED.set(who)
        return await crew.do(ASKED.get)

    async def all_at_once() -> list[str]:
        return await asyncio.gather(*(ask(str(number)) for number in range(9)))

    assert asyncio.run(all_at_once()) == [str(number) for number in range(9)]
    crew.close()


def test_no_more_threads_than_are_needed_and_no_more_than_there_may_be(crew: Crew) -> None:
    async def busy(count: int) -> set[str]:
        meet = threading.Barrier(count)

        def call() -> str:
            meet.wait(10)
            return threading.current_thread().name

        return set(await asyncio.gather(*(crew.do(call) for _ in range(count))))

    async def many() -> list[str]:
        return await asyncio.gather(*(crew.do(lambda: threading.current_thread().name) for _ in range(50)))

    assert len(asyncio.run(busy(1))) == 1
    assert len(asyncio.run(busy(2))) == 2
    assert len(asyncio.run(busy(3))) == 3
    assert len(set(asyncio.run(many()))) <= 3
    crew.close()


def until(true: Callable[[], bool]) -> None:
    for _ in range(1000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come true")


def test_who_is_cancelled_leaves_the_call_to_itself(crew: Crew) -> None:
    go, done = threading.Event(), threading.Event()

    def call() -> None:
        go.wait(10)
        done.set()

    async def leave() -> str:
        task = asyncio.ensure_future(crew.do(call))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go.set()
        return await crew.do(lambda: "the next one")

    assert asyncio.run(leave()) == "the next one"
    assert done.wait(10)
    crew.close()


def test_a_loop_that_is_gone_harms_nobody(crew: Crew) -> None:
    go = threading.Event()

    async def leave() -> None:
        task = asyncio.ensure_future(crew.do(lambda: go.wait(10)))
        await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(leave())
    go.set()
    assert asyncio.run(crew.do(lambda: "alive")) == "alive"
    crew.close()
    until(lambda: not [one for one in threading.enumerate() if one.name.startswith("crew under test")])
