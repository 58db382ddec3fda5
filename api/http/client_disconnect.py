"""A client that hangs up: waited for on the event loop, and asked about by the threads that work for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from api.http.error_responses import ClientGone

Result = TypeVar("Result")


async def disconnected(receive: Receive) -> None:
    """Wait until the client has hung up. What it sends until then is lost."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_gone(receive: Receive, waiting: Coroutine[Any, Any, Result]) -> Result:
    """What `waiting` comes to. Raises ClientGone once the client has hung up, and waits no longer then."""
    task, gone = asyncio.ensure_future(waiting), asyncio.ensure_future(disconnected(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


class ClientDisconnect:
    """Says to a working thread whether its client still waits."""

    def __init__(self) -> None:
        self._gone = threading.Event()

    def check(self, *_: object) -> None:
        """Raises ClientGone once the client has left; takes and ignores a progress callback's arguments."""
        if self.gone:
            raise ClientGone

    @property
    def gone(self) -> bool:
        """Whether nobody waits any more."""
        return self._gone.is_set()

    def leave(self) -> None:
        """Nobody waits any more."""
        self._gone.set()

    async def watch(self, receive: Receive) -> None:
        """Wait for the client to leave."""
        await disconnected(receive)
        self.leave()
