"""Windows in which more than one speaks, by what the second network tells of ten seconds at a time."""

import numpy as np

from pipeline.speakers.mixed_voices import HOP, LONG, classes_of, mixed, pieces
from pipeline.transcript import SAMPLE_RATE

FRAMES = 589
NOBODY, ANN, BOB, BOTH = 0, 1, 2, 4


def told(*parts: tuple[int, float]) -> bytes:
    """Classes of ten seconds: each for so many of them, and nobody behind."""
    classes = np.zeros(FRAMES, np.uint8)
    at = 0.0
    for which, seconds in parts:
        classes[round(at * FRAMES / 10) : round((at + seconds) * FRAMES / 10)] = which
        at += seconds
    return classes.tobytes()


def window(start: float, end: float) -> tuple[int, int]:
    return round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)


def test_only_windows_of_nearly_one_voice_are_clean() -> None:
    heard = [(0, told((NOBODY, 1), (ANN, 3), (BOTH, 1), (BOB, 3)))]
    windows = [window(*one) for one in ((1, 2.5), (0.2, 1.7), (3, 4.5), (4, 5), (4.9, 6.4), (5.5, 7), (8.5, 10))]
    assert mixed(windows, heard) == [2, 3], "before, after and beside silence they are"
    change = [(0, told((ANN, 5), (BOB, 5)))]
    assert mixed([window(3, 4.5), window(4.2, 5.7), window(4.9, 6.4)], change) == [1]


def test_the_piece_in_whose_middle_it_lies_is_asked() -> None:
    heard = [(0, told((ANN, 10))), (HOP, told((BOTH, 10)))]
    assert mixed([window(4, 5.5), window(9, 10.5)], heard) == [1]


def test_pieces_cover_the_sound_and_are_all_as_long() -> None:
    for seconds in (0.3, 4.9, 10, 10.1, 15.2, 37):
        pcm = np.full(round(seconds * SAMPLE_RATE), 7, "<i2").tobytes()
        found = list(pieces(pcm))
        assert all(len(sound) == 2 * LONG for _, sound in found)
        assert [start for start, _ in found] == [HOP * number for number in range(len(found))]
        assert found[-1][0] + LONG >= len(pcm) // 2
        assert sum(np.frombuffer(sound, "<i2")[:HOP].sum() for _, sound in found[:-1]) == 7 * HOP * (len(found) - 1)


def test_the_likeliest_class_counts() -> None:
    assert classes_of(np.array([[0.1, 0.7, 0.2], [0.9, 0.0, 0.1]], np.float32)) == bytes((1, 0))
