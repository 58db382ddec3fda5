"""Corrections leave the original as it is, keep the times of what they leave alone, and break no invariant of a transcript."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InvalidRequest
from pipeline.text.edits import (
    Change,
    Edits,
    changed,
    edited,
    edits_from_json,
    edits_to_json,
    without_blanks,
)
from pipeline.transcript import Segment, Transcript, Word

WORDS = ("so", "this", "is", "it", "then", "naïve", "42", "日", "本")


def segment(text: str, start: int = 0, *, timed: bool = True, **more: Any) -> Segment:
    """A word every 200 ms; marks are the text's alone."""
    spelled = [word.strip(".,") for word in text.split()]
    words = (
        tuple(Word(word, start + 200 * at, start + 200 * at + 150) for at, word in enumerate(spelled)) if timed else ()
    )
    return Segment(text, start, start + 200 * len(spelled), words, **more)


def transcript(*segments: Segment) -> Transcript:
    return Transcript(segments, segments[-1].end)


def one(before: str, change: Change, **how: Any) -> Segment:
    whole = transcript(segment(before, **how))
    return edited(whole, changed(whole, Edits(), [change])).segments[0]


def test_a_word_takes_the_time_of_the_one_it_replaces() -> None:
    found = one("So, this is it.", Change(0, "that", word=1))
    assert found.text == "So, that is it."
    assert [(word.text, word.start) for word in found.words] == [("So", 0), ("that", 200), ("is", 400), ("it", 600)]


@pytest.mark.parametrize("given", ["It", "it,"])
def test_marks_behind_a_word_are_neither_lost_nor_doubled(given: str) -> None:
    assert (
        one("so, this", Change(0, given.replace("it", "well").replace("It", "Well"), word=0)).text.lower()
        == "well, this"
    )


def test_a_word_becomes_several_or_none() -> None:
    several = one("this is it", Change(0, "was not", word=1))
    assert (several.text, [word.text for word in several.words]) == ("this was not it", ["this", "was", "not", "it"])
    assert several.words[1].start == 200
    assert several.words[2].end == 350
    none = one("this is it", Change(0, "", word=1))
    assert (none.text, [word.text for word in none.words]) == ("this it", ["this", "it"])


def test_of_a_new_text_what_was_there_keeps_its_time() -> None:
    found = one("So, this is it.", Change(0, "So this really is it!"))
    assert [word.start for word in found.words if word.text != "really"] == [0, 200, 400, 600]
    assert found.text == "So this really is it!"


def test_a_person_has_looked() -> None:
    suspect = one("so this", Change(0, "so that"), suspect=("repetition",))
    assert suspect.suspect == ()
    assert one("so this", Change(0, speaker="Anna"), suspect=("repetition",)).suspect == ("repetition",)


def test_a_segment_taken_away_is_gone_when_it_is_written() -> None:
    whole = transcript(segment("so"), segment("this", 1000))
    found = edited(whole, changed(whole, Edits(), [Change(0, "")]))
    assert [one.text for one in found.segments] == ["", "this"]
    assert without_blanks(found).text == "this"


def test_names_of_speakers_are_those_that_are_shown() -> None:
    whole = transcript(segment("so", speaker="A"), segment("this", 1000, speaker="B"), segment("is", 2000))
    first = changed(whole, Edits(), [], {"A": "Anna"})
    second = changed(whole, first, [], {"Anna": "Ann", "B": "Bob", "nobody": "x"})
    assert [one.speaker for one in edited(whole, second).segments] == ["Ann", "Bob", None]
    assert [one.speaker for one in edited(whole, changed(whole, second, [Change(2, speaker="B")])).segments] == [
        "Ann",
        "Bob",
        "Bob",
    ]


@pytest.mark.parametrize("change", [Change(1, "x"), Change(-1, "x"), Change(0, "x", word=3), Change(0, "x", word=-1)])
def test_what_is_not_there_cannot_be_changed(change: Change) -> None:
    with pytest.raises(InvalidRequest, match="no"):
        one("this is it", change)


TEXTS = st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join)
CHANGES = st.builds(Change, segment=st.integers(0, 2), text=TEXTS, word=st.none() | st.integers(0, 1))


@given(timed=st.booleans(), changes=st.lists(CHANGES, max_size=5))
def test_any_corrections_leave_a_valid_transcript(timed: bool, changes: list[Change]) -> None:
    whole = transcript(*(segment("so, this is it.", 1000 * at, timed=timed) for at in range(3)))
    edits = Edits()
    for change in changes:
        try:
            edits = changed(whole, edits, [change])
        except InvalidRequest:
            continue
    assert edits_from_json(edits_to_json(edits)) == edits
    for before, after in zip(whole.segments, edited(whole, edits).segments, strict=True):
        assert (before.start, before.end) == (after.start, after.end)
        starts = [word.start for word in after.words]
        assert starts == sorted(starts)
        assert all(after.start <= word.start <= word.end <= after.end for word in after.words)
        if timed and after.words:
            letters = "".join(filter(str.isalnum, after.text))
            assert "".join(filter(str.isalnum, "".join(word.text for word in after.words))) == letters
