"""Decoding that begins near what is asked for brings the very samples, at the very places, of a decoding of all of it."""

from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.audio import source as source_module
from pipeline.audio.containers.ebml import BLOCK, CLUSTER, SEGMENT, SIMPLE_BLOCK, TIME
from pipeline.audio.decode import Decoding, decode
from pipeline.audio.duration.matroska import elements
from pipeline.audio.raw_sound import RawSound
from pipeline.audio.seek import sample_table
from pipeline.audio.step_budget import StepBudget
from pipeline.cut.channel_chunks import Sound
from pipeline.cut.time_range import Part
from pipeline.errors import InvalidRequest, MediaTooLong
from pipeline.transcript import SAMPLE_RATE
from tests.pipeline.audio.access.test_remote import Elsewhere
from tests.pipeline.audio.sounds import ffmpeg, piped, wav

pytestmark = pytest.mark.processes

SECONDS = 76
BEGINS = st.integers(62 * SAMPLE_RATE, 75 * SAMPLE_RATE)
BESIDE = 12  # seconds of sound that are made before what is asked for
EXACT: dict[str, list[str]] = {
    "pcm.wav": [],
    "wide.wav": ["-c:a", "pcm_f32le", "-ar", "22050", "-ac", "1"],
    "strange.wav": ["-ar", "31773", "-ac", "1"],
    "ima.wav": ["-c:a", "adpcm_ima_wav"],
    "microsoft.wav": ["-c:a", "adpcm_ms", "-ac", "1"],
    "long.wav": ["-rf64", "always"],
    "studio.w64": [],
    "apple.aiff": [],
    "apple.caf": [],
    "phone.au": ["-c:a", "pcm_mulaw", "-ar", "8000", "-ac", "1"],
    "music.flac": [],
    "narrow.flac": ["-ar", "11025", "-ac", "1"],
    "flac.ogg": ["-c:a", "flac", "-f", "ogg"],
    "lossless.m4a": ["-c:a", "alac"],
    "pcm.mov": ["-c:a", "pcm_s16le"],
    "plain.avi": ["-c:a", "pcm_s16le"],
    "flac.mkv": ["-c:a", "flac"],
    "pcm.mkv": ["-c:a", "pcm_s24le"],
    "lossless.wv": [],
    "narrow.wv": ["-ar", "22050", "-ac", "1"],
}
LOSSY: dict[str, list[str]] = {
    "lame.mp3": ["-c:a", "libmp3lame"],
    "variable.mp3": ["-c:a", "libmp3lame", "-q:a", "4", "-ac", "1"],
    "tagless.mp3": ["-c:a", "libmp3lame", "-write_xing", "0", "-id3v2_version", "0", "-ar", "22050", "-ac", "1"],
    "low.mp3": ["-c:a", "libmp3lame", "-b:a", "8k", "-ar", "8000", "-ac", "1"],
    "layer2.mp3": ["-c:a", "mp2", "-f", "mp2"],
    "mp3.wav": ["-c:a", "libmp3lame"],
    "raw.aac": ["-c:a", "aac", "-f", "adts"],
    "bare.ac3": [],
    "bare.eac3": ["-ac", "1"],
    "bare.dts": ["-c:a", "dca", "-strict", "-2", "-ar", "48000"],
    "phone.amr": ["-c:a", "libopencore_amrnb", "-ar", "8000", "-ac", "1"],
    "g726.wav": ["-c:a", "g726", "-ar", "8000", "-ac", "1", "-code_size", "3"],
    "ima.aifc": ["-c:a", "adpcm_ima_qt", "-f", "aiff"],
    "g722.wav": ["-c:a", "g722", "-ar", "16000", "-ac", "1"],
    "music.m4a": ["-c:a", "aac"],
    "front.m4a": ["-c:a", "aac", "-ar", "24000", "-ac", "1", "-movflags", "faststart"],
    "dash.mp4": ["-c:a", "aac", "-movflags", "frag_keyframe+empty_moov+default_base_moof", "-frag_duration", "2000000"],
    "mp3.avi": ["-c:a", "libmp3lame"],
    "ac3.avi": ["-c:a", "ac3"],
    "opus.mp4": ["-c:a", "libopus"],
    "voice.ogg": ["-c:a", "libopus"],
    "long.ogg": ["-c:a", "libopus", "-frame_duration", "60", "-ar", "16000", "-ac", "1"],
    "vorbis.ogg": ["-c:a", "libvorbis"],
    "browser.webm": ["-c:a", "libopus"],
    "short.webm": ["-c:a", "libopus", "-frame_duration", "5", "-ac", "1"],
    "aac.mkv": ["-c:a", "aac"],
    "mp3.mkv": ["-c:a", "libmp3lame"],
    "ac3.mkv": ["-c:a", "ac3"],
    "flash.flv": ["-c:a", "aac"],
    "mp3.flv": ["-c:a", "libmp3lame"],
    "call.flv": ["-c:a", "nellymoser", "-ac", "1"],
    "stream.mpeg": ["-c:a", "mp2", "-f", "mpeg"],
    "broadcast.ts": ["-c:a", "mp2"],
    "mobile.ts": ["-c:a", "aac"],
    "camera.m2ts": ["-c:a", "ac3"],
}
FILMS: dict[str, list[str]] = {
    "film.mp4": ["-c:v", "mpeg4", "-c:a", "aac", "-ac", "1"],
    "film.webm": ["-c:v", "libvpx", "-c:a", "libopus", "-ac", "1"],
    "film.mkv": ["-c:v", "mpeg4", "-c:a", "aac", "-ac", "1"],
    "film.ts": ["-c:v", "mpeg2video", "-r", "25", "-c:a", "mp2", "-ac", "1"],
    "film.mpeg": ["-c:v", "mpeg2video", "-r", "25", "-c:a", "mp2", "-ac", "1"],
    "film.avi": ["-c:v", "mpeg4", "-c:a", "libmp3lame", "-ac", "1"],
    "film.flv": ["-c:v", "flv", "-c:a", "libmp3lame", "-ac", "1"],
}
FROM_ZERO: dict[str, list[str]] = {
    "vorbis.webm": ["-c:a", "libvorbis"],
    "hole.webm": ["-c:a", "libopus", "-bsf:a", "setts=ts=PTS+if(gt(N\\,900)\\,9600\\,0)"],
    "hole.ts": ["-c:a", "mp2", "-bsf:a", "setts=ts=PTS+if(gt(N\\,900)\\,9600\\,0)"],
    "hole.flv": ["-c:a", "aac", "-bsf:a", "setts=ts=PTS+if(gt(N\\,900)\\,9600\\,0)"],
    "pieces.mp4": ["-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"],
    "windows.wma": ["-c:a", "wmav2"],
}
ELSEWHERE = (
    "pcm.wav", "apple.aiff", "lossless.m4a", "music.flac", "flac.ogg", "lossless.wv", "plain.avi", "lame.mp3", "bare.ac3",
    "phone.amr", "dash.mp4", "vorbis.ogg", "browser.webm", "flash.flv", "stream.mpeg", "camera.m2ts", "film.mp4", "film.mkv",
)  # fmt: skip
UNEVEN = ["-c:a", "aac", "-bsf:a", "setts=ts=PTS+if(gt(N\\,400)\\,500\\,0)"]  # a stamp a hundredth off, and never back


