"""Peaks are those of the samples, wherever blocks are cut, and take the same memory for any length."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.playback.peaks import MOST_POINTS, Peaks, peaks_from_bytes

RATE = 16_000


def drawn(samples: np.ndarray, cuts: list[int], most: int = MOST_POINTS) -> dict:
    peaks = Peaks()
    edges = [0, *sorted(cut for cut in set(cuts) if 0 < cut < len(samples)), len(samples)]
    for start, end in pairwise(edges):
        peaks.add(start, samples[start:end].astype("<i2").tobytes())
    return peaks_from_bytes(peaks.to_bytes(), most).as_dict()


def by_hand(samples: np.ndarray, width: int) -> list[int]:
    parts = [samples[start : start + width] for start in range(0, len(samples), width)]
    return [int(one) for part in parts for one in (min(part.min(), 0), max(part.max(), 0))]


@given(
    seed=st.integers(0, 1000),
    length=st.integers(1, 5000),
    cuts=st.lists(st.integers(0, 5000), max_size=6),
    most=st.integers(1, 40),
)
def test_points_are_the_extremes_of_their_samples(seed: int, length: int, cuts: list[int], most: int) -> None:
    samples = np.random.default_rng(seed).integers(-32768, 32767, length)
    found = drawn(samples, cuts, most)
    assert found["length"] <= most
    assert found["data"] == by_hand(samples, found["samples_per_pixel"])
    assert found["duration"] == round(length / RATE, 3)


def test_a_hole_is_flat_and_channels_share_a_drawing() -> None:
    peaks = Peaks()
    peaks.add(0, np.full(160, 7, "<i2").tobytes())
    peaks.add(480, np.full(160, 9, "<i2").tobytes())
    peaks.add(0, np.full(160, -5, "<i2").tobytes())  # another channel
    peaks.add(0, b"")
    assert peaks_from_bytes(peaks.to_bytes()).as_dict()["data"] == [-5, 7, 0, 0, 0, 0, 0, 9]


def test_ten_hours_take_no_more_points_than_ten_minutes() -> None:
    peaks, block = Peaks(), np.full(RATE * 60, 3, "<i2").tobytes()
    for minute in range(600):
        peaks.add(minute * RATE * 60, block)
    found = peaks_from_bytes(peaks.to_bytes()).as_dict()
    assert (MOST_POINTS // 2 < found["length"] <= MOST_POINTS, found["duration"]) == (True, 36_000)
    assert set(found["data"]) == {0, 3}


def test_nothing_but_peaks_is_read() -> None:
    assert peaks_from_bytes(Peaks().to_bytes()).as_dict()["length"] == 0
    with pytest.raises(ValueError, match="not peaks"):
        peaks_from_bytes(b"RIFF")
