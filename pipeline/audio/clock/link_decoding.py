"""One link of a recording, which is mostly all of it, through ffmpeg to samples on its own clock.

It is watched first, which is fast; where the stream does what a plain one does not (another format, a hole, a leap, damage) it is
decoded once more from its beginning, followed frame by frame, and what was handed out already is skipped.
"""

from __future__ import annotations

import math
import os
import subprocess
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.audio.access.entry import Entry
from pipeline.audio.access.open_source import OpenSource, without
from pipeline.audio.access.torn_pages import TornPages
from pipeline.audio.clock.edited import Edited
from pipeline.audio.clock.mixdown import Mixdown
from pipeline.audio.clock.placement import Piece
from pipeline.audio.clock.plain_samples import PlainSamples
from pipeline.audio.clock.skip import Skip, skip_before
from pipeline.audio.clock.stated_length import Heard, lacking, tells_by_end
from pipeline.audio.clock.stream_clock import Leap, Run, StreamClock
from pipeline.audio.containers.table import (
    AAC,
    AC3,
    AIFF,
    AMR,
    AU,
    AVI,
    CAF,
    DTS,
    EAC3,
    MATROSKA,
    MP3,
    MP4,
    OGG,
    W64,
    WAV,
    WAVPACK,
)
from pipeline.audio.containers.wav_format import plain_sound
from pipeline.audio.duration.truncation import STREAMED
from pipeline.audio.ffmpeg.arguments import SAMPLE_RATE, Picked, decode_arguments, list_arguments
from pipeline.audio.ffmpeg.binary import Ffmpeg, find_ffmpeg
from pipeline.audio.ffmpeg.cpu_affinity import keep_together
from pipeline.audio.ffmpeg.decoder_progress import DecoderProgress
from pipeline.audio.ffmpeg.error_mapping import failure, refuse_strange
from pipeline.audio.ffmpeg.feeder import Feeder
from pipeline.audio.ffmpeg.frame_events import JITTER, FrameEvents, beginning, is_surprise
from pipeline.audio.ffmpeg.log_parser import AudioStream, Log
from pipeline.audio.ffmpeg.process import BLOCK_BYTES, STALL_SECONDS, Child
from pipeline.audio.ffmpeg.sandbox import Level, sandbox_level
from pipeline.audio.joined.lost_pieces import as_free_space
from pipeline.audio.mp4.damaged_index import damaged_index, unheard_sound
from pipeline.audio.mp4.data_references import ELSEWHERE
from pipeline.audio.source import Recording
from pipeline.errors import AudioStalled, DamagedMedia, InvalidRequest, SandboxFailed, StenopoolError, UnsupportedMedia

_MOST_SECONDS = 7 * 24 * 3600  # that processor time is reckoned with when the caller sets no limit
_CPU_SECONDS_PER_SECOND = 0.2  # of sound; a slow core decodes an hour of AAC in some 20 s
_CPU_SECONDS_AT_LEAST = 300
_SAMPLE_BYTES = 2
# A stream of bare frames, in WAV too, does not say that its first samples are the codec's own delay. Every decoder adds it, so
# every time would be late. MP3: LAME's 576 + 529 (also where the tag that tells is missing); AAC: one frame of its transform.
_UNSTATED_DELAY = {
    ("mp3", "mp3"): 1105, ("wav", "mp3"): 1105, ("w64", "mp3"): 1105, ("avi", "mp3"): 1105, ("aac", "aac"): 1024
}  # fmt: skip
_UNSTAMPED = (MP3, AAC, AC3, EAC3, DTS, AMR, WAV, W64, AVI)  # ffmpeg reckons their stamps from bytes or headers
_NEAR = 0.2  # seconds that a stamp may be off where samples are counted: a decoder that has just begun may lag a block behind
_TORN, _LONG_PAGE = 4, 2.0  # times as much as was damaged is lost with the rest of its pages, of so many seconds each
_EXACT = 0.001  # seconds; pages of Ogg state numbers of samples, and one that is lost may be as short as a packet
_COUNTED = (*_UNSTAMPED, AIFF, AU, CAF, WAVPACK)  # those, and whose stamps count what comes
_FROM_ZERO = (MP4, MATROSKA)  # whose clock begins at zero, whenever the sound does; others are moved there

