"""Times that hold together: what a provider answers, made to fit its chunk; what was stitched, made to run forward."""

from __future__ import annotations

import math
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice, pairwise
from operator import le

from pipeline.transcript import Segment, Word

_SLACK = 500  # ms a word may lie outside of its chunk before its clock is suspect


def on_recording(segments: Iterable[Segment], offset: int, length: int) -> list[Segment]:
    """A provider's segments on the recording's clock, `offset` ms later, each and every word inside its chunk.

    Never drops a word: what cannot be right is moved to where it can be and flagged.
    """
    tidy = [_tidy(segment, offset, offset + length) for segment in segments]
    return sorted((segment for segment in tidy if segment.text), key=lambda segment: segment.start)


def _tidy(segment: Segment, first: int, last: int) -> Segment:
    words, astray = _words(segment.words, first, last)
    text = _clean(segment.text) or " ".join(word.text for word in words)
    start, end = _inside(segment.start + first, first, last), _inside(segment.end + first, first, last)
    if words:
        start = min(start, *[word.start for word in words])
    suspect = segment.suspect
    if astray or _astray(segment.start + segment.end, last - first):
        suspect = tuple(dict.fromkeys((*suspect, "clock")))
    return segment.told(text, start, max(start, end), words, suspect)


def _words(words: Iterable[Word], first: int, last: int) -> tuple[tuple[Word, ...], bool]:
    """Those that say something, on the recording's clock, and whether one of them was astray.

    Each word of hours of speech passes here: what is not wrong with it costs a comparison and no call.
    """
    tidy, astray = [], False
    for word in words:
        if text := _clean_word(word.text):
            start, end, confidence = word.start + first, word.end + first, word.confidence
            if not first <= start <= end <= last:
                astray = astray or _astray(word.start + word.end, last - first)
                start, end = _inside(start, first, last), _inside(end, first, last)
            if confidence is not None and not 0.0 <= confidence <= 1.0:
                confidence = _share(confidence)
            tidy.append(Word(text, start, end, confidence))
    return tuple(tidy), astray


def _astray(twice_middle: int, length: int) -> bool:
    """Whether something with this middle, in half ms, lies where a chunk of this length has no sound."""
    return not -2 * _SLACK <= twice_middle <= 2 * (length + _SLACK)


def _inside(time: int, first: int, last: int) -> int:
    return min(max(time, first), last)


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


def _share(confidence: float) -> float | None:
    return min(max(confidence, 0.0), 1.0) if math.isfinite(confidence) else None


def forward(segments: Sequence[Segment], duration: int) -> tuple[Segment, ...]:
    """The same with times that never run backwards, do not overlap and lie in [0, duration]."""
    starts = _climbing(_bounded(_all_starts(segments), duration))
    starts.append(duration)
    settled, at = [], 0
    for segment in segments:
        following = at + 1 + len(segment.words)
        settled.append(_settled(segment, starts[at : following + 1]))
        at = following
    return tuple(settled)


def _all_starts(segments: Iterable[Segment]) -> list[int]:
    """Of each segment and its words, in this order."""
    starts: list[int] = []
    for segment in segments:
        starts.append(segment.start)
        starts += [word.start for word in segment.words]
    return starts


def _bounded(times: list[int], most: int) -> list[int]:
    if times and (min(times) < 0 or max(times) > most):
        return [_inside(time, 0, most) for time in times]
    return times


def _climbing(times: list[int]) -> list[int]:
    """The same without steps back: as many as possible stay, the others move to between them."""
    if _climbs(times):
        return times
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


def _climbs(times: Sequence[int]) -> bool:
    return all(map(le, times, islice(times, 1, None)))


def _between(kept: dict[int, int], count: int) -> list[int]:
    """The times that stay, and the others evenly between their neighbours that do."""
    places = sorted(kept)
    filled = [kept[places[0]]] * places[0]
    for first, last in pairwise([*places, count]):
        start, end = kept[first], kept.get(last, kept[first])
        filled += [start + (end - start) * step // (last - first) for step in range(last - first)]
    return filled


def _settled(segment: Segment, starts: Sequence[int]) -> Segment:
    """`starts`: the segment's own, its words', and that of whatever follows it, before which it ends."""
    words = tuple(
        [
            word if word.start == start <= word.end <= limit else _moved(word, start, limit)
            for word, start, limit in zip(segment.words, starts[1:-1], starts[2:], strict=True)
        ]
    )
    end = max(starts[0], min(segment.end, starts[-1]))
    end = max(end, words[-1].end) if words else end
    if (segment.start, segment.end, segment.words) == (starts[0], end, words):
        return segment
    return segment.told(segment.text, starts[0], end, words)


def _moved(word: Word, start: int, limit: int) -> Word:
    end = word.end if word.end < limit else limit
    return Word(word.text, start, end if end > start else start, word.confidence)


def runs_forward(segments: Sequence[Segment]) -> bool:
    """Whether no segment starts before an earlier one, and in each track and channel no word before an earlier one."""
    places: dict[tuple[int | None, int | None], list[Segment]] = {}
    for segment in segments:
        places.setdefault((segment.track, segment.channel), []).append(segment)
    orders = [[segment.start for segment in segments], *map(_all_starts, places.values())]
    return all(map(_climbs, orders))
