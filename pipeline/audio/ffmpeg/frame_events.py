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
from itertools import islice

JITTER = 0.02  # seconds that a stamp may be off without meaning anything; what a listener could notice
LEAP_BACK = 1.0  # seconds; below, stamps that are early mean that the recorder's clock is slow, and sound goes on

_FRESH, _STRANGE = 2**41, 2**42  # marks that no count of samples reaches
_PACK = 2**20  # above any sample rate
_COUNTED = "NB_CONSUMED_SAMPLES/SR/TB"  # frames leave with the time that their samples tell: nothing is filled or cut by stamps
_BEGIN = f"if(eq(N,0),st(0,PTS);print({_FRESH},32);print(PTS*TB,32));"
_GOES_ON = f"st(1,(PTS-ld(0)-{_COUNTED})*TB);if(gt(ld(1),{JITTER})+lt(ld(1),-{LEAP_BACK}),print({_STRANGE},32));"

WATCH_FORMAT = f"{_BEGIN}{_COUNTED}"
WATCH = f"{_BEGIN}{_GOES_ON}{_COUNTED}"
FOLLOW = f"print(S*{_PACK}+SR+eq(N,0)*{_FRESH},32);print(PTS*TB,32);{_COUNTED}"
FOLLOW_OUT = "print(-S,32);PTS"


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


def frame_events(printed: Printed) -> Iterator[Frame | Made | Damage]:
    """Takes what a recording that is *followed* has printed, as far as it is whole."""
    while printed:
        first = printed[0]
        if first is not None and first >= 0 and not any(value is not None for value in islice(printed, 1, None)):
            return
        printed.popleft()
        if first is None:
            yield Damage()
        elif first < 0:
            yield Made(-int(first))
        else:
            yield _frame(int(first), printed)


def _frame(packed: int, printed: Printed) -> Frame:
    """A decoder's complaints may have come between the two numbers of a frame: they stay for later."""
    complaints = 0
    while (time := printed.popleft()) is None:
        complaints += 1
    printed.extendleft([None] * complaints)
    counts = packed % _FRESH
    return Frame(counts // _PACK, counts % _PACK, time, packed >= _FRESH)
