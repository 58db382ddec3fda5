"""Files that end before their own claim, in every container that can make one; and no false alarm about any other."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.containers.table import CONTAINERS as TABLE
from pipeline.audio.containers.table import Container, Found
from pipeline.audio.duration.truncation import Claim, cut_off
from pipeline.audio.sniff import LOOK_BYTES, sniff_file
from tests.pipeline.audio.sounds import CONTAINERS, FILMS, SECONDS, id3_tag, piped, tones, wav

pytestmark = pytest.mark.processes

SILENT = {"mpeg", "mpegts", "aac", "amr", "ac3", "eac3", "dts"}  # containers that claim nothing
NO_TIME = {"ogg", "voc"}  # that claim bytes alone
INDEX_LAST = {name for name in CONTAINERS | FILMS if name.endswith((".m4a", ".3gp", ".mp4"))} - {"first.m4a"}
INDEX_LAST |= {"pieces.mp4", "lossless.caf"}  # whose length stands at the end, or nowhere
UNTAGGED = {"tagless.mp3", "low.mp3", "layer2.mp3"}
STREAMS = ["wav", "w64", "aiff", "caf", "au", "flac", "ogg", "mp3", "matroska", "avi", "flv", "asf", "wv"]
CODECS = {"avi": ["-c:a", "libmp3lame"], "flv": ["-c:a", "libmp3lame"], "ogg": ["-c:a", "libopus"]}
MOST_READS = 10_100


class Counted:
    def __init__(self, data: bytes) -> None:
        self.data, self.reads = data, 0

    def __call__(self, offset: int, length: int) -> bytes:
        assert offset >= 0 and length >= 0
        self.reads += 1
        return self.data[offset : offset + length]


def claim(data: bytes, container: Container | None = None) -> Claim | None:
    found = Found(container) if container else sniff_file(lambda offset: data[offset : offset + LOOK_BYTES])
    read = Counted(data)
    told = cut_off(read, len(data), found)
    assert read.reads <= MOST_READS
    return told


def alarm(told: Claim | None) -> bool:
    return told is not None and told.cut


@pytest.mark.parametrize("name", [*CONTAINERS, *FILMS, "pieces.mp4"])
def test_a_whole_file_keeps_its_claim(recordings: Path, name: str) -> None:
    data = (recordings / name).read_bytes()
    told = claim(data)
    assert not alarm(told)
    assert told is None or (name == "music.flac" and told == Claim(1000 * SECONDS, cut=False))


@pytest.mark.parametrize("part", [0.6, 0.9])
@pytest.mark.parametrize("name", [*CONTAINERS, *FILMS, "pieces.mp4"])
def test_a_file_that_was_cut_does_not(recordings: Path, name: str, part: float) -> None:
    container = (CONTAINERS | FILMS).get(name, ("mp4 ",))[0].split()[0]
    data = (recordings / name).read_bytes()
    told = claim(data[: int(part * len(data))])
    if container in SILENT or name in UNTAGGED:
        assert told is None
        return
    assert told and told.cut
    if name not in INDEX_LAST and container not in NO_TIME:
        assert told.ms and abs(told.ms - 1000 * SECONDS) < 150


@pytest.mark.parametrize("name", [*CONTAINERS, *FILMS])
def test_a_tag_before_it_is_not_counted(recordings: Path, name: str) -> None:
    data = id3_tag(4096) + (recordings / name).read_bytes()
    assert not alarm(claim(data))
    cut = alarm(claim(data[: 6 * len(data) // 10]))
    assert cut == (name not in UNTAGGED and (CONTAINERS | FILMS)[name][0].split()[0] not in SILENT)


@pytest.mark.parametrize("form", STREAMS)
def test_a_stream_claims_nothing(recordings: Path, form: str) -> None:
    """Neither whole nor where it was switched off, unless in the midst of a piece whose length it had told."""
    data = piped(recordings / "pcm.wav", form, CODECS.get(form, []))
    assert not alarm(claim(data))
    if form not in ("ogg", "matroska"):
        assert not alarm(claim(data[: 6 * len(data) // 10]))


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFDB, 0x7FFF0000])
def test_lengths_that_say_nothing(size: int) -> None:
    assert claim(wav(bytes(32_000), data_size=size)) is None


def test_a_few_bytes_are_a_writers_error() -> None:
    sound = tones(16_000).tobytes()
    assert claim(wav(sound, data_size=len(sound) + 44)) is None
    assert claim(wav(sound, data_size=len(sound) + 3200)) == Claim(1000 * SECONDS + 100, cut=True)


def test_a_live_stream_may_end_without_saying_so(recordings: Path) -> None:
    """On whole pages: what has been sent is there."""
    data = (recordings / "voice.ogg").read_bytes()
    last = data.rindex(b"OggS")
    assert claim(data[:last]) == Claim(None, cut=False, unended=True)
    assert claim(data[: last + 9]) == Claim(None, cut=True)
    assert claim(data[: len(data) - 1]) == Claim(None, cut=True)


def test_a_voc_without_the_block_that_ends_it(recordings: Path) -> None:
    data = (recordings / "creative.voc").read_bytes()
    assert data.endswith(b"\0")
    assert claim(data) is None
    assert claim(data[:-1]) == Claim(None, cut=False, unended=True)


def test_zeros_in_a_voc_are_no_block_that_ends_it(recordings: Path) -> None:
    """They may stand where it has one, if nothing follows them; behind sound they are padding."""
    data = (recordings / "creative.voc").read_bytes()
    half, zeros = len(data) // 2, bytes(50_000)
    assert claim(data[:half] + zeros + data[half + len(zeros) :]) == Claim(None, cut=True)
    assert claim(data[:half] + bytes(len(data))) == Claim(None, cut=False, unended=True)
    assert claim(data[:-300] + b"\1" * 299 + data[-1:] + zeros) is None


def test_a_voc_that_ends_in_silence_has_its_end_before_padding(recordings: Path) -> None:
    """Its last block is shorter than those before, or there is but one."""
    data, zeros = (recordings / "creative.voc").read_bytes(), bytes(50_000)
    assert claim(data[:-300] + bytes(300) + zeros) is None
    sound = b"\1" + (9_000).to_bytes(3, "little") + b"\x9c\0" + bytes(8_998)
    assert claim(data[:26] + sound + zeros) is None


def test_what_comes_after_the_sound_may_be_missing(recordings: Path) -> None:
    """The index of a Matroska stands at its end, and a player needs none."""
    data = (recordings / "pcm.mkv").read_bytes()
    cues = data.rindex(b"\x1c\x53\xbb\x6b")
    assert not alarm(claim(data[: cues + 8]))


def test_a_tag_that_counts_frames_alone_is_for_the_decoder_to_compare(recordings: Path) -> None:
    data = bytearray((recordings / "lame.mp3").read_bytes())
    at = max(data.find(b"Xing"), data.find(b"Info"))
    flags = struct.unpack_from(">I", data, at + 4)[0]
    assert flags & 3 == 3
    struct.pack_into(">I", data, at + 4, flags & ~2)
    told = claim(bytes(data[: len(data) // 2]))
    assert told and not told.cut and told.ms and abs(told.ms - 1000 * SECONDS) < 150


def test_fraunhofers_tag(recordings: Path) -> None:
    """VBRI stands 32 bytes behind the header of the first frame, and counts bytes, then frames."""
    data = (recordings / "tagless.mp3").read_bytes()
    for whole, cut in ((len(data), False), (3 * len(data), True)):
        tag = b"VBRI\0\1\0\0\0\x4b" + struct.pack(">II", whole, 160)
        told = claim(data[:36] + tag + data[36 + len(tag) :])
        assert (told == Claim(round(160 * 1152 / 44.1), cut=True)) if cut else told is None


@settings(max_examples=300)
@given(
    container=st.sampled_from(TABLE),
    start=st.sampled_from([b"", b"RIFF\0\1\0\0WAVEfmt ", b"fLaC\0\0\0\x22", b"OggS\0\2"]),
    rest=st.binary(),
)
def test_garbage_never_raises(container: Container, start: bytes, rest: bytes) -> None:
    claim(start + rest, container)


@settings(max_examples=150)
@given(
    name=st.sampled_from([*CONTAINERS]), kept=st.integers(1, 2**16), damage=st.lists(st.integers(0, 3000), max_size=6)
)
def test_damaged_files_never_raise(recordings: Path, name: str, kept: int, damage: list[int]) -> None:
    data = (recordings / name).read_bytes()
    found = sniff_file(lambda offset: data[offset : offset + LOOK_BYTES])
    damaged = bytearray(data[: max(1, len(data) * kept // 2**16)])
    for at in damage:
        damaged[at % len(damaged)] ^= 0xFF
    read = Counted(bytes(damaged))
    cut_off(read, len(damaged), found)
    assert read.reads <= MOST_READS
