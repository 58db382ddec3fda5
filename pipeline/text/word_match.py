"""When two spellings are the same word: what an overlap is aligned by, and what repeated text is known by."""

from __future__ import annotations

import difflib
import functools
from typing import NamedTuple

from pipeline.transcript import Word


class Token(NamedTuple):
    """A word that its provider gave no time; times in ms on the recording's clock."""

    text: str
    start: int
    end: int


Spoken = Token | Word  # for matching


@functools.lru_cache(maxsize=1 << 16)
def normal(text: str) -> str:
    """What two spellings of a word have in common."""
    return "".join(character for character in text.casefold() if character.isalnum()) or text


def same(one: Spoken, other: Spoken) -> bool:
    """Whether they are the same word, however it is spelled."""
    return normal(one.text) == normal(other.text)


@functools.lru_cache(maxsize=1 << 16)
def likeness(one: str, other: str) -> float:
    """0 to 1, of two words as `normal` makes them; 0 also for words that neither begin nor end alike."""
    if one[:1] != other[:1] and one[-1:] != other[-1:]:
        return 0.0
    return 1.0 if one == other else difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
