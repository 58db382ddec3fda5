"""A database from before a chunk was done, beside a store from after it: the chunk's own input is gone, the whole is not."""

from decimal import Decimal

import pytest

from infra.database.tables.jobs import Job
from infra.money.job_money import Terms
from infra.money.ledger import Ledger
from pipeline.catalog.model import Prices
from pipeline.lifecycle import JobStatus
from tests.support.recordings import long, short
from tests.workers.conftest import WorkerHarness
from workers import deletions

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


TEXT = "The first passage is long enough. " * 60 + "The last one ends it."


def spoken_job(harness: WorkerHarness) -> str:
    media = harness.services.media.begin(harness.account, "text.txt")
    harness.services.storage.put(media.storage_key, TEXT.encode())
    media = harness.services.media.stored(media.id, len(TEXT), "0" * 40)
    job_id = harness.create(
        media=media,
        task="speech",
        input={"characters": len(TEXT)},
        terms=Terms(prices=Prices(thousand_characters=Decimal(1)), text=TEXT),
        request={"response_format": "wav", "voice": "alloy"},
    )
    harness.work(most=1)
    return job_id


def test_text_that_is_gone_is_taken_from_the_whole_again(harness: WorkerHarness) -> None:
    job_id = spoken_job(harness)
    assert lose(harness, job_id) > 1
    harness.work()
    assert harness.job(job_id).status == JobStatus.COMPLETED
    assert harness.text(job_id).split() == TEXT.split()


def lose_spoken(harness: WorkerHarness, job_id: str, most: int = 1000) -> None:
    """What has been spoken, after the sweep has dropped its text, and the text of all others."""
    deletions.drop_sound(harness.services)
    chunks = [chunk for chunk in harness.services.jobs.chunks(job_id) if chunk.result_key]
    assert chunks
    harness.services.storage.delete(*(str(chunk.result_key) for chunk in chunks[:most]))
    lose(harness, job_id)


@pytest.mark.parametrize("lost", [1, 1000], ids=["one", "all"])
@pytest.mark.parametrize("spoken", [1, 1000], ids=["a few are spoken", "all are spoken"])
def test_passages_whose_sound_is_gone_are_spoken_again_and_paid_once(
    harness: WorkerHarness, spoken: int, lost: int
) -> None:
    job_id = spoken_job(harness)
    passages = len(harness.services.jobs.chunks(job_id))
    harness.work(most=min(spoken, passages))
    stored = harness.job(job_id).stored_bytes
    lose_spoken(harness, job_id, lost)
    harness.work()
    job = harness.job(job_id)
    assert (job.status, job.captured_micro) == (JobStatus.COMPLETED, 1000 * len(TEXT)), job.error
    assert harness.text(job_id).split() == TEXT.split()
    assert Ledger(harness.services.database).check() == []
    kept = sum(harness.services.storage.size(str(key)) or 0 for key in (job.result_key, (job.sound or {})["key"]))
    assert stored > 0
    assert job.stored_bytes == kept + int((job.sound or {}).get("peaks") or 0)
    again = [event for event in harness.services.jobs.events(harness.account, job_id) if event.type == "chunk.retrying"]
    assert len(again) == job.chunks_retried == min(lost, spoken, passages)


def test_a_store_that_keeps_no_sound_is_not_tried_for_ever(harness: WorkerHarness) -> None:
    job_id = spoken_job(harness)
    for _ in range(harness.services.settings.max_attempts):
        while not all(chunk.result_key for chunk in harness.services.jobs.chunks(job_id)):
            assert harness.work(most=1)
        lose_spoken(harness, job_id)
        harness.work(most=1)
    job = harness.job(job_id)
    assert (job.status, (job.error or {})["code"]) == (JobStatus.FAILED, "input_missing")
    assert (job.captured_micro, Ledger(harness.services.database).check()) == (0, [])
