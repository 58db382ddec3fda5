"""Pieces of an MP4 whose index was changed by damage: what they hold is told, and all others are heard at their time."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.joined.lost_pieces import lost_pieces
from pipeline.audio.mp4.piece_contradictions import wrong_pieces
from pipeline.errors import DamagedMedia
from tests.pipeline.audio.clock.test_random_damage import outside, recorded, spoken, told
from tests.pipeline.audio.clock.test_random_recordings import NEAR, hear

pytestmark = pytest.mark.processes

FILM = ("-filter_complex", "testsrc=s=64x64:r=25:d=10[v]", "-map", "[v]", "-map", "0:a", "-c:v", "mpeg4")
KINDS = {  # the encoder's options, and seconds that it may come late by
    "aac": (("-c:a", "aac", "-movflags", "empty_moov", "-frag_duration", "250000"), 0.064),
    "opus": (("-c:a", "libopus", "-movflags", "empty_moov+default_base_moof", "-frag_duration", "250000"), 0.03),
    "film": ((*FILM, "-c:a", "aac", "-movflags", "empty_moov", "-frag_duration", "250000"), 0.064),
    "two tracks": (("-map", "0:a", "-map", "0:a", "-movflags", "empty_moov", "-frag_duration", "250000"), 0.064),
    "samples before the first piece": (("-c:a", "aac", "-frag_duration", "250000"), 0.064),
}


def pieces_of(data: bytes) -> list[tuple[int, int]]:
    """From where to where the index of each reaches."""
    starts = [found.start() - 4 for found in re.finditer(b"moof", data)]
    return [(at, at + int.from_bytes(data[at : at + 4], "big")) for at in starts]


@pytest.mark.parametrize("kind", KINDS)
def test_none_is_wrong_in_what_is_whole(kind: str) -> None:
    data = recorded(1, "a.mp4", KINDS[kind][0])

    def read(at: int, length: int) -> bytes:
        return data[at : at + length]

    assert wrong_pieces(read, 0, len(data), lost_pieces(read, 0, len(data))) == ()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("box", [b"tfdt", b"trun"])
@given(piece=st.floats(0, 1, exclude_max=True), within=st.floats(0, 1, exclude_max=True), seed=st.integers(0, 99))
@settings(max_examples=3, derandomize=True)
def test_whatever_stands_in_one_no_word_is_missing_or_moved_untold(
    kind: str, box: bytes, piece: float, within: float, seed: int
) -> None:
    options, late = KINDS[kind]
    data = recorded(2, "a.mp4", options)
    places = pieces_of(data)
    start, end = places[int(len(places) * piece)]
    at = data.rindex(box, start, end) + 8  # of the last track
    length = int.from_bytes(data[at - 12 : at - 8], "big") - 12
    at += int(length * within)
    new = random.Random(seed).randbytes(min(4, length - int(length * within)))
    assert_heard_or_told(data[:at] + new + data[at + len(new) :], late)


def assert_heard_or_told(data: bytes, late: float) -> None:
    try:
        found = hear(data)
    except DamagedMedia:
        return
    stretches, said = told(found.sound.findings), dict(spoken(2))
    assert {word for word, _ in outside(list(spoken(2)), stretches)} <= {word for word, _ in found.words}
    assert all(-NEAR <= at - said[word] <= NEAR + late for word, at in outside(found.words, stretches))


@pytest.mark.parametrize("table", [b"stts", b"stsz", b"stsc", b"stco"])
def test_the_index_of_samples_before_the_first_piece_is_compared_too(table: bytes) -> None:
    options, late = KINDS["samples before the first piece"]
    data = recorded(2, "a.mp4", options)
    at = data.index(table) + 13  # its first numbers
    assert_heard_or_told(data[:at] + b"\3\3\3" + data[at + 3 :], late)


def test_pictures_that_are_wrong_cost_no_sound() -> None:
    """Those that make no sense at all cost their piece: ffmpeg would give up."""
    options, late = KINDS["film"]
    data = recorded(2, "a.mp4", options)
    start, end = pieces_of(data)[5]
    at = data.index(b"trun", start, end)  # of the first track
    last = at - 4 + int.from_bytes(data[at - 4 : at], "big")
    found = hear(data[: last - 2] + b"\1\0" + data[last:])
    assert [word for word, _ in found.words] == [word for word, _ in spoken(2)]
    assert_heard_or_told(data[: at + 8] + b"\xff" * 4 + data[at + 12 :], late)


def test_a_time_that_is_beyond_all_fractions_is_told() -> None:
    options, late = KINDS["film"]
    data = recorded(2, "a.mp4", options)
    start, end = pieces_of(data)[5]
    at = data.rindex(b"tfdt", start, end) + 8
    damaged = data[:at] + b"\x65\xfd\xd5" + data[at + 3 :]

    def read(at: int, length: int) -> bytes:
        return damaged[at : at + length]

    assert len(wrong_pieces(read, 0, len(damaged), ())) == 1
    assert_heard_or_told(damaged, late)
