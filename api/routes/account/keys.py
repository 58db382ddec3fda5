"""/v1/keys: an account's own keys, in the hands of whoever holds one with the scope `keys`. No key makes one that may do more."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse

from api.dependencies import AppContext, Caller, Context
from api.http.idempotency import REPLAYED, idempotency, idempotency_key
from api.http.request_body import read_json
from api.openapi.document import answers, takes
from api.schemas.admin import KeyRotation, NewKey, OwnKeyQuery, key_again, key_object
from api.schemas.pagination import page
from infra.database.tables.accounts import ApiKey
from infra.keys.key_cache import Principal
from infra.keys.scopes import ALL, checked_scopes
from infra.requests.validation import validated
from pipeline.errors import InvalidRequest, MissingScope, NotFound

router = APIRouter(prefix="/v1/keys", tags=["keys"])
KEY = "/{key_id}"
NO_KEY = answers(s404="No such key.")


@router.get("", summary="List the account's keys")
async def list_keys(context: Context, caller: Caller, query: Annotated[OwnKeyQuery, Query()]) -> dict[str, Any]:
    """The newest first, without their secrets."""
    if query.after is not None:
        try:
            await context.query(partial(_own, context, caller, query.after))
        except NotFound as error:
            raise InvalidRequest(f"No such key: after={query.after[:60]}", param="after") from error
    asked = partial(context.services.operator_queries.keys, account_id=caller.account_id, **query.model_dump())
    found, more = await context.query(asked)
    return page([key_object(key, now=time.time()) for key in found], has_more=more)


@router.post(
    "", status_code=201, summary="Make a key", responses=answers(s409="Idempotency-Key used before."),
    openapi_extra=takes(json=NewKey),
)  # fmt: skip
async def create_key(request: Request, context: Context, caller: Caller) -> JSONResponse:
    """`key` is shown in this answer only. It may do what its maker may, or less. With an `Idempotency-Key` there is one key,
    however often it is sent; a repetition shows it without its secret, which is not kept."""
    wanted = validated(NewKey, await read_json(request, empty={})).model_dump()
    wanted["scopes"] = _no_more_than(caller, wanted["scopes"])
    once = idempotency(idempotency_key(request), "POST /v1/keys", wanted, partial(key_again, now=time.time()))
    secret: str | None
    if once is None:
        secret, key = await context.query(partial(context.services.accounts.create_key, caller.account_id, **wanted))
    else:
        made = partial(context.services.idempotent_creation.key, caller.account_id, once, **wanted)
        secret, key, first = await context.query(made)
        if first is not None:
            return JSONResponse(first, status_code=201, headers=REPLAYED)
    return JSONResponse(key_object(key, now=time.time(), secret=secret), status_code=201)


@router.get(KEY, summary="Show a key", responses=NO_KEY)
async def show_key(context: Context, caller: Caller, key_id: str) -> dict[str, Any]:
    """Without its secret."""
    return key_object(await context.query(partial(_own, context, caller, key_id)), now=time.time())


@router.post(
    KEY + "/rotate",
    status_code=201,
    summary="Replace a key",
    responses=NO_KEY | answers(s409="It is revoked, expired or rotated already."),
    openapi_extra=takes(json=KeyRotation),
)
async def rotate_key(request: Request, context: Context, caller: Caller, key_id: str) -> JSONResponse:
    """A new key that may do the same; `key` is shown in this answer only. The old one works for `overlap_seconds` more."""
    overlap = validated(KeyRotation, await read_json(request, empty={})).overlap_seconds
    old = await context.query(partial(_own, context, caller, key_id))
    _no_more_than(caller, sorted(ALL) if old.scopes is None else old.scopes)
    secret, key = await context.query(partial(context.services.accounts.rotate_key, key_id, overlap))
    return JSONResponse(key_object(key, now=time.time(), secret=secret), status_code=201)


@router.delete(KEY, summary="Revoke a key", responses=NO_KEY)
async def revoke_key(context: Context, caller: Caller, key_id: str) -> dict[str, Any]:
    """Worthless within 5 seconds everywhere, for good; jobs that were made with it are cancelled, and their own webhooks dropped.
    Its row stays, because receipts name it."""
    await context.query(partial(_own, context, caller, key_id))
    key = await context.query(partial(context.services.accounts.revoke_key, key_id))
    await context.query(partial(context.services.jobs.stop_forbidden, caller.account_id))
    return key_object(key, now=time.time())


def _own(context: AppContext, caller: Principal, key_id: str) -> ApiKey:
    """Raises NotFound: unknown and foreign look the same."""
    key = context.services.operator_queries.key(key_id)
    if key.account_id != caller.account_id:
        raise NotFound("No such key.")
    return key


def _no_more_than(caller: Principal, scopes: list[str] | None) -> list[str] | None:
    """What a key that the caller makes may do. Raises MissingScope, InvalidRequest for scopes that do not exist."""
    if scopes is None:
        return None if caller.scopes == ALL else sorted(caller.scopes)
    for scope in checked_scopes(scopes):
        if scope not in caller.scopes:
            told = f"This API key lacks the scope `{scope}`, and can give none that it has not got itself."
            raise MissingScope(told, scope=scope)
    return scopes
