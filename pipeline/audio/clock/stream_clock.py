"""Where every decoded sample stands on the clock of the recording: as its time stamps say, which is when a player plays it.

* Samples follow one another. A stamp that is later than they say is a hole in the recording, where its format knows stamps; one
  that is off for less than a second of sound and back is an error of the container, and means nothing.
* Sound is never dropped for a stamp. One that is early means that a recorder's clock ran slowly; when it is a second early or more,
  the stamps begin anew, as in files that were joined, and count on from here. Near damage alone it means that a decoder made more
  of a broken packet than there was in it, which nobody needs to hear; but that is little for each complaint, and where more would
  have to go, the stamps are what is wrong.
* Where a container has no stamps but its index tells of packets that nobody can find, nothing is heard for as long as they last.
* A leap so far that the server would not take so long a recording is taken for a wrong stamp: closed up, and told.
* A new format in the middle of the stream goes on where the old one ended, whatever the filters between have lost of it.

Times inside are in samples of the output, as fractions of one: many short pieces at other rates must not add up to a drift.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.audio.containers.avi_index import Absent
from pipeline.audio.ffmpeg.frame_events import JITTER, LEAP_BACK, Damage, Frame, Made
from pipeline.errors import UnsupportedMedia

_CONFIRMED = 4  # frames in a row that must agree before a leap is one
_LASTING = 0.75  # seconds of sound that it must last: one wrong stamp may stand for a whole packet of an MPEG stream
_NEAR = 24  # frames: a decoder is at most so far ahead of the filters when it complains
_SHORT, _LACKS = (
    0.75,
    2.5,
)  # of the usual length of a frame: what is less, and what may be missing behind a few of those
_MOST_SLOW, _LITTLE = 0.02, 0.25  # of all time, that a recorder's clock may lag; and seconds from one stamp to the next
_FEW = 8  # frames that follow another at the beginning, before what sends nothing while nobody speaks has noticed that
_MOST_MADE_UP = 0.25  # seconds that a decoder makes of one broken packet
_BEFORE_ZERO = 1.0  # seconds of a codec's own delay that are dropped; nobody needs more
_NOWHERE = 2.0**40  # samples before zero, where what is dropped stands

_MOST_LEAPS = 50_000  # a clock that goes wrong by a hundredth makes 20,000 of 20 ms in ten hours
_MOST_DAMAGES = 1_000  # that are remembered

Run = tuple[int, int]  # (place on the clock, samples)


@dataclass(frozen=True, slots=True)
class Leap:
    """From `start` to `end`, in samples on the clock, there is nothing: it could not be decoded (`damaged`), or never was there."""

    start: int
    end: int
    damaged: bool


@dataclass(slots=True)
class _Off:
    """A frame whose stamp may be off: where it begins among its format's samples, and whether damage is near."""

    at: float
    stamp: float
    damaged: bool


