"""Recordings of random words, each damaged in one of four ways somewhere: bytes of it cut out, or overwritten with zeros, with
0xFF, with noise. Whatever is told to be missing may be; all else is heard, once, at its time; or the recording is refused.
"""

import functools
import itertools
import random
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.ffmpeg.binary import ffmpeg_path
from pipeline.audio.findings import Findings
from pipeline.errors import DamagedMedia, EmptyMedia
from pipeline.oracle.speech import VOCABULARY, say, word_seconds
from pipeline.oracle.words import index_of
from tests.pipeline.audio.clock.test_random_recordings import GAP, NEAR, Words, hear

pytestmark = pytest.mark.processes

COUNT, EDGE, WORD = 24, 0.3, 0.5  # words, seconds of silence around them, and the longest of them
NEVER = float("inf")
DAMAGES: Mapping[str, Callable[[int], bytes]] = {
    "cut out": lambda _: b"",
    "zeros": bytes,
    "0xFF": lambda length: b"\xff" * length,
    "noise": lambda length: random.Random(length).randbytes(length),
}
FRONT = ("-movflags", "faststart")
STAMPED: Mapping[
    str, tuple[str, tuple[str, ...], float]
] = {  # the file, the encoder's options, seconds that it may come late by
    "aac in m4a, index last": ("a.m4a", ("-c:a", "aac"), 0.0),
    "aac in m4a, index first": ("a.m4a", ("-c:a", "aac", *FRONT), 0.0),
    "aac in m4a, in pieces": ("a.m4a", ("-c:a", "aac", "-movflags", "empty_moov", "-frag_duration", "250000"), 0.064),
    "opus in mp4": ("a.mp4", ("-c:a", "libopus", *FRONT), 0.0),
    "mp3 in avi": ("a.avi", ("-c:a", "libmp3lame"), 0.0),
    "pcm in avi": ("a.avi", ("-c:a", "pcm_s16le"), 0.0),
    "mp2 in mpg": ("a.mpg", ("-c:a", "mp2"), 0.03),
    "ac3 in vob": ("a.vob", ("-c:a", "ac3"), 0.006),
    "aac in ts": ("a.ts", ("-c:a", "aac"), 0.064),
    "aac in flv": ("a.flv", ("-c:a", "aac"), 0.024),
    "wma": ("a.wma", ("-c:a", "wmav2"), 0.047),
    "opus in ogg": ("a.ogg", ("-c:a", "libopus", "-page_duration", "100000"), 0.0),
    "flac in ogg": ("a.ogg", ("-c:a", "flac"), 0.0),
    "flac": ("a.flac", (), 0.0),
    "wavpack": ("a.wv", (), 0.0),
    "opus in mka": ("a.mka", ("-c:a", "libopus"), 0.0),
    "mp3 in mka": ("a.mka", ("-c:a", "libmp3lame"), 0.03),
    "opus in webm, streamed": ("a.webm", ("-c:a", "libopus", "-live", "1"), 0.0),
}
LINEAR: Mapping[str, tuple[str, tuple[str, ...], int]] = {  # and the bytes of a sample
    "16 bits in wav": ("a.wav", (), 2),
    "24 bits, stereo, in caf": ("a.caf", ("-c:a", "pcm_s24be", "-ac", "2"), 3),
    "16 bits in mov": ("a.mov", ("-c:a", "pcm_s16be", *FRONT), 2),
}
UNSTAMPED: Mapping[str, tuple[str, tuple[str, ...]]] = {  # where a decoder counts what has come
    "mp3": ("a.mp3", ()),
    "adts": ("a.aac", ()),
    "ac3": ("a.ac3", ()),
    "dts": ("a.dts", ("-strict", "-2")),
}


