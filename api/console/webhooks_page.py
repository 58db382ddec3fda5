"""Webhooks: endpoints, a test event, new secrets, and every delivery with what was answered."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from api.console.pages import PageRoute, form_fields, form_of, render
from api.console.v1_client import V1
from api.console.visit import SignedIn, Visit
from infra.console.cookie_secret import new_secret

router = APIRouter(route_class=PageRoute, include_in_schema=False)
PAGE = "/console/webhooks"
ENDPOINT = PAGE + "/{endpoint_id}"
API = "/v1/webhook_endpoints"
MOST = 100
DELIVERIES = 20


@router.get(PAGE)
async def show(request: Request, visit: SignedIn) -> Response:
    """The endpoints, and a form for a new one."""
    return await _endpoints(request, visit)


@router.post(PAGE)
async def create(request: Request, visit: SignedIn) -> Response:
    """A new endpoint, whose secret is on this one page only."""
    fields = await form_fields(request, visit)
    given = dict(fields)
    types = [value for name, value in fields if name == "event_type"]
    wanted = {"name": given.get("name", ""), "url": given.get("url", ""), "event_types": types}
    made = await V1(request, visit).post(
        API, wanted, headers={"idempotency-key": given.get("once", "") or new_secret()}
    )
    return await _endpoints(request, visit, made=made)


async def _endpoints(request: Request, visit: Visit, made: dict[str, Any] | None = None) -> Response:
    v1 = V1(request, visit)
    endpoints = (await v1.get(API, limit=MOST))["data"]
    types = (await v1.get("/v1/webhook_event_types"))["data"]
    return render(request, visit, "webhooks.html", endpoints=endpoints, types=types, made=made)


@router.get(ENDPOINT)
async def show_endpoint(request: Request, visit: SignedIn, endpoint_id: str, after: str | None = None) -> Response:
    """One endpoint with its deliveries, the newest first."""
    return await _endpoint(request, visit, endpoint_id, after=after)


async def _endpoint(
    request: Request, visit: Visit, endpoint_id: str, *, after: str | None = None, **told: Any
) -> Response:
    v1 = V1(request, visit)
    facts = {
        "endpoint": await v1.get(f"{API}/{endpoint_id}"),
        "deliveries": await v1.get(f"{API}/{endpoint_id}/deliveries", limit=DELIVERIES, after=after),
        "made": None,
        "tested": None,
        "at": f"{PAGE}/{endpoint_id}" if request.method == "POST" else "",
    }
    return render(request, visit, "webhook.html", **facts | told)


@router.post(ENDPOINT + "/test")
async def test(request: Request, visit: SignedIn, endpoint_id: str) -> Response:
    """A test event, and what the endpoint answered."""
    await form_of(request, visit)
    tested = await V1(request, visit).post(f"{API}/{endpoint_id}/test", {})
    return await _endpoint(request, visit, endpoint_id, tested=tested)


@router.post(ENDPOINT + "/rotate")
async def rotate(request: Request, visit: SignedIn, endpoint_id: str) -> Response:
    """A new secret, on this one page only; the old one signs beside it for a day."""
    await form_of(request, visit)
    wanted = {"keep_old_secret_active_for_24_hours": True}
    made = await V1(request, visit).post(f"{API}/{endpoint_id}/rotate_secret", wanted)
    return await _endpoint(request, visit, endpoint_id, made=made)


@router.post(ENDPOINT + "/status")
async def set_status(request: Request, visit: SignedIn, endpoint_id: str) -> Response:
    """Switched on or off."""
    fields = await form_of(request, visit)
    await V1(request, visit).post(f"{API}/{endpoint_id}", {"status": fields.get("status")})
    return RedirectResponse(f"{PAGE}/{endpoint_id}", 303)


@router.post(ENDPOINT + "/delete")
async def delete(request: Request, visit: SignedIn, endpoint_id: str) -> Response:
    """What still waits to be sent there is dropped."""
    await form_of(request, visit)
    await V1(request, visit).delete(f"{API}/{endpoint_id}")
    return RedirectResponse(PAGE, 303)


@router.post(ENDPOINT + "/deliveries/{delivery_id}/replay")
async def replay(request: Request, visit: SignedIn, endpoint_id: str, delivery_id: str) -> Response:
    """The same event once more."""
    await form_of(request, visit)
    await V1(request, visit).post(f"{API}/{endpoint_id}/deliveries/{delivery_id}/replay")
    return RedirectResponse(f"{PAGE}/{endpoint_id}", 303)
