"""The reference: the OpenAPI document, and Swagger UI to read it and try it in, from a package that ships its files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from api.console.pages import document_page
from api.dependencies import Context
from pipeline.errors import NotFound

router = APIRouter(include_in_schema=False)
PACKAGE = "fastapi_swagger"  # its files alone: what it does to an application is of no use here
VIEWER = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
    "connect-src 'self'; font-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
}


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """The OpenAPI document."""
    return Response(
        _once(request.app, "openapi_json", lambda document: json.dumps(document).encode()),
        media_type="application/json",
    )


@router.get("/docs")
async def docs(request: Request, context: Context) -> Response:
    """Every route on one page."""
    root = context.services.settings.public_path
    return HTMLResponse(_once(request.app, "docs_html", partial(page, root=root)), headers=HEADERS)


@router.get("/console/static/reference/{name}")
async def viewer(name: str) -> Response:
    """A file of the viewer. Raises NotFound."""
    if name not in VIEWER:
        raise NotFound("There is no such file.")
    return FileResponse(_folder() / name, media_type=VIEWER[name], headers={"cache-control": "public, max-age=86400"})


@router.get("/redoc")
@router.get("/")
async def elsewhere() -> Response:
    """To the one page there is."""
    return RedirectResponse("docs")


def page(document: dict[str, Any], root: str) -> bytes:
    """Of an OpenAPI document; who has no scripts reads a list of what there is."""
    operations = list(_operations(document))
    return document_page("reference.html", root, info=document["info"], operations=operations).encode()


@cache
def _folder() -> Path:
    found = find_spec(PACKAGE)
    assert found is not None
    assert found.submodule_search_locations is not None
    return Path(found.submodule_search_locations[0]) / "resources"


def _once(app: FastAPI, name: str, write: Callable[[dict[str, Any]], bytes]) -> bytes:
    """The document as it was written for whoever asked first: it does not change, and anybody may ask."""
    if not hasattr(app.state, name):
        setattr(app.state, name, write(app.openapi()))
    content: bytes = getattr(app.state, name)
    return content


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation.get("summary", "")
