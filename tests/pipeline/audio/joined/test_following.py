"""Files of different kinds in one: each is found where it begins, by whatever the first is; what everybody puts behind sound is
nothing, and what nobody can hear is told."""

import random
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio import sniff
from pipeline.audio.containers.id3_tag import tag_length
from pipeline.audio.containers.table import AAC, AC3, DTS, EAC3, MP3, MPEG, MPEGTS, Container, Found
from pipeline.audio.containers.table import CONTAINERS as TAKEN
from pipeline.audio.decode import decode
from pipeline.audio.duration.exact import container_of, measured
from pipeline.audio.joined.following import following
from pipeline.audio.joined.links import links
from pipeline.audio.sniff import LOOK_BYTES, sniff_file
from tests.pipeline.audio.sounds import id3_tag, piped

pytestmark = pytest.mark.processes

ONE_OF_EACH = (
    "pcm.wav", "lame.mp3", "tagless.mp3", "music.flac", "voice.ogg", "vorbis.ogg", "music.m4a", "lossless.m4a", "voice.webm",
    "aac.mkv", "raw.aac", "phone.amr", "apple.aiff", "stream.mpeg", "windows.wma", "apple.caf", "sun.au", "studio.w64",
    "broadcast.ts", "camera.m2ts", "mp3.avi", "flash.flv", "lossless.wv", "creative.voc", "bare.ac3", "bare.eac3", "bare.dts",
    "pieces.mp4",
)  # fmt: skip
ONE_STREAM = ({MP3}, {AAC}, {AC3, EAC3}, {DTS}, {MPEG}, {MPEGTS})  # what follows of these is read on as it is
RUBBISH = random.Random(1).randbytes(6_000)
LONGEST_OWN_TRAILER = 92  # bytes, in these files


@pytest.fixture(scope="module")
def files(recordings: Path) -> dict[str, bytes]:
    return {name: (recordings / name).read_bytes() for name in ONE_OF_EACH}


def found_in(data: bytes) -> Found:
    return sniff_file(lambda offset: data[offset : offset + LOOK_BYTES])


def split(data: bytes) -> list[tuple[int, int, int]]:
    """Where each begins and ends, and the bytes behind it that are nothing."""
    read = links(lambda at, length: data[at : at + length], len(data), found_in(data))
    return [(one.start, one.end, one.unread) for one in read]


def others(files: dict[str, bytes], name: str) -> Iterator[str]:
    """Those that are not read on as one stream with it."""
    kind = found_in(files[name]).container
    for other, data in files.items():
        if {name, other} == {"pieces.mp4"}:
            continue
        if not any({kind, found_in(data).container} <= stream for stream in ONE_STREAM):
            yield other


def test_every_container_is_among_them(files: dict[str, bytes]) -> None:
    assert {found_in(data).container for data in files.values()} == set(TAKEN)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_each_is_found_behind_each(files: dict[str, bytes], name: str) -> None:
    first = files[name]
    for other in others(files, name):
        second = files[other]
        data, begin = first + second, len(first) + tag_length(second)
        assert len(split(data)) == 2, f"{name} and {other}"
        (start, end, _), then = split(data)
        assert (start, then) == (tag_length(first), (begin, len(data), 0)), f"{name} and {other}"
        assert len(first) - LONGEST_OWN_TRAILER <= end <= len(first)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_none_of_them_is_handed_on_as_the_first_alone(files: dict[str, bytes], name: str) -> None:
    for other in others(files, name):
        data = files[name] + files[other]
        container = container_of(data)
        told = measured(data, container) if container else None
        assert told is None, f"{name} and {other}"


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_tags_and_padding_between_them_hide_nothing(files: dict[str, bytes], name: str) -> None:
    second = files["music.m4a"] if name == "voice.ogg" else files["voice.ogg"]
    for between in (b"TAG" + bytes(125), bytes(4096), bytes(3), id3_tag(2048), ape_tag(), RUBBISH):
        data = files[name] + between + second
        (start, end, _), (begin, behind, unread) = split(data)
        assert (start, behind, unread) == (tag_length(files[name]), len(data), 0)
        assert begin == len(data) - len(second)
        assert len(files[name]) - LONGEST_OWN_TRAILER <= end <= begin


