"""What an account has, has used and has paid: balance, usage, receipts."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from api.dependencies import AppContext, Caller, Context
from api.http.request_body import read_json
from api.openapi.document import answers, takes
from api.schemas.balance import BalanceChanges
from api.schemas.billing import (
    ReceiptQuery,
    UsageQuery,
    balance_object,
    limits_object,
    receipt_object,
    sums_object,
    usage_object,
)
from api.schemas.pagination import page
from api.schemas.webhooks import trouble_object
from infra.money.usage import Wanted
from infra.requests.job_object import CURRENCY
from infra.requests.validation import validated

router = APIRouter(prefix="/v1", tags=["money"])
NO_RECEIPT = answers(s404="No such receipt.")


@router.get("/balance", summary="The balance")
async def balance(context: Context, caller: Caller) -> dict[str, Any]:
    """One balance that every endpoint shares. `held` is set aside for what is under way: what it costs in the end is
    captured, the rest comes back. Audio is pay-as-you-go whatever the account's plan."""
    return await context.query(partial(balance_of, context, caller.account_id))


def balance_of(context: AppContext, account_id: str) -> dict[str, Any]:
    """The balance object of an account. Raises NotFound."""
    available = context.services.ledger.balance(account_id)
    low = context.services.balance_alerts.threshold(account_id)
    return balance_object(account_id, available, context.services.statements.held(account_id), low)


@router.patch("/balance", summary="When to be told that the balance is low", openapi_extra=takes(json=BalanceChanges))
async def change_balance(request: Request, context: Context, caller: Caller) -> dict[str, Any]:
    """Webhook endpoints that want `balance.low` get it within a minute once less than `low_threshold` is left, what is held
    included, and again only after there was more."""
    changes = validated(BalanceChanges, await read_json(request, number=Decimal))
    alerts = context.services.balance_alerts
    await context.query(partial(alerts.set_threshold, caller.account_id, changes.low_threshold))
    return await context.query(partial(balance_of, context, caller.account_id))


@router.get("/usage", summary="What was used, and what it cost")
async def usage(
    request: Request, context: Context, caller: Caller, query: Annotated[UsageQuery, Query()]
) -> dict[str, Any]:
    """Added up from the receipts: one line for each day (UTC), model or key, and `total` for the whole period. `limits` says how
    much of each of the account's limits is used at this moment: `{name: {used, limit}}`, `limit` null where there is none.
    `webhook_endpoints` are those in trouble: that have taken nothing for three days, or are disabled for it."""
    since, until = query.days()
    wanted = Wanted(caller.account_id, query.key_id, query.model, since, until)
    told = await context.query(partial(report, context, wanted, query.group_by, limit=query.limit, after=query.after))
    limits = limits_object(await context.query(partial(context.services.quota.limits, caller.account_id)))
    limits["connections"]["used"] = request.state.open_connections
    in_trouble = await context.query(partial(context.services.webhooks.in_trouble, caller.account_id))
    return told | {"limits": limits, "webhook_endpoints": [trouble_object(endpoint) for endpoint in in_trouble]}


def report(context: AppContext, wanted: Wanted, by: Any, *, limit: int, after: str | None) -> dict[str, Any]:
    """A page of a usage report with its totals. Raises InvalidRequest for a cursor that makes no sense."""
    groups, more = context.services.usage.grouped(wanted, by, limit=limit, after=after)
    return {
        **page([usage_object(group, by) for group in groups], has_more=more),
        "group_by": by,
        "from": str(wanted.since),
        "to": str(wanted.until),
        "currency": CURRENCY,
        "total": sums_object(context.services.usage.total(wanted)),
    }


@router.get("/receipts", summary="List receipts")
async def receipts(context: Context, caller: Caller, query: Annotated[ReceiptQuery, Query()]) -> dict[str, Any]:
    """The newest first: one for each request and each job that has cost something or could have."""
    return await context.query(partial(listed, context, query, caller.account_id))


def listed(context: AppContext, query: ReceiptQuery, account_id: str | None) -> dict[str, Any]:
    """A page of an account's receipts, or of everybody's."""
    read = context.services.statements.receipts
    found, more = read(query.wanted(account_id), subject=query.subject(), limit=query.limit, after=query.after)
    return page([receipt_object(receipt) for receipt in found], has_more=more)


@router.get("/receipts/{receipt_id}", summary="Show a receipt", responses=NO_RECEIPT)
async def receipt(context: Context, caller: Caller, receipt_id: str) -> dict[str, Any]:
    """What was measured, the prices and the audio ratio in force, and what they made."""
    return receipt_object(await context.query(partial(context.services.receipts.get, caller.account_id, receipt_id)))
