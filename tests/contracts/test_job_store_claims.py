"""Claims, leases, fences: who may work on what."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.jobs.store import Finished, HeardChunk, Lease
from pipeline.errors import LeaseLost
from tests.contracts.job_store_harness import ERROR, JobDesk, span


def test_a_message_sent_fifty_times_is_one_claim(desk: JobDesk) -> None:
    job = desk.submit()
    with ThreadPoolExecutor(50) as threads:
        claims = list(threads.map(lambda n: desk.jobs.claim(job.id, f"w{n}"), range(50)))
    won = [claim for claim in claims if claim is not None]
    assert len(won) == 1
    lease, row = won[0]
    assert (row.status, row.stage, row.attempt, lease.attempt) == ("processing", "preparing", 1, 1)
    assert desk.now(job).worker == row.worker


def test_a_chunks_message_sent_fifty_times_is_one_claim(desk: JobDesk) -> None:
    job = desk.submit()
    desk.cut(job)
    with ThreadPoolExecutor(50) as threads:
        claims = list(threads.map(lambda n: desk.jobs.claim_chunk(job.id, 1, f"w{n}"), range(50)))
    assert sum(claim is not None for claim in claims) == 1


def test_what_is_not_due_is_not_claimed(desk: JobDesk) -> None:
    job = desk.submit()
    desk.jobs.fail(desk.claim(job), ERROR, retry_in=60)
    assert desk.jobs.claim(job.id, "w1") is None
    desk.shift(job, run_at=1.0)
    assert desk.jobs.claim(job.id, "w1") is not None


def test_past_its_deadline_nobody_begins(desk: JobDesk) -> None:
    job = desk.submit(timeout_seconds=60)
    desk.shift(job, deadline_at=1.0)
    assert desk.jobs.claim(job.id, "w1") is None


def test_unknown_jobs_and_chunks_are_nobodys(desk: JobDesk) -> None:
    assert desk.jobs.claim("job_nothing", "w1") is None
    assert desk.jobs.claim_chunk("job_nothing", 0, "w1") is None


def test_an_expired_lease_is_not_claimed_over_but_rescued_first(desk: JobDesk) -> None:
    job = desk.submit()
    desk.claim(job)
    desk.silence(job)
    assert desk.jobs.claim(job.id, "w2") is None
    assert desk.jobs.rescue() == 1
    assert desk.claim(job, "w2").attempt == 2


def test_while_chunks_are_heard_the_job_is_nobodys_to_claim(desk: JobDesk) -> None:
    job = desk.submit()
    desk.cut(job)
    assert desk.jobs.claim(job.id, "w1") is None
    assert not desk.hear(job, 0)
    assert desk.jobs.claim(job.id, "w1") is None
    assert desk.hear(job, 1)
    claimed = desk.jobs.claim(job.id, "w1")
    assert claimed is not None
    assert claimed[1].cut_done and claimed[1].stage == "stitching"


def test_the_heartbeat_prolongs_what_is_held(desk: JobDesk) -> None:
    job = desk.submit()
    lease = desk.claim(job)
    desk.jobs.add_chunk(lease, 0, span(0), "s")
    chunk = desk.claim_chunk(job, 0)
    desk.shift(job, lease_until=1.0)
    desk.shift_chunk(job, 0, lease_until=1.0)
    gone = Lease("job_nothing", None, "t", 1)
    old = Lease(job.id, 0, "an older token", 1)
    assert desk.jobs.heartbeat([lease, chunk]) == {lease, chunk}
    assert desk.jobs.heartbeat([lease, gone]) == {lease}
    assert desk.jobs.heartbeat([old]) == set()
    assert desk.jobs.heartbeat([]) == set()
    assert desk.jobs.rescue() == 0


def test_a_worker_thought_dead_can_change_nothing(desk: JobDesk) -> None:
    job = desk.submit()
    zombie = desk.claim(job)
    desk.silence(job)
    desk.jobs.rescue()
    owner = desk.claim(job, "w2")
    moves = (
        lambda: desk.jobs.start_fetch(zombie),
        lambda: desk.jobs.note_input(zombie, {"codec": "lies"}),
        lambda: desk.jobs.add_chunk(zombie, 0, span(0), "s"),
        lambda: desk.jobs.cut_done(zombie, 1, 1),
        lambda: desk.jobs.finish(zombie, Finished(result_key="lies"), HeardChunk(span=span(0))),
        lambda: desk.jobs.fail(zombie, ERROR),
    )
    before = desk.now(job).version
    for move in moves:
        with pytest.raises(LeaseLost):
            move()
    desk.jobs.release(zombie)
    assert desk.jobs.heartbeat([zombie, owner]) == {owner}
    assert desk.now(job).version == before
    assert desk.jobs.finish(owner, Finished(result_key="t"), HeardChunk(span=span(0))).result_key == "t"


def test_a_chunks_zombie_can_change_nothing(desk: JobDesk) -> None:
    job = desk.submit()
    desk.cut(job, 1)
    zombie = desk.claim_chunk(job, 0)
    desk.silence(job, 0)
    desk.jobs.rescue()
    owner = desk.claim_chunk(job, 0, "w3")
    assert owner.attempt == 2
    with pytest.raises(LeaseLost):
        desk.jobs.complete_chunk(zombie, "lies")
    with pytest.raises(LeaseLost):
        desk.jobs.fail_chunk(zombie, ERROR)
    desk.jobs.release(zombie)
    assert desk.jobs.complete_chunk(owner, "heard")
    with pytest.raises(LeaseLost):
        desk.jobs.complete_chunk(owner, "twice")
    assert desk.jobs.chunks(job.id)[0].result_key == "heard"


def test_a_lease_that_ran_out_but_was_not_taken_still_counts(desk: JobDesk) -> None:
    """A worker that was only slow is not punished: its token is still the row's."""
    job = desk.submit()
    lease = desk.claim(job)
    desk.silence(job)
    assert desk.jobs.heartbeat([lease]) == {lease}
    desk.silence(job)
    assert desk.jobs.finish(lease, Finished(result_key="t"), HeardChunk(span=span(0))).status == "completed"


