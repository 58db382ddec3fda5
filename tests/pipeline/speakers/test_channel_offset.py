"""What narrow channels give to all voices is taken out of theirs, and nothing of any other."""

import numpy as np
import pytest

from pipeline.speakers.channel_offset import without_channel
from pipeline.speakers.excerpts import LONG
from pipeline.speakers.filterbank import filterbanks
from pipeline.transcript import SAMPLE_RATE

SIZE = 192


def heard(lowest: float, highest: float) -> np.ndarray:
    """The filterbanks of a window of noise through such a channel, one window."""
    spectrum = np.fft.rfft(np.random.default_rng(1).normal(0, 3000, LONG))
    hertz = np.fft.rfftfreq(LONG, 1 / SAMPLE_RATE)
    spectrum[(hertz < lowest) | (hertz > highest)] = 0
    pcm = np.clip(np.fft.irfft(spectrum, LONG), -32768, 32767).astype("<i2").tobytes()
    return filterbanks(pcm)[None]


def voices(size: int = SIZE) -> np.ndarray:
    vectors = np.random.default_rng(2).normal(size=(1, size)).astype(np.float32)
    return vectors / np.linalg.norm(vectors)


def test_a_wide_channel_and_another_networks_vectors_are_left_alone() -> None:
    assert np.allclose(without_channel(voices(), heard(0, 8000)), voices(), atol=1e-6)
    assert np.allclose(without_channel(voices(16), heard(300, 3400)), voices(16), atol=1e-6)


@pytest.mark.parametrize("lowest", [0, 300])
def test_what_a_narrow_one_gives_to_all_is_taken_out(lowest: float) -> None:
    frames = heard(lowest, 3400)
    given = -without_channel(np.zeros((1, SIZE), np.float32), frames)
    assert np.linalg.norm(given) == pytest.approx(1), "it has a direction"
    alike = (voices() + given) / np.linalg.norm(voices() + given)
    assert abs(float((without_channel(alike, frames) @ given.T)[0, 0])) < float((alike @ given.T)[0, 0])


def test_the_telephone_is_another_channel_than_one_without_the_highs() -> None:
    narrow, telephone = (without_channel(np.zeros((1, SIZE), np.float32), heard(low, 3400)) for low in (0, 300))
    assert float((narrow @ telephone.T)[0, 0]) < 0.9
