"""Filterbanks as Kaldi makes them: frames, filters in mel, and nothing of the level once the mean is gone."""

import numpy as np
import pytest

from pipeline.speakers.filterbank import FILTERS, filterbanks
from pipeline.transcript import SAMPLE_RATE


def tone(hertz: float, seconds: float = 1.5, level: float = 0.3) -> bytes:
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (32767 * level * np.sin(2 * np.pi * hertz * t)).astype("<i2").tobytes()


def test_a_window_of_a_second_and_a_half_has_148_frames() -> None:
    assert filterbanks(tone(440)).shape == (148, FILTERS)
    assert filterbanks(tone(440, 0.025)).shape == (1, FILTERS) and len(filterbanks(b"")) == 0


@pytest.mark.parametrize("hertz", [100, 440, 1000, 3000, 7000])
def test_a_tone_is_loudest_in_its_own_filter(hertz: float) -> None:
    def mel(value: float) -> float:
        return 1127 * np.log(1 + value / 700)

    loudest = np.argmax(filterbanks(tone(hertz)).mean(axis=0))
    expected = (mel(hertz) - mel(20)) / (mel(8000) - mel(20)) * (FILTERS + 1) - 1
    assert abs(loudest - expected) <= 1


def test_louder_is_the_same_but_for_a_constant() -> None:
    chance = np.random.default_rng(1).normal(0, 2000, SAMPLE_RATE).astype("<i2")
    quiet, loud = filterbanks(chance.tobytes()), filterbanks((2 * chance).astype("<i2").tobytes())
    assert np.allclose(loud - quiet, np.log(4), atol=1e-2)


def test_silence_is_a_number() -> None:
    assert np.isfinite(filterbanks(bytes(48_000))).all()
