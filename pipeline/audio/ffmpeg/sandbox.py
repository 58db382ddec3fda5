"""The cell that ffmpeg runs in, because what it reads came from strangers.

Two levels. *bubblewrap*: namespaces of its own, so no network, no processes, and of the file system only the system's
libraries and the program. *limits*: what any machine can do. Both have a scrubbed environment, resource limits set
before the program starts, and the input as descriptor 0 instead of a path.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import psutil

from pipeline.audio.ffmpeg.binary import Ffmpeg, find_ffmpeg
from pipeline.errors import SandboxFailed
from pipeline.measurement.process_counters import FFMPEG_RUNS

Level = Literal["bubblewrap", "limits"]

_MEMORY_BYTES = 1536 * 2**20  # of address space: the program itself maps 170 MiB, each thread's stack 8
_OPEN_FILES = 64
_SELF_TEST_SECONDS = 20.0
_GRACE_SECONDS = 1.0
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "MALLOC_ARENA_MAX": "2"}  # an arena reserves 64 MiB
_INSIDE = "/ffmpeg"  # where bubblewrap shows the program
_LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib")
_LOADER = ("/etc/ld.so.cache", "/etc/alternatives")  # Debian's libblas is a link through the latter
# The limits must hold before the first byte is read, in the child alone. A shell's `ulimit` does that everywhere; setting
# them between fork and exec from Python is not safe with threads. The script is constant: what it runs comes as arguments.
_LIMITED = 'ulimit -c 0; ulimit -f 0; ulimit -n "$1"; ulimit -t "$2"; ulimit -v "$3"; shift 3; exec "$@"'


@cache
def sandbox_level() -> Level:
    """What is in force in this process: "bubblewrap" where it passes a test run, else "limits"."""
    try:
        test = subprocess.run(
            confined(find_ffmpeg(), ["-version"], level="bubblewrap", cpu_seconds=60),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SELF_TEST_SECONDS,
            env=_ENVIRONMENT,
            check=False,
        )
    except (OSError, subprocess.SubprocessError, SandboxFailed):
        return "limits"
    return "bubblewrap" if test.returncode == 0 else "limits"


def launch(
    tool: Ffmpeg, arguments: Sequence[str], *, level: Level, cpu_seconds: int, stdin: int
) -> subprocess.Popen[bytes]:
    """Start ffmpeg confined, with pipes for its output and its log. Raises SandboxFailed. Give it back to `end`."""
    command = confined(tool, arguments, level=level, cpu_seconds=cpu_seconds)
    try:
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=_ENVIRONMENT,
            cwd="/",
            start_new_session=True,  # one group to kill, and no terminal to write to
        )
    except OSError as error:
        FFMPEG_RUNS.add("not_started")
        raise SandboxFailed("ffmpeg could not be started.") from error


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of it and reap it. Does nothing to one that has ended."""
    if process.poll() is not None:
        return
    cell = children(process.pid)
    for child in cell:  # bubblewrap then sees its cell die and reaps it, so that nobody inherits a zombie
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    if cell:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
            return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def confined(tool: Ffmpeg, arguments: Sequence[str], *, level: Level, cpu_seconds: int) -> list[str]:
    """The argument list that runs ffmpeg inside the cell. Raises SandboxFailed where there is no bubblewrap."""
    limits = (
        _at_most(resource.RLIMIT_NOFILE, _OPEN_FILES),
        _at_most(resource.RLIMIT_CPU, cpu_seconds),
        _at_most(resource.RLIMIT_AS, _MEMORY_BYTES) // 1024,
    )
    program = [*_walls(tool), _INSIDE] if level == "bubblewrap" else [tool.path]
    return ["/bin/sh", "-c", _LIMITED, "sh", *map(str, limits), *program, *arguments]


def _walls(tool: Ffmpeg) -> list[str]:
    """bubblewrap and its options.

    Not --die-with-parent: that is the parent's *thread*, and a stream may outlive the thread that began it. When our
    process dies, ffmpeg ends at its next write into the closed pipe, or at its limit of processor time.
    """
    bubblewrap = shutil.which("bwrap")
    if not bubblewrap:
        raise SandboxFailed("bubblewrap is not installed.")
    walls = [bubblewrap, "--unshare-all", "--as-pid-1", "--cap-drop", "ALL", "--ro-bind", tool.path, _INSIDE]
    for place in _LIBRARIES:
        if Path(place).is_symlink():
            walls += ["--symlink", os.readlink(place), place]  # noqa: PTH115  # the text, not a path made of it
        else:
            walls += ["--ro-bind-try", place, place]
    for place in _LOADER:
        walls += ["--ro-bind-try", place, place]
    if not tool.reads_descriptors:
        walls += ["--proc", "/proc", "--symlink", "/proc/self/fd", "/dev/fd"]  # it opens its input as /dev/fd/0
    return [*walls, "--remount-ro", "/", "--chdir", "/", "--"]


def _at_most(limit: int, wanted: int) -> int:
    """`wanted`, or less where the machine allows less: asking for more would be an error."""
    hard = resource.getrlimit(limit)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def children(pid: int) -> list[int]:
    """The processes that it has started: where the kernel lists them, else by a look at every process."""
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    with contextlib.suppress(psutil.Error):
        return [child.pid for child in psutil.Process(pid).children()]
    return []
