"""How many steps a walk over somebody's headers may take: a file can be made of nothing but the shortest of them.

A step is an element, a box, a page, a frame that is looked at, or a read of up to 64 KiB. Real recordings have some dozens of bytes
for each; what has more of them than a budget allows tells nothing about itself, and is decoded, or refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from pipeline.errors import UnsupportedMedia

MOST = 200_000  # some tenths of a second
_LEAST = 1_000
_BYTES_A_STEP = 8  # of a recording that is walked frame by frame: 3.2 kbit/s in packets of 20 ms
_READ = 64 * 1024  # bytes
Read = Callable[[int, int], bytes]
Item = TypeVar("Item")


class TooManySteps(ValueError):
    """The file is cut into more pieces than are looked at."""


class StepBudget:
    """Counts down. `taken` are the steps so far."""

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, 0

    @classmethod
    def for_file(cls) -> StepBudget:
        """For a walk over a file, which reads only where it looks."""
        return cls(MOST)

    @classmethod
    def for_bytes(cls, size: int) -> StepBudget:
        """For a walk in memory over so many bytes."""
        return cls(min(MOST, _LEAST + size // _BYTES_A_STEP))

    def take(self, steps: int = 1) -> None:
        """Raises TooManySteps once there are none left."""
        self.taken += steps
        if self.taken > self.most:
            raise TooManySteps

    def over(self, items: Iterable[Item]) -> Iterator[Item]:
        """The same items, each of them a step."""
        for item in items:
            self.take()
            yield item

    def counted(self, read: Read) -> Read:
        """The same reader, whose reads are steps."""

        def reading(at: int, length: int) -> bytes:
            self.take(1 + length // _READ)
            return read(at, length)

        return reading


def refusal() -> UnsupportedMedia:
    """What is said of a file that cannot be read for that."""
    return UnsupportedMedia(
        f"The file is cut into more than {MOST} pieces; no recorder does that. Write it anew, e.g. with ffmpeg -i IN OUT."
    )
