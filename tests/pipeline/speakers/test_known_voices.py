"""A name is for the one voice that sounds like its sample, and for no other."""

import numpy as np

from pipeline.speakers.known_voices import named

VOICES = np.eye(6)


def test_each_sample_finds_its_voice_and_a_strangers_finds_none() -> None:
    samples = [VOICES[2], np.concatenate([VOICES[0], VOICES[0]]), VOICES[5]]
    assert named(VOICES[:4], samples) == [1, -1, 0, -1]
    assert named(VOICES[:4], []) == [-1] * 4 and named(np.zeros((0, 6)), samples) == []


def test_the_best_pair_comes_first_and_a_name_is_given_once() -> None:
    near = 0.8 * VOICES[0] + 0.6 * VOICES[1]
    assert named(VOICES[:2], [near]) == [0, -1]
    assert named(VOICES[:2], [near, VOICES[0]]) == [1, 0], "the second best has what is left"
