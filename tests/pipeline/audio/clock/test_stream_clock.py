"""The clock alone, against streams whose true times are known: every sample stands where its frame's stamp put it."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.clock.stream_clock import StreamClock
from pipeline.audio.containers.avi_index import Absent
from pipeline.audio.ffmpeg.frame_events import Damage, Frame, Made
from pipeline.errors import UnsupportedMedia

RATE = 16_000
DELAY = 16  # samples that a resampler keeps, and loses when the format changes


@dataclass(frozen=True)
class Part:
    """Frames of one format: `holes` are seconds before a frame, `wild` frames whose stamp alone is off, by so many seconds."""

    rate: int
    size: int
    frames: int
    holes: dict[int, float]
    wild: dict[int, float]


RATES = st.sampled_from([8000, 22_050, 32_000, 44_100, 48_000])
SIZES = st.sampled_from([160, 576, 960, 1024, 1152, 1536])


@st.composite
def parts(draw: st.DrawFn) -> Part:
    frames = draw(st.integers(12, 80))
    holes = draw(st.dictionaries(st.integers(0, frames - 5), st.floats(0.03, 100), max_size=3))
    wild = draw(st.dictionaries(st.integers(1, frames - 5), st.sampled_from([-3.0, -0.03, 0.035, 5.0]), max_size=2))
    apart = {at: by for at, by in wild.items() if all(abs(at - hole) > 8 for hole in holes)}
    return Part(draw(RATES), draw(SIZES), frames, holes, apart if len(apart) < 2 or spread(apart) > 8 else {})


def spread(places: dict[int, float]) -> int:
    return max(places) - min(places)


def played(stream: list[Part], clock: StreamClock) -> tuple[dict[int, int], list[tuple[float, float]]]:
    """What the clock says of each announced output sample, and the true holes; the true place of each is its value."""
    found: list[tuple[int, int]] = []
    truth: list[float] = []
    holes: list[tuple[float, float]] = []
    now = 0.0
    for part in stream:
        out = 0
        places: list[float] = []
        for number in range(part.frames):
            if hole := part.holes.get(number):
                holes.append((now, now + hole))
                now += hole
            stamp = now + part.wild.get(number, 0.0)
            length = part.size / part.rate
            places += [now * RATE + n for n in range(round(length * RATE) + 2)][: _upto(number, part) - len(places)]
            found += clock.take(Frame(part.size, part.rate, stamp, fresh=number == 0))
            now += length
            ready = max(0, min(len(places), _upto(number, part)) - DELAY)
            if ready > out:
                found += clock.take(Made(ready - out))
                truth += places[out:ready]
                out = ready
    found += clock.finish()
    flat = [at + n for at, count in found for n in range(count)]
    assert len(flat) == len(truth)
    return dict(zip(flat, truth, strict=True)), holes


def _upto(frame: int, part: Part) -> int:
    """Samples of the output that are whole once so many frames more have gone in."""
    return round((frame + 1) * part.size * RATE / part.rate)


@given(st.lists(parts(), min_size=1, max_size=5))
def test_every_sample_stands_where_its_stamp_says(stream: list[Part]) -> None:
    clock = StreamClock(RATE)
    places, holes = played(stream, clock)
    for found, true in places.items():
        assert abs(found - true) <= 3, "a sample or two is what roundings add up to"
    told = [(leap.start / RATE, leap.end / RATE) for leap in clock.leaps]
    assert len(told) == len(holes)
    for (start, end), (begins, ends) in zip(told, holes, strict=True):
        assert (start, end) == (pytest.approx(begins, abs=0.001), pytest.approx(ends, abs=0.001))


@given(st.lists(parts(), min_size=1, max_size=5))
def test_without_stamps_samples_alone_count(stream: list[Part]) -> None:
    clock = StreamClock(RATE, stamped=False)
    closed = [Part(part.rate, part.size, part.frames, {}, part.wild) for part in stream]
    places, _ = played(closed, clock)
    assert all(abs(found - true) <= 3 for found, true in places.items())
    assert not clock.leaps


def frames(count: int, start: float, *, fresh: bool = False) -> list[Frame]:
    """Of 20 ms, stamped from `start` seconds on."""
    return [Frame(960, 48_000, start + 0.02 * number, fresh=fresh and not number) for number in range(count)]


def run(clock: StreamClock, *events: Frame | Damage) -> list[tuple[int, int]]:
    """Each frame comes out at once."""
    found = []
    for event in events:
        found += clock.take(event)
        if isinstance(event, Frame):
            found += clock.take(Made(event.samples * RATE // event.rate))
    return [*found, *clock.finish()]


def test_a_stream_that_is_joined_to_another_goes_on_where_that_ended() -> None:
    clock = StreamClock(RATE)
    runs = run(clock, *frames(100, 0, fresh=True), *frames(50, 0), *frames(50, 3))
    assert runs[0][0] == 0
    assert max(at + count for at, count in runs) == 6 * RATE, "two seconds, one more, a hole of two, and another second"
    assert [(leap.start, leap.end) for leap in clock.leaps] == [(3 * RATE, 5 * RATE)]


def test_a_leap_beyond_all_limits_is_closed_up() -> None:
    clock = StreamClock(RATE, longest=3600)
    runs = run(clock, *frames(50, 0, fresh=True), *frames(50, 4000), *frames(50, 4002))
    assert clock.closed_up == [RATE]
    assert [(leap.start, leap.end) for leap in clock.leaps] == [(2 * RATE, 3 * RATE)]
    assert max(at + count for at, count in runs) == 4 * RATE


def test_what_lies_before_zero_is_a_second_at_most() -> None:
    assert run(StreamClock(RATE), *frames(10, -0.5, fresh=True))[0][0] == -RATE // 2
    assert run(StreamClock(RATE), *frames(10, -90, fresh=True))[0][0] == -RATE


def test_holes_without_end_are_refused_and_complaints_without_end_are_no_memory() -> None:
    clock = StreamClock(RATE)
    run(clock, *frames(10, 0, fresh=True), *[Damage()] * 5000)
    assert len(clock.damages) == 1000
    with pytest.raises(UnsupportedMedia, match="more than 50000 holes"):
        run(clock, *(frame for number in range(1, 50_010) for frame in frames(15, 10.0 * number)))


def test_a_hole_behind_damage_is_damage() -> None:
    clock = StreamClock(RATE)
    run(clock, *frames(50, 0, fresh=True), Damage(), *frames(50, 3), *frames(50, 9))
    assert [leap.damaged for leap in clock.leaps] == [True, False]


@pytest.mark.parametrize("wrong", [3600.0, 5.0, 0.7, -3.0])
def test_a_wrong_stamp_for_half_a_second_means_nothing(wrong: float) -> None:
    """As of a packet of an MPEG stream, which holds many frames and has one stamp."""
    clock = StreamClock(RATE)
    runs = run(clock, *frames(100, 0, fresh=True), *frames(25, 2 + wrong), *frames(100, 2.5))
    assert max(at + count for at, count in runs) == 4.5 * RATE
    assert not clock.leaps


def test_holes_that_follow_each_other_quickly() -> None:
    clock = StreamClock(RATE)
    run(clock, *(frame for number in range(20) for frame in frames(10, number, fresh=not number)))
    assert [(leap.start, leap.end) for leap in clock.leaps] == [
        (round((number + 0.2) * RATE), (number + 1) * RATE) for number in range(19)
    ]


def made_up(count: int, start: float) -> list[Frame | Damage]:
    """Broken packets of 20 ms, of each of which a decoder makes two frames, the second without a stamp, and complains."""
    return [
        event
        for number in range(count)
        for event in (
            Damage(),
            Frame(960, 48_000, start + 0.02 * number, fresh=False),
            Frame(960, 48_000, float("nan"), fresh=False),
        )
    ]


@pytest.mark.parametrize("slow", [0.0, 0.3])
def test_what_a_decoder_makes_up_does_not_move_what_follows(slow: float) -> None:
    """A recorder's clock that had run slowly before goes on as slowly."""
    clock = StreamClock(RATE)
    before = [*frames(50, 0, fresh=True), *frames(50, 1 - slow / 2), *frames(50, 2 - slow)]
    runs = run(clock, *before, *made_up(40, 3 - slow), *frames(100, 3.8 - slow))
    assert max(at + count for at, count in runs) == pytest.approx(5.8 * RATE, abs=0.03 * RATE)
    dropped = sum(count for at, count in runs if at < 0)
    assert dropped == pytest.approx(0.8 * RATE, abs=0.03 * RATE)
    assert not clock.leaps
    assert clock.damages[0] / RATE == pytest.approx(3, abs=0.1)