EntryBefore = Callable[[int], Entry | bool]  # up to that sample of the input; True: ffmpeg finds the place by itself


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How every link of a recording is decoded. `max_seconds`: of what is decoded; a leap that is longer is a wrong stamp."""

    max_seconds: float | None = None
    channel: int | None = None
    sample_rate: int = SAMPLE_RATE
    level: Level | None = None
    tool: Ffmpeg | None = None
    stall_seconds: float = STALL_SECONDS


class LinkDecoding:
    """`begin`, perhaps `skip_to`, then `pieces`, then `close`. What was noticed is whole when the pieces have come to their end."""

    def __init__(self, source: OpenSource, recording: Recording, settings: Settings, *, track: int = 0) -> None:
        """Of what is open; `track` counts the recording's sound tracks from 0."""
        self.sounds: list[AudioStream] = []
        self.most_channels = 0  # of any format that the track had
        self.clock: StreamClock | None = None  # None: nothing to notice
        self.mixdown: Mixdown | None = None
        self.unfinished: Leap | None = None  # what is missing at the end because it could not be decoded
        self.lacking = 0  # samples that are missing somewhere, by what the file says of its length
        self.undecoded = 0  # packets of which a decoder has complained
        self.claim = recording.claim
        self.unread, self.broken = recording.unread, recording.broken  # bytes, a share of them
        self.filled, self.told_end = recording.filled, recording.told_end
        self._source, self._settings, self._track = source, settings, track
        self._found, self._end, self._left_out = recording.found, recording.end, recording.left_out
        edits = recording.edits[track : track + 1]
        self._edited = Edited(edits[0], settings.sample_rate) if edits else None
        self.contradiction = recording.contradictions[track] if track < len(recording.contradictions) else None
        self.silenced = recording.silenced[track] if track < len(recording.silenced) else ()
        self._absent = recording.absent[track] if track < len(recording.absent) else ()
        self._is_elsewhere = track < len(recording.elsewhere) and recording.elsewhere[track]
        self._child: Child | PlainSamples | None = None
        self._pending = b""
        self._listing = Log()  # what ffmpeg said of all of it
        self._first_stamp = math.nan  # of the first sample of all, in seconds
        self._passed = 0  # samples before the first that ffmpeg makes
        self._delivered = 0  # samples, those included
        self._reached = 0  # where the last of them ended
        self._torn_pages: TornPages | None = None
        self._is_torn = False  # so much that it has to be mended to be read at all
        self._is_wider = False  # of one channel at first, and of another format later

    def begin(self) -> AudioStream:
        """Wait for the first sound; by then ffmpeg has told what it found. Raises what a decoding raises."""
        child = self._readable()
        self._listing = child.log
        self._first_stamp = beginning(child.log.printed)
        self.sounds = child.log.sounds
        if 0 < len(self.sounds) <= self._track:
            found = f"There is no audio track {self._track + 1}; the last one of this file is {len(self.sounds)}."
            raise InvalidRequest(found, param="audio_track")
        if self._is_elsewhere:
            raise UnsupportedMedia(ELSEWHERE)
        sound = self._sound_of(child)
        if not self._pending and child.returncode:
            raise self._failure(child)
        self.most_channels = max(sound.channels, child.log.most_channels)  # a listing may tell of a later format
        return sound

    def _sound_of(self, child: Child | PlainSamples) -> AudioStream:
        if not self.sounds:
            raise self._failure(child)
        try:
            refuse_strange(self.sounds[self._track], child.log.tracks)
        except UnsupportedMedia as error:
            if damaged := self.damaged_index():
                raise damaged from error
            raise
        return self.sounds[self._track]

    def _failure(self, child: Child | PlainSamples) -> StenopoolError:
        error = failure(child.log, child.returncode, self._track)
        is_odd = isinstance(error, (UnsupportedMedia, SandboxFailed))
        return (self.damaged_index() if is_odd else None) or error

    def damaged_index(self) -> DamagedMedia | None:
        """Why an MP4 seems to hold nothing that is taken, where that is not true."""
        is_mp4 = self._found.container is MP4
        return damaged_index(self._source.read, self._found.start, self._end or self._source.size) if is_mp4 else None

    def unheard_sound(self) -> DamagedMedia | None:
        """Why nothing was heard of an MP4 that is not empty."""
        if self._found.container is not MP4:
            return None
        place = self._source.read, self._found.start, self._end or self._source.size
        return damaged_index(*place) or unheard_sound(*place)

    def _readable(self) -> Child | PlainSamples:
        """What reads it, with its first block; of an Ogg that is torn behind its headers after it has been mended."""
        child = self._started(followed=False)
        self._pending = child.read()
        if not self._pending and child.returncode and self._found.container is OGG:
            self.close()
            self._is_torn = True
            child = self._started(followed=False)
            self._pending = child.read()
        return child

    def skip_to(self, place: int, entry_before: EntryBefore) -> int:
        """Leave out what comes before `place`, in samples on the link's clock, but for some seconds; how many samples that were.
        Only for what is known to go on evenly up to there (pipeline.audio.seek); 0 where the place is not found."""
        if isinstance(self._child, PlainSamples):
            self._pending, self._delivered = b"", self._child.skip_to(place)
            return self._delivered
        rate, begin = self.sounds[self._track].sample_rate, self._first_stamp
        if self._is_strange() or (self.is_stamped and math.isnan(begin)):
            return 0
        stamp = 0.0 if math.isnan(begin) else begin
        skip = skip_before(place - round(self._first_place()), stamp=stamp, rate=rate, made=self._settings.sample_rate)
        entry = entry_before(skip.latest) if skip else False
        if skip is None or entry is False:
            return 0
        if self._finds(skip, None if entry is True else entry):
            self._delivered = skip.passed
            return skip.passed
        self.close()
        self._pending = self._started(followed=False).read()
        return 0

    def _finds(self, skip: Skip, entry: Entry | None) -> bool:
        """Start ffmpeg there. What is complained of before the first sample means nothing: the decoder came from nowhere."""
        self.close()
        child = self._started(followed=False, skip=skip, entry=entry)
        try:
            self._pending = child.read()
        except (AudioStalled, SandboxFailed):
            return False
        while child.log.printed and child.log.printed[0] is None:
            child.log.printed.popleft()
        is_counted = entry is not None and entry.before is not None
        if is_counted and self._found.container in _COUNTED:
            return bool(self._pending)
        slack = _NEAR if is_counted else 0.5 / skip.rate
        return bool(self._pending) and skip.begins_at(beginning(child.log.printed), slack)

    def pieces(self) -> Iterator[Piece]:
        """Mono samples in the order of time, each with its place on the link's own clock, which begins at zero."""
        pieces = self._own_pieces()
        for at, pcm in self._edited.all_played(pieces) if self._edited else pieces:
            self._reached = max(self._reached, at + len(pcm) // _SAMPLE_BYTES)
            yield at, pcm
        self._compare_lengths()

    @property
    def leaps(self) -> list[Leap]:
        """Where its clock has no samples, so far."""
        leaps = list(self.clock.leaps) if self.clock else []
        if self._edited:
            leaps = [*self._edited.moved(leaps), *self._edited.pauses(self._reached)]
        return [*leaps, self.unfinished] if self.unfinished else leaps

    def _own_pieces(self) -> Iterator[Piece]:
        assert self._child
        if not self._is_strange():
            yield from self._watched(self._child)
        if self._is_strange():
            yield from self._followed(wide=self.most_channels > 1)
            if self._is_wider:
                yield from self._followed(wide=True)

    def close(self) -> None:
        """End ffmpeg. May be called twice."""
        if self._child:
            self._child.close()

    def _started(
        self, *, followed: bool, wide: bool = False, skip: Skip | None = None, entry: Entry | None = None
    ) -> Child | PlainSamples:
        self._child = self._as_they_are() or self._launched(followed=followed, wide=wide, skip=skip, entry=entry)
        return self._child

    def _as_they_are(self) -> PlainSamples | None:
        """Where ffmpeg would hand on nothing but the bytes that stand there."""
        found, settings = self._found, self._settings
        if found.container is not WAV or found.options or self.claim or self._absent or settings.channel:
            return None
        sound = plain_sound(self._source.read, found.start, self._end or self._source.size)
        if sound is None or sound.rate != settings.sample_rate or not self._source.is_at_hand(sound.end):
            return None
        return PlainSamples(self._source, sound)

    def _launched(self, *, followed: bool, wide: bool, skip: Skip | None, entry: Entry | None) -> Child:
        settings = self._settings
        tool = settings.tool or find_ffmpeg()
        seconds = _MOST_SECONDS if settings.max_seconds is None else settings.max_seconds
        picked = Picked(
            track=self._track,
            channel=settings.channel,
            sample_rate=settings.sample_rate,
            followed=followed,
            wide=wide,
            stamped=self.is_stamped,
            seek=skip.seek if skip and (entry is None or entry.before is None) else None,
            trim=skip.trim(entry) if skip else "",
        )
        self._passed = skip.passed if skip else 0
        mended = (followed or self._is_torn) and self._found.container is OGG
        descriptor = None if entry or self._left_out or mended else self._source.descriptor()
        piped = descriptor is None
        feeder = Feeder(self._passing(entry, mended=mended)) if piped else None
        child = Child(
            tool,
            decode_arguments(tool, self._found, picked, end=self._end, piped=piped),
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
            self._torn_pages = TornPages()
            return self._torn_pages.mended(blocks)
        if not self._left_out:
            return blocks
        hidden = as_free_space if self._found.container is MP4 else without
        return hidden(blocks, self._found.start, self._left_out)

    @property
    def is_stamped(self) -> bool:
        """Whether its container says when each piece of sound is played, and can be believed; those that count samples do not where
        some are absent."""
        is_false = self.contradiction is not None and self.contradiction.times
        return self._found.container not in _UNSTAMPED and not self._absent and not is_false

    def _is_strange(self) -> bool:
        """Whether it has to be followed: also where the sound begins late, and an Ogg with bytes that are no page, for of FLAC no
        stamp tells that one is missing."""
        assert self._child
        printed = self._child.log.printed
        is_late = self._first_place() > JITTER * self._settings.sample_rate
        is_broken = self._found.container is OGG and self.broken > 0
        return bool(self._absent) or is_late or is_broken or is_surprise(printed)

    def _first_place(self) -> float:
        first, rate = self._first_stamp, self._settings.sample_rate
        if self.is_stamped:
            return 0.0 if math.isnan(first) else max(first - self._zero, -1.0) * rate
        return -self._unstated_delay

    @property
    def _unstated_delay(self) -> float:
        """In samples of the output."""
        sound = self.sounds[self._track]
        delay = 0 if self._listing.start else _UNSTATED_DELAY.get((self._found.container.name, sound.codec), 0)
        return delay * self._settings.sample_rate / sound.sample_rate

    @property
    def _zero(self) -> float:
        """The stamp of the recording's beginning, in seconds."""
        return 0.0 if self._found.container in _FROM_ZERO or self._lacks_begin else self._listing.start

    @property
    def _lacks_begin(self) -> bool:
        """Whether damaged pages of an Ogg come before the first sound: it counts from zero."""
        return self._is_torn_in_front and not self.begins_early

    @property
    def begins_early(self) -> bool:
        """Whether it counts from its first sound although damage has hit what comes before: where that can by far not be as long as
        it is late by its stamp, and its end is missing, too, an Ogg was recorded on the air, from the middle of a page on."""
        log, is_cut = self._listing, self.claim is not None and self.claim.cut
        damaged = self.broken / max(1 - self.broken, self.broken) * max(0.0, log.duration - log.start)
        return self._is_torn_in_front and is_cut and log.start > _TORN * damaged + _LONG_PAGE

    @property
    def _is_torn_in_front(self) -> bool:
        lacks_begin = self._torn_pages is not None and self._torn_pages.lacks_begin
        return self._found.container is OGG and (self._listing.damaged_before or lacks_begin)

    def _watched(self, child: Child | PlainSamples) -> Iterator[Piece]:
        first = round(self._first_place())
        for pcm in self._mono(child):
            if self._is_strange():
                return
            yield first + self._delivered, pcm
            self._delivered += len(pcm) // _SAMPLE_BYTES

    def _followed(self, *, wide: bool) -> Iterator[Piece]:
        """From the beginning again; what was handed out already is passed over."""
        skip = self._delivered
        for at, pcm in self._placed(wide=wide):
            passed = min(skip, len(pcm) // _SAMPLE_BYTES)
            skip -= passed
            if rest := pcm[_SAMPLE_BYTES * passed :]:
                yield at + passed, rest
                self._delivered += len(rest) // _SAMPLE_BYTES

    def _placed(self, *, wide: bool) -> Iterator[Piece]:
        """All of it, each sample where its frame's stamp says. Stops where one channel is no longer enough."""
        self.close()
        child = self._started(followed=True, wide=wide)
        self._pending = child.read()
        clock = self.clock = self._new_clock()
        events, runs, waiting = FrameEvents(), deque[Run](), bytearray()
        for pcm in self._mono(child):
            waiting += pcm
            runs.extend(run for event in events.take(child.log.printed) for run in clock.take(event))
            self.most_channels = max(self.most_channels, child.log.most_channels)
            self._is_wider = not wide and clock.formats > 1 and self._settings.channel is None
            if self._is_wider:
                return
            yield from _matched(runs, waiting)
        self.undecoded = child.log.undecoded
        runs.extend(run for event in events.take(child.log.printed) for run in clock.take(event))
        runs.extend(clock.finish())
        yield from _matched(runs, waiting)

    def _new_clock(self) -> StreamClock:
        rate, stamped = self._settings.sample_rate, self.is_stamped
        start = 0.0 if stamped else -self._unstated_delay
        return StreamClock(
            rate,
            start=start,
            zero=self._zero,
            stamped=stamped,
            longest=self._settings.max_seconds,
            absent=self._absent,
            broken=self.broken > 0 or self.contradiction is not None,
            slack=_EXACT if self._found.container is OGG else JITTER,
        )

    def _mono(self, child: Child | PlainSamples) -> Iterator[bytes]:
        """All that ffmpeg writes, as whole samples of one channel. Raises SandboxFailed where it has not told of how many it is."""
        self.mixdown = Mixdown(self._settings.sample_rate, self._passed) if child.log.channels > 1 else None
        rest = b""
        while data := self._pending or child.read():
            self._pending = b""
            if not child.log.channels:
                raise SandboxFailed("ffmpeg has not told how many channels it makes")
            data = rest + data
            whole = len(data) - len(data) % _SAMPLE_BYTES
            data, rest = data[:whole], data[whole:]
            if pcm := self.mixdown.add(data) if self.mixdown else data:
                yield pcm
        if child.returncode:
            raise self._failure(child)
        if self.mixdown and (pcm := self.mixdown.finish()):
            yield pcm

    def _compare_lengths(self) -> None:
        clock, missing = self.clock, self._said_to_be_missing() + self._without_headers()
        is_open = not (self._is_cut or self._has_all or self.claim == STREAMED)
        if clock and not self._edited:
            clock.forget_leaps_behind(self._reached)
        if clock and clock.absent:
            self.unfinished = Leap(self._reached, self._reached + round(clock.absent), damaged=True)
        elif not self.is_stamped:
            self.lacking = missing
        elif missing or (is_open and clock and clock.in_damage):
            self.unfinished = Leap(self._reached, self._reached + missing, damaged=True)

    def _said_to_be_missing(self) -> int:
        """In samples, by what the file says of its length; where it leaps it does not know. What is cut off is another matter."""
        clock, rate = self.clock, self._settings.sample_rate
        if self._is_cut or self._edited or (clock and clock.closed_up):
            return 0
        damages = clock.damages if clock else []
        heard = Heard(
            reached=self._reached / rate,
            zero=self._zero,
            damaged=bool(damages),
            ends_damaged=clock is not None and clock.in_damage,
        )
        seconds = lacking(self._found.container, self._told_of_all(), heard)
        return round(seconds * rate) if seconds <= (self._settings.max_seconds or _MOST_SECONDS) else 0

    def _without_headers(self) -> int:
        """In samples, what is left of streams in an Ogg that cannot be read."""
        unheard = self._torn_pages.unheard if self._torn_pages else 0
        seconds = unheard / self.sounds[self._track].sample_rate
        longest = self._settings.max_seconds or _MOST_SECONDS
        return round(seconds * self._settings.sample_rate) if seconds <= longest else 0

    def _told_of_all(self) -> Log:
        """What ffmpeg says of the recording; what it did not see the end of, it is shown again, with its end."""
        told = self._listing
        descriptor = None if told.duration or not tells_by_end(self._found.container) else self._source.ends()
        if descriptor is None:
            return told
        try:
            with self._listed(descriptor) as child:
                while child.read():
                    pass
        finally:
            os.close(descriptor)
        if child.log.duration:
            self._listing = child.log
        return self._listing

    def _listed(self, descriptor: int) -> Child:
        settings, tool = self._settings, self._settings.tool or find_ffmpeg()
        return Child(
            tool,
            list_arguments(tool, self._found, end=self._end),
            level=settings.level or sandbox_level(),
            cpu_seconds=_CPU_SECONDS_AT_LEAST,
            stdin=descriptor,
            stall_seconds=settings.stall_seconds,
        )

    @property
    def _has_all(self) -> bool:
        """Whether it has reached the length that it states: tags behind the last frame are no frame, and no loss."""
        log = self._told_of_all()
        return not log.guessed and 0 < log.duration <= self._reached / self._settings.sample_rate + JITTER

    @property
    def _is_cut(self) -> bool:
        return self.claim is not None and (self.claim.cut or not self.is_stamped)


def _matched(runs: deque[Run], waiting: bytearray) -> Iterator[Piece]:
    """The samples that wait, where they belong, as far as that is known."""
    while runs and waiting:
        at, count = runs.popleft()
        here = min(count, len(waiting) // _SAMPLE_BYTES, BLOCK_BYTES // _SAMPLE_BYTES)
        yield at, bytes(waiting[: _SAMPLE_BYTES * here])
        del waiting[: _SAMPLE_BYTES * here]
        if here < count:
            runs.appendleft((at + here, count - here))
