"""Where an uploaded file goes: straight into storage for a job, into memory for a synchronous answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import anyio
import anyio.to_thread
from starlette.requests import Request

from api.dependencies import AppContext
from api.uploads.form import MAX_FIELDS
from infra.database.tables.uploads import Media
from infra.keys.accounts import Principal
from infra.storage.base import ObjectWriter
from pipeline.audio.duration.estimate import Ends
from pipeline.audio.first_look import FirstLook
from pipeline.errors import EmptyMedia, MediaTooLarge, StenopoolError, UnsupportedMedia

log = logging.getLogger("stenopool.api")

PIECE = 1024 * 1024  # bytes per write: one thread hop each
MARGIN = 1024 * 1024  # bytes of a form's own framing, at most
FRAMING = 64 * 1024  # bytes around the file in nearly every form
TOUCH_SECONDS = 15.0  # how often a running upload says that it lives
SYNC_LIMIT = 25 * 1024 * 1024  # bytes: what OpenAI's synchronous endpoints take
TOO_LARGE = "File size exceeds maximum of 25MB. Larger files are taken by POST /v1/audio/jobs."


def announced_bytes(request: Request) -> int:
    """Of the whole body; 0 where its length is not said."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isdigit() else 0


@contextmanager
def size_first(request: Request, limit: int, message: str) -> Iterator[None]:
    """Around the reading of a form. Raises MediaTooLarge for a body whose own length says that its file cannot be within the limit.

    A file that is refused by its first bytes, in a body larger than the limit, is told to be too large: its sender can see that.
    """
    announced = announced_bytes(request)
    if announced > limit + MAX_FIELDS + MARGIN:
        raise MediaTooLarge(message, param="file")
    try:
        yield
    except UnsupportedMedia:
        if announced > limit + FRAMING:
            raise MediaTooLarge(message, param="file") from None
        raise


def beyond(limit: int) -> str:
    """What is said of a file that is larger than a job may be."""
    return f"The file is larger than the configured limit of {limit} bytes."


async def look_at(look: FirstLook | None, data: bytes) -> None:
    """Where that takes its time, in a thread. Raises UnsupportedMedia."""
    if look is not None and not look.is_short(data):
        await anyio.to_thread.run_sync(look.add, data)
    elif look is not None:
        look.add(data)


class MemorySink:
    """Holds one file of at most 25 MiB, in a body of `announced` bytes.

    Where the body is so near to the limit that nobody knows whether the file is beyond, one that is refused by its first bytes
    is counted to its end: too large is the truth that its sender can see.
    """

    def __init__(self, announced: int = 0, hold: Callable[[int], None] | None = None) -> None:
        """`hold` is told of all that is kept in memory, and may raise ServerBusy."""
        self._hold = hold
        self._blocks: list[bytes] = []
        self._total = 0
        self._look: FirstLook | None = None
        self._counts_on = SYNC_LIMIT < announced <= SYNC_LIMIT + FRAMING
        self._refused: UnsupportedMedia | None = None

    async def begin(self, filename: str, *, declared: bool = False) -> None:
        """Look at what comes, unless it is declared."""
        self._look = None if declared else FirstLook()

    async def write(self, data: bytes) -> None:
        """Raises UnsupportedMedia by the first bytes, MediaTooLarge above the limit."""
        self._total += len(data)
        if self._total > SYNC_LIMIT:
            raise MediaTooLarge(TOO_LARGE, param="file")
        if self._refused is None:
            await self._take(data)

    async def _take(self, data: bytes) -> None:
        try:
            await look_at(self._look, data)
        except UnsupportedMedia as refused:
            if not self._counts_on:
                raise
            self._refused, self._blocks = refused, []
        else:
            if self._hold:
                self._hold(len(data))
            self._blocks.append(data)

    async def finish(self) -> None:
        """Raises EmptyMedia where nothing came, UnsupportedMedia where that was put off."""
        if self._refused:
            raise self._refused
        if not self._total:
            raise EmptyMedia("The file is empty.", param="file")

    async def abort(self) -> None:
        """Let go of the bytes."""
        self._blocks = []

    def take(self) -> bytes:
        """The whole file; the sink keeps no second copy."""
        blocks, self._blocks = self._blocks, []
        return b"".join(blocks)


