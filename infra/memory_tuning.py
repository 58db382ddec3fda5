"""Memory of a process that lives long: what Python's collector need not look through, and how many heaps the C library keeps."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Iterator

NEW_OBJECTS = 10_000  # between two looks; Python's own 700 are soon made
# Looks at the new until one at those that were left, and so on; seldom would let memory grow by tens of MiB.
OLDER = (5, 5)
M_ARENA_MAX, ARENAS = -8, 2  # malloc.h of glibc, mallopt(3); by itself it keeps eight for each core


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """While modules are imported: what they make stays, and to look through it again and again takes a quarter of that time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def tune_memory() -> None:
    """For a process that has loaded all it needs, before it starts threads: 160,000 objects stay to its end, and are left alone
    from now on.

    What a request or a task leaves behind is nearly all gone without the collector. Called before children are forked, it keeps
    what they share from being copied, too. Each thread would get a heap of its own, and each heap keeps the most that it ever held:
    under ten thousand uploads an API grew by 60 MB that nothing was in.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, *OLDER)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc
        mallopt(M_ARENA_MAX, ARENAS)
