"""Work that is under way for one request, and what can be told its client meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from starlette.types import Receive

from api.http.client_disconnect import ClientDisconnect

Result = TypeVar("Result")
Piece = TypeVar("Piece")
UNWATCHED_SECONDS = 0.25  # most work is done by then, and nobody can be seen to leave for less than it costs to look


class BackgroundWork(Generic[Result, Piece]):
    """`work(disconnect, hand_out)` in the background; it may hand out pieces of what it makes, from any thread.

    Unlike Starlette's BackgroundTask it runs before the answer, not after it.

    Whoever holds it sees it to its end or leaves it; work that was left stops when it next looks for its client.
    """

    def __init__(self, work: Callable[[ClientDisconnect, Callable[[Piece], None]], Awaitable[Result]]) -> None:
        self._disconnect = ClientDisconnect()
        self._pieces: list[Piece] = []
        self._news = False
        self._waiting: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.ensure_future(work(self._disconnect, self._hand_out))
        self._task.add_done_callback(self._notify)

    def _notify(self, _: object = None) -> None:
        self._news = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _hand_out(self, piece: Piece) -> None:
        self._loop.call_soon_threadsafe(self._keep, piece)

    def _keep(self, piece: Piece) -> None:
        self._pieces.append(piece)
        self._notify()

    async def news(self, *, seconds: float | None) -> bool:
        """Whether there are pieces to take, or the end has come, within so many seconds. For one who waits at a time."""
        if self._news:
            return True
        self._waiting = self._loop.create_future()
        timer = None if seconds is None else self._loop.call_later(seconds, self._wake)
        try:
            await self._waiting
        finally:
            self._waiting = None
            if timer is not None:
                timer.cancel()
        return self._news

    async def watched(self, receive: Receive, *, seconds: float | None) -> bool:
        """The same while the client is watched; for the time before anything is sent."""
        first = UNWATCHED_SECONDS if seconds is None else min(UNWATCHED_SECONDS, seconds)
        watching = None
        try:
            if await self.news(seconds=first):
                return True
            watching = asyncio.ensure_future(self._disconnect.watch(receive))
            return await self.news(seconds=None if seconds is None else seconds - first)
        except BaseException:
            self.leave()
            raise
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.wait({watching})

    @property
    def ended(self) -> bool:
        """Whether the work is over; what can be taken then is all there is."""
        return self._task.done()

    @property
    def succeeded(self) -> bool:
        """Whether it is over, and `result` raises nothing."""
        return self._task.done() and not self._task.cancelled() and self._task.exception() is None

    def take(self) -> list[Piece]:
        """The pieces handed out since the last time."""
        pieces, self._pieces = self._pieces, []
        if not self.ended:
            self._news = False
        return pieces

    def result(self) -> Result:
        """What came of it, at the end. Raises what the work raised."""
        return self._task.result()

    def leave(self) -> None:
        """Nobody waits for the rest, and nobody asks how it ended. Harmless after the end."""
        self._disconnect.leave()
        self._task.add_done_callback(lambda task: task.cancelled() or task.exception())
