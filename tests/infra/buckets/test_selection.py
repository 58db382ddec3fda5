"""Patterns as rclone reads them, and never more work than a path has letters."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.buckets.selection import Pattern, Selection, stem_of, suffix_of
from pipeline.errors import InvalidRequest


@pytest.mark.parametrize(
    ("pattern", "taken", "left"),
    [
        ("*.mp3", ["a.mp3", "x/a.mp3"], ["a.mp3.part", "a.wav", "a.mp3/b", "x/y/.mp3", "x/._a.mp3", ".x/a.mp3"]),
        ("/*.mp3", ["a.mp3"], ["x/a.mp3"]),
        ("x/**", ["x/a", "x/y/z", "b/x/c"], ["xx/a", "x"]),
        ("talks/", ["talks/a.wav", "more/talks/x/a.wav"], ["talk.wav"]),
        ("/a**z.wav", ["abz.wav", "a/b/z.wav"], ["b/az.wav"]),
        ("/x/*/z.wav", ["x/y/z.wav"], ["x/z.wav", "x/y/y/z.wav", "b/x/y/z.wav"]),
        ("/x/**z.wav", ["x/z.wav", "x/y/z.wav"], ["x/y/zz.mp3"]),
        ("talk?.wav", ["talk1.wav", "x/talk2.wav"], ["talk.wav", "talk12.wav", "talk/.wav"]),
        ("[a-c]*.wav", ["b.wav", "call.wav"], ["d.wav"]),
        ("[!a-c].wav", ["d.wav"], ["a.wav", "/.wav"]),
        ("*.{mp3,wav}", ["a.mp3", "x/a.wav"], ["a.ogg"]),
        (r"a\*.wav", ["a*.wav"], ["ab.wav"]),
        (".*.mp3", [".a.mp3", "x/.a.mp3"], ["a.mp3", ".x/.a.mp3"]),
        (".odd/*.bin", [".odd/a.bin", "x/.odd/a.bin"], ["odd/a.bin", ".odd/.a.bin"]),
        ("*.*", ["a.b"], [".a", "x/.a.b"]),
        ("*.part", ["a.part"], ["a.mp3"]),
        ("a[", ["a["], ["a"]),
    ],
)
def test_patterns(pattern: str, taken: list[str], left: list[str]) -> None:
    selection = Selection([pattern])
    assert [path for path in taken if not selection.takes(path)] == []
    assert [path for path in left if selection.takes(path)] == []


def test_recordings_alone_where_nothing_is_said() -> None:
    usual = Selection()
    taken = ("a.MP3", "x/b.wav", "日本/c.m4a", "ü/ßé 🎧.m4a", "x.tar.opus", "a[1].webm")
    assert [path for path in taken if not usual.takes(path)] == []
    refused = ("a.txt", "b.mp3.part", ".hidden.mp3", "x/.cache/c.mp3", "d.wav~", "e", "f.srt", "g.tmp", "mp3", "x/.wav")
    assert [path for path in refused if usual.takes(path)] == []
    assert Selection(exclude=["x/**"]).takes("a.mp3") and not Selection(exclude=["x/**"]).takes("x/a.mp3")
    assert not Selection(["*.mp3"], ["private/**"]).takes("private/a.mp3")


def test_a_star_brings_in_nothing_hidden_or_temporary() -> None:
    selection = Selection(["*"])
    assert selection.takes("a.bin")
    assert not selection.takes(".a.mp3")
    assert not selection.takes("a.mp3.part")


def test_exclude_counts_more_than_include_and_reaches_hidden_names() -> None:
    selection = Selection(["*.mp3", ".*"], ["secret/", "b*"])
    assert selection.takes("a.mp3") and selection.takes(".c.mp3")
    assert not selection.takes("secret/a.mp3")
    assert not selection.takes("b.mp3")
    assert selection.leaves_out("secret/.a.mp3") and selection.leaves_out(".x/b.mp3")


def test_names() -> None:
    assert [suffix_of(path) for path in ("a.MP3", "x.y/b", ".mp3", "a.")] == ["mp3", "", "", ""]
    assert [stem_of(path) for path in ("x.y/b.c.wav", "x/a", "x/.wav")] == ["x.y/b.c", "x/a", "x/.wav"]


@pytest.mark.parametrize("pattern", ["", "/", "x" * 300, "{a,b}" * 7, "[z-a].mp3"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidRequest, match="is no pattern") as refused:
        Selection([pattern], within="input.")
    assert refused.value.param == "input.include"


def test_a_hostile_pattern_costs_what_its_path_is_long() -> None:
    """A regular expression of it would try for longer than the sun shines."""
    assert not Pattern("*a" * 100 + "b").matches("a" * 1000)
    assert not Pattern("**a" * 80 + "b").matches("/a" * 500)


@given(st.text("ab/*", max_size=8), st.text("ab/", max_size=8))
def test_stars_are_what_a_regular_expression_says(pattern: str, path: str) -> None:
    written = re.sub(
        r"\*\*+|\*|/|a|b", lambda found: {"*": "[^/]*"}.get(found[0], ".*" if "*" in found[0] else found[0]), pattern
    )
    start = "" if pattern.startswith("/") else "(?:.*/)?"
    expected = re.fullmatch(start + written.removeprefix("/"), path, re.DOTALL) is not None
    assert Pattern(pattern).matches(path) == expected
