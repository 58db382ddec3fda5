"""A stretch of words that may share a cue, measured once: where each word stands in columns, and what a break after it costs."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise

from pipeline.captions.words import Timed
from pipeline.captions.words import columns as columns_of
from pipeline.text.punctuation import CLOSING, SENTENCE_ENDS
from pipeline.word_spacing import space_between

_PHRASE_ENDS = (",", ";", ":", "،", "，", "、", "；", "：", "–", "—")  # noqa: RUF001 - they are what is meant
_OPENERS = frozenset(
    "and or but nor so yet because although though while when where which who that if unless until since as than "  # noqa: SIM905
    "with without in on at by for from to of into onto over under after before between about through during "
    "und oder aber denn weil dass wenn mit ohne von zu für et ou mais car que qui dans avec sans pour par "
    "y o pero porque cuando con sin para por e ma perché che con senza per".split()
)
_NO_BREAK, _OPENER, _PHRASE, _SENTENCE = 6.0, 3.0, 1.5, 0.0  # what a break costs after such a word
_GOOD_PAUSE = 400  # ms; behind a shorter one only the sense invites a break


class Phrase:
    """Words of one speaker without a long pause, and lines of so many columns.

    A cue or a line is told by its first word and the first behind it. Columns are those of one endless line.
    """

    def __init__(self, words: Sequence[Timed], columns: int) -> None:
        self.words = words
        self.spaces = ["", *(space_between(before.text, word.text) for before, word in pairwise(words))]
        self.breaks = [_break_cost(words, at) for at in range(len(words))]
        self.sentences = [0, *accumulate(cost == _SENTENCE for cost in self.breaks)]  # that end before each word
        self.characters = [0, *accumulate(len(word.text) + 1 for word in words)]
        self.good_ends = [at + 1 for at in range(len(words)) if self.breaks[at] <= _PHRASE or self._pauses(at)]
        self._columns = columns
        self._left, self._right = self._places()
        self._line_ends = [self._line_end(first) for first in range(len(words))]

    def width(self, first: int, last: int) -> int:
        """Columns of these words on one line."""
        return self._right[last - 1] - self._left[first]

    def full_line(self, first: int) -> int:
        """The end of the longest line that begins with this word. One word always fits."""
        return self._line_ends[first]

    def full_line_before(self, last: int) -> int:
        """The first word of the longest line that ends before `last`."""
        return min(bisect_left(self._left, self._right[last - 1] - self._columns, 0, last), last - 1)

    def line_of(self, first: int, columns: float) -> int:
        """The end of the line that begins with this word and takes about so many columns."""
        return bisect_right(self._right, self._left[first] + columns, first)

    def text(self, first: int, last: int) -> str:
        """These words on one line."""
        rest = (self.spaces[at] + self.words[at].text for at in range(first + 1, last))
        return self.words[first].text + "".join(rest)

    def _places(self) -> tuple[list[int], list[int]]:
        """The column at which each word begins, and the one behind it."""
        left, right, now = list[int](), list[int](), 0
        for space, word in zip(self.spaces, self.words, strict=True):
            left.append(now + len(space))
            now = left[-1] + columns_of(word.text)
            right.append(now)
        return left, right

    def _line_end(self, first: int) -> int:
        return max(first + 1, self.line_of(first, self._columns))

    def _pauses(self, at: int) -> bool:
        return at + 1 < len(self.words) and self.words[at + 1].start - self.words[at].end >= _GOOD_PAUSE


def _break_cost(words: Sequence[Timed], at: int) -> float:
    """How bad a break after this word is."""
    text = words[at].text.rstrip(CLOSING)
    if at == len(words) - 1 or text.endswith(SENTENCE_ENDS):
        return _SENTENCE
    if text.endswith(_PHRASE_ENDS):
        return _PHRASE
    return _OPENER if words[at + 1].text.lower() in _OPENERS else _NO_BREAK
