"""Speech found against speech transcribed, chunk by chunk: how an answer that stops half way is noticed.

Where a provider gives times, a second of speech counts as transcribed when a word or segment lies on it or near it. Where it gives
text only, the text's length must do: measured against the other chunks of the same recording, and against the slowest of speakers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import median

from pipeline.quality.suspects import Speech, shared
from pipeline.transcript import Coverage, Segment, Word

_NEAR = 700  # ms around a word or segment; recognisers leave breath and hesitation out
_SHORT, _MISSED = 0.6, 3_000  # a chunk is short when less than this share is there, and this many ms are not
_SLOWEST = 4.0  # characters a second of speech, in any script that writes sounds
_DENSE = 1.5  # the same for scripts that write a syllable or a word in one character
_DENSE_FROM = 0x2E80  # the first character of these scripts: CJK radicals
_USUAL = 3  # chunks that make a rate usual


@dataclass(frozen=True, slots=True)
class _Taken:
    chunk: int
    speech: int  # ms
    transcribed: int | None  # ms; None: text only
    characters: int


class CoverageMeter:
    """Takes each chunk that was heard."""

    def __init__(self) -> None:
        self._taken: list[_Taken] = []

    def take(self, chunk: int, speech: Speech, segments: Sequence[Segment], *, timed: bool) -> None:
        """Speech and segments on one clock, in ms."""
        found = sum(end - start for start, end in speech)
        if found:
            said = sum(map(_weight, (segment.text for segment in segments)))
            spoken = sum(shared(speech, start, end) for start, end in covered(segments)) if timed else None
            self._taken.append(_Taken(chunk, found, spoken, said))

    def coverage(self) -> Coverage:
        """Of everything so far."""
        usual = self._usual_rate()
        shares = [(one, min(_transcribed(one, usual), one.speech)) for one in self._taken]
        return Coverage(
            speech=sum(one.speech for one, _ in shares),
            transcribed=sum(said for _, said in shares),
            chunks_short=tuple(one.chunk for one, said in shares if is_short(one.speech, said)),
        )

    def _usual_rate(self) -> float:
        rates = [one.characters * 1000 / one.speech for one in self._taken if one.transcribed is None]
        return max(median(rates) / 2, _SLOWEST) if len(rates) >= _USUAL else _SLOWEST


def is_short(speech: int, transcribed: int) -> bool:
    """Whether so much is missing that the answer looks truncated."""
    return transcribed < _SHORT * speech and speech - transcribed >= _MISSED


def _transcribed(one: _Taken, rate: float) -> int:
    return one.transcribed if one.transcribed is not None else round(one.characters * 1000 / rate)


def _weight(text: str) -> int:
    """Characters as a Latin script would need them."""
    if text.isascii():
        return len(text)
    return sum(round(_SLOWEST / _DENSE) if ord(character) >= _DENSE_FROM else 1 for character in text)


def covered(segments: Iterable[Segment], near: int = _NEAR) -> Iterator[tuple[int, int]]:
    """Where words are, or segments that have none, with `near` ms around; in order, without overlaps, as few as will do."""
    said: list[Word | Segment] = []
    for segment in segments:
        said += segment.words or (segment,)
    said.sort(key=attrgetter("start"))
    begin = latest = 0
    for one in said:
        if one.start - near > latest:
            if latest > begin:
                yield begin, latest
            begin = one.start - near
        latest = max(latest, one.end + near)
    if latest > begin:
        yield begin, latest
