"""Text into sentences and passages: nothing lost, nothing too long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text.text_splitter import passages, sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("It costs 3.50 euros. Yes.", ["It costs 3.50 euros.", "Yes."]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("first line\n\nsecond line", ["first line", "second line"]),
        ("你好。世界!", ["你好。", "世界!"]),
        (
            "At 9 p.m. on Friday. He left at 9 p.m. She stayed.",
            ["At 9 p.m. on Friday.", "He left at 9 p.m.", "She stayed."],
        ),
        ("The U.S. Army left the U.S. The end.", ["The U.S. Army left the U.S.", "The end."]),
        ("On Dec. 5 Dr. No left. Cats, etc. and so on.", ["On Dec. 5 Dr. No left.", "Cats, etc. and so on."]),
        ("no mark at all", ["no mark at all"]),
        (" \n ", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert list(sentences(text, longest=300)) == expected


def test_a_long_sentence_is_split_at_commas_then_at_spaces_then_anywhere() -> None:
    assert list(sentences("one, two, three", longest=9)) == ["one, two,", "three"]
    assert list(sentences("one two three", longest=8)) == ["one two", "three"]
    assert list(sentences("At 18:45, 3,400 of them", longest=10)) == ["At 18:45,", "3,400 of", "them"]
    assert list(sentences("abcdefgh", longest=3)) == ["abc", "def", "gh"]


@given(st.text(alphabet="ab .,!?\n\"'。、", max_size=300), st.integers(1, 60))
def test_only_white_space_is_lost_and_no_piece_is_too_long(text: str, longest: int) -> None:
    for split in (sentences, passages):
        pieces = list(split(text, longest=longest))
        assert "".join("".join(pieces).split()) == "".join(text.split())
        assert all(0 < len(piece) <= longest and piece.strip() for piece in pieces)


def test_passages_hold_as_many_sentences_as_fit() -> None:
    assert list(passages("One. Two. Three. Four.", longest=11)) == ["One. Two.", "Three.", "Four."]
