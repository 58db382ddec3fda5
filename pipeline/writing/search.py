"""Where something is said: words found in a transcript, whatever their case, their accents and the punctuation between."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pipeline.transcript import Segment


@dataclass(frozen=True, slots=True)
class Match:
    """Words that were looked for, in ms; `segment` is the index of the one in which they begin."""

    segment: int
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class _Place:
    """A token of the text, with the times of its word, or of its segment where words have none."""

    token: str
    text: str
    segment: int
    start: int
    end: int


def find(segments: Sequence[Segment], query: str) -> list[Match]:
    """Every place where the query's words follow each other, its last word also as the beginning of one; in order.

    A phrase may begin in one segment and end in the next. A query without a letter is found nowhere.
    """
    wanted = list(tokens(query))
    places = [place for number, segment in enumerate(segments) for place in _places(number, segment)]
    starts = range(len(places) - len(wanted) + 1) if wanted else ()
    return [_match(places[at : at + len(wanted)]) for at in starts if _says(places, at, wanted)]


def tokens(text: str) -> Iterator[str]:
    """The words of a text as they are compared: letters and digits in lower case without accents."""
    return filter(None, map(_bare, text.split()))


def _says(places: Sequence[_Place], at: int, wanted: Sequence[str]) -> bool:
    *whole, last = wanted
    same = all(places[at + number].token == token for number, token in enumerate(whole))
    return same and places[at + len(whole)].token.startswith(last)


def _match(places: Sequence[_Place]) -> Match:
    first, last = places[0], places[-1]
    return Match(first.segment, first.start, max(first.end, last.end), " ".join(place.text for place in places))


def _places(number: int, segment: Segment) -> Iterator[_Place]:
    if segment.words:
        timed = ((word.text.strip(), word.start, word.end) for word in segment.words)
    else:
        timed = ((text, segment.start, segment.end) for text in segment.text.split())
    for text, start, end in timed:
        if token := _bare(text):
            yield _Place(token, text, number, start, end)


@lru_cache(maxsize=65_536)
def _bare(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in plain if character.isalnum())
