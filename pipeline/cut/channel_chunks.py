"""A recording's sound as chunks: all channels mixed or each by itself, whole or a part, on the clock of the whole recording."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pipeline.audio.access.remote import Remote
from pipeline.audio.clock.placement import Piece
from pipeline.audio.decode import AudioFacts, Decoding, decode
from pipeline.audio.findings import Findings
from pipeline.audio.raw_sound import RawSound
from pipeline.cut.cutter import Chunk, CutProfile, cut
from pipeline.cut.short_stretches import runs
from pipeline.cut.time_range import Part, only
from pipeline.transcript import SAMPLE_RATE

WHOLE = Part()
_SAMPLE_BYTES = 2
Watch = Callable[[], None]  # called between two blocks; what it raises ends the decoding
Tap = Callable[[int, bytes], None]  # sees all that is decoded: s16le samples, with the place of the first on the clock


class Sound:
    """A recording as it is to be heard. `samples` counts what has been cut so far, of all channels together, and `made` what was
    decoded for it, what lies before a part included."""

    def __init__(
        self,
        source: Path | bytes | Remote,
        *,
        part: Part = WHOLE,
        separate: bool = False,
        track: int | Literal["all"] | None = None,
        max_seconds: float | None = None,
        watch: Watch | None = None,
        declared: RawSound | None = None,
        tap: Tap | None = None,
    ) -> None:
        self.samples = self.made = 0
        self.facts: AudioFacts | None = None
        self.findings = Findings()  # whole when the chunks have come to their end
        self._source, self._part, self._separate, self._track = source, part, separate, track
        self._most_channels = 1  # of the track that is being heard
        self._max_seconds, self._watch, self._declared = max_seconds, watch, declared
        self._tap = tap

    def chunks(self, profile: CutProfile) -> Generator[Chunk, None, None]:
        """One track after the other, one channel after the other; their chunks are numbered through.

        Raises what `decode` and `only` raise.
        """
        index = 0
        for track, channel, decoding in self._decodings():
            shortest = round(profile.min_s * SAMPLE_RATE)
            for run, blocks in runs(only(self._part, self._watched(decoding)), shortest):
                before = index
                for chunk in cut(blocks, profile):
                    span = replace(run.place(chunk.span, index=before), channel=channel, track=track)
                    self.samples += span.owned
                    index += 1
                    yield replace(chunk, span=span)

    def measure(self) -> int:
        """How many samples there are to hear, without cutting them."""
        return sum(
            len(pcm) // _SAMPLE_BYTES
            for _, _, decoding in self._decodings()
            for _, pcm in only(self._part, self._watched(decoding))
        )

    def _decodings(self) -> Iterator[tuple[int | None, int | None, Decoding]]:
        """All that are to be heard, with the track (where several are heard) and the channel (where each is by itself)."""
        for track in self._tracks():
            for channel in self._channels():
                with self._decoding(track, channel) as decoding:
                    self.facts, self._most_channels = decoding.facts, decoding.most_channels
                    if not self.findings.tracks:
                        self.findings.tracks = decoding.findings.tracks
                    yield (track if self._track == "all" else None), channel, decoding
                self._most_channels = max(self._most_channels, decoding.most_channels)
                self._note(decoding, track, channel)

    def _tracks(self) -> Iterator[int | None]:
        """How many there are is known once the first is being decoded."""
        if self._track != "all":
            yield self._track
            return
        yield 1
        yield from range(2, len(self.findings.tracks) + 1)

    def _channels(self) -> Iterator[int | None]:
        """The same; a later part of it may have more than its beginning."""
        if not self._separate:
            yield None
            return
        yield 0
        channel = 1
        while channel < self._most_channels:
            yield channel
            channel += 1

    def _decoding(self, track: int | None, channel: int | None) -> Decoding:
        return decode(
            self._source,
            max_seconds=self._max_seconds,
            track=track,
            channel=channel,
            declared=self._declared,
            begin=self._part.start,
        )

    def _watched(self, decoding: Decoding) -> Iterator[Piece]:
        for piece in decoding.pieces():
            self.made += len(piece[1]) // _SAMPLE_BYTES
            if self._watch:
                self._watch()
            if self._tap:
                self._tap(*piece)
            yield piece

    def _note(self, decoding: Decoding, track: int | None, channel: int | None) -> None:
        """What one decoding found out; the channels of a track all have the same holes."""
        if channel:
            return
        several = track if self._track == "all" else None
        found = decoding.findings.within(self._part.start_ms, self._part.end_ms)
        self.findings.gaps += [replace(gap, track=several) for gap in found.gaps]
        self.findings.warnings += found.warnings
