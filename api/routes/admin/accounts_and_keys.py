"""/admin: accounts and their keys. Only the admin key opens it (api/access/admin_key.py)."""

from __future__ import annotations

import logging
import time
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse

from api.access.admin_key import ADMIN
from api.dependencies import AppContext, Context
from api.http.idempotency import REPLAYED, idempotency, idempotency_key
from api.http.request_body import read_json
from api.openapi.document import answers, takes
from api.schemas.admin import (
    AccountChanges,
    AccountQuery,
    KeyQuery,
    KeyRotation,
    NewAccount,
    NewKey,
    account_object,
    key_again,
    key_object,
)
from api.schemas.pagination import page
from infra.database.tables.accounts import Account
from infra.requests.validation import validated

log = logging.getLogger("stenopool.admin")
router = APIRouter(prefix=ADMIN, tags=["administration"])
ACCOUNT = "/accounts/{account_id}"
NO_ACCOUNT = answers(s404="No such account.")
USED = answers(s409="Idempotency-Key used before for another request.")
NO_KEY = answers(s404="No such key.")


@router.get("/accounts", summary="List accounts")
async def list_accounts(context: Context, query: Annotated[AccountQuery, Query()]) -> dict[str, Any]:
    """The newest first, with their balances."""
    return await context.query(partial(_accounts, context, query))


def _accounts(context: AppContext, query: AccountQuery) -> dict[str, Any]:
    found, more = context.services.operator_queries.accounts(**query.model_dump())
    counts = context.services.operator_queries.key_counts([account.id for account in found])
    return page([account_object(account, keys=counts[account.id]) for account in found], has_more=more)


@router.post(
    "/accounts", status_code=201, summary="Make an account", responses=USED, openapi_extra=takes(json=NewAccount)
)
async def create_account(request: Request, context: Context) -> JSONResponse:
    """Without keys and without money: both are added next. With an `Idempotency-Key` it is made once, however often it is
    sent."""
    wanted = validated(NewAccount, await read_json(request, empty={})).model_dump()
    once = idempotency(idempotency_key(request), ADMIN + "/accounts", wanted, partial(account_object, keys=0))
    if once is None:
        account = await context.query(partial(context.services.accounts.create_account, **wanted))
    else:
        account, first = await context.query(partial(context.services.idempotent_creation.account, once, **wanted))
        if first is not None:
            return JSONResponse(first, status_code=201, headers=REPLAYED)
    log.info("the administrator made account %s", account.id, extra={"account_id": account.id})
    return JSONResponse(account_object(account, keys=0), status_code=201)


@router.get(ACCOUNT, summary="Show an account", responses=NO_ACCOUNT)
async def show_account(context: Context, account_id: str) -> dict[str, Any]:
    """With the limits in force and the balance."""
    return await context.query(partial(_shown, context, account_id))


def _shown(context: AppContext, account_id: str, account: Account | None = None) -> dict[str, Any]:
    account = account or context.services.accounts.account(account_id)
    return account_object(account, keys=context.services.operator_queries.key_counts([account_id])[account_id])


@router.patch(ACCOUNT, summary="Change an account", responses=NO_ACCOUNT, openapi_extra=takes(json=AccountChanges))
async def change_account(request: Request, context: Context, account_id: str) -> dict[str, Any]:
    """What is given is changed, in force within 5 seconds everywhere. `suspended` and `closed` accounts are let in no
    more; the jobs of a closed one are cancelled, and its webhooks dropped."""
    body = await read_json(request, empty={}, number=Decimal)
    changes = validated(AccountChanges, body).model_dump(exclude_unset=True)
    given = {name.removesuffix("_usd"): value for name, value in changes.items() if value is not None}
    account = await context.query(partial(context.services.accounts.update, account_id, **given))
    await context.query(partial(context.services.jobs.stop_forbidden, account_id))
    log.info(
        "the administrator changed account %s", account_id, extra={"account_id": account_id, "fields": list(given)}
    )
    return await context.query(partial(_shown, context, account_id, account))


@router.get("/keys", summary="List keys")
async def list_keys(context: Context, query: Annotated[KeyQuery, Query()]) -> dict[str, Any]:
    """The newest first, of every account or of one, without their secrets."""
    found, more = await context.query(partial(context.services.operator_queries.keys, **query.model_dump()))
    return page([key_object(key, now=time.time()) for key in found], has_more=more)


@router.post(
    ACCOUNT + "/keys",
    status_code=201,
    summary="Make a key",
    responses=NO_ACCOUNT | USED,
    openapi_extra=takes(json=NewKey),
)
async def create_key(request: Request, context: Context, account_id: str) -> JSONResponse:
    """`key` is shown in this answer only. With an `Idempotency-Key` there is one key, however often it is sent; a repetition
    shows it without its secret, which is not kept."""
    wanted = validated(NewKey, await read_json(request, empty={})).model_dump()
    answer = partial(key_again, now=time.time())
    once = idempotency(idempotency_key(request), f"{ADMIN}/accounts/{account_id}/keys", wanted, answer)
    secret: str | None
    if once is None:
        secret, key = await context.query(partial(context.services.accounts.create_key, account_id, **wanted))
    else:
        secret, key, first = await context.query(
            partial(context.services.idempotent_creation.key, account_id, once, **wanted)
        )
        if first is not None:
            return JSONResponse(first, status_code=201, headers=REPLAYED)
    log.info("the administrator made key %s", key.id, extra={"account_id": account_id})
    return JSONResponse(key_object(key, now=time.time(), secret=secret), status_code=201)


@router.post(
    "/keys/{key_id}/rotate",
    status_code=201,
    summary="Replace a key",
    responses=NO_KEY | answers(s409="It is revoked, expired or rotated already."),
    openapi_extra=takes(json=KeyRotation),
)
async def rotate_key(request: Request, context: Context, key_id: str) -> JSONResponse:
    """A new key that may do the same; `key` is shown in this answer only. The old one works for `overlap_seconds` more."""
    overlap = validated(KeyRotation, await read_json(request, empty={})).overlap_seconds
    secret, key = await context.query(partial(context.services.accounts.rotate_key, key_id, overlap))
    log.info("the administrator replaced key %s by %s", key_id, key.id, extra={"account_id": key.account_id})
    return JSONResponse(key_object(key, now=time.time(), secret=secret), status_code=201)


@router.delete("/keys/{key_id}", summary="Revoke a key", responses=NO_KEY)
async def revoke_key(context: Context, key_id: str) -> dict[str, Any]:
    """Worthless within 5 seconds everywhere, for good; jobs that were made with it are cancelled, and their own webhooks dropped.
    Its row stays, because receipts name it."""
    key = await context.query(partial(context.services.accounts.revoke_key, key_id))
    await context.query(partial(context.services.jobs.stop_forbidden, key.account_id))
    log.info("the administrator revoked key %s", key_id, extra={"account_id": key.account_id})
    return key_object(key, now=time.time())
