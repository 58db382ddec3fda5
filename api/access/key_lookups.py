"""Whose key it is: as remembered, else asked of the database, once for all who ask at the same moment."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from functools import partial

from api.access.request_slots import RequestSlots
from api.dependencies import AppContext
from api.http.peers import Peer
from infra.keys.api_keys import parse_key
from infra.keys.key_cache import Principal
from pipeline.errors import Unauthenticated


class KeyLookups:
    """One process'. A look-up is a stranger's: it takes a slot of theirs until the key has turned out to be valid."""

    def __init__(self, slots: RequestSlots) -> None:
        self._slots = slots
        self._running: dict[str, asyncio.Task[Principal]] = {}

    async def principal_of(self, context: AppContext, secret: str, peer: Peer) -> Principal:
        """Raises Unauthenticated, AccountSuspended, and ServerBusy where too many keys of strangers are being looked up."""
        known = context.services.accounts.recall(secret)
        if known is not None:
            return known
        if parse_key(secret) is None:
            raise Unauthenticated
        running = self._running.get(secret)
        if running is None:
            running = asyncio.create_task(_look_up(context, secret, self._slots.stranger(peer)))
            self._running[secret] = running
            running.add_done_callback(partial(self._ended, secret))
        return await asyncio.shield(running)  # whoever hangs up takes nothing from the others

    def _ended(self, secret: str, task: asyncio.Task[Principal]) -> None:
        del self._running[secret]
        if not task.cancelled():
            task.exception()  # it may be that nobody waits for it any more


async def _look_up(context: AppContext, secret: str, slot: AbstractContextManager[None]) -> Principal:
    with slot:
        return await context.query(partial(context.services.accounts.authenticate, secret))
