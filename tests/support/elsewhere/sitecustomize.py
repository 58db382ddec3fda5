"""Linux without what Linux alone has: for processes that have this folder on PYTHONPATH. `make elsewhere` runs tests so.

There is no os.sched_*, no os.memfd_create, no prctl and no pipe size, and nothing of ours opens a file of /proc; psutil, which has
ways of its own on every system, still does.
"""

from __future__ import annotations

import fcntl
import os
import sys
from typing import Any

HIDDEN = ("SCHED_", "sched_", "memfd_create", "MFD_", "pidfd_open", "P_PIDFD")
_OF_OTHERS = ("psutil", "importlib")


def _refuse(event: str, given: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(given[0], str | bytes) and os.fsdecode(given[0]).startswith("/proc/"):
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if not caller.startswith(_OF_OTHERS):
            raise FileNotFoundError(2, "there is no /proc here", given[0])
    if event == "ctypes.dlsym" and given[1] == "prctl":
        raise AttributeError("there is no prctl here")


for _module, _names in ((os, HIDDEN), (fcntl, ("F_SETPIPE_SZ", "F_GETPIPE_SZ"))):
    for _name in [name for name in dir(_module) if name.startswith(_names)]:
        delattr(_module, _name)
sys.addaudithook(_refuse)
