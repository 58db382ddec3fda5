"""The hardest faults once more on PostgreSQL, where several processes really write at the same time."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import make_url

from tests.e2e.scenarios import a_worker_freezes_and_thaws, a_worker_is_killed, everything_in_the_broker_is_lost
from tests.e2e.stack import Stack
from tests.support.database_servers import PostgresServer
from tests.support.recordings import short


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
    jobs = {stack.submit(short(number), "latency=0.3"): short(number) for number in range(800, 812)}
    name = make_url(stack.services.settings.database_url).database  # others may be at work on the same server
    for _ in range(5):
        postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        threading.Event().wait(0.5)
    for job in stack.ended(*jobs, seconds=60):
        stack.assert_exact(job, jobs[job.id])
