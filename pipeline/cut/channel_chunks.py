"""A recording's sound as chunks: all channels mixed or each by itself, whole or a part, on the clock of the whole recording."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pipeline.audio.decode import AudioFacts, Decoding, decode
from pipeline.audio.findings import Findings
from pipeline.audio.raw_sound import RawSound
from pipeline.cut.cutter import Chunk, CutProfile, Span, cut
from pipeline.cut.time_range import Part, moved, only

WHOLE = Part()
Watch = Callable[[], None]  # called between two blocks; what it raises ends the decoding


class Sound:
    """A recording as it is to be heard. `samples` counts what has been cut so far, of all channels together."""

    def __init__(
        self,
        source: Path | bytes,
        *,
        part: Part = WHOLE,
        separate: bool = False,
        track: int | Literal["all"] | None = None,
        max_seconds: float | None = None,
        watch: Watch | None = None,
        declared: RawSound | None = None,
    ) -> None:
        self.samples = 0
        self.facts: AudioFacts | None = None
        self.findings = Findings()  # whole when the chunks have come to their end
        self._source, self._part, self._separate, self._track = source, part, separate, track
        self._max_seconds, self._watch, self._declared = max_seconds, watch, declared

    def chunks(self, profile: CutProfile) -> Generator[Chunk, None, None]:
        """One channel after the other; their chunks are numbered through. Raises what `decode` and `only` raise."""
        index, before = 0, 0  # the next chunk, and the first one of its channel
        for channel in self._channels():
            with self._decoding(channel) as decoding:
                for chunk in cut(self._blocks(decoding), profile):
                    span = self._placed(chunk.span, before, channel)
                    self.samples += span.own_end - span.own_start
                    index += 1
                    yield replace(chunk, span=span)
            before = index

    def measure(self) -> int:
        """How many samples there are to hear, without cutting them."""
        count = 0
        for channel in self._channels():
            with self._decoding(channel) as decoding:
                count += sum(len(block) // 2 for block in self._blocks(decoding))
        return count

    def _channels(self) -> Iterator[int | None]:
        """How many there are is known once the first is being decoded."""
        if not self._separate:
            yield None
            return
        yield 0
        assert self.facts is not None
        yield from range(1, self.facts.channels)

    def _decoding(self, channel: int | None) -> Decoding:
        return decode(self._source, max_seconds=self._max_seconds, channel=channel, declared=self._declared)

    def _blocks(self, decoding: Decoding) -> Iterator[bytes]:
        self.facts = decoding.facts
        return only(self._part, self._watched(decoding))

    def _watched(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in blocks:
            if self._watch:
                self._watch()
            yield block

    def _placed(self, span: Span, index: int, channel: int | None) -> Span:
        return replace(moved(span, self._part.start, index=index), channel=channel)
