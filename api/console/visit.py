"""Who looks at a page: the cookie, whoever is signed in by it, and the token that every form carries."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

from fastapi import Depends, Request
from starlette.requests import HTTPConnection
from starlette.responses import Response

from api.dependencies import AppContext
from api.http.request_middleware import CONSOLE
from infra.console.console_sessions import SESSION_SECONDS, Credentials
from infra.console.cookie_secret import form_token, is_secret, new_secret
from pipeline.errors import Forbidden

NAME = "stenopool_console"
SECURE_NAME = "__Secure-" + NAME  # browsers take it over TLS alone
FIELD = "form_token"  # of every form
HEADER = "x-console-token"  # the same of a script
ELSEWHERE = "This form was not sent from a page of this console. Load the page again and repeat it."


class SignInNeeded(Exception):
    """Nobody is signed in, or not any more; says why it is needed."""


@dataclass(frozen=True)
class Visit:
    """`secret` is the cookie's; `fresh`: the browser has yet to be given it. `root` is what a browser puts before our own paths."""

    secret: str
    fresh: bool
    secure: bool
    root: str = ""
    credentials: Credentials = field(default_factory=Credentials)

    @property
    def form_token(self) -> str:
        """What the forms of this browser's pages carry."""
        return form_token(self.secret)

    @property
    def signed_in(self) -> bool:
        """With an account's key."""
        return bool(self.credentials.key)

    @property
    def administers(self) -> bool:
        """With the server's admin key."""
        return bool(self.credentials.admin_key)

    def check_token(self, given: str | None) -> None:
        """Raises Forbidden for a form of anybody else's."""
        if not hmac.compare_digest(self.form_token.encode(), (given or "").encode()):
            raise Forbidden(ELSEWHERE)


async def visit_of(request: HTTPConnection) -> Visit:
    """Whoever sent this request. Asks the database where there is a cookie of ours."""
    secure = request.url.scheme == "https"
    secret = request.cookies.get(SECURE_NAME if secure else NAME, "")
    context: AppContext = request.app.state.context
    root = context.services.settings.public_path
    if not is_secret(secret):
        return Visit(new_secret(), fresh=True, secure=secure, root=root)
    found = await context.query(partial(context.services.console_sessions.find, secret))
    return Visit(secret, fresh=False, secure=secure, root=root, credentials=found or Credentials())


async def _signed_in(visit: Annotated[Visit, Depends(visit_of)]) -> Visit:
    if not visit.signed_in:
        raise SignInNeeded("Sign in with an account's key to see this page.")
    return visit


async def _administrator(visit: Annotated[Visit, Depends(visit_of)]) -> Visit:
    if not visit.administers:
        raise SignInNeeded("Sign in with the server's admin key to see this page.")
    return visit


Anybody = Annotated[Visit, Depends(visit_of)]
SignedIn = Annotated[Visit, Depends(_signed_in)]
Administrator = Annotated[Visit, Depends(_administrator)]


def give_cookie(response: Response, visit: Visit, secret: str) -> None:
    """The browser brings it to the console alone, no script reads it, and no other site's page has it sent."""
    name = SECURE_NAME if visit.secure else NAME
    response.set_cookie(
        name,
        secret,
        max_age=round(SESSION_SECONDS),
        path=visit.root + CONSOLE,
        secure=visit.secure,
        httponly=True,
        samesite="strict",
    )


def check_origin(request: Request | HTTPConnection) -> None:
    """That a page of this very server sent it. On loopback every port is the same site, so that no cookie's rule would tell.
    Raises Forbidden."""
    host = request.headers.get("host", "")
    origin = request.headers.get("origin", "")
    if origin.partition("://")[2] != host or request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise Forbidden(ELSEWHERE)
