"""Cancel, retry, delete."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.database.tables import Chunk, Job, JobEvent
from infra.jobs.store import Finished, HeardChunk
from infra.webhooks.store import Outcome, WebhookStore
from pipeline.errors import Expired, LeaseLost, NotFound, WrongState
from tests.contracts.job_store_harness import CHUNK, ERROR, JobDesk, span

HOOK = "https://example.com/hook"
PARTIAL = {"on_chunk_failure": "partial"}


def types(desk: JobDesk, job: Job) -> list[str]:
    return [message.type for message in desk.messages(job)]


def test_what_nobody_began_is_cancelled_at_once(desk: JobDesk) -> None:
    job = desk.submit(webhook_url=HOOK)
    done = desk.jobs.cancel(desk.account, job.id)
    assert (done.status, done.stage) == ("cancelled", "done")
    assert done.cancelled_at == done.ended_at is not None
    assert desk.jobs.claim(job.id, "w") is None
    assert types(desk, job) == ["audio.job.cancelled"]


def test_cancelling_again_is_the_same_answer(desk: JobDesk) -> None:
    job = desk.submit(webhook_url=HOOK)
    lease = desk.claim(job)
    assert desk.jobs.cancel(desk.account, job.id).status == "cancelling"
    version = desk.now(job).version
    assert desk.jobs.cancel(desk.account, job.id).status == "cancelling"
    desk.jobs.heartbeat([lease])
    assert desk.jobs.close_cancelled() == [job.id]
    assert desk.jobs.cancel(desk.account, job.id).status == "cancelled"
    assert types(desk, job) == ["audio.job.cancelled"]
    assert desk.now(job).version == version + 1


def test_running_work_hears_of_it_by_its_heartbeat(desk: JobDesk) -> None:
    job = desk.submit(webhook_url=HOOK)
    preparing = desk.claim(job)
    for idx in range(3):
        desk.jobs.add_chunk(preparing, idx, span(idx), f"s{idx}")
    hearing = desk.claim_chunk(job, 0)
    desk.hear(job, 1)
    assert desk.jobs.cancel(desk.account, job.id).status == "cancelling"
    assert [chunk.status for chunk in desk.jobs.chunks(job.id)] == ["running", "completed", "cancelled"]
    assert desk.jobs.close_cancelled() == []
    assert desk.jobs.heartbeat([hearing]) == set()
    assert desk.jobs.close_cancelled() == []
    assert desk.jobs.heartbeat([preparing]) == set()
    assert desk.jobs.close_cancelled() == [job.id]
    assert desk.jobs.close_cancelled() == []
    assert types(desk, job) == ["audio.job.cancelled"]
    desk.check_counters(job)


def test_whoever_ends_its_work_after_a_cancel_is_fenced_and_closes_it(desk: JobDesk) -> None:
    job = desk.submit()
    lease = desk.claim(job)
    desk.jobs.add_chunk(lease, 0, span(0), "s0")
    hearing = desk.claim_chunk(job, 0)
    desk.jobs.cancel(desk.account, job.id)
    with pytest.raises(LeaseLost):
        desk.jobs.complete_chunk(hearing, "r")
    assert desk.now(job).status == "cancelling"
    with pytest.raises(LeaseLost):
        desk.jobs.finish(lease, Finished(result_key="t"), HeardChunk(span=span(0)))
    assert desk.now(job).status == "cancelled"
    assert desk.jobs.chunks(job.id)[0].status == "cancelled"


def test_a_release_after_a_cancel_closes_it_too(desk: JobDesk) -> None:
    job = desk.submit()
    lease = desk.claim(job)
    desk.jobs.cancel(desk.account, job.id)
    desk.jobs.release(lease)
    assert desk.now(job).status == "cancelled"


def test_the_leases_of_the_dead_do_not_hold_up_a_cancel(desk: JobDesk) -> None:
    job = desk.submit()
    desk.claim(job)
    desk.jobs.cancel(desk.account, job.id)
    desk.silence(job)
    assert desk.jobs.rescue() == 0
    assert desk.jobs.close_cancelled() == [job.id]
    other = desk.submit()
    desk.claim(other)
    desk.silence(other)
    assert desk.jobs.cancel(desk.account, other.id).status == "cancelled"


def test_between_two_steps_a_cancel_is_immediate(desk: JobDesk) -> None:
    job = desk.submit()
    desk.cut(job, 2)
    desk.hear(job, 0)
    assert desk.jobs.cancel(desk.account, job.id).status == "cancelled"
    assert [chunk.status for chunk in desk.jobs.chunks(job.id)] == ["completed", "cancelled"]
    assert desk.jobs.claim_chunk(job.id, 1, "w") is None


@pytest.mark.parametrize("ending", ["completed", "failed", "expired"])
def test_what_has_ended_cannot_be_cancelled(desk: JobDesk, ending: str) -> None:
    job = desk.submit(timeout_seconds=60)
    if ending == "completed":
        desk.finish_short(job)
    elif ending == "failed":
        desk.jobs.fail(desk.claim(job), ERROR)
    else:
        desk.shift(job, deadline_at=1.0)
        desk.jobs.expire_overdue()
    with pytest.raises(WrongState) as raised:
        desk.jobs.cancel(desk.account, job.id)
    assert raised.value.details == {
        "current_status": ending,
        "allowed_statuses": ["awaiting_upload", "cancelling", "processing", "queued"],
    }


def test_cancel_and_the_end_race_to_one_truth(desk: JobDesk) -> None:
    for _ in range(8):
        job = desk.submit(webhook_url=HOOK)
        lease = desk.claim(job)
        start = threading.Barrier(2)

        def cancel(job: Job = job, start: threading.Barrier = start) -> None:
            start.wait()
            with contextlib.suppress(WrongState):
                desk.jobs.cancel(desk.account, job.id)

        with ThreadPoolExecutor(1) as thread:
            cancelling = thread.submit(cancel)
            start.wait()
            with contextlib.suppress(LeaseLost):
                desk.jobs.finish(lease, Finished(result_key="t"), HeardChunk(span=span(0)))
            cancelling.result()
        status = desk.now(job).status
        assert status in ("completed", "cancelled")
        assert types(desk, job) == [f"audio.job.{status}"]


def test_retry_redoes_only_what_failed(desk: JobDesk) -> None:
    job = desk.submit(webhook_url=HOOK, media=desk.upload())
    desk.cut(job, 3)
    desk.hear(job, 0)
    desk.break_chunk(job, 1)
    assert desk.now(job).status == "failed"
    again = desk.jobs.retry(desk.account, job.id)
    assert (again.status, again.stage, again.run, again.cut_done, again.error) == ("queued", "waiting", 2, False, None)
    assert (again.chunks_total, again.chunks_completed, again.chunks_failed) == (3, 1, 0)
    assert again.failed_at is None and again.ended_at is None
    desk.check_counters(job)
    # The sound is gone: nothing is rung or claimed before the recording is cut once more.
    assert [bell.kind for bell in desk.jobs.to_ring()] == ["job"]
    assert desk.jobs.claim_chunk(job.id, 1, "w") is None
    lease = desk.claim(job)
    assert desk.jobs.claim_chunk(job.id, 1, "w") is None
    assert desk.jobs.to_ring() == desk.jobs.stale_bells(-1) == []
    added = [desk.jobs.add_chunk(lease, idx, span(idx), f"sound/{lease.attempt}-{idx}") for idx in range(3)]
    assert added == [False, True, True]
    desk.jobs.cut_done(lease, 3 * CHUNK, 3)
    assert not desk.hear(job, 1)
    assert desk.hear(job, 2)
    assert desk.finish(job).chunks_completed == 3
    assert [chunk.attempt for chunk in desk.jobs.chunks(job.id)] == [1, 2, 1]
    messages = desk.messages(job)
    assert [message.type for message in messages] == ["audio.job.failed", "audio.job.completed"]
    assert [message.subject for message in messages] == [f"{job.id}/1", f"{job.id}/2"]
    assert desk.erasures() >= {"sound/1-1", "sound/1-2"}
    desk.check_counters(job)


def test_failing_twice_tells_twice(desk: JobDesk) -> None:
    job = desk.submit(webhook_url=HOOK)
    for run in (1, 2):
        desk.jobs.fail(desk.claim(job), ERROR)
        assert len(desk.messages(job)) == run
        desk.jobs.retry(desk.account, job.id)


def test_a_partial_result_can_be_retried(desk: JobDesk) -> None:
    job = desk.submit(request=PARTIAL)
    desk.cut(job, 2)
    desk.hear(job, 0)
    desk.break_chunk(job, 1)
    assert desk.finish(job).partial
    again = desk.jobs.retry(desk.account, job.id)
    assert (again.status, again.partial, again.gaps, again.result_key) == ("queued", False, None, None)
    desk.cut(job, 2)
    assert desk.hear(job, 1)
    done = desk.finish(job)
    assert (done.partial, done.gaps) == (False, [])


def test_a_whole_result_cannot_be_retried(desk: JobDesk) -> None:
    job = desk.submit()
    desk.finish_short(job)
    with pytest.raises(WrongState) as raised:
        desk.jobs.retry(desk.account, job.id)
    assert raised.value.details["current_status"] == "completed"


def test_live_jobs_cannot_be_retried(desk: JobDesk) -> None:
    job = desk.submit()
    with pytest.raises(WrongState) as raised:
        desk.jobs.retry(desk.account, job.id)
    assert raised.value.details == {"current_status": "queued", "allowed_statuses": ["completed", "failed"]}


def test_a_job_that_failed_at_its_end_is_only_stitched_again(desk: JobDesk) -> None:
    job = desk.submit()
    desk.cut(job, 1)
    desk.hear(job, 0)
    desk.jobs.fail(desk.claim(job), ERROR)
    assert desk.jobs.retry(desk.account, job.id).cut_done
    claimed = desk.jobs.claim(job.id, "w")
    assert claimed is not None and claimed[1].stage == "stitching"
    assert desk.jobs.finish(claimed[0], Finished(result_key="t")).status == "completed"


def test_a_retry_has_its_tries_and_its_time_back(desk: JobDesk) -> None:
    job = desk.submit(timeout_seconds=60)
    for _ in range(3):
        desk.claim(job)
        desk.silence(job)
        desk.jobs.rescue()
    assert desk.now(job).status == "failed"
    desk.shift(job, deadline_at=1.0)
    again = desk.jobs.retry(desk.account, job.id)
    assert (again.lost, again.failures) == (0, 0)
    assert again.deadline_at == pytest.approx((again.queued_at or 0) + 60)
    desk.claim(job)
    desk.silence(job)
    desk.jobs.rescue()
    assert desk.now(job).status == "queued"


def test_without_its_media_there_is_no_retry(desk: JobDesk) -> None:
    media = desk.upload()
    job = desk.submit(media=media)
    desk.jobs.fail(desk.claim(job), ERROR)
    assert [row.id for row in desk.media.unneeded(0)] == [media.id]
    with pytest.raises(Expired):
        desk.jobs.retry(desk.account, job.id)
    desk.media.forget(media.id)
    with pytest.raises(Expired):
        desk.jobs.retry(desk.account, job.id)


def test_a_zombie_of_the_first_run_cannot_touch_the_second(desk: JobDesk) -> None:
    job = desk.submit()
    desk.cut(job, 2)
    zombie = desk.claim_chunk(job, 0)
    desk.break_chunk(job, 1)
    desk.jobs.retry(desk.account, job.id)
    desk.cut(job, 2)
    with pytest.raises(LeaseLost):
        desk.jobs.complete_chunk(zombie, "lies")
    assert desk.claim_chunk(job, 0).attempt == 2


def test_delete_leaves_no_row(desk: JobDesk) -> None:
    hooks = WebhookStore(desk.database)
    media = desk.upload()
    job = desk.submit(media=media, webhook_url=HOOK)
    desk.cut(job, 1)
    desk.hear(job, 0)
    desk.finish(job)
    delivery = hooks.claim_due(desk.messages(job)[0].id)
    assert delivery is not None
    hooks.record(delivery, Outcome(500), delivered=False, retry_in=1)
    gone = desk.jobs.delete(desk.account, job.id)
    assert (gone.id, gone.media_id, gone.result_key) == (job.id, media.id, "t/1")
    with pytest.raises(NotFound):
        desk.jobs.get(desk.account, job.id)
    with pytest.raises(NotFound):
        desk.media.get(desk.account, media.id)
    assert desk.rows(Job) == desk.rows(Chunk) == desk.rows(JobEvent) == 0
    assert desk.messages(job) == []
    assert hooks.record(delivery, Outcome(200), delivered=True, retry_in=None) is None
    assert desk.erasures() == {media.storage_key, f"t/{desk.account}/jobs/{job.id}/"}
    with pytest.raises(NotFound):
        desk.jobs.delete(desk.account, job.id)


def test_a_live_job_is_deleted_only_by_force(desk: JobDesk) -> None:
    job = desk.submit()
    desk.claim(job)
    with pytest.raises(WrongState) as raised:
        desk.jobs.delete(desk.account, job.id)
    assert raised.value.details == {
        "current_status": "processing",
        "allowed_statuses": ["cancelled", "completed", "expired", "failed"],
    }
    desk.jobs.delete(desk.account, job.id, force=True)
    assert desk.rows(Job) == 0


def test_media_that_another_job_uses_survives(desk: JobDesk) -> None:
    media = desk.upload()
    one, two = desk.submit(media=media), desk.submit(media=media)
    desk.jobs.delete(desk.account, one.id, force=True)
    assert desk.media.get(desk.account, media.id).state == "stored"
    assert media.storage_key not in desk.erasures()
    desk.jobs.delete(desk.account, two.id, force=True)
    assert media.storage_key in desk.erasures()
