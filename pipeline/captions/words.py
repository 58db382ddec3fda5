"""The words of segments with a time each, as captions need them: punctuated, in pieces that fit a line, none without a time."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from pipeline.text.speaker_turns import label
from pipeline.transcript import Segment, Word
from pipeline.word_spacing import may_part, solid

_WITHOUT_SPACES = ("W", "F")  # East Asian width


@dataclass(frozen=True, slots=True)
class Timed:
    """A piece of text without white space, spoken from `start` to `end`, in ms."""

    text: str
    start: int
    end: int
    speaker: str | None = None


def timed_words(segments: Iterable[Segment], longest: int) -> Iterator[Timed]:
    """Every word in order; those longer than `longest` columns in several pieces."""
    for segment in segments:
        for text, start, end in _of_segment(segment):
            pieces = list(_pieces(text, longest))
            for piece, (first, last) in zip(pieces, _spread(pieces, start, end), strict=True):
                yield Timed(piece, first, last, label(segment))


def _of_segment(segment: Segment) -> Iterator[tuple[str, int, int]]:
    """The segment's text in tokens with their times; its words' own spelling when the two do not say the same."""
    tokens = _tokens(segment.text)
    if not segment.words:
        times = _spread(tokens, segment.start, segment.end)
        yield from ((token, start, end) for token, (start, end) in zip(tokens, times, strict=True))
        return
    spoken = "".join(_letters(word.text) for word in segment.words)
    if tokens and spoken == "".join(_letters(token) for token in tokens):
        yield from _by_letters(tokens, segment.words)
        return
    for word in segment.words:
        parts = _tokens(word.text)
        times = _spread(parts, word.start, word.end)
        yield from ((part, start, end) for part, (start, end) in zip(parts, times, strict=True))


def _by_letters(tokens: Sequence[str], words: Sequence[Word]) -> Iterator[tuple[str, int, int]]:
    """Tokens take the times of the words that their letters fall into: "so," is spelled in the text, timed in the words."""
    ends = list(accumulate(len(_letters(word.text)) for word in words))
    position = 0
    for token in tokens:
        first = min(bisect_right(ends, position), len(words) - 1)
        position += len(_letters(token))
        last = max(min(bisect_right(ends, position - 1), len(words) - 1), first)
        yield token, words[first].start, words[last].end


def _spread(parts: Sequence[str], start: int, end: int) -> list[tuple[int, int]]:
    """Share [start, end] among the parts by their length."""
    marks = [0, *accumulate(len(part) + 1 for part in parts)]
    return [
        (start + (end - start) * before // marks[-1], start + (end - start) * after // marks[-1])
        for before, after in pairwise(marks)
    ]


def _pieces(text: str, longest: int) -> Iterator[str]:
    """The text whole if it fits, scripts without spaces by character (they break anywhere), else in pieces of a line's width."""
    piece, width = "", 0
    for character in text:
        step = 1 + is_wide(character)
        loose = piece and solid(piece[-1]) and solid(character) and may_part(piece[-1], character)
        if piece and (width + step > longest or loose):
            yield piece
            piece, width = "", 0
        piece, width = piece + character, width + step
    if piece:
        yield piece


def is_wide(character: str) -> bool:
    """Whether it takes two columns."""
    return not character.isascii() and unicodedata.east_asian_width(character) in _WITHOUT_SPACES


def columns(text: str) -> int:
    """How many columns it takes on one line."""
    return len(text) if text.isascii() else sum(1 + is_wide(character) for character in text)


def _tokens(text: str) -> list[str]:
    printable = "".join(" " if unicodedata.category(character) == "Cc" else character for character in text)
    return printable.split()


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
