"""Recordings joined end to end: each is found where it begins, a plain file is one, and no chance bytes split it."""

import struct
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.containers.id3_tag import tag_length
from pipeline.audio.containers.link_syntax import SYNTAXES
from pipeline.audio.containers.table import AIFF, FLAC, MP4, OGG, WAV, WAVPACK, Container, Found
from pipeline.audio.decode import decode
from pipeline.audio.joined.links import MOST_LINKS, Link, links
from pipeline.audio.sniff import LOOK_BYTES, sniff_file
from pipeline.errors import StenopoolError
from tests.pipeline.audio.sounds import CONTAINERS, FILMS, ffmpeg, id3_tag, piped, tones, wav

pytestmark = pytest.mark.processes

READ_ON = {
    "mp3",
    "aac",
    "mpeg",
    "mpegts",
    "ac3",
    "eac3",
    "dts",
}  # containers of which joined files are one stream of frames
NAMES = [name for name, (facts, _) in CONTAINERS.items() if facts.split()[0] not in READ_ON]
MOST_READS = 420  # of a plain file: two walks through the most chunks there may be
STREAMED = (0, 0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFDB)


class Counted:
    """A file in memory whose reads are counted."""

    def __init__(self, data: bytes) -> None:
        self.data, self.reads, self.bytes = data, 0, 0

    def __call__(self, offset: int, length: int) -> bytes:
        assert offset >= 0
        found = self.data[offset : offset + length]
        self.reads += 1
        self.bytes += len(found)
        return found


def split(data: bytes, container: Container | None = None) -> list[tuple[int, int]]:
    """Where each recording begins and ends, by whatever the file is."""
    found = Found(container) if container else sniff_file(lambda offset: data[offset : offset + LOOK_BYTES])
    return [(link.start, link.end) for link in links(Counted(data), len(data), found)]


def joined(*parts: bytes) -> tuple[bytes, list[tuple[int, int]]]:
    """The parts end to end, and where each is."""
    ends = np.cumsum([len(part) for part in parts]).tolist()
    return b"".join(parts), list(zip([0, *ends[:-1]], ends, strict=True))


@pytest.mark.parametrize("name", [*CONTAINERS, *FILMS, "pieces.mp4"])
def test_a_plain_file_is_one_and_soon_known_to_be(recordings: Path, name: str) -> None:
    data = (recordings / name).read_bytes()
    found = sniff_file(lambda offset: data[offset : offset + LOOK_BYTES])
    read = Counted(data)
    (link,) = links(read, len(data), found)
    assert replace(link, trailer=0) == Link(found.start, len(data))
    assert read.reads <= MOST_READS
    assert read.bytes <= 2.2 * len(data) + 20_000, (read.bytes, len(data), read.reads)


@pytest.mark.parametrize("name", NAMES)
def test_joined_files_are_found_apart(recordings: Path, name: str) -> None:
    data = (recordings / name).read_bytes()
    whole, places = joined(data, data, data)
    assert split(whole) == places


@pytest.mark.parametrize("name", NAMES)
def test_a_tag_between_them_is_of_neither_or_of_the_next(recordings: Path, name: str) -> None:
    data, tag = (recordings / name).read_bytes(), id3_tag(2048)
    first, second = split(data + tag + data)
    assert second == (len(data) + len(tag), 2 * len(data) + len(tag))
    assert first in ((0, len(data)), (0, len(data) + len(tag)))


@pytest.mark.parametrize("pair", [("pcm.wav", "g722.wav"), ("voice.ogg", "vorbis.ogg"), ("aac.mkv", "voice.webm")])
def test_they_may_differ_and_each_can_be_decoded(recordings: Path, pair: tuple[str, str]) -> None:
    parts = [(recordings / name).read_bytes() for name in pair]
    whole, places = joined(*parts)
    assert split(whole) == places
    for part, (start, end) in zip(parts, places, strict=True):
        with decode(part) as alone, decode(whole[start:end]) as cut:
            assert b"".join(alone) == b"".join(cut)


