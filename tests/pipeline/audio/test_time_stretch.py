"""Slower, and neither lower nor broken."""

from collections.abc import Iterator

import numpy as np
import pytest

from pipeline.audio.time_stretch import slower, stretched

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


@pytest.mark.parametrize("factor", [0.25, 0.5, 0.8, 1.3, 4.0])
@pytest.mark.parametrize("size", [50, 1000, 14_002])
def test_it_comes_while_the_sound_comes_and_the_blocks_do_not_matter(factor: float, size: int) -> None:
    sound = tone(220.0, 2.0)
    blocks = [sound[at : at + size] for at in range(0, len(sound), size)]
    taken = 0

    def counted() -> Iterator[bytes]:
        nonlocal taken
        for block in blocks:
            taken += 1
            yield block

    coming = stretched(counted(), factor, RATE)
    first = next(coming)
    assert taken < len(blocks)
    pieced = first + b"".join(coming)
    assert pieced == b"".join(stretched([sound], factor, RATE))
    heard = np.frombuffer(pieced, "<i2").astype(float)
    assert len(heard) == round(RATE * 2 * factor)
    middle = heard[RATE // 10 : -RATE // 10]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * RATE / len(middle) == pytest.approx(220.0, abs=4)
    assert middle.std() == pytest.approx(10_000 / 2**0.5, rel=0.1)


@pytest.mark.parametrize("factor", [0.25, 4.0])
@pytest.mark.parametrize("samples", [0, 1, 100, 2000])
def test_next_to_nothing_keeps_its_length_too(factor: float, samples: int) -> None:
    assert len(b"".join(stretched([bytes(2 * samples)], factor, RATE))) == 2 * round(samples * factor)
