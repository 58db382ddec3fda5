"""How the routes that read their bodies themselves are described in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from api.access.admin_key import is_admin_path
from api.http.request_middleware import PUBLIC, is_link
from infra.requests.known_names import json_schema_of

Extra = dict[str, Any]


def takes(
    *,
    json: type[BaseModel] | Sequence[type[BaseModel]] = (),
    form: type[BaseModel] | None = None,
    file: str = "file",
    besides: Mapping[str, Any] | None = None,
) -> Extra:
    """`openapi_extra` for a route that takes JSON (of one of several kinds, with these properties besides), a multipart form with a
    file in the field of that name, or either. It is also what tells a slip: api/http/unknown_names.py."""
    content: dict[str, Any] = {}
    if form is not None:
        schema = json_schema_of(form)
        schema["properties"] = {file: {"type": "string", "format": "binary"}, **schema["properties"]}
        schema["required"] = [file, *schema.get("required", [])]
        content["multipart/form-data"] = {"schema": schema}
    kinds = [json_schema_of(kind) for kind in (json if isinstance(json, Sequence) else [json])]
    for kind in kinds:
        kind["properties"] = {**(besides or {}), **kind.get("properties", {})}
    if kinds:
        content["application/json"] = {"schema": kinds[0] if len(kinds) == 1 else {"anyOf": kinds}}
    return {"requestBody": {"required": True, "content": content}}


ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}


Answers = dict[int | str, dict[str, Any]]


def document(app: FastAPI, public_url: str = "") -> dict[str, Any]:
    """The OpenAPI document as things are here: wrong fields are 400 and not 422, and everything but PUBLIC wants a key."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = made.setdefault("components", {})
        for name in ("HTTPValidationError", "ValidationError"):
            components.get("schemas", {}).pop(name, None)
        components["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "description": "An account's API key: sk-…"},
            "admin": {"type": "http", "scheme": "bearer", "description": "The server's STENOPOOL_ADMIN_KEY."},
        }
        for path, methods in made["paths"].items():
            for method, operation in methods.items():
                _corrected(operation)
                if not (path in PUBLIC or is_link(method.upper(), path)):
                    _guarded(operation, admin=is_admin_path(path))
        if public_url:
            made["servers"] = [{"url": public_url}]
        app.openapi_schema = made
    return app.openapi_schema


def _corrected(operation: dict[str, Any]) -> None:
    wrong = operation["responses"].pop("422", None) or operation.get("requestBody")
    if wrong:
        operation["responses"].setdefault("400", answers(s400="A field is wrong.")[400])


def _guarded(operation: dict[str, Any], *, admin: bool) -> None:
    """What is decided before the route: who asks, whether that may be, and how often."""
    operation["security"] = [{"admin" if admin else "key": []}]
    if admin:
        told = answers(s401="Not the administrator's key.", s429="Too many wrong keys from this address.")
    else:
        told = answers(
            s401="No key, or not one of ours.",
            s403="The key lacks a scope, or its account is suspended.",
            s429="Over a rate or a limit of the account, which `param` names: see Retry-After.",
        )
    for status, answer in told.items():
        operation["responses"].setdefault(str(status), answer)


def answers(**by_status: str) -> Answers:
    """`responses` for a route: `answers(s404="No such job.")`. Every error has the one shape."""
    body = {"application/json": {"schema": ERROR_SCHEMA}}
    return {int(name[1:]): {"description": text, "content": body} for name, text in by_status.items()}


def shown_as(*media_types: str) -> Answers:
    """`responses` for a route that answers in these media types."""
    return {200: {"content": {media_type: {} for media_type in media_types}}}
