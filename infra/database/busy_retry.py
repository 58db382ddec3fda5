"""Waiting for another process that writes to the same SQLite file.

SQLite's own waiting blocks its thread, and for some statements it does none.
"""

from __future__ import annotations

import sqlite3
import time

from pipeline.concurrency.greenlet_io import sleep

BUSY_SECONDS = 30
_PAUSE, _LONGEST_PAUSE = 0.001, 0.05  # seconds; each twice the one before


def retry_while_busy(connection: sqlite3.Connection, statement: str) -> None:
    """Run it, again and again while the file is busy. Raises sqlite3.OperationalError when it still is after BUSY_SECONDS."""
    until, wait = time.monotonic() + BUSY_SECONDS, _PAUSE
    while True:
        try:
            connection.execute(statement)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        else:
            return
        sleep(wait)
        wait = min(2 * wait, _LONGEST_PAUSE)