@functools.cache
def spoken(seed: int) -> tuple[tuple[str, float], ...]:
    """Words, none of them twice, with when they begin."""
    words = random.Random(seed).sample(VOCABULARY, COUNT)
    lengths = [word_seconds(index_of(word)) + GAP for word in words]
    return tuple(zip(words, itertools.accumulate(lengths, initial=EDGE), strict=False))


@functools.cache
def recorded(seed: int, name: str, options: tuple[str, ...]) -> bytes:
    pcm = say([word for word, _ in spoken(seed)], gap_s=GAP, edge_s=EDGE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        source = (ffmpeg_path(), "-nostdin", "-v", "error", "-f", "s16le", "-ar", "16000", "-ac", "1", "-i", "pipe:0")
        subprocess.run([*source, "-ar", "48000", *options, path], input=pcm, check=True)
        return path.read_bytes()


def damaged(data: bytes, damage: str, begin: float, share: float) -> bytes:
    at, length = int(len(data) * begin), int(len(data) * share)
    return data[:at] + DAMAGES[damage](length) + data[at + length :]


def told(findings: Findings) -> list[tuple[float, float]]:
    """From when to when, in seconds; what is cut off goes on."""
    gaps = [(gap.start / 1000, gap.end / 1000) for gap in findings.gaps]
    cautions = [(one.start / 1000, NEVER if one.code == "truncated" else one.end / 1000) for one in findings.warnings]
    return gaps + cautions


def outside(words: Words, stretches: list[tuple[float, float]]) -> Words:
    """Those that no stretch may have hit, with a word's length around it."""
    return [
        (word, at)
        for word, at in words
        if not any(at - WORD < end and begin < at + 2 * WORD for begin, end in stretches)
    ]


EVERYWHERE = {
    "seed": st.integers(0, 3),
    "damage": st.sampled_from(list(DAMAGES)),
    "begin": st.floats(0.3, 0.7),
    "share": st.floats(0.05, 0.2),
}


@pytest.mark.parametrize("kind", STAMPED)
@given(**EVERYWHERE)
@settings(max_examples=4, derandomize=True)
def test_what_is_not_told_is_heard_at_its_time(kind: str, seed: int, damage: str, begin: float, share: float) -> None:
    assert_heard_or_told(STAMPED[kind], seed, damage, begin, share)


FOUND: Mapping[
    str, tuple[tuple[str, tuple[str, ...], float], int, str, float, float]
] = {  # by chance, all lost behind it
    "what is left of a packet, with the marks of others in silence": (
        STAMPED["ac3 in vob"],
        1,
        "0xFF",
        0.736578,
        0.034003,
    ),
    "a page that is longer than the file": (STAMPED["opus in ogg"], 2, "noise", 0.87783, 0.04571),
    "packets that would have moved to before the first, in m4a": (
        ("a.m4a", ("-c:a", "alac", *FRONT), 0.0),
        47,
        "cut out",
        0.084692,
        0.442312,
    ),
    "packets that would have moved to before the first, in caf": (
        ("a.caf", ("-c:a", "alac"), 0.0),
        4,
        "cut out",
        0.031208,
        0.20843,
    ),
    "an index of which more than half is lost": (("a.avi", ("-c:a", "aac"), 0.024), 40, "zeros", 0.177963, 0.483377),
}


@pytest.mark.parametrize("case", FOUND)
def test_what_was_found_once_stays_so(case: str) -> None:
    assert_heard_or_told(*FOUND[case])


OGG: Mapping[str, tuple[str, ...]] = {
    "opus": ("-c:a", "libopus"),
    "opus, a packet on each page": ("-c:a", "libopus", "-page_duration", "20000"),
    "vorbis": ("-c:a", "libvorbis"),
    "flac": ("-c:a", "flac"),
}
HEADS: Mapping[str, tuple[int, int, str]] = {  # of which page, which byte, and what is told
    "mark of the first with sound": (2, 1, "damaged"),
    "serial number": (5, 14, "damaged"),
    "length, that of the last but one": (-2, 26, "damaged"),
    "checksum of the last": (-1, 22, "truncated"),
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", OGG)
def test_a_page_whose_head_is_damaged_is_told_and_no_other_is_lost(kind: str, head: str) -> None:
    """From when to when it was played. ffmpeg closes up what is missing between pages of FLAC, and before the last of any sound."""
    page, byte, code = HEADS[head]
    data = bytearray(recorded(0, "a.ogg", OGG[kind]))
    data[[found.start() for found in re.finditer(b"OggS\0", data)][page] + byte] ^= 1
    found = hear(bytes(data))
    (start, end), *others = told(found.sound.findings)
    assert all(stop - begin < NEAR for begin, stop in others)  # what a codec's own delay leaves at the end
    assert {one.code for one in found.sound.findings.warnings} <= {code}
    assert code == "damaged" or end == NEVER
    said, heard = dict(spoken(0)), dict(found.words)
    assert all(word in heard for word, at in said.items() if at + WORD < start or at > end)
    assert all(abs(at - said[word]) <= NEAR for word, at in found.words if word in said)


@pytest.mark.parametrize("where", [(2, 1), (7, 1), (7, 2)], ids=["the first with sound", "another", "two"])
@pytest.mark.parametrize("kind", OGG)
def test_pages_that_are_cut_out_whole_are_told(kind: str, where: tuple[int, int]) -> None:
    """Nothing but the numbers of the others tells of them in FLAC: ffmpeg closes up what is missing."""
    data, (first, count) = recorded(1, "a.ogg", OGG[kind]), where
    pages = [found.start() for found in re.finditer(b"OggS\0", data)]
    found = hear(data[: pages[first]] + data[pages[first + count] :])
    stretches = told(found.sound.findings)
    assert stretches
    said, heard = dict(spoken(1)), [word for word, _ in found.words]
    assert {word for word, _ in outside(list(spoken(1)), stretches)} <= set(heard)
    assert all(abs(at - said[word]) <= NEAR for word, at in outside(found.words, stretches))


@pytest.mark.parametrize(
    ("name", "options", "at", "count"),
    [
        ("a.ts", ("-c:a", "aac"), 211, 1),
        ("a.ts", ("-c:a", "aac"), 367, 1),
        ("a.ts", ("-c:a", "aac"), 532, 2),
        ("a.mpg", ("-c:a", "mp2"), 7, 1),
        ("a.flv", ("-c:a", "aac"), 74, 1),
    ],
)
def test_what_is_cut_out_before_the_first_sound_is_told(
    name: str, options: tuple[str, ...], at: int, count: int
) -> None:
    """The clock counts from the first sound that is left."""
    data = recorded(1, name, options)
    found = hear(data[:at] + data[at + count :])
    stretches, said = told(found.sound.findings), dict(spoken(1))
    assert {word for word, _ in outside(list(spoken(1)), stretches)} <= {word for word, _ in found.words}
    assert all(abs(when - said[word]) <= NEAR + 0.064 for word, when in outside(found.words, stretches))


@pytest.mark.parametrize("begin", [188 * 20, 188 * 20 + 50, 5_000])
def test_a_stream_recorded_from_its_middle_on_is_not_damaged(begin: int) -> None:
    assert not hear(recorded(1, "a.ts", ("-c:a", "aac"))[begin:]).sound.findings.warnings


def assert_heard_or_told(
    form: tuple[str, tuple[str, ...], float], seed: int, damage: str, begin: float, share: float
) -> None:
    name, options, late = form
    try:
        found = hear(damaged(recorded(seed, name, options), damage, begin, share))
    except (DamagedMedia, EmptyMedia):
        return
    stretches = told(found.sound.findings)
    assert stretches
    said, heard = dict(spoken(seed)), [word for word, _ in found.words]
    assert all(heard.count(word) <= 1 for word in said)
    assert {word for word, _ in outside(list(spoken(seed)), stretches)} <= set(heard)
    for word, at in outside(found.words, stretches):
        assert -NEAR <= at - said[word] <= NEAR + late


@pytest.mark.parametrize("kind", LINEAR)
@given(seed=st.integers(0, 3), begin=st.floats(0.2, 0.7), share=st.floats(0.00001, 0.15))
@settings(max_examples=2, derandomize=True)
def test_samples_that_slip_are_heard_at_their_time(kind: str, seed: int, begin: float, share: float) -> None:
    """What is cut out is no whole sample."""
    name, options, width = LINEAR[kind]
    data = recorded(seed, name, options)
    at, length = int(len(data) * begin), int(len(data) * share) // width * width + 1
    found = hear(data[:at] + data[at + length :])
    stretches, said = told(found.sound.findings), dict(spoken(seed))
    assert stretches and not any(caution.code == "truncated" for caution in found.sound.findings.warnings)
    heard = [(word, when) for word, when in found.words if word in said]
    assert len(heard) == len({word for word, _ in heard})
    assert {word for word, _ in outside(list(spoken(seed)), stretches)} <= {word for word, _ in heard}
    assert all(abs(when - said[word]) <= NEAR for word, when in heard)
    missing = sum(gap.end - gap.start for gap in found.sound.findings.gaps) / 1000
    assert found.end - found.seconds == pytest.approx(missing, abs=0.002)


@pytest.mark.parametrize("kind", ["mp3", "adts", "ac3"])
def test_damage_without_stamps_is_told_in_whole_seconds_around_it(kind: str) -> None:
    """How far ahead a decoder is when it complains is chance: who hears the file a second time is told the same."""
    name, options = UNSTAMPED[kind]
    found = hear(damaged(recorded(1, name, options), "zeros", 0.5, 0.04))
    ((start, end),) = told(found.sound.findings)
    assert start % 1 == 0 and end % 1 == 0 and start <= found.end / 2 <= end <= start + 3


def test_the_stuffing_of_a_frame_that_lost_its_head_is_no_padding() -> None:
    """Of mp3: nothing else tells of the second that is missing before it."""
    data = recorded(4, "a.mp3", ("-write_xing", "0", "-id3v2_version", "0"))
    found = hear(damaged(data, "cut out", 0.593261, 0.065585))
    assert [caution.code for caution in found.sound.findings.warnings] == ["damaged"]


def test_zeros_over_the_head_of_a_frame_of_adts_end_nothing() -> None:
    """A length of none made ffmpeg's demuxer give up, with all that follows."""
    data, at = recorded(0, "a.aac", ()), 0
    while at < len(data) // 2:
        at += int.from_bytes(data[at + 3 : at + 6], "big") >> 5 & 0x1FFF
    found = hear(data[: at + 2] + bytes(300) + data[at + 302 :])
    assert [caution.code for caution in found.sound.findings.warnings] == ["damaged"]
    said = [word for word, _ in spoken(0)]
    heard = [word for word, _ in found.words if word in said]
    assert len(heard) >= len(said) - 2 and heard[-1] == said[-1]


@pytest.mark.parametrize("kind", UNSTAMPED)
@given(**EVERYWHERE)
@settings(max_examples=3, derandomize=True)
def test_without_stamps_it_is_told_and_no_word_comes_twice(
    kind: str, seed: int, damage: str, begin: float, share: float
) -> None:
    """What is cut out to the byte between two frames nobody can know: here it is somewhere inside them."""
    name, options = UNSTAMPED[kind]
    found = hear(damaged(recorded(seed, name, options), damage, begin, share))
    assert any(caution.code in ("damaged", "truncated") for caution in found.sound.findings.warnings)
    order = [word for word, _ in spoken(seed)]
    places = [order.index(word) for word, _ in found.words if word in order]
    assert len(places) == len(set(places)) and len(places) >= COUNT // 2
