"""Files without a name, for what ffmpeg has to leap about in."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable


def scratch() -> int:
    """A descriptor of an empty file that has no name, in memory where the system can. It is gone when it is closed."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("media")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def filled(blocks: Iterable[bytes]) -> int:
    """The same with these bytes in it, at its beginning."""
    descriptor = scratch()
    try:
        for block in blocks:
            write_all(descriptor, block)
    except BaseException:
        os.close(descriptor)
        raise
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def write_all(descriptor: int, data: bytes) -> None:
    """From where the file stands on."""
    with memoryview(data) as left:
        offset = 0
        while offset < len(left):
            offset += os.write(descriptor, left[offset:])
