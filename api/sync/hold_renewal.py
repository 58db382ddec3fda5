"""The application's pulse: what long requests hold is renewed well before the sweep would give it back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from api.dependencies import AppContext
from pipeline.errors import StenopoolError

log = logging.getLogger("stenopool.api")

BEATS = 4  # in the time after which a hold is thought dead, so that a few may fail


@contextlib.asynccontextmanager
async def hold_renewal_task(context: AppContext) -> AsyncIterator[None]:
    """Renews inside."""
    task = asyncio.create_task(_beat(context, context.services.settings.request_hold_seconds / BEATS))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _beat(context: AppContext, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await context.query(context.services.renewal.renew)
        except StenopoolError as error:
            log.warning("what requests hold could not be renewed: %s", error.code)
