"""Answers that have arrived and are not in the store yet, on this machine's own disk: the process that got them may die.

They need to outlive the process, not the machine, so nothing is synced: to keep one costs no more than a small file.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

HIDDEN = ".part-"


class AnswerSpool:
    """A folder with a file for each answer, by the name of its question."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, name: str, data: bytes) -> None:
        """Whole or not at all. Where the disk takes nothing, the process goes on with what it has in memory."""
        hidden = self._folder / f"{HIDDEN}{secrets.token_hex(8)}"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            hidden.replace(self._folder / name)
        except OSError as error:
            log.warning("an answer is in memory alone until it is stored: %s", error)
            with suppress(OSError):
                hidden.unlink(missing_ok=True)

    def find(self, name: str) -> bytes | None:
        """What a process of this machine has kept; None: nothing that can be read."""
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            return None

    def drop(self, name: str) -> None:
        """It is stored, or nobody wants it any more."""
        with suppress(OSError):
            (self._folder / name).unlink(missing_ok=True)

    def forget(self, older_than_seconds: float) -> int:
        """Delete what processes left behind that died, and nobody came for; returns how many."""
        forgotten = 0
        for path in self._folder.glob("*"):
            with suppress(OSError):  # somebody else drops it at this moment
                if time.time() - path.stat().st_mtime > older_than_seconds:
                    path.unlink()
                    forgotten += 1
        return forgotten