def test_an_mp3_begins_anew_at_its_tag_and_only_there(recordings: Path) -> None:
    data, bare = (recordings / "lame.mp3").read_bytes(), (recordings / "tagless.mp3").read_bytes()
    own = tag_length(data)
    assert split(data + data + bare) == [(own, len(data)), (len(data) + own, 2 * len(data) + len(bare))]
    assert len(split(bare + bare)) == 1
    assert len(split(bare + b"Info\0\0\0\x0f" + bare)) == 1


def test_what_stands_before_the_first_is_of_none(recordings: Path) -> None:
    tag, data = id3_tag(512), (recordings / "music.flac").read_bytes()
    at = len(tag)
    assert split(tag + data + data) == [(at, at + len(data)), (at + len(data), at + 2 * len(data))]


@pytest.mark.parametrize("size", STREAMED)
def test_a_wav_that_says_no_length_is_searched_for_the_next(size: int) -> None:
    first = wav(tones(16_000).tobytes(), data_size=size, riff_size=0xFFFFFFFF)
    whole, places = joined(first, wav(tones(8_000).tobytes(), sample_rate=8_000), first)
    assert split(whole) == places


def test_a_wav_that_says_too_much_or_too_little_is_searched_as_well() -> None:
    sound = tones(16_000).tobytes()
    for size in (1000, len(sound) + 5_000_000):
        whole, places = joined(wav(sound, data_size=size), wav(sound))
        assert split(whole) == places


def test_the_byte_that_fills_up_an_odd_length_may_be_missing() -> None:
    for fill in (b"", b"\0"):
        whole, places = joined(wav(b"\1" * 16_001) + fill, wav(b"\2" * 16_000))
        assert split(whole) == places


@pytest.mark.parametrize("form", ["wav", "w64", "aiff", "caf", "au", "voc", "wv", "flv", "matroska", "avi", "asf"])
def test_streams_of_an_encoder_that_cannot_go_back(recordings: Path, form: str) -> None:
    """A pipe has no way to write a length afterwards."""
    data = piped(recordings / "pcm.wav", form, ["-c:a", "libmp3lame"] if form in ("avi", "flv") else [])
    assert split(data) == [(0, len(data))]
    whole, places = joined(data, data)
    assert split(whole) == places


def test_streams_that_begin_together_are_one(recordings: Path, tmp_path: Path) -> None:
    both = tmp_path / "two.ogg"
    source = recordings / "pcm.wav"
    ffmpeg("-i", source, "-map", "0:a", "-map", "0:a", "-c:a:0", "libopus", "-c:a:1", "libvorbis", both)
    data = both.read_bytes()
    assert data.count(b"OggS\0\2") == 2
    whole, places = joined(data, data)
    assert split(data) == [(0, len(data))]
    assert split(whole) == places


def test_pieces_of_an_mp4_that_begin_anew_are_read_on(recordings: Path) -> None:
    data = (recordings / "pieces.mp4").read_bytes()
    assert split(data + data, MP4) == [(0, 2 * len(data))]


@pytest.mark.parametrize(
    ("container", "mark"),
    [
        (WAV, b"RIFF\0\1\0\0WAVEfmt "),
        (FLAC, b"fLaC\0\0\0\x22"),
        (OGG, b"OggS\0\2" + bytes(20) + b"\1\x13OpusHead"),
        (AIFF, b"FORM\0\0\1\0AIFFCOMM"),
        (MP4, b"\0\0\0\x20ftypisom"),
        (WAVPACK, b"wvpk\0\1\0\0\x10\4" + bytes(10)),
    ],
)
def test_chance_bytes_split_nothing_and_cost_little(container: Container, mark: bytes) -> None:
    """Sound that is full of marks: so many that not all are looked at."""
    noise = np.random.default_rng(1).bytes(64)
    head = wav(b"", data_size=0xFFFFFFFF) if container is WAV else mark
    data = head + (noise + mark) * 20_000
    read = Counted(data)
    (link,) = links(read, len(data), Found(container))
    assert (link.start, link.end) == (0, len(data))
    assert read.reads < 20_000


