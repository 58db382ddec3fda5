"""SQLite's write-ahead log, copied back into the database by a thread of its own.

Left to itself SQLite does that within a commit: every so often one request would wait until the disk has taken what many before
it have written, which is tens of milliseconds.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import AbstractContextManager, closing
from typing import Any

log = logging.getLogger(__name__)

# Bytes. A request writes a little in eight places at a time, and each place is a page in the log: SQLite's own 4,096 are four times
# as much to copy and to bring to the disk.
PAGE = 1024
COMMITS = 4_000  # between two times, with pages of this size; larger ones fill the log sooner
_PATIENCE = 0.05  # seconds in which readers and other processes must let it begin anew; else the next time does


class WalCheckpointer:
    """Copies in two goes: the bulk while others go on writing, then, in the process' turn, the little that has come meanwhile.
    After that nothing is left, and the next writer begins the log anew; otherwise it would grow as long as there is work.
    """

    def __init__(self, path: str, turn: AbstractContextManager[Any]) -> None:
        """`turn` is what this process' writers take."""
        self._path, self._turn = path, turn
        self._commits, self._most = 0, COMMITS
        self._due = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._keep, name="write-ahead log", daemon=True)
        self._thread.start()

    def committed(self) -> None:
        """Another transaction is in the log. For whoever has the turn."""
        self._commits += 1
        if self._commits >= self._most:
            self._commits = 0
            self._due.set()

    def close(self) -> None:
        """Wait for what is being copied; the rest is copied by whoever closes the database last."""
        self._closing = True
        self._due.set()
        self._thread.join()

    def _keep(self) -> None:
        with closing(sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=NORMAL")
            (page,) = connection.execute("PRAGMA page_size").fetchone()
            self._most = COMMITS * PAGE // page
            while self._due.wait() and not self._closing:
                self._due.clear()
                self._copy(connection)

    def _copy(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            with self._turn:
                connection.execute("PRAGMA wal_checkpoint(RESTART)")
        except sqlite3.OperationalError as error:  # the next time copies it as well
            log.warning("the write-ahead log could not be copied: %s", error)
