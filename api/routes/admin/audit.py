"""/admin/audit: what administrators did. It is read here, and changed nowhere."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.access.admin_key import ADMIN
from api.dependencies import Context
from api.schemas.admin import AuditQuery, audit_object
from api.schemas.pagination import page

router = APIRouter(prefix=ADMIN, tags=["administration"])


@router.get("/audit", summary="The audit log")
async def audit(context: Context, query: Annotated[AuditQuery, Query()]) -> dict[str, Any]:
    """Every act of an administrator over HTTP or on the command line, the newest first: `who`, from where (`source`), what and
    when. Rows are only ever added."""
    found, more = await context.query(partial(context.services.audit.entries, **query.model_dump()))
    return page([audit_object(entry) for entry in found], has_more=more)
