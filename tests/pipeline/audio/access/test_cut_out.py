"""Where bytes are missing in an MP4, and the file as long as it was."""

import random
from pathlib import Path

import numpy as np
import pytest

from pipeline.audio.access.cut_out import cut_out
from pipeline.audio.access.open_source import OpenFile
from pipeline.audio.access.restored import Restored
from pipeline.audio.access.scratch import filled
from tests.pipeline.audio.sounds import ffmpeg, wav

pytestmark = pytest.mark.processes

SECONDS = 10
AMR = ("-c:a", "libopencore_amrnb", "-ar", "8000")


def made(folder: Path, name: str, *options: str) -> bytes:
    noise = np.random.default_rng(1).normal(0, 500, 16_000 * SECONDS)  # else its index would be most of the file
    (folder / "source.wav").write_bytes(wav(noise.astype("<i2").tobytes()))
    ffmpeg("-i", folder / "source.wav", *options, folder / name)
    return (folder / name).read_bytes()


def found(data: bytes) -> tuple[tuple[int, int], ...]:
    return cut_out(lambda at, length: data[at : at + length], 0, len(data))


@pytest.mark.parametrize("name", ["a.m4a", "a.mov"])
@pytest.mark.parametrize("front", [(), ("-movflags", "faststart")], ids=["last", "front"])
def test_it_is_found_wherever_the_index_stands(tmp_path: Path, name: str, front: tuple[str, ...]) -> None:
    data = made(tmp_path, name, "-c:a", "aac", *front)
    begin, end = len(data) // 2, len(data) * 6 // 10
    ((place, missing),) = found(data[:begin] + data[end:])
    assert missing == end - begin
    assert begin <= place < begin + len(data) // 50, "where the first whole frame follows"


def test_where_a_piece_stood_it_says_by_itself(tmp_path: Path) -> None:
    data = made(tmp_path, "a.mp4", "-c:a", "aac", "-movflags", "empty_moov", "-frag_duration", "250000")
    ((place, missing),) = found(data[: len(data) // 2] + data[len(data) * 6 // 10 :])
    assert missing == len(data) * 6 // 10 - len(data) // 2
    assert data[place + missing + 4 : place + missing + 8] == b"moof"


def test_of_what_is_whole_or_ends_too_soon_nothing_is_missing_inside(tmp_path: Path) -> None:
    data = made(tmp_path, "a.m4a", "-c:a", "aac", "-movflags", "faststart")
    assert found(data) == found(data[: len(data) * 6 // 10]) == found(b"") == ()
    middle = len(data) // 2
    assert found(data[:middle] + random.Random(1).randbytes(5_000) + data[middle + 5_000 :]) == ()


def test_frames_of_one_length_do_not_tell_where_some_of_them_are_missing(tmp_path: Path) -> None:
    data = made(tmp_path, "a.3gp", *AMR)
    assert found(data[:2_000] + data[2_000 + 32 * 100 :]) == ()
    assert len(found(data[:2_000] + data[2_000 + 32 * 100 + 7 :])) == 1


def test_samples_look_like_nothing(tmp_path: Path) -> None:
    data = made(tmp_path, "a.mov", "-c:a", "pcm_s16le")
    assert found(data[:50_000] + data[60_001:]) == ()


def test_a_restored_file_has_others_where_bytes_are_missing() -> None:
    left = OpenFile(filled([b"abcdefgh"]))
    source = Restored(left, [(2, 3), (6, 2), (7, b"xyz")])
    whole = b"ab\0\0\0cdef\0\0gxyzh"
    assert source.size == len(whole)
    for at in range(len(whole) + 2):
        for length in range(len(whole) + 2):
            assert source.read(at, length) == whole[at : at + length]
            assert b"".join(source.blocks(at, at + length)) == whole[at : at + length]
    assert source.descriptor() is None
    left.close()
