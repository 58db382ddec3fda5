"""Recitals laid end to end: one file in every format, and when each sentence is said in it."""

import io
import wave
from itertools import pairwise

import numpy as np
import pytest

from pipeline.audio.decode import decode
from pipeline.options import SPEECH_FORMATS
from pipeline.transcript import Segment, Word
from pipeline.tts.long_text import Reading
from pipeline.tts.passage import SAMPLE_RATE, Recital

pytestmark = pytest.mark.processes


def recital(number: int, seconds: float = 1.0) -> Recital:
    samples = round(seconds * SAMPLE_RATE)
    tone = 8000 * np.sin(np.arange(samples) * 2 * np.pi * (200 + 100 * number) / SAMPLE_RATE)
    length = round(1000 * seconds)
    word = Word(f"w{number}", 100, length - 100)
    return Recital(tone.astype("<i2").tobytes(), (Segment(f"w{number}.", 100, length - 100, (word,)),), f"m{number}")


RECITALS = [recital(number, 0.5 + 0.37 * number) for number in range(5)]
TOTAL = sum(one.samples for one in RECITALS)


@pytest.mark.parametrize("target", SPEECH_FORMATS)
def test_one_file_as_long_as_its_parts(target: str) -> None:
    reading = Reading()
    data = b"".join(reading.file(iter(RECITALS), target, samples=TOTAL))
    if target == "pcm":
        assert data == b"".join(one.pcm for one in RECITALS)
        return
    with decode(data, max_seconds=60) as decoding:
        sound = np.frombuffer(b"".join(decoding), dtype="<i2")
    slack = 0 if target in ("wav", "flac") else 0.15  # what a lossy encoder adds before and after
    assert abs(len(sound) / 16_000 - TOTAL / SAMPLE_RATE) <= slack + 0.001
    quiet = np.abs(sound[4000:-4000].reshape(-1)[: len(sound) // 800 * 800 - 8000]).reshape(-1, 160).max(axis=1)
    assert quiet.min() > 1000, "no gap between two parts"


def test_a_sentence_is_where_its_sound_is() -> None:
    reading = Reading()
    list(reading.file(iter(RECITALS), "pcm", samples=TOTAL))
    transcript = reading.transcript()
    begins = np.cumsum([0, *(one.samples for one in RECITALS)]) * 1000 / SAMPLE_RATE
    assert [segment.start for segment in transcript.segments] == [round(at) + 100 for at in begins[:-1]]
    assert transcript.text == "w0. w1. w2. w3. w4." and transcript.model_used == "m0"
    assert transcript.duration == round(begins[-1])
    assert all(one.end <= other.start for one, other in pairwise(transcript.words))


def test_the_headers_tell_the_length() -> None:
    data = b"".join(Reading().file(iter(RECITALS), "wav", samples=TOTAL))
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnframes(), file.getframerate(), file.getnchannels()) == (TOTAL, SAMPLE_RATE, 1)
    flac = b"".join(Reading().file(iter(RECITALS), "flac", samples=TOTAL))
    assert int.from_bytes(flac[18:26], "big") & (1 << 36) - 1 == TOTAL