def sound(rate: int = 44_100) -> NDArray[np.int16]:
    """Two channels in which no place looks like another."""
    random, time = np.random.default_rng(15), np.arange(SECONDS * rate) / rate
    swept = np.sin(2 * np.pi * (300 + 3 * time) * time) * np.abs(np.sin(1.7 * time))
    rustle = random.standard_normal(len(time)) * (np.sin(0.9 * time) > 0)
    return np.stack([9000 * swept + 1500 * rustle, 5000 * swept - 1200 * rustle], 1).clip(-32000, 32000).astype("<i2")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything named above."""
    folder = tmp_path_factory.mktemp("long")
    (folder / "original.wav").write_bytes(wav(sound().tobytes(), sample_rate=44_100, channels=2))
    films = [part for name, options in FILMS.items() for part in ("-map", "0", "-map", "1", *options, folder / name)]
    ffmpeg("-f", "lavfi", "-i", f"testsrc=size=16x16:rate=5:duration={SECONDS}", "-i", folder / "original.wav", *films)
    outputs = [part for name, options in (EXACT | LOSSY | FROM_ZERO).items() for part in (*options, folder / name)]
    ffmpeg("-i", folder / "original.wav", *outputs, *UNEVEN, folder / "uneven.m4a")
    return folder


def placed(decoding: Decoding) -> tuple[int, NDArray[np.int64]]:
    """All that comes, holes as silence, and where it begins."""
    pieces = list(decoding.pieces())
    first, end = pieces[0][0], pieces[-1][0] + len(pieces[-1][1]) // 2
    samples = np.zeros(end - first, np.int64)
    for at, pcm in pieces:
        samples[at - first :][: len(pcm) // 2] = np.frombuffer(pcm, "<i2")
    return first, samples


def asked_for(decoding: Decoding, begin: int) -> NDArray[np.int64]:
    """What comes from there on. How the resampler settles before depends on how its input arrived: it may differ by run."""
    first, samples = placed(decoding)
    assert first <= begin
    return samples[begin - first :]


@cache
def whole(path: Path) -> NDArray[np.int64]:
    with decode(path) as decoding:
        return placed(decoding)[1]


def parts(path: Path, begin: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """What comes from there on: of all, of the part, and how many samples were made for the latter."""
    with decode(path, begin=begin) as decoding:
        first, samples = placed(decoding)
    assert first <= begin
    return whole(path)[begin:], samples[begin - first :], decoding.samples


@pytest.mark.parametrize("name", EXACT)
@settings(max_examples=1, deadline=None)
@given(begin=BEGINS)
def test_what_loses_nothing_is_the_same_to_the_bit(folder: Path, name: str, begin: int) -> None:
    expected, found, made = parts(folder / name, begin)
    assert np.array_equal(found, expected)
    assert made < len(whole(folder / name)) - begin + BESIDE * SAMPLE_RATE


@pytest.mark.parametrize("name", [*LOSSY, *FILMS])
@settings(max_examples=1, deadline=None)
@given(begin=BEGINS)
def test_what_loses_something_is_shifted_by_no_sample(folder: Path, name: str, begin: int) -> None:
    expected, found, made = parts(folder / name, begin)
    assert len(found) == len(expected) and made < len(whole(folder / name)) - begin + BESIDE * SAMPLE_RATE
    likeness = [float(np.dot(np.roll(found, lag), expected)) for lag in range(-3, 4)]
    assert likeness.index(max(likeness)) == likeness.index(likeness[3]) == 3
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.05 * np.sqrt(np.mean(expected**2))  # AAC makes noise by chance


@pytest.mark.parametrize("name", [*FROM_ZERO, "uneven.m4a"])
def test_what_is_not_proven_is_decoded_from_its_beginning(folder: Path, name: str) -> None:
    expected, found, made = parts(folder / name, 70 * SAMPLE_RATE)
    assert np.array_equal(found, expected) and made >= 70 * SAMPLE_RATE


def broken_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Files whose beginning and middle tell different stories."""
    mp3, aac, ogg = ((folder / name).read_bytes() for name in ("tagless.mp3", "raw.aac", "voice.ogg"))
    yield "joined.mp3", mp3 + mp3
    yield "changing.mp3", mp3[: len(mp3) // 4] + (folder / "lame.mp3").read_bytes()
    yield "rubbish.mp3", mp3[: len(mp3) // 2] + bytes(range(256)) * 4 + mp3[len(mp3) // 2 :]
    yield "cut.mp3", (folder / "lame.mp3").read_bytes()[:-20_000]
    yield "rubbish.aac", aac[: len(aac) // 2] + bytes(range(256)) * 4 + aac[len(aac) // 2 :]
    yield "chained.ogg", ogg + ogg
    pages = ogg.split(b"OggS")
    yield "lost.ogg", b"OggS".join(pages[:40] + pages[42:])


def test_what_is_joined_damaged_or_chained_is_heard_as_ever(folder: Path) -> None:
    for name, data in broken_files(folder):
        (folder / name).write_bytes(data)
        expected, found, made = parts(folder / name, 72 * SAMPLE_RATE)
        assert np.array_equal(found, expected), name
        assert made >= 70 * SAMPLE_RATE or name == "joined.mp3", name  # frames that go on are one recording


def test_a_stream_that_changes_behind_the_place_is_followed_from_its_beginning(folder: Path) -> None:
    data = (folder / "tagless.mp3").read_bytes()
    path = folder / "later.mp3"
    path.write_bytes(data + (folder / "lame.mp3").read_bytes())
    expected, found, _ = parts(path, 70 * SAMPLE_RATE)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("channel", [0, 1])
def test_one_channel_of_several_begins_there_as_well(folder: Path, channel: int) -> None:
    path, begin = folder / "pcm.wav", 70 * SAMPLE_RATE
    with decode(path, channel=channel) as decoding:
        expected = placed(decoding)[1][begin:]
    with decode(path, channel=channel, begin=begin) as decoding:
        first, found = placed(decoding)
    assert np.array_equal(found[begin - first :], expected) and decoding.samples < (BESIDE + 6) * SAMPLE_RATE


def test_samples_without_a_header_are_decoded_from_their_beginning(tmp_path: Path) -> None:
    path, begin = tmp_path / "raw", 70 * SAMPLE_RATE
    path.write_bytes(sound(24_000).tobytes())
    declared = RawSound("s16le", 24_000, 2)
    with decode(path, declared=declared) as decoding:
        expected = placed(decoding)[1][begin:]
    with decode(path, declared=declared, begin=begin) as decoding:
        first, found = placed(decoding)
    assert np.array_equal(found[begin - first :], expected)


def test_a_stream_without_a_length_begins_there_as_well(folder: Path) -> None:
    for name, options in (("streamed.flac", []), ("streamed.webm", ["-c:a", "libopus"])):
        path = folder / name
        path.write_bytes(piped(folder / "original.wav", path.suffix[1:], options))
        expected, found, made = parts(path, 72 * SAMPLE_RATE)
        assert np.array_equal(found, expected) and made < (BESIDE + 4) * SAMPLE_RATE, name


@pytest.mark.parametrize("name", ["pcm.wav", "lame.mp3", "voice.ogg", "music.m4a"])
def test_who_asks_for_what_is_behind_the_end_is_told_where_that_is(folder: Path, name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"begins at 500 s, but the recording has 76(\.\d+)? s"):
        Sound(folder / name, part=Part.of_seconds(500, 508)).measure()


def test_what_is_left_out_counts_for_the_longest_that_is_taken(folder: Path) -> None:
    for begin in (0, 70 * SAMPLE_RATE):
        with decode(folder / "pcm.wav", begin=begin, max_seconds=73) as decoding, pytest.raises(MediaTooLong):
            list(decoding)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_lies_elsewhere_begins_there_as_well(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, nothing_left: None
) -> None:
    """And is read from there on: but an MP4 passes whole."""
    monkeypatch.setattr(source_module, "SMALL", 0)
    begin, data = 74 * SAMPLE_RATE, (folder / name).read_bytes()
    with decode(folder / name, begin=begin) as decoding:
        expected = asked_for(decoding, begin)
    elsewhere = Elsewhere(data)
    with decode(elsewhere, begin=begin) as decoding:
        assert np.array_equal(asked_for(decoding, begin), expected)
    assert elsewhere.begun[-1] >= len(data) // 2 or name.endswith(("m4a", "mp4"))


@pytest.mark.parametrize("name", ["music.m4a", "lossless.m4a"])  # in more than one chunk of the table
def test_of_a_large_one_with_a_table_the_middle_does_not_pass(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "SMALL", 0)
    monkeypatch.setattr(sample_table, "_LOOKED_AT", 200_000)
    path, begin = folder / name, 74 * SAMPLE_RATE
    with decode(path, begin=begin) as decoding:
        expected = asked_for(decoding, begin)
    elsewhere = Elsewhere(path.read_bytes())
    with decode(elsewhere, begin=begin) as decoding:
        assert np.array_equal(asked_for(decoding, begin), expected)
    assert max(elsewhere.begun) >= elsewhere.size // 2


DAMAGED = ("bare.ac3", "vorbis.ogg", "mp3.mkv", "flash.flv", "mp3.avi", "broadcast.ts", "stream.mpeg")


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_damaged_before_the_place_is_heard_as_ever(folder: Path, name: str, tmp_path: Path) -> None:
    data, path = (folder / name).read_bytes(), tmp_path / name
    third = len(data) // 3
    path.write_bytes(data[:third] + bytes(3000) + data[third + 3000 :])
    expected, found, made = parts(path, 70 * SAMPLE_RATE)
    assert np.array_equal(found, expected) and made >= 60 * SAMPLE_RATE


def laced(data: bytes) -> bytes:
    """A Matroska with four packets in a block."""
    out, group = bytearray(), list[bytes]()
    unknown = b"\x01" + b"\xff" * 7
    for name, start, end in elements(
        lambda at, length: data[at : at + length], 0, len(data), StepBudget(10**6), opened=CLUSTER
    ):
        if name == CLUSTER:
            out += block_of(group) if out else data[:start]
            out += CLUSTER.to_bytes(4, "big") + unknown
        elif out and name == TIME:
            out += b"\xe7" + bytes([0x80 | end - start]) + data[start:end]
        elif out and name in (SIMPLE_BLOCK, BLOCK):
            group.append(data[start:end])
            out += block_of(group) if len(group) == 4 else b""
    at = out.index(SEGMENT.to_bytes(4, "big")) + 4
    out[at : at + 8] = unknown
    return bytes(out + block_of(group))


def block_of(group: list[bytes]) -> bytes:
    """All that wait, in one."""
    if not group:
        return b""
    first, *others = (len(one) - 4 for one in group[:-1]) if len(group) > 1 else (0,)
    sizes = (1 << 14 | first).to_bytes(2, "big")
    for before, size in pairwise([first, *others]):
        sizes += (1 << 14 | size - before + (1 << 13) - 1).to_bytes(2, "big")
    content = group[0][:3] + b"\x86" + bytes([len(group) - 1]) + (sizes if len(group) > 1 else b"")
    content += b"".join(one[4:] for one in group)
    group.clear()
    return b"\xa3" + (1 << 28 | len(content)).to_bytes(4, "big") + content


@pytest.mark.parametrize("name", ["mp3.mkv", "aac.mkv"])
def test_packets_that_share_a_block_are_counted(folder: Path, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(laced((folder / name).read_bytes()))
    expected, found, made = parts(path, 72 * SAMPLE_RATE)
    assert len(found) == len(expected) and made < (BESIDE + 10) * SAMPLE_RATE
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.05 * np.sqrt(np.mean(expected**2))
