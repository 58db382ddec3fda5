"""The child side of `pipeline.engines.process_pool`: one process that holds one engine and answers its calls, one after the other.

Run with the descriptors of the channel and of the parent pipe. The first message is the engine's class as "module:class" and its
arguments; every later one a method and its arguments, answered by {"answer": …} or {"error": …}.

The parent pipe is one that nobody ever writes to and whose other end only the parent holds: when the parent dies, however it
dies, the kernel closes that end and sends SIGIO, whose default action kills this process even while a library holds the GIL.

No engine reaches a network, unless it was started to fetch its own model: what it needs, the model store has put on the disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from pipeline.engines import wire

# Libraries that would ask their hub whether what lies on the disk is still the newest.
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
_DIALLING = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")


class NoNetwork(OSError):
    """An engine wanted to reach a network."""


def main(channel: str, parent_pipe: str) -> None:
    """Answer calls until the parent closes the channel or dies."""
    _die_with_the_parent(int(parent_pipe))
    _die_first()
    answer_calls(socket.socket(fileno=int(channel)))


def answer_calls(channel: socket.socket) -> None:
    """Until the other side is gone."""
    start = wire.receive(channel)
    if not start["network"]:
        stay_offline()
    engine: Any = None
    while True:
        try:
            call = wire.receive(channel)
        except EOFError:
            return
        try:
            engine = engine or _made(start["target"], start["arguments"])
            answer = {"answer": getattr(engine, call["method"])(*call["arguments"])}
        except Exception as error:  # noqa: BLE001 - every failure of an engine belongs to its caller
            answer = wire.told(error)
        _answer(channel, answer)


def stay_offline() -> None:
    """From now on nothing in this process can dial; what it is connected to already, it stays connected to."""
    os.environ.update(OFFLINE)

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _DIALLING and not _is_local(arguments[0]):
            raise NoNetwork("an engine's process has no network")

    sys.addaudithook(refuse)


def _is_local(dialled: Any) -> bool:
    return getattr(dialled, "family", None) == socket.AF_UNIX


def _made(target: str, arguments: list[Any]) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)(*arguments)


def _die_with_the_parent(parent_pipe: int) -> None:
    """Have the kernel kill this process when the pipe's other end is closed; it may already be."""
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGIO})
    fcntl.fcntl(parent_pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(parent_pipe, fcntl.F_SETFL, fcntl.fcntl(parent_pipe, fcntl.F_GETFL) | os.O_ASYNC)
    watch = select.poll()
    watch.register(parent_pipe, select.POLLHUP)
    if watch.poll(0):
        os._exit(1)


def _die_first() -> None:
    """Where the machine's memory ends, the kernel ends us rather than whoever holds the jobs: we are replaced."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", "ascii")


def _answer(channel: socket.socket, answer: dict[str, Any]) -> None:
    try:
        wire.send(channel, answer)
    except TypeError as error:
        wire.send(channel, wire.told(error))
