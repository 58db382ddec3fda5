"""What streams by is refused as soon as that is certain, however the stream is cut, and never what the decoder would take."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.first_look import FirstLook
from pipeline.audio.sniff import LOOK_BYTES, SHORT_LOOK, sniff_file
from pipeline.errors import EmptyMedia, UnsupportedMedia
from tests.pipeline.audio.sounds import CONTAINERS, FILMS, id3_tag


def refused_after(data: bytes, step: int) -> int | None:
    """Bytes that were taken in before the refusal; None where there was none."""
    look = FirstLook()
    for at in range(0, len(data), step):
        try:
            look.add(data[at : at + step])
        except UnsupportedMedia:
            return at + step
    try:
        look.finish()
    except UnsupportedMedia:
        return len(data)
    return None


@pytest.mark.parametrize("step", [1000, 65_536])
@pytest.mark.parametrize("name", [*CONTAINERS, *FILMS])
def test_recordings_pass(recordings: Path, name: str, step: int) -> None:
    data = (recordings / name).read_bytes()
    assert refused_after(data, step) is None
    assert refused_after(id3_tag(300_000) + id3_tag(10) + data, step) is None


def test_rubbish_behind_a_tag_is_waited_for(recordings: Path) -> None:
    assert refused_after(id3_tag(512) + bytes(200_000) + (recordings / "tagless.mp3").read_bytes(), 10_000) is None


@pytest.mark.parametrize(
    ("data", "most"),
    [
        (b"Dear diary, " * 100_000, SHORT_LOOK),
        (b"#EXTM3U\n" * 100_000, SHORT_LOOK),
        (b"PK\x03\x04" + bytes(10**6), SHORT_LOOK),
        (id3_tag(70_000) + b"PK\x03\x04" + bytes(10**6), SHORT_LOOK + len(id3_tag(70_000))),
        (bytes(10**6), LOOK_BYTES),
        (b"no", 2),
    ],
    ids=["text", "playlist", "archive", "archive behind a tag", "zeros", "two letters"],
)
def test_others_are_refused_by_their_first_bytes(data: bytes, most: int) -> None:
    after = refused_after(data, 1000)
    assert after is not None
    assert after <= most + 1000


def test_tags_without_end_are_refused() -> None:
    assert (refused_after(b"ID3\x04\0\0\0\0\0\0" * 100_000, 1000) or 10**6) <= SHORT_LOOK + 1000


def test_nothing_is_not_refused_here() -> None:
    assert refused_after(b"", 1) is None
    assert refused_after(id3_tag(512), 100) is None


@given(st.binary(max_size=9000), st.integers(1, 5000))
def test_it_agrees_with_the_look_at_a_whole_file(data: bytes, step: int) -> None:
    try:
        sniff_file(lambda offset: data[offset : offset + LOOK_BYTES])
    except EmptyMedia:
        return
    except UnsupportedMedia:
        assert refused_after(data, step) is not None
    else:
        assert refused_after(data, step) is None


def test_what_is_searched_for_behind_rubbish_is_told_before() -> None:
    rubbish = bytes(range(1, 256)) * 300
    assert not FirstLook().is_short(rubbish)
    assert FirstLook().is_short(rubbish[:100])
    assert FirstLook().is_short(b"fLaC" + rubbish)
    decided = FirstLook()
    decided.add(b"fLaC" + rubbish)
    assert decided.is_short(rubbish)
