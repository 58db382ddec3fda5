"""A database from before a chunk was done, beside a store from after it: the chunk's own input is gone, the whole is not."""

import pytest

from infra.database.tables.jobs import Job
from pipeline.lifecycle import JobStatus
from tests.support.recordings import long, short
from tests.workers.conftest import WorkerHarness

pytestmark = pytest.mark.processes

LONG = long(12, seed=3)


def lose(harness: WorkerHarness, job_id: str) -> int:
    """What the chunks are made of; how many objects that were."""
    keys = [str(chunk.sound_key) for chunk in harness.services.jobs.chunks(job_id) if chunk.sound_key]
    harness.services.storage.delete(*keys)
    return len(keys)


def prepared(harness: WorkerHarness) -> str:
    job_id = harness.submit(LONG)
    harness.work(most=1)
    assert lose(harness, job_id) > 1
    return job_id


def test_sound_that_is_gone_is_cut_from_the_recording_again(harness: WorkerHarness) -> None:
    job_id = prepared(harness)
    harness.work()
    job = harness.job(job_id)
    assert (job.status, job.partial) == (JobStatus.COMPLETED, False), job.error
    assert harness.text(job_id).split() == list(LONG.words)
    assert harness.calls() == len(harness.services.jobs.chunks(job_id))


@pytest.mark.parametrize("left", [None, short(1).wav], ids=["gone", "another"])
def test_where_the_recording_is_gone_or_another_it_fails_in_clear_words(
    harness: WorkerHarness, left: bytes | None
) -> None:
    job_id = prepared(harness)
    media = harness.services.media.get(harness.account, str(harness.job(job_id).media_id))
    harness.services.storage.delete(media.storage_key)
    if left is not None:
        harness.services.storage.put(media.storage_key, left)
    harness.work()
    job: Job = harness.job(job_id)
    assert (job.status, (job.error or {})["code"]) == (JobStatus.FAILED, "input_missing")
    assert harness.calls() == 0


def test_text_that_is_gone_is_taken_from_the_whole_again(harness: WorkerHarness) -> None:
    text = "The first passage is long enough. " * 60 + "The last one ends it."
    media = harness.services.media.begin(harness.account, "text.txt")
    harness.services.storage.put(media.storage_key, text.encode())
    media = harness.services.media.stored(media.id, len(text), "0" * 40)
    job_id = harness.create(media=media, task="speech", request={"response_format": "wav", "voice": "alloy"})
    harness.work(most=1)
    assert lose(harness, job_id) > 1
    harness.work()
    assert harness.job(job_id).status == JobStatus.COMPLETED
    assert harness.text(job_id).split() == text.split()
