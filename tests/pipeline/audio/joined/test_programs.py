"""Streams of MPEG packets joined end to end: where the sound changes its place or its kind, another recording begins."""

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.decode import decode
from pipeline.audio.joined.links import links
from pipeline.audio.joined.programs import ProgramStream, TransportStream
from pipeline.audio.joined.window import Window
from pipeline.audio.sniff import LOOK_BYTES, sniff_file
from tests.pipeline.audio.sounds import ONSETS, SECONDS, ffmpeg, heard

pytestmark = pytest.mark.processes

KINDS = {
    "mp2.mpg": ("-c:a", "mp2"),
    "ac3.mpg": ("-c:a", "ac3"),
    "dts.vob": ("-c:a", "dca", "-strict", "-2", "-ar", "48000"),
    "pcm.vob": ("-c:a", "pcm_dvd", "-ar", "48000"),
    "aac.ts": ("-c:a", "aac"),
    "mp2.ts": ("-c:a", "mp2"),
    "ac3.ts": ("-c:a", "ac3"),
    "latm.ts": ("-c:a", "aac", "-mpegts_flags", "latm"),
    "opus.ts": ("-c:a", "libopus", "-ar", "48000"),
    "ac3.m2ts": ("-c:a", "ac3"),
    "pcm.m2ts": ("-c:a", "pcm_bluray", "-ar", "48000"),
    "moved.ts": ("-c:a", "aac", "-mpegts_start_pid", "0x333"),
    "renumbered.ts": ("-c:a", "aac", "-mpegts_service_id", "9", "-mpegts_pmt_start_pid", "0x444"),
}
TABLES = 3 * 192  # bytes that may precede the list of programs
LATE = 0.06  # seconds that codecs and containers add


@pytest.fixture(scope="module")
def files(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("programs")
    for name, options in KINDS.items():
        ffmpeg("-i", recordings / "pcm.wav", *options, folder / name)
    return {name: (folder / name).read_bytes() for name in KINDS}


def split(data: bytes) -> list[int]:
    found = sniff_file(lambda offset: data[offset : offset + LOOK_BYTES])
    return [link.start for link in links(lambda at, length: data[at : at + length], len(data), found)]


def pairs() -> list[tuple[str, str]]:
    streams = (
        [name for name in KINDS if name.endswith(("mpg", "vob"))],
        [name for name in KINDS if name.endswith("ts")],
    )
    return [(one, other) for stream in streams for one in stream for other in stream if one != other]


@pytest.mark.parametrize("pair", pairs(), ids="+".join)
def test_the_sound_of_both_is_heard(files: dict[str, bytes], pair: tuple[str, str]) -> None:
    first, second = (files[name] for name in pair)
    assert split(first + second) == [0, pytest.approx(len(first), abs=TABLES)]
    with decode(first + second) as sound:
        found = heard(b"".join(sound))
    expected = [*ONSETS, *(SECONDS + onset for onset in ONSETS)]
    assert found == pytest.approx(expected, abs=2 * LATE)


def test_many_of_them(files: dict[str, bytes]) -> None:
    for ends in (("mpg", "vob"), ("ts",)):
        names = [name for name in KINDS if name.endswith(ends)] * 2
        data = b"".join(files[name] for name in names)
        assert len(split(data)) == len(names)
        assert all(one < two for one, two in pairwise(split(data)))


@pytest.mark.parametrize("name", KINDS)
def test_the_same_sound_goes_on_in_one_stream(files: dict[str, bytes], name: str) -> None:
    assert split(files[name] * 3) == [0]


@pytest.mark.parametrize("name", ["film.mpg", "film.vob", "film.ts", "film.m2ts"])
def test_tracks_beside_each_other_are_of_one_recording(recordings: Path, tmp_path: Path, name: str) -> None:
    """The second begins when the first has nearly ended."""
    sound, film = recordings / "pcm.wav", tmp_path / name
    picture = ("-f", "lavfi", "-i", f"testsrc=s=64x64:r=25:d={2 * SECONDS}")
    maps = ("-map", "0", "-map", "1", "-map", "2", "-c:v", "mpeg2video", "-c:a:0", "mp2", "-c:a:1", "ac3")
    ffmpeg(*picture, "-i", sound, "-itsoffset", SECONDS - 1, "-i", sound, *maps, film)
    assert split(film.read_bytes()) == [0]


@pytest.mark.parametrize("kind", [ProgramStream, TransportStream])
@given(data=st.binary(max_size=3000), at=st.integers(0, 3000), length=st.integers(1, 3000))
def test_garbage_never_raises(kind: type[ProgramStream | TransportStream], data: bytes, at: int, length: int) -> None:
    programs = kind()
    for begin in (at, at + length):
        programs.see(Window(lambda place, count: data[place : place + count], len(data)), min(begin, len(data)), length)
    assert programs.second is None or programs.second <= len(data) + length


@pytest.mark.parametrize("name", ["ac3.mpg", "aac.ts", "ac3.m2ts"])
def test_damage_makes_no_recording_of_its_own(files: dict[str, bytes], name: str) -> None:
    chance, whole = random.Random(1), files[name]
    for _ in range(20):
        at, length = chance.randrange(2000, len(whole) - 2000), chance.randrange(1, 1500)
        assert split(whole[:at] + chance.randbytes(length) + whole[at + length :]) == [0]
