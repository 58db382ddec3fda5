"""The oracle's code: far apart, and any Latin text has words in it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.oracle.words import VOCABULARY, codes, in_vocabulary, index_of


def test_every_word_has_its_own_code_far_from_all_others() -> None:
    assert len(set(VOCABULARY)) == len(VOCABULARY) == 512
    different = (codes()[:, None, :] != codes()[None]).sum(-1)
    assert different[~np.eye(512, dtype=bool)].min() == 6


def test_known_words_stay_and_unknown_ones_are_spelled() -> None:
    assert list(in_vocabulary("Hello, World! Café 42; naïve")) == [
        *["hello", "world", "c", "a", "f", "e", "four", "two"],
        *"naive",
    ]
    assert list(in_vocabulary("!?… 你好 🎉")) == []


@given(st.text())
def test_any_text_becomes_words_of_the_vocabulary(text: str) -> None:
    assert all(index_of(word) >= 0 for word in in_vocabulary(text))


def test_an_unknown_word_has_no_number() -> None:
    with pytest.raises(KeyError):
        index_of("thursday")
