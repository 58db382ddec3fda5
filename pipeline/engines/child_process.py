"""The child side of `pipeline.engines.process_pool`: one process that holds one engine and answers its calls, one after the other.

Run as a script with the descriptors of the channel and of the parent pipe. The channel is a stream socket; each message is a
length of 8 bytes and a pickle, both ends being the same program. The first message is (sys.path, "module:class", arguments);
every later one (method, arguments), answered by (True, result) or (False, exception).

The parent pipe is one that nobody ever writes to and whose other end only the parent holds: when the parent dies, however it
dies, the kernel closes that end and sends SIGIO, whose default action kills this process even while a library holds the GIL.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import pickle
import select
import signal
import socket
import struct
import sys
import time
from typing import Any

_LENGTH = struct.Struct("!Q")


def send(channel: socket.socket, message: Any) -> None:
    """Send one message within the socket's timeout. Raises OSError."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    channel.sendall(_LENGTH.pack(len(body)) + body)


def receive(channel: socket.socket, deadline: float | None = None) -> Any:
    """The next message. Raises EOFError when the other side is gone, TimeoutError at the deadline (time.monotonic)."""
    (length,) = _LENGTH.unpack(_exactly(channel, _LENGTH.size, deadline))
    return pickle.loads(_exactly(channel, length, deadline))  # noqa: S301 - only our own process writes to this socket


def _exactly(channel: socket.socket, count: int, deadline: float | None) -> bytearray:
    data = bytearray(count)
    view = memoryview(data)
    while view:
        if deadline is not None:
            channel.settimeout(max(0.001, deadline - time.monotonic()))
        received = channel.recv_into(view)
        if not received:
            raise EOFError("the other side of the engine's channel is gone")
        view = view[received:]
    return data


def main() -> None:
    """Answer calls until the parent closes the channel or dies."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    _die_with_the_parent(int(sys.argv[2]))
    sys.path[:], target, arguments = receive(channel)
    module, _, name = target.partition(":")
    engine: Any = None
    while True:
        try:
            method, call_arguments = receive(channel)
        except EOFError:
            return
        try:
            engine = engine or getattr(importlib.import_module(module), name)(*arguments)
            answer = (True, getattr(engine, method)(*call_arguments))
        except Exception as error:  # noqa: BLE001 - every failure of an engine belongs to its caller
            answer = (False, error)
        _answer(channel, answer)


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


def _answer(channel: socket.socket, answer: tuple[bool, Any]) -> None:
    try:
        send(channel, answer)
    except (pickle.PicklingError, TypeError, AttributeError):
        send(channel, (False, RuntimeError(f"the engine's answer cannot be sent: {answer[1]!r}")))


if __name__ == "__main__":
    main()
