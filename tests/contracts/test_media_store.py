"""Uploads: found whatever happens, deleted only when nobody needs them."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from infra.database.tables.accounts import Account
from infra.database.tables.uploads import Media
from infra.keys.accounts import Accounts
from infra.media import objects_of
from pipeline.errors import InputMissing, NotFound
from tests.contracts.job_store_harness import ERROR, JobStoreHarness


def stored_bytes(harness: JobStoreHarness) -> int:
    with harness.database.read() as session:
        return session.get_one(Account, harness.account).stored_bytes


def age(harness: JobStoreHarness) -> None:
    with harness.database.write() as session:
        session.execute(update(Media).values(touched_at=1.0))


def test_the_row_is_there_before_the_first_byte(harness: JobStoreHarness) -> None:
    media = harness.media.begin(harness.account, "../../etc/passwd")
    assert media.storage_key == f"t/{harness.account}/media/{media.id}"
    assert harness.media.get(harness.account, media.id).state == "pending"
    harness.media.touch(media.id)
    stored = harness.media.stored(media.id, 5 * 1024**3, "ab" * 32)
    assert (stored.state, stored.bytes, stored.sha256) == ("stored", 5 * 1024**3, "ab" * 32)


def test_media_belong_to_an_account(harness: JobStoreHarness) -> None:
    media = harness.upload()
    stranger = Accounts(harness.database).create_account("other").id
    with pytest.raises(NotFound):
        harness.media.get(stranger, media.id)
    with pytest.raises(NotFound):
        harness.media.get(harness.account, "med_nothing")


def test_uploads_given_up_and_never_used_are_orphans(harness: JobStoreHarness) -> None:
    used, unused, pending = harness.upload(), harness.upload(), harness.media.begin(harness.account, "half.wav")
    harness.submit(media=used)
    assert harness.media.orphans(3600) == []
    age(harness)
    assert {media.id for media in harness.media.orphans(3600)} == {unused.id, pending.id}
    assert harness.media.orphans(3600) == []
    for late in (lambda: harness.media.touch(pending.id), lambda: harness.media.stored(pending.id, 1, "x")):
        with pytest.raises(InputMissing):
            late()
    with pytest.raises(InputMissing):
        harness.submit(media=unused)
    harness.media.forget(unused.id)
    harness.media.forget(unused.id)
    with pytest.raises(NotFound):
        harness.media.get(harness.account, unused.id)
    age(harness)
    assert {media.id for media in harness.media.orphans(3600)} == {pending.id}


def test_an_upload_that_is_still_arriving_is_no_orphan(harness: JobStoreHarness) -> None:
    slow = harness.media.begin(harness.account, "slow.wav")
    age(harness)
    harness.media.touch(slow.id)
    assert harness.media.orphans(3600) == []


def test_orphans_come_in_bounded_pages(harness: JobStoreHarness) -> None:
    for _ in range(5):
        harness.media.begin(harness.account, None)
    age(harness)
    assert [len(harness.media.orphans(3600, limit=2)) for _ in range(4)] == [2, 2, 1, 0]


def test_media_stays_while_any_job_may_need_it(harness: JobStoreHarness) -> None:
    media = harness.upload()
    one, two = harness.submit(media=media), harness.submit(media=media)
    age(harness)
    harness.jobs.cancel(harness.account, one.id)
    assert harness.media.unneeded(0) == harness.media.orphans(0) == []
    harness.jobs.fail(harness.claim(two), ERROR)
    assert harness.media.unneeded(3600) == []
    assert [row.id for row in harness.media.unneeded(0)] == [media.id]
    assert harness.media.unneeded(0) == []
    harness.media.forget(media.id)
    assert harness.media.get(harness.account, media.id).state == "deleted"


def test_a_copy_counts_and_goes_with_its_recording(harness: JobStoreHarness) -> None:
    media = harness.upload()
    for size in (100, 30):  # made once more, it counts once
        harness.media.copied(media.id, size)
        now = harness.media.get(harness.account, media.id)
        assert (now.copied, now.counted, len(objects_of(now))) == (size, 12 + size, 2)
        assert stored_bytes(harness) == 12 + size
    job = harness.submit(media=media)
    harness.jobs.cancel(harness.account, job.id)
    assert stored_bytes(harness) == 0
    assert set(objects_of(now)) <= set(harness.jobs.to_erase())
    with pytest.raises(InputMissing):
        harness.media.copied(media.id, 5)


def test_a_retried_job_needs_its_media_again(harness: JobStoreHarness) -> None:
    job = harness.submit(media=harness.upload())
    harness.jobs.fail(harness.claim(job), ERROR)
    harness.jobs.retry(harness.account, job.id)
    assert harness.media.unneeded(-60) == []


def test_media_of_purged_jobs_goes_at_once(harness: JobStoreHarness) -> None:
    job = harness.submit(media=harness.upload(), retention_seconds=0)
    harness.jobs.fail(harness.claim(job), ERROR)
    assert harness.media.unneeded(3600) == []
    harness.purge(job)
    assert [row.id for row in harness.media.unneeded(3600)] == [job.media_id]


def test_a_job_and_the_sweep_never_take_the_same_media(harness: JobStoreHarness) -> None:
    for _ in range(10):
        media = harness.upload()
        age(harness)
        start = threading.Barrier(2)

        def submit(media: Media = media, start: threading.Barrier = start) -> bool:
            start.wait()
            try:
                harness.submit(media=media)
            except InputMissing:
                return False
            return True

        with ThreadPoolExecutor(1) as thread:
            submitted = thread.submit(submit)
            start.wait()
            given_up = [row.id for row in harness.media.orphans(3600)]
            assert submitted.result() is (media.id not in given_up)
