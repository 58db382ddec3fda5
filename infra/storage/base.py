"""What an object store can do, whatever holds the bytes.

A key is a relative path like ``t/acct_1/media/med_2``: segments joined by slashes, made by us, never by a caller. Segments
that begin with a dot are the stores' own. A *folder* is the part of a key before one of its slashes; ``""`` is everything.

Every failure is one of `pipeline.errors`: InputMissing (the object is not there), StorageFull (no room), StorageUnavailable
(anything else). No vendor's exception leaves a store.

How to add a home: one file here with ``open_home(url) -> ObjectStore``, its scheme in `infra.storage.HOMES`, its fixture in
the contract suite.
"""

from __future__ import annotations

import errno
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from pipeline.audio.access.remote import Remote
from pipeline.errors import StorageFull, StorageUnavailable

BLOCK_BYTES = 1024 * 1024  # what `blocks` hands out at a time, at most
MAX_KEY_BYTES = 900  # S3 takes 1024 with the prefix
Data = bytes | bytearray | memoryview
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_SEGMENT = re.compile(r"[A-Za-z0-9_=+@,-][A-Za-z0-9._=+@,-]{0,199}")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object in a listing; `modified` is in epoch seconds by the store's clock."""

    key: str
    size: int
    modified: float


def check_key(key: str) -> str:
    """The key itself. Raises ValueError for one that no code of ours should have made."""
    if len(key) > MAX_KEY_BYTES or not all(_SEGMENT.fullmatch(part) for part in key.split("/")):
        raise ValueError(f"not a storage key: {key!r}")
    return key


def check_folder(prefix: str) -> str:
    """A folder's prefix with its closing slash; "" stays "" and means everything."""
    bare = prefix.removesuffix("/")
    return f"{check_key(bare)}/" if bare else ""


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn what this machine's disk raises into StorageFull and StorageUnavailable."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFull from error
        raise StorageUnavailable(f"The disk failed: {error.strerror or 'input/output error'}") from error


class ObjectWriter(ABC):
    """One object while it is written: visible after a clean exit, nothing of it left after any other.

    Callers that cannot use ``with`` (an event loop hands the calls to threads) call `commit` or `abort` themselves. `abort`
    after `commit` does nothing, and it waits for a `write` that still runs in another thread.
    """

    def __init__(self) -> None:
        self._hash = sha256()
        self._bytes = 0
        self._state = "open"
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """How many bytes were written so far."""
        return self._bytes

    @property
    def sha256(self) -> str:
        """The hash of what was written so far, in hexadecimal."""
        return self._hash.hexdigest()

    def write(self, data: Data) -> None:
        """Append. After a failure the writer only takes an abort."""
        with self._lock:
            self._must_be_open()
            self._state = "broken"
            self._write(memoryview(data))
            self._hash.update(data)
            self._bytes += len(data)
            self._state = "open"

    def commit(self) -> None:
        """Make the object visible, in place of an older one of the same key."""
        with self._lock:
            self._must_be_open()
            self._state = "broken"
            try:
                self._commit()
            except BaseException:
                self._state = "aborted"
                self._abort()
                raise
            self._state = "committed"

    def abort(self) -> None:
        """Leave nothing behind. Never raises: it runs where another error is on its way."""
        with self._lock:
            if self._state in ("open", "broken"):
                self._state = "aborted"
                self._abort()

    def _must_be_open(self) -> None:
        if self._state != "open":
            raise StorageUnavailable(f"The upload was {self._state} before its end.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.abort()

    @abstractmethod
    def _write(self, data: memoryview) -> None: ...

    @abstractmethod
    def _commit(self) -> None: ...

    @abstractmethod
    def _abort(self) -> None: ...


class ObjectStore(Protocol):
    """Where media, chunk sound and results live. Thread-safe; every call blocks."""

    def writer(self, key: str) -> ObjectWriter:
        """Write an object of any size, block by block, in constant memory. The last writer of a key wins."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write a small object at once."""
        ...

    def get(self, key: str) -> bytes:
        """The whole object. Raises InputMissing."""
        ...

    def blocks(self, key: str, offset: int = 0) -> Generator[bytes, None, None]:
        """The object from `offset` on, which is within it, in blocks of at most 1 MiB. Raises InputMissing at the first one."""
        ...

    def recording(self, key: str) -> AbstractContextManager[Path | Remote]:
        """The object to decode from, for as long as the context lasts: in its file, or in ranges without a copy here. Raises
        InputMissing."""
        ...

    def size(self, key: str) -> int | None:
        """Its bytes, or None where there is no such object."""
        ...

    def delete(self, *keys: str) -> None:
        """Remove objects; those that are not there are removed already."""
        ...

    def delete_prefix(self, *prefixes: str) -> None:
        """Remove everything in these folders, what is still being written there included; several cost little more than one."""
        ...

    def list(self, prefix: str, after: str = "") -> Iterator[StoredObject]:
        """Every object in the folder `prefix` and below, by key, from behind the key `after` on."""
        ...

    def upload_url(self, key: str, size: int, *, seconds: int, public_url: str) -> str:
        """Where a client may PUT an object of exactly `size` bytes for so many seconds, at the store's address `public_url`.

        Raises DirectUploadUnavailable where the store has no such URLs.
        """
        ...

    def abort_stale_uploads(self, older_than_seconds: float) -> int:
        """Remove what dead writers left: uploads that got nothing for that long. Returns how many."""
        ...

    def check(self) -> None:
        """Whether objects can be stored now, in a few seconds. Makes the folder or bucket where it is missing."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


@dataclass(frozen=True, slots=True)
class BucketObject:
    """One object in a bucket of somebody else; `etag` is another one whenever its bytes are others."""

    key: str
    size: int
    etag: str
    modified: float  # epoch seconds


class Bucket(Protocol):
    """A bucket that is not ours, of which the keys are others' own. Thread-safe; every call blocks.

    Raises as an ObjectStore does, and SourceChanged for an object that is not that version any more.
    """

    def objects(self, folder: str) -> Iterator[BucketObject]:
        """Every object whose key begins so, by key, a page in memory."""
        ...

    def head(self, key: str) -> BucketObject | None:
        """What is there, or None."""
        ...

    def blocks(self, key: str, etag: str | None = None) -> Generator[bytes, None, None]:
        """The object, or just this version of it, in blocks of at most 1 MiB. Raises InputMissing at the first one."""
        ...

    def writer(self, key: str) -> ObjectWriter:
        """Write an object, which is there as a whole after a clean exit, and not at all before."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...
