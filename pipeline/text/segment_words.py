"""A segment as a row of words, each with a time and its place in the text, so that the segment can be shortened at a word."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import accumulate, pairwise

from pipeline.cut.cutter import Span
from pipeline.text.punctuation import CLOSING, SENTENCE_ENDS
from pipeline.text.word_match import Spoken, Token
from pipeline.transcript import Segment, samples_to_ms
from pipeline.word_spacing import has_solid, joined, may_part, solid

_WORD = re.compile(r"\S+")
_LONG_PHRASE = 10_000  # ms; a sentence that lasts longer is divided
_SHORT_PHRASE = 3_000  # ms; not into pieces shorter than this
_MARKS = ".,;:!?…。，、！？"  # noqa: RUF001 - they are what is meant
_PHRASE_ENDS = (",", ";", ":", "،", "，", "、", "；", "：", "–", "—")  # noqa: RUF001 - they are what is meant
_ENDS = frozenset("".join((*SENTENCE_ENDS, *_PHRASE_ENDS)))

# Half the time of Token(...): hours of speech have hundreds of thousands.
_token: Callable[[Iterable[object]], Token] = partial(tuple.__new__, Token)


class SegmentWords:
    """`speech` says in ms where in the recording somebody speaks: words without times are spread over that."""

    def __init__(self, segment: Segment, speech: Sequence[tuple[int, int]]) -> None:
        self._segment = segment
        self._speech = speech

    @classmethod
    def each(cls, segments: Sequence[Segment], span: Span) -> list[SegmentWords]:
        """The same of several segments of one chunk."""
        speech = speech_ms(span)
        return [cls(segment, speech) for segment in segments]

    @cached_property
    def tokens(self) -> Sequence[Spoken]:
        """The words, each with a time."""
        return self._segment.words or _spread(self._segment, self._places, self._stretches)

    @property
    def _stretches(self) -> list[tuple[int, int]]:
        """Where somebody speaks inside the segment; all of it, where nobody is known to."""
        first, last = self._segment.start, self._segment.end
        inside = [(max(start, first), min(end, last)) for start, end in self._speech]
        return [(start, end) for start, end in inside if start < end] or [(first, last)]

    @cached_property
    def _places(self) -> list[tuple[int, int]]:
        """Where each word stands in the text: asked for only where the segment is divided, unless it has no words of its own."""
        words = self._segment.words
        return (
            found_places(self._segment.text, [word.text for word in words])
            if words
            else word_places(self._segment.text)
        )

    def phrases(self) -> list[Segment]:
        """One segment for each sentence, several for a long one."""
        if self._is_phrase():
            told, stretches = self._segment, self._stretches
            return [told.told(told.text, stretches[0][0], stretches[-1][1], ())]
        bounds = [0]
        for at in range(1, len(self.tokens)):
            if self._may_end(at, since=bounds[-1]):
                bounds.append(at)
        bounds.append(len(self.tokens))
        parts = [self.part(first, last) for first, last in pairwise(bounds)]
        return [
            part.told(part.text, self.tokens[first].start, self.tokens[last - 1].end, part.words)
            for part, (first, last) in zip(parts, pairwise(bounds), strict=True)
            if part
        ]

    def _is_phrase(self) -> bool:
        """Whether nothing could divide it, seen without looking at its words."""
        one = self._segment
        return (
            not one.words and one.end - one.start < _LONG_PHRASE and _ENDS.isdisjoint(one.text[:-1]) and bool(one.text)
        )

    def _may_end(self, at: int, since: int) -> bool:
        """Whether a phrase that began with word `since` ends before word `at`."""
        last = self.tokens[at - 1]
        length = last.end - self.tokens[since].start
        if last.text[-1:].isalnum():  # as most words are, with no mark after them
            return length >= _LONG_PHRASE
        text = last.text.rstrip(CLOSING)
        if text.endswith(SENTENCE_ENDS):
            return not self.tokens[at].text.startswith(SENTENCE_ENDS)
        return length >= _LONG_PHRASE or (length >= _SHORT_PHRASE and text.endswith(_PHRASE_ENDS))

    def part(self, first: int, last: int) -> Segment | None:
        """The segment from word `first` until before word `last`; None when no word is left."""
        last = min(last, len(self.tokens))
        if first >= last:
            return None
        if (first, last) == (0, len(self.tokens)):
            return self._segment
        tokens = self.tokens[first:last]
        start = self._segment.start if first == 0 else tokens[0].start
        end = self._segment.end if last == len(self.tokens) else max(tokens[-1].end, start)
        words = self._segment.words[first:last]
        return self._segment.told(self._text(first, last), start, end, words)

    def mark_after(self, at: int) -> str:
        """The punctuation between word `at` and the next one, as far as it is punctuation of sentences and phrases."""
        spelled = self.tokens[at].text
        if self._places:
            stop = self._places[at + 1][0] if at + 1 < len(self._places) else len(self._segment.text)
            spelled = self._segment.text[self._places[at][0] : stop].strip()
        return spelled[len(spelled.rstrip(_MARKS)) :]

    def clipped(self, start: int | None, end: int | None) -> Segment | None:
        """Without the words whose middle lies before `start` or after `end`."""
        middles = [(token.start + token.end) // 2 for token in self.tokens]
        first = sum(start is not None and middle < start for middle in middles)
        last = sum(end is None or middle <= end for middle in middles)
        return self.part(first, last)

    @property
    def segment(self) -> Segment:
        """What it was made of."""
        return self._segment

    def _text(self, first: int, last: int) -> str:
        if not self._places:
            return joined(token.text for token in self.tokens[first:last])
        stop = self._places[last][0] if last < len(self._places) else len(self._segment.text)
        begin = self._places[first][0] if first else 0
        return self._segment.text[begin:stop].strip()


def speech_ms(span: Span) -> list[tuple[int, int]]:
    """The span's speech map in ms."""
    return [(samples_to_ms(start), samples_to_ms(end)) for start, end in span.speech_map]


