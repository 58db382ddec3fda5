"""What keeps promises when processes died."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from infra.database.tables import Erasure, Job
from infra.jobs.store import Bell, JobStore, Sound
from infra.webhooks.store import WebhookStore
from tests.contracts.job_store_harness import ERROR, JobDesk, span

HOOK = "https://example.com/hook"


def test_a_job_that_kills_its_worker_has_three_runs(desk: JobDesk) -> None:
    poison, good = desk.submit(webhook_url=HOOK), desk.submit()
    runs = 0
    while desk.now(poison).status != "failed":
        desk.claim(poison)
        runs += 1
        desk.silence(poison)
        assert desk.jobs.rescue() == 1
    assert runs == 3
    row = desk.now(poison)
    assert row.error is not None
    assert (row.error["code"], row.error["stage"], row.error["attempts"]) == ("worker_lost", "preparing", 3)
    assert [message.type for message in desk.messages(poison)] == ["audio.job.failed"]
    assert desk.jobs.rescue() == 0
    assert desk.finish_short(good).status == "completed"


def test_a_chunk_that_kills_its_worker_has_three_runs(desk: JobDesk) -> None:
    job = desk.submit()
    desk.cut(job, 2)
    for run in (1, 2, 3):
        assert desk.claim_chunk(job, 0).attempt == run
        desk.silence(job, 0)
        assert desk.jobs.rescue() == 1
    row = desk.now(job)
    assert row.error is not None
    assert (row.status, row.error["code"], row.error["chunk"]) == ("failed", "worker_lost", 0)
    desk.check_counters(job)


def test_a_chunk_lost_for_good_is_a_gap_where_gaps_are_allowed(desk: JobDesk) -> None:
    """The last chunk's workers died: nobody is at hand to finish the job, so its bell must be rung."""
    job = desk.submit(request={"on_chunk_failure": "partial"})
    desk.cut(job, 2)
    desk.hear(job, 0)
    for _ in range(3):
        desk.claim_chunk(job, 1)
        desk.silence(job, 1)
        desk.jobs.rescue()
    assert desk.jobs.to_ring() == [Bell("job", job.id, None, "cpu")]
    gaps = desk.finish(job).gaps
    assert gaps is not None and gaps[0]["code"] == "worker_lost"


def test_workers_lost_in_one_stage_do_not_count_in_the_next(desk: JobDesk) -> None:
    job = desk.submit()
    for _ in range(2):
        desk.claim(job)
        desk.silence(job)
        desk.jobs.rescue()
    assert desk.now(job).lost == 2
    desk.cut(job, 1)
    assert desk.now(job).lost == 0
    desk.hear(job, 0)
    for _ in range(2):
        desk.claim(job)
        desk.silence(job)
        desk.jobs.rescue()
    assert desk.finish(job).status == "completed"


def test_one_dead_worker_gives_back_everything_it_held(desk: JobDesk) -> None:
    jobs = [desk.submit() for _ in range(3)]
    desk.cut(jobs[0], 3)
    for idx in range(3):
        desk.claim_chunk(jobs[0], idx)
    desk.silence(jobs[0], 0, 1, 2)
    for job in jobs[1:]:
        desk.claim(job)
        desk.silence(job)
    assert desk.jobs.rescue(limit=1) == 5
    assert {(bell.kind, bell.idx) for bell in desk.jobs.to_ring()} == {
        ("job", None),
        ("chunk", 0),
        ("chunk", 1),
        ("chunk", 2),
    }
    assert desk.now(jobs[0]).chunks_retried == 3


def test_two_sweeps_at_once_count_a_loss_once(desk: JobDesk) -> None:
    jobs = [desk.submit() for _ in range(10)]
    for job in jobs:
        desk.claim(job)
        desk.silence(job)
    with ThreadPoolExecutor(4) as threads:
        rescued = list(threads.map(lambda _: desk.jobs.rescue(limit=3), range(4)))
    assert sum(rescued) == 10
    assert {desk.now(job).lost for job in jobs} == {1}


