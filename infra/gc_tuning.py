"""Python's collector of cycles, told what need not be looked through."""

from __future__ import annotations

import gc

NEW_OBJECTS = 10_000  # between two looks; Python's own 700 are soon made
# Looks at the new until one at those that were left, and so on; seldom would let memory grow by tens of MiB.
OLDER = (5, 5)


def tune_gc() -> None:
    """For a process that has loaded all it needs: 160,000 objects stay to its end, and are left alone from now on.

    What a request or a task leaves behind is nearly all gone without the collector. Called before children are forked, it keeps
    what they share from being copied, too.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, *OLDER)
