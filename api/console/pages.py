"""How a page is made: templates that escape whatever they are given, and one way to say that something was refused."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Coroutine
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

from fastapi import Request, Response
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse

from api.console.v1_client import Refused
from api.console.visit import FIELD, HEADER, SignInNeeded, Visit, check_origin, give_cookie, visit_of
from api.dependencies import AppContext
from api.http.error_responses import BodyTooLarge, status_of
from api.http.request_body import blocks
from infra.console.cookie_secret import new_secret
from pipeline.errors import StenopoolError

HERE = Path(__file__).parent
STATIC = HERE / "static"
SIGN_IN = "/console/sign-in"
FORM_LIMIT = 256 * 1024  # bytes of a form without files
UNAUTHORIZED = 401
NAVIGATION = (
    ("new", "New", "/console/new"),
    ("jobs", "Jobs", "/console/jobs"),
    ("models", "Models", "/console/models"),
    ("usage", "Usage", "/console/usage"),
    ("keys", "Keys", "/console/keys"),
    ("webhooks", "Webhooks", "/console/webhooks"),
)
OPERATOR = ("operator", "Operator", "/console/operator")


def render(
    request: Request, visit: Visit, template: str, *, status: int = 200, fragment: bool = False, **facts: Any
) -> Response:
    """A page, or a part of one; `facts` are the template's variables. A browser without our cookie gets it."""
    known = {
        "visit": visit,
        "form_token": visit.form_token,
        "navigation": (*NAVIGATION, OPERATOR) if visit.administers else NAVIGATION,
        "once": new_secret(),  # by which a form that is sent twice is known as one
        "at": request.url.path
        if request.method == "POST"
        else "",  # where a reload shall ask, instead of sending it again
        "active": request.url.path.removeprefix("/console/").partition("/")[0],
    }
    answer = HTMLResponse(_environment(visit.root).get_template(template).render(**known | facts), status_code=status)
    if visit.fresh and not fragment:
        give_cookie(answer, visit, visit.secret)
    return answer


def document_page(template: str, root: str, **facts: Any) -> str:
    """A page that is the same for everybody, signed in or not; `root` is what a browser puts before our own paths."""
    return _environment(root).get_template(template).render(**facts)


async def form_of(request: Request, visit: Visit) -> dict[str, str]:
    """The fields of a form that one of our pages sent. Raises Forbidden for any other's, BodyTooLarge."""
    fields = dict(await form_fields(request, visit))
    fields.pop(FIELD, None)
    return fields


async def form_fields(request: Request, visit: Visit) -> list[tuple[str, str]]:
    """The same with every field as often as it was sent."""
    check_origin(request)
    content = bytearray()
    async for block in blocks(request):
        content += block
        if len(content) > FORM_LIMIT:
            raise BodyTooLarge(f"The form is larger than {FORM_LIMIT} bytes.")
    fields = parse_qsl(content.decode("utf-8", "replace"), keep_blank_values=True)
    visit.check_token(dict(fields).get(FIELD) or request.headers.get(HEADER))
    return fields


class PageRoute(APIRoute):
    """A route whose refusals are pages: sign in first, or what was wrong and what to do."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's, inside of ours."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await inner(request)
            except SignInNeeded as needed:
                return to_sign_in(request, str(needed))
            except Refused as refused:
                return await _refused(request, refused)
            except StenopoolError as error:
                return refusal(request, await _visit_or_nobody(request), status_of(error), error.message)

        return handle


def to_sign_in(request: Request, why: str) -> Response:
    """To where one signs in, which says why and leads back here. A part of a page takes the whole page there."""
    back = request.url.path if request.method == "GET" else ""
    target = f"{SIGN_IN}?why={quote(why)}" + (f"&next={quote(back)}" if back else "")
    if "hx-request" in request.headers:
        return Response(status_code=204, headers={"hx-redirect": target})
    return RedirectResponse(target, status_code=303)


def refusal(request: Request, visit: Visit, status: int, message: str) -> Response:
    """What was wrong, on a page of its own or as a part of one."""
    part = "hx-request" in request.headers
    template = "refusal_part.html" if part else "refusal.html"
    return render(request, visit, template, status=200 if part else status, fragment=part, message=message)


async def _visit_or_nobody(request: Request) -> Visit:
    """Where the database cannot say who it is, the page says what is wrong to nobody in particular."""
    try:
        return await visit_of(request)
    except StenopoolError:
        context: AppContext = request.app.state.context
        return Visit(new_secret(), fresh=False, secure=False, root=context.services.settings.public_path)


async def _refused(request: Request, refused: Refused) -> Response:
    visit = await visit_of(request)
    if refused.status != UNAUTHORIZED:
        return refusal(request, visit, refused.status, refused.message)
    context: AppContext = request.app.state.context
    await context.query(partial(context.services.console_sessions.end, visit.secret))
    return to_sign_in(request, f"You were signed out. {refused.message}")


@cache
def _environment(root: str) -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"root": root, "asset": lambda name: root + asset(name)}
    made.filters |= {"moment": moment, "clock": clock, "usd": usd, "size": size, "iso": iso}
    return made


@cache
def asset(name: str) -> str:
    """The address of a file of ours, which changes with its content."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/console/static/{name}?v={digest}"


def moment(seconds: float | None) -> str:
    """Epoch seconds as people read them, in UTC: the page's script makes local time of it."""
    return "" if seconds is None else f"{_utc(seconds):%Y-%m-%d %H:%M} UTC"


def iso(seconds: float | None) -> str:
    """The same for machines."""
    return "" if seconds is None else _utc(seconds).isoformat()


def clock(seconds: float | None) -> str:
    """A length: 1:02:03, 4:05."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def usd(amount: float | str | None) -> str:
    """Dollars, with as many places as it takes."""
    if amount is None:
        return ""
    text = f"{float(amount):,.6f}".rstrip("0")
    whole, _, places = text.partition(".")
    return f"${whole}.{places:0<2}"


def size(count: float | None) -> str:
    """Bytes: 12 MB."""
    if count is None:
        return ""
    power = min(3, (len(f"{count:.0f}") - 1) // 3)
    return f"{count / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB')[power]}"


def _utc(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