def test_a_slow_recorder_loses_nothing_to_one_complaint() -> None:
    clock = StreamClock(RATE)
    early = [Frame(960, 48_000, 0.0199 * number, fresh=not number) for number in range(500)]
    runs = run(clock, *early[:400], Damage(), *early[400:])
    assert runs[0][0] == 0 and sum(count for at, count in runs if at >= 0) == 10 * RATE


@pytest.mark.parametrize("pace", [0.0, 0.01, 0.5, 0.9])
def test_stamps_that_lag_behind_the_sound_cost_no_more_than_a_packet(pace: float) -> None:
    """As where damage has hit what the unit of all of them is, of which a demuxer complains once."""
    clock = StreamClock(RATE)
    slow = [Frame(960, 48_000, 0.02 * pace * number, fresh=not number) for number in range(500)]
    runs = run(clock, Damage(), Damage(), *slow)
    assert sum(count for at, count in runs if at >= 0) >= 9.75 * RATE
    assert clock.has_wrong_stamps


@pytest.mark.parametrize(("pace", "is_wrong"), [(0.5, True), (0.96, True), (0.995, False), (1.0, False)])
def test_stamps_that_are_early_again_and_again_are_wrong(pace: float, is_wrong: bool) -> None:
    """Nothing is lost for them. No recorder's clock is so slow."""
    clock = StreamClock(RATE)
    runs = run(clock, *(Frame(960, 48_000, 0.02 * pace * number, fresh=not number) for number in range(5_000)))
    assert sum(count for at, count in runs if at >= 0) == 100 * RATE
    assert clock.has_wrong_stamps is is_wrong


