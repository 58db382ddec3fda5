"""Find every process that a command started, also those that have lost their parent: by a mark in their environment."""

import contextlib
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from tests.support.waiting import wait_until

MARK = "STENOPOOL_TEST_MARK"
LEAVE_SECONDS = 90.0  # five on a quiet machine; these tests share theirs


class Marked:
    """An environment for commands, and who is alive in it."""

    def __init__(self, home: Path, temporary: Path, **settings: str) -> None:
        self.mark = uuid.uuid4().hex
        self.environ: Mapping[str, str] = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "TMPDIR": str(temporary),
            "STENOPOOL_HOME": str(home),
            "STENOPOOL_CPU_PROCESSES": "1",
            MARK: self.mark,
            **settings,
        }

    def alive(self) -> list[str]:
        """The command lines of all living processes that carry the mark; a zombie is not alive."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline()))
        return found

    def assert_gone(self) -> None:
        """Nothing is left, soon. bwrap clears its children's environment: ask for ffmpeg too."""
        wait_until(lambda: not self.alive(), seconds=LEAVE_SECONDS)

    def end(self) -> None:
        """Kill what a failed test left behind."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark:
                    process.kill()
                    process.wait(LEAVE_SECONDS)


@contextlib.contextmanager
def marked(folder: Path, **settings: str) -> Iterator[Marked]:
    """A home and a folder for temporary files in `folder`; at the end nothing may be alive."""
    home, temporary = folder / "home", folder / "tmp"
    home.mkdir()
    temporary.mkdir()
    place = Marked(home, temporary, **settings)
    try:
        yield place
    finally:
        left = place.alive()
        place.end()
    if left:
        pytest.fail(f"still alive at the end: {left}")
