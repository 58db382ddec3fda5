"""/admin: money. Top-ups, corrections, the ledger, audio ratios, reports across accounts, CSV, and whether the books agree."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterator
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse

from api.access.admin_key import ADMIN
from api.dependencies import AppContext, Context
from api.http.idempotency import REPLAYED, idempotency_key
from api.http.request_body import read_json
from api.http.sse import Stream
from api.openapi.document import answers, shown_as, takes
from api.routes.account.usage import balance_of, listed, report
from api.schemas.admin import (
    Adjustment,
    AdminReceiptQuery,
    AdminUsageQuery,
    LedgerQuery,
    NewRatio,
    TopUp,
)
from api.schemas.billing import ExportQuery, entry_object
from api.schemas.pagination import page
from infra.database.tables.money import AudioRatio
from infra.money.adjustments import Kind
from infra.money.export import EXPORTS
from infra.money.ratios import EVERY_MODEL
from infra.money.usage import Wanted
from infra.requests.job_object import CURRENCY, epoch
from infra.requests.validation import validated
from pipeline.money import usd

log = logging.getLogger("stenopool.admin")
router = APIRouter(prefix=ADMIN, tags=["administration"])
ACCOUNT = "/accounts/{account_id}"
NO_ACCOUNT = answers(s404="No such account.")
NO_MODEL = answers(s404="No such model.")
REPEATED = answers(s409="Idempotency-Key used before for another amount or note.")
CSV = "text/csv; charset=utf-8"


@router.get(ACCOUNT + "/balance", summary="An account's balance", responses=NO_ACCOUNT)
async def balance(context: Context, account_id: str) -> dict[str, Any]:
    """As the account itself sees it."""
    return await context.query(partial(balance_of, context, account_id))


@router.post(
    ACCOUNT + "/top_ups",
    status_code=201,
    summary="Top up a balance",
    responses=NO_ACCOUNT | REPEATED,
    openapi_extra=takes(json=TopUp),
)
async def top_up(request: Request, context: Context, account_id: str) -> JSONResponse:
    """Money that came in. With an `Idempotency-Key` it counts once, however often it is sent."""
    wanted = validated(TopUp, await read_json(request, number=Decimal))
    return await _booked(request, context, "top_up", account_id, wanted)


@router.post(
    ACCOUNT + "/adjustments",
    status_code=201,
    summary="Correct a balance",
    responses=NO_ACCOUNT | REPEATED | answers(s402="The balance would fall below 0."),
    openapi_extra=takes(json=Adjustment),
)
async def adjust(request: Request, context: Context, account_id: str) -> JSONResponse:
    """Either way, with a note that says why; never below 0. `Idempotency-Key` as for top-ups."""
    wanted = validated(Adjustment, await read_json(request, number=Decimal))
    return await _booked(request, context, "adjust", account_id, wanted)


async def _booked(
    request: Request, context: AppContext, kind: Kind, account_id: str, wanted: TopUp | Adjustment
) -> JSONResponse:
    key, micro = idempotency_key(request), wanted.amount_usd
    booked = partial(context.services.adjustments.book, kind, account_id, micro, note=wanted.note, key=key)
    entry, left, replayed = await context.query(booked)
    if not replayed:
        facts = {"account_id": account_id, "kind": kind, "micro": micro}
        log.info("the administrator booked entry %s", entry.id, extra=facts)
    body = {**entry_object(entry), "balance_usd": usd(left)}
    return JSONResponse(body, status_code=201, headers=REPLAYED if replayed else None)


@router.get("/ledger", summary="The ledger")
async def ledger(context: Context, query: Annotated[LedgerQuery, Query()]) -> dict[str, Any]:
    """Every movement of money, the newest first. The sum of an account's `delta_usd` is its balance at every moment."""
    found, more = await context.query(partial(context.services.statements.entries, **query.model_dump()))
    return page([entry_object(entry) for entry in found], has_more=more)


@router.get("/check", summary="Whether the books agree")
async def check(context: Context) -> dict[str, Any]:
    """The comparison that the scheduler makes every night, now: `differences` is empty when all is well."""
    found = await context.query(context.services.ledger.check)
    return {"object": "ledger.check", "ok": not found, "differences": found}


