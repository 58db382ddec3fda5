"""One account's calls, however many, leave threads for another's (T5, T11)."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from api.dependencies import AppContext
from pipeline.concurrency.shares import Owner, work_for
from tests.api.conftest import House

POOLS = ("query", "transfer", "publish", "work", "hear", "synthesize", "measure")


@pytest.mark.parametrize("name", POOLS)
def test_another_accounts_call_is_served_while_one_holds_all_it_can(house: House, name: str) -> None:
    context, go = AppContext(house.services), threading.Event()
    run: Callable[[Callable[[], object]], Awaitable[object]] = getattr(context, name)

    async def as_owner(name: str, call: Callable[[], object]) -> object:
        work_for(Owner(name))
        return await run(call)

    async def play() -> None:
        greedy = [asyncio.ensure_future(as_owner("greedy", lambda: go.wait(60))) for _ in range(100)]
        await asyncio.sleep(0)
        neighbour = await asyncio.wait_for(as_owner("neighbour", lambda: not go.is_set()), 60)
        assert neighbour, "served while none of the others had ended"
        assert not any(call.done() for call in greedy)
        go.set()
        assert all(await asyncio.gather(*greedy))

    if name == "measure" and house.services.settings.cpu_processes < 2:
        context._measure = type(context._measure)(2)
    asyncio.run(play())
    context.close()
