"""What is done to a stack, and what must still hold; on whichever database it runs."""

import signal

import redis

from pipeline.lifecycle import TERMINAL, ChunkStatus, JobStatus
from tests.e2e.stack import Stack, pid_of
from tests.support.recordings import long, short
from tests.support.waiting import wait_until

LONG = long(12, seed=5)
LATE = next(word for word in reversed(LONG.words) if LONG.words.count(word) == 1)  # in one of its last chunks only


def a_worker_is_killed(stack: Stack) -> None:
    """SIGKILL in mid-job: another worker goes on, and nothing finished is heard again."""
    before = stack.calls()
    job_id = stack.submit(LONG, f"until=killed at={LATE}")
    name = stack.name_of(wait_until(lambda: worker_of(stack, job_id, after=2)))
    finished = [chunk.idx for chunk in stack.services.jobs.chunks(job_id) if chunk.status == ChunkStatus.COMPLETED]
    stack.kill(name)
    stack.let("killed")
    (job,) = stack.ended(job_id)
    stack.assert_exact(job, LONG)
    assert len(finished) >= 2
    in_hand = int(name.startswith("cpu")) * stack.services.settings.cpu_processes
    assert sum((stack.calls() - before).values()) <= job.chunks_total + in_hand
    results = {chunk.idx: chunk.attempt for chunk in stack.services.jobs.chunks(job_id)}
    assert {results[idx] for idx in finished} == {1}, "finished chunks are not heard again"
    stack.start(name)


def everything_in_the_broker_is_lost(stack: Stack, *, queued: int) -> None:
    """FLUSHALL with four jobs running and many queued: all are done, none twice."""
    before = stack.calls()
    jobs = {stack.submit(short(number), "until=flushed"): short(number) for number in range(100, 104)}
    try:
        wait_until(lambda: stack.running(list(jobs)) == 4)
        jobs |= {stack.submit(short(number), "latency=0.05"): short(number) for number in range(104, 104 + queued)}
        wait_until(lambda: stack.services.jobs.counts()["waiting"].get("cpu") == queued)
        with redis.Redis.from_url(stack.redis.url) as client:
            client.flushall()
    finally:
        stack.let("flushed")
    for job in stack.ended(*jobs):
        stack.assert_exact(job, jobs[job.id])
    stack.assert_heard_once(jobs, since=before)


def a_worker_freezes_and_thaws(stack: Stack) -> None:
    """Another one takes over after the lease; what the thawed one still wants to write is refused."""
    job_id = stack.submit(LONG, f"until=frozen at={LATE}")
    name = stack.name_of(wait_until(lambda: worker_of(stack, job_id, after=1)))
    stack.freeze(name)
    stack.let("frozen")
    try:
        stack.silence(name)
        (job,) = stack.ended(job_id)
        stack.assert_exact(job, LONG)
        events = [event.type for event in stack.services.jobs.events(stack.account, job_id)]
    finally:
        stack.signal(name, signal.SIGCONT)
    later = [stack.submit(short(number)) for number in range(300, 304)]
    for number, ended in enumerate(stack.ended(*later), start=300):
        stack.assert_exact(ended, short(number))
    assert stack.job(job_id) == job, "the thawed worker changed nothing"
    assert [event.type for event in stack.services.jobs.events(stack.account, job_id)] == events
    assert events.count(JobStatus.COMPLETED) == 1


def worker_of(stack: Stack, job_id: str, *, after: int) -> int | None:
    """The process that hears a chunk of the job now, once `after` of them are done."""
    assert stack.job(job_id).status not in TERMINAL, stack.report([job_id])
    chunks = stack.services.jobs.chunks(job_id)
    if sum(chunk.status == ChunkStatus.COMPLETED for chunk in chunks) < after:
        return None
    running = [chunk.worker for chunk in chunks if chunk.status == ChunkStatus.RUNNING and chunk.worker]
    return pid_of(running[0]) if running else None
