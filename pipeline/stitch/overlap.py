"""Where to change from one chunk's words to the next one's, when both heard the seconds around the cut.

Words are matched by text and clock together, the clock first: text alone loses "no no no" and clock alone doubles whatever the two
chunks time differently. From the matches one is chosen, near the cut and inside a run of others, and there the reader changes
sides, once. So nothing is interleaved, nothing is heard twice and time never runs backwards. Without agreement the side is changed
at the moment that drops the fewest words which the other side does not have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from pipeline.text.word_match import Spoken, likeness, normal

_FAR = 3000  # ms around the overlap in which a clock offset is looked for
_NEAR = 350  # ms around it in which words are matched: a recogniser's boundaries are no better
_MAX_OFFSET = 2500  # ms
_SAME_OFFSET = 150  # ms within which two words tell of the same offset
_OFFSET_WITNESSES = 3
_SIGMAS = (120, 350, 1000)  # ms; loosened only while too few words agree
_BELIEVED = 2.5  # sigmas; beyond that a clock does not err
_AGREEMENT = 0.6  # of the words inside the overlap, on the side that has fewer
_SURE = 250  # ms within which a single match is believed
_NEARLY_SURE = 800  # the same for words whose times are spread over a segment
_RUN_CREDIT = 250  # ms nearer to the cut, per match in the same run, up to four
_SUBSTITUTION, _GAP = -0.7, -0.4
_TWIN = 200  # ms between two hearings of one word
_COVERED = 0.3  # of a word, to say that the other side has it too


@dataclass(frozen=True, slots=True)
class Overlap:
    """The stretch that both chunks heard, in ms, and the cut in it."""

    start: int
    end: int
    cut: int


def switch(left: Sequence[Spoken], right: Sequence[Spoken], overlap: Overlap, *, exact: bool = True) -> tuple[int, int]:
    """How many words of the left to keep and how many of the right to skip. Only the end of `left` need be given.

    `exact` says that the provider timed every word: then a single match must be nearly at the same time to be believed.
    """
    offset = _clock_offset(
        [word for word in left if word.end > overlap.start - _FAR],
        [word for word in right if word.start < overlap.end + _FAR],
    )
    reach = _NEAR + abs(offset)
    first = next((at for at, word in enumerate(left) if word.end > overlap.start - reach), len(left))
    last = next((at for at, word in enumerate(right) if word.start >= overlap.end + reach), len(right))
    tail, head = left[first:], right[:last]
    matches = _agreed(tail, head, offset, overlap)
    most = _SURE if exact else _NEARLY_SURE
    damaged = None if exact else (len(tail) - 1, 0)  # the pieces of a word that both edges cut
    sure = [pair for pair in matches if abs(_delay(tail, head, pair) - offset) < most and pair != damaged]
    if len(matches) > 1 or (matches and sure):
        mine, theirs = _best_match(matches, tail, overlap.cut)
        return first + mine + 1, theirs + 1
    kept, skipped = _by_time(tail, head, overlap)
    return first + kept, skipped


def _delay(left: Sequence[Spoken], right: Sequence[Spoken], pair: tuple[int, int]) -> int:
    return right[pair[1]].start - left[pair[0]].start


def _clock_offset(left: Sequence[Spoken], right: Sequence[Spoken]) -> int:
    """By how many ms the right side's clock is late, as far as words that occur once on each side agree on it."""
    mine, theirs = _said_once(left), _said_once(right)
    delays = [theirs[word] - start for word, start in mine.items() if word in theirs]
    delays = [delay for delay in delays if abs(delay) <= _MAX_OFFSET]
    enough = max(_OFFSET_WITNESSES, sum(abs(delay) <= _SAME_OFFSET for delay in delays) + 2)
    if len(delays) < enough:
        return 0
    clusters = [[other for other in delays if abs(other - delay) <= _SAME_OFFSET] for delay in delays]
    best = max(clusters, key=len)
    return round(sum(best) / len(best)) if len(best) >= enough else 0


def _said_once(words: Sequence[Spoken]) -> dict[str, int]:
    """The start of each word that is there only once."""
    texts = [normal(word.text) for word in words]
    counts = Counter(texts)
    return {text: word.start for text, word in zip(texts, words, strict=True) if counts[text] == 1}


def _agreed(left: Sequence[Spoken], right: Sequence[Spoken], offset: int, overlap: Overlap) -> list[tuple[int, int]]:
    """Pairs of the same word; the tightest clock at which enough of them agree."""
    inside = [sum(overlap.start <= word.start and word.end <= overlap.end for word in side) for side in (left, right)]
    matches: list[tuple[int, int]] = []
    for sigma in _SIGMAS:
        matches = _aligned(left, right, offset, sigma)
        if len(matches) >= _AGREEMENT * min(inside):
            break
    return matches


