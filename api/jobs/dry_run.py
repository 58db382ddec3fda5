"""How long, how many chunks, how much: found out without making a job, and without keeping anything.

A recording that is sent or fetched for this goes into a file without a name, which is gone with its last descriptor,
whatever happens to this process. It is decoded and cut exactly as a job would, so what is told is what would be billed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from fastapi import Request

from api.dependencies import Desk
from api.http.sse import Absence
from api.sync.background_work import Underway
from api.uploads.sinks import PIECE, beyond
from infra.storage.base import disk_errors
from pipeline.cut.channel_chunks import Sound
from pipeline.cut.cutter import CutProfile
from pipeline.cut.time_range import Part
from pipeline.errors import EmptyMedia, MediaTooLarge
from pipeline.transcript import samples_to_ms

FETCH_SECONDS = 300.0  # for a recording behind a URL; a job has hours
Measured = tuple[int, int]  # (ms, chunks), of all channels that are heard


@dataclass(frozen=True)
class Hearing:
    """How a job would hear a recording."""

    profile: CutProfile
    part: Part
    separate: bool  # each channel by itself


class Scratch:
    """A file without a name, for one recording of at most `limit` bytes. A sink for a form, and for a download."""

    def __init__(self, desk: Desk, *, limit: int) -> None:
        self._desk = desk
        self._limit = limit
        self._piece = bytearray()
        self._total = 0
        self._file: IO[bytes] | None = None

    async def begin(self, filename: str) -> None:
        """Open the file. Raises StorageFull."""
        await self._desk.move(self.open)

    async def write(self, data: bytes) -> None:
        """Raises MediaTooLarge above the limit, StorageFull."""
        self._piece += data
        if self._total + len(self._piece) > self._limit:
            raise MediaTooLarge(beyond(self._limit), param="file")
        if len(self._piece) >= PIECE:
            await self._flush()

    async def finish(self) -> None:
        """All of it has come."""
        await self._flush()

    async def abort(self) -> None:
        """Let go of the file."""
        self.close()

    def open(self) -> None:
        """In the data folder, where there is room for recordings."""
        with disk_errors():
            self._file = tempfile.TemporaryFile(dir=self._desk.services.settings.home)  # noqa: SIM115 - closed by `close`

    def take(self, data: bytes) -> None:
        """The next bytes, from a thread. Raises StorageFull."""
        assert self._file is not None
        with disk_errors():
            self._file.write(data)
        self._total += len(data)

    def measured(self, how: Hearing, absence: Absence) -> Measured:
        """Blocks for as long as it takes to decode. Raises EmptyMedia and what else is wrong with it, ClientGone."""
        assert self._file is not None
        if not self._total:
            raise EmptyMedia("The file is empty.", param="file")
        with disk_errors():
            self._file.flush()
        path, most = Path(f"/dev/fd/{self._file.fileno()}"), self._desk.services.settings.max_audio_seconds
        sound = Sound(path, part=how.part, separate=how.separate, max_seconds=most, watch=absence.check)
        chunks = sum(1 for _ in sound.chunks(how.profile))
        return samples_to_ms(sound.samples), chunks

    def close(self) -> None:
        """The file is gone."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    async def _flush(self) -> None:
        piece, self._piece = bytes(self._piece), bytearray()
        if piece:
            await self._desk.move(partial(self.take, piece))


async def measure(request: Request, desk: Desk, scratch: Scratch, how: Hearing) -> Measured:
    """The recording in `scratch`, which is closed afterwards; given up when the client leaves."""
    return await _attended(request, desk, scratch, partial(scratch.measured, how))


async def fetch_and_measure(
    request: Request, desk: Desk, url: str, headers: Mapping[str, str], how: Hearing
) -> Measured:
    """The same for what is behind a URL. Raises OutboundRefused, DownloadFailed, MediaTooLarge."""
    most = desk.services.settings.max_upload_bytes
    scratch = Scratch(desk, limit=most)

    def whole(absence: Absence) -> Measured:
        def sink(data: bytes) -> None:
            absence.check()
            scratch.take(data)

        scratch.open()
        desk.services.outbound.download(url, headers, sink, max_bytes=most, deadline_s=FETCH_SECONDS)
        return scratch.measured(how, absence)

    return await _attended(request, desk, scratch, whole)


async def _attended(request: Request, desk: Desk, scratch: Scratch, call: Callable[[Absence], Measured]) -> Measured:
    """What `call` finds out in a thread, with somebody watching the door meanwhile."""

    async def work(absence: Absence, _hand_out: object) -> Measured:
        try:
            return await desk.measure(partial(call, absence))
        finally:
            scratch.close()

    working: Underway[Measured, object] = Underway(work)
    await working.attended(request.receive, seconds=None)
    return working.result()
