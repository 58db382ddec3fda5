"""The recording's bytes: opened once, looked at, and handed to ffmpeg as a descriptor, so that no name is ever passed."""

from __future__ import annotations

import os
import stat
import tempfile
from functools import partial
from pathlib import Path

from pipeline.audio.containers.table import MP4, Found
from pipeline.audio.mp4_boxes import HEADER_BYTES, check_complete
from pipeline.audio.raw_sound import RawSound
from pipeline.audio.sniff import LOOK_BYTES, sniff_file
from pipeline.errors import InputMissing, UnsupportedMedia


def opened(source: Path | bytes) -> int:
    """A descriptor at the start of a regular file. The kernel drops bytes held in memory with their last descriptor."""
    if isinstance(source, bytes):
        return _in_memory(source)
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a named pipe would wait for a writer
    except OSError as error:
        raise InputMissing("The recording could not be opened.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnsupportedMedia("This is not a file.")
    return descriptor


def scratch() -> int:
    """A descriptor of an empty file that has no name, in memory where the system can. It is gone when it is closed."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("media")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _in_memory(data: bytes) -> int:
    descriptor = scratch()
    with memoryview(data) as left:
        offset = 0
        while offset < len(left):
            offset += os.write(descriptor, left[offset:])
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def found_in(descriptor: int, declared: RawSound | None = None) -> Found:
    """What the open file is: as declared, or by its bytes.

    Raises EmptyMedia, UnsupportedMedia, DamagedMedia for an MP4 that is not all there.
    """
    if declared:
        return declared.found
    found = sniff_file(partial(os.pread, descriptor, LOOK_BYTES))
    if found.container is MP4:

        def read(offset: int) -> bytes:
            return os.pread(descriptor, HEADER_BYTES, found.start + offset)

        check_complete(read, os.fstat(descriptor).st_size - found.start)
    return found