class StorageSink:
    """Streams one file into storage, with its row committed before the first byte.

    Memory is bounded by one piece, whatever the file's size; the client is slowed down to storage's speed. Room among what the
    account may store is reserved before the first byte of a body of `announced` bytes, and before every further one.
    """

    def __init__(self, context: AppContext, principal: Principal, *, limit: int, announced: int = 0) -> None:
        self._context = context
        self._principal = principal
        self._limit = limit
        self._announced = announced
        self._piece = bytearray()
        self._writer: ObjectWriter | None = None
        self._total = 0
        self._touched_at = time.monotonic()
        self.media: Media | None = None
        self.ends = Ends()  # what tells how long it lasts, about
        self.look: FirstLook | None = None

    async def begin(self, filename: str, *, declared: bool = False) -> None:
        """Commit the row, open the object. What is not declared is looked at while it comes. Raises LimitExceeded."""
        self.look = None if declared else FirstLook()
        services = self._context.services
        expected = min(self._announced, self._limit)
        sure = max(0, expected - MAX_FIELDS - MARGIN)
        begin = partial(services.media.begin, self._principal.account_id, filename, expected=expected, at_least=sure)
        self.media = await self._context.query(begin)
        self._writer = await self._context.transfer(partial(services.storage.writer, self.media.storage_key))

    async def write(self, data: bytes) -> None:
        """Raises UnsupportedMedia by the first bytes, MediaTooLarge above the limit, LimitExceeded where the account has no
        room for it, StorageUnavailable and StorageFull from storage."""
        await look_at(self.look, data)
        self._total += len(data)
        if self._total > self._limit:
            raise MediaTooLarge(beyond(self._limit), param="file")
        self._piece += data
        self.ends.add(data)
        if len(self._piece) >= PIECE:
            await self._flush()

    async def finish(self) -> None:
        """Make the object visible and its row say so. Raises EmptyMedia where nothing came."""
        assert self.media is not None
        if not self._total:
            raise EmptyMedia("The file is empty.", param="file")
        await self._flush()
        writer = self._writer
        assert writer is not None
        await self._context.transfer(writer.commit)
        self._writer = None
        self.media = await self._context.query(
            partial(self._context.services.media.stored, self.media.id, writer.bytes, writer.sha256)
        )

    async def abort(self) -> None:
        """Remove whatever arrived. Never raises: what cannot be removed now, the sweep finds by the media row."""
        with anyio.CancelScope(shield=True):
            try:
                await self._discard()
            except StenopoolError as error:
                log.warning("an unfinished upload stays for the sweep: %s", error.code)

    async def _discard(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            await self._context.transfer(writer.abort)
        if self.media is not None:
            media, self.media = self.media, None
            await self._context.transfer(partial(self._context.services.storage.delete, media.storage_key))
            await self._context.query(partial(self._context.services.media.forget, media.id))

    async def _flush(self) -> None:
        assert self._writer is not None
        assert self.media is not None
        piece, self._piece = self._piece, bytearray()
        if self._total > self.media.counted:
            self.media = await self._context.query(partial(self._context.services.media.grow, self.media, self._total))
        if piece:
            await self._context.transfer(partial(self._writer.write, piece))
        if time.monotonic() - self._touched_at > TOUCH_SECONDS:
            self._touched_at = time.monotonic()
            await self._context.query(partial(self._context.services.media.touch, self.media.id))


class KeptSink(StorageSink):
    """The same for a file that need not be sound."""

    async def begin(self, filename: str, *, declared: bool = False) -> None:
        """As of one whose sound was declared: nothing looks at its bytes."""
        await super().begin(filename, declared=True)
