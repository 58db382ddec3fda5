"""Who asks: decided on the headers alone, before a byte of the body is read."""

from __future__ import annotations

from functools import partial

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.admin_auth import check_admin, is_admin_path
from api.deps import Desk
from api.envelope import PUBLIC
from api.errors import render
from pipeline.errors import StenopoolError, Unauthenticated

MISSING = "You didn't provide an API key. Send it in the header 'Authorization: Bearer sk-…'."


def bearer(headers: Headers) -> str:
    """The secret of the Authorization header. Raises Unauthenticated where there is none."""
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthenticated(MISSING)
    return secret.strip()


class KeyCheck:
    """Lets only holders of a key in, and notes in the request's state on whose account they act; see api/admin_auth.py."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PUBLIC:
            await self.app(scope, receive, send)
            return
        desk: Desk = scope["app"].state.desk
        try:
            await _let_in(scope, desk)
        except StenopoolError as error:
            await render(error)(scope, receive, send)
            return
        await self.app(scope, receive, send)


async def _let_in(scope: Scope, desk: Desk) -> None:
    """Raises Unauthenticated, and NotFound for an administration that is switched off."""
    headers, admin_key = Headers(scope=scope), desk.services.settings.admin_key
    if is_admin_path(scope["path"]):
        check_admin(bearer(headers) if admin_key else "", admin_key)
        return
    scope["state"]["principal"] = await desk.ask(partial(desk.services.accounts.authenticate, bearer(headers)))
