"""Transcripts written out: each once for all who ask for the same at a time or soon after, and no account's in all threads.

Writing hours of speech takes a thread for seconds. So an account has one turn at a time, whatever it asks for, there are few
threads for all, and what was written is kept for a while within a bound of bytes.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread

Result = TypeVar("Result")

THREADS = 2
KEPT_BYTES = 64 * 1024 * 1024
_LARGEST = 4  # a document may take this part of what is kept, or is not kept


@dataclass(frozen=True, slots=True)
class Document:
    """A transcript written out, and what headers say of it."""

    body: bytes
    headers: Mapping[str, str]


class Renderings:
    """Of one process, used on its event loop. Forgets what was asked for least recently."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._kept: OrderedDict[Hashable, Document] = OrderedDict()
        self._size = 0
        self._running: dict[Hashable, asyncio.Task[Document]] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._threads = anyio.CapacityLimiter(THREADS)

    async def document(self, account_id: str, key: Hashable, write: Callable[[], Document]) -> Document:
        """What `write` gives for this key, of which it says all: from memory, or from whoever is at it, or in a thread."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        running = self._running.get(key)
        if running is None:
            running = asyncio.create_task(self.in_turn(account_id, write))
            self._running[key] = running
            running.add_done_callback(lambda task: self._ended(key, task))
        return await asyncio.shield(running)  # whoever hangs up takes nothing from the others

    async def in_turn(self, account_id: str, call: Callable[[], Result]) -> Result:
        """Run a blocking call that computes, in a thread, one at a time for each account."""
        turn = self._turns.setdefault(account_id, asyncio.Lock())
        async with turn:
            return await anyio.to_thread.run_sync(call, limiter=self._threads)

    def _ended(self, key: Hashable, task: asyncio.Task[Document]) -> None:
        del self._running[key]
        if not task.cancelled() and task.exception() is None:
            self._keep(key, task.result())

    def _keep(self, key: Hashable, document: Document) -> None:
        size = len(document.body)
        if size > self._kept_bytes // _LARGEST:
            return
        self._kept[key] = document
        self._size += size
        while self._size > self._kept_bytes:
            self._size -= len(self._kept.popitem(last=False)[1].body)
