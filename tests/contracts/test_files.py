"""Files: media that an account keeps, whatever jobs come and go, and for as long as something live needs it."""

import pytest
from sqlalchemy import select, update

from infra.database.tables.accounts import Account
from infra.database.tables.storage import Erasure
from infra.database.tables.uploads import File, Media
from infra.files.file_store import FileStore
from infra.jobs.store import NewJob
from infra.keys.accounts import Accounts
from pipeline.errors import InputMissing, InvalidRequest, NotFound, WrongState
from tests.contracts.job_store_harness import ERROR, JobStoreHarness

LONG_AGO = 1.0


@pytest.fixture
def files(harness: JobStoreHarness) -> FileStore:
    return FileStore(harness.database)


def keep(
    harness: JobStoreHarness, name: str = "talk.wav", purpose: str = "user_data", seconds: int | None = None
) -> File:
    file, replayed = FileStore(harness.database).create(harness.upload(name), purpose=purpose, keep_seconds=seconds)
    assert replayed is None
    return file


def use(harness: JobStoreHarness, file: File) -> str:
    media = harness.media.get(harness.account, file.media_id)
    job, _ = harness.jobs.create(NewJob(account_id=harness.account, task="transcription", model="oracle", media=media))
    return job.id


def stored_bytes(harness: JobStoreHarness) -> int:
    with harness.database.read() as session:
        return session.get_one(Account, harness.account).stored_bytes


def age(harness: JobStoreHarness) -> None:
    with harness.database.write() as session:
        session.execute(update(Media).values(touched_at=LONG_AGO))


def test_a_file_belongs_to_its_account(harness: JobStoreHarness, files: FileStore) -> None:
    file = keep(harness, "a.wav")
    assert (file.filename, file.bytes, file.purpose, file.expires_at) == ("a.wav", 12, "user_data", None)
    assert files.get(harness.account, file.id).id == file.id
    stranger = Accounts(harness.database).create_account("other").id
    for account, name in ((stranger, file.id), (harness.account, "file-none")):
        for ask in (files.get, files.delete):
            with pytest.raises(NotFound):
                ask(account, name)
    assert files.list(stranger) == ([], False)


def test_pages_follow_one_another(harness: JobStoreHarness, files: FileStore) -> None:
    made = [keep(harness, f"{n}.wav", "batch" if n % 2 else "user_data").id for n in range(5)]
    first, more = files.list(harness.account, limit=2)
    assert ([file.id for file in first], more) == (made[:2:-1], True)
    rest, more = files.list(harness.account, limit=3, after=first[-1].id)
    assert ([file.id for file in rest], more) == (made[2::-1], False)
    rising, _ = files.list(harness.account, order="asc", after=made[1])
    assert [file.id for file in rising] == made[2:]
    batches, _ = files.list(harness.account, order="asc", purpose="batch")
    assert [file.id for file in batches] == [made[1], made[3]]
    with pytest.raises(InvalidRequest):
        files.list(harness.account, after="file-none")


def test_no_sweep_takes_what_is_kept(harness: JobStoreHarness) -> None:
    file = keep(harness)
    job = use(harness, file)
    harness.jobs.cancel(harness.account, job)
    harness.jobs.delete(harness.account, use(harness, file), force=True)
    age(harness)
    assert harness.media.orphans(0) == harness.media.unneeded(0) == harness.media.useless(file.media_id) == []
    assert harness.media.get(harness.account, file.media_id).state == "kept"
    assert stored_bytes(harness) == 12


def test_a_live_job_keeps_its_file(harness: JobStoreHarness, files: FileStore) -> None:
    file = keep(harness, seconds=3600)
    job = use(harness, file)
    with harness.database.write() as session:
        session.execute(update(File).values(expires_at=LONG_AGO))
    assert files.expire() == []
    with pytest.raises(WrongState, match="live job"):
        files.delete(harness.account, file.id)
    harness.jobs.fail(harness.claim(harness.jobs.get(harness.account, job)), ERROR)
    assert files.expire() == [file.id]
    assert files.expire() == []
    with pytest.raises(NotFound):
        files.get(harness.account, file.id)
    assert stored_bytes(harness) == 0


def test_deleting_takes_the_bytes(harness: JobStoreHarness, files: FileStore) -> None:
    file = keep(harness)
    key = harness.media.get(harness.account, file.media_id).storage_key
    files.delete(harness.account, file.id)
    with harness.database.read() as session:
        assert session.scalars(select(Erasure.place)).all() == [key]
        assert session.get(Media, file.media_id) is None
    assert stored_bytes(harness) == 0
    with pytest.raises(NotFound):
        files.delete(harness.account, file.id)


def test_media_that_are_gone_make_no_file(harness: JobStoreHarness, files: FileStore) -> None:
    media = harness.upload()
    harness.media.forget(media.id)
    with pytest.raises(InputMissing):
        files.create(media, purpose="user_data", keep_seconds=None)
