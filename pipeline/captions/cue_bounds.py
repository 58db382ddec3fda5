"""Where cues begin and end: the cheapest division of a phrase, chosen for all of it together.

The work grows with the words and not with what fits into a cue: of the ends that a long one may have, only so many are looked at,
the next at which the sense or the speaker pauses, and the last that still fit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import inf

from pipeline.captions.options import Layout
from pipeline.captions.phrase import Phrase

LINGER = 1500  # ms a cue may stay after its last word
MOST_CUE_ENDS = 48  # as many words as two lines of 42 columns hold, nearly always
_BRISK = 1.2  # s; a cue shorter than this costs more
_UNREADABLE = 50.0  # what a cue costs that is gone before anybody has read it: more than any break


def cue_bounds(phrase: Phrase, layout: Layout) -> list[tuple[int, int]]:
    """The cues as [first, last) pairs of words."""
    best: list[tuple[float, int]] = [(0.0, 0), *((inf, 0) for _ in phrase.words)]
    for first, reach in enumerate(_reaches(phrase, layout)):
        for last in _ends(phrase, first, reach):
            cost = best[first][0] + _cue_cost(phrase, first, last, layout)
            cost += phrase.breaks[last - 1] + 1.5 * (phrase.sentences[last - 1] - phrase.sentences[first])
            if cost < best[last][0]:
                best[last] = (cost, first)
    cuts, last = [], len(phrase.words)
    while last:
        cuts.append((best[last][1], last))
        last = best[last][1]
    return cuts[::-1]


def _reaches(phrase: Phrase, layout: Layout) -> list[int]:
    """For each word how far a cue can go that begins with it, by its lines and by its time. One word always fits."""
    words, reaches, at = phrase.words, list[int](), 0
    for first, word in enumerate(words):
        at = max(at, first + 1)
        while at < len(words) and words[at].end <= word.start + layout.max_cue:
            at += 1
        reaches.append(min(at, _full_cue(phrase, first, layout)))
    return reaches


def _full_cue(phrase: Phrase, first: int, layout: Layout) -> int:
    end = first
    for _ in range(layout.max_lines):
        if end < len(phrase.words):
            end = phrase.full_line(end)
    return end


def _ends(phrase: Phrase, first: int, reach: int) -> Sequence[int]:
    """Where a cue that begins with `first` may end."""
    if reach - first <= MOST_CUE_ENDS:
        return range(first + 1, reach + 1)
    half = MOST_CUE_ENDS // 2
    far = range(reach - half + 1, reach + 1)
    at = bisect_right(phrase.good_ends, first)
    return [*(end for end in phrase.good_ends[at : at + half] if end < far.start), *far]


def _cue_cost(phrase: Phrase, first: int, last: int, layout: Layout) -> float:
    """What a cue costs by itself: being one more, being hard to read in its time; a pause after it is a gain."""
    words = phrase.words
    start, speech_end = words[first].start, words[last - 1].end
    following = words[last].start if last < len(words) else speech_end + LINGER
    seconds = min(max(following - layout.min_gap - start, 1), layout.max_cue) / 1000
    pause = min(max(following - speech_end, 0) / 1000, 1.0)
    cost = 2.0 - 3.0 * pause
    characters = phrase.characters[last] - phrase.characters[first] - 1
    if (hurry := characters / seconds - 0.85 * layout.chars_per_second) > 0:
        cost += 0.5 * hurry
    if seconds < layout.min_cue / 1000:
        cost += _UNREADABLE
    return cost + 6.0 * (_BRISK - seconds) if seconds < _BRISK else cost
