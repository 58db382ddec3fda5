"""Whether a decoder gets anywhere: by its own work, so that a machine which is slow or busy elsewhere is never taken for a file
that leads nowhere.

Three megabytes of AMR frames that hold nothing make ffmpeg complain six million times and bring out no sample.
"""

from __future__ import annotations

import contextlib
import time

import psutil

from pipeline.audio.ffmpeg.sandbox import children
from pipeline.errors import AudioStalled

MOST_LINES = 200_000  # of complaints from one sample to the next: half an hour of broken frames
MOST_SECONDS = 20.0  # of processor time from one sample to the next
LOOK = 1.0  # seconds between two looks at the processor time


class DecoderProgress:
    """What has been spent since the last sample."""

    def __init__(self) -> None:
        self._lines = 0
        self._spent: float | None = None  # processor seconds at the first look since then
        self._look_at = time.monotonic() + LOOK

    def moved(self) -> None:
        """Samples came."""
        self._lines, self._spent = 0, None

    def complained(self, log: bytes) -> None:
        """Raises AudioStalled when that was one complaint too many."""
        self._lines += log.count(b"\n")
        if self._lines > MOST_LINES:
            raise AudioStalled(lines=self._lines)

    def look(self, pid: int) -> None:
        """Raises AudioStalled when the process and its children have worked for too long. May be called at any time."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK
        spent = processor_seconds(pid)
        self._spent = spent if self._spent is None else self._spent
        if spent - self._spent > MOST_SECONDS:
            raise AudioStalled(processor_seconds=round(spent - self._spent, 1))


def processor_seconds(pid: int) -> float:
    """Of a process and of its living children's families; 0 where nothing is known of them."""
    total = 0.0
    with contextlib.suppress(psutil.Error):
        times = psutil.Process(pid).cpu_times()
        total = times.user + times.system
        total += sum(processor_seconds(child) for child in children(pid))
    return total
