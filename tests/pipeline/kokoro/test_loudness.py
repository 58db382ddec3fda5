"""Every phrase is as loud as the next, and none is cut off."""

import numpy as np
import pytest

from pipeline.kokoro.folder import SAMPLE_RATE
from pipeline.kokoro.loudness import levelled
from tests.support.seams import loudness

SECOND = np.sin(np.arange(SAMPLE_RATE) * 0.05).astype(np.float32)


@pytest.mark.parametrize("amplitude", [0.1, 0.15, 0.25])
def test_phrases_are_brought_to_one_level_and_pauses_do_not_count(amplitude: float) -> None:
    alone, paused = (levelled(amplitude * sound) for sound in (SECOND, np.concatenate([SECOND, 0 * SECOND])))
    for sound in (alone, paused):
        assert loudness(sound, SAMPLE_RATE) == pytest.approx(20 * np.log10(0.12), abs=0.2)


def test_nothing_is_made_so_loud_that_it_is_cut_off_nor_a_whisper_a_shout() -> None:
    click = np.full(SAMPLE_RATE, 0.03, np.float32)
    click[100] = 0.9
    assert np.abs(levelled(click)).max() <= 0.97
    assert np.abs(levelled(0.001 * SECOND)).max() == pytest.approx(0.002, rel=0.01)


@pytest.mark.parametrize("sound", [np.zeros(0, np.float32), np.zeros(5000, np.float32), np.zeros(10, np.float32)])
def test_silence_stays_silence(sound: np.ndarray) -> None:
    assert not levelled(sound).any()
