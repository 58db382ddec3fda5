"""Claims, leases, fences: who may work on what."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.jobs.store import Finished, HeardChunk, Lease
from pipeline.errors import LeaseLost
from tests.contracts.job_store_harness import ERROR, JobStoreHarness, span


def test_a_message_sent_fifty_times_is_one_claim(harness: JobStoreHarness) -> None:
    job = harness.submit()
    with ThreadPoolExecutor(50) as threads:
        claims = list(threads.map(lambda n: harness.take(job.id, worker=f"w{n}"), range(50)))
    won = [claim for claim in claims if claim is not None]
    assert len(won) == 1
    lease, row = won[0].lease, won[0].job
    assert (row.status, row.stage, row.attempt, lease.attempt) == ("processing", "preparing", 1, 1)
    assert harness.now(job).worker == row.worker


def test_a_chunks_message_sent_fifty_times_is_one_claim(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.cut(job)
    with ThreadPoolExecutor(50) as threads:
        claims = list(threads.map(lambda n: harness.take(job.id, 1, f"w{n}"), range(50)))
    assert sum(claim is not None for claim in claims) == 1


def test_what_is_not_due_is_not_claimed(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.jobs.fail(harness.claim(job), ERROR, retry_in=60)
    assert harness.take(job.id) is None
    harness.shift(job, run_at=1.0)
    assert harness.take(job.id) is not None


def test_past_its_deadline_nobody_begins(harness: JobStoreHarness) -> None:
    job = harness.submit(timeout_seconds=60)
    harness.shift(job, deadline_at=1.0)
    assert harness.take(job.id) is None


def test_unknown_jobs_and_chunks_are_nobodys(harness: JobStoreHarness) -> None:
    assert harness.take("job_nothing") is None
    assert harness.take("job_nothing", 0) is None


def test_an_expired_lease_is_not_claimed_over_but_rescued_first(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.claim(job)
    harness.silence(job)
    assert harness.take(job.id) is None
    assert harness.jobs.rescue() == 1
    assert harness.claim(job, "w2").attempt == 2


def test_while_chunks_are_heard_the_job_is_nobodys_to_claim(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.cut(job)
    assert harness.take(job.id) is None
    assert not harness.hear(job, 0)
    assert harness.take(job.id) is None
    assert harness.hear(job, 1)
    claimed = harness.take(job.id)
    assert claimed is not None
    assert claimed.job.cut_done and claimed.job.stage == "stitching"


def test_the_heartbeat_prolongs_what_is_held(harness: JobStoreHarness) -> None:
    job = harness.submit()
    lease = harness.claim(job)
    harness.jobs.add_chunk(lease, 0, span(0), "s")
    chunk = harness.claim_chunk(job, 0)
    harness.shift(job, lease_until=1.0)
    harness.shift_chunk(job, 0, lease_until=1.0)
    gone = Lease("job_nothing", None, "t", 1)
    old = Lease(job.id, 0, "an older token", 1)
    assert harness.jobs.heartbeat([lease, chunk]) == {lease, chunk}
    assert harness.jobs.heartbeat([lease, gone]) == {lease}
    assert harness.jobs.heartbeat([old]) == set()
    assert harness.jobs.heartbeat([]) == set()
    assert harness.jobs.rescue() == 0


def test_a_worker_thought_dead_can_change_nothing(harness: JobStoreHarness) -> None:
    job = harness.submit()
    zombie = harness.claim(job)
    harness.silence(job)
    harness.jobs.rescue()
    owner = harness.claim(job, "w2")
    moves = (
        lambda: harness.jobs.start_fetch(zombie),
        lambda: harness.jobs.note_input(zombie, {"codec": "lies"}),
        lambda: harness.jobs.add_chunk(zombie, 0, span(0), "s"),
        lambda: harness.jobs.cut_done(zombie, 1, 1),
        lambda: harness.jobs.finish(zombie, Finished(result_key="lies"), HeardChunk(span=span(0))),
        lambda: harness.jobs.fail(zombie, ERROR),
    )
    before = harness.now(job).version
    for move in moves:
        with pytest.raises(LeaseLost):
            move()
    harness.jobs.release(zombie)
    assert harness.jobs.heartbeat([zombie, owner]) == {owner}
    assert harness.now(job).version == before
    assert harness.jobs.finish(owner, Finished(result_key="t"), HeardChunk(span=span(0))).result_key == "t"


def test_a_chunks_zombie_can_change_nothing(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.cut(job, 1)
    zombie = harness.claim_chunk(job, 0)
    harness.silence(job, 0)
    harness.jobs.rescue()
    owner = harness.claim_chunk(job, 0, "w3")
    assert owner.attempt == 2
    with pytest.raises(LeaseLost):
        harness.jobs.complete_chunk(zombie, "lies")
    with pytest.raises(LeaseLost):
        harness.jobs.fail_chunk(zombie, ERROR)
    harness.jobs.release(zombie)
    assert harness.jobs.complete_chunk(owner, "heard")
    with pytest.raises(LeaseLost):
        harness.jobs.complete_chunk(owner, "twice")
    assert harness.jobs.chunks(job.id)[0].result_key == "heard"


def test_a_lease_that_ran_out_but_was_not_taken_still_counts(harness: JobStoreHarness) -> None:
    """A worker that was only slow is not punished: its token is still the row's."""
    job = harness.submit()
    lease = harness.claim(job)
    harness.silence(job)
    assert harness.jobs.heartbeat([lease]) == {lease}
    harness.silence(job)
    assert harness.jobs.finish(lease, Finished(result_key="t"), HeardChunk(span=span(0))).status == "completed"


