"""Matroska with damage in heads of blocks and clusters: nothing of it is lost that is still there, and nothing without a word."""

from collections.abc import Mapping, Sequence

import pytest

from pipeline.audio.containers.ebml import CLUSTER, SCALE, element, segment
from pipeline.audio.matroska.torn_blocks import torn_blocks
from tests.pipeline.audio.clock.test_random_damage import outside, recorded, spoken, told
from tests.pipeline.audio.clock.test_random_recordings import NEAR, hear
from tests.pipeline.audio.matroska.test_torn_clusters import blocks

KINDS: Mapping[str, tuple[Sequence[str], float]] = {  # the encoder's options, and seconds that it may come late by
    "pcm": (("-c:a", "pcm_s16le"), 0.0),
    "mp3": (("-c:a", "libmp3lame"), 0.03),
    "aac": (("-c:a", "aac"), 0.064),
    "ac3": (("-c:a", "ac3"), 0.01),
    "opus": (("-c:a", "libopus"), 0.0),
    "opus, streamed": (("-c:a", "libopus", "-live", "1"), 0.0),
    "vorbis": (("-c:a", "libvorbis", "-cluster_time_limit", "3000"), 0.02),
    "flac": (("-c:a", "flac"), 0.0),
}
HEADS: Mapping[str, tuple[str, int, bytes]] = {  # of what, from which byte on, and which bits are changed there
    "name of a block": ("block", 0, b"\x10"),
    "length of a block, too long": ("block", 1, b"\x07"),
    "track of a block": ("block", 3, b"\x7f"),
    "all of a block's head": ("block", 0, b"\xff" * 7),
    "name of a cluster": ("cluster", 0, b"\x40"),
    "length of a cluster": ("cluster", 4, b"\x01"),
    "all of a cluster's head and its time": ("cluster", 0, b"\xff" * 10),
}


def made(kind: str) -> bytes:
    return recorded(0, "a.mka", tuple(KINDS[kind][0]))


def torn(data: bytes, head: str) -> bytes:
    """In the second cluster, whose sixth block is taken."""
    of, byte, bits = HEADS[head]
    found = blocks(data)
    header = data.rindex(CLUSTER.to_bytes(4, "big"), 0, found[1][0][0])
    at = (header if of == "cluster" else found[1][5][0]) + byte
    changed = bytes(one ^ bit for one, bit in zip(data[at : at + len(bits)], bits, strict=True))
    return data[:at] + changed + data[at + len(bits) :]


@pytest.mark.processes
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_head_loses_no_sound_but_its_own(kind: str, head: str) -> None:
    """Whatever is not as it was is heard at its time or told; no more than a block is lost."""
    found = hear(torn(made(kind), head))
    stretches, said = told(found.sound.findings), dict(spoken(0))
    assert {word for word, _ in outside(list(spoken(0)), stretches)} <= {word for word, _ in found.words}
    assert all(end - begin < 0.2 for begin, end in stretches)
    assert all(-NEAR <= at - said[word] <= NEAR + KINDS[kind][1] for word, at in found.words if word in said)


@pytest.mark.processes
@pytest.mark.parametrize("kind", KINDS)
def test_blocks_of_which_nothing_is_left_are_told(kind: str) -> None:
    """Even below a second, where a hole would not be."""
    data = made(kind)
    of_second = blocks(data)[1]
    begin, end = of_second[5][0], of_second[5 + max(2, len(of_second) // 20)][0]
    found = hear(data[:begin] + b"\x55" * (end - begin) + data[end:])
    stretches = told(found.sound.findings)
    assert stretches and found.sound.findings.warnings
    assert {word for word, _ in outside(list(spoken(0)), stretches)} <= {word for word, _ in found.words}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.processes
def test_what_is_mended_can_be_walked_from_cluster_to_cluster(kind: str, head: str) -> None:
    whole = made(kind)
    data = bytearray(torn(whole, head))
    mended = torn_blocks(lambda at, length: bytes(data[at : at + length]), 0, len(data))
    for at, instead in mended.changes:
        data[at : at + len(instead)] = instead
    assert len(data) == len(whole)

    def read(at: int, length: int) -> bytes:
        return bytes(data[at : at + length])

    outer = segment(read, 0, len(data))
    assert outer
    at, clusters = outer.start, 0
    while at < len(data):
        one = element(read, at)
        assert one and one.end, f"nothing begins at {at}"
        clusters += one.name == CLUSTER
        at = one.end
    assert at == len(data) and clusters == len(blocks(whole))


@pytest.mark.processes
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_changed_in_a_whole_file_or_one_that_ends_too_soon(kind: str) -> None:
    data = made(kind)
    for size in (len(data), len(data) * 2 // 3):
        mended = torn_blocks(lambda at, length, size=size: data[:size][at : at + length], 0, size)
        assert mended.lost == () and mended.changes == ()


@pytest.mark.processes
@pytest.mark.parametrize("kind", ["pcm", "aac", "opus"])
def test_where_the_unit_of_all_times_is_damaged_all_words_are_heard_and_it_is_told(kind: str) -> None:
    """By its length; 0.04 seconds were heard of ten, without a word."""
    data = made(kind)
    length = data.index(SCALE.to_bytes(3, "big")) + 3
    found = hear(data[:length] + b"\x82" + data[length + 1 :])
    assert [word for word, _ in found.words] == [word for word, _ in spoken(0)]
    assert [(one.code, one.start, one.lost) for one in found.sound.findings.warnings] == [("damaged", 0, True)]
