"""Messages between callers and engines: JSON, and raw bytes behind it. Nothing that arrives can do more than be read.

A message is a plain value: None, a truth value, number or text, lists of such and tables by name, and bytes anywhere among them.
On the stream it is the lengths of its two parts, the JSON, and all bytes one after the other, for which the JSON has places.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import time
from typing import Any

from pipeline import errors
from pipeline.errors import StenopoolError

_LENGTHS = struct.Struct("!IQ")
_PLACE = "\0"  # the name that stands for bytes of this length; no table of ours has one like it
_MOST = 2**32  # bytes; more is no message


class EngineFault(Exception):
    """What an engine raised that is none of our errors, in its own words: for the log."""


def send(channel: socket.socket, message: Any) -> None:
    """Send one message within the socket's timeout. Raises OSError, TypeError for what is no plain value."""
    raw: list[bytes] = []

    def place(value: Any) -> dict[str, int]:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise TypeError(f"{type(value).__name__} cannot be sent")
        raw.append(bytes(value))
        return {_PLACE: len(raw[-1])}

    text = json.dumps(message, default=place).encode()
    channel.sendall(_LENGTHS.pack(len(text), sum(map(len, raw))) + text)
    for part in raw:
        channel.sendall(part)


def receive(channel: socket.socket, deadline: float | None = None) -> Any:
    """The next message. Raises EOFError when the other side is gone, TimeoutError at the deadline (time.monotonic), OSError."""
    text, raw = _LENGTHS.unpack(_exactly(channel, _LENGTHS.size, deadline))
    if text + raw > _MOST:
        raise OSError("what arrived on an engine's channel is no message")
    content = _exactly(channel, text, deadline)
    data, at = memoryview(_exactly(channel, raw, deadline)), 0

    def fill(table: dict[str, Any]) -> Any:
        nonlocal at
        if _PLACE not in table:
            return table
        at += table[_PLACE]
        return bytes(data[at - table[_PLACE] : at])

    return json.loads(content, object_hook=fill)


def gone(channel: socket.socket) -> bool:
    """Whether the other side has hung up. Takes nothing from the channel and waits for nothing: another thread may read it now."""
    poll = select.poll()
    poll.register(channel, 0)  # what has arrived does not matter; that nothing can come any more is told unasked
    return bool(poll.poll(0))


def told(error: Exception) -> dict[str, Any]:
    """An error as a plain value."""
    if isinstance(error, StenopoolError):
        return {"error": type(error).__name__, "message": error.message, "details": error.details}
    return {"error": "", "message": f"{type(error).__name__}: {error}", "details": {}}


def as_error(value: dict[str, Any]) -> Exception:
    """What `told` was made of: one of our errors, or an EngineFault."""
    kind = getattr(errors, value["error"], None) if value["error"] else None
    if isinstance(kind, type) and issubclass(kind, StenopoolError):
        return kind(value["message"], **value["details"])
    return EngineFault(value["message"])


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
