"""A name is for the one voice that sounds like its sample, and for no other; twins are told apart by their samples."""

import numpy as np
import pytest

from pipeline.speakers.clustering import centres
from pipeline.speakers.known_voices import heard_in, named, told_apart
from pipeline.speakers.linkage import Vectors, normalized

VOICES = np.eye(6, dtype=np.float32)
SIZE = 192


def test_each_sample_finds_its_voice_and_a_strangers_finds_none() -> None:
    samples = heard_in([VOICES[2], np.concatenate([VOICES[0], VOICES[0]]), VOICES[5]], 6)
    assert named(VOICES[:4], samples) == [1, -1, 0, -1]
    assert named(VOICES[:4], heard_in([], 6)) == [-1] * 4 and named(np.zeros((0, 6), np.float32), samples) == []


def test_the_best_pair_comes_first_and_a_name_is_given_once() -> None:
    near = 0.8 * VOICES[0] + 0.6 * VOICES[1]
    assert named(VOICES[:2], heard_in([near], 6)) == [0, -1]
    assert named(VOICES[:2], heard_in([near, VOICES[0]], 6)) == [1, 0], "the second best has what is left"


def twins(seed: int) -> list[Vectors]:
    """Forty windows of each of two whose centres are alike by some .75, which is more than one person's are elsewhere."""
    chance = np.random.default_rng(seed)
    common, *own = normalized(chance.normal(size=(3, SIZE)).astype(np.float32))
    noise = [normalized(chance.normal(size=(40, SIZE)).astype(np.float32)) for _ in own]
    return [normalized(common + 0.6 * self + 0.9 * one) for self, one in zip(own, noise, strict=True)]


@pytest.mark.parametrize("seed", range(5))
def test_twins_are_two_where_both_have_a_sample(seed: int) -> None:
    one, other = twins(seed)
    samples = [one[:6].ravel(), other[:6].ravel()]
    windows = np.concatenate((one[6:], other[6:]))
    together = centres(windows, 0.6)
    assert len(together) == 1
    found = told_apart(windows, together, heard_in(samples, SIZE))
    assert sorted(named(found, heard_in(samples, SIZE))) == [0, 1]
    for few in ([], samples[:1]):
        assert len(told_apart(windows, together, heard_in(few, SIZE))) == 1


@pytest.mark.parametrize("seed", range(5))
def test_a_twin_who_does_not_speak_takes_nothing(seed: int) -> None:
    one, other = twins(seed)
    voices = heard_in([one[:6].ravel(), other[:6].ravel()], SIZE)
    speaker = centres(one[6:], 0.6)
    assert np.array_equal(told_apart(one[6:], speaker, voices), speaker)
    assert named(speaker, voices) == [0]
    himself = heard_in([one[:6].ravel(), one[6:12].ravel()], SIZE)
    assert len(told_apart(one[12:], speaker, himself)) == 1, "two names for one voice"
