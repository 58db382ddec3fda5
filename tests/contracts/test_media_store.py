"""Uploads: found whatever happens, deleted only when nobody needs them."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from infra.database.tables import Media
from infra.keys.accounts import Accounts
from pipeline.errors import InputMissing, NotFound
from tests.contracts.job_store_harness import ERROR, JobDesk


def age(desk: JobDesk) -> None:
    with desk.database.write() as session:
        session.execute(update(Media).values(touched_at=1.0))


def test_the_row_is_there_before_the_first_byte(desk: JobDesk) -> None:
    media = desk.media.begin(desk.account, "../../etc/passwd")
    assert media.storage_key == f"t/{desk.account}/media/{media.id}"
    assert desk.media.get(desk.account, media.id).state == "pending"
    desk.media.touch(media.id)
    stored = desk.media.stored(media.id, 5 * 1024**3, "ab" * 32)
    assert (stored.state, stored.bytes, stored.sha256) == ("stored", 5 * 1024**3, "ab" * 32)


def test_media_belong_to_an_account(desk: JobDesk) -> None:
    media = desk.upload()
    stranger = Accounts(desk.database).create_account("other").id
    with pytest.raises(NotFound):
        desk.media.get(stranger, media.id)
    with pytest.raises(NotFound):
        desk.media.get(desk.account, "med_nothing")


def test_uploads_given_up_and_never_used_are_orphans(desk: JobDesk) -> None:
    used, unused, pending = desk.upload(), desk.upload(), desk.media.begin(desk.account, "half.wav")
    desk.submit(media=used)
    assert desk.media.orphans(3600) == []
    age(desk)
    assert {media.id for media in desk.media.orphans(3600)} == {unused.id, pending.id}
    assert desk.media.orphans(3600) == []
    for late in (lambda: desk.media.touch(pending.id), lambda: desk.media.stored(pending.id, 1, "x")):
        with pytest.raises(InputMissing):
            late()
    with pytest.raises(InputMissing):
        desk.submit(media=unused)
    desk.media.forget(unused.id)
    desk.media.forget(unused.id)
    with pytest.raises(NotFound):
        desk.media.get(desk.account, unused.id)
    age(desk)
    assert {media.id for media in desk.media.orphans(3600)} == {pending.id}


def test_an_upload_that_is_still_arriving_is_no_orphan(desk: JobDesk) -> None:
    slow = desk.media.begin(desk.account, "slow.wav")
    age(desk)
    desk.media.touch(slow.id)
    assert desk.media.orphans(3600) == []


def test_orphans_come_in_bounded_pages(desk: JobDesk) -> None:
    for _ in range(5):
        desk.media.begin(desk.account, None)
    age(desk)
    assert [len(desk.media.orphans(3600, limit=2)) for _ in range(4)] == [2, 2, 1, 0]


def test_media_stays_while_any_job_may_need_it(desk: JobDesk) -> None:
    media = desk.upload()
    one, two = desk.submit(media=media), desk.submit(media=media)
    age(desk)
    desk.jobs.cancel(desk.account, one.id)
    assert desk.media.unneeded(0) == desk.media.orphans(0) == []
    desk.jobs.fail(desk.claim(two), ERROR)
    assert desk.media.unneeded(3600) == []
    assert [row.id for row in desk.media.unneeded(0)] == [media.id]
    assert desk.media.unneeded(0) == []
    desk.media.forget(media.id)
    assert desk.media.get(desk.account, media.id).state == "deleted"


def test_a_retried_job_needs_its_media_again(desk: JobDesk) -> None:
    job = desk.submit(media=desk.upload())
    desk.jobs.fail(desk.claim(job), ERROR)
    desk.jobs.retry(desk.account, job.id)
    assert desk.media.unneeded(-60) == []


def test_media_of_purged_jobs_goes_at_once(desk: JobDesk) -> None:
    job = desk.submit(media=desk.upload(), retention_seconds=0)
    desk.jobs.cancel(desk.account, job.id)
    assert desk.media.unneeded(3600) == []
    desk.jobs.purged(job.id)
    assert [row.id for row in desk.media.unneeded(3600)] == [job.media_id]


def test_a_job_and_the_sweep_never_take_the_same_media(desk: JobDesk) -> None:
    for _ in range(10):
        media = desk.upload()
        age(desk)
        start = threading.Barrier(2)

        def submit(media: Media = media, start: threading.Barrier = start) -> bool:
            start.wait()
            try:
                desk.submit(media=media)
            except InputMissing:
                return False
            return True

        with ThreadPoolExecutor(1) as thread:
            submitted = thread.submit(submit)
            start.wait()
            given_up = [row.id for row in desk.media.orphans(3600)]
            assert submitted.result() is (media.id not in given_up)
