"""Windows into speakers: as many as there are, whatever the order, the blocks and the length."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.speakers import clustering, linkage
from pipeline.speakers.clustering import centres, likeness

ALIKE = 0.55
SIZE = 192
HOP, LONG = 12_000, 24_000


def voices(count: int, seed: int = 1) -> np.ndarray:
    """Of different people: any two are hardly alike."""
    vectors = np.random.default_rng(seed).normal(size=(count, SIZE))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def windows(voice: np.ndarray, count: int, seed: int, alike: float = ALIKE) -> np.ndarray:
    """Of one person: any two are so much alike."""
    noise = np.random.default_rng(1000 + seed).normal(size=(count, SIZE))  # of no voice
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    mixed = np.sqrt(alike) * voice + np.sqrt(1 - alike) * noise
    return mixed / np.linalg.norm(mixed, axis=1, keepdims=True)


def talk(people: np.ndarray, turns: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """The windows of these turns (who, how many windows), and whose each is."""
    vectors = [windows(people[who], count, seed) for seed, (who, count) in enumerate(turns)]
    return np.concatenate(vectors), np.repeat([who for who, _ in turns], [count for _, count in turns])


def assert_apart(vectors: np.ndarray, whose: np.ndarray, found: np.ndarray) -> None:
    """Each speaker has one centre, which is nobody else's."""
    nearest = np.argmax(vectors @ found.T, axis=1)
    of = {who: set(nearest[whose == who].tolist()) for who in set(whose.tolist())}
    assert all(len(one) == 1 for one in of.values()), of
    assert len({next(iter(one)) for one in of.values()}) == len(of) == len(found)


TURNS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 12)), min_size=1, max_size=40)


@settings(max_examples=20)
@given(TURNS)
def test_everybody_who_speaks_long_enough_is_found(turns: list[tuple[int, int]]) -> None:
    spoken = {who: sum(count for one, count in turns if one == who) for who, _ in turns}
    turns = [(who, count) for who, count in turns if spoken[who] >= 6] or [(0, 8)]
    vectors, whose = talk(voices(6), turns)
    assert_apart(vectors, whose, centres(vectors, ALIKE))


@settings(max_examples=20)
@given(TURNS, st.integers(1, 20))
def test_as_many_as_were_asked_for_or_as_there_are_windows_for(turns: list[tuple[int, int]], count: int) -> None:
    vectors, whose = talk(voices(6), turns)
    found = centres(vectors, ALIKE, count)
    assert 1 <= len(found) <= count
    enough = [who for who in set(whose.tolist()) if (whose == who).sum() >= 6]
    assert len(found) >= min(count, len(enough))


@settings(max_examples=20)
@given(TURNS)
def test_the_same_windows_are_the_same_speakers(turns: list[tuple[int, int]]) -> None:
    vectors, _ = talk(voices(6), turns)
    assert np.array_equal(centres(vectors, ALIKE), centres(vectors, ALIKE))


@pytest.mark.parametrize("count", [None, 4])
def test_many_windows_are_compared_in_blocks(count: int | None) -> None:
    turns = [(number % 4, 30) for number in range(120)]
    vectors, whose = talk(voices(4), turns)
    assert len(vectors) > 8 * linkage._BLOCK
    assert_apart(vectors, whose, centres(vectors, ALIKE, count))


def test_a_voice_of_a_few_windows_among_thousands_is_none() -> None:
    vectors, _ = talk(voices(3), [(0, 900), (1, 900), (2, 5)])
    assert len(centres(vectors, ALIKE)) == 2
    assert len(centres(vectors[-5:], ALIKE)) == 1, "alone it is one"


@pytest.mark.parametrize("count", [None, 1, 3])
def test_no_windows_are_nobody(count: int | None) -> None:
    assert len(centres(np.zeros((0, SIZE)), ALIKE, count)) == 0


def test_how_alike_one_speakers_windows_are_is_measured_in_the_recording() -> None:
    for alike in (0.40, 0.55):
        vectors = windows(voices(1)[0], 200, 3, alike)
        places = [(HOP * at, HOP * at + LONG) for at in range(200)]
        assert likeness(vectors, places) == pytest.approx(alike, abs=0.03)
    studio = windows(voices(1)[0], 200, 3, 0.84)
    assert likeness(studio, places) == clustering._MOST_ALIKE
    assert likeness(studio[:2], places[:2]) == clustering._USUAL, "nothing is known"
