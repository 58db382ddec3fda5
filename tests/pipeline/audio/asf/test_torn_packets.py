"""Packets of Windows Media that damage has hit are known, and so are zeros inside of one, of which no decoder complains."""

import random
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio.asf.header import packets
from pipeline.audio.asf.torn_packets import broken_packets, zeroed
from pipeline.audio.decode import decode
from tests.pipeline.audio.linear.test_slipped_samples import NOISE, SPEECH
from tests.pipeline.audio.sounds import ffmpeg, wav

VOICE = (SPEECH + NOISE).clip(-32_768, 32_767).astype("<i2")
CODECS, WINDOW = ["wmav1", "wmav2"], 320  # samples that are compared


def broken(data: bytes) -> tuple[tuple[int, int], ...]:
    return broken_packets(lambda at, length: data[at : at + length], 0, len(data))


@pytest.mark.parametrize("name", ["windows.wma", "older.wma"])
def test_packets_that_are_overwritten_are_known(recordings: Path, name: str) -> None:
    data = (recordings / name).read_bytes()
    assert broken(data) == broken(data[:100]) == broken(b"") == ()
    begin, end = len(data) // 2, 3 * len(data) // 4
    ((first, last),) = broken(data[:begin] + bytes(end - begin) + data[end:])
    assert begin - 4000 < first <= begin + 4000 and end - 4000 < last <= end + 4000


def made(folder: Path, codec: str, samples: np.ndarray, *options: str) -> bytes:
    (folder / "source.wav").write_bytes(wav(samples.tobytes()))
    ffmpeg("-i", folder / "source.wav", "-c:a", codec, *options, folder / "made.wma")
    return (folder / "made.wma").read_bytes()


def zeros_in(data: bytes) -> tuple[tuple[float, float], ...]:
    (found,) = zeroed(lambda at, length: data[at : at + length], 0, len(data))
    return found


def loudness(data: bytes) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Of each 20 ms on the clock, and what is told as missing, in such windows."""
    with decode(data) as sound:
        samples = np.frombuffer(b"".join(sound), "<i2").astype(float)
    for gap in sorted(sound.findings.gaps, key=lambda gap: gap.start):
        samples = np.insert(samples, gap.start * 16, np.zeros((gap.end - gap.start) * 16))
    told = [*sound.findings.gaps, *(caution for caution in sound.findings.warnings if caution.lost)]
    windows = samples[: len(samples) // WINDOW * WINDOW].reshape(-1, WINDOW)
    return np.sqrt((windows**2).mean(axis=1)), [(one.start * 16 / WINDOW, one.end * 16 / WINDOW) for one in told]


@pytest.mark.processes
@pytest.mark.parametrize(
    "options", [(), ("-b:a", "32k"), ("-ar", "44100", "-ac", "2"), ("-b:a", "160k", "-ar", "48000")]
)
@pytest.mark.parametrize("codec", CODECS)
def test_zeros_inside_of_a_packet_are_told_where_they_are(tmp_path: Path, codec: str, options: tuple[str, ...]) -> None:
    data, chance = made(tmp_path, codec, VOICE, *options), random.Random(codec)
    whole, nothing = loudness(data)
    assert not nothing
    first, length, end = packets(lambda at, length: data[at : at + length], 0, len(data))
    for _ in range(4):
        count = chance.randrange(100, min(1000, length // 3))
        at = first + length * chance.randrange(1, (end - first) // length - 1) + chance.randrange(40, length - count)
        left, told = loudness(data[:at] + bytes(count) + data[at + count :])
        shared = min(len(whole), len(left))
        wrong = np.flatnonzero(np.abs(whole[:shared] - left[:shared]) > 500 + 0.3 * whole[:shared])
        assert all(any(start - 1 <= window <= stop for start, stop in told) for window in wrong), (at, count)


@pytest.mark.processes
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("factor", [0.0, 0.0005, 0.02, 1.0])
def test_of_whole_ones_nothing_is_told_however_soft(tmp_path: Path, codec: str, factor: float) -> None:
    softened = (VOICE * factor).astype("<i2")
    apart = np.concatenate([softened, np.zeros(30_000, "<i2"), VOICE, np.zeros(30_000, "<i2"), softened])
    assert zeros_in(made(tmp_path, codec, apart)) == ()
