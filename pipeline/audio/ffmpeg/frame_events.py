"""How ffmpeg tells of each frame while it filters: its expressions can print, and what they print stands in its log before the
frame's samples leave it. So whoever reads the log first knows where the samples belong that come next.

*watching* is for plain recordings and costs next to nothing: one line where the sound begins, and one wherever the time stamps or
the format do something else than go on. *following* tells of every frame that goes into the resampler and of every one that comes
out of it: what the filters lose when a change of format makes ffmpeg build them anew can so be counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

JITTER = 0.02  # seconds that a stamp may be off without meaning anything; what a listener could notice
LEAP_BACK = 1.0  # seconds; below, stamps that are early mean that the recorder's clock is slow, and sound goes on

_FRESH, _COUNT, _STRANGE = 2**41, 2**43, 2**45  # marks far above any rate, time in seconds, or count of samples
_COUNTED = "NB_CONSUMED_SAMPLES/SR/TB"  # frames leave with the time that their samples tell: nothing is filled or cut by stamps
_BEGIN = f"if(eq(N,0),st(0,PTS);print({_FRESH},32);print(PTS*TB,32));"
_GOES_ON = f"st(1,(PTS-ld(0)-{_COUNTED})*TB);if(gt(ld(1),{JITTER})+lt(ld(1),-{LEAP_BACK}),print({_STRANGE},32));"

WATCH_FORMAT = f"{_BEGIN}{_COUNTED}"
WATCH = f"{_BEGIN}{_GOES_ON}{_COUNTED}"
# Counts go from the beginning of the format on. Another thread's line without an end may swallow one of ours: the next heals that.
FOLLOW = f"if(eq(N,0),print({_FRESH}+SR,32));print({_COUNT}+NB_CONSUMED_SAMPLES+S,32);print(PTS*TB,32);{_COUNTED}"
FOLLOW_OUT = f"print(-{_COUNT}-NB_CONSUMED_SAMPLES-S,32);PTS"


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded frame: its samples at its rate, the stamp in seconds (nan: none), and whether its format is new."""

    samples: int
    rate: int
    time: float
    fresh: bool


@dataclass(frozen=True, slots=True)
class Made:
    """So many samples of the output follow next."""

    samples: int


@dataclass(frozen=True, slots=True)
class Damage:
    """Something before the next frames, or a few of them later, could not be decoded."""


Printed = deque[float | None]  # as `Log.printed`: numbers, None for what could not be decoded


def is_surprise(printed: Printed) -> bool:
    """Whether a recording that is *watched* does something that has to be followed. Takes everything but the beginning."""
    return len(printed) > _BEGINNING or any(value is None or value >= _STRANGE for value in printed)


_BEGINNING = 2  # numbers: the mark and the first stamp


def beginning(printed: Printed) -> float:
    """The first stamp of a recording that is *watched*, in seconds; nan where there is none."""
    told = [value for value in printed if value is not None]
    return told[1] if len(told) >= _BEGINNING else float("nan")


class FrameEvents:
    """Makes events of what a recording that is *followed* prints."""

    def __init__(self) -> None:
        self._rate = 0
        self._fresh = False  # the next frame is the first of its format
        self._in = self._out = 0  # samples of the format so far
        self._end: int | None = None  # of a frame whose stamp is still to come

    def take(self, printed: Printed) -> Iterator[Frame | Made | Damage]:
        """Takes all of it."""
        while printed:
            value = printed.popleft()
            if value is None:
                yield Damage()
            elif value <= -_COUNT:
                yield from self._stamped(float("nan"))  # what comes out follows the stamp of what went in
                yield from self._made(int(-value) - _COUNT)
            elif value >= _COUNT:
                yield from self._stamped(float("nan"))
                self._count(int(value) - _COUNT)
            elif value >= _FRESH:
                yield from self._stamped(float("nan"))
                self._begin(int(value) - _FRESH)
            else:
                yield from self._stamped(value)

    def _begin(self, rate: int) -> None:
        self._rate, self._fresh, self._in, self._out = rate, True, 0, 0

    def _count(self, end: int) -> None:
        if end < self._in:
            self._begin(self._rate)
        self._end = end

    def _stamped(self, time: float) -> Iterator[Frame]:
        """The frame that was counted last, with its time; none where nothing was counted."""
        if self._end is not None and self._rate > 0:
            yield Frame(max(0, self._end - self._in), self._rate, time, self._fresh)
            self._in, self._fresh = self._end, False
        self._end = None

    def _made(self, count: int) -> Iterator[Made]:
        if count > self._out:
            yield Made(count - self._out)
            self._out = count
