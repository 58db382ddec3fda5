"""Where ffmpeg's threads run, which hand every frame of 26 ms on to one another."""

from __future__ import annotations

import contextlib
import itertools
import os

_FEW = 2  # processors; with more of them, there is one for whoever reads the samples and some for ffmpeg

_turns = itertools.count()


def keep_together(pid: int) -> None:
    """Spare a program that has just been started its own threads' interruptions, as far as this machine lets us.

    In batches, a thread that is given a frame waits until the giver has to wait: an eighth of the time. Where whoever reads the
    samples keeps one of two processors busy, the threads would queue up behind it while the other has nothing to do: decoding and
    cutting an hour of mp3 takes 2.6 s with all of them on one processor, and 4.1 s where they may move. Programs of one process
    take turns with the processors.
    """
    if not hasattr(os, "SCHED_BATCH"):
        return
    with contextlib.suppress(OSError):  # gone already, or not allowed: then it takes a little longer
        os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0))
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) <= _FEW:
            os.sched_setaffinity(pid, {allowed[(os.getpid() + next(_turns)) % len(allowed)]})
