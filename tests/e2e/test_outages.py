"""What a job needs is away for a while: it waits, says for what, and ends with every word, heard once."""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from sqlalchemy import update
from sqlmodel import col

from infra.database.tables.jobs import Job
from infra.money.job_money import Terms
from pipeline.lifecycle import JobStatus
from tests.e2e.stack import Stack
from tests.support.recordings import long, short
from tests.support.s3_server import moto_server
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.waiting import pause, wait_until

TRIES = 3
LONG = long(12, seed=6)


@pytest.fixture(scope="module")
def storage() -> Iterator[tuple[TcpProxy, dict[str, str]]]:
    """An S3 server behind a proxy, and the variables that lead to it."""
    with moto_server() as server, tcp_proxy(urlsplit(server.endpoint).port or 0) as proxy:
        yield proxy, replace(server, endpoint=proxy.url).environ


@pytest.fixture(scope="module")
def stack(storage: tuple[TcpProxy, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    proxy, environ = storage
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        made = Stack(
            tmp_path_factory.mktemp("stack"),
            environ=environ,
            grace=120,
            storage_url="s3://outages",
            cpu_processes=2,
            io_threads=4,
        )
        made.services.storage.check()
        try:
            made.start("cpu", "io", "scheduler")
            yield made
        finally:
            proxy.mend()
            made.stop()


def stages(stack: Stack, job_id: str) -> list[str]:
    """Its events."""
    return [event.type for event in stack.services.jobs.events(stack.account, job_id)]


def waiting(stack: Stack, jobs: list[str], stage: str) -> bool:
    return all(stack.job(job_id).stage == stage for job_id in jobs)


def assert_not_counted(stack: Stack, job_id: str) -> None:
    job, chunks = stack.job(job_id), stack.services.jobs.chunks(job_id)
    assert (job.failures, job.lost) == (0, 0), stack.report([job_id])
    assert {(chunk.failures, chunk.lost) for chunk in chunks} == {(0, 0)}, stack.report([job_id])


def test_storage_that_is_away_costs_time_and_no_word(stack: Stack, storage: tuple[TcpProxy, dict[str, str]]) -> None:
    """Some have been heard and cannot be stored, some wait for their sound; all are exact, none is heard twice."""
    before = stack.calls()
    heard = {stack.submit(short(number), "until=cut"): short(number) for number in range(2)}
    wait_until(lambda: stack.running(list(heard)) == 2 and sum((stack.calls() - before).values()) == 2)
    queued = {stack.submit(short(number)): short(number) for number in range(2, 8)}
    storage[0].cut()
    stack.let("cut")
    wait_until(lambda: waiting(stack, list(heard), "waiting_for_storage"))
    stack.start("cpu-2")  # those that hold their answers keep the others from their work
    wait_until(lambda: waiting(stack, list(queued), "waiting_for_storage"))
    storage[0].mend()
    jobs = heard | queued
    for job in stack.ended(*jobs):
        stack.assert_exact(job, jobs[job.id])
        assert_not_counted(stack, job.id)
        assert "waiting_for_storage" in stages(stack, job.id)
    stack.assert_heard_once(jobs, since=before)


def test_a_provider_that_is_away_is_waited_for(stack: Stack) -> None:
    before = stack.calls()
    jobs = {stack.submit(short(number), "fail=1", model="far"): short(number) for number in range(20, 26)}
    for job in stack.ended(*jobs):
        stack.assert_exact(job, jobs[job.id])
        assert_not_counted(stack, job.id)
    calls = stack.calls() - before
    assert [calls[recording.digest] for recording in jobs.values()] == [2] * len(jobs)
    assert any("waiting_for_provider" in stages(stack, job_id) for job_id in jobs)


def test_a_provider_that_never_comes_back_is_waited_for_until_the_deadline(stack: Stack) -> None:
    terms = Terms(prices=stack.services.catalog.model("paid").prices, audio_ms=12_000)
    one = stack.submit(short(30), "fail=999", model="far", timeout_seconds=600, terms=terms)
    many = stack.submit(LONG, "fail=999 error=busy", model="far", timeout_seconds=600, terms=terms)
    cancelled = stack.submit(short(31), "fail=999", model="far", timeout_seconds=600, terms=terms)
    everything = [one, many, cancelled]
    wait_until(lambda: waiting(stack, everything, "waiting_for_provider"))
    assert all(stack.job(job_id).held_micro > 0 for job_id in everything)
    with stack.services.database.write() as session:
        session.execute(update(Job).where(col(Job.id).in_((one, many))).values(deadline_at=1.0))
    stack.services.jobs.cancel(stack.account, cancelled)
    assert stack.job(cancelled).status == JobStatus.CANCELLED
    for job in stack.ended(one, many):
        assert job.status == JobStatus.EXPIRED, stack.report([job.id])
        assert job.error
        assert (job.error["code"], job.error["stage"]) == ("provider_unavailable", "waiting_for_provider")
        assert_not_counted(stack, job.id)
    assert [(stack.job(job_id).held_micro, stack.job(job_id).captured_micro) for job_id in everything] == [(0, 0)] * 3
    assert stack.services.ledger.check() == []


def test_who_does_not_want_to_wait_fails(stack: Stack) -> None:
    recording = short(40)
    job_id = stack.submit(recording, "fail=999", model="far", request={"on_provider_outage": "fail"})
    (job,) = stack.ended(job_id)
    assert (job.status, (job.error or {})["code"]) == (JobStatus.FAILED, "provider_unavailable")
    assert stack.calls()[recording.digest] == TRIES


@pytest.mark.parametrize("model", ["far", "oracle"])
def test_what_is_under_way_is_finished_by_who_is_told_to_stop(stack: Stack, model: str) -> None:
    before = stack.calls()
    recording = short(60 + len(model))
    job_id = stack.submit(recording, f"until=told-{model}", model=model)
    wait_until(lambda: sum((stack.calls() - before).values()) == 1)
    (worker,) = {chunk.worker for chunk in stack.services.jobs.chunks(job_id)} or {stack.job(job_id).worker}
    assert worker
    name = stack.name_of(int(worker.rpartition(":")[2]))
    code = stack.terminate(name, let=f"told-{model}")
    stack.start(name)
    (job,) = stack.ended(job_id)
    stack.assert_exact(job, recording)
    assert (code, stack.calls()[recording.digest]) == (0, 1), "nobody else was asked for it"


def test_other_work_goes_on_meanwhile(stack: Stack) -> None:
    waits = stack.submit(short(50), "fail=999", model="far", timeout_seconds=600)
    wait_until(lambda: waiting(stack, [waits], "waiting_for_provider"))
    (job,) = stack.ended(stack.submit(short(51)))
    stack.assert_exact(job, short(51))
    pause(1)
    assert stack.job(waits).stage == "waiting_for_provider", "another model's success says nothing of this one"
    stack.services.jobs.cancel(stack.account, waits)
