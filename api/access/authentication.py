"""Who asks: decided on the headers alone, before a byte of the body is read."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access.admin_key import check_admin, is_admin_path
from api.access.admin_lockout import AdminLockout
from api.access.key_lookups import KeyLookups
from api.access.rate_limits import Counted, count, refusal
from api.access.request_slots import RequestSlots, Slot
from api.access.scopes import check_scope
from api.connection.account_bound import AccountBound
from api.dependencies import AppContext
from api.http.error_responses import ServerStopping, render
from api.http.peers import Peer
from api.http.request_middleware import HEALTH, PUBLIC, WHISPER_ASR, is_console, is_link, outside_http
from infra.audit.actor import ADMIN_KEY, Actor, act_as
from infra.keys.api_keys import parse_key
from infra.keys.key_cache import Principal
from infra.limits.rate_limits import Standing
from infra.logs import add_to_log
from pipeline.errors import StenopoolError, Unauthenticated

ADMINISTRATOR = "administrator"  # no account's id
MISSING = "You didn't provide an API key. Send it in the header 'Authorization: Bearer sk-…'."
NO_KEY = (
    "You didn't provide an API key. Send it as the password of HTTP Basic, with any user: http://any:sk-…@server. Without a key "
    "this is off, unless the server's operator names who pays (STENOPOOL_ASR_ACCOUNT)."
)


def bearer(headers: Headers) -> str:
    """The secret of the Authorization header. Raises Unauthenticated where there is none."""
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthenticated(MISSING)
    return secret.strip()


def key_or_password(headers: Headers) -> str:
    """The same where a client may know no other way than HTTP Basic: then the key is the password, of any user. Raises
    Unauthenticated."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return bearer(headers)
    try:
        _, _, password = (
            base64.b64decode(given if scheme.lower() == "basic" else "", validate=True).decode().partition(":")
        )
    except ValueError:
        password = ""
    if not password:
        raise Unauthenticated(NO_KEY)
    return password


class Authentication:
    """Lets only holders of a key in that may do this, and no more of them than the account's rates and the slots allow; notes
    in the request's state on whose account they act. See api/access/admin_key.py for the administrator's key."""

    def __init__(self, app: ASGIApp, slots: RequestSlots | None = None) -> None:
        self.app = app
        self.slots = slots or RequestSlots()
        self.connections = AccountBound()
        self._lookups = KeyLookups(self.slots)
        self._lockout = AdminLockout()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await outside_http(self.app, scope, receive, send)
            return
        if scope["path"] in HEALTH:
            await self.app(scope, receive, send)
            return
        try:
            standings = () if _is_open(scope["method"], scope["path"]) else await self._let_in(scope)
            _unless_stopping(scope)
            slot = self._slot(scope["state"])
        except StenopoolError as error:
            await render(error)(scope, receive, send)
            return
        scope["state"]["slot"] = slot
        with slot:
            await self._serve(standings, scope, receive, send)

    def _slot(self, state: Mapping[str, Any]) -> Slot:
        if "key_shown" not in state:
            return self.slots.stranger(state["peer"])
        return self.slots.holder(state["principal"].account_id if "principal" in state else ADMINISTRATOR)

    async def _serve(self, standings: Sequence[Standing], scope: Scope, receive: Receive, send: Send) -> None:
        if not standings:
            await self.app(scope, receive, send)
            return
        refused = refusal(scope["app"].state.context.services, standings)
        await (render(refused) if refused else self.app)(scope, receive, Counted(send, standings))

    async def _let_in(self, scope: Scope) -> Sequence[Standing]:
        """How the account stands with its rates. Raises Unauthenticated, Forbidden, RateLimited, ServerBusy, LimitExceeded,
        NotFound for an administration that is switched off."""
        context: AppContext = scope["app"].state.context
        headers, services, state = Headers(scope=scope), context.services, scope["state"]
        if is_admin_path(scope["path"]):
            admin_key = services.settings.admin_key
            _let_administer(scope, bearer(headers) if admin_key else "", admin_key, self._lockout)
            state["key_shown"] = True
            act_as(Actor(ADMIN_KEY, state["peer"].name, state["own_id"]))
            return ()
        principal = await self._principal_of(context, scope["path"], headers, state["peer"])
        state["key_shown"] = True
        check_scope(principal, scope["method"], scope["path"], headers)
        if "place" in state:
            self.connections.count(state["place"], principal.account_id, principal.limits.connections)
        state["open_connections"] = self.connections.open[principal.account_id]
        state["principal"] = principal
        add_to_log(account_id=principal.account_id, key_id=principal.key_id)
        act_as(Actor(f"key:{principal.key_id}", state["peer"].name, state["own_id"]))
        return await count(services, principal, scope["method"], scope["path"])

    async def _principal_of(self, context: AppContext, path: str, headers: Headers, peer: Peer) -> Principal:
        """Raises Unauthenticated, AccountSuspended, ServerBusy."""
        if path not in WHISPER_ASR:
            return await self._lookups.principal_of(context, bearer(headers), peer)
        account_id = context.services.settings.asr_account
        if account_id and "authorization" not in headers:
            with self.slots.stranger(peer):
                return await context.query(partial(context.services.accounts.without_key, account_id))
        return await self._lookups.principal_of(context, key_or_password(headers), peer)


def _is_open(method: str, path: str) -> bool:
    """Whether it is answered without a key: the console's pages ask for their own sign-in."""
    return path in PUBLIC or is_link(method, path) or is_console(path)


def _unless_stopping(scope: Scope) -> None:
    """Raises ServerStopping. Asked when it is known who asks, since so much of a key holder's upload may be thrown away that
    its client gets to read this."""
    context: AppContext | None = getattr(scope["app"].state, "context", None)
    if context is not None and context.shutting_down:
        raise ServerStopping


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
