"""A stored object as a file on this machine, for as long as somebody reads it.

The file is locked while in use. A process that was killed leaves its file behind, but not the lock: that is how the next
one knows what to remove.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.storage.base import disk_errors

PREFIX = "stenopool-fetched-"
YOUNG_SECONDS = 60.0  # a file is made first and locked a moment later


@contextmanager
def temp_copy(blocks: Iterable[bytes], folder: Path | None = None) -> Iterator[Path]:
    """Write the blocks to a temporary file, hand it out, remove it. Raises StorageFull, and what `blocks` raises."""
    folder = folder or Path(tempfile.gettempdir())
    with disk_errors():
        remove_orphans(folder)
        handle, name = tempfile.mkstemp(prefix=PREFIX, dir=folder)
    path = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            for block in blocks:
                with disk_errors():
                    file.write(block)
            with disk_errors():
                file.flush()
            yield path
    finally:
        path.unlink(missing_ok=True)


def remove_orphans(folder: Path) -> None:
    """Remove what killed processes left in `folder`."""
    for path in folder.glob(f"{PREFIX}*"):
        with suppress(OSError):  # somebody else removed it, or it is locked: in use
            if time.time() - path.stat().st_mtime < YOUNG_SECONDS:
                continue
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
