"""Bare frames behind a recording that does not tell its end: heard as what they are, and found in nothing else."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.audio.joined.bare_end import bare_frames
from pipeline.audio.joined.links import links
from pipeline.audio.joined.window import Window
from pipeline.audio.sniff import LOOK_BYTES, sniff_file
from tests.pipeline.audio.sounds import id3_tag, piped, tones, wav

pytestmark = pytest.mark.processes

FRAMES = ("tagless.mp3", "layer2.mp3", "raw.aac", "bare.ac3", "bare.eac3", "bare.dts", "broadcast.ts")
OFF = 4  # bytes: a chance header, or the clock before a camera's packet


def streamed(size: int, pcm: bytes) -> bytes:
    return wav(pcm, data_size=size, riff_size=0xFFFFFFFF)


def noise(count: int, level: float) -> bytes:
    return np.random.default_rng(count).normal(0, level, count).clip(-32768, 32767).astype("<i2").tobytes()


def split(data: bytes) -> list[int]:
    found = sniff_file(lambda offset: data[offset : offset + LOOK_BYTES])
    return [link.start for link in links(lambda at, length: data[at : at + length], len(data), found)]


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000])
def test_frames_behind_a_streamed_wav(recordings: Path, name: str, size: int) -> None:
    frames = (recordings / name).read_bytes()
    for pcm in (noise(64_000, 3), noise(64_000, 3000), noise(64_000, 30_000), bytes(128_000), tones(16_000).tobytes()):
        first = streamed(size, pcm)
        for behind in (b"", b"TAG" + bytes(125)):
            found = split(first + frames + behind)
            assert len(found) == 2 and abs(found[1] - len(first)) <= OFF


@pytest.mark.parametrize("form", ["w64", "aiff", "caf", "au", "flac", "matroska"])
def test_frames_behind_what_an_encoder_could_not_complete(recordings: Path, form: str) -> None:
    first = piped(recordings / "pcm.wav", form, [])
    for name in FRAMES:
        found = split(first + (recordings / name).read_bytes())
        assert len(found) == 2 and abs(found[1] - len(first)) <= OFF, name


def test_a_recording_with_a_mark_may_stand_between_them(recordings: Path) -> None:
    first, third, tag = streamed(0, noise(48_000, 500)), (recordings / "raw.aac").read_bytes(), id3_tag(512)
    found = split(first + third + tag + wav(noise(8000, 500)))
    assert found == pytest.approx([0, len(first), len(first + third + tag)], abs=OFF)


@pytest.mark.parametrize("name", ["mp3.wav", "ac3.wav", "dts.wav"])
def test_frames_that_are_the_recording_itself_are_no_other(recordings: Path, name: str) -> None:
    data = bytearray((recordings / name).read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = b"\xff" * 4
    assert split(bytes(data)) == [0]


def test_noise_holds_no_frames() -> None:
    for level in (1, 3, 300, 30_000):
        assert split(streamed(0, noise(200_000, level))) == [0]


def test_many_minutes_cost_some_looks(recordings: Path) -> None:
    first, frames = streamed(0, noise(5_000_000, 300)), (recordings / "tagless.mp3").read_bytes()
    data, reads = first + frames, list[int]()

    def read(at: int, length: int) -> bytes:
        reads.append(length)
        return data[at : at + length]

    found = bare_frames(Window(read, len(data)), 44, len(data))
    assert found and abs(found.start - len(first)) <= OFF
    assert sum(reads) < 6_000_000
