"""Bytes on their way to ffmpeg, but for those that it may not see."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.access.open_source import without

PLACES = st.lists(st.integers(0, 60), max_size=8, unique=True).map(
    lambda places: sorted(places)[: len(places) // 2 * 2]
)


@given(cuts=st.lists(st.integers(0, 50), max_size=6), places=PLACES, at=st.integers(0, 5))
def test_what_is_left_out_is_all_that_is_missing(cuts: list[int], places: list[int], at: int) -> None:
    data = bytes(range(50))
    edges = [0, *sorted(cuts), len(data)]
    blocks = [data[start:end] for start, end in pairwise(edges)]
    left_out = list(zip(places[::2], places[1::2], strict=True))
    kept = bytes(byte for byte in data if not any(start <= at + byte < end for start, end in left_out))
    found = list(without(blocks, at, left_out))
    assert b"".join(found) == kept
    assert all(found)
