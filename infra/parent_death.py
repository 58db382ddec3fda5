"""A child that dies with its parent, whatever kills the parent: `python -m infra.parent_death COMMAND…`.

The kernel is asked to send SIGKILL when the parent goes (PR_SET_PDEATHSIG), then the command takes this process' place;
the request survives the exec. Two traps, from prctl(2): the "parent" is the *thread* that spawned this process, so a
supervisor has to spawn from its main thread (a worker thread that ends would take the child with it), and the request is
forgotten when a set-user-ID program is executed. Elsewhere than on Linux the command merely runs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1  # linux/prctl.h
USAGE = 64  # EX_USAGE
GONE = 70  # EX_SOFTWARE: the parent died before the signal was asked for


def tied_to_parent(command: Sequence[str], *, parent: int | None = None) -> list[str]:
    """The argument list that runs `command` tied to the process `parent` (default: this one)."""
    # Isolated and without site-packages: it starts in 10 ms and cannot be misled by the folder it is started in.
    return [sys.executable, "-I", "-S", __file__, f"--parent={parent or os.getpid()}", *command]


def die_with_parent(parent: int | None = None) -> bool:
    """Tie this process to its parent. False when `parent` (a pid) is already gone.

    Raises OSError where the kernel refuses.
    """
    prctl = getattr(ctypes.CDLL(None, use_errno=True), "prctl", None)
    if prctl is None:  # not Linux
        return True
    if prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
    # A parent that died before the prctl sends no signal any more: whoever adopted us has another pid.
    return parent is None or os.getppid() == parent


def main(arguments: Sequence[str]) -> int:
    """Tie, then become the command."""
    words = list(arguments)
    parent = int(words.pop(0).removeprefix("--parent=")) if words and words[0].startswith("--parent=") else os.getppid()
    if not words:
        sys.stderr.write("usage: python -m infra.parent_death COMMAND…\n")
        return USAGE
    if not die_with_parent(parent):
        return GONE
    return os.execvp(words[0], words)  # noqa: S606 - the point: no shell, and this process is replaced


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
