"""Any recording in, mono samples out (of 16 kHz, what is heard): streaming, in constant memory, with the times of the original.

What is decided here: which track is heard, what follows what in a file that was joined of several, and what is told of all that
is not in the samples. A file that stops in the middle is decoded as far as it goes, because recorders and streams end like that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any

from pipeline.audio.access.open_source import OpenSource
from pipeline.audio.access.remote import Remote
from pipeline.audio.clock.link_decoding import LinkDecoding
from pipeline.audio.clock.link_reader import Settings
from pipeline.audio.clock.placement import SHORTEST_HOLE, Piece, Placement
from pipeline.audio.clock.report import Report, is_long, unread_bytes, unreadable_link, unreadable_part
from pipeline.audio.clock.track_choice import Chosen, choose_track, is_silent
from pipeline.audio.containers.id3_tag import TAG_HEADER, tag_length
from pipeline.audio.containers.table import Container
from pipeline.audio.ffmpeg.arguments import SAMPLE_RATE
from pipeline.audio.findings import AudioTrack, Findings
from pipeline.audio.mp4.format_changes import Part
from pipeline.audio.raw_sound import RawSound
from pipeline.audio.seek.entries import entry_before
from pipeline.audio.sniff import SHORT_LOOK, known_at_once
from pipeline.audio.source import Recording, mended, opened, part_of, recordings_in, restored
from pipeline.errors import DamagedMedia, EmptyMedia, MediaTooLong, UnsupportedMedia
from pipeline.transcript import Caution, Gap

_SAMPLE_BYTES = 2
_WORTH = 60  # seconds; less is decoded sooner than another ffmpeg is started
_DECLARED = (
    "The file begins as a recording of the kind {kind} does, but `input_format` declares it to be bare samples: it was heard as "
    "those. If that was a mistake, send it again without `input_format`."
)
_SILENT = "The audio track that was heard is silent from beginning to end; the file has others."


@dataclass(frozen=True)
class AudioFacts:
    """What was found in the file: its container, and the codec, channels and samples per second of the track we hear."""

    container: str
    codec: str
    channels: int
    sample_rate: int


def decode(
    source: Path | bytes | Remote,
    *,
    max_seconds: float | None = None,
    channel: int | None = None,
    track: int | None = None,
    sample_rate: int = SAMPLE_RATE,
    declared: RawSound | None = None,
    begin: int = 0,
) -> Decoding:
    """Open a recording: `with decode(path) as sound: for block in sound: ...`. `channel`, from 0, instead of a mix of all.
    `track`, from 1; without it the one that is meant to be heard. What is `declared` is not looked at to find out what it is.
    What comes before `begin`, in samples of `sample_rate`, nobody asks for: it is left out where that changes nothing behind it.

    Raises, when entered or while iterated: EmptyMedia, UnsupportedMedia, NoAudioTrack, DamagedMedia, AudioStalled, SandboxFailed,
    MediaTooLong once more than `max_seconds` have been decoded, InvalidRequest for a track that is not there, InputMissing for a
    path that cannot be opened. What a Remote raises is raised as it is.
    """
    return Decoding(
        source,
        track=track,
        declared=declared,
        begin=begin,
        max_seconds=max_seconds,
        channel=channel,
        sample_rate=sample_rate,
    )


class Decoding:
    """A recording being decoded. `samples` counts what came so far, of `sample_rate`, and `end` is where its clock stands behind
    them: both are exact when the iteration has ended."""

    facts: AudioFacts
    _open: OpenSource

    def __init__(
        self,
        source: Path | bytes | Remote,
        *,
        track: int | None = None,
        declared: RawSound | None = None,
        begin: int = 0,
        **settings: Any,
    ) -> None:
        """`settings` are those of `pipeline.audio.clock.link_reader`."""
        self.samples = self.end = 0
        self._tracks: tuple[AudioTrack, ...] = ()
        self._begun: list[tuple[LinkDecoding, int]] = []  # each with where it begins on the clock
        self._ended: list[int] = []  # where each has ended, of those that have
        self._told: list[Caution] = []  # about the file
        self._lost: list[Gap] = []  # parts of it
        self._source, self._asked, self._declared = source, track, declared
        self._begin, self._passed = begin, 0  # samples that nobody asks for, and those of them that were left out
        self._settings = Settings(**settings)
        self._silent = True  # so far
        self._held = ExitStack()  # what is open
        self._link: LinkDecoding | None = None
        self._pieces: Iterator[Piece] = iter(())

    def __enter__(self) -> Decoding:
        try:
            first, *others = self._recordings()
            chosen = choose_track(partial(self._opened, first), self._asked, self._settings.sample_rate)
            if not others:
                self._passed = self._left_out(first, chosen)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self._tell(first.found.container, chosen)
        self._pieces = self._checked(self._placed(first, chosen, others))
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        if self._link:
            self._link.close()
        self._held.close()

    def __iter__(self) -> Iterator[bytes]:
        """Blocks of at most 64 KiB of s16le, whole samples each: all that was decoded, without the holes."""
        return (pcm for _, pcm in self.pieces())

    def pieces(self) -> Iterator[Piece]:
        """The same, each block with its place on the clock of the recording in samples. What is not behind the one before it
        follows a hole."""
        return self._pieces

    @property
    def findings(self) -> Findings:
        """What there is to say so far besides the samples."""
        rate = self._settings.sample_rate
        ends = [*self._ended, None]
        reports = [Report(link, start, end, rate) for (link, start), end in zip(self._begun, ends, strict=False)]
        warnings = [caution for report in reports for caution in report.warnings]
        gaps = [gap for report in reports for gap in report.gaps]
        return Findings(sorted(gaps + self._lost, key=attrgetter("start")), warnings + self._told, self._tracks)

    @property
    def most_channels(self) -> int:
        """Of any format that the track has had so far."""
        return max(self.facts.channels, *(link.most_channels for link, _ in self._begun), 1)

    def _recordings(self) -> list[Recording]:
        """What is there, now open, each of which can be read."""
        source = self._held.enter_context(closing(opened(self._source)))
        self._open = source if self._declared else restored(source)
        found = recordings_in(self._open, self._declared)
        if self._open.descriptor() is None:
            for recording in found:
                self._open.order(recording.found, recording.end)
        return found

    def _opened(self, recording: Recording, track: int) -> LinkDecoding:
        """That track, or its first part."""
        parts = recording.parts_of(track)
        if parts:
            return self._part(recording, track, parts[0])
        return self._decoding(mended(self._open, recording), recording, track)

    def _part(self, recording: Recording, track: int, part: Part) -> LinkDecoding:
        return self._decoding(*part_of(self._open, recording, part), track)

    def _decoding(self, source: OpenSource, recording: Recording, track: int) -> LinkDecoding:
        if self._link:
            self._link.close()
        self._link = LinkDecoding(source, recording, self._settings, track=track)
        return self._link

    def _left_out(self, recording: Recording, chosen: Chosen) -> int:
        """Begin with the only link as near before what is asked for as is proven to change nothing."""
        seconds = self._begin / self._settings.sample_rate
        if seconds < _WORTH or chosen.link.sounds[1:]:
            return 0
        return chosen.link.skip_to(self._begin, partial(entry_before, self._open, recording, chosen.sound))

    def _tell(self, container: Container, chosen: Chosen) -> None:
        sound, sounds = chosen.sound, chosen.link.sounds
        self.facts = AudioFacts(container.name, sound.codec, sound.channels, sound.sample_rate)
        self._tracks = tuple(AudioTrack(number, **asdict(one)) for number, one in enumerate(sounds, start=1))

    def _placed(self, first: Recording, chosen: Chosen, others: Sequence[Recording]) -> Iterator[Piece]:
        """One link after the other, each from where the clock stands."""
        yield from self._of_link(chosen.link, chosen.pieces)
        yield from self._of_parts(first, chosen.track, 0)
        for recording in others:
            start, link = self.end, self._readable(partial(self._opened, recording, 0))
            if link is None:
                self._told.append(unreadable_link(self.end, self._settings.sample_rate))
                continue
            yield from self._of_link(link, link.pieces())
            yield from self._of_parts(recording, 0, start)
        self._finish(chosen)

    def _of_parts(self, recording: Recording, track: int, start: int) -> Iterator[Piece]:
        """Those behind the first, which has been heard, of a track that begins there; each from where the index says."""
        rate = self._settings.sample_rate
        for number, part in enumerate(recording.parts_of(track)):
            begin, end = (start + round(second * rate) for second in (part.begin, part.end))
            link = self._readable(partial(self._part, recording, track, part)) if number else self._link
            if link and number:
                yield from self._of_link(link, link.pieces(), begin)
            if link is None or end - self.end >= SHORTEST_HOLE * rate:
                self._lost.append(unreadable_part(self.end, end, rate))
                self.end = max(end, self.end)

    @staticmethod
    def _readable(opened: Callable[[], LinkDecoding]) -> LinkDecoding | None:
        """A link that has begun."""
        try:
            link = opened()
            link.begin()
        except (UnsupportedMedia, DamagedMedia):
            return None
        return link

    def _of_link(self, link: LinkDecoding, pieces: Iterator[Piece], begin: int = 0) -> Iterator[Piece]:
        """From where the clock stands, or from there."""
        start = max(self.end, begin)
        self._begun.append((link, start))
        placement = Placement(self._settings.sample_rate, self.end)
        for at, pcm in pieces:
            for piece in placement.put(start + at, pcm):
                self.end = placement.end
                yield piece
        if link.unfinished and is_long(link.unfinished, self._settings.sample_rate):
            self.end = max(self.end, start + link.unfinished.end)
        self._ended.append(self.end)
        if link.unread:
            self._told.append(unread_bytes(link.unread, self.end, self._settings.sample_rate))

    def _checked(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        limit = self._settings.max_seconds
        for at, pcm in pieces:
            samples = self.samples + len(pcm) // _SAMPLE_BYTES
            if limit is not None and self._passed + samples > limit * self._settings.sample_rate:
                raise MediaTooLong(f"The recording is longer than the limit of {limit:g} seconds.", max_seconds=limit)
            self.samples = samples
            self._silent = self._silent and is_silent(pcm)
            yield at, pcm

    def _finish(self, chosen: Chosen) -> None:
        if not self.samples:
            raise chosen.link.unheard_sound() or EmptyMedia("The recording has no sound in it: zero samples.")
        end = round(self.end * 1000 / self._settings.sample_rate)
        if self._declared and (kind := _encoded(self._open)):
            self._told.append(Caution("declared", 0, end, _DECLARED.format(kind=kind.name)))
        if chosen.instead:
            self._told.append(Caution("other_track", 0, end, chosen.instead))
        if self._silent and self._tracks[1:]:
            self._told.append(Caution("silent_track", 0, end, _SILENT))


def _encoded(source: OpenSource) -> Container | None:
    """What the file's first bytes, behind a tag, tell that it is."""
    tag = tag_length(source.read(0, TAG_HEADER))
    return known_at_once(source.read(tag, SHORT_LOOK))
