"""Runs of frames in any bytes: where they begin, and that no bytes make the search long."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.frame_runs import MOST_STEPS, FrameSyntax, Search, follow

SYNTAX = FrameSyntax(lambda header: header[1] if header[:1] == b"F" else 0, 3, b"\xff\x00\xff")
SYNC = re.compile(rb"F")
FRAME = b"F\x05x.."


def search() -> Search:
    return Search(SYNC, (SYNTAX,))


def test_frames_follow_each_other() -> None:
    assert follow(SYNTAX, FRAME * 3, 0, 3)
    assert not follow(SYNTAX, FRAME * 2, 0, 3)
    assert follow(SYNTAX, FRAME * 2, 0, 3, short=True)
    assert not follow(SYNTAX, FRAME * 2 + b"nothing", 0, 3, short=True)
    assert not follow(SYNTAX, FRAME + b"F\x05y.." + FRAME, 0, 3), "what a stream never changes has changed"
    assert not follow(SYNTAX, b"", 0, 3, short=True)


def test_the_first_run_is_found_behind_rubbish_and_up_to_the_end() -> None:
    data = b"FFF" + b"\x01" * 20 + FRAME * 5
    assert search().first(data, 4, end=100) == (23, SYNTAX)
    assert search().first(data, 4, end=23) == (23, SYNTAX)
    assert search().first(data, 6, end=100) is None


@given(st.lists(st.sampled_from([b"F", b"\x02", b"\x03", FRAME, b"x"]), max_size=400).map(b"".join))
def test_what_it_finds_is_a_run_and_what_it_looks_at_is_bounded(data: bytes) -> None:
    looking = search()
    found = looking.first(data, 4, end=len(data))
    assert looking.steps <= 2 * len(data) + 4
    if found:
        assert follow(SYNTAX, data, found[0], 4)


@pytest.mark.parametrize("size", [MOST_STEPS * 4, MOST_STEPS * 40])
def test_steps_do_not_grow_with_hostile_bytes(size: int) -> None:
    looking = search()
    assert looking.first(b"F\x02" * size, 10**9, end=2 * size) is None
    assert looking.steps <= MOST_STEPS + 1
