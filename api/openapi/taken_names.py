"""Which names each route takes, read from what the route itself declares: its parameters, and the body of its OpenAPI entry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from pydantic import BaseModel

from api.http.request_middleware import SYNCHRONOUS, WHISPER_ASR
from api.http.unknown_names import Taken
from infra.requests.known_names import KnownNames

OPENAI = ("/v1/models", "/v1/files", "/v1/uploads", "/v1/batches")  # and the synchronous endpoints
PAGED_BY = "limit"  # what every list takes


def taken_names(routers: Iterable[APIRouter]) -> Mapping[tuple[str, str], Taken]:
    """By method and path."""
    routes = (route for router in routers for route in router.routes if isinstance(route, APIRoute))
    return {(method, route.path): _taken_by(route) for route in routes for method in route.methods or ()}


def _taken_by(route: APIRoute) -> Taken:
    query: dict[str, Any] = {name: {} for name in _parameters(route)}
    content = (route.openapi_extra or {}).get("requestBody", {}).get("content", {})
    kinds = [one["schema"] for one in content.values()]
    return Taken(
        query=KnownNames(query),
        body=KnownNames.of_schema({"anyOf": kinds}),
        foreign=route.path in SYNCHRONOUS | WHISPER_ASR or route.path.startswith(OPENAI),
        listing=PAGED_BY in query,
    )


def _parameters(route: APIRoute) -> Iterator[str]:
    for field in route.dependant.query_params:
        kind = field.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from (one.alias or name for name, one in kind.model_fields.items())
        else:
            yield field.alias