class StreamClock:
    """Takes the events of one stream in order; `runs` says where the samples stand that they announce."""

    def __init__(
        self,
        rate: int,
        *,
        start: float = 0.0,
        zero: float = 0.0,
        stamped: bool = True,
        longest: float | None = None,
        absent: Sequence[Absent] = (),
        broken: bool = False,
        slack: float = JITTER,
    ) -> None:
        """`start`: where the first sample stands if stamps say nothing else. `zero`: the stamp of the recording's beginning, in
        seconds. Not `stamped`: samples alone count, and what is `absent`. `longest`: the longest leap, in seconds. `broken`: some
        bytes of the file are none of the recording, so that what is missing is taken for lost. `slack`: seconds that a stamp may
        be late behind damage without meaning that something is missing."""
        self.leaps: list[Leap] = []
        self.closed_up: list[int] = []  # where a leap was too far, on the clock
        self.damages: list[int] = []  # about where something could not be decoded
        self._rate, self.is_stamped = rate, stamped
        self._longest = math.inf if longest is None else longest * rate
        self._broken, self._slack = broken, slack * rate
        self._zero = zero * rate  # the stamp that stands for zero on the clock; moves when stamps begin anew
        self._absent = deque(Absent(start + one.start * rate, start + one.end * rate, one.lost) for one in absent)
        self._base = start  # where the format's first sample stands, without what leaps add
        self._in = 0.0  # of the format: what has gone in, in samples of the output
        self._out = self._placed = 0  # of the format: announced, and handed out as runs
        self._shifts: deque[tuple[int, float]] = deque()  # from which sample on it is so much later
        self._shift = 0.0
        self._ahead = 0.0  # what all shifts of the format add up to
        self._dropped = 0.0  # up to which of its samples some were dropped
        self._made_up = 0.0  # samples that may be, after what could not be decoded
        self._last = self._usual = 0.0  # length of the frame before, and of the longest of the format
        self._slow = 0.0  # by how much stamps were early before the damage
        self._off: list[_Off] = []
        self._damage = 0  # frames since the last complaint, counting down
        self._begun = False
        self.formats = 0  # that the stream has had
        self._frames = 0  # so far
        self._lag = 0.0  # by how much the last stamp was early that meant nothing
        self._lagged = 0.0  # by how much they were in all, little by little
        self._is_contradicted = False  # by what a decoder makes of one packet

    @property
    def reached(self) -> float:
        """Where the next sample stands, as far as is known."""
        return self._base + self._in + self._ahead

    @property
    def has_wrong_stamps(self) -> bool:
        """Whether they are so early, again and again, that no recorder's clock can be so slow, or behind each frame is a hole: what
        they count in is damaged."""
        is_slow = self._lagged > max(_MOST_SLOW * self.reached, 2 * LEAP_BACK * self._rate)
        return self._is_contradicted or is_slow or len(self.leaps) > max(3 * _FEW, self._frames - _FEW)

    @property
    def in_damage(self) -> bool:
        """Whether something could not be decoded just now."""
        return self._damage > 0

    def take(self, event: Frame | Made | Damage) -> Iterator[Run]:
        """The next event; what has become certain by it."""
        match event:
            case Made(samples):
                self._out += samples
            case Damage():
                self._damage = _NEAR
                self._made_up = min(self._made_up + _MOST_MADE_UP * self._rate, LEAP_BACK * self._rate)
                self._note_damage(round(self.reached))
            case Frame() if event.fresh:
                yield from self.finish()
                self._begin()
                self._frame(event)
            case Frame():
                self._frame(event)
        yield from self._runs()

    def _note_damage(self, at: int) -> None:
        """The first ones, and the last."""
        if len(self.damages) >= _MOST_DAMAGES:
            self.damages.pop()
        self.damages.append(at)

    def finish(self) -> Iterator[Run]:
        """No more frames of this format will come: what is off will never be contradicted."""
        while self._off:
            self._settle()
        yield from self._runs()

    @property
    def absent(self) -> float:
        """Samples that are still to be passed over."""
        return sum(one.end - one.start for one in self._absent)

    def forget_leaps_behind(self, end: int) -> None:
        """Nothing follows them: ffmpeg announces one frame more than there is when a stream has come to its end."""
        self.leaps = [leap for leap in self.leaps if leap.start < end]

    def _begin(self) -> None:
        self.formats += 1
        self._base, self._in, self._out, self._placed = self.reached, 0.0, 0, 0
        self._shifts.clear()
        self._shift = self._ahead = self._dropped = self._last = self._usual = 0.0

    def _frame(self, frame: Frame) -> None:
        length = frame.samples * self._rate / frame.rate
        if self.is_stamped and not math.isnan(frame.time):
            stamp = frame.time * self._rate
            if not self._begun:
                self._start(stamp - self._zero)
            self._compare(_Off(self._in, stamp, self._is_damaged(stamp - self._zero - self.reached)))
        elif self._absent and self.reached + length > self._absent[0].start:
            start, end, lost = self._absent.popleft()
            if end - start > self._longest:
                self.closed_up.append(round(self.reached))
            else:
                self._add(self._in + max(0.0, start - self.reached), end - start, damaged=lost)
        self._damage -= self._damage > 0
        self._frames += 1
        self._in += length
        self._last, self._usual = length, max(self._usual, length)

    def _is_damaged(self, by: float) -> bool:
        """Whether a frame that is off by so much is so for damage: a decoder has complained, or has made less of the frame before
        than of others, by about what is missing."""
        is_short = self._last < _SHORT * self._usual and 0 < by <= _LACKS * self._usual
        return self._damage > 0 or is_short or (bool(self._off) and self._off[0].damaged)

    def _start(self, stamp: float) -> None:
        """What lies before zero is dropped where samples are placed. What begins late begins with a leap."""
        self._begun = True
        self._made_up = min(self._made_up, _MOST_MADE_UP * self._rate)  # many complain of one header
        if stamp <= (self._slack if self.in_damage else JITTER * self._rate):
            self._base = max(-_BEFORE_ZERO * self._rate, stamp)

    def _compare(self, frame: _Off) -> None:
        """From the first frame that is off all are kept until it is certain what they mean."""
        if self._goes_on(frame) and len(self._off) < _CONFIRMED:
            self._off.clear()
            self._lag = min(0.0, self._by(frame))
            self._slow = self._slow if frame.damaged else self._lag
            return
        self._off.append(frame)
        if all(map(self._goes_on, self._off[-_CONFIRMED:])):
            self._off.clear()
        elif len(self._off) >= _CONFIRMED and frame.at - self._off[0].at >= _LASTING * self._rate:
            self._settle()

    def _by(self, frame: _Off) -> float:
        """By how many samples its stamp is off."""
        return frame.stamp - self._zero - (self._base + self._ahead + frame.at)

    def _goes_on(self, frame: _Off) -> bool:
        if frame.damaged:
            return self._slow - JITTER * self._rate <= self._by(frame) <= self._slack
        return -LEAP_BACK * self._rate <= self._by(frame) <= JITTER * self._rate

    def _settle(self) -> None:
        """The first that is off is believed as far as those behind it agree; they may be off by more, which is another leap."""
        off, self._off = self._off, []
        agreeing = [self._by(frame) for frame in off[:_CONFIRMED]]
        by = min(agreeing, key=abs)
        if all(other * by > 0 for other in agreeing):
            self._believe(off[0], by)
        for frame in off[1:]:
            self._compare(frame)

    def _believe(self, first: _Off, by: float) -> None:
        if by > self._longest:
            self._zero += by
            self.closed_up.append(round(self._base + self._ahead + first.at))
        elif by > 0:
            self._add(first.at, by, first.damaged)
        elif not first.damaged or self._slow - by > self._made_up:  # stamps begin anew
            self._is_contradicted = self._is_contradicted or (first.damaged and by > -LEAP_BACK * self._rate)
            self._lagged -= by if self._lag - by < _LITTLE * self._rate else 0.0
            self._zero += by
            self._lag = 0.0
            self._slow = 0.0
        elif by < self._slow:
            self._drop(first.at, self._slow - by)

    def _add(self, at: float, by: float, damaged: bool) -> None:
        """A leap before the format's sample at that place."""
        if len(self.leaps) >= _MOST_LEAPS:
            raise UnsupportedMedia(f"The recording has more than {_MOST_LEAPS} holes.", holes=_MOST_LEAPS)
        at = max(at, self._dropped)
        start = self._base + self._ahead + at
        self._shifts.append((round(at), by))
        self._ahead, self._slow = self._ahead + by, 0.0
        self.leaps.append(Leap(round(start), round(start + by), damaged or self._broken))

    def _drop(self, at: float, count: float) -> None:
        """So many samples from there on, in whose place what follows them stands."""
        at = max(at, self._dropped)
        self._dropped, self._made_up = at + count, self._made_up - count
        self._note_damage(round(self._base + self._ahead + at))
        self._shifts += [(round(at), -_NOWHERE), (round(self._dropped), _NOWHERE - count)]
        self._ahead -= count

    def _runs(self) -> Iterator[Run]:
        certain = min(self._out, round(self._off[0].at)) if self._off else self._out
        while self._placed < certain:
            while self._shifts and self._shifts[0][0] <= self._placed:
                self._shift += self._shifts.popleft()[1]
            end = min(certain, self._shifts[0][0]) if self._shifts else certain
            yield round(self._base + self._shift) + self._placed, end - self._placed
            self._placed = end