def ape_tag(*, header: bool = True) -> bytes:
    item = struct.pack("<II", 5, 0) + b"Title\0" + b"words"
    size = len(item) + 32
    ends = [b"APETAGEX" + struct.pack("<IIII", 2000, size, 1, 1 << 31 | one << 29) + bytes(8) for one in (1, 0)]
    return ends[0] * header + item + ends[1]


TRAILERS = {
    "ID3v1": b"TAG" + bytes(125),
    "APE": ape_tag(),
    "APE and ID3v1": ape_tag() + b"TAG" + bytes(125),
    "APE without a header": ape_tag(header=False),
    "Lyrics3": b"LYRICSBEGIN" + b"IND0000200" + b"x" * 3000 + b"003021LYRICS200" + b"TAG" + bytes(125),
    "ID3v2": id3_tag(4096),
    "zeros": bytes(70_000),
    "ones": b"\xff" * 5000,
    "one byte": b"\0",
    "a line": b"\r\n",
    "a few": RUBBISH[:200],
}


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_what_everybody_puts_behind_sound_is_nothing(files: dict[str, bytes], name: str) -> None:
    for trailer in TRAILERS.values():
        data = files[name] + trailer
        assert split(data) == [(tag_length(data), len(data), 0)], trailer[:16]


@pytest.mark.parametrize("name", ["music.flac", "lossless.wv", "bare.ac3", "bare.eac3"])
def test_what_stands_behind_sound_is_no_damage_and_costs_none_of_it(files: dict[str, bytes], name: str) -> None:
    """Whose decoders would take it for a frame that is damaged, and some of them the frame before it as well."""
    whole = decoded(files[name])
    for kind, trailer in TRAILERS.items():
        assert decoded(files[name] + trailer) == whole, kind


def decoded(data: bytes) -> bytes:
    with decode(data) as sound:
        pcm = b"".join(sound)
    assert not sound.findings.warnings
    return pcm


@pytest.mark.parametrize(
    ("name", "trailer"),
    [
        ("pcm.wav", b"LIST" + struct.pack("<I", 5000) + b"INFOxx" + RUBBISH[:4994]),
        ("pcm.wav", b"id3 " + struct.pack("<I", 2058) + id3_tag(2048)),
        ("pcm.wav", b"JUNK" + struct.pack("<I", 5001) + RUBBISH[:5001] + b"\0" + b"bext" + struct.pack("<I", 4) + b"abcd"),
        ("apple.aiff", b"ID3 " + struct.pack(">I", 2058) + id3_tag(2048)),
        ("music.m4a", struct.pack(">I4s", 5008, b"free") + RUBBISH[:5000]),
        ("music.m4a", struct.pack(">I4s", 5008, b"uuid") + RUBBISH[:5000]),
        ("music.m4a", struct.pack(">I4s", 16, b"mfra") + bytes(8) + struct.pack(">I4s", 3008, b"Xtra") + RUBBISH[:3000]),
        ("voice.webm", b"\xec\x4f\xff" + bytes(4095)),
    ],
)  # fmt: skip
def test_parts_of_their_own_behind_the_sound_are_nothing(files: dict[str, bytes], name: str, trailer: bytes) -> None:
    assert split(files[name] + trailer) == [(0, len(files[name] + trailer), 0)]


STOPPED = ("pcm.wav", "music.m4a", "voice.webm", "apple.aiff", "apple.caf", "sun.au", "studio.w64", "voice.ogg")  # fmt: skip


@pytest.mark.parametrize("name", STOPPED)
def test_what_nobody_can_hear_is_told(files: dict[str, bytes], name: str) -> None:
    data = files[name] + RUBBISH
    with decode(data) as sound:
        for _ in sound:
            pass
    told = [caution for caution in sound.findings.warnings if caution.code == "unread"]
    assert len(told) == 1 and str(len(RUBBISH)) in told[0].message
    assert not told[0].lost


def test_of_two_chunks_of_sound_the_first_is_heard_and_the_other_told(files: dict[str, bytes]) -> None:
    """A demuxer hears the last of them alone."""
    whole, more = files["pcm.wav"], b"data" + struct.pack("<I", 6000) + bytes(6000)
    with decode(whole) as alone, decode(whole + more) as sound:
        assert b"".join(sound) == b"".join(alone)
    (told,) = sound.findings.warnings
    assert told.code == "unread" and "6008" in told.message


