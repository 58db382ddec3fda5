"""The parent's side of one engine process: how it is started, asked, and ended."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import psutil

from pipeline.engines import wire
from pipeline.engines.engine_protocol import EngineSpec

_GROWTH, _ROOM = (
    2,
    2**29,
)  # an engine that holds more than so many times, and so many bytes, what its first call left is replaced
_GOODBYE_S = 2.0  # an idle engine ends at once when its channel closes
# What waits for more work gives its processor to others instead of turning round and round on it.
_ENVIRON = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


def command(call: str, *words: str) -> list[str]:
    """How a function of ours, "module:function", is run in a fresh interpreter that finds what we find; it gets the words."""
    module, _, name = call.partition(":")
    boot = (
        f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {module} import {name}; {name}(*sys.argv[2:])"
    )
    return [sys.executable, "-P", "-c", boot, json.dumps(sys.path), *words]


class EngineProcess:
    """One child process, with its channel and its parent pipe. Raises OSError where it cannot be started."""

    def __init__(self, spec: EngineSpec) -> None:
        ours, theirs = socket.socketpair()
        parent_pipe_theirs, self._parent_pipe = os.pipe()
        self._channel, self._first = ours, 0
        try:
            self._process = subprocess.Popen(
                command("pipeline.engines.child_process:main", str(theirs.fileno()), str(parent_pipe_theirs)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), parent_pipe_theirs),
                env=_environ(os.environ),
                process_group=0,  # Ctrl-C in a terminal is for us; we end our engines when we are done with them
            )
            start = {"target": spec.target, "arguments": spec.arguments, "network": spec.network}
            wire.send(ours, start)
        except BaseException:
            self._let_go()
            raise
        finally:
            theirs.close()
            os.close(parent_pipe_theirs)

    def ask(self, message: Any, deadline: float) -> dict[str, Any]:
        """Send a call and wait for its answer. Raises TimeoutError, EOFError, OSError."""
        self._channel.settimeout(max(0.001, deadline - time.monotonic()))
        wire.send(self._channel, message)
        answer: dict[str, Any] = wire.receive(self._channel, deadline)
        self._first = self._first or _resident(self._process.pid)
        return answer

    def outgrown(self) -> bool:
        """Whether it holds far more memory than it needs: a leak of a library's must not become the machine's."""
        return _resident(self._process.pid) > _GROWTH * self._first + _ROOM

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """At once, whatever it does."""
        self._process.kill()

    def end(self) -> None:
        """Close the channel, which an idle engine takes as goodbye, and reap the process."""
        self._let_go()
        try:
            self._process.wait(_GOODBYE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def disown(self) -> None:
        """Forget a process that is not ours but our parent's."""
        self._let_go()
        self._process.returncode = 0  # it is not our child: Popen must neither wait for it nor warn about it

    def _let_go(self) -> None:
        self._channel.close()
        if self._parent_pipe >= 0:
            os.close(self._parent_pipe)
            self._parent_pipe = -1


def _environ(ours: Mapping[str, str]) -> dict[str, str]:
    return {**_ENVIRON, **ours}


def _resident(pid: int) -> int:
    """Bytes of memory; 0 where this system does not tell."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
