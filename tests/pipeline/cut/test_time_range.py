"""A part of a recording: exactly its samples, and chunks on the clock of the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cut.cutter import Span
from pipeline.cut.time_range import Part, moved, only
from pipeline.errors import InvalidRequest
from pipeline.transcript import SAMPLE_RATE

SOUND = np.arange(5000, dtype="<i2").tobytes()


@given(st.integers(0, 4999), st.integers(1, 6000) | st.none(), st.integers(1, 700))
def test_exactly_the_samples_of_the_part(start: int, length: int | None, block: int) -> None:
    end = None if length is None else start + length
    blocks = (SOUND[at : at + 2 * block] for at in range(0, len(SOUND), 2 * block))
    found = b"".join(only(Part(start, end), blocks))
    assert found == SOUND[2 * start : None if end is None else 2 * end]


def test_nothing_behind_the_part_is_read() -> None:
    blocks = iter([SOUND[:4000], SOUND[4000:6000], SOUND[6000:]])
    assert b"".join(only(Part(100, 2500), blocks)) == SOUND[200:5000]
    assert next(blocks) == SOUND[6000:]


def test_a_part_behind_the_end_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"begins at 2 s, but the recording has 0\.3125 s") as refused:
        list(only(Part.of_seconds(2, 4), [SOUND]))
    assert refused.value.as_dict()["param"] == "range"


def test_a_moved_span_is_the_same_elsewhere() -> None:
    span = Span(1, 10, 90, 20, 80, "soft", "hard", 50, ((12, 40), (50, 60)), 80)
    there = moved(span, SAMPLE_RATE, index=3)
    assert there.index == 4
    assert moved(there, -SAMPLE_RATE, index=-3) == span
    assert there.speech_map == ((SAMPLE_RATE + 12, SAMPLE_RATE + 40), (SAMPLE_RATE + 50, SAMPLE_RATE + 60))
