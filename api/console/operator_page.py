"""Operator: for whoever has signed in with the server's admin key."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from api.console.pages import PageRoute, render
from api.console.v1_client import V1
from api.console.visit import Administrator

router = APIRouter(route_class=PageRoute, include_in_schema=False)
MOST_ACCOUNTS = 100


@router.get("/console/operator")
async def show(request: Request, visit: Administrator, after: str | None = None) -> Response:
    """The queue, the workers, the providers, the accounts, and whether the books agree."""
    admin = V1(request, visit, admin=True)
    facts = {
        "books": await admin.get("/admin/check"),
        "accounts": await admin.get("/admin/accounts", limit=MOST_ACCOUNTS, after=after),
    }
    return render(request, visit, "operator.html", **facts, **await _now(admin))


@router.get("/console/operator/now")
async def now(request: Request, visit: Administrator) -> Response:
    """What moves, alone: the page asks for it again and again."""
    admin = V1(request, visit, admin=True)
    return render(request, visit, "operator_now.html", fragment=True, **await _now(admin))


async def _now(admin: V1) -> dict[str, Any]:
    return {"overview": await admin.get("/admin/overview")}
