"""What keeps promises when processes died."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, update
from sqlmodel import col

from infra.database.tables.jobs import Job
from infra.database.tables.shares import WaitingWork
from infra.database.tables.storage import Erasure
from infra.jobs.store import JobStore, Sound
from infra.webhooks.store import WebhookStore
from tests.contracts.job_store_harness import ERROR, JobStoreHarness, span

HOOK = "https://example.com/hook"


def test_a_job_that_kills_its_worker_has_three_runs(harness: JobStoreHarness) -> None:
    poison, good = harness.submit(webhook_url=HOOK), harness.submit()
    runs = 0
    while harness.now(poison).status != "failed":
        harness.claim(poison)
        runs += 1
        harness.silence(poison)
        assert harness.jobs.rescue() == 1
    assert runs == 3
    row = harness.now(poison)
    assert row.error is not None
    assert (row.error["code"], row.error["stage"], row.error["attempts"]) == ("worker_lost", "preparing", 3)
    assert [message.type for message in harness.messages(poison)] == ["audio.job.failed"]
    assert harness.jobs.rescue() == 0
    assert harness.finish_short(good).status == "completed"


def test_a_chunk_that_kills_its_worker_has_three_runs(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.cut(job, 2)
    for run in (1, 2, 3):
        assert harness.claim_chunk(job, 0).attempt == run
        harness.silence(job, 0)
        assert harness.jobs.rescue() == 1
    row = harness.now(job)
    assert row.error is not None
    assert (row.status, row.error["code"], row.error["chunk"]) == ("failed", "worker_lost", 0)
    harness.check_counters(job)


def test_a_chunk_lost_for_good_is_a_gap_where_gaps_are_allowed(harness: JobStoreHarness) -> None:
    """The last chunk's workers died: nobody is at hand to finish the job, so it must be dispatched."""
    job = harness.submit(request={"on_chunk_failure": "partial"})
    harness.cut(job, 2)
    harness.hear(job, 0)
    for _ in range(3):
        harness.claim_chunk(job, 1)
        harness.silence(job, 1)
        harness.jobs.rescue()
    assert harness.due() == [(job.id, None)]
    gaps = harness.finish(job).gaps
    assert gaps is not None and gaps[0]["code"] == "worker_lost"


def test_workers_lost_in_one_stage_do_not_count_in_the_next(harness: JobStoreHarness) -> None:
    job = harness.submit()
    for _ in range(2):
        harness.claim(job)
        harness.silence(job)
        harness.jobs.rescue()
    assert harness.now(job).lost == 2
    harness.cut(job, 1)
    assert harness.now(job).lost == 0
    harness.hear(job, 0)
    for _ in range(2):
        harness.claim(job)
        harness.silence(job)
        harness.jobs.rescue()
    assert harness.finish(job).status == "completed"


def test_one_dead_worker_gives_back_everything_it_held(harness: JobStoreHarness) -> None:
    jobs = [harness.submit() for _ in range(3)]
    harness.cut(jobs[0], 3)
    for idx in range(3):
        harness.claim_chunk(jobs[0], idx)
    harness.silence(jobs[0], 0, 1, 2)
    for job in jobs[1:]:
        harness.claim(job)
        harness.silence(job)
    assert harness.jobs.rescue(limit=1) == 5
    assert set(harness.due()) == {*((job.id, None) for job in jobs[1:]), *((jobs[0].id, idx) for idx in range(3))}
    assert harness.now(jobs[0]).chunks_retried == 3


def test_two_sweeps_at_once_count_a_loss_once(harness: JobStoreHarness) -> None:
    jobs = [harness.submit() for _ in range(10)]
    for job in jobs:
        harness.claim(job)
        harness.silence(job)
    with ThreadPoolExecutor(4) as threads:
        rescued = list(threads.map(lambda _: harness.jobs.rescue(limit=3), range(4)))
    assert sum(rescued) == 10
    assert {harness.now(job).lost for job in jobs} == {1}


