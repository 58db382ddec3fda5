"""What is special about a folder: full disks, killed writers, deletions that race with writers."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from infra.storage import open_storage
from infra.storage.base import disk_errors
from infra.storage.local import LocalStorage
from pipeline.errors import InputMissing, InvalidRequest, StorageFull, StorageUnavailable

KEY = "t/acct_1/media/med_1"


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    "url", ["", "/srv/storage", "ftp://x/y", "file://host/x", "file:relative", "s3:///x", "s3://", "s3://b?x=1"]
)
def test_urls_that_name_no_store(url: str) -> None:
    with pytest.raises(InvalidRequest):
        open_storage(url)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_room_is_said(number: int) -> None:
    with pytest.raises(StorageFull), disk_errors():
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.EROFS, errno.ENOENT, errno.ESTALE, errno.EMFILE])
def test_other_trouble_is_unavailability(number: int) -> None:
    with pytest.raises(StorageUnavailable) as caught, disk_errors():
        raise OSError(number, os.strerror(number), "/secret/path")
    assert type(caught.value) is StorageUnavailable
    assert "/secret" not in caught.value.message


WRITE_UNTIL_FULL = """
import resource, sys
from pathlib import Path
from infra.storage.local import LocalStorage
from pipeline.errors import StorageFull
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    with LocalStorage(Path(sys.argv[1])).writer("t/a/b") as writer:
        for _ in range(10):
            writer.write(bytes(300_000))
except StorageFull:
    print("full at", writer.bytes)
"""


@pytest.mark.processes
def test_a_full_disk_is_typed_and_leaves_nothing(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", WRITE_UNTIL_FULL, str(tmp_path)], capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("full at 900000\n", "")
    assert left(tmp_path) == []


WRITE_FOR_EVER = """
import sys
from pathlib import Path
from infra.storage.local import LocalStorage
with LocalStorage(Path(sys.argv[1])).writer("t/a/b") as writer:
    writer.write(bytes(300_000))
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.mark.processes
def test_a_killed_writer_leaves_what_the_sweep_finds(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        assert child.stdout.readline() == b"writing\n"
        child.send_signal(signal.SIGKILL)
    store = LocalStorage(tmp_path)
    assert list(store.list("")) == []
    assert len(left(tmp_path)) == 3
    assert store.abort_stale_uploads(3600) == 0
    assert store.abort_stale_uploads(0) == 1
    assert left(tmp_path) == []


def test_a_folder_that_is_away_is_not_a_missing_object(tmp_path: Path) -> None:
    store = LocalStorage(tmp_path / "mount")
    (tmp_path / "mount").rmdir()
    uses = (store.get, store.size, lambda key: store.put(key, b""), lambda key: list(store.blocks(key)))
    for use in uses:
        with pytest.raises(StorageUnavailable) as caught:
            use(KEY)
        assert not isinstance(caught.value, InputMissing)
    store.check()
    store.put(KEY, b"back")
    assert store.get(KEY) == b"back"


def test_a_root_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageUnavailable):
        open_storage((tmp_path / "file").as_uri())
    store = LocalStorage(tmp_path / "root")
    (tmp_path / "root").rmdir()
    (tmp_path / "root").write_bytes(b"")
    with pytest.raises(StorageUnavailable):
        store.check()


def test_writers_and_deletions_in_one_folder_do_not_disturb_each_other(tmp_path: Path) -> None:
    store, trouble = LocalStorage(tmp_path), []

    def work(name: str) -> None:
        try:
            for _ in range(40):
                store.put(f"t/a/{name}/x", b"x")
                assert store.get(f"t/a/{name}/x") == b"x"
                store.delete(f"t/a/{name}/x")
        except Exception as error:  # noqa: BLE001
            trouble.append(error)

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trouble == []
    assert left(tmp_path) == []


def test_a_reader_goes_on_while_its_object_is_replaced_or_deleted(tmp_path: Path) -> None:
    store = LocalStorage(tmp_path)
    store.put(KEY, bytes(3_000_000))
    blocks = store.blocks(KEY)
    first = next(blocks)
    store.put(KEY, b"new")
    store.delete(KEY)
    assert len(first) + sum(map(len, blocks)) == 3_000_000