@pytest.mark.parametrize("form", ["caf", "avi", "asf", "au", "matroska"])
def test_a_stream_that_tells_no_length_is_whole(recordings: Path, form: str) -> None:
    data = piped(recordings / "pcm.wav", form, ["-c:a", "libmp3lame"] if form == "avi" else [])
    with decode(data) as sound:
        for _ in sound:
            pass
    assert not sound.findings.warnings and not sound.findings.gaps


@pytest.mark.parametrize(
    "name", ["music.flac", "lame.mp3", "raw.aac", "bare.ac3", "lossless.wv", "flash.flv", "broadcast.ts"]
)
def test_damage_in_the_middle_hides_no_other_recording_and_is_none(files: dict[str, bytes], name: str) -> None:
    damaged = bytearray(files[name])
    middle = len(damaged) // 2
    damaged[middle : middle + 300] = RUBBISH[:300]
    assert [one[:2] for one in split(bytes(damaged))] == [(tag_length(files[name]), len(damaged))]
    second = files["music.m4a"]
    assert [one[0] for one in split(bytes(damaged) + second)] == [tag_length(files[name]), len(damaged)]


@pytest.mark.parametrize("name", ["raw.aac", "bare.ac3", "bare.eac3", "bare.dts", "tagless.mp3", "broadcast.ts"])
@pytest.mark.parametrize("part", [0.4, 0.85])
@pytest.mark.parametrize("fill", [b"", b"\0", b"\xff"], ids=["rubbish", "zeros", "ones"])
def test_frames_that_a_decoder_passes_over_are_told(
    files: dict[str, bytes], name: str, part: float, fill: bytes
) -> None:
    """Near the end too, where a single complaint of the decoder may mean nothing."""
    data = bytearray(files[name])
    at, length = int(part * len(data)), len(data) // 12
    data[at : at + length] = fill * length or random.Random(2).randbytes(length)
    with decode(bytes(data)) as sound:
        for _ in sound:
            pass
    told, is_certain = sound.findings, not fill
    assert any(one.code == "damaged" and (one.lost or not is_certain) for one in told.warnings) or any(
        gap.lost for gap in told.gaps
    )
    with decode(files[name]) as whole:
        for _ in whole:
            pass
    assert not whole.findings.warnings


@given(
    container=st.sampled_from(TAKEN),
    parts=st.lists(st.one_of(st.binary(max_size=200), st.sampled_from([*TRAILERS.values(), RUBBISH])), max_size=5),
    start=st.integers(0, 50),
)
@settings(max_examples=200)
def test_garbage_never_raises(container: Container, parts: list[bytes], start: int) -> None:
    data = b"".join(parts)
    behind = following(lambda at, length: data[at : at + length], len(data), Found(container, min(start, len(data))))
    assert behind.end <= behind.begin <= len(data)


def test_a_search_for_more_of_the_same_leaves_one_for_another_kind(files: dict[str, bytes]) -> None:
    """A packet is no run of them, and the byte that marks one is everywhere in what follows."""
    stream = files["broadcast.ts"]
    stream = (stream * (1 + 188 * 1001 // len(stream)))[: 188 * 1001]
    data = stream + files["voice.ogg"] + files["pcm.wav"] + random.Random(3).randbytes(200_000)
    found = following(lambda at, length: data[at : at + length], len(data), sniff_file(lambda offset: data[offset:]))
    assert (found.begin, found.found and found.found.container.name) == (len(stream), "ogg")


def test_what_begins_at_a_mark_is_not_searched_behind_rubbish(
    files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty kilobytes of marks and headers of frames that lead nowhere took ten seconds."""
    headers = b"\xff\xfb\x90\x64\xff\xe3\x18\xc4\xff\xf3\x44\xc4" * 10
    data = files["pcm.wav"] + 400 * (b"Xing\0\0\0\x0f" + headers) + files["voice.ogg"]
    first = sniff_file(lambda offset: data[offset:])
    monkeypatch.setattr(sniff, "frames_behind_rubbish", None)  # nobody can call it
    found = following(lambda at, length: data[at : at + length], len(data), first)
    assert (len(data) - found.begin, found.found and found.found.container.name) == (len(files["voice.ogg"]), "ogg")


def test_many_kinds_in_one(files: dict[str, bytes]) -> None:
    names = [name for name in ONE_OF_EACH if name not in ("tagless.mp3", "bare.eac3", "camera.m2ts", "stream.mpeg")]
    data = b"".join(files[name] for name in names)
    found = split(data)
    assert len(found) == len(names)
    assert all(one[1] <= two[0] for one, two in pairwise(found))