@pytest.mark.parametrize(("contiguous", "is_wrong"), [(1, True), (10, False)])
def test_stamps_that_leave_a_hole_behind_each_frame_are_wrong(contiguous: int, is_wrong: bool) -> None:
    """A call in which nobody speaks has some frames that follow each other, at its beginning at least."""
    clock = StreamClock(RATE)
    run(clock, *frames(contiguous, 0, fresh=True), *(frame for n in range(1, 100) for frame in frames(1, 0.4 * n)))
    assert clock.has_wrong_stamps is is_wrong


def test_what_is_joined_has_no_wrong_stamps() -> None:
    clock = StreamClock(RATE)
    run(clock, *(frame for number in range(30) for frame in frames(60, 0, fresh=not number)))
    assert not clock.has_wrong_stamps


def test_what_an_index_tells_of_and_is_not_there_leaves_its_time_free() -> None:
    stretches = [Absent(1.0, 1.5), Absent(2.0, 5.0, lost=False), Absent(9.0, 9.5)]
    clock = StreamClock(RATE, stamped=False, absent=stretches)
    runs = run(clock, *frames(100, 0, fresh=True))
    assert [(leap.start, leap.end, leap.damaged) for leap in clock.leaps] == [
        (RATE, round(1.5 * RATE), True),
        (2 * RATE, 5 * RATE, False),
    ]
    assert max(at + count for at, count in runs) == 5.5 * RATE
    assert clock.absent == 0.5 * RATE
