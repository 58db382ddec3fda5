"""Matroska with bytes cut out so that what is left still reads as blocks: each is heard at its time."""

import random
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.audio.containers.ebml import CLUSTER, GROUP, SIMPLE_BLOCK, element, segment
from pipeline.audio.matroska import cluster_header
from pipeline.audio.matroska.cluster_header import Clock
from pipeline.audio.matroska.torn_clusters import torn_clusters
from pipeline.audio.step_budget import StepBudget, TooManySteps
from tests.pipeline.audio.clock.test_random_damage import COUNT, outside, recorded, spoken, told
from tests.pipeline.audio.clock.test_random_recordings import NEAR, hear

pytestmark = pytest.mark.processes

OWN = Clock(5000, 10_000, 1_000_000)
missing_header = partial(cluster_header.missing_header, steps=StepBudget.for_file())
KINDS = {  # the encoder's options, and seconds that it may come late by
    "opus": (("-c:a", "libopus"), 0.0),
    "aac": (("-c:a", "aac"), 0.064),
    "mp3": (("-c:a", "libmp3lame"), 0.03),
    "flac": (("-c:a", "flac"), 0.0),
    "pcm": (("-c:a", "pcm_s16le"), 0.0),
    "opus, streamed": (("-c:a", "libopus", "-live", "1"), 0.0),
}


def blocks(data: bytes) -> list[list[tuple[int, int]]]:
    """From where to where each element of a block goes, by clusters."""

    def read(at: int, length: int) -> bytes:
        return data[at : at + length]

    outer = segment(read, 0, len(data))
    assert outer is not None
    at, found = outer.start, list[list[tuple[int, int]]]()
    while at < len(data) and (one := element(read, at)) is not None:
        if one.name == CLUSTER:
            found.append([])
        elif one.name in (SIMPLE_BLOCK, GROUP) and one.end is not None:
            found[-1].append((at, one.end))
        at = one.start if one.name == CLUSTER or one.end is None else one.end
    return found


def cut(data: bytes, cluster: int, begin: float, end: float, within: float) -> bytes:
    """From inside a block of one cluster to the same place in a block of the next, or from one block's edge to the other's."""
    first, second = blocks(data)[cluster : cluster + 2]
    (one, one_end), (other, other_end) = first[int(len(first) * begin)], second[int(len(second) * end)]
    inside = int((one_end - one) * within) if one_end - one == other_end - other else 0
    return data[: one + inside] + data[other + inside :]


@pytest.mark.parametrize("kind", KINDS)
@given(
    seed=st.integers(0, 3),
    last=st.booleans(),
    place=st.tuples(st.floats(0.5, 0.99), st.floats(0, 0.4), st.floats(0, 0.99)),
)
@example(seed=1, last=False, place=(0.6, 0.1, 0.5))
@settings(max_examples=4, derandomize=True)
def test_what_lost_its_header_is_heard_at_its_time(
    kind: str, seed: int, last: bool, place: tuple[float, float, float]
) -> None:
    options, late = KINDS[kind]
    data = recorded(seed, "a.mka", options)
    count = len(blocks(data))
    found = hear(cut(data, count - 2 if last else (count - 2) // 2, *place))
    stretches = told(found.sound.findings)
    said, heard = dict(spoken(seed)), [word for word, _ in found.words]
    assert {word for word, _ in outside(list(spoken(seed)), stretches)} <= set(heard)
    assert len(heard) >= COUNT // 2 and stretches
    for word, at in outside(found.words, stretches):
        assert -NEAR <= at - said[word] <= NEAR + late


def test_nothing_is_put_into_a_whole_file_or_one_that_ends_too_soon() -> None:
    for options, _ in KINDS.values():
        data = recorded(0, "a.mka", options)
        for size in (len(data), len(data) * 2 // 3):
            left = data[:size]
            torn = torn_clusters(lambda at, length, left=left: left[at : at + length], 0, size)
            assert [one for one in torn if one.missing] == []


@pytest.mark.parametrize(
    "stray", [b"\n", b"\r\n", b"\0", bytes(20), b"\xff" * 9, b"TAG" + bytes(125), b"--boundary--\r\n"]
)
def test_a_few_bytes_behind_a_stream_are_no_damage(stray: bytes) -> None:
    data = recorded(1, "a.webm", KINDS["opus, streamed"][0]) + stray
    found = hear(data)
    assert not found.sound.findings.warnings
    assert [word for word, _ in found.words] == [word for word, _ in spoken(1)]


def test_a_stream_cut_off_inside_a_block_is_not_whole() -> None:
    data = recorded(1, "a.webm", KINDS["opus, streamed"][0])
    begin, end = blocks(data)[-1][-1]
    torn = data[: (begin + end) // 2]
    assert torn_clusters(lambda at, length: torn[at : at + length], 0, len(torn))


def test_a_file_of_too_many_clusters_is_not_searched() -> None:
    data = recorded(0, "a.mka", ("-c:a", "libopus", "-live", "1", "-cluster_time_limit", "20"))
    assert len(blocks(data)) > 100
    damaged = data[: len(data) // 2] + data[len(data) // 2 + 500 :]

    def read(at: int, length: int) -> bytes:
        return damaged[at : at + length]

    assert torn_clusters(StepBudget(100).counted(read), 0, len(damaged)) == ()


def content(*times: int) -> bytes:
    """Of a cluster, with a block of each time."""
    return b"".join(bytes((SIMPLE_BLOCK, 0x85, 0x81)) + time.to_bytes(2, "big") + b"\x80x" for time in times)


def test_whose_the_last_blocks_are_the_next_cluster_tells() -> None:
    own = content(*range(0, 2000, 20))
    assert missing_header(own, frozenset((1,)), replace(OWN, until=7000)) == (True, None)
    for rest, begins in ((range(100, 1000, 20), 9000), (range(2400, 3000, 20), 7000)):
        is_whole, header = missing_header(own + content(*rest), frozenset((1,)), OWN)
        assert is_whole and header is not None
        at, said = header
        assert at == len(own) and int.from_bytes(said[-2:], "big") == begins


def test_of_a_stream_only_a_time_that_goes_back_tells() -> None:
    own, clock = content(*range(0, 1000, 20)), replace(OWN, until=None, swallowed=6000, streamed=True)
    assert missing_header(own + content(*range(3000, 3400, 20)), frozenset((1,)), clock) == (True, None), "a pause"
    _, header = missing_header(own + content(*range(400, 900, 20)), frozenset((1,)), clock)
    assert header is not None and int.from_bytes(header[1][-2:], "big") == 6000
    noise = random.Random(1).randbytes(50)
    is_whole, header = missing_header(own + b"\0" + noise + content(*range(1200, 1400, 20)), frozenset((1,)), clock)
    assert not is_whole and header is not None and header[0] == len(own) + 1 + len(noise)
    assert missing_header(own + b"\0" + noise, frozenset((1,)), clock) == (False, None)


def test_blocks_without_end_that_lead_nowhere_are_not_followed_from_each_of_them() -> None:
    steps = StepBudget.for_file()
    with pytest.raises(TooManySteps):
        cluster_header.missing_header(b"\0" + b"\xa3\x80" * 100_000 + b"\0", frozenset((1,)), OWN, steps)
    assert steps.taken == steps.most + 1
