"""Places that owners share: bounds, turns, and nobody forgotten, whatever comes in whatever order."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.concurrency.greenlet_io import run_in_greenlet
from pipeline.concurrency.shares import Owner, Shares, current_owner, work_for
from pipeline.errors import AccountBusy

Step = tuple[str, Owner, float] | tuple[str, int]
A, B = Owner("a"), Owner("b")
owners = st.integers(0, 3).map(lambda n: Owner("abcd"[n], (1, 1, 2, 4)[n]))
costs = st.sampled_from((0.5, 1.0, 3.0, 30.0))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), owners, costs),
        st.tuples(st.just("end"), st.integers(0, 50)),
        st.tuples(st.just("leave"), st.integers(0, 50)),
    ),
    max_size=80,
)


class Crowd:
    """Tasks that each want one place, and keep it until they are told to end."""

    def __init__(self, shares: Shares) -> None:
        self.shares = shares
        self.waiting: list[tuple[Owner, asyncio.Task[None]]] = []
        self.holding: list[Owner] = []
        self.served: list[Owner] = []
        self.in_line: dict[Owner, deque[object]] = {}

    async def arrive(self, owner: Owner, cost: float = 1.0) -> None:
        self.waiting.append((owner, asyncio.ensure_future(self._enter(owner, cost))))
        await settled()

    async def _enter(self, owner: Owner, cost: float) -> None:
        me = object()
        self.in_line.setdefault(owner, deque()).append(me)
        try:
            await self.shares.acquire_async(owner, cost)
        except asyncio.CancelledError:
            self.in_line[owner].remove(me)
            raise
        assert self.in_line[owner].popleft() is me, "of one owner who came first is first"
        self.waiting = [(one, task) for one, task in self.waiting if task is not asyncio.current_task()]
        self.holding.append(owner)
        self.served.append(owner)

    async def end(self, n: int) -> None:
        if self.holding:
            self.shares.release(self.holding.pop(n % len(self.holding)))
            await settled()

    async def leave(self, n: int) -> None:
        if self.waiting:
            _, task = self.waiting.pop(n % len(self.waiting))
            task.cancel()
            await settled()

    def check(self, room_for_others: bool) -> None:
        held, free = Counter(self.holding), self.shares.total - len(self.holding)
        assert free >= 0
        assert self.shares.waiting() == len(self.waiting)
        for owner, _ in self.waiting:
            assert free == 0 or (room_for_others and held[owner] >= free), "nobody waits for a place that is theirs"
        if room_for_others:
            assert max(held.values(), default=0) <= (self.shares.total + 1) // 2


async def settled() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


@given(total=st.integers(1, 6), room_for_others=st.booleans(), steps=steps)
@settings(max_examples=150, deadline=None)
def test_bounds_hold_and_everybody_is_served(total: int, room_for_others: bool, steps: list[Step]) -> None:
    async def play() -> None:
        crowd = Crowd(Shares(total, room_for_others=room_for_others))
        for name, *what in steps:
            await getattr(crowd, name)(*what)
            crowd.check(room_for_others)
        while crowd.holding:
            await crowd.end(0)
        assert not crowd.waiting
        for _ in range(total):
            await crowd.arrive(Owner(f"new {len(crowd.holding)}"))
        assert len(crowd.holding) == total, "every place came back"

    asyncio.run(play())


@given(pieces=st.lists(st.lists(costs, min_size=12, max_size=12), min_size=2, max_size=4))
@settings(max_examples=100, deadline=None)
def test_those_who_wait_all_the_time_are_given_the_same(pieces: list[list[float]]) -> None:
    """To within one piece each, by their weights, while all of them wait."""

    async def play() -> None:
        crowd, names = Crowd(Shares(1)), [Owner(str(n), n + 1) for n in range(len(pieces))]
        await crowd.arrive(Owner("first"))
        for number in range(12):
            for owner, sizes in zip(names, pieces, strict=True):
                await crowd.arrive(owner, sizes[number])
        given = dict.fromkeys(names, 0.0)
        taken = Counter[Owner]()
        while all(taken[owner] < 12 for owner in names):
            await crowd.end(0)
            owner = crowd.served[-1]
            given[owner] += pieces[names.index(owner)][taken[owner]] / owner.weight
            taken[owner] += 1
            for one, its in zip(names, pieces, strict=True):
                for other, others in zip(names, pieces, strict=True):
                    assert abs(given[one] - given[other]) <= max(its) / one.weight + max(others) / other.weight
        for _, task in crowd.waiting:
            task.cancel()
        await settled()

    asyncio.run(play())


def test_who_comes_anew_is_next() -> None:
    async def play() -> list[str]:
        crowd = Crowd(Shares(1))
        for _ in range(40):
            await crowd.arrive(A, 600.0)
        await crowd.end(0)
        await crowd.end(0)
        await crowd.arrive(B, 1.0)
        while crowd.holding:
            await crowd.end(0)
        return [owner.id for owner in crowd.served]

    assert asyncio.run(play()).index("b") == 3


def test_alone_one_gets_half_and_leaves_the_rest() -> None:
    async def play() -> tuple[int, Counter[str]]:
        crowd = Crowd(Shares(8, room_for_others=True))
        for _ in range(20):
            await crowd.arrive(A)
        alone = len(crowd.holding)
        for _ in range(20):
            await crowd.arrive(B)
        together = Counter(owner.id for owner in crowd.holding)
        while crowd.holding:
            await crowd.end(0)
        return alone, together

    alone, together = asyncio.run(play())
    assert alone == 4
    assert together == {"a": 4, "b": 2}


def test_a_line_has_an_end() -> None:
    async def play() -> None:
        crowd = Crowd(Shares(1, line=2))
        for _ in range(3):
            await crowd.arrive(A)
        with pytest.raises(AccountBusy) as refused:
            await crowd.shares.acquire_async(A)
        assert refused.value.details["retry_after"] > 0
        await crowd.arrive(B)
        while crowd.holding:
            await crowd.end(0)
        assert [owner.id for owner in crowd.served] == ["a", "b", "a", "a"]

    asyncio.run(play())


def test_threads_and_greenlets_share_and_give_up_in_time() -> None:
    shares = Shares(1)
    assert shares.acquire(A)
    assert not shares.acquire(B, seconds=0.01)

    async def wait() -> bool:
        waits = run_in_greenlet(lambda: shares.acquire(B), asyncio.to_thread)
        await settled()
        gives_up = run_in_greenlet(lambda: shares.acquire(B), asyncio.to_thread)
        await settled()
        gives_up.cancel()
        await settled()
        shares.release(A)
        return await waits

    assert asyncio.run(wait())
    shares.release(B)
    assert shares.waiting() == 0
    assert shares.acquire(A, seconds=0)


def test_threads_keep_the_bound() -> None:
    shares, lock, inside, most = Shares(3), threading.Lock(), [0], [0]

    def work(n: int) -> None:
        owner = Owner(str(n % 5))
        assert shares.acquire(owner)
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        with lock:
            inside[0] -= 1
        shares.release(owner)

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(work, range(500)))
    assert most[0] <= 3
    assert shares.waiting() == 0


def test_a_loop_that_is_gone_loses_no_place() -> None:
    shares = Shares(1)
    assert shares.acquire(A)
    loop = asyncio.new_event_loop()
    waits = loop.create_task(shares.acquire_async(B))
    loop.run_until_complete(asyncio.sleep(0))
    waits.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    left = loop.create_task(shares.acquire_async(B))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    shares.release(A)
    assert shares.acquire(A, seconds=0)
    assert not left.done()


def test_owners_that_are_gone_are_forgotten() -> None:
    shares = Shares(2)
    assert shares.acquire(A)
    for n in range(1000):
        assert shares.acquire(Owner(str(n)))
        shares.release(Owner(str(n)))
    assert len(shares._owners) <= 130
    shares.release(A)
    assert not shares._owners


def test_a_context_knows_for_whom_it_works() -> None:
    async def tell(owner: Owner) -> Owner:
        work_for(owner)
        return await asyncio.to_thread(current_owner)

    async def both() -> list[Owner]:
        return await asyncio.gather(tell(A), tell(B))

    assert asyncio.run(both()) == [A, B]
    assert current_owner() == Owner()


def test_who_has_no_weight_has_what_nobody_else_waits_for() -> None:
    """An archive's pieces at an engine, beside requests: no further one of them begins while anybody waits."""

    async def play() -> list[Owner]:
        crowd, archive = Crowd(Shares(1)), Owner("archive", 0)
        for _ in range(3):
            await crowd.arrive(archive, 0.1)
        for _ in range(2):
            await crowd.arrive(A, 30.0)
            await crowd.arrive(B, 30.0)
        while crowd.holding:
            await crowd.end(0)
        return crowd.served

    assert [owner.id for owner in asyncio.run(play())] == ["archive", "a", "b", "a", "b", "archive", "archive"]
