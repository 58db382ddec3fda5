"""A segment told anew is what `dataclasses.replace` would make of it, whichever fields it has."""

from dataclasses import fields, replace

from pipeline.transcript import Segment, Word

FULL = Segment("so", 1, 5, (Word("so", 1, 5, 0.5),), -0.1, 1.2, 0.3, 0.4, (7, 8), "A", 1, 2, 0.6, ("clock",))


def test_every_field_is_set_in_the_example() -> None:
    assert all(getattr(FULL, field.name) != field.default for field in fields(Segment))


def test_telling_a_segment_anew_keeps_all_else() -> None:
    words = (Word("then", 2, 4),)
    assert FULL.told("then", 2, 4, words) == replace(FULL, text="then", start=2, end=4, words=words)
    assert FULL.told("then", 2, 4, words, ()) == replace(FULL, text="then", start=2, end=4, words=words, suspect=())
