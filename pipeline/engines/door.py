"""How callers reach the process that holds a machine's engines, and start it where none runs."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import time
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.engines import wire
from pipeline.engines.engine_process import command
from pipeline.errors import EngineLost

_START_S = 30.0  # for a fresh interpreter on a busy machine
_GREETING_S = 10.0
_LOOK_S = 0.02


def clear_away(path: str) -> None:
    """The socket of one that has closed it, unless somebody starts another one there in this moment."""
    with contextlib.suppress(Timeout, OSError), FileLock(f"{path}.lock", timeout=0):
        Path(path).unlink()


class Door:
    """A socket in a folder of our own. Raises EngineLost where nobody can be reached, or the folder is not ours alone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def connected(self) -> socket.socket:
        """A connection to the one that runs, or to one that is started now."""
        with contextlib.suppress(OSError, EOFError):
            return self._greeted()
        try:
            self._check_folder()
            with FileLock(f"{self._path}.lock"):
                return self._started()
        except OSError as error:
            raise EngineLost("The engines of this machine cannot be reached") from error

    def _greeted(self) -> socket.socket:
        """One that ends in this moment may still take a connection, but greets nobody. Raises OSError, EOFError."""
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(self._path))
            wire.receive(connection, time.monotonic() + _GREETING_S)
        except BaseException:
            connection.close()
            raise
        connection.settimeout(None)
        return connection

    def _started(self) -> socket.socket:
        """With the lock held: another one may have been faster."""
        with contextlib.suppress(OSError, EOFError):
            return self._greeted()
        words = command("pipeline.engines.host:main", str(self._path))
        subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True, check=False)
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            with contextlib.suppress(OSError, EOFError):
                return self._greeted()
            time.sleep(_LOOK_S)
        raise EngineLost("The process that holds this machine's engines did not start: its own words are in the log")

    def _check_folder(self) -> None:
        """Whoever could write in it could answer in our name."""
        folder = self._path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077 or not stat.S_ISDIR(found.st_mode):
            raise EngineLost(f"{folder} is not a folder of this user alone: remove it, and it is made anew")
