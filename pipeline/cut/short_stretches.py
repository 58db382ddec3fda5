"""Stretches of sound with holes between them, cut as one where they are short: the number of chunks goes by the amount of sound.

In the place of such a hole stands a moment of silence in what is cut and heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pipeline.audio.clock.placement import Piece
from pipeline.cut.cutter import Span
from pipeline.cut.holes import Hole, between, on_clock
from pipeline.cut.time_range import moved
from pipeline.transcript import SAMPLE_RATE

_SAMPLE_BYTES = 2
_PAUSE = round(
    0.3 * SAMPLE_RATE
)  # longer than a breath; no longer than the sound before it, because nobody pays for it


class Run:
    """Stretches that are cut as one: where the first begins on the clock, and the holes between those that have come so far."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._holes: list[Hole] = []

    def add(self, hole: Hole) -> None:
        """The next stretch follows it."""
        self._holes.append(hole)

    def place(self, span: Span, *, index: int = 0) -> Span:
        """A span of the run, which begins at 0, on the clock of the recording, and `index` chunks further on."""
        if not self._holes:
            return moved(span, self._start, index=index)
        places = (span.audio_start, span.audio_end, span.own_start, span.own_end, span.switch_point)
        first, last, own_start, own_end, switch_point = map(self._on_clock, places)
        return replace(
            span,
            index=span.index + index,
            audio_start=first,
            audio_end=last,
            own_start=own_start,
            own_end=own_end,
            switch_point=switch_point,
            speech_map=tuple(part for start, end in span.speech_map for part in self._parts(start, end)),
            left_out=tuple((*part, why) for start, end, why in span.left_out for part in self._parts(start, end)),
            holes=tuple(between(self._holes, min(first, own_start), max(last, own_end))),
        )

    def _on_clock(self, sample: int) -> int:
        return on_clock(self._start + sample, self._holes)

    def _parts(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """A stretch of the run on the clock, without the holes in it."""
        begin, last = self._on_clock(start), self._on_clock(end - 1) + 1
        for hole in between(self._holes, begin, last):
            if begin < hole.start:
                yield begin, hole.start
            begin = hole.end
        if begin < last:
            yield begin, last


def runs(pieces: Iterable[Piece], shortest: int) -> Iterator[tuple[Run, Iterator[bytes]]]:
    """The sound as runs: one goes on over a hole unless it has `shortest` samples by then.

    The blocks of each must be taken before the next is asked for.
    """
    rest = iter(pieces)
    following = next(rest, None)

    def blocks(run: Run, end: int) -> Iterator[bytes]:
        nonlocal following
        length = since = 0  # samples of the run, and of its last stretch
        while following:
            at, pcm = following
            if at > end:
                if length >= shortest:
                    return
                pause = min(_PAUSE, since, at - end)
                run.add(Hole(end, at - pause, at))
                yield bytes(_SAMPLE_BYTES * pause)
                length, since = length + pause, 0
            yield pcm
            count = len(pcm) // _SAMPLE_BYTES
            end, length, since = at + count, length + count, since + count
            following = next(rest, None)

    while following:
        run = Run(following[0])
        yield run, blocks(run, following[0])
