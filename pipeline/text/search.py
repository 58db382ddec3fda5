"""Where something is said: words found in a transcript, whatever their case, their accents and the punctuation between.

A word with marks in it ("e-mail", "Marie-Claire") is found as one word and by its parts; a script without spaces by any of its
characters in a row.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, pairwise

from pipeline.transcript import Segment
from pipeline.word_spacing import solid

_APOSTROPHES = "'’ʼ"  # noqa: RUF001 - they are what is meant


@dataclass(frozen=True, slots=True)
class Match:
    """Words that were looked for, in ms; `segment` is the index of the one in which they begin."""

    segment: int
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class _Said:
    """A word, with its time or its segment's where words have none."""

    text: str
    segment: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """What is compared: a word, or the part of one, that is `[start, end)` of its text."""

    token: str
    start: int
    end: int


_Division = Callable[[str], tuple[_Piece, ...]]


def find(segments: Sequence[Segment], query: str) -> list[Match]:
    """Every place where the query's words follow each other, its last word also as the beginning of one; in order.

    A phrase may begin in one segment and end in the next. A query without a letter is found nowhere.
    """
    words = [word for number, segment in enumerate(segments) for word in _words(number, segment)]
    matches = dict(_matches(words, query, _whole))
    for place, match in _matches(words, query, _parts):
        matches.setdefault(place, match)
    return [match for _, match in sorted(matches.items(), key=lambda one: one[0])]


def _words(number: int, segment: Segment) -> Iterator[_Said]:
    if segment.words:
        yield from (_Said(word.text.strip(), number, word.start, word.end) for word in segment.words)
    else:
        yield from (_Said(text, number, segment.start, segment.end) for text in segment.text.split())


def _matches(words: Sequence[_Said], query: str, division: _Division) -> Iterator[tuple[tuple[int, int], Match]]:
    """Where they begin (the number of the word, and the place in it), and what is found there."""
    wanted = [piece.token for text in query.split() for piece in division(text)]
    places = [(at, piece) for at, word in enumerate(words) for piece in division(word.text)]
    said = [piece.token for _, piece in places]
    for first in range(len(said) - len(wanted) + 1) if wanted else ():
        if _says(said, first, wanted):
            at, piece = places[first]
            yield (at, piece.start), _match(words, places[first : first + len(wanted)])


def _says(said: Sequence[str], at: int, wanted: Sequence[str]) -> bool:
    last = at + len(wanted) - 1
    return said[last].startswith(wanted[-1]) and said[at:last] == wanted[:-1]


def _match(words: Sequence[_Said], places: Sequence[tuple[int, _Piece]]) -> Match:
    texts = []
    for at, group in groupby(places, key=lambda place: place[0]):
        pieces = [piece for _, piece in group]
        texts.append(words[at].text[pieces[0].start : pieces[-1].end])
    first, last = words[places[0][0]], words[places[-1][0]]
    return Match(first.segment, first.start, max(first.end, last.end), " ".join(texts))


@lru_cache(maxsize=65_536)
def _whole(text: str) -> tuple[_Piece, ...]:
    token = _bare(text)
    return (_Piece(token, 0, len(text)),) if token else ()


@lru_cache(maxsize=65_536)
def _parts(text: str) -> tuple[_Piece, ...]:
    """Runs of letters and digits, those of scripts without spaces one by one; marks around them belong to the outer ones."""
    edges = [at for at in range(len(text) + 1) if at in (0, len(text)) or _parted(text[at - 1], text[at])]
    runs = [(start, end) for start, end in pairwise(edges) if _bare(text[start:end])]
    if not runs:
        return ()
    starts = [0, *(start for start, _ in runs[1:])]
    ends = [*(end for _, end in runs[:-1]), len(text)]
    return tuple(_Piece(_bare(text[start:end]), start, end) for start, end in zip(starts, ends, strict=True))


def _parted(before: str, after: str) -> bool:
    """Whether one word's letters end here and another's may begin."""
    if unicodedata.category(after).startswith("M") or before in _APOSTROPHES or after in _APOSTROPHES:
        return False
    return solid(before) or solid(after) or before.isalnum() != after.isalnum()


def _bare(text: str) -> str:
    """Letters and digits in lower case without accents."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in plain if character.isalnum())