def test_rows_that_cannot_be_rescued_do_not_starve_the_others(
    desk: JobDesk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = [desk.submit() for _ in range(5)], [desk.submit() for _ in range(5)]
    for job in [*bad, *good]:
        desk.claim(job)
        desk.silence(job)
    rescue = JobStore._rescue_job
    broken = {job.id for job in bad}

    def stumble(store: JobStore, session: object, job: Job, time: float) -> int:
        if job.id in broken:
            raise ValueError("a row nobody foresaw")
        return rescue(store, session, job, time)  # type: ignore[arg-type]

    monkeypatch.setattr(JobStore, "_rescue_job", stumble)
    assert desk.jobs.rescue(limit=2) == 5
    assert {desk.now(job).status for job in good} == {"queued"}
    assert len([record for record in caplog.records if "passes over" in record.message]) == 5


def test_a_new_job_is_rung_once(desk: JobDesk) -> None:
    job = desk.submit(queue="io")
    assert desk.jobs.to_ring() == [Bell("job", job.id, None, "io")]
    assert desk.jobs.to_ring() == []
    assert desk.jobs.stale_bells(60) == []


def test_urgent_jobs_are_rung_first(desk: JobDesk) -> None:
    later, urgent = desk.submit(), desk.submit(priority=5)
    assert [bell.job_id for bell in desk.jobs.to_ring(limit=1)] == [urgent.id]
    assert [bell.job_id for bell in desk.jobs.to_ring(limit=1)] == [later.id]


def test_two_sweeps_ring_different_bells(desk: JobDesk) -> None:
    ids = [desk.submit().id for _ in range(40)]
    with ThreadPoolExecutor(4) as threads:
        rung = list(threads.map(lambda _: desk.jobs.to_ring(limit=10), range(8)))
    assert sorted(bell.job_id for bells in rung for bell in bells) == sorted(ids)


def test_what_the_caller_rang_itself_is_not_rung_again(desk: JobDesk) -> None:
    job, other = desk.submit(), desk.submit()
    desk.jobs.mark_rung(Bell("job", job.id, None, "cpu"))
    assert [bell.job_id for bell in desk.jobs.to_ring()] == [other.id]
    desk.cut(job, 2)
    assert desk.jobs.to_ring() == []
    desk.jobs.release(desk.claim_chunk(job, 1))
    desk.jobs.mark_rung(Bell("chunk", job.id, 1, "cpu"), Bell("job", "job_nothing", None, "cpu"))
    assert desk.jobs.to_ring() == []
    desk.jobs.mark_rung()


def test_every_lost_message_is_sent_again(desk: JobDesk) -> None:
    """The broker was flushed: 20 queued jobs, chunks waiting and a job that only wants its end."""
    queued = [desk.submit() for _ in range(20)]
    cut = desk.submit()
    desk.cut(cut, 2)
    heard = desk.submit()
    desk.cut(heard, 1)
    desk.hear(heard, 0)  # its worker dies before it goes on
    desk.jobs.to_ring()
    assert desk.jobs.stale_bells(60) == []
    lost = desk.jobs.stale_bells(0)
    assert {bell.job_id for bell in lost if bell.kind == "job"} == {job.id for job in [*queued, heard]}
    assert {(bell.job_id, bell.idx) for bell in lost if bell.kind == "chunk"} == {(cut.id, 0), (cut.id, 1)}
    assert desk.jobs.stale_bells(60) == []


def test_work_in_progress_has_no_stale_bell(desk: JobDesk) -> None:
    job = desk.submit()
    desk.jobs.to_ring()
    lease = desk.claim(job)
    desk.jobs.add_chunk(lease, 0, span(0), "s")
    desk.claim_chunk(job, 0)
    assert desk.jobs.stale_bells(-1) == desk.jobs.to_ring() == []


def test_stale_bells_take_turns(desk: JobDesk) -> None:
    """A call for few of them begins with the longest silent, so that each has its turn."""
    ids = [desk.submit().id for _ in range(6)]
    desk.jobs.to_ring()
    turns = [bell.job_id for _ in range(3) for bell in desk.jobs.stale_bells(0, limit=2)]
    assert sorted(turns) == sorted(ids)


def test_a_job_put_back_is_rung_when_its_time_has_come(desk: JobDesk) -> None:
    job = desk.submit()
    desk.jobs.to_ring()
    row = desk.jobs.fail(desk.claim(job), ERROR, retry_in=60)
    assert (row.status, row.failures) == ("queued", 1)
    assert desk.jobs.to_ring() == desk.jobs.stale_bells(-1) == []
    desk.shift(job, run_at=1.0)
    assert [bell.job_id for bell in desk.jobs.to_ring()] == [job.id]


def test_past_its_deadline_a_job_expires(desk: JobDesk) -> None:
    queued, running, endless = (desk.submit(webhook_url=HOOK, timeout_seconds=60) for _ in range(3))
    lease = desk.claim(running)
    desk.jobs.add_chunk(lease, 0, span(0), "s")
    hearing = desk.claim_chunk(running, 0)
    for job in (queued, running):
        desk.shift(job, deadline_at=1.0)
    assert sorted(desk.jobs.expire_overdue(limit=1)) == sorted([queued.id, running.id])
    assert desk.jobs.expire_overdue() == []
    row = desk.now(running)
    assert row.error is not None
    assert (row.status, row.error["code"], row.error["stage"]) == ("expired", "deadline_exceeded", "preparing")
    assert desk.jobs.heartbeat([lease, hearing]) == set()
    assert desk.jobs.chunks(running.id)[0].status == "cancelled"
    assert [message.type for message in desk.messages(queued)] == ["audio.job.expired"]
    assert desk.now(endless).status == "queued"


def test_counts(desk: JobDesk) -> None:
    assert desk.jobs.counts() == {"jobs": {}, "chunks": {}, "oldest_queued_seconds": 0.0, "rung": {}}
    old, cut, _done = desk.submit(queue="io"), desk.submit(), desk.finish_short(desk.submit())
    desk.cut(cut, 3)
    desk.claim_chunk(cut, 0)
    desk.shift(old, run_at=old.run_at - 100, dispatched_at=1.0)
    counts = desk.jobs.counts()
    assert counts["jobs"] == {"queued": 1, "processing": 1, "completed": 1}
    assert counts["chunks"] == {"pending": 2, "running": 1}
    assert 100 <= counts["oldest_queued_seconds"] < 200
    assert counts["rung"] == {"io": 1, "cpu": 2}


def test_ended_jobs_past_their_time_are_purged(desk: JobDesk) -> None:
    kept, due, live = (
        desk.submit(retention_seconds=3600),
        desk.submit(retention_seconds=0),
        desk.submit(retention_seconds=0),
    )
    for job in (kept, due):
        desk.finish_short(job)
    assert desk.now(kept).expires_at == pytest.approx((desk.now(kept).completed_at or 0) + 3600)
    assert [job.id for job in desk.jobs.due_for_purge()] == [due.id]
    assert desk.jobs.due_for_purge(after_id=due.id) == []
    desk.jobs.purged(due.id)
    desk.jobs.purged(live.id)
    row = desk.now(due)
    assert row.purged_at is not None and row.result_key is None
    assert desk.jobs.chunks(due.id) == []
    assert desk.now(live).purged_at is None
    assert desk.jobs.due_for_purge() == []


def test_sound_goes_as_soon_as_its_chunk_is_terminal(desk: JobDesk) -> None:
    job = desk.submit(request={"on_chunk_failure": "partial"})
    desk.cut(job, 3)
    desk.hear(job, 0)
    desk.break_chunk(job, 1)
    sounds = desk.jobs.sound_to_drop()
    assert sounds == [Sound(job.id, 0, "sound/1-0"), Sound(job.id, 1, "sound/1-1")]
    desk.jobs.sound_dropped([*sounds, Sound(job.id, 2, "sound/1-2"), Sound("job_nothing", 0, "x")])
    assert desk.jobs.sound_to_drop() == []
    assert [chunk.sound_key for chunk in desk.jobs.chunks(job.id)] == [None, None, "sound/1-2"]
    assert desk.hear(job, 2)


def test_what_is_to_be_erased_is_handed_out_until_it_is(desk: JobDesk) -> None:
    media = desk.upload()
    job = desk.submit(media=media)
    desk.jobs.delete(desk.account, job.id, force=True)
    assert desk.jobs.to_erase() == [media.storage_key]  # the folder only when no late worker writes to it any more
    assert desk.jobs.to_erase() == []
    with desk.database.write() as session:
        session.execute(update(Erasure).values(due_at=1.0))
    places = desk.jobs.to_erase()
    assert sorted(places) == sorted(desk.erasures())
    desk.jobs.erased(places)
    assert desk.erasures() == set()


def test_the_accounts_endpoints_hear_of_what_they_asked_for(desk: JobDesk) -> None:
    hooks = WebhookStore(desk.database)

    def endpoint(*types: str) -> str:
        return hooks.create_endpoint(desk.account, name="e", url=HOOK, event_types=list(types)).id

    ended, everything = endpoint("audio.job.completed", "audio.job.failed"), endpoint("*")
    endpoint("audio.job.failed")
    hooks.update_endpoint(desk.account, endpoint("*"), status="disabled")
    job, other = (desk.submit(webhook_url=HOOK, webhook_events=["audio.job.completed"]) for _ in range(2))
    desk.finish_short(job)
    desk.jobs.cancel(desk.account, other.id)
    assert {message.target for message in desk.messages(job)} == {"job", ended, everything}
    assert len({message.id for message in desk.messages(job)}) == 3
    assert [message.target for message in desk.messages(other)] == [everything]
