"""Processes die, freeze and forget; every job still ends, once, with every word."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from standardwebhooks import Webhook

from infra import broker
from infra.webhooks.signing_secrets import new_secret
from pipeline.lifecycle import TERMINAL, JobStatus
from tests.e2e.scenarios import (
    LATE,
    LONG,
    a_worker_freezes_and_thaws,
    a_worker_is_killed,
    everything_in_the_broker_is_lost,
    worker_of,
)
from tests.e2e.stack import Stack
from tests.support.receiver import receiving
from tests.support.recordings import long, short
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("stack"), cpu_processes=2)
    try:
        made.start("cpu-1", "cpu-2", "io", "scheduler")
        yield made
    finally:
        made.stop()


def test_a_killed_worker_costs_only_what_it_was_doing(stack: Stack) -> None:
    a_worker_is_killed(stack)


def test_a_dead_workers_lease_ends_by_itself(tmp_path: Path) -> None:
    """Nobody helps: whatever else a slow machine takes from whom, every word is there at last."""
    hasty = Stack(tmp_path, lease_seconds=2.0, max_attempts=20)
    try:
        hasty.start("cpu-1", "scheduler")
        job_id = hasty.submit(LONG, f"until=killed at={LATE}")
        wait_until(lambda: worker_of(hasty, job_id, after=1))
        hasty.kill("cpu-1")
        hasty.let("killed")
        hasty.start("cpu-2")
        wait_until(lambda: hasty.job(job_id).status in TERMINAL)
        hasty.assert_exact(hasty.job(job_id), LONG)
    finally:
        hasty.stop()


def test_a_killed_pool_child_is_replaced(stack: Stack) -> None:
    job_id = stack.submit(LONG, f"until=child-killed at={LATE}")
    child = wait_until(lambda: worker_of(stack, job_id, after=1))
    psutil.Process(child).kill()
    stack.let("child-killed")
    (job,) = stack.ended(job_id)
    stack.assert_exact(job, LONG)
    lost = [event for event in stack.services.jobs.events(stack.account, job_id) if event.type == "chunk.worker_lost"]
    assert len(lost) == 1


def test_a_poison_job_fails_alone_after_three_runs(stack: Stack) -> None:
    poison = short(1)
    poisoned = stack.submit(poison, "die=99")
    good = {stack.submit(short(number)): short(number) for number in range(2, 22)}
    for job in stack.ended(*good):
        stack.assert_exact(job, good[job.id])
    (job,) = stack.ended(poisoned)
    assert job.status == JobStatus.FAILED
    assert job.error
    assert job.error["code"] == "worker_lost"
    assert stack.calls()[poison.digest] == 3


def test_flushall_loses_and_doubles_nothing(stack: Stack) -> None:
    everything_in_the_broker_is_lost(stack, queued=100)


def test_a_frozen_worker_is_fenced_when_it_thaws(stack: Stack) -> None:
    a_worker_freezes_and_thaws(stack)


def test_fifty_messages_are_one_execution(stack: Stack) -> None:
    recording = short(400)
    job_id = stack.submit(recording, "latency=0.5", dispatch=False)
    for _ in range(50):
        assert stack.services.queue.send_job(job_id)
    (job,) = stack.ended(job_id)
    stack.assert_exact(job, recording)
    wait_until(lambda: stack.services.queue.lengths()["cpu"] == 0)
    assert stack.calls()[recording.digest] == 1
    assert stack.job(job_id).attempt == 1


def test_a_broker_that_lost_everything_is_used_again(stack: Stack) -> None:
    calls = stack.calls()
    before = {stack.submit(short(number), "latency=0.2"): short(number) for number in range(500, 510)}
    stack.restart_redis_empty()
    after = {stack.submit(short(number)): short(number) for number in range(510, 515)}
    for job in stack.ended(*before, *after):
        stack.assert_exact(job, {**before, **after}[job.id])
    stack.assert_heard_once({**before, **after}, since=calls)


def test_a_broker_that_refuses_what_is_written_costs_no_worker(stack: Stack) -> None:
    """As one does whose disk is full. Here it misses a replica, which is the same to whoever asks."""
    workers = {name: psutil.Process(stack.pid(name)) for name in ("cpu-1", "cpu-2", "io")}
    with redis.Redis.from_url(stack.redis.url) as client:
        client.config_set("min-replicas-to-write", 1)
        try:
            wait_until(lambda: all("NOREPLICAS" in (stack.home / f"{name}.log").read_text() for name in workers))
            jobs = {stack.submit(short(number)): short(number) for number in range(520, 525)}
        finally:
            client.config_set("min-replicas-to-write", 0)
    for job in stack.ended(*jobs):
        stack.assert_exact(job, jobs[job.id])
    assert psutil.STATUS_ZOMBIE not in {worker.status() for worker in workers.values()}, "they have left"


def test_submitting_to_a_frozen_broker_never_hangs(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are taken while it is frozen."""
    assert stack.redis.pid
    stack.services.queue.close()  # what it opens next is as impatient as it is
    monkeypatch.setattr(broker, "PATIENCE", 1.0)
    os.kill(stack.redis.pid, signal.SIGSTOP)
    try:
        jobs = {stack.submit(short(number)): short(number) for number in range(600, 610)}
    finally:
        os.kill(stack.redis.pid, signal.SIGCONT)
    for job in stack.ended(*jobs):
        stack.assert_exact(job, jobs[job.id])


