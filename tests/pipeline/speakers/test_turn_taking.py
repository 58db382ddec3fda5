"""Who speaks when: turns tile their stretch, a change is where the voices change, and a flicker is no change."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.speakers import turn_taking
from pipeline.speakers.excerpts import windows
from pipeline.speakers.turn_taking import FRAME, turns
from pipeline.transcript import SAMPLE_RATE


def likeness_of(places: list[tuple[int, int]], changes: list[int], speakers: int) -> np.ndarray:
    """Each window is as much like a speaker as of it is his; at each change the next one begins."""
    edges = [0, *changes, 10**9]
    rows = np.full((len(places), speakers), 0.1)
    for row, (start, end) in zip(rows, places, strict=True):
        for at, (first, last) in enumerate(itertools.pairwise(edges)):
            row[at % speakers] += 0.9 * max(0, min(end, last) - max(start, first)) / (end - start)
    return rows


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 200_000)), min_size=1, max_size=8),
    st.lists(st.integers(0, 900_000), max_size=8),
    st.integers(1, 5),
)
def test_turns_tile_the_stretches_in_which_there_is_a_window(
    lengths: list[tuple[int, int]], changes: list[int], speakers: int
) -> None:
    stretches, at = [], 0
    for gap, length in lengths:
        stretches.append((at + gap + 1, at + gap + 1 + length))
        at = stretches[-1][1]
    places = [place for stretch in stretches for place in windows(stretch)]
    found = list(turns(places, likeness_of(places, sorted(changes), speakers), stretches))
    for start, end in stretches:
        mine = [turn for turn in found if start <= turn.start < end]
        if not windows((start, end)):
            assert not mine
            continue
        assert mine[0].start == start and mine[-1].end == end
        assert all(one.end == later.start for one, later in itertools.pairwise(mine))
    assert all(0 <= turn.speaker < speakers and 0 <= turn.margin <= 1 and turn.start < turn.end for turn in found)


@pytest.mark.parametrize("change_s", [3.0, 6.2, 11.11])
def test_a_change_inside_a_stretch_is_found_where_it_is(change_s: float) -> None:
    stretch, change = (0, 15 * SAMPLE_RATE), round(change_s * SAMPLE_RATE)
    places = windows(stretch)
    found = list(turns(places, likeness_of(places, [change], 2), [stretch]))
    (there,) = [later.start for one, later in itertools.pairwise(found) if one.speaker != later.speaker]
    assert abs(there - change) <= 20 * FRAME


def test_one_window_that_is_a_little_more_like_another_is_no_turn() -> None:
    stretch = (0, 10 * SAMPLE_RATE)
    places = windows(stretch)
    rows = np.tile([1.0, 0.6], (len(places), 1))
    rows[5] = [0.80, 0.82]
    assert {turn.speaker for turn in turns(places, rows, [stretch])} == {0}


def test_how_sure_it_is() -> None:
    stretch = (0, 4 * SAMPLE_RATE)
    places = windows(stretch)
    (sure,) = {turn.margin for turn in turns(places, np.tile([0.9, 0.1], (len(places), 1)), [stretch])}
    (unsure,) = {turn.margin for turn in turns(places, np.tile([0.9, 0.8], (len(places), 1)), [stretch])}
    assert sure == pytest.approx(0.8) and unsure == pytest.approx(0.1)


@settings(max_examples=60)
@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 40), st.floats(0, 1)), min_size=1, max_size=12),
)
def test_what_is_clear_is_not_looked_at_frame_by_frame_and_comes_out_the_same(
    speakers: int, runs: list[tuple[int, int, float]]
) -> None:
    chance = np.random.default_rng(len(runs))
    rows = []
    for who, frames, more in runs:
        part = chance.uniform(0, 1, (frames, speakers))
        part[:, who % speakers] += more
        rows.append(part)
    scores = np.concatenate(rows)

    def worth(path: np.ndarray) -> float:
        return float(scores[np.arange(len(path)), path].sum()) - turn_taking._CHANGE * int((np.diff(path) != 0).sum())

    assert worth(turn_taking._course(scores)) == pytest.approx(worth(turn_taking._viterbi(scores)))
