"""Windows lie in stretches of speech and cover them; chunks have the same ones, however they are cut."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cut.cutter import Span
from pipeline.cut.holes import Hole
from pipeline.speakers.excerpts import HOP, LONG, excerpts, joined, stretches_of, windows
from pipeline.transcript import SAMPLE_RATE


def span(first: int, last: int, speech: tuple[tuple[int, int], ...], own: tuple[int, int] | None = None) -> Span:
    own = own or (first, last)
    return Span(0, first, last, *own, "start", "end", 0, speech, own[1])


@given(st.integers(0, 10_000), st.integers(1, 30 * SAMPLE_RATE))
def test_windows_cover_their_stretch_and_nothing_else(start: int, length: int) -> None:
    found = windows((start, start + length))
    assert all(start <= first < last <= start + length for first, last in found)
    if length < SAMPLE_RATE // 4:
        assert not found
        return
    assert found[0][0] == start and found[-1][1] == start + length
    steps = [later[0] - one[0] for one, later in itertools.pairwise(found)]
    assert all(HOP // 2 <= step <= 3 * HOP // 2 for step in steps) or steps == [length - LONG]
    assert all(last - first == min(length, LONG) for first, last in found)


@given(st.lists(st.integers(1, 40_000), min_size=2, max_size=20).map(lambda steps: np.cumsum(steps).tolist()))
def test_stretches_that_a_seam_divides_are_one_again(edges: list[int]) -> None:
    speech = tuple((one, other) for one, other in zip(edges[::2], edges[1::2], strict=False))
    middle, end = (edges[0] + edges[-1]) // 2, edges[-1] + 100
    parts = [
        span(0, min(middle + 500, end), speech, (0, middle)),
        span(max(0, middle - 500), end, speech, (middle, end)),
    ]
    assert joined(stretch for part in parts for stretch in stretches_of(part)) == list(speech)


def test_a_hole_divides_a_stretch_and_the_sound_behind_it_is_found() -> None:
    """The chunk's sound lacks what is in the hole but for the silence that stands for it."""
    hole = Hole(2 * SAMPLE_RATE, 9 * SAMPLE_RATE, 10 * SAMPLE_RATE)
    pcm = np.repeat(np.array([1, 0, 2], "<i2"), [2 * SAMPLE_RATE, SAMPLE_RATE, 2 * SAMPLE_RATE]).tobytes()
    whole = Span(
        0, 0, 12 * SAMPLE_RATE, 0, 12 * SAMPLE_RATE, "start", "end", 0, ((0, 12 * SAMPLE_RATE),), 0, holes=(hole,)
    )
    assert stretches_of(whole) == [(0, 2 * SAMPLE_RATE), (10 * SAMPLE_RATE, 12 * SAMPLE_RATE)]
    for number, one in enumerate(excerpts(pcm, whole), start=1):
        samples = np.frombuffer(one.pcm, "<i2")
        assert len(samples) == one.places[-1][1] - one.places[0][0]
        assert (samples == number).all()
    assert number == 2


def test_the_sound_of_a_window_is_that_of_its_place() -> None:
    sound = np.arange(20 * SAMPLE_RATE, dtype="<i4").astype("<i2")
    first = 3 * SAMPLE_RATE
    chunk = span(first, first + len(sound), ((first + 1000, first + 9000), (first + 20_000, first + 300_000)))
    seen = 0
    for one in excerpts(sound.tobytes(), chunk):
        start, end = one.places[0][0] - first, one.places[-1][1] - first
        assert one.pcm == sound[start:end].tobytes()
        seen += len(one.places)
    assert seen == len(windows((0, 8000))) + len(windows((0, 280_000)))
