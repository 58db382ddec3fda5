"""Uploads part by part: any order, one end, nothing left, and the quota tells the truth all along."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select, update

from infra.database.session import Database
from infra.database.tables.accounts import Account
from infra.database.tables.storage import Erasure
from infra.database.tables.uploads import Upload, UploadPart
from infra.files.file_store import FileStore
from infra.files.joining import Checksums, Joiner
from infra.files.upload_store import Joining, NewUpload, UploadStore, folder_of, key_of, new_part
from infra.keys.accounts import Accounts
from infra.media import MediaStore
from infra.storage import ObjectStore, open_storage
from pipeline.errors import ChecksumMismatch, InvalidRequest, LimitExceeded, NotFound, StorageUnavailable, WrongState
from tests.support.s3_server import S3Server

CONTENT = b"the whole of it"
PIECES = (b"the ", b"whole", b" of it")


@dataclass
class Place:
    """An account that uploads to some store."""

    database: Database
    account: str
    storage: ObjectStore
    uploads: UploadStore
    joiner: Joiner

    def begin(self, size: int = len(CONTENT)) -> Upload:
        new = NewUpload(self.account, "talk.wav", "user_data", "audio/wav", size, None)
        return self.uploads.create(new)[0]

    def send(self, upload: Upload, data: bytes) -> str:
        part = new_part(upload, len(data), sha256=hashlib.sha256(data).hexdigest())
        self.storage.put(key_of(part), data)
        return self.uploads.add_part(self.account, part).id

    def stored_bytes(self) -> int:
        with self.database.read() as session:
            return session.get_one(Account, self.account).stored_bytes

    def complete(self, upload: Upload, parts: list[str], **checksums: str) -> bytes:
        _, file = self.joiner.complete(self.account, upload.id, parts, Checksums(**checksums))
        return self.storage.get(MediaStore(self.database).get(self.account, file.media_id).storage_key)


@pytest.fixture(params=["folder", "moto_s3"])
def place(
    request: pytest.FixtureRequest, database: Database, account: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    url = tmp_path.as_uri()
    if request.param != "folder":
        server: S3Server = request.getfixturevalue(request.param)
        server.use(monkeypatch)
        url = f"s3://uploads/{tmp_path.name}"
    with closing(open_storage(url)) as storage:
        storage.check()
        uploads = UploadStore(database)
        yield Place(database, account, storage, uploads, Joiner(uploads, FileStore(database), storage))


def test_the_order_is_that_of_completion(place: Place) -> None:
    upload = place.begin()
    last, first, wrong, middle = (place.send(upload, data) for data in (PIECES[2], PIECES[0], b"WHOLE", PIECES[1]))
    assert [part.id for part in place.uploads.parts(upload.id)] == [last, first, wrong, middle]
    md5, sha256 = hashlib.md5(CONTENT).hexdigest(), hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(ChecksumMismatch):
        place.complete(upload, [first, wrong, last], md5=md5)
    with pytest.raises(ChecksumMismatch):
        place.complete(upload, [last, first, middle], sha256=sha256)
    assert place.complete(upload, [first, middle, last], md5=md5.upper(), sha256=sha256) == CONTENT
    assert place.complete(upload, [first, middle, last]) == CONTENT, "an answer that was lost is given again"
    with pytest.raises(WrongState):
        place.complete(upload, [first, last, middle])
    with place.database.read() as session:
        assert folder_of(upload) in session.scalars(select(Erasure.place)).all()
        assert session.scalars(select(UploadPart)).all() == []
    assert place.stored_bytes() == len(CONTENT)


def test_parts_that_are_not_the_whole_are_refused(place: Place) -> None:
    upload = place.begin()
    first, rest = place.send(upload, CONTENT[:4]), place.send(upload, CONTENT[4:])
    for parts in ([first], [first, first, rest], [first, rest, "part_none"]):
        with pytest.raises(InvalidRequest):
            place.complete(upload, parts)
    with pytest.raises(InvalidRequest, match="cannot belong"):
        place.send(upload, CONTENT + b"!")
    assert place.complete(upload, [first, rest]) == CONTENT


@pytest.mark.parametrize("end", ["cancel", "expire"])
def test_what_ends_without_a_file_leaves_nothing(place: Place, end: str) -> None:
    upload = place.begin()
    place.send(upload, CONTENT)
    assert place.stored_bytes() == len(CONTENT)
    assert place.uploads.expire() == []
    if end == "cancel":
        place.uploads.cancel(place.account, upload.id)
    else:
        with place.database.write() as session:
            session.execute(update(Upload).values(expires_at=1.0))
        assert place.uploads.expire() == [upload.id]
    assert place.uploads.get(place.account, upload.id).status == f"{end}led" if end == "cancel" else "expired"
    assert (place.stored_bytes(), place.uploads.parts(upload.id)) == (0, [])
    late: list[Callable[[], object]] = [
        lambda: place.send(upload, b"x"),
        lambda: place.complete(upload, ["part_1"]),
        lambda: place.uploads.file_of(place.account, upload.id),
    ]
    for call in late:
        with pytest.raises(WrongState):
            call()
    with place.database.read() as session:
        assert folder_of(upload) in session.scalars(select(Erasure.place)).all()
    with place.database.write() as session:
        session.execute(update(Upload).values(ended_at=1.0))
    place.uploads.forget(60)
    with pytest.raises(NotFound):
        place.uploads.get(place.account, upload.id)


def test_an_upload_lives_a_day_from_its_last_part_on(place: Place) -> None:
    upload = place.begin()
    with place.database.write() as session:
        session.execute(update(Upload).values(expires_at=upload.created_at + 1000))
    place.send(upload, CONTENT)
    assert place.uploads.get(place.account, upload.id).expires_at >= upload.created_at + 24 * 3600


def test_no_sweep_takes_an_upload_that_rests(place: Place) -> None:
    upload, media = place.begin(), MediaStore(place.database)
    assert media.orphans(-1) == []
    place.uploads.cancel(place.account, upload.id)
    place.uploads.cancel(place.account, upload.id)


def test_room_is_reserved_and_parts_sent_again_count(place: Place) -> None:
    Accounts(place.database).update(place.account, limits={"stored_bytes": 20})
    with pytest.raises(LimitExceeded):
        place.begin(21)
    upload = place.begin(12)
    with pytest.raises(LimitExceeded):
        place.begin(9)
    for _ in range(2):
        place.send(upload, b"0123456789")
    assert place.stored_bytes() == 20
    with pytest.raises(LimitExceeded):
        place.send(upload, b"0")


def test_two_never_join_at_once_and_who_died_is_followed(place: Place) -> None:
    upload = place.begin()
    part = place.send(upload, CONTENT)
    begun = place.uploads.begin_joining(place.account, upload.id, [part])
    assert isinstance(begun, Joining)
    for call in (
        lambda: place.complete(upload, [part]),
        lambda: place.uploads.cancel(place.account, upload.id),
        lambda: place.send(upload, b"x"),
    ):
        with pytest.raises(WrongState, match="being completed"):
            call()
    with place.database.write() as session:
        session.execute(update(Upload).values(lease_until=1.0, expires_at=upload.created_at + 10**6))
    assert place.complete(upload, [part]) == CONTENT
    for late in (place.uploads.still_joining, lambda joining: place.uploads.joined(joining, "00")):
        with pytest.raises(WrongState):
            late(begun)
    place.uploads.not_joined(begun)
    assert place.uploads.get(place.account, upload.id).status == "completed"


def test_a_store_that_fails_leaves_the_upload_as_it_was(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = place.begin()
    part = place.send(upload, CONTENT)

    def away(_key: str) -> Iterator[bytes]:
        raise StorageUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(place.storage, "blocks", away)
        with pytest.raises(StorageUnavailable):
            place.complete(upload, [part])
    assert place.complete(upload, [part]) == CONTENT


def test_a_part_that_was_promised_counts_when_it_came(place: Place) -> None:
    upload = place.begin()
    promised = place.uploads.add_part(place.account, new_part(upload, len(CONTENT)))
    place.uploads.offered(upload.id, 3600)
    with pytest.raises(InvalidRequest, match="have not come"):
        place.complete(upload, [promised.id])
    place.storage.put(key_of(promised), CONTENT)
    assert place.complete(upload, [promised.id]) == CONTENT
    with place.database.read() as session:
        erasure = session.get_one(Erasure, folder_of(upload))
    assert erasure.due_at >= upload.created_at + 3600, "its URL still takes bytes until then"
