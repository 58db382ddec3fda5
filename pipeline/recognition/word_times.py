"""Words for a text that came without times: the embedded ear lays it over the sound it was heard in (forced alignment).

Where there is no such ear, or it cannot make sense of the text, there are no words: none are invented. The text itself is never
changed.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

from pipeline.cut.cutter import CutProfile, cut
from pipeline.errors import ProviderError
from pipeline.provider_protocol import Align
from pipeline.text.segment_words import SegmentWords, word_places
from pipeline.transcript import Heard, Segment, Word, samples_to_ms
from pipeline.word_spacing import joined

_LISTENING = CutProfile(gated=False)

_LOG = logging.getLogger(__name__)


def with_words(heard: Heard, pcm: bytes, align: Align) -> Heard:
    """The same answer for `pcm`, s16le mono 16 kHz, in sentences with words; as it is, where they cannot be told."""
    text = joined(segment.text.strip() for segment in heard.segments)
    if heard.timed or not text:
        return heard
    try:
        pieces = align(pcm, text, heard.language)
    except ProviderError as error:
        _LOG.warning("the words of a text are not timed: %s", error)
        return heard
    if not pieces:
        return heard
    speech = speech_in(pcm)
    said = tuple(in_speech(word, speech) for word in whole_words(text, pieces))
    whole = Segment(text, said[0].start, said[-1].end, said)
    return replace(heard, segments=tuple(SegmentWords(whole, speech).phrases()), timed=True)


def whole_words(text: str, pieces: Sequence[Word]) -> Iterator[Word]:
    """A text's words, each from the piece with its first letter until the end of that with its last one; letters are counted."""
    ends = list(accumulate(len("".join(piece.text.split())) for piece in pieces))
    letters = 0
    for start, end in word_places(text):
        word, before = text[start:end], letters
        letters += len(word)
        first, last = (pieces[min(bisect_left(ends, place), len(pieces) - 1)] for place in (before + 1, letters))
        yield Word(word, first.start, max(first.start, last.end))


def speech_in(pcm: bytes) -> list[tuple[int, int]]:
    """Where somebody speaks, in ms."""
    found = (stretch for chunk in cut([pcm], _LISTENING) for stretch in chunk.span.speech_map)
    return [(samples_to_ms(start), samples_to_ms(end)) for start, end in found]


def in_speech(word: Word, speech: Sequence[tuple[int, int]]) -> Word:
    """Without the pause that an alignment adds to the word behind it, or before it."""
    shares = [(min(end, word.end) - max(start, word.start), start, end) for start, end in speech]
    most, start, end = max(shares, default=(0, 0, 0))
    return replace(word, start=max(word.start, start), end=min(word.end, end)) if most > 0 else word
