"""Where a job's time went: noted by whoever ends a phase, on every database alike."""

from infra.jobs.store import Finished, HeardChunk
from infra.jobs.timing.phases import MOST_WORKERS, timing_of
from tests.contracts.job_store_harness import CHUNK, ERROR, JobStoreHarness, span

UNKNOWN = {"waited": None, "fetched": None, "prepared": None, "heard": None, "stitched": None}


def test_a_long_job_tells_its_phases_its_workers_and_its_slowest_chunk(harness: JobStoreHarness) -> None:
    job = harness.submit()
    assert timing_of(harness.now(job)) == {**UNKNOWN, "workers": [], "slowest_chunk": None}
    assert job.queued_at is not None
    harness.shift(job, queued_at=job.queued_at - 100)
    lease = harness.claim(job, "fetcher")
    harness.jobs.note_input(lease, {}, fetched=2.5)
    for idx in range(2):
        harness.jobs.add_chunk(lease, idx, span(idx), f"sound/{idx}")
    harness.jobs.cut_done(lease, 2 * CHUNK, 2, seconds=1.25)
    first, second = harness.claim_chunk(job, 0, "ear"), harness.claim_chunk(job, 1, "other ear")
    harness.jobs.complete_chunk(first, "heard/0", "oracle", seconds=7.0)
    harness.jobs.complete_chunk(second, "heard/1", "oracle", seconds=3.0)
    done = harness.jobs.finish(harness.claim(job, "stitcher"), Finished(result_key="t/1", spent={"stitched": 0.5}))
    told = timing_of(done)
    assert told == timing_of(harness.now(job))
    assert (told["fetched"], told["prepared"], told["stitched"]) == (2.5, 1.25, 0.5)
    assert 100 <= told["waited"] < 10_000
    assert told["heard"] >= 0
    assert told["workers"] == ["fetcher", "ear", "other ear", "stitcher"]
    assert told["slowest_chunk"] == {"chunk": 0, "seconds": 7.0, "worker": "ear"}


def test_a_short_job_tells_what_its_one_worker_spent(harness: JobStoreHarness) -> None:
    job = harness.submit()
    spent = {"prepared": 0.1, "heard": 0.75, "stitched": 0.05}
    done = harness.jobs.finish(harness.claim(job), Finished(result_key="t/1", spent=spent), HeardChunk(span=span(0)))
    told = timing_of(done)
    assert {phase: told[phase] for phase in spent} == spent
    assert told["workers"] == ["w1"]


def test_a_new_run_has_times_of_its_own(harness: JobStoreHarness) -> None:
    job = harness.submit(media=harness.upload())
    lease = harness.claim(job)
    harness.jobs.note_input(lease, {}, fetched=2.5)
    harness.jobs.fail(lease, ERROR)
    assert timing_of(harness.now(job))["fetched"] == 2.5
    again = harness.jobs.retry(harness.account, job.id)
    assert timing_of(again) == {**UNKNOWN, "workers": [], "slowest_chunk": None}


def test_a_job_that_went_through_many_hands_names_some_of_them(harness: JobStoreHarness) -> None:
    job, chunks = harness.submit(), MOST_WORKERS + 4
    harness.cut(job, chunks)
    for idx in range(chunks):
        lease = harness.claim_chunk(job, idx, f"ear {idx}")
        harness.jobs.complete_chunk(lease, f"heard/{idx}", "oracle", seconds=float(idx))
    told = timing_of(harness.now(job))
    assert len(told["workers"]) == MOST_WORKERS
    assert told["slowest_chunk"]["chunk"] == chunks - 1
