"""Long imaginary recordings without any sound, and providers that hear them in every way providers do."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Literal

from pipeline.cut.cutter import Span
from pipeline.oracle.words import VOCABULARY
from pipeline.provider_protocol import phrases
from pipeline.transcript import SAMPLES_PER_MS, Heard, Segment, Word, samples_to_ms

Style = Literal["natural", "dense"]
Detail = Literal["word", "segment", "text"]
OVERLAP = {"silence": 0, "soft": 500, "hard": 1500}  # ms on each side of a cut, as in pipeline.cut.cutter


def timeline(seconds: float, style: Style, seed: int = 1) -> list[Word]:
    """Words in ms: phrases with pauses of 0.3 to 1 s between, or not one pause. Some words are as frequent as "the" is."""
    chance, said, now = random.Random(seed), [], 200
    weights = list(accumulate(1 / rank for rank in range(1, len(VOCABULARY) + 1)))
    while True:
        for nth in range(chance.randint(3, 12)):
            gap = chance.randint(20, 80) if nth else chance.randint(300, 1000)
            now += 0 if style == "dense" else gap
            end = now + chance.randint(150, 480)
            if end > seconds * 1000:
                return said
            said.append(Word(chance.choices(VOCABULARY, cum_weights=weights)[0], now, end))
            now = end


def cut_timeline(said: Sequence[Word], duration: int, longest: int = 30_000) -> list[Span]:
    """Chunks of at most `longest` ms: to the last pause of 0.3 s in reach, else to anywhere, with an overlap."""
    pauses = [(one.end + other.start) // 2 for one, other in pairwise(said) if other.start - one.end >= 300]
    edges, at = [(0, "start")], 0
    while duration - edges[-1][0] > longest:
        latest = edges[-1][0] + longest - OVERLAP["hard"] - OVERLAP.get(edges[-1][1], 0)
        while at < len(pauses) and pauses[at] <= latest:
            at += 1
        silent = at > 0 and pauses[at - 1] > edges[-1][0] + longest // 3
        edges.append((pauses[at - 1], "silence") if silent else (latest - len(edges) * 377 % (longest // 4), "hard"))
    edges.append((duration, "end"))
    return list(_spans(edges, said))


def _spans(edges: Sequence[tuple[int, str]], said: Sequence[Word]) -> Iterator[Span]:
    at = 0
    for index, ((start, left), (end, right)) in enumerate(pairwise(edges)):
        first, last = max(start - OVERLAP.get(left, 0), 0), end + OVERLAP.get(right, 0)
        while at < len(said) and said[at].end <= first:
            at += 1
        speech = list(_stretches(said, at, first, last))
        samples = [value * SAMPLES_PER_MS for value in (first, last, start, end)]
        yield Span(
            index, *samples, left, right,
            sum(stop - begin for begin, stop in speech) * SAMPLES_PER_MS,
            tuple((begin * SAMPLES_PER_MS, stop * SAMPLES_PER_MS) for begin, stop in speech),
            end * SAMPLES_PER_MS,
        )  # fmt: skip


def _stretches(said: Sequence[Word], at: int, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Where somebody speaks between two moments; gaps below 0.3 s are breath."""
    open_: tuple[int, int] | None = None
    while at < len(said) and said[at].start < last:
        begin, stop = max(said[at].start, first), min(said[at].end, last)
        if open_ and begin - open_[1] >= 300:
            yield open_
            open_ = None
        open_ = (open_[0] if open_ else begin, stop)
        at += 1
    if open_:
        yield open_


@dataclass(frozen=True)
class Hearer:
    """A provider. Each word's time is off by up to `jitter` ms, and all of a chunk's by up to `bias` ms.

    Of a word cut off by the chunk's edge it makes up another one, or nothing. With `wrong`, that share of words is misheard.
    """

    said: Sequence[Word]
    detail: Detail = "word"
    jitter: int = 0
    bias: int = 0
    wrong: float = 0.0

    def hear(self, span: Span) -> Heard:
        chance = random.Random(span.index)
        first, last = samples_to_ms(span.audio_start), samples_to_ms(span.audio_end)
        late = chance.randint(-self.bias, self.bias)
        words = [self._moved(word, late - first, last - first, chance) for word in self._inside(first, last, chance)]
        if not words:
            return Heard()
        return self._told(words, last - first)

    def _inside(self, first: int, last: int, chance: random.Random) -> Iterator[Word]:
        for word in self.said[_place(self.said, first) :]:
            if word.start >= last:
                return
            heard = min(word.end, last) - max(word.start, first)
            if heard == word.end - word.start:
                misheard = chance.random() < self.wrong
                yield replace(word, text=chance.choice(VOCABULARY)) if misheard else word
            elif heard > (word.end - word.start) // 3 and chance.random() < 0.7:
                yield Word(chance.choice(VOCABULARY), max(word.start, first), min(word.end, last))

    def _moved(self, word: Word, by: int, length: int, chance: random.Random) -> Word:
        start = min(max(word.start + by + chance.randint(-self.jitter, self.jitter), 0), length)
        return Word(word.text, start, min(max(word.end + by, start), length))

    def _told(self, words: list[Word], length: int) -> Heard:
        if self.detail == "text":
            return Heard((Segment(" ".join(word.text for word in words), 0, length),), timed=False)
        segments = tuple(phrases(words, pause_ms=250))
        if self.detail == "segment":
            segments = tuple(Segment(one.text, one.start, one.end) for one in segments)
        return Heard(segments)


def _place(said: Sequence[Word], time: int) -> int:
    """The first word that ends after this moment."""
    low, high = 0, len(said)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if said[middle].end <= time else (low, middle)
    return low