@router.get("/usage", summary="Usage across accounts")
async def usage(context: Context, query: Annotated[AdminUsageQuery, Query()]) -> dict[str, Any]:
    """As GET /v1/usage, of all accounts or of one, also by account."""
    since, until = query.days()
    wanted = Wanted(query.account_id, query.key_id, query.model, since, until)
    return await context.query(partial(report, context, wanted, query.group_by, limit=query.limit, after=query.after))


@router.get("/receipts", summary="Receipts across accounts")
async def receipts(context: Context, query: Annotated[AdminReceiptQuery, Query()]) -> dict[str, Any]:
    """As GET /v1/receipts, of all accounts or of one."""
    return await context.query(partial(listed, context, query, query.account_id))


@router.get("/prices", summary="Prices and ratios", responses=NO_ACCOUNT)
async def prices(
    context: Context,
    account_id: Annotated[str | None, Query(max_length=200, description="As this account pays them.")] = None,
) -> dict[str, Any]:
    """What every model costs, and by what its audio dimensions are multiplied at this moment."""
    return await context.query(partial(_prices, context, account_id))


def _prices(context: AppContext, account_id: str | None) -> dict[str, Any]:
    account = context.services.accounts.account(account_id) if account_id else None
    own = {row.model: row for row in context.services.ratios.all()}
    models = context.services.catalog.models.values()
    data = [
        {
            "id": model.id,
            "object": "price",
            "tasks": list(model.tasks),
            "currency": CURRENCY,
            "prices": model.prices.model_dump(mode="json", exclude_none=True),
            "audio_ratio": str(context.services.ratios.of(model.id, account_id)),
            "catalog_ratio": str(model.audio_ratio),
            "own_ratio": own[model.id].ratio if model.id in own else None,
        }
        for model in models
    ]
    every = {"global_ratio": own[EVERY_MODEL].ratio if EVERY_MODEL in own else "1"}
    if account is not None:
        every["account_ratio"] = account.audio_ratio or "1"
    return {**page(data, has_more=False), **every}


@router.get("/ratios", summary="The audio ratios that were set")
async def ratios(context: Context) -> dict[str, Any]:
    """`*` is the global one: a request's ratio is that times its model's."""
    return page([_ratio_object(row) for row in await context.query(context.services.ratios.all)], has_more=False)


@router.put(
    "/ratios/{model:path}", summary="Set an audio ratio", responses=NO_MODEL, openapi_extra=takes(json=NewRatio)
)
async def set_ratio(request: Request, context: Context, model: str) -> dict[str, Any]:
    """Of a model, or of all (`*`): for requests and jobs accepted from now on, in every process. What was accepted before
    keeps its own."""
    ratio = validated(NewRatio, await read_json(request, number=Decimal)).ratio
    row = await context.query(partial(context.services.ratios.set, model, ratio))
    log.info("the administrator set the audio ratio of %s to %s", model, ratio)
    return _ratio_object(row)


@router.delete("/ratios/{model:path}", summary="Clear an audio ratio", responses=NO_MODEL)
async def clear_ratio(context: Context, model: str) -> dict[str, Any]:
    """Back to the catalog's own."""
    await context.query(partial(context.services.ratios.clear, model))
    log.info("the administrator cleared the audio ratio of %s", model)
    return {"id": model, "object": "audio_ratio", "deleted": True}


def _ratio_object(row: AudioRatio) -> dict[str, Any]:
    return {
        "id": row.model,
        "object": "audio_ratio",
        "model": row.model,
        "ratio": row.ratio,
        "changed_at": epoch(row.changed_at),
    }


@router.get("/export/{report}.csv", summary="The books as CSV", responses=shown_as("text/csv"))
async def export(
    context: Context, report: Literal["ledger", "receipts", "usage"], query: Annotated[ExportQuery, Query()]
) -> Stream:
    """Of all accounts or of one, streamed, in UTF-8. A text that a spreadsheet would run as a formula has a `'` before it."""
    lines = EXPORTS[report](context.services.database, query.wanted())
    head = await context.transfer(partial(next, lines))  # what fails at once still has a status
    headers = {"content-disposition": f'attachment; filename="{report}.csv"', "cache-control": "no-store"}
    return Stream(_sent(context, head, lines), media_type=CSV, headers=headers)


async def _sent(context: AppContext, head: str, lines: Iterator[str]) -> AsyncGenerator[bytes, None]:
    yield head.encode()
    while part := await context.transfer(partial(next, lines, "")):
        yield part.encode()
