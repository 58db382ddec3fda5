"""One suite for every home of objects: a folder, moto's server, and where it is installed a real S3 server."""

import hashlib
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.storage import ObjectStore, open_storage
from infra.storage.base import BLOCK_BYTES
from infra.storage.s3 import S3Storage
from pipeline.errors import InputMissing, StorageUnavailable
from tests.support.s3_fixtures import S3_SERVERS
from tests.support.s3_server import S3Server

MIB = 1024 * 1024
KEY = "t/acct_1/media/med_1"


@dataclass
class Home:
    """A store, and how to look behind its back: what is really there, unfinished uploads included."""

    store: ObjectStore
    remains: Callable[[], list[str]]


BUCKET = f"contract-{uuid.uuid4().hex}"  # one for the run, a prefix of its own for each test: buckets are slow to make


@pytest.fixture(params=["folder", *S3_SERVERS])
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    if request.param == "folder":
        made = folder_home(tmp_path / "a b" / "störage")
    else:
        server: S3Server = request.getfixturevalue(request.param)
        server.use(monkeypatch)
        made = s3_home(f"some/{uuid.uuid4().hex}")
    with closing(made.store):
        made.store.check()
        yield made


@pytest.fixture
def store(home: Home) -> ObjectStore:
    return home.store


def folder_home(root: Path) -> Home:
    return Home(open_storage(root.as_uri()), lambda: [str(path.relative_to(root)) for path in root.rglob("*")])


def s3_home(prefix: str) -> Home:
    store = open_storage(f"s3://{BUCKET}/{prefix}")
    assert isinstance(store, S3Storage)

    def remains() -> list[str]:
        found = store._s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        unfinished = store._s3.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix).get("Uploads", [])
        return [each["Key"] for each in (*found, *unfinished)]

    return Home(store, remains)


def keys(store: ObjectStore, prefix: str = "") -> list[str]:
    return [found.key for found in store.list(prefix)]


@pytest.mark.parametrize("size", [0, 1, 1000, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 20_000_000])
def test_what_is_written_comes_back(store: ObjectStore, size: int) -> None:
    content = os.urandom(size)
    with store.writer(KEY) as writer:
        for start in range(0, size, 300_000):
            writer.write(content[start : start + 300_000])
        assert writer.bytes == size
    assert writer.sha256 == hashlib.sha256(content).hexdigest()
    assert store.size(KEY) == size
    blocks = list(store.blocks(KEY))
    assert b"".join(blocks) == content == store.get(KEY)
    assert all(0 < len(block) <= BLOCK_BYTES for block in blocks)
    assert keys(store) == [KEY]


@pytest.mark.parametrize("offset", [1, MIB - 1, MIB, 2 * MIB + 7])
def test_blocks_from_somewhere_on(store: ObjectStore, offset: int) -> None:
    content = os.urandom(2 * MIB + 8)
    store.put(KEY, content)
    assert b"".join(store.blocks(KEY, offset)) == content[offset:]


def test_one_write_of_many_parts(store: ObjectStore) -> None:
    content = os.urandom(17 * MIB)
    store.put(KEY, content)
    with store.writer("t/a/b") as writer:
        writer.write(bytearray(content))
        writer.write(memoryview(content))
    assert store.get(KEY) == content
    assert store.get("t/a/b") == content * 2


def test_nothing_is_visible_before_the_end(store: ObjectStore) -> None:
    with store.writer(KEY) as writer:
        writer.write(bytes(9 * MIB))
        assert store.size(KEY) is None
        assert keys(store) == []
        with pytest.raises(InputMissing):
            store.get(KEY)
    assert store.size(KEY) == 9 * MIB


@pytest.mark.parametrize("size", [0, 1000, 20 * MIB])
def test_an_abort_in_the_middle_leaves_nothing(home: Home, size: int) -> None:
    with pytest.raises(KeyboardInterrupt), home.store.writer(KEY) as writer:
        writer.write(bytes(size))
        raise KeyboardInterrupt
    assert home.remains() == []
    assert home.store.size(KEY) is None
    with pytest.raises(StorageUnavailable):
        writer.write(b"more")
    with pytest.raises(StorageUnavailable):
        writer.commit()