def test_a_stopped_worker_gives_its_work_back(stack: Stack) -> None:
    """It does not wait for what it is hearing, which would take for ever."""
    job_id = stack.submit(LONG, "until=stopped")
    busy = wait_until(lambda: worker_of(stack, job_id, after=0))
    name = stack.name_of(busy)
    assert stack.terminate(name) == 0
    chunks = stack.services.jobs.chunks(job_id)
    assert all(chunk.worker is None or not chunk.worker.endswith(f":{busy}") for chunk in chunks)
    assert sum(chunk.lost for chunk in chunks) == 0, "no attempt was consumed"
    stack.services.jobs.cancel(stack.account, job_id)
    stack.let("stopped")
    stack.start(name)


def test_a_stopped_io_worker_gives_its_calls_back(stack: Stack) -> None:
    """Threads cannot be interrupted: the process leaves with its calls in flight, and others make them again at once."""
    recording = long(6, seed=11)
    job_id = stack.submit(recording, "until=left", model="far")
    wait_until(lambda: worker_of(stack, job_id, after=0))
    assert stack.terminate("io") == 0
    stack.let("left")
    assert sum(chunk.lost for chunk in stack.services.jobs.chunks(job_id)) == 0
    stack.start("io")
    (job,) = stack.ended(job_id)
    stack.assert_exact(job, recording)


def test_a_receiver_that_was_down_is_told_later(stack: Stack) -> None:
    secret = new_secret()
    with receiving() as receiver:
        receiver.answers = [500, 500, 500]
        job_id = stack.submit(short(750), webhook_url=receiver.url, webhook_secret=secret)
        stack.ended(job_id)
        wait_until(lambda: len(receiver.got) == 4)
    events = [Webhook(secret).verify(body, headers) for headers, body in receiver.got]
    assert {event["data"]["id"] for event in events} == {job_id}
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    stamps = [int(headers["webhook-timestamp"]) for headers, _ in receiver.got]
    assert stamps == sorted(stamps)
    assert stamps[-1] > stamps[0], "every attempt has its own time"


def test_cancel_stops_a_job_in_the_middle(stack: Stack) -> None:
    before = sum(stack.calls().values())
    job_id = stack.submit(long(30, seed=9), "until=cancelled")
    wait_until(lambda: worker_of(stack, job_id, after=0))
    wait_until(lambda: stack.job(job_id).cut_done)
    stack.services.jobs.cancel(stack.account, job_id)
    stack.let("cancelled")
    (job,) = stack.ended(job_id)
    assert job.status == JobStatus.CANCELLED
    assert sum(stack.calls().values()) - before < job.chunks_total
    wait_until(lambda: not sound_of(stack, job_id))


def test_sound_is_gone_when_the_job_is_done(stack: Stack) -> None:
    job_id = stack.submit(LONG)
    (job,) = stack.ended(job_id)
    stack.assert_exact(job, LONG)
    wait_until(lambda: not sound_of(stack, job_id))


def test_a_provider_that_recovers_is_asked_again(stack: Stack) -> None:
    recording = short(700)
    (job,) = stack.ended(stack.submit(recording, "fail=2"))
    stack.assert_exact(job, recording)
    assert stack.calls()[recording.digest] == 3


def test_a_provider_that_never_recovers_fails_the_job(stack: Stack) -> None:
    recording = short(701)
    (job,) = stack.ended(stack.submit(recording, "fail=99 error=busy"))
    assert job.status == JobStatus.FAILED
    assert job.error
    assert job.error["code"] == "provider_busy"
    assert (job.error["stage"], job.error["chunk"]) == ("transcribing", 0)
    assert stack.calls()[recording.digest] == 3


def test_a_refusal_is_not_repeated(stack: Stack) -> None:
    recording = short(702)
    (job,) = stack.ended(stack.submit(recording, "fail=99 error=refused"))
    assert job.error
    assert job.error["code"] == "provider_refused"
    assert stack.calls()[recording.digest] == 1


def test_nobody_logged_a_surprise(stack: Stack) -> None:
    """The last one in this file: no traceback in any log but the libraries' own, of the broker's faults."""
    for path in Path(stack.home).glob("*.log"):
        if path == stack.log:
            continue
        for line in path.read_text().splitlines():
            entry = json.loads(line) if line.startswith("{") else {"message": line}
            assert entry.get("logger", "").startswith(("celery", "kombu")) or "Traceback" not in line, line


def sound_of(stack: Stack, job_id: str) -> list[str]:
    return [found.key for found in stack.services.storage.list(f"t/{stack.account}/jobs/{job_id}/sound")]
