"""Turns and memory of what writes transcripts: who waits for whom, what is kept."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from api.rendering import Document, Renderings

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def writing(said: list[str], name: str, size: int = 1) -> Callable[[], Document]:
    def write() -> Document:
        said.append(name)
        return Document(b"x" * size, {})

    return write


async def test_one_account_takes_one_thread_and_another_is_served_beside_it() -> None:
    renderings, said, go_on = Renderings(), list[str](), threading.Event()

    def stuck() -> Document:
        said.append("stuck")
        assert go_on.wait(60)
        return Document(b"", {})

    held = [asyncio.create_task(renderings.document("greedy", number, stuck)) for number in range(20)]
    await renderings.document("neighbour", "mine", writing(said, "mine"))
    assert said.count("mine") == 1
    assert said.count("stuck") <= 1
    go_on.set()
    await asyncio.gather(*held)
    assert said.count("stuck") == 20


async def test_whoever_hangs_up_takes_nothing_from_the_others() -> None:
    renderings, said = Renderings(), list[str]()
    first, second = (asyncio.create_task(renderings.document("one", "key", writing(said, "key"))) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).body == b"x"
    assert said == ["key"]


async def test_what_is_kept_stays_within_its_bytes_and_the_least_recent_goes_first() -> None:
    renderings, said = Renderings(kept_bytes=100), list[str]()
    for name in ("a", "b", "c", "d", "a", "e", "a", "b"):
        await renderings.document("one", name, writing(said, name, 25))
    assert said == ["a", "b", "c", "d", "e", "b"]
    for _ in range(2):  # larger than its part: written each time
        await renderings.document("one", "large", writing(said, "large", 26))
    assert said[-2:] == ["large", "large"]


async def test_a_failure_is_told_to_all_who_wait_and_not_kept() -> None:
    renderings, said = Renderings(), list[str]()

    def failing() -> Document:
        said.append("tried")
        raise ValueError("no")

    asked = [asyncio.create_task(renderings.document("one", "key", failing)) for _ in range(3)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(one, ValueError) for one in found)
    with pytest.raises(ValueError, match="no"):
        await renderings.document("one", "key", failing)
    assert said == ["tried", "tried"]