def without_loops(
    segments: Sequence[SegmentWords], *, from_: int | None = None, until: int | None = None
) -> list[SegmentWords]:
    """A decoder that loops at the edge of its chunk: what it says from or until this moment, the other chunk heard better."""
    kept = list(segments)
    place = -1 if from_ is not None else 0
    while kept and "repetition" in kept[place].segment.suspect:
        looping = kept.pop(place)
        part = looping.clipped(until, from_)
        if part is not None:
            return [*kept, SegmentWords(part, ())] if place else [SegmentWords(part, ()), *kept]
    return kept


def punctuated(segment: Segment, mark: str) -> Segment:
    """With this punctuation at its end instead of what is there: the chunk that heard on knows better how it goes on."""
    words = segment.words
    if words and words[-1].text[-1:] in _MARKS:
        words = (*words[:-1], replace(words[-1], text=(words[-1].text.rstrip(_MARKS) or words[-1].text) + mark))
    return replace(segment, text=(segment.text.rstrip(_MARKS) or segment.text) + mark, words=words)


def found_places(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where the words stand in the text, one after the other; nothing when they do not all stand there."""
    places, position, folded = [], 0, text.lower()
    for word in words:
        begin = folded.find(word.lower(), position)
        if begin < 0:
            return []
        position = begin + len(word)
        places.append((begin, position))
    return places if len(folded) == len(text) else []


def word_places(text: str) -> list[tuple[int, int]]:
    """Where a text's words stand: parted at white space, and every character by itself of a script without."""
    if has_solid(text):
        return list(_characters(text))
    return [match.span() for match in _WORD.finditer(text)]


def _characters(text: str) -> Iterator[tuple[int, int]]:
    begin = None
    for at, character in enumerate(text):
        if begin is not None and (character.isspace() or _parts(text[at - 1], character)):
            yield begin, at
            begin = None
        if begin is None and not character.isspace():
            begin = at
    if begin is not None:
        yield begin, len(text)


def _parts(before: str, after: str) -> bool:
    return (solid(before) or solid(after)) and may_part(before, after)


def _spread(segment: Segment, places: Sequence[tuple[int, int]], inside: Sequence[tuple[int, int]]) -> list[Token]:
    """Share the time in which there is speech, `inside` the segment, among the words by their length."""
    letters = [0, *accumulate([stop - begin + 1 for begin, stop in places])]
    times = _evenly(letters, inside[0]) if len(inside) == 1 else list(_over_pauses(letters, inside))
    said = [segment.text[begin:stop] for begin, stop in places]
    return list(map(_token, zip(said, times, times[1:], strict=False)))


def _evenly(letters: Sequence[int], stretch: tuple[int, int]) -> list[int]:
    start, length, whole = stretch[0], stretch[1] - stretch[0], letters[-1]
    return [start + length * letter // whole for letter in letters]


def _over_pauses(letters: Sequence[int], inside: Sequence[tuple[int, int]]) -> Iterator[int]:
    marks = [0, *accumulate(end - start for start, end in inside)]
    whole, stretch = letters[-1], 0
    for letter in letters:
        spoken = marks[-1] * letter // whole
        while stretch < len(inside) - 1 and spoken >= marks[stretch + 1]:
            stretch += 1
        yield inside[stretch][0] + spoken - marks[stretch]
