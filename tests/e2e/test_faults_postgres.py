"""The hardest faults once more on PostgreSQL, where several processes really write at the same time."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial

import pytest
from sqlalchemy import make_url, update
from sqlalchemy.exc import OperationalError
from sqlmodel import col

from infra.database.session import Database
from infra.database.tables.jobs import Chunk, Job
from tests.e2e.scenarios import (
    a_worker_freezes_and_thaws,
    a_worker_is_killed,
    everything_in_the_broker_is_lost,
    worker_of,
)
from tests.e2e.stack import Stack
from tests.support.database_servers import PostgresServer
from tests.support.recordings import long, short
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def stack(
    postgres: PostgresServer, postgres_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    with postgres.fresh(postgres_template) as url:
        made = Stack(tmp_path_factory.mktemp("stack"), database_url=url, cpu_processes=2)
        try:
            made.start("cpu-1", "cpu-2", "scheduler")
            yield made
        finally:
            made.stop()


def test_a_killed_worker_costs_only_what_it_was_doing(stack: Stack) -> None:
    a_worker_is_killed(stack)


def test_flushall_loses_and_doubles_nothing(stack: Stack) -> None:
    everything_in_the_broker_is_lost(stack, queued=20)


def test_a_frozen_worker_is_fenced_when_it_thaws(stack: Stack) -> None:
    a_worker_freezes_and_thaws(stack)


def test_a_database_that_drops_every_connection_costs_nothing(stack: Stack, postgres: PostgresServer) -> None:
    before = stack.calls()
    jobs = {stack.submit(short(number), "latency=0.3"): short(number) for number in range(800, 812)}
    name = make_url(stack.services.settings.database_url).database  # others may be at work on the same server
    for heard in range(0, 10, 2):
        wait_until(partial(has_heard, stack, sum(before.values()) + heard))
        postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    for job in stack.ended(*jobs):
        stack.assert_exact(job, jobs[job.id])


def test_three_outages_of_the_database_are_no_deaths(stack: Stack, postgres: PostgresServer) -> None:
    """Each longer than a lease. Nobody died, so nothing counts, and what was heard is not heard again."""
    before = stack.calls()
    recording = long(20, seed=12)
    job_id = stack.submit(recording, "latency=1")
    wait_until(lambda: worker_of(stack, job_id, after=1))
    for _ in range(3):
        seen = failures(stack)
        with away(postgres, stack.services.settings.database_url) as url:
            wait_until(partial(has_failed, stack, seen + 1))
            run_out(url)
    (job,) = stack.ended(job_id)
    stack.assert_exact(job, recording)
    chunks = stack.services.jobs.chunks(job_id)
    assert (job.failures, job.lost, sum(chunk.failures + chunk.lost for chunk in chunks)) == (0, 0, 0)
    assert sum((stack.calls() - before).values()) == job.chunks_total


@contextmanager
def away(postgres: PostgresServer, url: str) -> Iterator[str]:
    """That database is not to be found, but under the URL that this yields."""
    name = make_url(url).database
    hidden = f"{name}_away"
    postgres.run(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
    wait_until(lambda: renamed(postgres, f"{name}", hidden))
    postgres.run(f"ALTER DATABASE {hidden} WITH ALLOW_CONNECTIONS true")
    yield make_url(url).set(database=hidden).render_as_string(hide_password=False)
    wait_until(lambda: renamed(postgres, hidden, f"{name}"))


def renamed(postgres: PostgresServer, old: str, new: str) -> bool:
    """Whether it could be: nobody may be connected."""
    with suppress(OperationalError):
        postgres.run(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{old}'",
            f"ALTER DATABASE {old} RENAME TO {new}",
        )
        return True
    return False


def run_out(url: str) -> None:
    """Every lease in it."""
    with closing(Database(url)) as database, database.write() as session:
        for table in (Job, Chunk):
            session.execute(update(table).where(col(table.lease_until).is_not(None)).values(lease_until=1.0))


def has_heard(stack: Stack, calls: int) -> bool:
    return sum(stack.calls().values()) >= calls


def has_failed(stack: Stack, times: int) -> bool:
    return failures(stack) >= times


def failures(stack: Stack) -> int:
    """How often the scheduler has said that the database does not answer."""
    return (stack.home / "scheduler.log").read_text().count("fails: The database")
