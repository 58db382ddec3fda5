"""SQLite's file is its owner's alone: it holds keys' hashes, signing secrets and transcripts' prompts.

SQLite gives its write-ahead log and the shared memory beside it the mode of the file itself.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

OWNERS_ALONE = 0o600
_OTHERS = 0o077
BESIDE = ("", "-wal", "-shm", "-journal")  # what SQLite adds to the file's name


def keep_private(path: Path) -> None:
    """Make the file, if there is none, so that no umask opens it; take others' rights to one that is ours."""
    with contextlib.suppress(OSError):  # whoever opens the database tells better what is wrong with the place
        if not path.exists():
            # Without opening it: a process that closes a file loses all locks on it, those of SQLite's connections included.
            try:
                os.mknod(path, stat.S_IFREG | OWNERS_ALONE)
            except PermissionError:  # macOS lets root alone do so; the file is new, and nobody has locked it yet
                os.close(os.open(path, os.O_CREAT | os.O_EXCL, OWNERS_ALONE))
    with contextlib.suppress(OSError):
        for one in (path.with_name(path.name + suffix) for suffix in BESIDE):
            if is_exposed(one) and one.stat().st_uid == os.geteuid():
                one.chmod(OWNERS_ALONE)


def is_exposed(path: Path) -> bool:
    """Whether others than its owner may do anything with it."""
    return path.exists() and bool(stat.S_IMODE(path.stat().st_mode) & _OTHERS)
