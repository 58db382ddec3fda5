"""Signing in and out: with a key that is pasted, or by a link that is good once."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from api.console.pages import SIGN_IN, PageRoute, form_of, render
from api.console.v1_client import V1, Refused
from api.console.visit import Anybody, Visit, give_cookie
from api.dependencies import Context
from api.http.request_middleware import CONSOLE
from infra.console.console_sessions import Credentials
from infra.console.sign_in_links import PATH as START
from infra.keys.api_keys import parse_key

router = APIRouter(route_class=PageRoute, include_in_schema=False)
FIRST_PAGE = CONSOLE + "/new"
OPERATOR_PAGE = CONSOLE + "/operator"
USED = "This link was used already, or is older than 15 minutes. `stenopool console link` makes a new one."
NO_KEY = "This is no API key of this server. A key begins with sk- and has 59 characters."
UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 401, 403, 404


@router.get(CONSOLE)
async def first(visit: Anybody) -> Response:
    """To the page that one begins with."""
    return RedirectResponse(FIRST_PAGE if visit.signed_in or not visit.administers else OPERATOR_PAGE, 303)


@router.get(SIGN_IN)
async def show(request: Request, visit: Anybody, why: str = "", next: str = "") -> Response:
    """The form. A browser that came from elsewhere brings no cookie the first time: it is sent here once more."""
    if request.headers.get("sec-fetch-site") == "cross-site" and visit.fresh:
        return render(request, replace(visit, fresh=False), "again.html", target=_inside(visit, next) or FIRST_PAGE)
    return render(request, visit, "sign_in.html", why=why, next=next, wrong="")


@router.post(SIGN_IN)
async def sign_in(request: Request, visit: Anybody, context: Context) -> Response:
    """A key of an account, or the server's admin key; whoever has signed in with one may add the other."""
    fields = await form_of(request, visit)
    given = fields.get("key", "").strip()
    try:
        found = await _credentials(request, visit, given)
    except Refused as refused:
        target, told = fields.get("next", ""), refused.message
        return render(request, visit, "sign_in.html", status=refused.status, why="", next=target, wrong=told)
    holder = context.services.accounts.recall(found.key)  # the API has just asked who that is
    account_id = holder.account_id if holder else None
    begun = partial(context.services.console_sessions.begin, found, account_id, instead_of=visit.secret)
    first = FIRST_PAGE if given == found.key else OPERATOR_PAGE
    return _welcome(await context.query(begun), visit, _inside(visit, fields.get("next", "")) or first)


async def _credentials(request: Request, visit: Visit, given: str) -> Credentials:
    """What is held from then on. Raises Refused, in the API's own words, who also counts the attempts at guessing."""
    if parse_key(given) is None:
        found = replace(visit.credentials, admin_key=given)
        await _as_administrator(V1(request, replace(visit, credentials=found), admin=True))
    else:
        found = replace(visit.credentials, key=given)
        await V1(request, replace(visit, credentials=found)).get("/v1/models")  # what any key may see
    return found


async def _as_administrator(v1: V1) -> None:
    """Raises Refused."""
    try:
        await v1.get("/admin/accounts", limit=1)
    except Refused as refused:
        if refused.status in (NOT_FOUND, UNAUTHORIZED):
            raise Refused(UNAUTHORIZED, NO_KEY, refused.code) from refused
        raise


def _inside(visit: Visit, target: str) -> str:
    """Where somebody wanted to go, if that is a page of ours."""
    target = target.removeprefix(visit.root)
    ours = target.startswith(CONSOLE + "/") and "\\" not in target and "//" not in target
    return target if ours else ""


@router.get(START)
async def start(request: Request, visit: Anybody, context: Context, once: str = "") -> Response:
    """Signs in, and leads to the first page, in whose address the secret no longer stands."""
    redeem = partial(context.services.sign_in_links.redeem, once, instead_of=visit.secret)
    secret = await context.query(redeem)
    if secret is None:
        return render(request, visit, "sign_in.html", status=FORBIDDEN, why="", next="", wrong=USED)
    return _welcome(secret, visit, FIRST_PAGE)


@router.post(CONSOLE + "/sign-out")
async def sign_out(request: Request, visit: Anybody, context: Context) -> Response:
    """The session's row is gone, and with it the only copy of what was signed in with."""
    await form_of(request, visit)
    await context.query(partial(context.services.console_sessions.end, visit.secret))
    return RedirectResponse(SIGN_IN, 303)


def _welcome(secret: str, visit: Visit, target: str) -> Response:
    answer = RedirectResponse(target, 303)
    give_cookie(answer, visit, secret)
    return answer