def test_a_graceful_release_costs_no_attempt(desk: JobDesk) -> None:
    job = desk.submit()
    for _ in range(5):
        desk.jobs.release(desk.claim(job))
        row = desk.now(job)
        assert (row.status, row.stage, row.lost, row.failures) == ("queued", "waiting", 0, 0)
        assert [bell.job_id for bell in desk.jobs.to_ring()] == [job.id]
    assert desk.claim(job).attempt == 6


def test_releasing_a_half_prepared_job_leaves_its_chunks_under_way(desk: JobDesk) -> None:
    job = desk.submit()
    lease = desk.claim(job)
    desk.jobs.add_chunk(lease, 0, span(0), "s")
    desk.jobs.release(lease)
    assert desk.now(job).status == "processing"
    assert not desk.hear(job, 0)
    assert [bell.idx for bell in desk.jobs.to_ring()] == [None]
    again = desk.claim(job)
    assert not desk.jobs.add_chunk(again, 0, span(0), "s2")
    assert desk.jobs.cut_done(again, 16_000, 1)


def test_releasing_a_chunk_costs_no_attempt(desk: JobDesk) -> None:
    job = desk.submit()
    desk.cut(job, 1)
    for _ in range(4):
        desk.jobs.release(desk.claim_chunk(job, 0))
        assert [(bell.kind, bell.idx) for bell in desk.jobs.to_ring()] == [("chunk", 0)]
    chunk = desk.jobs.chunks(job.id)[0]
    assert (chunk.status, chunk.lost, chunk.failures) == ("pending", 0, 0)


def test_a_job_deleted_in_mid_run_fences_its_workers(desk: JobDesk) -> None:
    job = desk.submit()
    desk.cut(job, 1)
    lease = desk.claim_chunk(job, 0)
    desk.jobs.delete(desk.account, job.id, force=True)
    assert desk.jobs.heartbeat([lease]) == set()
    with pytest.raises(LeaseLost):
        desk.jobs.complete_chunk(lease, "r")
    desk.jobs.release(lease)
    assert desk.jobs.rescue() == 0
    assert desk.jobs.to_ring() == desk.jobs.stale_bells(0) == []
