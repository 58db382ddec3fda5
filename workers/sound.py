"""The sound of a job as chunks: all channels mixed or each by itself, whole or a part, on the clock of the whole recording."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from infra.leases import Hold
from pipeline.audio.decode import AudioFacts, Decoding, decode
from pipeline.cut import Chunk, CutProfile, Span, cut
from pipeline.part import Part, moved, only
from workers.turn import Turn


class Sound:
    """A recording as this job hears it. `samples` counts what came so far, of all channels together."""

    def __init__(self, turn: Turn, path: Path) -> None:
        self.samples = 0
        self.facts: AudioFacts | None = None
        self._turn, self._path = turn, path
        self._separate = turn.job.request.get("channels") == "separate"
        asked = turn.job.request.get("range") or {}
        self._part = Part.of_seconds(asked.get("start") or 0.0, asked.get("end"))

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
        return decode(self._path, max_seconds=self._turn.services.settings.max_audio_seconds, channel=channel)

    def _blocks(self, decoding: Decoding) -> Iterator[bytes]:
        self.facts = decoding.facts
        return only(self._part, _watched(decoding, self._turn.hold))

    def _placed(self, span: Span, index: int, channel: int | None) -> Span:
        return replace(moved(span, self._part.start, index=index), channel=channel)


def _watched(blocks: Iterable[bytes], hold: Hold) -> Iterator[bytes]:
    """Between two blocks we look whether the work is still ours; leaving the decoder's context kills ffmpeg."""
    for block in blocks:
        hold.check()
        yield block
