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

from api.dependencies import AppContext
from api.http.client_disconnect import ClientDisconnect
from api.http.error_responses import ServerBusy
from api.sync.background_work import BackgroundWork
from api.uploads.sinks import PIECE, beyond, look_at
from infra.limits.estimate_minutes import EstimateMeter
from infra.storage.base import disk_errors
from pipeline.audio.first_look import FirstLook
from pipeline.cut.channel_chunks import Sound
from pipeline.cut.cutter import CutProfile
from pipeline.cut.time_range import Part
from pipeline.errors import AudioStalled, EmptyMedia, MediaTooLarge
from pipeline.options import TranscriptionOptions
from pipeline.transcript import samples_to_ms

STALLED_MS = 3_600_000  # of sound, that a decoder could have brought out in the time that it worked for nothing
FETCH_SECONDS = 300.0  # for a recording behind a URL; a job has hours
Measured = tuple[int, int]  # (ms of sound that were decoded, chunks), of all tracks and channels that are heard


@dataclass(frozen=True)
class HearingPlan:
    """How a job would hear a recording."""

    profile: CutProfile
    part: Part
    options: TranscriptionOptions


class Scratch:
    """A file without a name, for one recording of at most `limit` bytes, if the account may have one estimated. A sink for a form,
    and for a download."""

    def __init__(self, context: AppContext, account_id: str, *, limit: int) -> None:
        self._context, self._account_id = context, account_id
        self._limit = limit
        self._piece = bytearray()
        self._total = self._held = 0
        self._file: IO[bytes] | None = None
        self._look: FirstLook | None = None

    async def begin(self, filename: str, *, declared: bool = False) -> None:
        """Open the file; look at what comes, unless it is declared. Raises QuotaExceeded, StorageFull."""
        self._look = None if declared else FirstLook()
        await self._context.transfer(self.open)

    async def write(self, data: bytes) -> None:
        """Raises UnsupportedMedia by the first bytes, MediaTooLarge above the limit, StorageFull."""
        await look_at(self._look, data)
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
        """In the data folder, where there is room for recordings. Raises QuotaExceeded, before anything is sent or fetched."""
        self._context.services.estimate_minutes.check(self._account_id)
        with disk_errors():
            self._file = tempfile.TemporaryFile(dir=self._context.services.settings.home)  # noqa: SIM115 - closed by `close`

    def take(self, data: bytes) -> None:
        """The next bytes, from a thread. Raises StorageFull, ServerBusy where too much is being estimated."""
        assert self._file is not None
        if not self._context.scratch.take(self._account_id, len(data)):
            raise ServerBusy
        self._held += len(data)
        with disk_errors():
            self._file.write(data)
        self._total += len(data)

    def measured(self, how: HearingPlan, disconnect: ClientDisconnect) -> Measured:
        """Blocks for as long as it takes to decode. Raises EmptyMedia and what else is wrong with it, QuotaExceeded, ClientGone."""
        assert self._file is not None
        if not self._total:
            raise EmptyMedia("The file is empty.", param="file")
        with disk_errors():
            self._file.flush()
        meter = self._context.services.estimate_minutes.begin(self._account_id)
        path, most = Path(f"/dev/fd/{self._file.fileno()}"), self._context.services.settings.max_audio_seconds
        sound = Sound(
            path,
            part=how.part,
            separate=how.options.separate,
            track=how.options.audio_track,
            max_seconds=most,
            watch=lambda: _watch(disconnect, meter, sound.made),
            declared=how.options.raw,
        )
        return _cut(sound, how.profile, meter)

    def close(self) -> None:
        """The file is gone."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()
            self._context.scratch.give_back(self._account_id, self._held)
            self._held = 0

    async def _flush(self) -> None:
        piece, self._piece = bytes(self._piece), bytearray()
        if piece:
            await self._context.transfer(partial(self.take, piece))


def _watch(disconnect: ClientDisconnect, meter: EstimateMeter, samples: int) -> None:
    disconnect.check()
    meter.reached(samples_to_ms(samples))


def _cut(sound: Sound, profile: CutProfile, meter: EstimateMeter) -> Measured:
    """A chunk counts as a second at least, whatever it holds: there may be one for each hole."""
    chunks = 0
    try:
        for _ in sound.chunks(profile):
            chunks += 1
            meter.reached(max(samples_to_ms(sound.made), 1000 * chunks))
    except AudioStalled:
        meter.reached(samples_to_ms(sound.made) + STALLED_MS)
        raise
    meter.finish()
    return samples_to_ms(sound.samples), chunks


async def measure(request: Request, context: AppContext, scratch: Scratch, how: HearingPlan) -> Measured:
    """The recording in `scratch`, which is closed afterwards; given up when the client leaves."""
    return await _watched(request, context, scratch, partial(scratch.measured, how))


async def fetch_and_measure(
    request: Request, context: AppContext, account_id: str, source: tuple[str, Mapping[str, str]], how: HearingPlan
) -> Measured:
    """The same for what is behind a URL, asked for with headers. Raises OutboundRefused, DownloadFailed, MediaTooLarge."""
    most = context.services.settings.max_upload_bytes
    scratch = Scratch(context, account_id, limit=most)

    def whole(disconnect: ClientDisconnect) -> Measured:
        look = None if how.options.raw else FirstLook()

        def sink(data: bytes) -> None:
            disconnect.check()
            if look:
                look.add(data)
            scratch.take(data)

        scratch.open()
        context.services.outbound.download(*source, sink, max_bytes=most, deadline_s=FETCH_SECONDS)
        return scratch.measured(how, disconnect)

    return await _watched(request, context, scratch, whole)


async def _watched(
    request: Request, context: AppContext, scratch: Scratch, call: Callable[[ClientDisconnect], Measured]
) -> Measured:
    """What `call` finds out in a thread, while the client is watched."""

    async def work(disconnect: ClientDisconnect, _hand_out: object) -> Measured:
        try:
            return await context.measure(partial(call, disconnect))
        finally:
            scratch.close()

    working: BackgroundWork[Measured, object] = BackgroundWork(work)
    await working.watched(request.receive, seconds=None)
    return working.result()
