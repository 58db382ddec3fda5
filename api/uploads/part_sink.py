"""Where one part of an upload goes: an object of its own in the upload's folder, and its row once all of it is there."""

from __future__ import annotations

import logging
from functools import partial

import anyio

from api.dependencies import AppContext
from api.uploads.sinks import PIECE
from infra.database.tables.uploads import UploadPart
from infra.files.upload_store import PART_BYTES, key_of, new_part
from infra.storage import ObjectWriter
from pipeline.errors import DatabaseUnavailable, EmptyMedia, MediaTooLarge, StenopoolError

log = logging.getLogger("stenopool.api")
TOO_LARGE = f"A part has at most {PART_BYTES} bytes (64 MiB). Send the rest as further parts."


class PartSink:
    """Streams one part into storage in bounded memory. What arrives of a part that breaks off goes with it."""

    def __init__(self, context: AppContext, account_id: str, upload_id: str) -> None:
        self._context, self._account_id, self._upload_id = context, account_id, upload_id
        self._piece = bytearray()
        self._total = 0
        self._writer: ObjectWriter | None = None
        self.part: UploadPart | None = None

    async def begin(self, filename: str, *, declared: bool = False) -> None:
        """Open the object. Raises NotFound, WrongState for an upload that takes no parts."""
        services = self._context.services
        upload = await self._context.query(partial(services.uploads.want_part, self._account_id, self._upload_id, 0))
        self.part = new_part(upload, 0)
        self._writer = await self._context.transfer(partial(services.storage.writer, key_of(self.part)))

    async def write(self, data: bytes) -> None:
        """Raises MediaTooLarge, StorageUnavailable, StorageFull."""
        self._total += len(data)
        if self._total > PART_BYTES:
            raise MediaTooLarge(TOO_LARGE, param="data")
        self._piece += data
        if len(self._piece) >= PIECE:
            await self._flush()

    async def finish(self) -> None:
        """Make the object visible, then its row. Raises EmptyMedia, WrongState, InvalidRequest, LimitExceeded."""
        part, writer = self.part, self._writer
        assert part is not None and writer is not None
        if not self._total:
            raise EmptyMedia("The part is empty.", param="data")
        await self._flush()
        await self._context.transfer(writer.commit)
        part.bytes, part.sha256, part.stored = writer.bytes, writer.sha256, True
        try:
            added = partial(self._context.services.uploads.add_part, self._account_id, part)
            self.part = await self._context.query(added)
        except DatabaseUnavailable:
            self.part = None  # the commit may have happened: its folder goes when the upload ends
            raise

    async def abort(self) -> None:
        """Remove whatever arrived. Never raises: what cannot be removed now goes with the upload's folder."""
        writer, self._writer = self._writer, None
        part, self.part = self.part, None
        with anyio.CancelScope(shield=True):
            try:
                if writer is not None:
                    await self._context.transfer(writer.abort)
                if part is not None:
                    await self._context.transfer(partial(self._context.services.storage.delete, key_of(part)))
            except StenopoolError as error:
                log.warning("a part that broke off stays until its upload ends: %s", error.code)

    async def _flush(self) -> None:
        assert self._writer is not None
        piece, self._piece = self._piece, bytearray()
        if piece:
            await self._context.transfer(partial(self._writer.write, piece))
