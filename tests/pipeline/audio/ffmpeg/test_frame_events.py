"""What ffmpeg prints of its frames, read back: also where another thread has swallowed some of it."""

import math
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.ffmpeg.frame_events import Damage, Frame, FrameEvents, Made, beginning, is_surprise

FRESH, COUNT, STRANGE = 2.0**41, 2.0**43, 2.0**45


def printed(frames: int, size: int, rate: int, start: float = 0.0) -> list[float | None]:
    """Of one format: each frame comes out as it went in."""
    lines: list[float | None] = [FRESH + rate]
    for number in range(frames):
        end = (number + 1) * size
        lines += [COUNT + end, start + number * size / rate, -COUNT - end]
    return lines


def test_frames_and_what_is_made_of_them() -> None:
    lines = printed(2, 960, 48_000)
    lines.insert(3, None)
    assert list(FrameEvents().take(deque(lines))) == [
        Frame(960, 48_000, 0.0, fresh=True),
        Damage(),
        Made(960),
        Frame(960, 48_000, 0.02, fresh=False),
        Made(960),
    ]


def test_it_may_come_in_pieces() -> None:
    lines = [*printed(5, 960, 48_000), *printed(5, 1024, 44_100, start=3.0)]
    events = FrameEvents()
    assert [event for line in lines for event in events.take(deque([line]))] == list(FrameEvents().take(deque(lines)))


@given(st.integers(2, 40), st.sets(st.integers(0, 29).map(lambda number: 4 * number), max_size=30))
def test_a_line_that_is_lost_is_made_up_for_by_the_next(frames: int, lost: set[int]) -> None:
    """Whatever is missing in the middle: the counts are right again with the last frame, and no time is a wrong frame's."""
    lines = printed(frames, 960, 48_000)
    kept = [line for at, line in enumerate(lines) if at not in lost or at == 0 or at >= len(lines) - 3]
    events = list(FrameEvents().take(deque(kept)))
    assert sum(event.samples for event in events if isinstance(event, Frame)) == 960 * frames
    assert sum(event.samples for event in events if isinstance(event, Made)) == 960 * frames
    reached = 0
    for event in events:
        if isinstance(event, Frame):
            reached += event.samples
            assert math.isnan(event.time) or event.time == (reached - 960) / 48_000


def test_a_format_of_which_only_the_counts_tell() -> None:
    first, second = printed(3, 960, 48_000), printed(2, 960, 48_000)[1:]
    fresh = [event.fresh for event in FrameEvents().take(deque([*first, *second])) if isinstance(event, Frame)]
    assert fresh == [True, False, False, True, False]


def test_what_surprises_whoever_only_watches() -> None:
    plain: deque[float | None] = deque([FRESH, 0.5])
    assert not is_surprise(plain)
    assert beginning(plain) == 0.5
    assert math.isnan(beginning(deque([FRESH])))
    assert is_surprise(deque([FRESH, 0.5, FRESH, 3.0]))
    assert is_surprise(deque([FRESH, 0.5, STRANGE]))
    assert is_surprise(deque([FRESH, 0.5, None]))
