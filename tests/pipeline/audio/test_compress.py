"""Samples made small in this process: FLAC loses none of them, and every header tells how many there are."""

import numpy as np
import pytest

from pipeline.audio.compress import compress
from pipeline.audio.decode import decode
from pipeline.audio.duration.exact import measured_ms
from pipeline.transcript import SAMPLE_RATE

pytestmark = pytest.mark.processes


def speech_like(seconds: float) -> bytes:
    """A tone that swells and fades, with noise under it."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tone = np.sin(2 * np.pi * 220 * time) * np.sin(2 * np.pi * 0.7 * time) ** 2
    noise = np.random.default_rng(3).normal(0, 0.01, len(time))
    return np.asarray((tone + noise) * 9000, dtype="<i2").tobytes()


@pytest.mark.parametrize("seconds", [0.0, 1 / SAMPLE_RATE, 0.5, 61.7])
def test_flac_is_the_same_samples_in_less_room(seconds: float) -> None:
    pcm = speech_like(seconds)
    flac = compress(pcm, "flac")
    assert int.from_bytes(flac[18:26], "big") & (2**36 - 1) == len(pcm) // 2, "the header's count of samples"
    if pcm:
        with decode(flac) as decoding:
            assert b"".join(decoding) == pcm
    if seconds > 1:
        assert len(flac) < 0.7 * len(pcm)


def test_mp3_is_as_long_and_of_64_kbits() -> None:
    pcm = speech_like(61.7)
    mp3 = compress(pcm, "mp3")
    assert len(mp3) == pytest.approx(61.7 * 8000, rel=0.01)
    assert measured_ms(mp3) == pytest.approx(61_700, abs=150)
    with decode(mp3) as decoding:
        heard = np.frombuffer(b"".join(decoding), dtype="<i2").astype(float)
    length = min(len(heard), len(pcm) // 2)
    spoken = np.frombuffer(pcm, dtype="<i2")[:length].astype(float)
    assert np.corrcoef(spoken, heard[:length])[0, 1] > 0.95, "the same sound at the same time"
