"""Times that hold together: what a provider answers, made to fit its chunk; what was stitched, made to run forward."""

from __future__ import annotations

import math
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

from pipeline.transcript import Segment, Word

_SLACK = 500  # ms a word may lie outside of its chunk before its clock is suspect


def on_recording(segments: Iterable[Segment], offset: int, length: int) -> list[Segment]:
    """A provider's segments on the recording's clock, `offset` ms later, each and every word inside its chunk.

    Never drops a word: what cannot be right is moved to where it can be and flagged.
    """
    tidy = [_tidy(segment, offset, offset + length) for segment in segments]
    return sorted((segment for segment in tidy if segment.text), key=lambda segment: segment.start)


def _tidy(segment: Segment, first: int, last: int) -> Segment:
    words = tuple(_words(segment.words, first, last))
    text = _clean(segment.text) or " ".join(word.text for word in words)
    start, end = _inside(segment.start + first, first, last), _inside(segment.end + first, first, last)
    if words:
        start = min(start, *(word.start for word in words)) if len(words) > 1 else min(start, words[0].start)
    suspect = segment.suspect
    if _outside(segment, last - first):
        suspect = tuple(dict.fromkeys((*suspect, "clock")))
    return replace(segment, text=text, start=start, end=max(start, end), words=words, suspect=suspect)


def _words(words: Iterable[Word], first: int, last: int) -> Iterator[Word]:
    for word in words:
        if text := _clean_word(word.text):
            start, end = _inside(word.start + first, first, last), _inside(word.end + first, first, last)
            yield Word(text, start, end, _share(word.confidence))


def _outside(segment: Segment, length: int) -> bool:
    """Whether the segment or one of its words lies where the chunk has no sound; by the middles, in half ms."""
    least, most = -2 * _SLACK, 2 * (length + _SLACK)
    if not least <= segment.start + segment.end <= most:
        return True
    return any(not least <= word.start + word.end <= most for word in segment.words if _clean_word(word.text))


def _inside(time: int, first: int, last: int) -> int:
    return time if first <= time <= last else min(max(time, first), last)


def _clean(text: str) -> str:
    """Single spaces, no control characters, nothing that UTF-8 cannot carry."""
    if text.isprintable():
        return " ".join(text.split())
    kept = "".join(" " if unicodedata.category(character) in {"Cc", "Cs"} else character for character in text)
    return " ".join(kept.split())


@lru_cache(maxsize=65_536)
def _clean_word(text: str) -> str:
    """The same, remembered: a language has few words, and hours are full of them."""
    return _clean(text)


def _share(confidence: float | None) -> float | None:
    if confidence is None or not math.isfinite(confidence):
        return None
    return min(max(confidence, 0.0), 1.0)


def forward(segments: Sequence[Segment], duration: int) -> tuple[Segment, ...]:
    """The same with times that never run backwards, do not overlap and lie in [0, duration]."""
    starts = _climbing([min(max(time, 0), duration) for segment in segments for time in _starts(segment)])
    limits = [*starts[1:], duration]
    settled, at = [], 0
    for segment in segments:
        count = len(_starts(segment))
        settled.append(_settled(segment, starts[at : at + count], limits[at : at + count]))
        at += count
    return tuple(settled)


def _climbing(times: Sequence[int]) -> list[int]:
    """The same without steps back: as many as possible stay, the others move to between them."""
    if all(before <= after for before, after in pairwise(times)):
        return list(times)
    tops: list[int] = []  # the lowest time in which a climb of each length can end
    lengths = []
    for time in times:
        length = bisect_right(tops, time)
        tops[length : length + 1] = [time]
        lengths.append(length)
    kept: dict[int, int] = {}
    ceiling = max(times)
    for at in range(len(times) - 1, -1, -1):
        if lengths[at] == len(tops) - 1 - len(kept) and times[at] <= ceiling:
            kept[at] = ceiling = times[at]
    return _between(kept, len(times))


def _between(kept: dict[int, int], count: int) -> list[int]:
    """The times that stay, and the others evenly between their neighbours that do."""
    places = sorted(kept)
    filled = [kept[places[0]]] * places[0]
    for first, last in pairwise([*places, count]):
        start, end = kept[first], kept.get(last, kept[first])
        filled += [start + (end - start) * step // (last - first) for step in range(last - first)]
    return filled


def _starts(segment: Segment) -> list[int]:
    return [segment.start, *(word.start for word in segment.words)]


def _settled(segment: Segment, starts: Sequence[int], limits: Sequence[int]) -> Segment:
    """`limits` are the starts of whatever comes next: for a word the next word, for the segment's own end what follows it."""
    words = tuple(map(_at, segment.words, starts[1:], limits[1:]))
    end = max(starts[0], min(segment.end, limits[-1]))
    end = max(end, words[-1].end) if words else end
    if (segment.start, segment.end, segment.words) == (starts[0], end, words):
        return segment
    return replace(segment, start=starts[0], end=end, words=words)


def _at(word: Word, start: int, limit: int) -> Word:
    end = max(start, min(word.end, limit))
    return word if (word.start, word.end) == (start, end) else Word(word.text, start, end, word.confidence)


def runs_forward(segments: Sequence[Segment]) -> bool:
    """Whether no segment starts before an earlier one, and in each channel no word before an earlier one."""
    channels: dict[int | None, list[int]] = {}
    for segment in segments:
        channels.setdefault(segment.channel, []).extend(_starts(segment))
    orders = [[segment.start for segment in segments], *channels.values()]
    return all(before <= after for starts in orders for before, after in pairwise(starts))
