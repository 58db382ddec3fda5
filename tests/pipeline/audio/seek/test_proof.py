"""What proves a recording's clock takes whatever bytes there are, and no more steps than it may."""

from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.containers.table import AAC, MATROSKA, MP3, MP4, OGG, Container, Found
from pipeline.audio.ffmpeg.log_parser import AudioStream
from pipeline.audio.seek import proof as proof_module
from pipeline.audio.seek.block_walk import BlockPlaces
from pipeline.audio.seek.proof import proof
from pipeline.audio.source import Recording, opened
from tests.pipeline.audio.sounds import ffmpeg

pytestmark = pytest.mark.processes

KINDS: dict[str, tuple[Container, str, list[str]]] = {
    "a.mp3": (MP3, "mp3", ["-c:a", "libmp3lame", "-write_xing", "0", "-id3v2_version", "0"]),
    "a.aac": (AAC, "aac", ["-c:a", "aac", "-f", "adts"]),
    "a.ogg": (OGG, "opus", ["-c:a", "libopus"]),
    "a.m4a": (MP4, "aac", ["-c:a", "aac"]),
    "a.webm": (MATROSKA, "opus", ["-c:a", "libopus"]),
    "a.mkv": (MATROSKA, "aac", ["-c:a", "aac"]),
}


@cache
def whole() -> dict[str, bytes]:
    """Three seconds of each."""
    with TemporaryDirectory() as folder:
        outputs = [part for name, (_, _, options) in KINDS.items() for part in (*options, Path(folder, name))]
        ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=3:r=48000", *outputs)
        return {name: Path(folder, name).read_bytes() for name in KINDS}


def proven(name: str, data: bytes, seconds: float = 2.0) -> bool | BlockPlaces:
    container, codec, _ = KINDS[name]
    with closing(opened(data)) as source:
        return proof(source, Recording(Found(container)), AudioStream(codec, 48_000, 1), seconds)


@pytest.mark.parametrize("name", KINDS)
def test_a_plain_one_is_proven_as_far_as_it_goes(name: str) -> None:
    assert proven(name, whole()[name])
    if name != "a.m4a":  # whose table is all there is
        assert not proven(name, whole()[name], 4.0)
        assert not proven(name, whole()[name][:-10_000], 3.0)


@pytest.mark.parametrize("name", KINDS)
def test_what_has_more_units_than_are_walked_over_is_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof_module, "MOST_UNITS", 3)
    assert not proven(name, whole()[name])


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
    assert proven(name, bytes(data[: round(len(data) * max(cut, 0.2))]), 1.0) in (True, False) or name.endswith(
        ("webm", "mkv")
    )


def test_a_block_is_told_by_a_time_that_is_rounded() -> None:
    places = proven("a.webm", whole()["a.webm"])
    assert isinstance(places, BlockPlaces)
    for block in (0, 1, 7, 60):
        for off in (-0.001, 0, 0.001):
            assert places.before(block * 0.02 + off) == 960 * block
    assert places.before(0.01) is None and places.before(-1.0) is None and places.before(60.0) is None
