"""Whoever waits for a job costs a connection and nothing else."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping

import pytest

from api import job_watcher
from api.job_watcher import JobWatcher
from infra.jobs.create_and_read import JobMark
from pipeline.errors import DatabaseUnavailable


class Rows:
    """What the database would say, and how often it was asked for what."""

    def __init__(self, **versions: int) -> None:
        self.versions = versions
        self.asked: list[list[str]] = []
        self.away = False

    async def marks(self, job_ids: Collection[str]) -> Mapping[str, JobMark]:
        self.asked.append(sorted(job_ids))
        if self.away:
            raise DatabaseUnavailable
        return {one: JobMark(self.versions[one], "queued", None) for one in job_ids if one in self.versions}


def above(version: int) -> job_watcher.IsNews:
    return lambda mark: mark is None or mark.version > version


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_watcher, "LOOK_SECONDS", 0.01)


async def started(*waits: object) -> list[asyncio.Task[bool]]:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.sleep(0)
    return tasks


async def looked(rows: Rows, times: int) -> None:
    while len(rows.asked) < times:
        await asyncio.sleep(0.01)


def test_one_look_for_all_who_wait() -> None:
    async def wait() -> None:
        rows = Rows(a=1, b=1)
        watcher = JobWatcher(rows.marks)
        tasks = await started(*[watcher.until(job, above(1), 60) for job in "ab" for _ in range(500)])
        await looked(rows, 3)
        assert rows.asked[:3] == [["a", "b"]] * 3, "each look asks for each job once, however many wait for it"
        assert not any(task.done() for task in tasks)
        rows.versions["a"] = 2
        assert await asyncio.gather(*tasks[:500]) == [True] * 500
        assert not any(task.done() for task in tasks[500:])
        del rows.versions["b"]
        assert await asyncio.gather(*tasks[500:]) == [True] * 500, "a job that is gone is news"

    asyncio.run(wait())


def test_nobody_is_looked_for_when_nobody_waits() -> None:
    async def wait() -> None:
        rows = Rows(a=1)
        watcher = JobWatcher(rows.marks)
        assert not await watcher.until("a", above(1), 0.05)
        while len(asyncio.all_tasks()) > 1:  # it looks a last time, and ends
            await asyncio.sleep(0.01)
        rows.versions["a"] = 2
        assert await watcher.until("a", above(1), 60), "and it begins again"

    asyncio.run(wait())


def test_whom_one_tick_woke_share_what_they_find() -> None:
    async def wait() -> None:
        rows, looks = Rows(a=1), Counter[int]()
        watcher = JobWatcher(rows.marks)

        async def look() -> int:
            version = rows.versions["a"]
            looks[version] += 1
            await asyncio.sleep(0)
            return version

        async def follow() -> int:
            seen = 1
            while seen < 3:
                await watcher.until("a", above(seen), 60)
                seen = await watcher.shared("a", look)
            return seen

        tasks = await started(*[follow() for _ in range(100)])
        rows.versions["a"] = 2
        while not looks[2]:
            await asyncio.sleep(0.01)
        rows.versions["a"] = 3
        assert await asyncio.gather(*tasks) == [3] * 100
        assert looks == {2: 1, 3: 1}

    asyncio.run(wait())


def test_who_hangs_up_takes_nothing_from_the_others() -> None:
    async def wait() -> None:
        rows, go = Rows(a=1), asyncio.Event()
        watcher = JobWatcher(rows.marks)

        async def look() -> str:
            await go.wait()
            return "found"

        first, second = await started(*[watcher.shared("a", look) for _ in range(2)])
        first.cancel()
        await asyncio.sleep(0)
        go.set()
        assert await second == "found"

    asyncio.run(wait())


def test_a_database_that_is_away_and_a_server_that_stops_wake_everybody() -> None:
    async def wait() -> None:
        rows = Rows(a=1)
        watcher = JobWatcher(rows.marks)
        tasks = await started(*[watcher.until("a", above(1), 60) for _ in range(3)])
        rows.away = True
        assert await asyncio.gather(*tasks) == [True] * 3
        rows.away = False
        tasks = await started(*[watcher.until("a", above(1), 60) for _ in range(3)])
        watcher.wake_all()
        assert await asyncio.gather(*tasks) == [True] * 3
        tasks = await started(watcher.until("a", above(1), 0.05))
        watcher.close()
        assert not await tasks[0]

    asyncio.run(wait())
