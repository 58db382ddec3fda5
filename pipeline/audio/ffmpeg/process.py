"""A running ffmpeg: its output in blocks, its log read on the way, and its end, whatever happens."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import subprocess
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import IO

from pipeline.audio.ffmpeg.binary import Ffmpeg
from pipeline.audio.ffmpeg.decoder_progress import LOOK, DecoderProgress
from pipeline.audio.ffmpeg.feeder import Feeder
from pipeline.audio.ffmpeg.log_parser import Log
from pipeline.audio.ffmpeg.sandbox import Level, end, launch
from pipeline.errors import SandboxFailed
from pipeline.measurement.process_counters import FFMPEG_RUNS, OK, STOPPED

BLOCK_BYTES = 64 * 1024
STALL_SECONDS = 60.0
_PIPE_BYTES = 2**20  # what Linux lets anybody have; ffmpeg works on while we are busy elsewhere


class Child:
    """One ffmpeg. A single thread polls both of its pipes, so neither can fill up while we wait for the other.

    `excused()` says that a silence is not ffmpeg's fault, as when its own input waits for somebody; `progress` tells a silence that
    is the file's. A `feeder` brings the input, and fails it.
    """

    def __init__(
        self,
        tool: Ffmpeg,
        arguments: Sequence[str],
        *,
        level: Level,
        cpu_seconds: int,
        stdin: int,
        stall_seconds: float = STALL_SECONDS,
        excused: Callable[[], bool] = lambda: False,
        progress: DecoderProgress | None = None,
        feeder: Feeder | None = None,
    ) -> None:
        self._counted = False
        self._process = launch(tool, arguments, level=level, cpu_seconds=cpu_seconds, stdin=stdin)
        assert self._process.stdout and self._process.stderr
        self._output, self._errors = self._process.stdout.fileno(), self._process.stderr.fileno()
        self._poll = select.poll()
        self._open = {self._output, self._errors}
        for descriptor in self._open:
            self._poll.register(descriptor, select.POLLIN)
        with contextlib.suppress(OSError, AttributeError):  # over the user's share of pipe memory, or not Linux
            fcntl.fcntl(self._output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._stall_seconds = stall_seconds
        self._excused = feeder.waits if feeder else excused
        self._progress = progress
        self._feeder = feeder
        if feeder and self._process.stdin:
            feeder.start(self._process.stdin)
        self.log = Log()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process group as well."""
        return self._process.pid

    @property
    def stdin(self) -> IO[bytes] | None:
        """The input's end when it is a pipe. Whoever writes closes it."""
        return self._process.stdin

    @property
    def returncode(self) -> int | None:
        """Known once `read` has given b""."""
        return self._process.returncode

    def read(self, size: int = BLOCK_BYTES) -> bytes:
        """Up to `size` bytes of output; b"" at its end, when the log is complete and the process is reaped.

        Raises SandboxFailed when nothing comes for `stall_seconds`; AudioStalled, told by `progress`, when it works for nothing;
        and what the feeder met.
        """
        patience = time.monotonic() + self._stall_seconds
        while self._open:
            left = patience - time.monotonic()
            if left <= 0:
                if not self._excused():
                    raise SandboxFailed("ffmpeg made no progress.", seconds=self._stall_seconds)
                patience += self._stall_seconds
            ready = self._ready(left)
            if self._errors in ready:
                self._listen()
            if self._output in ready and (block := self._taken(self._output, size)):
                self._catch_up()
                if self._progress:
                    self._progress.moved()
                return block
        self._reap()
        if self._feeder:
            self._feeder.finish()
        return b""

    def close(self) -> None:
        """Kill and reap it, and close our ends of its output. May be called twice."""
        if self._process.returncode is None:
            self._count(STOPPED)
        end(self._process)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()
        self._open.clear()

    def _catch_up(self) -> None:
        """What was said before these samples were written is read before they are handed on (frame_events)."""
        while self._errors in self._open and any(descriptor == self._errors for descriptor, _ in self._poll.poll(0)):
            self.log.feed(self._taken(self._errors, BLOCK_BYTES))

    def _ready(self, seconds: float) -> set[int]:
        """What can be read within that time, or sooner nothing, to look what became of ffmpeg."""
        if self._progress:
            self._progress.look(self.pid)
            seconds = min(seconds, LOOK)
        return {descriptor for descriptor, _ in self._poll.poll(max(seconds, 0) * 1000)}

    def _listen(self) -> None:
        log = self._taken(self._errors, BLOCK_BYTES)
        self.log.feed(log)
        if self._progress:
            self._progress.complained(log)

    def _taken(self, descriptor: int, size: int) -> bytes:
        data = os.read(descriptor, size)
        if not data:
            self._open.discard(descriptor)
            self._poll.unregister(descriptor)
        return data

    def _reap(self) -> None:
        try:
            self._process.wait(self._stall_seconds)
        except subprocess.TimeoutExpired as error:
            raise SandboxFailed("ffmpeg did not end.", seconds=self._stall_seconds) from error
        self._count("failed" if self._process.returncode else OK)
        self.log.close()

    def _count(self, outcome: str) -> None:
        """Once, however often it is read at its end, or closed."""
        if not self._counted:
            FFMPEG_RUNS.add(outcome)
        self._counted = True
