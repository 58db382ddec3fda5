"""Where every decoded sample stands on the clock of the recording: as its time stamps say, which is when a player plays it.

* Samples follow one another. A stamp that is later than they say is a hole in the recording, where its format knows stamps; one
  that is off for a frame or three and back is jitter of the container, and means nothing.
* Sound is never dropped for a stamp. One that is early means that a recorder's clock ran slowly; when it is a second early or more,
  the stamps begin anew, as in files that were joined, and count on from here.
* A leap so far that the server would not take so long a recording is taken for a wrong stamp: closed up, and told.
* A new format in the middle of the stream goes on where the old one ended, whatever the filters between have lost of it.

Times inside are in samples of the output, as fractions of one: many short pieces at other rates must not add up to a drift.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipeline.audio.ffmpeg.frame_events import JITTER, LEAP_BACK, Damage, Frame, Made

_CONFIRMED = 4  # frames in a row that must agree before a leap is one
_NEAR = 24  # frames: a decoder is at most so far ahead of the filters when it complains
_BEFORE_ZERO = 1.0  # seconds of a codec's own delay that are dropped; nobody needs more

Run = tuple[int, int]  # (place on the clock, samples)


@dataclass(frozen=True, slots=True)
class Leap:
    """From `start` to `end`, in samples on the clock, there is nothing: it could not be decoded (`damaged`), or never was there."""

    start: int
    end: int
    damaged: bool


@dataclass(slots=True)
class _Off:
    """A frame whose stamp is off by `by` samples: where it begins among its format's samples, and whether damage is near."""

    at: float
    by: float
    damaged: bool


class StreamClock:
    """Takes the events of one stream in order; `runs` says where the samples stand that they announce."""

    def __init__(
        self, rate: int, *, start: float = 0.0, zero: float = 0.0, stamped: bool = True, longest: float | None = None
    ) -> None:
        """`start`: where the first sample stands if stamps say nothing else. `zero`: the stamp of the recording's beginning, in
        seconds. Not `stamped`: samples alone count. `longest`: the longest leap, in seconds."""
        self.leaps: list[Leap] = []
        self.closed_up: list[int] = []  # where a leap was too far, on the clock
        self.damages: list[int] = []  # about where something could not be decoded
        self._rate, self.is_stamped = rate, stamped
        self._longest = math.inf if longest is None else longest * rate
        self._zero = zero * rate  # the stamp that stands for zero on the clock; moves when stamps begin anew
        self._base = start  # where the format's first sample stands, without what leaps add
        self._in = 0.0  # of the format: what has gone in, in samples of the output
        self._out = self._placed = 0  # of the format: announced, and handed out as runs
        self._shifts: deque[tuple[int, float]] = deque()  # from which sample on it is so much later
        self._shift = 0.0
        self._ahead = 0.0  # what all shifts of the format add up to
        self._off: list[_Off] = []
        self._damage = 0  # frames since the last complaint, counting down
        self._begun = False
        self.formats = 0  # that the stream has had

    @property
    def reached(self) -> float:
        """Where the next sample stands, as far as is known."""
        return self._base + self._in + self._ahead

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
                self.damages.append(round(self.reached))
            case Frame() if event.fresh:
                yield from self.finish()
                self._begin()
                self._frame(event)
            case Frame():
                self._frame(event)
        yield from self._runs()

    def finish(self) -> Iterator[Run]:
        """No more frames of this format will come: what is off will never be contradicted."""
        while self._off:
            self._settle()
        yield from self._runs()

    def forget_leaps_behind(self, end: int) -> None:
        """Nothing follows them: ffmpeg announces one frame more than there is when a stream has come to its end."""
        self.leaps = [leap for leap in self.leaps if leap.start < end]

    def _begin(self) -> None:
        self.formats += 1
        self._base, self._in, self._out, self._placed = self.reached, 0.0, 0, 0
        self._shifts.clear()
        self._shift = self._ahead = 0.0

    def _frame(self, frame: Frame) -> None:
        length = frame.samples * self._rate / frame.rate
        if self.is_stamped and not math.isnan(frame.time):
            self._compare(frame.time * self._rate - self._zero)
        self._damage -= self._damage > 0
        self._in += length

    def _compare(self, stamp: float) -> None:
        if not self._begun:
            self._start(stamp)
        by = stamp - self.reached
        if self._goes_on(by):
            self._off.clear()
            return
        self._off.append(_Off(self._in, by, self._damage > 0))
        if len(self._off) >= _CONFIRMED:
            self._settle()

    def _goes_on(self, by: float) -> bool:
        return -LEAP_BACK * self._rate <= by <= JITTER * self._rate

    def _start(self, stamp: float) -> None:
        """What lies before zero is dropped where samples are placed. What begins late begins with a leap."""
        self._begun = True
        if stamp <= JITTER * self._rate:
            self._base = max(-_BEFORE_ZERO * self._rate, stamp)

    def _settle(self) -> None:
        """The first that is off is believed as far as those behind it agree; they may be off by more, which is another leap."""
        first, rest = self._off[0], self._off[1:]
        agreed = min((one.by for one in self._off), key=abs)
        if all(one.by * first.by > 0 for one in rest):
            self._leap(first, agreed) if first.by > 0 else self._begin_anew(agreed)
            rest = [replace(one, by=one.by - agreed) for one in rest]
        normal = [at for at, one in enumerate(rest, start=1) if self._goes_on(one.by)]
        self._off = rest[max(normal, default=0) :]

    def _begin_anew(self, by: float) -> None:
        self._zero += by

    def _leap(self, first: _Off, by: float) -> None:
        start = self._base + self._ahead + first.at
        if by > self._longest:
            self._zero += by
            self.closed_up.append(round(start))
            return
        self._shifts.append((round(first.at), by))
        self._ahead += by
        self.leaps.append(Leap(round(start), round(start + by), first.damaged))

    def _runs(self) -> Iterator[Run]:
        certain = min(self._out, round(self._off[0].at)) if self._off else self._out
        while self._placed < certain:
            while self._shifts and self._shifts[0][0] <= self._placed:
                self._shift += self._shifts.popleft()[1]
            end = min(certain, self._shifts[0][0]) if self._shifts else certain
            yield round(self._base + self._shift) + self._placed, end - self._placed
            self._placed = end
