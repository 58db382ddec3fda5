"""One link of a recording, which is mostly all of it, through ffmpeg to samples on its own clock.

It is watched first, which is fast; where the stream does what a plain one does not (another format, a hole, a leap, damage) it is
decoded once more from its beginning, followed frame by frame, and what was handed out already is skipped.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator

from pipeline.audio.access.entry import Entry
from pipeline.audio.access.open_source import OpenSource
from pipeline.audio.clock.edited import Edited
from pipeline.audio.clock.link_end import LinkEnd
from pipeline.audio.clock.link_failure import LinkFailure
from pipeline.audio.clock.link_reader import How, LinkReader, Settings
from pipeline.audio.clock.link_start import UNSTAMPED, LinkStart
from pipeline.audio.clock.mixdown import Mixdown
from pipeline.audio.clock.placement import Piece
from pipeline.audio.clock.plain_samples import PlainSamples
from pipeline.audio.clock.skip import Skip, skip_before
from pipeline.audio.clock.stream_clock import Leap, Run, StreamClock
from pipeline.audio.containers.table import AIFF, AU, CAF, OGG, WAVPACK
from pipeline.audio.ffmpeg.frame_events import JITTER, FrameEvents, beginning, is_surprise
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.ffmpeg.process import BLOCK_BYTES, Child
from pipeline.audio.source import Recording
from pipeline.errors import AudioStalled, DamagedMedia, SandboxFailed

_SAMPLE_BYTES = 2
_NEAR = 0.2  # seconds that a stamp may be off where samples are counted: a decoder that has just begun may lag a block behind
_EXACT = 0.001  # seconds; pages of Ogg state numbers of samples, and one that is lost may be as short as a packet
_COUNTED = (*UNSTAMPED, AIFF, AU, CAF, WAVPACK)  # those, and whose stamps count what comes

EntryBefore = Callable[[int], Entry | bool]  # up to that sample of the input; True: ffmpeg finds the place by itself


class LinkDecoding:
    """`begin`, perhaps `skip_to`, then `pieces`, then `close`. What was noticed is whole when the pieces have come to their end."""

    def __init__(self, source: OpenSource, recording: Recording, settings: Settings, *, track: int = 0) -> None:
        """Of what is open; `track` counts the recording's sound tracks from 0."""
        self.sounds: list[AudioStream] = []
        self.most_channels = 0  # of any format that the track had
        self.clock: StreamClock | None = None  # None: nothing to notice
        self.mixdown: Mixdown | None = None
        self.undecoded = 0  # packets of which a decoder has complained
        self.claim = recording.claim
        self.unread, self.broken = recording.unread, recording.broken  # bytes, a share of them
        self.filled, self.told_end = recording.filled, recording.told_end
        self.wrong_field, self.strange_rate = recording.wrong_field, recording.strange_rate
        self.misplaced = recording.misplaced
        self._is_incomplete = self.broken > 0 or recording.lacks_pages
        self.contradiction = recording.contradictions[track] if track < len(recording.contradictions) else None
        self.silenced = recording.silenced[track] if track < len(recording.silenced) else ()
        self._absent = recording.absent[track] if track < len(recording.absent) else ()
        self._settings, self._track, self._container = settings, track, recording.found.container
        edits = recording.edits[track : track + 1]
        self._edited = Edited(edits[0], settings.sample_rate) if edits else None
        self._reader = LinkReader(source, recording, settings, track)
        self._failure = LinkFailure(source, recording, track)
        self._start = LinkStart(recording, track)
        self._end = LinkEnd(recording, self._start, self._reader, is_edited=self._edited is not None)
        self._child: Child | PlainSamples | None = None
        self._pending = b""
        self._passed = 0  # samples before the first that ffmpeg makes
        self._delivered = 0  # samples, those included
        self._reached = 0  # where the last of them ended
        self._is_wider = False  # of one channel at first, and of another format later

    def begin(self) -> AudioStream:
        """Wait for the first sound; by then ffmpeg has told what it found. Raises what a decoding raises."""
        child = self._readable()
        self._start.see(child.log)
        self.sounds = child.log.sounds
        sound = self._failure.taken(child)
        if not self._pending and child.returncode:
            raise self._failure.of(child)
        self.most_channels = max(sound.channels, child.log.most_channels)  # a listing may tell of a later format
        return sound

    def _readable(self) -> Child | PlainSamples:
        """What reads it, with its first block; of an Ogg that is torn behind its headers after it has been mended."""
        child = self._started(How())
        if not self._pending and child.returncode and self._container is OGG:
            self._reader.is_torn = True
            child = self._started(How())
        return child

    def skip_to(self, place: int, entry_before: EntryBefore) -> int:
        """Leave out what comes before `place`, in samples on the link's clock, but for some seconds; how many samples that were.
        Only for what is known to go on evenly up to there (pipeline.audio.seek); 0 where the place is not found."""
        if isinstance(self._child, PlainSamples):
            self._pending, self._delivered = b"", self._child.skip_to(place)
            return self._delivered
        rate, begin = self._start.sound.sample_rate, self._start.stamp
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
        self._started(How())
        return 0

    def _finds(self, skip: Skip, entry: Entry | None) -> bool:
        """Start ffmpeg there. What is complained of before the first sample means nothing: the decoder came from nowhere."""
        try:
            child = self._started(How(skip=skip, entry=entry))
        except (AudioStalled, SandboxFailed):
            return False
        while child.log.printed and child.log.printed[0] is None:
            child.log.printed.popleft()
        is_counted = entry is not None and entry.before is not None
        if is_counted and self._container in _COUNTED:
            return bool(self._pending)
        slack = _NEAR if is_counted else 0.5 / skip.rate
        return bool(self._pending) and skip.begins_at(beginning(child.log.printed), slack)

    def pieces(self) -> Iterator[Piece]:
        """Mono samples in the order of time, each with its place on the link's own clock, which begins at zero."""
        pieces = self._own_pieces()
        for at, pcm in self._edited.all_played(pieces) if self._edited else pieces:
            self._reached = max(self._reached, at + len(pcm) // _SAMPLE_BYTES)
            yield at, pcm
        self._end.compare(self.clock, self._reached)

    @property
    def unfinished(self) -> Leap | None:
        """What is missing at the end because it could not be decoded."""
        return self._end.unfinished

    @property
    def lacking(self) -> int:
        """Samples that are missing somewhere, by what the file says of its length."""
        return self._end.lacking

    @property
    def leaps(self) -> list[Leap]:
        """Where its clock has no samples, so far."""
        leaps = list(self.clock.leaps) if self.clock else []
        if self._edited:
            leaps = [*self._edited.moved(leaps), *self._edited.pauses(self._reached)]
        return [*leaps, self.unfinished] if self.unfinished else leaps

    @property
    def is_stamped(self) -> bool:
        """Whether its container says when each piece of sound is played, and can be believed."""
        return self._start.is_stamped

    @property
    def begins_early(self) -> bool:
        """Whether it counts from its first sound although damage has hit what comes before."""
        return self._start.is_early

    def unheard_sound(self) -> DamagedMedia | None:
        """Why nothing was heard of an MP4 that is not empty."""
        return self._failure.unheard_sound()

    def close(self) -> None:
        """End ffmpeg. May be called twice."""
        if self._child:
            self._child.close()

    def _started(self, how: How) -> Child | PlainSamples:
        """What reads it from now on, and its first block, which waits."""
        self.close()
        self._pending = b""
        self._passed = how.skip.passed if how.skip else 0
        child = self._child = self._reader.started(how)
        self._start.torn_pages = self._reader.torn_pages
        self._pending = child.read()
        return child

    def _is_strange(self) -> bool:
        """Whether it has to be followed: also where the sound begins late, and an Ogg with bytes that are no page, or numbers of
        pages that leap, for of FLAC no stamp tells that one is missing."""
        assert self._child
        printed = self._child.log.printed
        is_late = self._first_place() > JITTER * self._settings.sample_rate
        is_broken = self._container is OGG and self._is_incomplete
        return bool(self._absent) or is_late or is_broken or is_surprise(printed)

    def _first_place(self) -> float:
        return self._start.place(self._settings.sample_rate)

    def _own_pieces(self) -> Iterator[Piece]:
        assert self._child
        if not self._is_strange():
            yield from self._watched(self._child)
        if self._is_strange():
            self._mend_heads()
            yield from self._followed(wide=self.most_channels > 1)
            if self._is_wider:
                yield from self._followed(wide=True)

    def _mend_heads(self) -> None:
        """Of Matroska; what is missing there is taken for lost."""
        torn = self._reader.mend_heads()
        self.broken, self._is_incomplete = max(self.broken, torn), self._is_incomplete or torn > 0

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
        child = self._started(How(followed=True, wide=wide))
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
        start = 0.0 if stamped else -self._start.unstated_delay(rate)
        return StreamClock(
            rate,
            start=start,
            zero=self._start.zero,
            stamped=stamped,
            longest=self._settings.max_seconds,
            absent=self._absent,
            broken=self._is_incomplete or self.contradiction is not None,
            slack=_EXACT if self._container is OGG else JITTER,
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
            raise self._failure.of(child)
        if self.mixdown and (pcm := self.mixdown.finish()):
            yield pcm


def _matched(runs: deque[Run], waiting: bytearray) -> Iterator[Piece]:
    """The samples that wait, where they belong, as far as that is known."""
    while runs and waiting:
        at, count = runs.popleft()
        here = min(count, len(waiting) // _SAMPLE_BYTES, BLOCK_BYTES // _SAMPLE_BYTES)
        yield at, bytes(waiting[: _SAMPLE_BYTES * here])
        del waiting[: _SAMPLE_BYTES * here]
        if here < count:
            runs.appendleft((at + here, count - here))
