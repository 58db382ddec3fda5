"""/admin/webhook_endpoints: where accounts want their events, and which of these places fail."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.access.admin_key import ADMIN
from api.dependencies import Context
from api.schemas.admin import EndpointQuery
from api.schemas.pagination import page

router = APIRouter(prefix=ADMIN, tags=["administration"])


@router.get("/webhook_endpoints", summary="The webhook endpoints of all accounts")
async def webhook_endpoints(context: Context, query: Annotated[EndpointQuery, Query()]) -> dict[str, Any]:
    """The newest first, each with its account, how many messages wait for it (`waiting`), and, where it takes nothing, since when
    (`failing_since`) and why (`error`, as its owner reads it). `failing=true`: only those, and what is disabled."""
    found, more = await context.query(partial(context.services.all_endpoints.health, **query.model_dump()))
    return page([one.as_dict() for one in found], has_more=more)
