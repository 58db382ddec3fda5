"""The lines of one cue: as few as will do, of even length, broken where the sense breaks.

The work grows with the words and not with what fits on a line: of the ends that a line may have, only so many are looked at, those
that make it about as long as the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from pipeline.captions.phrase import Phrase

MOST_LINE_ENDS = 24  # as many words as a line of 42 columns holds, nearly always
_Best = dict[
    int, tuple[float, tuple[int, ...]]
]  # by the word that follows: what it costs, and where the lines have ended


def lines(phrase: Phrase, first: int, last: int) -> tuple[str, ...]:
    """Of the words from `first` to before `last`."""
    latest = _filled_up(phrase, first, last)
    if len(latest) == 1:
        return (phrase.text(first, last),)
    ideal = phrase.width(first, last) / len(latest)
    best: _Best = {first: (0.0, (first,))}
    for bounds in zip(_earliest(phrase, len(latest), last), latest, strict=True):
        best = _one_more(phrase, best, bounds, ideal, last)
    ends = best[last][1]
    return tuple(phrase.text(begin, end) for begin, end in pairwise(ends))


def _one_more(phrase: Phrase, best: _Best, bounds: tuple[int, int], ideal: float, last: int) -> _Best:
    """The cheapest ways to one line more, which ends within `bounds`."""
    found: _Best = {}
    for first, (so_far, ends) in best.items():
        for end in _ends(phrase, first, bounds, ideal):
            cost = so_far + _line_cost(phrase, first, end, ideal, last)
            if end not in found or cost < found[end][0]:
                found[end] = (cost, (*ends, end))
    return dict(sorted(found.items()))


def _line_cost(phrase: Phrase, first: int, end: int, ideal: float, last: int) -> float:
    uneven = ((phrase.width(first, end) - ideal) / 6) ** 2
    return uneven if end == last else uneven + phrase.breaks[end - 1]


def _ends(phrase: Phrase, first: int, bounds: tuple[int, int], ideal: float) -> Iterator[int]:
    """Where a line that begins with `first` may end; those around the ideal length where there are many."""
    lowest, highest = max(first + 1, bounds[0]), min(phrase.full_line(first), bounds[1])
    if highest - lowest >= MOST_LINE_ENDS:
        middle = phrase.line_of(first, ideal)
        lowest = max(lowest, min(middle - MOST_LINE_ENDS // 2, highest - MOST_LINE_ENDS + 1))
        highest = min(highest, lowest + MOST_LINE_ENDS - 1)
    yield from range(lowest, highest + 1)


def _filled_up(phrase: Phrase, first: int, last: int) -> Sequence[int]:
    """Where the lines end when each is filled up: the fewest that will do, and the latest that each can end."""
    ends = [first]
    while ends[-1] < last:
        ends.append(min(phrase.full_line(ends[-1]), last))
    return ends[1:]


def _earliest(phrase: Phrase, count: int, last: int) -> Sequence[int]:
    """Where so many lines end at the earliest if the rest is to fit into those that are left."""
    ends = [last]
    while len(ends) < count:
        ends.append(phrase.full_line_before(ends[-1]))
    return ends[::-1]
