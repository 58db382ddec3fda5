"""Answers that are sent while they are made, and work that stops when nobody waits for it any more."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.http.client_disconnect import disconnected

log = logging.getLogger("stenopool.api")

EVENT_STREAM = "text/event-stream"
KEEPALIVE = b": keepalive\n\n"  # a comment; the one heartbeat that no SDK stumbles over (contract.md section 1.5)
KEEPALIVE_SECONDS = 15.0
STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # no proxy may hold events back


def event(data: Mapping[str, Any], *, name: str | None = None, number: int | None = None) -> bytes:
    """One server-sent event. `name` and `number` only for streams that no SDK decodes."""
    head = (f"id: {number}\n" if number is not None else "") + (f"event: {name}\n" if name else "")
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


class Stream(Response):
    """Sends what `source` yields as it comes, and closes it whatever happens, also when the client leaves.

    A source that fails after the first byte leaves the answer unfinished: the connection is cut, and that is how a
    client learns of it.
    """

    def __init__(
        self,
        source: AsyncGenerator[bytes, None],
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        status_code: int = 200,
    ) -> None:
        self.source = source
        self.media_type = media_type
        self.status_code = status_code
        self.background = None
        self.init_headers(dict(headers or {}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self.source), anyio.create_task_group() as group:
            group.start_soon(_cancel_when_gone, receive, group.cancel_scope)
            await self._send(send)
            group.cancel_scope.cancel()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async for block in self.source:
                await send({"type": "http.response.body", "body": block, "more_body": True})
        except Exception as error:  # the status is out; cutting the connection is all that is left
            log.warning("an answer broke off: %s", type(error).__name__, exc_info=error)
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _cancel_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    await disconnected(receive)
    scope.cancel()
