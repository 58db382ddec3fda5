"""Who asks: decided on the headers alone, before a byte of the body is read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access.admin_key import check_admin, is_admin_path
from api.access.admin_lockout import AdminLockout
from api.access.rate_limits import Counted, count, refusal
from api.access.scopes import check_scope
from api.dependencies import AppContext
from api.http.error_responses import render
from api.http.request_middleware import PUBLIC, outside_http
from infra.keys.api_keys import parse_key
from infra.rate_limits import Standing
from pipeline.errors import StenopoolError, Unauthenticated

MISSING = "You didn't provide an API key. Send it in the header 'Authorization: Bearer sk-…'."


def bearer(headers: Headers) -> str:
    """The secret of the Authorization header. Raises Unauthenticated where there is none."""
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthenticated(MISSING)
    return secret.strip()


class Authentication:
    """Lets only holders of a key in that may do this, and no more of them than the account's rates allow; notes in the
    request's state on whose account they act. See api/access/admin_key.py for the administrator's key."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._lockout = AdminLockout()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await outside_http(self.app, scope, receive, send)
            return
        if scope["path"] in PUBLIC:
            await self.app(scope, receive, send)
            return
        context: AppContext = scope["app"].state.context
        try:
            standings = await _let_in(scope, context, self._lockout)
        except StenopoolError as error:
            await render(error)(scope, receive, send)
            return
        if standings:
            send = Counted(send, standings)
        refused = refusal(context.services, standings)
        await (render(refused) if refused else self.app)(scope, receive, send)


async def _let_in(scope: Scope, context: AppContext, lockout: AdminLockout) -> Sequence[Standing]:
    """How the account stands with its rates. Raises Unauthenticated, Forbidden, RateLimited, NotFound for an administration that is
    switched off."""
    headers, services = Headers(scope=scope), context.services
    if is_admin_path(scope["path"]):
        _let_administer(
            scope, bearer(headers) if services.settings.admin_key else "", services.settings.admin_key, lockout
        )
        return ()
    secret = bearer(headers)
    principal = services.accounts.recall(secret)
    if principal is None:
        principal = await context.query(partial(services.accounts.authenticate, secret))
    check_scope(principal, scope["method"], scope["path"], headers)
    scope["state"]["principal"] = principal
    return await count(services, principal, scope["method"], scope["path"])


def _let_administer(scope: Scope, secret: str, admin_key: str | None, lockout: AdminLockout) -> None:
    """Raises as check_admin, and RateLimited for a wrong key from a peer that has been wrong too often."""
    try:
        check_admin(secret, admin_key)
    except Unauthenticated:
        peer = scope["state"]["peer"].name
        lockout.check(peer)
        if parse_key(secret) is None:  # an account's key is a mistake, and no attempt at guessing
            lockout.wrong(peer)
        raise
