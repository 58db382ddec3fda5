"""A thread that carries bytes into a running ffmpeg."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterable
from contextvars import copy_context
from typing import IO

from pipeline.concurrency.read_ahead import ReadAhead


class Feeder:
    """The thread that carries the source's blocks to ffmpeg, so that its output is never behind a slow source."""

    def __init__(self, source: Iterable[bytes]) -> None:
        self._source = source
        self._error: BaseException | None = None
        self._asking = True
        self._thread: threading.Thread | None = None

    def start(self, sink: IO[bytes]) -> None:
        """Carry them there, and close it behind the last."""
        self._thread = threading.Thread(target=copy_context().run, args=(self._run, sink), name="feeder", daemon=True)
        self._thread.start()

    def waits(self) -> bool:
        """Whether the source is being asked right now, so that nothing can come out."""
        return self._asking

    def finish(self) -> None:
        """Wait for its end. Raises what the source raised."""
        assert self._thread
        self._thread.join()
        if self._error:
            raise self._error

    def _run(self, sink: IO[bytes]) -> None:
        try:
            for block in self._source:
                self._asking = False
                if not _written(block, sink):
                    break
                self._asking = True
        except BaseException as error:  # noqa: BLE001  # it is raised where the result is read
            self._error = error
        finally:
            self._asking = False
            with contextlib.suppress(BrokenPipeError):
                sink.close()
            if isinstance(self._source, Generator | ReadAhead):
                self._source.close()


def _written(block: bytes, sink: IO[bytes]) -> bool:
    """False when ffmpeg is gone: its listener left, or its exit code tells why."""
    left = memoryview(block)
    try:
        while left:
            left = left[sink.write(left) :]
    except BrokenPipeError:
        return False
    return True
