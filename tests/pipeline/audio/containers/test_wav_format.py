"""Samples in a wider container than they fill: as loud as they are, and no noise."""

import struct

import numpy as np
import pytest

from pipeline.audio.containers.wav_format import padded_samples_decoder
from pipeline.audio.decode import decode
from tests.pipeline.audio.sounds import ONSETS, heard, tones, wav

pytestmark = pytest.mark.processes

PCM = "0100000000001000800000aa00389b71"


def extensible(samples: bytes, *, width: int, valid: int, kind: str = PCM) -> bytes:
    """A WAV of one channel, of which each sample has `width` bits and `valid` of them in use."""
    size = width // 8
    layout = struct.pack("<HHIIHHHHI", 0xFFFE, 1, 16_000, 16_000 * size, size, width, 22, valid, 4) + bytes.fromhex(
        kind
    )
    chunks = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout + b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def samples(width: int) -> bytes:
    wide = (tones(16_000).astype(np.int32) << 16).astype("<i4").tobytes()
    return np.frombuffer(wide, np.uint8).reshape(-1, 4)[:, 4 - width // 8 :].tobytes()


@pytest.mark.parametrize(
    ("width", "valid", "codec"),
    [
        (32, 24, "pcm_s32le"),
        (32, 20, "pcm_s32le"),
        (32, 16, "pcm_s32le"),
        (32, 32, "pcm_s32le"),
        (24, 20, "pcm_s24le"),
        (24, 16, "pcm_s24le"),
        (16, 12, "pcm_s16le"),
    ],
)
def test_the_width_of_the_container_decides(width: int, valid: int, codec: str) -> None:
    with decode(extensible(samples(width), width=width, valid=valid)) as sound:
        pcm = b"".join(sound)
    assert sound.facts.codec == codec
    assert heard(pcm) == pytest.approx(ONSETS, abs=0.003)
    assert np.abs(np.frombuffer(pcm, "<i2").astype(int) - tones(16_000)).max() <= 1


def test_what_ffmpeg_reads_right_is_left_to_it() -> None:
    assert padded_samples_decoder(wav(b"")) is None
    assert padded_samples_decoder(extensible(b"", width=24, valid=24)) is None
    assert padded_samples_decoder(extensible(b"", width=32, valid=24, kind="03" + PCM[2:])) is None  # floats
    assert padded_samples_decoder(b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 5000) is None
