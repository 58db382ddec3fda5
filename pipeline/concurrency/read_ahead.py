"""Blocks read ahead of whoever wants them, in a thread: so that one can see for a moment whether they end soon."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from contextvars import copy_context
from time import monotonic
from types import TracebackType

_MOST_BLOCKS = 8  # that wait to be read, once it is known whether they end soon


class ReadAhead:
    """Iterates over `source`, which is asked in a thread from the first use on; what it raises is raised here, in its turn.

    Closing it does not wait: the thread ends with the block that it waits for, and closes a generator then.
    """

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source
        self._blocks: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._began: float | None = None  # when the first block came
        self._caught = _Caught()
        self._ended = self._closed = False
        self._watched = True

    def ends_within(self, seconds: float) -> bool:
        """Whether the last block comes within `seconds` of the first, which may take its time. An error is no end.

        Until this is known all blocks are kept, whether they are read meanwhile or not.
        """
        self._start()
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._began is not None)
            until = monotonic() if self._began is None else self._began + seconds
            self._changed.wait_for(lambda: self._ended, max(0.0, until - monotonic()))
            self._watched = False
            self._changed.notify_all()
            return self._ended and not self._caught.error

    def __iter__(self) -> Generator[bytes, None, None]:
        self._start()
        try:
            while (block := self._next()) is not None:
                yield block
        finally:
            self.close()
        if self._caught.error:
            raise self._caught.error

    def close(self) -> None:
        """What has not been read yet is not wanted any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=copy_context().run, args=(self._run,), name="read-ahead", daemon=True
            )
            self._thread.start()

    def _next(self) -> bytes | None:
        with self._changed:
            self._changed.wait_for(lambda: self._blocks or self._ended)
            if not self._blocks:
                return None
            block = self._blocks.popleft()
            self._changed.notify_all()
            return block

    def _run(self) -> None:
        with self._caught:
            for block in self._source:
                if not self._took(block):
                    break
        with self._caught:
            if isinstance(self._source, Generator):
                self._source.close()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _took(self, block: bytes) -> bool:
        """False when nobody wants more."""
        with self._changed:
            self._blocks.append(block)
            self._began = self._began or monotonic()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or self._watched or len(self._blocks) < _MOST_BLOCKS)
            return not self._closed


class _Caught(AbstractContextManager["_Caught"]):
    """Keeps the first error that happens inside, to be raised in another thread."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = self.error or error
        return True
