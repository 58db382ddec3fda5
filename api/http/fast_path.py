"""The busiest routes, answered without the framework's machinery: no matching, no dependencies to solve, no stacks to unwind.

They are declared as any other route, so that the documentation shows them and HEAD, OPTIONS or a wrong method end as everywhere.
Only their plain POST is answered here. A handler takes the request alone and raises our errors; what stands around it (the
envelope, the body's guard, the key check) is the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from fastapi import Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.error_responses import render
from pipeline.errors import StenopoolError

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Place:
    """What the metrics ask of a route."""

    path: str


class FastPath:
    """The innermost middleware: `handlers` by path."""

    def __init__(self, app: ASGIApp, *, handlers: Mapping[str, Handler]) -> None:
        self.app = app
        self._places = {path: (handler, Place(path)) for path, handler in handlers.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._places.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if found is None:
            await self.app(scope, receive, send)
            return
        handler, scope["route"] = found
        try:
            response = await handler(Request(scope, receive, send))
        except StenopoolError as error:
            response = render(error)
        await response(scope, receive, send)
