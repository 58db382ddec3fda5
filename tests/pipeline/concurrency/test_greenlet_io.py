"""Errands: plain calls on the event loop's own thread that wait without holding it up, and the same calls in a thread."""

import asyncio
import contextvars
import gc
import select
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import pytest
import uvloop

from pipeline.concurrency.fair_semaphore import FairSemaphore
from pipeline.concurrency.greenlet_io import Signal, run_in_greenlet, run_in_thread, sleep, wait_until_ready
from tests.support.cycles import goes_by_itself

Result = TypeVar("Result")
ASKED: contextvars.ContextVar[str] = contextvars.ContextVar("asked", default="nobody")


async def attend(call: Callable[[], Result]) -> Result:
    return await run_in_greenlet(call, asyncio.to_thread)


def task(call: Callable[[], Any]) -> Any:
    return uvloop.run(attend(call))


RUN = pytest.mark.parametrize("run", [lambda call: call(), task], ids=["thread", "errand"])


@RUN
def test_what_a_call_returns_and_raises_comes_back(run: Callable[..., Any]) -> None:
    assert run(lambda: 6 * 7) == 42
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 // 0)


def test_a_call_that_raises_what_no_future_takes() -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        task(lambda: next(iter(())))


@RUN
def test_what_is_done_elsewhere_comes_back_too(run: Callable[..., Any]) -> None:
    assert run(lambda: run_in_thread(lambda: 6 * 7)) == 42

    def tried() -> str:
        with pytest.raises(ZeroDivisionError):
            run_in_thread(lambda: 1 // 0)
        return "and on"

    assert run(tried) == "and on"


def test_a_greenlet_is_on_the_loops_thread_and_elsewhere_is_not() -> None:
    def where() -> tuple[int, int]:
        return threading.get_ident(), run_in_thread(threading.get_ident)

    here, there = task(where)
    assert here == threading.get_ident() != there
    assert run_in_thread(threading.get_ident) == here


def test_a_short_call_does_not_queue_up_behind_long_ones() -> None:
    """Who has a turn opens a connection, while every thread waits for that turn."""
    turns, pool = FairSemaphore(1), ThreadPoolExecutor(1)

    def threads(call: Callable[[], Result]) -> asyncio.Future[Result]:
        return asyncio.get_running_loop().run_in_executor(pool, call)

    def acquire() -> int:
        with turns:
            return 1

    def work() -> int:
        with turns:
            return run_in_thread(lambda: 6, short=True)

    async def scene() -> tuple[int, int]:
        with turns:
            has = run_in_greenlet(work, threads)
            waits = run_in_greenlet(lambda: run_in_thread(acquire), threads)
        return await asyncio.wait_for(has, 60), await asyncio.wait_for(waits, 60)

    with pool:
        assert uvloop.run(scene()) == (6, 1)


def test_many_wait_at_once_and_each_knows_for_whom() -> None:
    """All of them wait for one that comes last: with a thread blocked by any of them it would not come."""

    async def together() -> list[str]:
        signals: list[Signal] = []

        def wait() -> str:
            signals.append(Signal())
            assert signals[-1].wait(60)
            return ASKED.get() + run_in_thread(ASKED.get)

        async def one(who: str) -> str:
            ASKED.set(who)
            return await attend(wait)

        async def last() -> None:
            while len(signals) < 50:
                await asyncio.sleep(0.001)
            for signal in reversed(signals):
                threading.Thread(target=signal.give).start()

        ringing = asyncio.ensure_future(last())
        answers = await asyncio.gather(*(one(str(number)) for number in range(50)))
        await ringing
        return answers

    assert uvloop.run(together()) == [f"{number}{number}" for number in range(50)]
    assert ASKED.get() == "nobody"


@RUN
def test_a_connection_is_waited_for(run: Callable[..., Any]) -> None:
    left, right = socket.socketpair()
    with left, right:
        with pytest.raises(TimeoutError):
            run(partial(wait_until_ready, left, select.POLLIN, 0.01))
        with ThreadPoolExecutor(1) as thread:
            sent = thread.submit(right.sendall, b"here")  # before or while it is waited for
            run(partial(wait_until_ready, left, select.POLLIN, 60))
            sent.result()
        assert left.recv(9) == b"here"
        run(partial(wait_until_ready, left, select.POLLOUT, 60))


@RUN
def test_a_signal_that_does_not_come(run: Callable[..., Any]) -> None:
    signal = Signal()
    assert not run(lambda: signal.wait(0.01))
    assert run(lambda: sleep(0.001)) is None


def test_who_is_cancelled_cleans_up_where_it_waits() -> None:
    seen: list[str] = []

    begun: list[bool] = []

    def work() -> None:
        begun.append(True)
        try:
            sleep(600)
        except asyncio.CancelledError:
            seen.append(run_in_thread(lambda: "cleaned up"))
            raise

    async def cancelled() -> None:
        task = asyncio.ensure_future(attend(work))
        while not begun:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    uvloop.run(cancelled())
    assert seen == ["cleaned up"]


def test_a_greenlet_that_is_done_waits_for_no_collector() -> None:
    class Kept:
        pass

    async def run() -> Kept:
        def work() -> Kept:
            kept = Kept()
            sleep(0.001)
            return kept

        return await attend(work)

    assert goes_by_itself(lambda: asyncio.run(run()))


def test_turns_are_taken_in_order_by_greenlets_and_threads() -> None:
    turns, order = FairSemaphore(1), list[int]()

    def acquire(number: int) -> None:
        with turns:
            order.append(number)
            sleep(0.002)

    async def all_of_them() -> None:
        waiting = []
        for number in range(8):
            taking = partial(acquire, number)
            way = asyncio.to_thread(taking) if number % 2 else attend(taking)
            waiting.append(asyncio.ensure_future(way))
            while len(turns._waiting) <= number:
                await asyncio.sleep(0.001)
        await asyncio.gather(*waiting)

    with turns:
        thread = threading.Thread(target=lambda: uvloop.run(all_of_them()))
        thread.start()
        while len(turns._waiting) < 8:
            sleep(0.001)
    thread.join(60)
    assert order == list(range(8))
    assert turns.acquire(0.01)
    assert not turns.acquire(0.01)


def test_a_turn_that_nobody_waits_for_any_more_goes_to_the_next() -> None:
    turns, had = FairSemaphore(1), list[int]()

    def acquire(number: int) -> None:
        with turns:
            had.append(number)
            sleep(0.001)

    async def scene() -> None:
        assert turns.acquire()
        waiting = [asyncio.ensure_future(attend(partial(acquire, number))) for number in range(4)]
        while len(turns._waiting) < len(waiting):
            await asyncio.sleep(0.001)
        waiting[1].cancel()
        turns.release()
        waiting[0].cancel()  # in the moment in which it has got its turn
        for gone in waiting[:2]:
            with pytest.raises(asyncio.CancelledError):
                await gone
        await asyncio.wait_for(asyncio.gather(*waiting[2:]), 60)

    uvloop.run(scene())
    assert had[-2:] == [2, 3] and 1 not in had
    assert turns.acquire(0.01)
    assert not turns.acquire(0.01)


def test_a_turn_is_not_given_to_a_greenlet_whose_loop_is_gone() -> None:
    turns = FairSemaphore(1)

    async def leave() -> asyncio.Future[bool]:
        return run_in_greenlet(turns.acquire, asyncio.to_thread)

    with turns:
        left = uvloop.run(leave())
    assert not left.done()
    assert turns.acquire(20)
    del left
    gc.collect()  # which ends the errand where it waits
    assert not turns.acquire(0.01)