def _aligned(left: Sequence[Spoken], right: Sequence[Spoken], offset: int, sigma: int) -> list[tuple[int, int]]:
    """The exact matches of the best alignment; what sticks out at either end is free."""
    pairs = _pair_scores(left, right, offset, sigma)
    gaps = [*[_GAP] * (len(right) - 1), 0.0]
    score = [[0.0] * (len(right) + 1)]
    for row, own in enumerate(pairs, start=1):
        above, here, best = score[-1], [0.0], 0.0
        after = _GAP if row < len(left) else 0.0
        for pair, before, over, gap in zip(own, above, islice(above, 1, None), gaps, strict=False):
            met, skipped, passed = before + pair, over + gap, best + after
            best = met if met > skipped else skipped
            best = best if best > passed else passed
            here.append(best)
        score.append(here)
    matches = _traced(score, pairs)
    return [(row, column) for row, column in matches if _equal(left[row], right[column], offset, sigma)]


def _traced(score: list[list[float]], pairs: list[list[float]]) -> list[tuple[int, int]]:
    """The pairs along the best path, found back from the end of both sides."""
    row, column, path = len(score) - 1, len(score[0]) - 1, []
    columns = column
    while row and column:
        if score[row][column] == score[row - 1][column - 1] + pairs[row - 1][column - 1]:
            row, column = row - 1, column - 1
            path.append((row, column))
        elif score[row][column] == score[row - 1][column] + (_GAP if column < columns else 0.0):
            row -= 1
        else:
            column -= 1
    return path[::-1]


def _equal(mine: Spoken, theirs: Spoken, offset: int, sigma: int) -> bool:
    close = abs(theirs.start - mine.start - offset) <= _BELIEVED * sigma
    return close and normal(mine.text) == normal(theirs.text)


def _pair_scores(left: Sequence[Spoken], right: Sequence[Spoken], offset: int, sigma: int) -> list[list[float]]:
    """What it is worth to take a word of the left and one of the right for the same."""
    heads = [(normal(word.text), word.start - offset) for word in right]
    most, rows = _BELIEVED * sigma, []
    for word in left:
        text, start = normal(word.text), word.start
        rows.append(
            [
                _worth(text, other, (time - start) / sigma) if -most <= time - start <= most else _SUBSTITUTION
                for other, time in heads
            ]
        )
    return rows


def _worth(one: str, other: str, late: float) -> float:
    """`late`: in sigmas."""
    alike = 1.0 if one == other else likeness(one, other)
    return max(2.0 * alike - 1.5 * late * late, _SUBSTITUTION)


def _best_match(matches: list[tuple[int, int]], left: Sequence[Spoken], cut: int) -> tuple[int, int]:
    """The one nearest to the cut, where a run of matches counts as nearer."""
    runs: dict[tuple[int, int], int] = {}
    for mine, theirs in matches:
        runs[mine, theirs] = runs.get((mine - 1, theirs - 1), 0) + 1
    for mine, theirs in reversed(matches):
        runs[mine, theirs] = max(runs[mine, theirs], runs.get((mine + 1, theirs + 1), 0))

    def distance(pair: tuple[int, int]) -> float:
        word = left[pair[0]]
        return abs((word.start + word.end) / 2 - cut) - _RUN_CREDIT * min(runs[pair], 4)

    return min(matches, key=distance)


def _by_time(left: Sequence[Spoken], right: Sequence[Spoken], overlap: Overlap) -> tuple[int, int]:
    """Change at the moment that loses and doubles the least, near the cut; words go to the side of their middle."""
    moments = {overlap.cut, overlap.start, overlap.end, *(_middle(word) for word in (*left, *right))}
    moments = {moment for moment in moments if overlap.start <= moment <= overlap.end}
    moments |= {moment + 1 for moment in moments}

    def harm(moment: int) -> tuple[int, int]:
        kept, skipped = _division(left, right, moment)
        lost = [word for word in left[kept:] if not _covered(word, right[skipped:])]
        lost += [word for word in right[:skipped] if not _covered(word, left[:kept])]
        doubled = [word for word in right[skipped:] if _covered(word, left[:kept])]
        return len(lost) + len(doubled), abs(moment - overlap.cut)

    kept, skipped = _division(left, right, min(sorted(moments), key=harm))
    if kept and skipped < len(right) and _twins(left[kept - 1], right[skipped]):
        skipped += 1
    return kept, skipped


def _division(left: Sequence[Spoken], right: Sequence[Spoken], moment: int) -> tuple[int, int]:
    kept = sum(_middle(word) < moment for word in left)
    return kept, sum(_middle(word) < moment for word in right)


def _covered(word: Spoken, others: Sequence[Spoken]) -> bool:
    shared = sum(max(0, min(word.end, other.end) - max(word.start, other.start)) for other in others)
    return shared > _COVERED * max(word.end - word.start, 1)


def _twins(one: Spoken, other: Spoken) -> bool:
    return normal(one.text) == normal(other.text) and abs(one.start - other.start) < _TWIN


def _middle(word: Spoken) -> int:
    return (word.start + word.end) // 2
