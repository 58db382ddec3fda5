"""Around every page of the console: what its answers allow a browser, and the way of its scripts to the API.

`/console/v1/…` is `/v1/…` with the session's key in the place of the cookie. From here on such a request is like any other:
who asks, what that key may do and how often is decided where it is decided for everybody.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.console.visit import HEADER, check_origin, visit_of
from api.http.error_responses import render
from api.http.request_middleware import CONSOLE, is_console, outside_http
from pipeline.errors import Forbidden, StenopoolError, Unauthenticated

API = CONSOLE + "/v1/"
LEADING = ("location", "hx-redirect")
SAFE = frozenset({"GET", "HEAD"})
OURS_ALONE = frozenset({"authorization", "cookie", "origin", "referer", HEADER})
ENDED = "You are not signed in any more. Sign in at /console/sign-in."
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "permissions-policy": "microphone=(self), camera=(), geolocation=(), payment=(), usb=()",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class ConsoleDoor:
    """Stands outside of the key check."""

    def __init__(self, app: ASGIApp, *, public_path: str = "") -> None:
        self.app = app
        self.public_path = public_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await outside_http(self.app, scope, receive, send)
            return
        if not is_console(scope["path"]):
            await self.app(scope, receive, send)
            return
        guarded = _Guarded(send, self.public_path)
        if scope["path"].startswith(API):
            try:
                await _as_client(scope)
            except StenopoolError as error:
                await render(error)(scope, receive, guarded)
                return
        await self.app(scope, receive, guarded)


class _Guarded:
    """One answer's `send`: says what a browser may do with it, where the answer itself has not said it, and leads from page to
    page as a browser has to ask for them."""

    def __init__(self, send: Send, public_path: str) -> None:
        self._send = send
        self._public_path = public_path

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("content-security-policy", POLICY)
            headers.setdefault("cache-control", "no-store")
            for name in LEADING:
                if headers.get(name, "").startswith(CONSOLE):
                    headers[name] = self._public_path + headers[name]
        await self._send(message)


async def _as_client(scope: Scope) -> None:
    """Make of a page's request one of the API's. Raises Forbidden, Unauthenticated."""
    request = HTTPConnection(scope)
    if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise Forbidden("Only pages of this console may ask here; others ask /v1 with a key.")
    visit = await visit_of(request)
    if not visit.signed_in:
        raise Unauthenticated(ENDED)
    if scope["method"] not in SAFE:
        check_origin(request)
        visit.check_token(request.headers.get(HEADER))
    headers = [(name, value) for name, value in scope["headers"] if name.decode("latin-1") not in OURS_ALONE]
    scope["headers"] = [*headers, (b"authorization", f"Bearer {visit.credentials.key}".encode())]
    scope["path"] = scope["path"].removeprefix(CONSOLE)
    scope["raw_path"] = scope.get("raw_path", b"").removeprefix(CONSOLE.encode())
