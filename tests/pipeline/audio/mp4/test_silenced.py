"""When what stands for missing bytes of an MP4 is played."""

import io
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio.access.cut_out import cut_out
from pipeline.audio.access.open_source import OpenFile
from pipeline.audio.access.restored import Restored
from pipeline.audio.access.scratch import filled
from pipeline.audio.mp4.silenced import silenced
from tests.pipeline.audio.sounds import ffmpeg, wav

SECONDS, NEAR = 10, 0.65  # two frames of ALAC, and what a decoder needs to go on
CODECS = {
    "aac": ("-c:a", "aac"),
    "mp3": ("-c:a", "libmp3lame"),
    "opus": ("-c:a", "libopus"),
    "flac": ("-c:a", "flac", "-strict", "-2"),
    "alac": ("-c:a", "alac"),
    "ac3": ("-c:a", "ac3", "-ar", "48000"),
}
LATE = {"none": (), "late": ("-itsoffset", "2")}


@pytest.mark.processes
@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("codec", CODECS)
def test_what_is_cut_out_is_told_when_it_was_played(tmp_path: Path, codec: str, late: str) -> None:
    """Of even noise as many bytes are played in one second as in another. A cut of a length that is no frame's."""
    noise = np.random.default_rng(1).normal(0, 500, 16_000 * SECONDS)
    (tmp_path / "source.wav").write_bytes(wav(noise.astype("<i2").tobytes()))
    ffmpeg(*LATE[late], "-i", tmp_path / "source.wav", *CODECS[codec], tmp_path / "a.mp4")
    data = (tmp_path / "a.mp4").read_bytes()
    sound, index = data.index(b"mdat") + 4, data.index(b"moov")
    begin, count = sound + (index - sound) * 4 // 10, (index - sound) // 100 | 1
    left = data[:begin] + data[begin + count :]
    missing = cut_out(lambda at, length: left[at : at + length], 0, len(left))
    assert [length for _, length in missing] == [count]
    source = OpenFile(filled([left]))
    whole = Restored(source, missing)
    (((start, end),),) = silenced(whole.read, 0, whole.size, whole.put_in)
    source.close()
    first = SECONDS * 0.4 + (2 if late == "late" else 0)
    assert first - NEAR <= start <= first
    assert first + SECONDS / 100 <= end <= first + SECONDS / 100 + NEAR


def test_of_what_has_no_index_nothing_is_told() -> None:
    data = io.BytesIO(bytes(100))

    def read(at: int, length: int) -> bytes:
        data.seek(at)
        return data.read(length)

    assert silenced(read, 0, 100, [(10, 20)]) == ()
