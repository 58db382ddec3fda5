"""A disk that can be filled: a small file system of its own, or, where this user may mount none, files that must not grow."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

BLOCK = bytes(1 << 20)


class SmallDisk:
    """`folder` is the disk. Filled, whoever writes to it has no room left: ENOSPC, or EFBIG where it is no disk of its own."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0777", "nemesis", str(folder)]
        self.is_mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0
        self._ballast = folder / "ballast"
        self._held: list[psutil.Process] = []

    def fill(self, pids: Iterable[int]) -> None:
        """Take all its room; `pids` write to it."""
        if not self.is_mounted:
            self._hold(pids)
            return
        with self._ballast.open("wb", buffering=0) as file:
            for block in (BLOCK, BLOCK[:4096], BLOCK[:1]):
                with contextlib.suppress(OSError):
                    while file.write(block):
                        pass

    def free(self) -> None:
        """There is room again."""
        self._ballast.unlink(missing_ok=True)
        held, self._held = self._held, []
        for process in held:
            with contextlib.suppress(psutil.Error):
                process.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def close(self) -> None:
        """Give it back."""
        self.free()
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], capture_output=True, check=False)

    def _hold(self, pids: Iterable[int]) -> None:
        for pid in pids:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                process.rlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
                self._held.append(process)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """One until the block ends."""
    disk = SmallDisk(folder, megabytes)
    try:
        yield disk
    finally:
        disk.close()
