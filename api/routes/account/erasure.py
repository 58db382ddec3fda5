"""DELETE /v1/account: everything of it is erased, but the numbers of its money."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.dependencies import Caller, Context
from infra.privacy.account_erasure import folder_of
from pipeline.errors import InvalidRequest, StenopoolError

log = logging.getLogger("stenopool.accounts")
router = APIRouter(prefix="/v1", tags=["account"])
PATIENCE = 20.0  # seconds; what is left then, the scheduler goes on with
Confirmed = Annotated[
    str | None, Query(max_length=200, description="The account's own id, so that nobody does it unawares.")
]


@router.delete("/account", summary="Erase the account")
async def erase(context: Context, caller: Caller, confirm: Confirmed = None) -> dict[str, Any]:
    """For good: recordings, transcripts, prompts, metadata, webhook endpoints, the log of deliveries, names. Work under way stops,
    every key is revoked. Ledger and receipts keep their numbers. The answer is the receipt of what was removed; `erased_at` is null
    where there was too much for one request: the rest goes within minutes."""
    account_id = caller.account_id
    if confirm != account_id:
        told = f"This erases the account and everything in it for good. To do so, send `?confirm={account_id}`."
        raise InvalidRequest(told, param="confirm")
    eraser = context.services.eraser
    await context.query(partial(eraser.begin, account_id))
    log.warning("account %s is being erased, asked for by key %s", account_id, caller.key_id)
    until = time.monotonic() + PATIENCE
    while await context.query(partial(eraser.step, account_id)) and time.monotonic() < until:
        pass
    with suppress(StenopoolError):  # the sweep does what the store cannot do now
        await context.transfer(partial(context.services.storage.delete_prefix, folder_of(account_id)))
    return await context.query(partial(eraser.receipt, account_id))
