"""A segment of the API as the page shows it: every word an element, with its time, spelled as in the text."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from pipeline.text.segment_words import found_places, word_places


class ShownWord(NamedTuple):
    """What stands on the page, from when to when, in seconds."""

    text: str
    start: float
    end: float


def shown_segments(segments: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same with `shown`, its words."""
    return [{**segment, "shown": shown_words(segment)} for segment in segments]


def shown_words(segment: dict[str, Any]) -> list[ShownWord]:
    """With the punctuation of the text, where the words are those of the text; words without times share their segment's."""
    text, timed = segment["text"], segment["words"]
    spelled = [str(word["word"]).strip() for word in timed]
    places = found_places(text, spelled) if timed else word_places(text)
    if places:
        begins = [0, *(begin for begin, _ in places[1:]), len(text)]
        spelled = [text[begin:end].strip() for begin, end in pairwise(begins)]
    times = [(word["start"], word["end"]) for word in timed] or _shared(spelled, segment["start"], segment["end"])
    return [ShownWord(word, start, end) for word, (start, end) in zip(spelled, times, strict=True)]


def _shared(spelled: list[str], start: float, end: float) -> list[tuple[float, float]]:
    letters = [0, *accumulate(len(word) + 1 for word in spelled)]
    return list(pairwise(round(start + (end - start) * letter / letters[-1], 3) for letter in letters))