def test_rows_that_cannot_be_rescued_do_not_starve_the_others(
    harness: JobStoreHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = [harness.submit() for _ in range(5)], [harness.submit() for _ in range(5)]
    for job in [*bad, *good]:
        harness.claim(job)
        harness.silence(job)
    rescue = JobStore._rescue_job
    broken = {job.id for job in bad}

    def stumble(store: JobStore, session: object, job: Job, time: float) -> int:
        if job.id in broken:
            raise ValueError("a row nobody foresaw")
        return rescue(store, session, job, time)

    monkeypatch.setattr(JobStore, "_rescue_job", stumble)
    assert harness.jobs.rescue(limit=2) == 5
    assert {harness.now(job).status for job in good} == {"queued"}
    assert len([record for record in caplog.records if "passes over" in record.message]) == 5


def test_what_could_be_claimed_is_counted_by_role(harness: JobStoreHarness) -> None:
    for _ in range(3):
        harness.submit(queue="io")
    harness.submit()
    assert harness.jobs.due() == {"cpu": 1, "io": 3}
    assert harness.jobs.due(limit=2) == {"cpu": 1, "io": 2}


def test_work_in_progress_waits_for_nobody(harness: JobStoreHarness) -> None:
    job = harness.submit()
    lease = harness.claim(job)
    harness.jobs.add_chunk(lease, 0, span(0), "s")
    harness.claim_chunk(job, 0)
    assert harness.due() == []


def test_a_job_put_back_waits_until_its_time_has_come(harness: JobStoreHarness) -> None:
    job = harness.submit()
    row = harness.jobs.fail(harness.claim(job), ERROR, retry_in=60)
    assert (row.status, row.failures) == ("queued", 1)
    assert harness.due() == [] and harness.jobs.claim_next("cpu", "w") is None
    harness.shift(job, run_at=1.0)
    assert harness.due() == [(job.id, None)] and harness.jobs.claim_next("cpu", "w") is not None


def test_past_its_deadline_a_job_expires(harness: JobStoreHarness) -> None:
    queued, running, endless = (harness.submit(webhook_url=HOOK, timeout_seconds=60) for _ in range(3))
    lease = harness.claim(running)
    harness.jobs.add_chunk(lease, 0, span(0), "s")
    hearing = harness.claim_chunk(running, 0)
    for job in (queued, running):
        harness.shift(job, deadline_at=1.0)
    assert sorted(harness.jobs.expire_overdue(limit=1)) == sorted([queued.id, running.id])
    assert harness.jobs.expire_overdue() == []
    row = harness.now(running)
    assert row.error is not None
    assert (row.status, row.error["code"], row.error["stage"]) == ("expired", "deadline_exceeded", "preparing")
    assert harness.jobs.heartbeat([lease, hearing]) == set()
    assert harness.jobs.chunks(running.id)[0].status == "cancelled"
    assert [message.type for message in harness.messages(queued)] == ["audio.job.expired"]
    assert harness.now(endless).status == "queued"


def test_counts(harness: JobStoreHarness) -> None:
    assert harness.jobs.counts() == {"jobs": {}, "chunks": {}, "oldest_queued_seconds": 0.0, "waiting": {}}
    old, cut, _done = harness.submit(queue="io"), harness.submit(), harness.finish_short(harness.submit())
    harness.cut(cut, 3)
    harness.claim_chunk(cut, 0)
    harness.shift(old, run_at=old.run_at - 100)
    counts = harness.jobs.counts()
    assert counts["jobs"] == {"queued": 1, "processing": 1, "completed": 1}
    assert counts["chunks"] == {"pending": 2, "running": 1}
    assert 100 <= counts["oldest_queued_seconds"] < 200
    assert counts["waiting"] == {"io": 1, "cpu": 2}
    harness.jobs.fold_counts()
    assert harness.jobs.counts()["jobs"] == counts["jobs"]


def test_jobs_are_counted_through_every_move_and_deletion(harness: JobStoreHarness) -> None:
    """By triggers: what is counted is what a look at every row would find, whenever the noted moves are added up."""

    def really() -> dict[str, int]:
        with harness.database.read() as session:
            return dict(session.execute(select(col(Job.status), func.count()).group_by(col(Job.status))).all())

    jobs = [harness.submit() for _ in range(4)]
    assert harness.jobs.counts()["jobs"] == really() == {"queued": 4}
    harness.finish_short(jobs[0])
    harness.jobs.fold_counts()
    harness.jobs.cancel(jobs[1].account_id, jobs[1].id)
    harness.claim(jobs[2])
    assert harness.jobs.counts()["jobs"] == really() == {"queued": 1, "completed": 1, "cancelled": 1, "processing": 1}
    harness.jobs.delete(jobs[0].account_id, jobs[0].id)
    harness.jobs.fold_counts()
    harness.jobs.fold_counts()
    assert harness.jobs.counts()["jobs"] == really() == {"queued": 1, "cancelled": 1, "processing": 1}


def test_the_queue_tells_its_sound_and_its_age_by_lane(harness: JobStoreHarness) -> None:
    empty = harness.jobs.queue_load()
    assert {lane: (one.audio_seconds, one.oldest_seconds) for lane, one in empty.items()} == {
        "archive": (0.0, 0.0), "cpu": (0.0, 0.0), "io": (0.0, 0.0),
    }  # fmt: skip
    harness.submit(queue="io", known_ms=0)
    waits, low = harness.submit(), harness.submit(priority=-10)
    harness.shift(waits, run_at=waits.run_at - 100)
    harness.shift(low, run_at=low.run_at - 1000)
    load = harness.jobs.queue_load()
    with harness.database.read() as session:
        cost = {row.job_id: row.cost_ms / 1000 for row in session.scalars(select(WaitingWork))}
    assert load["cpu"].audio_seconds == cost[waits.id]
    assert load["archive"].audio_seconds == cost[low.id]
    assert load["io"].audio_seconds > 0
    assert 100 <= load["cpu"].oldest_seconds < 1000 <= load["archive"].oldest_seconds


def test_sound_goes_as_soon_as_its_chunk_is_terminal(harness: JobStoreHarness) -> None:
    job = harness.submit(request={"on_chunk_failure": "partial"})
    harness.cut(job, 3)
    harness.hear(job, 0)
    harness.break_chunk(job, 1)
    sounds = harness.jobs.sound_to_drop()
    assert sounds == [Sound(job.id, 0, "sound/1-0"), Sound(job.id, 1, "sound/1-1")]
    harness.jobs.sound_dropped([*sounds, Sound(job.id, 2, "sound/1-2"), Sound("job_nothing", 0, "x")])
    assert harness.jobs.sound_to_drop() == []
    assert [chunk.sound_key for chunk in harness.jobs.chunks(job.id)] == [None, None, "sound/1-2"]
    assert harness.hear(job, 2)


def test_what_is_to_be_erased_is_handed_out_until_it_is(harness: JobStoreHarness) -> None:
    media = harness.upload()
    job = harness.submit(media=media)
    harness.jobs.delete(harness.account, job.id, force=True)
    assert harness.jobs.to_erase() == [media.storage_key]  # the folder only when no late worker writes to it any more
    assert harness.jobs.to_erase() == []
    with harness.database.write() as session:
        session.execute(update(Erasure).values(due_at=1.0))
    places = harness.jobs.to_erase()
    assert sorted(places) == sorted(harness.erasures())
    harness.jobs.erased(places)
    assert harness.erasures() == set()


def test_the_accounts_endpoints_hear_of_what_they_asked_for(harness: JobStoreHarness) -> None:
    hooks = WebhookStore(harness.database)

    def endpoint(*types: str) -> str:
        return hooks.create_endpoint(harness.account, name="e", url=HOOK, event_types=list(types)).id

    ended, everything = endpoint("audio.job.completed", "audio.job.failed"), endpoint("*")
    endpoint("audio.job.failed")
    hooks.update_endpoint(harness.account, endpoint("*"), status="disabled")
    job, other = (harness.submit(webhook_url=HOOK, webhook_events=["audio.job.completed"]) for _ in range(2))
    harness.finish_short(job)
    harness.jobs.cancel(harness.account, other.id)
    assert {message.target for message in harness.messages(job)} == {"job", ended, everything}
    assert len({message.id for message in harness.messages(job)}) == 3
    assert [message.target for message in harness.messages(other)] == [everything]


def test_the_age_of_the_queue_is_that_of_a_chunk_too(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.cut(job, 2)
    harness.shift_chunk(job, 1, run_at=1.0)
    assert harness.jobs.counts()["oldest_queued_seconds"] > 1000


def test_who_is_spared_keeps_what_it_has(harness: JobStoreHarness) -> None:
    """Jobs and chunks of one worker are taken back, those of the other not; a fresh lease is nobody's silence."""
    chunked, whole, fresh = (harness.submit() for _ in range(3))
    harness.cut(chunked, 2, harness.claim(chunked))
    harness.claim_chunk(chunked, 0, "spared")
    harness.claim_chunk(chunked, 1, "silent")
    harness.claim(whole, "spared")
    harness.claim(fresh, "alive")
    harness.silence(chunked, 0, 1)
    harness.silence(whole)
    assert harness.jobs.silent_workers() == {"spared", "silent"}
    assert harness.jobs.rescue(spared={"spared", "alive"}) == 1
    assert [chunk.status for chunk in harness.jobs.chunks(chunked.id)] == ["running", "pending"]
    assert harness.jobs.silent_workers() == {"spared"}
    assert harness.jobs.rescue() == 2
    assert harness.jobs.silent_workers() == set()
