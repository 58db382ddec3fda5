"""A part of a recording: exactly its samples, and chunks on the clock of the whole."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.clock.placement import Piece
from pipeline.cut.cutter import Span
from pipeline.cut.time_range import Part, moved, only
from pipeline.errors import InvalidRequest
from pipeline.transcript import SAMPLE_RATE

SOUND = np.arange(5000, dtype="<i2").tobytes()


def pieces(block: int, holes: dict[int, int]) -> Iterator[Piece]:
    """The sound in blocks of so many samples; `holes`: from which sample on everything is so much later."""
    edges = sorted({*range(0, 5000, block), *holes, 5000})
    for at, end in itertools.pairwise(edges):
        yield at + sum(length for start, length in holes.items() if start <= at), SOUND[2 * at : 2 * end]


HOLES = st.dictionaries(st.integers(0, 4999), st.integers(1, 3000), max_size=4)


@given(st.integers(0, 4999), st.integers(1, 6000) | st.none(), st.integers(1, 700), HOLES)
def test_exactly_the_samples_of_the_part(start: int, length: int | None, block: int, holes: dict[int, int]) -> None:
    """Compared with the whole clock, laid out sample by sample."""
    end = None if length is None else start + length
    clock = {at + n: value for at, pcm in pieces(block, holes) for n, value in enumerate(np.frombuffer(pcm, "<i2"))}
    wanted = {at: value for at, value in clock.items() if at >= start and (end is None or at < end)}
    found = {
        at + n: value
        for at, pcm in only(Part(start, end), pieces(block, holes))
        for n, value in enumerate(np.frombuffer(pcm, "<i2"))
    }
    assert found == wanted


def test_nothing_behind_the_part_is_read() -> None:
    blocks = iter([(0, SOUND[:4000]), (2000, SOUND[4000:6000]), (3000, SOUND[6000:])])
    assert b"".join(pcm for _, pcm in only(Part(100, 2500), blocks)) == SOUND[200:5000]
    assert next(blocks) == (3000, SOUND[6000:])


def test_a_part_behind_the_end_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"begins at 2 s, but the recording has 0\.3125 s") as refused:
        list(only(Part.of_seconds(2, 4), [(0, SOUND)]))
    assert refused.value.as_dict()["param"] == "range"


def test_a_moved_span_is_the_same_elsewhere() -> None:
    span = Span(1, 10, 90, 20, 80, "soft", "hard", 50, ((12, 40), (50, 60)), 80)
    there = moved(span, SAMPLE_RATE, index=3)
    assert there.index == 4
    assert moved(there, -SAMPLE_RATE, index=-3) == span
    assert there.speech_map == ((SAMPLE_RATE + 12, SAMPLE_RATE + 40), (SAMPLE_RATE + 50, SAMPLE_RATE + 60))
