"""The documentation page, made here from the OpenAPI document: no script, nothing fetched from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

router = APIRouter(include_in_schema=False)

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--soft:#f3f5f7;--line:#d8dee4;--accent:#0b6e4f}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ec;--paper:#14171a;--soft:#1d2226;--line:#333a41;--accent:#57c79b}}
*{box-sizing:border-box}
body{font:16px/1.55 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:0 auto;padding:2rem 1rem}
code,pre,.path{font-family:ui-monospace,monospace}
pre,.operation{background:var(--soft);border-radius:8px}
pre{padding:1rem;overflow-x:auto}
.operation{margin:.6rem 0;border:1px solid var(--line)}
summary{padding:.7rem 1rem;cursor:pointer}
.method{display:inline-block;min-width:4.2rem;font-weight:700;color:var(--accent)}
.inside{padding:0 1rem 1rem}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;padding:.35rem .6rem .35rem 0;border-top:1px solid var(--line)}
td:first-child{white-space:nowrap}
.dim{opacity:.7}
"""


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """The OpenAPI document."""
    return Response(
        _once(request.app, "openapi_json", lambda document: json.dumps(document).encode()),
        media_type="application/json",
    )


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Every route on one page."""
    return HTMLResponse(_once(request.app, "docs_html", lambda document: page(document).encode()))


@router.get("/redoc")
@router.get("/")
async def elsewhere() -> Response:
    """To the one page there is."""
    return RedirectResponse("docs")


def _once(app: FastAPI, name: str, write: Callable[[dict[str, Any]], bytes]) -> bytes:
    """The document as it was written for whoever asked first: it does not change, and anybody may ask."""
    if not hasattr(app.state, name):
        setattr(app.state, name, write(app.openapi()))
    content: bytes = getattr(app.state, name)
    return content


def page(document: dict[str, Any]) -> str:
    """An OpenAPI document as HTML."""
    info = document["info"]
    paragraphs = "".join(f"<p>{escape(part)}</p>" for part in info.get("description", "").split("\n\n"))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])} API</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style>'
        f'<h1>{escape(info["title"])} <small class="dim">{escape(info["version"])}</small></h1>{paragraphs}'
        f'<p><a href="openapi.json">OpenAPI document</a></p>{"".join(_groups(document))}</html>'
    )


def _groups(document: dict[str, Any]) -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for tag in operation.get("tags", ["other"]):
                groups.setdefault(tag, []).append(_operation(method, path, operation))
    for tag, operations in groups.items():
        yield f"<h2>{escape(tag.capitalize())}</h2>{''.join(operations)}"


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    title = f'<span class="method">{method.upper()}</span> <span class="path">{escape(path)}</span>'
    text = f"<p>{escape(operation.get('description', ''))}</p>"
    rows = [*_parameters(operation), *_fields(operation)]
    table = f"<table><tr><th>name<th>where<th>type<th>what</tr>{''.join(rows)}</table>" if rows else ""
    answers = "".join(
        f"<tr><td>{escape(status)}<td colspan=3>{escape(answer['description'])}</tr>"
        for status, answer in operation.get("responses", {}).items()
    )
    return (
        f'<details class="operation"><summary>{title} <span class="dim">{escape(operation.get("summary", ""))}</span>'
        f'</summary><div class="inside">{text}{table}<table><tr><th>status<th>when</tr>{answers}</table></div></details>'
    )


def _parameters(operation: dict[str, Any]) -> Iterator[str]:
    for one in operation.get("parameters", []):
        yield _row(
            one["name"], one["in"], one.get("schema", {}), one.get("description", ""), one.get("required", False)
        )


def _fields(operation: dict[str, Any]) -> Iterator[str]:
    contents = operation.get("requestBody", {}).get("content", {})
    for kind, content in list(contents.items())[:1]:
        schema = content["schema"]
        for name, field in schema.get("properties", {}).items():
            required = name in schema.get("required", [])
            where = "form" if "multipart" in kind else "JSON"
            yield _row(name, where, field, field.get("description", ""), required)


def _row(name: str, where: str, schema: dict[str, Any], text: str, required: bool) -> str:
    star = " *" if required else ""
    cells = (f"<code>{escape(name)}</code>{star}", where, escape(_kind(schema)), escape(text))
    return "<tr>" + "".join(f"<td>{cell}" for cell in cells) + "</tr>"


def _kind(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema:
        return ", ".join(str(one) for one in schema["enum"])
    kind = str(schema.get("format") or schema.get("type") or schema.get("const", "any"))
    return f"{kind}, default {schema['default']}" if schema.get("default") not in (None, "") else kind
