"""Names that are nearly others."""

import pytest

from pipeline.text.misspelling import letters_apart


@pytest.mark.parametrize(
    ("one", "other", "letters"),
    [
        ("format", "format", 0),
        ("fromat", "format", 1),
        ("formatt", "format", 1),
        ("formt", "format", 1),
        ("farmet", "format", 2),
        ("farmel", "format", None),
        ("", "abc", None),
    ],
)
def test_letters_are_added_left_out_changed_and_swapped(one: str, other: str, letters: int | None) -> None:
    assert letters_apart(one, other, 2) == letters_apart(other, one, 2) == letters
