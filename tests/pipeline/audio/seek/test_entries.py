"""Whoever looks for a place to begin at takes whatever bytes there are, and no more steps than it may."""

from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.access.entry import Entry
from pipeline.audio.containers.id3_tag import TAG_HEADER, tag_length
from pipeline.audio.containers.table import (
    AAC,
    AC3,
    AMR,
    FLAC,
    FLV,
    MATROSKA,
    MP3,
    MP4,
    MPEG,
    MPEGTS,
    OGG,
    WAV,
    WAVPACK,
    Container,
    Found,
)
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.seek import entries
from pipeline.audio.seek.entries import entry_before
from pipeline.audio.source import Recording, opened
from tests.pipeline.audio.sounds import ffmpeg

pytestmark = pytest.mark.processes

KINDS: dict[str, tuple[Container, str, list[str]]] = {
    "a.mp3": (MP3, "mp3", ["-c:a", "libmp3lame"]),
    "b.mp3": (MP3, "mp3", ["-c:a", "libmp3lame", "-write_xing", "0", "-id3v2_version", "0"]),
    "a.aac": (AAC, "aac", ["-c:a", "aac", "-f", "adts"]),
    "a.ac3": (AC3, "ac3", []),
    "a.amr": (AMR, "amr_nb", ["-c:a", "libopencore_amrnb", "-ar", "8000"]),
    "a.ogg": (OGG, "opus", ["-c:a", "libopus"]),
    "b.ogg": (OGG, "vorbis", ["-c:a", "libvorbis"]),
    "a.m4a": (MP4, "aac", ["-c:a", "aac"]),
    "a.webm": (MATROSKA, "opus", ["-c:a", "libopus"]),
    "a.mkv": (MATROSKA, "aac", ["-c:a", "aac"]),
    "a.wav": (WAV, "pcm_s16le", []),
    "a.flac": (FLAC, "flac", []),
    "a.flv": (FLV, "aac", ["-c:a", "aac", "-ar", "44100"]),
    "a.wv": (WAVPACK, "wavpack", []),
    "a.ts": (MPEGTS, "mp2", ["-c:a", "mp2"]),
    "a.mpeg": (MPEG, "mp2", ["-c:a", "mp2"]),
}
BY_A_TABLE = ("a.m4a", "a.wav", "a.flac")  # which no walk is needed for
NOISE_SECONDS = 12


@cache
def whole() -> dict[str, bytes]:
    """Some seconds of each."""
    with TemporaryDirectory() as folder:
        outputs = [part for name, (_, _, options) in KINDS.items() for part in (*options, Path(folder, name))]
        ffmpeg("-f", "lavfi", "-i", f"anoisesrc=d={NOISE_SECONDS}:r=48000", *outputs)
        return {name: Path(folder, name).read_bytes() for name in KINDS}


def rate(name: str) -> int:
    return {"a.amr": 8000, "a.flv": 44_100}.get(name, 48_000)


def found(name: str, data: bytes, seconds: float = 10.0) -> Entry | bool:
    container, codec, _ = KINDS[name]
    with closing(opened(data)) as source:
        sound, start = AudioStream(codec, rate(name), 1), tag_length(data[:TAG_HEADER])
        return entry_before(source, Recording(Found(container, start)), sound, round(seconds * rate(name)))


@pytest.mark.parametrize("name", KINDS)
def test_a_plain_one_can_be_begun_with_shortly_before_any_place_in_it(name: str) -> None:
    entry, size = found(name, whole()[name]), len(whole()[name])
    if name == "a.m4a":
        assert entry is True
        return
    assert isinstance(entry, Entry)
    assert 4 <= entry.before / rate(name) <= 10  # a cluster of Matroska has five seconds
    assert entry.at > 0.3 * size and sum(map(len, entry.head)) < 0.1 * size


@pytest.mark.parametrize("name", sorted(set(KINDS) - set(BY_A_TABLE)))
def test_what_ends_before_the_place_cannot(name: str) -> None:
    assert not found(name, whole()[name], NOISE_SECONDS + 1.0)
    assert not found(name, whole()[name][: len(whole()[name]) // 2], 9.0)


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"a.wav"}))
def test_what_has_more_units_than_are_walked_over_cannot(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "MOST_UNITS", 1)
    assert not found(name, whole()[name])


@pytest.mark.parametrize("name", KINDS)
def test_what_is_begun_with_is_found_in_few_steps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One or two for each frame, page or packet of sound, some for what describes them."""
    monkeypatch.setattr(entries, "MOST_UNITS", {"a.ts": len(whole()["a.ts"]) // 188}.get(name, 1300))
    assert found(name, whole()[name])


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(KINDS)),
    st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=12)), min_size=1, max_size=6),
    st.floats(0, 1),
)
def test_no_bytes_are_too_strange(name: str, changes: list[tuple[float, bytes]], cut: float) -> None:
    data = bytearray(whole()[name])
    for place, new in changes:
        at = int(place * min(len(data), 4_000 if cut < 0.5 else len(data)))  # headers stand in front
        data[at : at + len(new)] = new
    entry = found(name, bytes(data[: round(len(data) * max(cut, 0.2))]), 5.0)
    assert isinstance(entry, Entry | bool)
