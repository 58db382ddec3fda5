"""A terminal, with somebody who reads and types."""

import contextlib
import fcntl
import os
import pty
import signal
import subprocess
import termios
from collections.abc import Mapping, Sequence

from tests.support.waiting import wait_until

PATIENCE = 90.0  # seconds


class Terminal:
    """A command on a terminal of its own, so that a typed Ctrl-C reaches it as it does from a keyboard."""

    def __init__(self, words: Sequence[str], environ: Mapping[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        os.set_blocking(self._ours, False)
        self._seen = ""
        self.process = subprocess.Popen(
            words,
            env={**environ, "TERM": "xterm", "COLUMNS": "200"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_take_over,  # noqa: PLW1509 - no threads in this test
        )
        os.close(theirs)

    def read_until(self, text: str) -> str:
        """Everything shown so far, once it holds `text`."""

        def holds() -> bool:
            with contextlib.suppress(BlockingIOError, OSError):
                self._seen += os.read(self._ours, 65536).decode(errors="replace")
            return text in self._seen

        wait_until(holds, seconds=PATIENCE)
        return self._seen

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())


def _take_over() -> None:
    """What a shell does in a child of its own: tests that run in the background have Ctrl-C switched off for all their children."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
