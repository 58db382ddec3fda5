"""Slower, and neither lower nor broken."""

import numpy as np
import pytest

from pipeline.time_stretch import slower

RATE = 22_050


def tone(hertz: float, seconds: float) -> bytes:
    t = np.arange(round(RATE * seconds)) / RATE
    return (10_000 * np.sin(2 * np.pi * hertz * t)).astype("<i2").tobytes()


@pytest.mark.parametrize("factor", [1.2, 1.8, 2.2])
@pytest.mark.parametrize("hertz", [80.0, 220.0, 900.0])
def test_length_changes_and_pitch_and_level_do_not(hertz: float, factor: float) -> None:
    stretched = np.frombuffer(slower(tone(hertz, 1.0), factor, RATE), "<i2").astype(float)
    assert len(stretched) == round(RATE * factor)
    middle = stretched[RATE // 10 : -RATE // 5]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * RATE / len(middle) == pytest.approx(hertz, abs=3)
    assert middle.std() == pytest.approx(10_000 / 2**0.5, rel=0.1)


def test_what_need_not_or_cannot_be_stretched_stays() -> None:
    assert slower(tone(100, 1), 1.0, RATE) == tone(100, 1)
    assert slower(b"", 2.0, RATE) == b""
    assert slower(bytes(20), 2.0, RATE) == bytes(20)
