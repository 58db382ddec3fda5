"""Where to change from one chunk's text to the next one's when nobody knows the time of any word.

The end of the left text and the beginning of the right one are laid over each other. How many words the overlap should hold is
known from the rate of speech, and that is the only clock there is: among equally good ways to lay them ("no no no" has many), the
one that is nearest to it wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, islice, repeat

from pipeline.stitch.overlap import Overlap
from pipeline.text.word_match import Spoken, normal

_REACH, _MORE = 1.8, 4  # times the expected words, and some, that are looked at on each side
_MATCH, _SUBSTITUTION, _GAP = 1.0, -0.7, -0.6
_OFF = 0.12  # what each word costs by which the overlap is longer or shorter than expected
_ENOUGH = 0.3  # of the expected words must agree
_DAMAGED = "\0"  # in place of a word cut in two by both edges: that the pieces look alike says nothing
_FEW = 5  # words; an overlap of a second or so
_LONGEST, _LONGER = 2.2, 6  # times the expected words, and some: a longer overlap is a coincidence


def switch_texts(left: Sequence[Spoken], right: Sequence[Spoken], overlap: Overlap) -> tuple[int, int]:
    """The same for words laid over the speech of their chunks: their times say how many belong to the overlap."""
    both = sum((word.start + word.end) // 2 > overlap.start for word in left)
    both += sum((word.start + word.end) // 2 < overlap.end for word in right)
    share = (overlap.cut - overlap.start) / max(overlap.end - overlap.start, 1)
    return switch_by_text([word.text for word in left], [word.text for word in right], both / 2, share)


def switch_by_text(left: Sequence[str], right: Sequence[str], expected: float, share: float) -> tuple[int, int]:
    """How many words of the left to keep and how many of the right to skip.

    `expected` is how many words both should have heard; `share` (0 to 1) how far into them the cut lies.
    """
    reach = round(_REACH * expected) + _MORE
    tail, head = [normal(word) for word in left[-reach:]], [normal(word) for word in right[:reach]]
    if tail and tail[-1:] == head[:1]:
        head = [_DAMAGED, *head[1:]]
    matches = _laid_over(tail, head, expected)
    first = len(left) - len(tail)
    if not _believable(matches, tail, head, expected):
        dropped = round(expected * (1 - share)), round(expected * share)
        return max(len(left) - dropped[0], 0), min(dropped[1], len(right))
    begin = matches[0][0] - matches[0][1]  # where in the tail the right text begins
    wanted = begin + share * (len(tail) - begin)
    mine, theirs = _inmost(matches, wanted)
    return first + mine + 1, theirs + 1


def _believable(matches: Sequence[tuple[int, int]], tail: Sequence[str], head: Sequence[str], expected: float) -> bool:
    """Enough words in a likely place; in a short overlap a single one will do, if it is there only once on each side."""
    if not matches or len(tail) - matches[0][0] > _LONGEST * expected + _LONGER:
        return False
    if len(matches) == 1 and expected < _FEW:
        word = tail[matches[0][0]]
        return tail.count(word) == head.count(word) == 1
    return len(matches) >= max(2, _ENOUGH * expected)


def _laid_over(tail: Sequence[str], head: Sequence[str], expected: float) -> list[tuple[int, int]]:
    """The equal words of the best alignment of some end of `tail` with some beginning of `head`."""
    rows, columns = len(tail), len(head)
    score = [list(accumulate(repeat(_GAP, columns), initial=-_OFF * abs(rows - expected)))]
    for row in range(1, rows + 1):
        mine, above = tail[row - 1], score[-1]
        best = -_OFF * abs(rows - row - expected)
        here = [best]
        for theirs, before, over in zip(head, above, islice(above, 1, None), strict=False):
            met = before + (_MATCH if mine == theirs else _SUBSTITUTION)
            gap = (over if over > best else best) + _GAP
            best = met if met > gap else gap
            here.append(best)
        score.append(here)
    until = max(range(columns + 1), key=lambda column: score[rows][column] - _OFF * abs(column - expected))
    return _traced(score, tail, head, until)


def _traced(score: list[list[float]], tail: Sequence[str], head: Sequence[str], column: int) -> list[tuple[int, int]]:
    row, matches = len(tail), []
    while row and column:
        if score[row][column] == score[row - 1][column - 1] + (
            _MATCH if tail[row - 1] == head[column - 1] else _SUBSTITUTION
        ):
            row, column = row - 1, column - 1
            if tail[row] == head[column]:
                matches.append((row, column))
        elif score[row][column] == score[row - 1][column] + _GAP:
            row -= 1
        else:
            column -= 1
    return matches[::-1]


def _inmost(matches: Sequence[tuple[int, int]], wanted: float) -> tuple[int, int]:
    """The match nearest to where the cut should lie, rather one with another match on both sides."""
    known = set(matches)

    def distance(pair: tuple[int, int]) -> float:
        mine, theirs = pair
        flanked = ((mine - 1, theirs - 1) in known) + ((mine + 1, theirs + 1) in known)
        return abs(mine + 0.5 - wanted) - flanked

    return min(matches, key=distance)