def test_an_abort_leaves_the_older_object(store: ObjectStore) -> None:
    store.put(KEY, b"old")
    with suppress(RuntimeError), store.writer(KEY) as writer:
        writer.write(bytes(9 * MIB))
        raise RuntimeError
    assert store.get(KEY) == b"old"


def test_without_a_context(home: Home) -> None:
    writer = home.store.writer(KEY)
    writer.write(b"a")
    writer.commit()
    writer.abort()  # after the fact: nothing
    assert home.store.get(KEY) == b"a"
    dropped = home.store.writer("t/x")
    dropped.write(bytes(9 * MIB))
    dropped.abort()
    dropped.abort()
    home.store.delete(KEY)
    assert home.remains() == []


def test_the_last_of_several_writers_wins(store: ObjectStore) -> None:
    first, second = store.writer(KEY), store.writer(KEY)
    first.write(b"1" * 9 * MIB)
    second.write(b"2" * 9 * MIB)
    second.commit()
    first.commit()
    assert store.get(KEY) == b"1" * 9 * MIB


def test_concurrent_writers_leave_one_whole_object(home: Home) -> None:
    contents = [bytes([number]) * (9 * MIB) for number in range(4)]
    threads = [threading.Thread(target=home.store.put, args=(KEY, content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert home.store.get(KEY) in contents
    home.store.delete(KEY)
    assert home.remains() == []


def test_missing(store: ObjectStore) -> None:
    store.put("t/there", b"x")
    for missing in (KEY, "t", "t/there/below"):
        assert store.size(missing) is None
        with pytest.raises(InputMissing):
            store.get(missing)
        with pytest.raises(InputMissing):
            next(iter(store.blocks(missing)))
        with pytest.raises(InputMissing), store.recording(missing):
            pass
        store.delete(missing)
    assert keys(store) == ["t/there"]


def test_a_recording_is_read_in_ranges_and_nothing_is_copied(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    content = os.urandom(3 * MIB + 5)
    store.put(KEY, content)
    with store.recording(KEY) as recording:
        if isinstance(recording, Path):
            assert recording.read_bytes() == content
            return
        assert recording.size == len(content)
        assert recording.read(MIB - 3, 10) == content[MIB - 3 : MIB + 7]
        assert recording.read(len(content) - 3, 3) == content[-3:]
        assert b"".join(recording.blocks(2 * MIB + 1)) == content[2 * MIB + 1 :]
        store.put(KEY, b"another")
        with pytest.raises(StorageUnavailable):
            recording.read(0, 5)
    assert list((tmp_path / "temporary").iterdir()) == []
    with pytest.raises(InputMissing), store.recording("t/none"):
        pass


def test_listing_is_by_folder_and_in_order(store: ObjectStore) -> None:
    before = time.time()
    names = ["t/a/1", "t/a-b", "t/a/b/2", "t/a=", "t/ab/3", "t/a.x", "u"]
    for name in names:
        store.put(name, name.encode())
    assert keys(store) == sorted(names)
    assert keys(store, "t/a") == keys(store, "t/a/") == ["t/a/1", "t/a/b/2"]
    assert keys(store, "t/a/1") == keys(store, "nothing") == []
    for after in ["", "a", "t/a", "t/a-b", "t/a.x", "t/a/", "t/a/1", "t/a/b", "t/a/b/2", "t/a/z", "t/zz", "u", "z"]:
        for folder in ("", "t", "t/a", "t/a/b"):
            behind = [found.key for found in store.list(folder, after)]
            assert behind == [name for name in keys(store, folder) if name > after], (folder, after)
    [found] = store.list("t/ab")
    assert (found.key, found.size) == ("t/ab/3", 6)
    assert abs(found.modified - before) < 3600


def test_a_deletion_leaves_nothing(home: Home) -> None:
    for name in ("t/a/jobs/1/x", "t/a/jobs/1/deep/er/y", "t/a/jobs/12/z", "t/a/media/m"):
        home.store.put(name, b"x")
    half = home.store.writer("t/a/jobs/1/half")
    half.write(bytes(9 * MIB))
    home.store.delete_prefix("t/a/jobs/1")
    assert keys(home.store) == ["t/a/jobs/12/z", "t/a/media/m"]
    with pytest.raises(StorageUnavailable):
        half.commit()
    home.store.delete("t/a/jobs/12/z", "t/a/media/m", "t/never/was")
    home.store.delete_prefix("t/a")
    home.store.delete()
    assert home.remains() == []


def test_several_folders_are_deleted_at_once(home: Home) -> None:
    for name in ("t/a/jobs/1/x", "t/a/jobs/12/y", "t/a/jobs/2/z", "t/b/jobs/1/x"):
        home.store.put(name, b"x")
    half, other = (home.store.writer(key) for key in ("t/a/jobs/2/half", "t/a/jobs/12/half"))
    for writer in (half, other):
        writer.write(bytes(9 * MIB))
    home.store.delete_prefix("t/a/jobs/1", "t/a/jobs/2/", "t/b/jobs/1", "t/never/was")
    assert keys(home.store) == ["t/a/jobs/12/y"]
    with pytest.raises(StorageUnavailable):
        half.commit()
    other.commit()
    assert keys(home.store) == ["t/a/jobs/12/half", "t/a/jobs/12/y"]


def test_more_objects_than_a_page(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.storage.s3.PAGE", 10)
    names = [f"t/many/{number:04}" for number in range(33)]
    for name in names:
        store.put(name, b"")
    assert keys(store) == names
    store.delete(*names[:12])
    assert keys(store) == names[12:]
    store.delete_prefix("t/many/")
    assert keys(store) == []


def test_stale_uploads_are_found_and_others_left(home: Home) -> None:
    abandoned = home.store.writer(KEY)
    abandoned.write(bytes(9 * MIB))
    assert home.remains() != []
    assert home.store.abort_stale_uploads(0) == 1
    assert home.remains() == []
    with pytest.raises(StorageUnavailable):
        abandoned.commit()
    assert home.remains() == []


def test_an_upload_that_still_grows_is_not_stale(home: Home, request: pytest.FixtureRequest) -> None:
    with home.store.writer(KEY) as writer:
        writer.write(bytes(9 * MIB))
        if "moto_s3" not in request.node.callspec.id:  # moto's uploads all began in 2010
            assert home.store.abort_stale_uploads(3600) == 0
    assert home.store.size(KEY) == 9 * MIB


NO_KEYS = (
    "/a",
    "a//b",
    ".",
    "..",
    "../a",
    "a/../b",
    "a/./b",
    "a/.hidden",
    "a\\b",
    "a\0b",
    "a b",
    "ä",
    "a\n",
    "~/a",
    "a:b",
)
TOO_LONG = ("a" * 201, "a/" * 500 + "a")


def test_keys_that_are_not_keys(store: ObjectStore) -> None:
    for key in ("", "/", "a/", *NO_KEYS, *TOO_LONG):
        for use in (store.get, store.size, store.writer, store.delete, lambda key: store.put(key, b"")):
            with pytest.raises(ValueError):
                use(key)
    for key in (*NO_KEYS, *TOO_LONG):
        with pytest.raises(ValueError):
            store.delete_prefix(key)
        with pytest.raises(ValueError):
            list(store.list(key))
    with pytest.raises(ValueError), store.recording("../a"):
        pass


def test_everything_is_not_deleted_by_mistake(store: ObjectStore) -> None:
    store.put(KEY, b"x")
    for nothing in ("", "/"):
        with pytest.raises(ValueError):
            store.delete_prefix(nothing)
    assert keys(store) == [KEY]


def test_check_makes_what_is_missing_and_can_be_repeated(store: ObjectStore) -> None:
    store.check()
    store.check()
    assert keys(store) == []
