"""Pieces of an MP4 that damage has hit are left out, and nothing else."""

import random
from pathlib import Path

import pytest

from pipeline.audio.joined.lost_pieces import lost_pieces
from pipeline.audio.mp4_boxes import Box, boxes
from tests.pipeline.audio.sounds import ffmpeg, tones, wav

pytestmark = pytest.mark.processes

SECONDS = 8
FORMS = ("empty_moov", "empty_moov+default_base_moof", "dash", "frag_keyframe+delay_moov", "empty_moov+separate_moof")


def made(folder: Path, flags: str) -> bytes:
    (folder / "a.wav").write_bytes(wav(tones(16_000, SECONDS).tobytes()))
    ffmpeg("-i", folder / "a.wav", "-c:a", "aac", "-movflags", flags, "-frag_duration", 500_000, folder / "a.mp4")
    return (folder / "a.mp4").read_bytes()


def lost(data: bytes) -> tuple[tuple[int, int], ...]:
    return lost_pieces(lambda at, length: data[at : at + length], 0, len(data))


def pieces(data: bytes) -> list[Box]:
    return [box for box in boxes(lambda at, length: data[at : at + length], 0, len(data)) if box.name == b"moof"]


@pytest.mark.parametrize("flags", [*FORMS, "faststart"])
def test_of_a_whole_one_nothing_is_left_out(tmp_path: Path, flags: str) -> None:
    assert lost(made(tmp_path, flags)) == ()


@pytest.mark.parametrize("flags", FORMS)
def test_what_is_overwritten_ends_with_the_next_piece_that_is_whole(tmp_path: Path, flags: str) -> None:
    data = made(tmp_path, flags)
    inside = pieces(data)
    begin, end = inside[4].at + 20, inside[6].at + 20
    damaged = data[:begin] + random.Random(flags).randbytes(end - begin) + data[end:]
    assert lost(damaged) == ((inside[4].at, inside[7].at),)


def test_sound_whose_header_is_broken_goes_with_its_index(tmp_path: Path) -> None:
    data = bytearray(made(tmp_path, FORMS[0]))
    inside = pieces(bytes(data))
    data[inside[3].end + 4 : inside[3].end + 8] = b"\xff" * 4
    assert lost(bytes(data)) == ((inside[3].at, inside[4].at),)


def test_where_no_piece_follows_nothing_is_left_out(tmp_path: Path) -> None:
    """The demuxer stops there anyhow, and what is missing is told by the length."""
    data = made(tmp_path, FORMS[0])
    last = pieces(data)[-1].at
    assert lost(data[:last] + b"\xff" * 500) == lost(data[: last + 20]) == lost(b"") == ()
