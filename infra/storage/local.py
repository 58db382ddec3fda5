"""Objects as files in a folder of this machine.

A file is written under a hidden name in its own folder, synced and renamed, so a reader sees all of it or nothing, also after a
power cut: a job is acknowledged once its media is here, and a chunk's file that came back empty would be taken for silence.
Folders that a deletion leaves empty go with it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from infra.storage.base import BLOCK_BYTES, ObjectWriter, StoredObject, check_folder, check_key, disk_errors
from pipeline.errors import DirectUploadUnavailable, InputMissing, InvalidRequest, StorageUnavailable

HIDDEN = ".part-"


def open_home(url: str) -> LocalStorage:
    """The folder of a ``file:///folder`` URL, made where it is missing."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise InvalidRequest("A file URL has three slashes: file:///absolute/folder", param="storage_url")
    return LocalStorage(Path(unquote(parts.path)))


class LocalStorage:
    """An object store in `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with disk_errors():
            root.mkdir(parents=True, exist_ok=True)

    def writer(self, key: str) -> ObjectWriter:
        return _FileWriter(self, self._path(key))

    def put(self, key: str, data: bytes) -> None:
        with self.writer(key) as writer:
            writer.write(data)

    def get(self, key: str) -> bytes:
        with self._typed_reads():
            return self._path(key).read_bytes()

    def blocks(self, key: str, offset: int = 0) -> Generator[bytes, None, None]:
        with self._typed_reads():
            file = self._path(key).open("rb")
        with file:
            file.seek(offset)
            while True:
                with self._typed_reads():
                    block = file.read(BLOCK_BYTES)
                if not block:
                    return
                yield block

    @contextmanager
    def recording(self, key: str) -> Iterator[Path]:
        if self.size(key) is None:
            raise InputMissing
        yield self._path(key)

    def size(self, key: str) -> int | None:
        path = self._path(key)
        try:
            with self._typed_reads():
                facts = path.stat()
        except InputMissing:
            return None
        return facts.st_size if stat.S_ISREG(facts.st_mode) else None

    def delete(self, *keys: str) -> None:
        for key in keys:
            path = self._path(key)
            with disk_errors():
                with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                    path.unlink()
                self.prune(path.parent)

    def delete_prefix(self, *prefixes: str) -> None:
        folders = [self._folder(prefix) for prefix in prefixes]
        if self.root in folders:
            raise ValueError("a folder must be named to be deleted")
        with disk_errors():
            for folder in folders:
                while folder.is_dir():  # again, where a writer added something meanwhile
                    with suppress(FileNotFoundError):
                        shutil.rmtree(folder)
                self.prune(folder.parent)

    def list(self, prefix: str, after: str = "") -> Iterator[StoredObject]:
        folder = self._folder(prefix)
        with disk_errors():
            for entry in _files_below(folder, _within(check_folder(prefix), after)):
                if entry.name.startswith("."):
                    continue
                with suppress(FileNotFoundError):
                    facts = entry.stat()
                    key = Path(entry.path).relative_to(self.root).as_posix()
                    yield StoredObject(key, facts.st_size, facts.st_mtime)

    def upload_url(self, key: str, size: int, *, seconds: int, public_url: str) -> str:
        raise DirectUploadUnavailable("This server keeps objects in a folder, not in S3: send the part's bytes here.")

    def abort_stale_uploads(self, older_than_seconds: float) -> int:
        found = 0
        with disk_errors():
            for entry in _files_below(self.root):
                with suppress(FileNotFoundError):
                    if entry.name.startswith(HIDDEN) and time.time() - entry.stat().st_mtime >= older_than_seconds:
                        Path(entry.path).unlink()
                        self.prune(Path(entry.path).parent)
                        found += 1
        return found

    def check(self) -> None:
        with disk_errors():
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f"{HIDDEN}{secrets.token_hex(8)}"
            probe.write_bytes(b"stenopool")
            probe.unlink(missing_ok=True)

    def close(self) -> None:
        """A folder holds nothing open."""

    def prune(self, folder: Path) -> None:
        """Remove `folder` and those above it for as long as they are empty; the root stays."""
        while folder != self.root:
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass
            except OSError:
                return
            folder = folder.parent

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def _folder(self, prefix: str) -> Path:
        return self.root / check_folder(prefix)

    @contextmanager
    def _typed_reads(self) -> Iterator[None]:
        """A missing file is InputMissing, unless the whole folder is away (a mount that is gone)."""
        with disk_errors():
            try:
                yield
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                if self.root.is_dir():
                    raise InputMissing from error
                raise StorageUnavailable("The storage folder is not there.") from error


class _FileWriter(ObjectWriter):
    """A hidden file beside its final name."""

    def __init__(self, store: LocalStorage, path: Path) -> None:
        super().__init__()
        self._store = store
        self._path = path
        self._hidden = path.with_name(f"{HIDDEN}{secrets.token_hex(8)}")
        self._file: IO[bytes] | None = None

    def _write(self, data: memoryview) -> None:
        with disk_errors():
            self._opened().write(data)

    def _commit(self) -> None:
        with disk_errors():
            with self._opened() as file:
                file.flush()
                os.fsync(file.fileno())
            self._hidden.replace(self._path)
            _sync_folder(self._path.parent)

    def _abort(self) -> None:
        with suppress(OSError):
            if self._file is not None:
                self._file.close()
        with suppress(OSError):
            self._hidden.unlink(missing_ok=True)
        with suppress(OSError):
            self._store.prune(self._path.parent)

    def _opened(self) -> IO[bytes]:
        for _ in range(100 if self._file is None else 0):
            _make_folder(self._path.parent, self._store.root)
            with suppress(FileNotFoundError):  # a deletion pruned the folder just now
                self._file = self._hidden.open("xb")
                break
        if self._file is None:
            raise StorageUnavailable("The storage folder is not there.")
        return self._file


def _make_folder(folder: Path, root: Path) -> None:
    """Like mkdir(parents=True), and each new folder's name is on disk before anything is in it."""
    if folder == root or folder.is_dir():
        return
    _make_folder(folder.parent, root)
    with suppress(FileExistsError, FileNotFoundError):
        folder.mkdir()
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Put a folder's names on disk; a folder that was deleted meanwhile needs none."""
    with suppress(FileNotFoundError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _within(prefix: str, after: str) -> str:
    """The key within the folder; one that sorts behind all of it comes behind every name there."""
    if after.startswith(prefix):
        return after.removeprefix(prefix)
    return "" if after < prefix else "\U0010ffff"


def _files_below(folder: Path, after: str = "") -> Iterator[os.DirEntry[str]]:
    """Every file in the tree, in the order of keys as S3 lists them: a folder counts with its slash. Those that sort behind the
    key `after`; folders whose keys all sort before it are not opened."""
    head, slash, rest = after.partition("/")
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name + "/" * entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in found:
        if not entry.is_dir(follow_symlinks=False):
            if entry.name > after:
                yield entry
        elif entry.name + "/" == head + slash:
            yield from _files_below(Path(entry.path), rest)
        elif entry.name + "/" > after:
            yield from _files_below(Path(entry.path))