def test_a_damaged_first_page_is_no_beginning(recordings: Path) -> None:
    data = (recordings / "voice.ogg").read_bytes()
    damaged = bytearray(data)
    damaged[30] ^= 1
    assert split(data + damaged) == [(0, 2 * len(data))]


def test_of_too_many_the_last_holds_all_that_are_left() -> None:
    one = wav(bytes(200))
    data = one * (MOST_LINKS + 200)
    found = split(data)
    assert len(found) == MOST_LINKS
    assert found[-1] == ((MOST_LINKS - 1) * len(one), len(data))


def short_files() -> dict[Container, bytes]:
    """Some that need no encoder."""
    form = struct.pack(">HIH", 1, 400, 16) + bytes.fromhex("400bfa00000000000000")
    aiff = b"COMM" + struct.pack(">I", 18) + form + b"SSND" + struct.pack(">I", 808) + bytes(808)
    flac = (
        b"fLaC\x80\0\0\x22"
        + bytes.fromhex("1000100000000000000003e800f00000000a")
        + bytes(16)
        + b"\xff\xf8"
        + bytes(90)
    )
    return {
        WAV: wav(bytes(500)),
        AIFF: b"FORM" + struct.pack(">I", len(aiff) + 4) + b"AIFF" + aiff,
        FLAC: flac,
    }


SHORT = short_files()


@pytest.mark.parametrize("container", SHORT, ids=lambda one: one.name)
@settings(max_examples=40)
@given(data=st.data())
def test_any_number_with_anything_between(container: Container, data: st.DataObject) -> None:
    """Whatever is no beginning belongs to the one before it."""
    between = data.draw(st.lists(st.binary(max_size=80), min_size=1, max_size=6))
    one = SHORT[container]
    whole = b"".join(one + junk for junk in between)
    ends = np.cumsum([len(one) + len(junk) for junk in between]).tolist()
    assert split(whole, container) == list(zip([0, *ends[:-1]], ends, strict=True))


@settings(max_examples=200)
@given(
    container=st.sampled_from(list(SYNTAXES)),
    parts=st.lists(st.one_of(st.binary(max_size=200), st.sampled_from(list(SHORT.values()))), max_size=5),
    damage=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=8),
)
def test_garbage_never_raises_and_is_covered(
    container: Container, parts: list[bytes], damage: list[tuple[int, int]]
) -> None:
    data = bytearray(b"".join(parts))
    for at, value in damage:
        if data:
            data[at % len(data)] = value
    read = Counted(bytes(data))
    found = links(read, len(data), Found(container))
    assert found[0].start == 0 and found[-1].end == len(data)
    assert all(one.start < one.end <= behind.start for one, behind in pairwise(found))
    assert read.reads < 3_000


@settings(max_examples=60)
@given(name=st.sampled_from(NAMES), kept=st.integers(1, 2**16), damage=st.lists(st.integers(0, 2**16), max_size=6))
def test_damaged_files_never_raise(files: Callable[[str], bytes], name: str, kept: int, damage: list[int]) -> None:
    data = bytearray((files(name) * 2)[: 2 * len(files(name)) * kept // 2**16])
    for at in damage:
        if data:
            data[at * len(data) // 2**16 % len(data)] ^= 0xFF
    try:
        found = sniff_file(lambda offset: bytes(data[offset : offset + LOOK_BYTES]))
    except StenopoolError:
        return
    assert links(Counted(bytes(data)), len(data), found)[-1].end == len(data)


@pytest.fixture(scope="module")
def files(recordings: Path) -> Callable[[str], bytes]:
    return lambda name: (recordings / name).read_bytes()
