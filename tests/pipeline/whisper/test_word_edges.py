"""Words that begin in a pause or end too early are laid on the speech that is heard; their texts and their order stay."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.recognition.word_times import speech_in
from pipeline.transcript import Segment, Word
from pipeline.whisper.word_edges import laid_on_speech
from tests.pipeline import sounds

TALK = sounds.samples(sounds.oracle("dense", 2)[0])
SOUND = sounds.pcm(np.concatenate((sounds.silence(1), TALK, sounds.silence(2), TALK, sounds.silence(1))))
(FIRST_START, FIRST_END), (SECOND_START, SECOND_END) = speech_in(SOUND)


def segment(*words: tuple[int, int]) -> Segment:
    named = tuple(Word(f"w{at}", start, end) for at, (start, end) in enumerate(words))
    return Segment(" ".join(word.text for word in named), words[0][0], words[-1][1], named)


def times(*told: Segment) -> list[tuple[int, int]]:
    return [(word.start, word.end) for one in told for word in one.words]


def test_a_beginning_in_a_pause_moves_to_where_somebody_speaks() -> None:
    told = laid_on_speech([segment((400, FIRST_END)), segment((SECOND_START - 900, SECOND_END))], SOUND)
    assert times(*told) == [(FIRST_START, FIRST_END), (SECOND_START, SECOND_END)]
    assert [(one.start, one.end) for one in told] == [(FIRST_START, FIRST_END), (SECOND_START, SECOND_END)]


def test_the_last_word_before_a_pause_is_spoken_out() -> None:
    given = [segment((FIRST_START, 1_800), (1_800, FIRST_END - 400)), segment((SECOND_START, SECOND_END - 300))]
    assert times(*laid_on_speech(given, SOUND)) == [
        (FIRST_START, 1_800),
        (1_800, FIRST_END),
        (SECOND_START, SECOND_END),
    ]


def test_what_is_a_breath_away_is_no_pause() -> None:
    """There would be one in the map of speech if there were one in the sound."""
    given = segment((FIRST_START, 1_500), (1_950, 2_000), (2_050, FIRST_END))
    assert times(*laid_on_speech([given], SOUND)) == [(FIRST_START, 1_850), (1_950, 2_000), (2_050, FIRST_END)]


def test_an_end_that_is_far_off_is_somebody_else_s() -> None:
    ((_, end),) = times(*laid_on_speech([segment((FIRST_START, FIRST_START + 500))], SOUND))
    assert end == FIRST_START + 1_100


@pytest.mark.parametrize("sound", [SOUND, sounds.pcm(sounds.silence(7)), b""])
def test_where_nobody_speaks_nothing_moves(sound: bytes) -> None:
    given = [segment((3_200, 3_700)), Segment("no words", 3_700, 3_900)]
    assert laid_on_speech(given, sound) == given


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), min_size=1, max_size=8))
def test_order_and_texts_stay(steps: list[tuple[int, int]]) -> None:
    at, words = 0, []
    for pause, length in steps:
        words.append((at + pause, at + pause + length))
        at += pause + length
    given = segment(*words)
    (told,) = laid_on_speech([given], SOUND)
    assert (told.text, [word.text for word in told.words]) == (given.text, [word.text for word in given.words])
    found = times(told)
    assert all(start <= end for start, end in found)
    assert all(end <= start for (_, end), (start, _) in pairwise(found))
