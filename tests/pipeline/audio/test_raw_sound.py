"""Samples without a header, as they were declared."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.audio.decode import AudioFacts, decode
from pipeline.audio.duration.estimate import Estimate, estimate
from pipeline.audio.raw_sound import RawFormat, RawSound, raw_sound
from pipeline.errors import EmptyMedia, InvalidRequest, StenopoolError
from pipeline.transcript import samples_to_ms
from tests.pipeline.audio.sounds import ONSETS, SECONDS, heard, tones
from tests.support.sound_files import encoded

pytestmark = pytest.mark.processes

CODECS = {"s16le": "pcm_s16le", "mulaw": "pcm_mulaw", "alaw": "pcm_alaw", "g722": "adpcm_g722"}


def raw(kind: RawFormat, rate: int, channels: int, tmp_path: object) -> bytes:
    assert hasattr(tmp_path, "joinpath")
    return encoded(
        tones(16_000).tobytes(), tmp_path.joinpath("raw"), ["-f", kind, "-ar", str(rate), "-ac", str(channels)]
    )


@pytest.mark.parametrize(
    ("kind", "rate", "channels"),
    [
        ("s16le", 16_000, 1),
        ("s16le", 44_100, 2),
        ("mulaw", 8_000, 1),
        ("mulaw", 8_000, 2),
        ("alaw", 8_000, 1),
        ("g722", 16_000, 1),
    ],
)
def test_it_is_heard_as_declared(kind: RawFormat, rate: int, channels: int, tmp_path: object) -> None:
    data, declared = raw(kind, rate, channels, tmp_path), raw_sound(kind, rate, channels)
    assert declared
    with decode(data, declared=declared) as sound:
        pcm = b"".join(sound)
    assert sound.facts == AudioFacts("raw", CODECS[kind], channels, rate)
    assert heard(pcm) == pytest.approx(ONSETS, abs=0.003)
    assert len(pcm) / 32_000 == pytest.approx(SECONDS, abs=0.003)
    assert abs(declared.ms(len(data)) - samples_to_ms(sound.samples)) <= 2
    assert estimate(data[:100], data[-100:], len(data), declared) == Estimate(declared.ms(len(data)), sure=True)


def test_each_channel_is_heard_by_itself() -> None:
    left, right = tones(16_000, onsets=(0.5,)), tones(16_000, onsets=(2.5,))
    both: NDArray[np.int16] = np.stack([left, right], axis=1)
    for channel, alone in enumerate((left, right)):
        with decode(both.tobytes(), declared=RawSound("s16le", 16_000, 2), channel=channel) as sound:
            assert b"".join(sound) == alone.tobytes()


@pytest.mark.parametrize("data", [b"#EXTM3U\nfile:///etc/passwd\n" * 500, b"RIFF\0\0\0\0WAVEfmt " * 500, b"x" * 12_001])
def test_what_is_declared_is_samples_whatever_it_looks_like(data: bytes) -> None:
    with decode(data, declared=RawSound("mulaw", 8_000, 1)) as sound:
        assert sum(len(block) for block in sound) == 4 * len(data)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("lame.mp3", "mp3"), ("pcm.wav", "wav"), ("voice.ogg", "ogg"), ("raw.aac", "aac"), ("music.m4a", "mp4")],
)
def test_a_file_that_was_declared_by_mistake_is_told(recordings: Path, name: str, kind: str) -> None:
    with decode((recordings / name).read_bytes(), declared=RawSound("s16le", 16_000, 1)) as sound:
        list(sound)
    (told,) = [caution for caution in sound.findings.warnings if caution.code == "declared"]
    assert (told.start, told.lost) == (0, False) and told.end and f" {kind} " in told.message


@pytest.mark.parametrize("kind", ["s16le", "mulaw", "alaw"])
def test_silence_and_speech_look_like_nothing_else(kind: RawFormat, tmp_path: object) -> None:
    for data in (raw(kind, 8_000, 1, tmp_path), b"\xff" * 8_000, b"\xd5" * 8_000, bytes(8_000)):
        with decode(data, declared=RawSound(kind, 8_000, 1)) as sound:
            list(sound)
        assert not sound.findings.warnings


def test_no_samples_are_empty() -> None:
    with pytest.raises(StenopoolError) as caught, decode(b"", declared=RawSound("mulaw", 8_000, 1)) as sound:
        list(sound)
    assert isinstance(caught.value, EmptyMedia)


@pytest.mark.parametrize(
    ("given", "param"),
    [
        (("s16le", None, 1), "input_sample_rate"),
        (("mulaw", 8_000, None), "input_channels"),
        ((None, 8_000, None), "input_format"),
        ((None, None, 2), "input_format"),
        (("g722", 8_000, None), "input_sample_rate"),
        (("g722", None, 2), "input_channels"),
    ],
)
def test_what_is_missing_or_wrong_is_named(given: tuple[RawFormat | None, int | None, int | None], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        raw_sound(*given)
    assert caught.value.param == param


def test_g722_needs_nothing_else() -> None:
    assert raw_sound("g722", None, None) == RawSound("g722", 16_000, 1)
    assert raw_sound(None, None, None) is None