def test_a_graceful_release_costs_no_attempt(harness: JobStoreHarness) -> None:
    job = harness.submit()
    for _ in range(5):
        harness.jobs.release(harness.claim(job))
        row = harness.now(job)
        assert (row.status, row.stage, row.lost, row.failures) == ("queued", "waiting", 0, 0)
        assert harness.due() == [(job.id, None)]
    assert harness.claim(job).attempt == 6


def test_releasing_a_half_prepared_job_leaves_its_chunks_under_way(harness: JobStoreHarness) -> None:
    job = harness.submit()
    lease = harness.claim(job)
    harness.jobs.add_chunk(lease, 0, span(0), "s")
    harness.jobs.release(lease)
    assert harness.now(job).status == "processing"
    assert not harness.hear(job, 0)
    assert harness.due() == [(job.id, None)]
    again = harness.claim(job)
    assert not harness.jobs.add_chunk(again, 0, span(0), "s2")
    assert harness.jobs.cut_done(again, 16_000, 1)


def test_releasing_a_chunk_costs_no_attempt(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.cut(job, 1)
    for _ in range(4):
        lease = harness.claim_chunk(job, 0)
        before = harness.jobs.marks([job.id])[job.id].version
        harness.jobs.release(lease)
        assert harness.due() == [(job.id, 0)]
        assert harness.jobs.marks([job.id])[job.id].version > before  # whoever waits for its events is told
    chunk = harness.jobs.chunks(job.id)[0]
    assert (chunk.status, chunk.lost, chunk.failures) == ("pending", 0, 0)


def test_a_job_deleted_in_mid_run_fences_its_workers(harness: JobStoreHarness) -> None:
    job = harness.submit()
    harness.cut(job, 1)
    lease = harness.claim_chunk(job, 0)
    harness.jobs.delete(harness.account, job.id, force=True)
    assert harness.jobs.heartbeat([lease]) == set()
    with pytest.raises(LeaseLost):
        harness.jobs.complete_chunk(lease, "r")
    harness.jobs.release(lease)
    assert harness.jobs.rescue() == 0
    assert harness.due() == []


def test_a_worker_that_was_only_out_of_reach_did_not_die_of_the_work(harness: JobStoreHarness) -> None:
    """However often: what was taken from it meanwhile is another's now, and no death of the work is counted."""
    preparing, hearing = harness.submit(), harness.submit()
    harness.cut(hearing, 1)
    for _ in range(4):
        leases = [harness.claim(preparing), harness.claim_chunk(hearing, 0)]
        harness.silence(preparing)
        harness.silence(hearing, 0)
        assert harness.jobs.rescue() == 2
        assert harness.jobs.heartbeat(leases) == set()
        harness.jobs.forgive(leases)
    assert (harness.now(preparing).lost, harness.jobs.chunks(hearing.id)[0].lost) == (0, 0)
    assert harness.timeline(preparing).count("worker_returned") == 4
    assert harness.timeline(hearing).count("chunk.worker_returned") == 4
    assert harness.hear(hearing, 0)


def test_what_nobody_was_blamed_for_is_not_forgiven(harness: JobStoreHarness) -> None:
    ended, gone, held = harness.submit(), harness.submit(), harness.submit()
    leases = [harness.claim(job) for job in (ended, gone, held)]
    harness.jobs.finish(leases[0], Finished(result_key="t/1"), HeardChunk(span=span(0)))
    harness.jobs.delete(harness.account, gone.id, force=True)
    before = [harness.timeline(ended), harness.timeline(held)]
    harness.jobs.forgive([*leases, Lease(held.id, 7, "t", 1)])
    assert [harness.timeline(ended), harness.timeline(held)] == before
    assert harness.jobs.heartbeat(leases) == {leases[2]}
