"""A run that is alone in its report, and that can be stopped at any moment."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

import typer
from filelock import FileLock, Timeout

from cli.exits import INTERRUPTED
from pipeline.errors import InvalidRequest, WrongState


@contextlib.contextmanager
def only_one(output: Path, report: Path) -> Iterator[None]:
    """Nobody else works on this report meanwhile. Raises WrongState, InvalidRequest when it cannot be written."""
    try:
        for folder in (output, report / "parts"):
            folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(report / "lock")
        lock.acquire(timeout=0)
    except Timeout as error:
        raise WrongState(f"Another `stenopool bulk` works on {report}.") from error
    except OSError as error:
        raise InvalidRequest(f"{report} cannot be written: {error.strerror}", param="output") from error
    with lock:
        for left in (report / "parts").iterdir():  # by a run that was killed
            left.unlink(missing_ok=True)
        yield


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM is as Ctrl-C, and a second one leaves at once."""

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGINT, _leave_now)
        signal.signal(signal.SIGTERM, _leave_now)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is stop:
                signal.signal(number, handler)


def _leave_now(_number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(INTERRUPTED)


def pause(seconds: float) -> None:
    try:
        time.sleep(seconds)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
