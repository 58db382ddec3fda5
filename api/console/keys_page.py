"""Keys: make one, see what each may do and when it was last used, revoke it."""

from __future__ import annotations

import datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from api.console.pages import PageRoute, form_fields, form_of, render
from api.console.v1_client import V1
from api.console.visit import SignedIn, Visit
from infra.console.cookie_secret import new_secret
from infra.keys.scopes import SCOPES
from pipeline.errors import InvalidRequest

router = APIRouter(route_class=PageRoute, include_in_schema=False)
PAGE = "/console/keys"
MOST_KEYS = 1000


@router.get(PAGE)
async def show(request: Request, visit: SignedIn) -> Response:
    """The account's keys, the newest first."""
    return await _page(request, visit)


@router.post(PAGE)
async def create(request: Request, visit: SignedIn) -> Response:
    """A new key, whose secret is on this one page only."""
    fields = await form_fields(request, visit)
    given = dict(fields)
    scopes = [value for name, value in fields if name == "scope"]
    wanted = {"name": given.get("name", ""), "expires_at": _end_of(given.get("expires", ""))}
    once = {"idempotency-key": given.get("once", "") or new_secret()}
    made = await V1(request, visit).post("/v1/keys", wanted | ({"scopes": scopes} if scopes else {}), headers=once)
    return await _page(request, visit, made=made)


@router.post(PAGE + "/{key_id}/revoke")
async def revoke(request: Request, visit: SignedIn, key_id: str) -> Response:
    """For good. Whoever revokes the key that he is signed in with is signed out by it."""
    await form_of(request, visit)
    await V1(request, visit).delete(f"/v1/keys/{key_id}")
    return RedirectResponse(PAGE, 303)


async def _page(request: Request, visit: Visit, made: dict[str, Any] | None = None) -> Response:
    keys = (await V1(request, visit).get("/v1/keys", limit=MOST_KEYS))["data"]
    return render(request, visit, "keys.html", keys=keys, scopes=SCOPES, made=made)


def _end_of(day: str) -> int | None:
    """Epoch seconds of the end of a day in UTC. Raises InvalidRequest."""
    if not day:
        return None
    try:
        last = datetime.datetime.fromisoformat(day).replace(tzinfo=datetime.UTC)
    except ValueError as error:
        raise InvalidRequest("Write the last day as 2026-11-23.", param="expires") from error
    return int((last + datetime.timedelta(days=1)).timestamp())
