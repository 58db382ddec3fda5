"""An upload's parts made one object: read in their order, checked, written in constant memory."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from infra.database.tables.uploads import File, Upload
from infra.files.file_store import FileStore
from infra.files.upload_store import Joining, UploadStore, key_of
from infra.storage import ObjectStore
from pipeline.errors import ChecksumMismatch, StenopoolError

SIGN_OF_LIFE = 10.0  # seconds


@dataclass(frozen=True)
class Checksums:
    """What the whole must have, in hexadecimal; None is not compared."""

    md5: str | None = None
    sha256: str | None = None


class Joiner:
    """complete."""

    def __init__(self, uploads: UploadStore, files: FileStore, storage: ObjectStore) -> None:
        self._uploads, self._files, self._storage = uploads, files, storage

    def complete(
        self, account_id: str, upload_id: str, part_ids: Sequence[str], checksums: Checksums
    ) -> tuple[Upload, File]:
        """The upload and its file. Once more with the same parts: the same. Blocks for as long as its bytes take.

        Raises NotFound, WrongState, InvalidRequest for parts that are not the whole, ChecksumMismatch, LimitExceeded,
        StorageUnavailable, StorageFull.
        """
        self.look_for(upload_id)
        begun = self._uploads.begin_joining(account_id, upload_id, part_ids)
        if isinstance(begun, Upload):
            return begun, self._files.get(account_id, begun.file_id or "")
        try:
            return self._uploads.joined(begun, self._written(begun, checksums))
        except BaseException:
            with suppress(StenopoolError):
                self._uploads.not_joined(begun)
            raise

    def look_for(self, upload_id: str) -> None:
        """See which of the parts have come whose URLs were handed out."""
        promised = [part for part in self._uploads.parts(upload_id) if not part.stored]
        there = [part.id for part in promised if self._storage.size(key_of(part)) == part.bytes]
        if there:
            self._uploads.confirm(there)

    def _written(self, joining: Joining, wanted: Checksums) -> str:
        """The whole is in storage; its SHA-256."""
        md5 = hashlib.md5(usedforsecurity=False)
        with self._storage.writer(joining.media.storage_key) as writer:
            for block in self._blocks(joining):
                writer.write(block)
                if wanted.md5 is not None:
                    md5.update(block)
            _compare("md5", wanted.md5, md5.hexdigest())
            _compare("sha256", wanted.sha256, writer.sha256)
            self._uploads.still_joining(joining)  # whoever has taken over writes under the same key
        return writer.sha256

    def _blocks(self, joining: Joining) -> Iterator[bytes]:
        told = time.monotonic()
        for part in joining.parts:
            for block in self._storage.blocks(key_of(part)):
                yield block
                if time.monotonic() - told > SIGN_OF_LIFE:
                    self._uploads.still_joining(joining)
                    told = time.monotonic()


def _compare(name: str, wanted: str | None, found: str) -> None:
    if wanted is not None and wanted.lower() != found:
        raise ChecksumMismatch(f"The parts in this order have the {name} {found}, not {wanted}.", param=name)
