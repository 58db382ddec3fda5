"""Decoding that begins near what is asked for brings the very samples, at the very places, of a decoding of all of it."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.audio.decode import Decoding, decode
from pipeline.audio.raw_sound import RawSound
from pipeline.cut.channel_chunks import Sound
from pipeline.cut.time_range import Part
from pipeline.errors import InvalidRequest, MediaTooLong
from pipeline.transcript import SAMPLE_RATE
from tests.pipeline.audio.sounds import ffmpeg, piped, wav

pytestmark = pytest.mark.processes

SECONDS = 76
BEGINS = st.integers(62 * SAMPLE_RATE, 75 * SAMPLE_RATE)
BESIDE = 12  # seconds of sound that are made before what is asked for
EXACT: dict[str, list[str]] = {
    "pcm.wav": [],
    "wide.wav": ["-c:a", "pcm_f32le", "-ar", "22050", "-ac", "1"],
    "strange.wav": ["-ar", "31773", "-ac", "1"],
    "studio.w64": [],
    "apple.aiff": [],
    "apple.caf": [],
    "phone.au": ["-c:a", "pcm_mulaw", "-ar", "8000", "-ac", "1"],
    "music.flac": [],
    "narrow.flac": ["-ar", "11025", "-ac", "1"],
}
LOSSY: dict[str, list[str]] = {
    "lame.mp3": ["-c:a", "libmp3lame"],
    "variable.mp3": ["-c:a", "libmp3lame", "-q:a", "4", "-ac", "1"],
    "tagless.mp3": ["-c:a", "libmp3lame", "-write_xing", "0", "-id3v2_version", "0", "-ar", "22050", "-ac", "1"],
    "low.mp3": ["-c:a", "libmp3lame", "-b:a", "8k", "-ar", "8000", "-ac", "1"],
    "layer2.mp3": ["-c:a", "mp2", "-f", "mp2"],
    "raw.aac": ["-c:a", "aac", "-f", "adts"],
    "music.m4a": ["-c:a", "aac"],
    "front.m4a": ["-c:a", "aac", "-ar", "24000", "-ac", "1", "-movflags", "faststart"],
    "voice.ogg": ["-c:a", "libopus"],
    "long.ogg": ["-c:a", "libopus", "-frame_duration", "60", "-ar", "16000", "-ac", "1"],
    "browser.webm": ["-c:a", "libopus"],
    "short.webm": ["-c:a", "libopus", "-frame_duration", "5", "-ac", "1"],
    "aac.mkv": ["-c:a", "aac"],
}
FILMS: dict[str, list[str]] = {
    "film.mp4": ["-c:v", "mpeg4", "-c:a", "aac", "-ac", "1"],
    "film.webm": ["-c:v", "libvpx", "-c:a", "libopus", "-ac", "1"],
    "film.mkv": ["-c:v", "mpeg4", "-c:a", "aac", "-ac", "1"],
}
FROM_ZERO: dict[str, list[str]] = {
    "vorbis.ogg": ["-c:a", "libvorbis"],
    "vorbis.webm": ["-c:a", "libvorbis"],
    "hole.webm": ["-c:a", "libopus", "-bsf:a", "setts=ts=PTS+if(gt(N\\,900)\\,9600\\,0)"],
    "stream.mpeg": ["-c:a", "mp2", "-f", "mpeg"],
    "pieces.mp4": ["-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"],
    "ima.wav": ["-c:a", "adpcm_ima_wav"],
    "mp3.wav": ["-c:a", "libmp3lame"],
    "bare.ac3": [],
}
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
@settings(max_examples=2, deadline=None)
@given(begin=BEGINS)
def test_what_loses_nothing_is_the_same_to_the_bit(folder: Path, name: str, begin: int) -> None:
    expected, found, made = parts(folder / name, begin)
    assert np.array_equal(found, expected)
    assert made < len(whole(folder / name)) - begin + BESIDE * SAMPLE_RATE


@pytest.mark.parametrize("name", [*LOSSY, *FILMS])
@settings(max_examples=2, deadline=None)
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
