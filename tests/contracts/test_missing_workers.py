"""Work for which no worker lives: known by its role, told to whoever waits for it, and taken back when one has come."""

from infra.webhooks.store import WebhookStore
from infra.worker_heartbeats import WorkerStore
from tests.contracts.job_store_harness import JobStoreHarness

SECONDS = 60.0
STAGE = "waiting_for_worker"


def test_work_that_nobody_can_take_is_known_by_its_role(harness: JobStoreHarness) -> None:
    workers = WorkerStore(harness.database)
    job = harness.submit(queue="io")
    harness.submit()
    workers.beat("cpu@here:1", "cpu", "here", 1)
    assert harness.jobs.unserved(60) == [], "it has not waited so long"
    harness.shift(job, run_at=1.0)
    assert harness.jobs.unserved(60) == ["io"]
    workers.beat("io@here:2", "io", "here", 2)
    assert harness.jobs.unserved(60) == []


def test_a_job_that_waits_for_a_worker_says_so_once(harness: JobStoreHarness) -> None:
    WebhookStore(harness.database).create_endpoint(
        harness.account, name="e", url="https://example.com/hook", event_types=["audio.job.waiting"]
    )
    late, young, other = harness.submit(queue="io"), harness.submit(queue="io"), harness.submit()
    for job in (late, other):
        harness.shift(job, run_at=1.0)
    assert [harness.jobs.miss_workers(["io"], SECONDS) for _ in range(2)] == [1, 0]
    row = harness.now(late)
    assert (row.status, row.stage, row.failures, row.lost) == ("queued", STAGE, 0, 0)
    assert row.waiting is not None and row.waiting["code"] == "no_worker"
    assert row.version > late.version, "who polls with its ETag gets to see it"
    assert harness.timeline(late) == ["created", STAGE]
    assert [message.type for message in harness.messages(late)] == ["audio.job.waiting"]
    assert [harness.now(job).stage for job in (young, other)] == ["waiting", "waiting"]


def test_it_goes_on_once_a_worker_has_come(harness: JobStoreHarness) -> None:
    job = harness.submit(queue="io")
    harness.shift(job, run_at=1.0)
    harness.jobs.miss_workers(["io"], SECONDS)
    assert harness.jobs.stop_missing_workers(["io"]) == 0
    assert [harness.jobs.stop_missing_workers([]) for _ in range(2)] == [1, 0]
    row = harness.now(job)
    assert (row.stage, row.waiting) == ("waiting", None)
    assert harness.timeline(job) == ["created", STAGE, "resumed"]


def test_a_worker_that_takes_it_need_not_wait_for_the_next_look(harness: JobStoreHarness) -> None:
    job = harness.submit(queue="io")
    harness.shift(job, run_at=1.0)
    harness.jobs.miss_workers(["io"], SECONDS)
    harness.claim(job)
    assert harness.now(job).stage == "preparing"
    assert harness.timeline(job) == ["created", STAGE, "preparing"]
    assert harness.jobs.stop_missing_workers([]) == 0


def test_chunks_that_nobody_can_hear_are_told_of_too(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.cut(job, 2)
    harness.shift_chunk(job, 1, run_at=1.0)
    roles = harness.jobs.unserved(SECONDS)
    assert harness.jobs.miss_workers(roles, SECONDS) == 1
    assert harness.now(job).stage == STAGE
    harness.hear(job, 0)
    assert harness.now(job).stage == "transcribing", "somebody hears it"


def test_what_is_being_worked_on_waits_for_nobody(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.shift(job, run_at=1.0)
    harness.claim(job)
    assert harness.jobs.miss_workers(["cpu", "io"], SECONDS) == 0


def test_at_its_deadline_it_ends_for_want_of_a_worker(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.shift(job, run_at=1.0)
    harness.jobs.miss_workers(["cpu"], SECONDS)
    harness.shift(job, deadline_at=1.0)
    assert harness.jobs.expire_overdue() == [job.id]
    error = harness.now(job).error
    assert error is not None
    assert (error["code"], error["stage"], error["retryable"]) == ("no_worker", STAGE, True)
