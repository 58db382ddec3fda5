"""Word errors between what was said and what was found, and their rate (WER)."""

from collections.abc import Sequence
from typing import NamedTuple

import jiwer


class WordErrors(NamedTuple):
    """How many words were replaced, are there too much, are missing."""

    replaced: int
    doubled: int
    lost: int

    @property
    def all(self) -> int:
        """The three together."""
        return self.replaced + self.doubled + self.lost


def word_errors(said: Sequence[str], found: Sequence[str]) -> WordErrors:
    """By the alignment with the fewest errors."""
    scores = jiwer.process_words(" ".join(said), " ".join(found))
    return WordErrors(scores.substitutions, scores.insertions, scores.deletions)


def word_error_rate(said: Sequence[str], found: Sequence[str]) -> float:
    """Errors per word said: 0 to 1, and above where more is found than was said."""
    return word_errors(said, found).all / len(said)
