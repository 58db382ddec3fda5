"""Cancel, retry, delete."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.database.tables.jobs import Chunk, Job, JobEvent
from infra.jobs.store import Finished, HeardChunk
from infra.webhooks.retry_schedule import Verdict
from infra.webhooks.store import Outcome, WebhookStore
from pipeline.errors import Expired, LeaseLost, NotFound, WrongState
from tests.contracts.job_store_harness import CHUNK, ERROR, JobStoreHarness, span

HOOK = "https://example.com/hook"
PARTIAL = {"on_chunk_failure": "partial"}


def types(harness: JobStoreHarness, job: Job) -> list[str]:
    return [message.type for message in harness.messages(job)]


def test_what_nobody_began_is_cancelled_at_once(harness: JobStoreHarness) -> None:
    job = harness.submit(webhook_url=HOOK)
    done = harness.jobs.cancel(harness.account, job.id)
    assert (done.status, done.stage) == ("cancelled", "done")
    assert done.cancelled_at == done.ended_at is not None
    assert harness.take(job.id) is None
    assert types(harness, job) == ["audio.job.cancelled"]


def test_cancelling_again_is_the_same_answer(harness: JobStoreHarness) -> None:
    job = harness.submit(webhook_url=HOOK)
    lease = harness.claim(job)
    assert harness.jobs.cancel(harness.account, job.id).status == "cancelling"
    version = harness.now(job).version
    assert harness.jobs.cancel(harness.account, job.id).status == "cancelling"
    harness.jobs.heartbeat([lease])
    assert harness.jobs.close_cancelled() == [job.id]
    assert harness.jobs.cancel(harness.account, job.id).status == "cancelled"
    assert types(harness, job) == ["audio.job.cancelled"]
    assert harness.now(job).version == version + 1


def test_running_work_hears_of_it_by_its_heartbeat(harness: JobStoreHarness) -> None:
    job = harness.submit(webhook_url=HOOK)
    preparing = harness.claim(job)
    for idx in range(3):
        harness.jobs.add_chunk(preparing, idx, span(idx), f"s{idx}")
    hearing = harness.claim_chunk(job, 0)
    harness.hear(job, 1)
    assert harness.jobs.cancel(harness.account, job.id).status == "cancelling"
    assert [chunk.status for chunk in harness.jobs.chunks(job.id)] == ["running", "completed", "cancelled"]
    assert harness.jobs.close_cancelled() == []
    assert harness.jobs.heartbeat([hearing]) == set()
    assert harness.jobs.close_cancelled() == []
    assert harness.jobs.heartbeat([preparing]) == set()
    assert harness.jobs.close_cancelled() == [job.id]
    assert harness.jobs.close_cancelled() == []
    assert types(harness, job) == ["audio.job.cancelled"]
    harness.check_counters(job)


def test_whoever_ends_its_work_after_a_cancel_is_fenced_and_closes_it(harness: JobStoreHarness) -> None:
    job = harness.submit()
    lease = harness.claim(job)
    harness.jobs.add_chunk(lease, 0, span(0), "s0")
    hearing = harness.claim_chunk(job, 0)
    harness.jobs.cancel(harness.account, job.id)
    with pytest.raises(LeaseLost):
        harness.jobs.complete_chunk(hearing, "r")
    assert harness.now(job).status == "cancelling"
    with pytest.raises(LeaseLost):
        harness.jobs.finish(lease, Finished(result_key="t"), HeardChunk(span=span(0)))
    assert harness.now(job).status == "cancelled"
    assert harness.jobs.chunks(job.id)[0].status == "cancelled"


def test_a_release_after_a_cancel_closes_it_too(harness: JobStoreHarness) -> None:
    job = harness.submit()
    lease = harness.claim(job)
    harness.jobs.cancel(harness.account, job.id)
    harness.jobs.release(lease)
    assert harness.now(job).status == "cancelled"


def test_the_leases_of_the_dead_do_not_hold_up_a_cancel(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.claim(job)
    harness.jobs.cancel(harness.account, job.id)
    harness.silence(job)
    assert harness.jobs.rescue() == 0
    assert harness.jobs.close_cancelled() == [job.id]
    other = harness.submit()
    harness.claim(other)
    harness.silence(other)
    assert harness.jobs.cancel(harness.account, other.id).status == "cancelled"


def test_between_two_steps_a_cancel_is_immediate(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.cut(job, 2)
    harness.hear(job, 0)
    assert harness.jobs.cancel(harness.account, job.id).status == "cancelled"
    assert [chunk.status for chunk in harness.jobs.chunks(job.id)] == ["completed", "cancelled"]
    assert harness.take(job.id, 1) is None


@pytest.mark.parametrize("ending", ["completed", "failed", "expired"])
def test_what_has_ended_cannot_be_cancelled(harness: JobStoreHarness, ending: str) -> None:
    job = harness.submit(timeout_seconds=60)
    if ending == "completed":
        harness.finish_short(job)
    elif ending == "failed":
        harness.jobs.fail(harness.claim(job), ERROR)
    else:
        harness.shift(job, deadline_at=1.0)
        harness.jobs.expire_overdue()
    with pytest.raises(WrongState) as raised:
        harness.jobs.cancel(harness.account, job.id)
    assert raised.value.details == {
        "current_status": ending,
        "allowed_statuses": ["awaiting_upload", "cancelling", "processing", "queued"],
    }


def test_cancel_and_the_end_race_to_one_truth(harness: JobStoreHarness) -> None:
    for _ in range(8):
        job = harness.submit(webhook_url=HOOK)
        lease = harness.claim(job)
        start = threading.Barrier(2)

        def cancel(job: Job = job, start: threading.Barrier = start) -> None:
            start.wait()
            with contextlib.suppress(WrongState):
                harness.jobs.cancel(harness.account, job.id)

        with ThreadPoolExecutor(1) as thread:
            cancelling = thread.submit(cancel)
            start.wait()
            with contextlib.suppress(LeaseLost):
                harness.jobs.finish(lease, Finished(result_key="t"), HeardChunk(span=span(0)))
            cancelling.result()
        status = harness.now(job).status
        assert status in ("completed", "cancelled")
        assert types(harness, job) == [f"audio.job.{status}"]


def test_retry_redoes_only_what_failed(harness: JobStoreHarness) -> None:
    job = harness.submit(webhook_url=HOOK, media=harness.upload())
    harness.cut(job, 3)
    harness.hear(job, 0)
    harness.break_chunk(job, 1)
    assert harness.now(job).status == "failed"
    again = harness.jobs.retry(harness.account, job.id)
    assert (again.status, again.stage, again.run, again.cut_done, again.error) == ("queued", "waiting", 2, False, None)
    assert (again.chunks_total, again.chunks_completed, again.chunks_failed) == (3, 1, 0)
    assert again.failed_at is None and again.ended_at is None
    harness.check_counters(job)
    # The sound is gone: nothing is dispatched or claimed before the recording is cut once more.
    assert harness.due() == [(job.id, None)]
    assert harness.take(job.id, 1) is None
    lease = harness.claim(job)
    assert harness.take(job.id, 1) is None
    assert harness.due() == []
    added = [harness.jobs.add_chunk(lease, idx, span(idx), f"sound/{lease.attempt}-{idx}") for idx in range(3)]
    assert added == [False, True, True]
    harness.jobs.cut_done(lease, 3 * CHUNK, 3)
    assert not harness.hear(job, 1)
    assert harness.hear(job, 2)
    assert harness.finish(job).chunks_completed == 3
    assert [chunk.attempt for chunk in harness.jobs.chunks(job.id)] == [1, 2, 1]
    messages = harness.messages(job)
    assert [message.type for message in messages] == ["audio.job.failed", "audio.job.completed"]
    assert [message.subject for message in messages] == [f"{job.id}/1", f"{job.id}/2"]
    assert harness.erasures() >= {"sound/1-1", "sound/1-2"}
    harness.check_counters(job)


def test_failing_twice_tells_twice(harness: JobStoreHarness) -> None:
    job = harness.submit(webhook_url=HOOK)
    for run in (1, 2):
        harness.jobs.fail(harness.claim(job), ERROR)
        assert len(harness.messages(job)) == run
        harness.jobs.retry(harness.account, job.id)


def test_a_partial_result_can_be_retried(harness: JobStoreHarness) -> None:
    job = harness.submit(request=PARTIAL)
    harness.cut(job, 2)
    harness.hear(job, 0)
    harness.break_chunk(job, 1)
    assert harness.finish(job).partial
    again = harness.jobs.retry(harness.account, job.id)
    assert (again.status, again.partial, again.gaps, again.result_key) == ("queued", False, None, None)
    harness.cut(job, 2)
    assert harness.hear(job, 1)
    done = harness.finish(job)
    assert (done.partial, done.gaps) == (False, [])


FOUND = {"findings": {"gaps": [{"start": 0, "end": 9, "code": "undecodable", "retryable": False, "lost": True}]}}


def test_what_the_recording_lacks_survives_a_retry(harness: JobStoreHarness) -> None:
    """It is no reason for one, and no other try finds more."""
    job = harness.submit(request=PARTIAL)
    lease = harness.claim(job)
    for idx in range(2):
        harness.jobs.add_chunk(lease, idx, span(idx), f"sound/{idx}")
    harness.jobs.cut_done(lease, 2 * CHUNK, 2, FOUND)
    harness.hear(job, 0)
    harness.break_chunk(job, 1)
    first = harness.finish(job)
    assert (first.partial, len(first.gaps or ())) == (True, 1)
    again = harness.jobs.retry(harness.account, job.id)
    assert (again.gaps, again.input["findings"]) == (None, FOUND["findings"])
    lease = harness.claim(job)
    for idx in range(2):
        harness.jobs.add_chunk(lease, idx, span(idx), f"sound/2-{idx}")
    harness.jobs.cut_done(lease, 2 * CHUNK, 2, FOUND)
    assert harness.hear(job, 1)
    done = harness.finish(job)
    assert (done.partial, done.gaps, done.input["findings"]) == (False, [], FOUND["findings"])
    with pytest.raises(WrongState):
        harness.jobs.retry(harness.account, job.id)


def test_a_whole_result_cannot_be_retried(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.finish_short(job)
    with pytest.raises(WrongState) as raised:
        harness.jobs.retry(harness.account, job.id)
    assert raised.value.details["current_status"] == "completed"


def test_live_jobs_cannot_be_retried(harness: JobStoreHarness) -> None:
    job = harness.submit()
    with pytest.raises(WrongState) as raised:
        harness.jobs.retry(harness.account, job.id)
    assert raised.value.details == {"current_status": "queued", "allowed_statuses": ["completed", "failed"]}


def test_a_job_that_failed_at_its_end_is_only_stitched_again(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.cut(job, 1)
    harness.hear(job, 0)
    harness.jobs.fail(harness.claim(job), ERROR)
    assert harness.jobs.retry(harness.account, job.id).cut_done
    claimed = harness.take(job.id)
    assert claimed is not None and claimed.job.stage == "stitching"
    assert harness.jobs.finish(claimed.lease, Finished(result_key="t")).status == "completed"


def test_a_retry_has_its_tries_and_its_time_back(harness: JobStoreHarness) -> None:
    job = harness.submit(timeout_seconds=60)
    for _ in range(3):
        harness.claim(job)
        harness.silence(job)
        harness.jobs.rescue()
    assert harness.now(job).status == "failed"
    harness.shift(job, deadline_at=1.0)
    again = harness.jobs.retry(harness.account, job.id)
    assert (again.lost, again.failures) == (0, 0)
    assert again.deadline_at == pytest.approx((again.queued_at or 0) + 60)
    harness.claim(job)
    harness.silence(job)
    harness.jobs.rescue()
    assert harness.now(job).status == "queued"


def test_without_its_media_there_is_no_retry(harness: JobStoreHarness) -> None:
    media = harness.upload()
    job = harness.submit(media=media)
    harness.jobs.fail(harness.claim(job), ERROR)
    assert [row.id for row in harness.media.unneeded(0)] == [media.id]
    with pytest.raises(Expired):
        harness.jobs.retry(harness.account, job.id)
    harness.media.forget(media.id)
    with pytest.raises(Expired):
        harness.jobs.retry(harness.account, job.id)


def test_a_zombie_of_the_first_run_cannot_touch_the_second(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.cut(job, 2)
    zombie = harness.claim_chunk(job, 0)
    harness.break_chunk(job, 1)
    harness.jobs.retry(harness.account, job.id)
    harness.cut(job, 2)
    with pytest.raises(LeaseLost):
        harness.jobs.complete_chunk(zombie, "lies")
    assert harness.claim_chunk(job, 0).attempt == 2


def test_delete_leaves_no_row(harness: JobStoreHarness) -> None:
    hooks = WebhookStore(harness.database)
    media = harness.upload()
    job = harness.submit(media=media, webhook_url=HOOK)
    harness.cut(job, 1)
    harness.hear(job, 0)
    harness.finish(job)
    delivery = hooks.claim(harness.messages(job)[0].id)
    assert delivery is not None
    hooks.record(delivery, Outcome(500), Verdict(False, 1))
    gone = harness.jobs.delete(harness.account, job.id)
    assert (gone.id, gone.media_id, gone.result_key) == (job.id, media.id, "t/1")
    with pytest.raises(NotFound):
        harness.jobs.get(harness.account, job.id)
    with pytest.raises(NotFound):
        harness.media.get(harness.account, media.id)
    assert harness.rows(Job) == harness.rows(Chunk) == harness.rows(JobEvent) == 0
    assert harness.messages(job) == []
    assert hooks.record(delivery, Outcome(200), Verdict(True, None)) is None
    assert harness.erasures() == {media.storage_key, f"t/{harness.account}/jobs/{job.id}/"}
    with pytest.raises(NotFound):
        harness.jobs.delete(harness.account, job.id)


def test_a_live_job_is_deleted_only_by_force(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.claim(job)
    with pytest.raises(WrongState) as raised:
        harness.jobs.delete(harness.account, job.id)
    assert raised.value.details == {
        "current_status": "processing",
        "allowed_statuses": ["cancelled", "completed", "expired", "failed"],
    }
    harness.jobs.delete(harness.account, job.id, force=True)
    assert harness.rows(Job) == 0


def test_media_that_another_job_uses_survives(harness: JobStoreHarness) -> None:
    media = harness.upload()
    one, two = harness.submit(media=media), harness.submit(media=media)
    harness.jobs.delete(harness.account, one.id, force=True)
    assert harness.media.get(harness.account, media.id).state == "stored"
    assert media.storage_key not in harness.erasures()
    harness.jobs.delete(harness.account, two.id, force=True)
    assert media.storage_key in harness.erasures()
