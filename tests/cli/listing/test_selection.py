"""Which names are taken: the defaults, and patterns as rclone reads them."""

import pytest

from cli.listing.selection import Selection
from pipeline.errors import InvalidRequest


@pytest.mark.parametrize("name", ["a.mp3", "A.MP3", "deep/er/b c.wav", "ü/ßé 🎧.m4a", "x.tar.opus", "a[1].webm"])
def test_what_is_called_like_a_recording_is_taken(name: str) -> None:
    assert Selection().takes(name)


@pytest.mark.parametrize(
    "name", ["a.txt", "a", "mp3", ".a.mp3", ".hidden/a.mp3", "a.mp3.part", "a.tmp", "a.mp3~", "a.srt", "x/.wav"]
)
def test_nothing_else_is(name: str) -> None:
    assert not Selection().takes(name)


@pytest.mark.parametrize(
    ("pattern", "taken", "left"),
    [
        ("*.mp3", ["a.mp3", "x/y/a.mp3"], ["a.wav"]),
        ("/*.mp3", ["a.mp3"], ["x/a.mp3"]),
        ("/talks/**", ["talks/a.bin", "talks/x/b.wav"], ["a.wav", "more/talks/a.wav"]),
        ("talks/", ["talks/a.wav", "more/talks/x/a.wav"], ["talk.wav"]),
        ("/a**z.wav", ["abz.wav", "a/b/z.wav"], ["b/az.wav"]),
        ("/x/*.wav", ["x/a.wav"], ["x/y/a.wav"]),
        ("*.{mp3,wav}", ["a.mp3", "b/b.wav"], ["a.ogg"]),
        ("[ab]?.wav", ["a1.wav", "b2.wav"], ["c1.wav", "a.wav"]),
        ("*.part", ["a.part"], ["a.mp3"]),
        (".*.mp3", [".a.mp3"], ["a.mp3"]),
    ],
)
def test_include_replaces_the_defaults(pattern: str, taken: list[str], left: list[str]) -> None:
    selection = Selection([pattern])
    assert [name for name in taken + left if selection.takes(name)] == taken


def test_a_star_brings_in_nothing_hidden_or_temporary() -> None:
    selection = Selection(["*"])
    assert selection.takes("a.bin")
    assert not selection.takes(".a.mp3")
    assert not selection.takes("a.mp3.part")


def test_exclude_counts_more_than_include_and_reaches_hidden_names() -> None:
    selection = Selection(["*.mp3", ".*"], ["secret/", "b*"])
    assert selection.takes("a.mp3")
    assert not selection.takes("secret/a.mp3")
    assert not selection.takes("b.mp3")
    assert selection.leaves_out("secret/.a.mp3")


@pytest.mark.parametrize("pattern", ["", "/"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidRequest, match="no pattern"):
        Selection([pattern])
