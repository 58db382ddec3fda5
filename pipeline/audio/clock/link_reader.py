"""What reads the sound of a link: a sandboxed ffmpeg that is told what to read and how, or nobody where the samples stand there as
they are asked for."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.audio.access.entry import Entry
from pipeline.audio.access.open_source import OpenSource, without
from pipeline.audio.access.restored import Amended
from pipeline.audio.access.torn_pages import TornPages
from pipeline.audio.clock.link_start import is_stamped
from pipeline.audio.clock.plain_samples import PlainSamples
from pipeline.audio.clock.skip import Skip
from pipeline.audio.containers.table import MATROSKA, MP4, OGG, WAV
from pipeline.audio.containers.wav_format import plain_sound
from pipeline.audio.ffmpeg.arguments import SAMPLE_RATE, Picked, decode_arguments, list_arguments
from pipeline.audio.ffmpeg.binary import Ffmpeg, find_ffmpeg
from pipeline.audio.ffmpeg.cpu_affinity import keep_together
from pipeline.audio.ffmpeg.decoder_progress import DecoderProgress
from pipeline.audio.ffmpeg.feeder import Feeder
from pipeline.audio.ffmpeg.log_parser import Log
from pipeline.audio.ffmpeg.process import STALL_SECONDS, Child
from pipeline.audio.ffmpeg.sandbox import Level, sandbox_level
from pipeline.audio.joined.lost_pieces import as_free_space
from pipeline.audio.matroska.torn_blocks import torn_blocks
from pipeline.audio.source import Recording

MOST_SECONDS = 7 * 24 * 3600  # that are reckoned with when the caller sets no limit
_CPU_SECONDS_PER_SECOND = 0.2  # of sound; a slow core decodes an hour of AAC in some 20 s
_CPU_SECONDS_AT_LEAST = 300


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How every link of a recording is decoded. `max_seconds`: of what is decoded; a leap that is longer is a wrong stamp."""

    max_seconds: float | None = None
    channel: int | None = None
    sample_rate: int = SAMPLE_RATE
    level: Level | None = None
    tool: Ffmpeg | None = None
    stall_seconds: float = STALL_SECONDS


@dataclass(frozen=True, kw_only=True)
class How:
    """`followed`: every frame is told of, with its stamp. `wide`: in two channels whatever it has. With `skip` from there on, and
    of the input from `entry` on."""

    followed: bool = False
    wide: bool = False
    skip: Skip | None = None
    entry: Entry | None = None


class LinkReader:
    """Of one link of what is open; `track` counts its sound tracks from 0. `torn_pages` of the last one started, where it is an Ogg
    that had to be mended, always so once it `is_torn`."""

    def __init__(self, source: OpenSource, recording: Recording, settings: Settings, track: int) -> None:
        self.torn_pages: TornPages | None = None
        self.is_torn = False
        self.settings = settings
        self._source, self._track = source, track
        self._found, self._end, self._left_out = recording.found, recording.end, recording.left_out
        self._is_stamped = is_stamped(recording, track)
        self._is_altered = bool(recording.claim or any(recording.absent[track : track + 1]))

    def started(self, how: How) -> Child | PlainSamples:
        """The next one. Whoever started it closes it."""
        return self._as_they_are() or self._launched(how)

    def mend_heads(self) -> float:
        """Of Matroska, whose decoder passes over what is damaged without a word, and over more. The share of its bytes."""
        if self._found.container is not MATROSKA:
            return 0.0
        begin, end = self._found.start, self._end or self._source.size
        mended = torn_blocks(self._source.read, begin, end)
        self._source = Amended(self._source, mended.changes) if mended.changes else self._source
        return sum(stop - start for start, stop in mended.lost) / (end - begin)

    def _as_they_are(self) -> PlainSamples | None:
        """Where ffmpeg would hand on nothing but the bytes that stand there."""
        found, settings = self._found, self.settings
        if found.container is not WAV or found.options or self._is_altered or settings.channel:
            return None
        sound = plain_sound(self._source.read, found.start, self._end or self._source.size)
        if sound is None or sound.rate != settings.sample_rate or not self._source.is_at_hand(sound.end):
            return None
        return PlainSamples(self._source, sound)

    def _launched(self, how: How) -> Child:
        skip, entry = how.skip, how.entry
        picked = Picked(
            track=self._track,
            channel=self.settings.channel,
            sample_rate=self.settings.sample_rate,
            followed=how.followed,
            wide=how.wide,
            stamped=self._is_stamped,
            seek=skip.seek if skip and (entry is None or entry.before is None) else None,
            trim=skip.trim(entry) if skip else "",
        )
        mended = (how.followed or self.is_torn) and self._found.container is OGG
        descriptor = None if entry or self._left_out or mended else self._source.descriptor()
        feeder = Feeder(self._passing(entry, mended=mended)) if descriptor is None else None
        return self._child(picked, descriptor, feeder)

    def _child(self, picked: Picked, descriptor: int | None, feeder: Feeder | None) -> Child:
        settings, tool = self.settings, self.settings.tool or find_ffmpeg()
        seconds = MOST_SECONDS if settings.max_seconds is None else settings.max_seconds
        child = Child(
            tool,
            decode_arguments(tool, self._found, picked, end=self._end, piped=descriptor is None),
            level=settings.level or sandbox_level(),
            cpu_seconds=int(_CPU_SECONDS_AT_LEAST + seconds * _CPU_SECONDS_PER_SECOND),
            stdin=subprocess.PIPE if descriptor is None else descriptor,
            feeder=feeder,
            stall_seconds=settings.stall_seconds,
            progress=DecoderProgress(),
        )
        keep_together(child.pid)
        return child

    def _passing(self, entry: Entry | None, *, mended: bool) -> Iterator[bytes]:
        blocks = self._source.passing(self._found, self._end, entry)
        if mended:
            self.torn_pages = TornPages()
            return self.torn_pages.mended(blocks)
        if not self._left_out:
            return blocks
        hidden = as_free_space if self._found.container is MP4 else without
        return hidden(blocks, self._found.start, self._left_out)

    def listing(self) -> Log | None:
        """What ffmpeg says of it when it is shown its end, too; None where a whole file was there for it to see."""
        descriptor = self._source.ends()
        if descriptor is None:
            return None
        settings, tool = self.settings, self.settings.tool or find_ffmpeg()
        try:
            with Child(
                tool,
                list_arguments(tool, self._found, end=self._end),
                level=settings.level or sandbox_level(),
                cpu_seconds=_CPU_SECONDS_AT_LEAST,
                stdin=descriptor,
                stall_seconds=settings.stall_seconds,
            ) as child:
                while child.read():
                    pass
                return child.log
        finally:
            os.close(descriptor)
