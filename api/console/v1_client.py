"""The API as the pages ask it: in this process, with the session's key and no other privilege."""

from __future__ import annotations

import json
from typing import Any

import httpx2
from fastapi import Request

from api.console.visit import Visit

ANSWER_SECONDS = 120.0
FORBIDDEN = 403
TOLD_BY_PROXIES = ("x-forwarded-for", "x-forwarded-proto")


class Refused(Exception):
    """The API has refused what the page asked for: its `status`, the error's `message` and `code`, and the whole `body`."""

    def __init__(self, status: int, message: str, code: str, body: Any = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.body = status, message, code, body


class V1:
    """`GET /v1/…` and the others, for one visit. Each raises Refused for whatever is no success."""

    def __init__(self, request: Request, visit: Visit, *, admin: bool = False) -> None:
        key = visit.credentials.admin_key if admin else visit.credentials.key
        told = {name: request.headers[name] for name in TOLD_BY_PROXIES if name in request.headers}
        client = request.client
        self._options: dict[str, Any] = {
            "transport": httpx2.ASGITransport(request.app, client=(client.host, client.port) if client else ("", 0)),
            "base_url": f"{request.url.scheme}://{request.headers.get('host', 'localhost')}",
            "headers": {"authorization": f"Bearer {key}", **told},
            "timeout": ANSWER_SECONDS,
            "trust_env": False,
        }

    async def get(self, path: str, **query: Any) -> Any:
        """JSON; what is None is not asked for."""
        return (await self.answer("GET", path, params=_given(query))).json()

    async def get_or_none(self, path: str, **query: Any) -> Any:
        """The same; None where the key lacks the scope."""
        try:
            return await self.get(path, **query)
        except Refused as refused:
            if refused.status != FORBIDDEN:
                raise
            return None

    async def readiness(self) -> str:
        """ok, degraded, starting, unavailable or stopping, as /readyz tells everybody."""
        async with httpx2.AsyncClient(**self._options) as client:
            return str((await client.get("/readyz")).json()["status"])

    async def text(self, path: str, **query: Any) -> str:
        """The answer as text: captions, CSV."""
        return (await self.answer("GET", path, params=_given(query))).text

    async def post(self, path: str, body: Any = None, **options: Any) -> Any:
        """JSON to JSON; `files`, `data` and `headers` as httpx has them."""
        return (await self.answer("POST", path, json=body, **options)).json()

    async def patch(self, path: str, body: Any) -> Any:
        """JSON to JSON."""
        return (await self.answer("PATCH", path, json=body)).json()

    async def delete(self, path: str, **query: Any) -> Any:
        """JSON."""
        return (await self.answer("DELETE", path, params=_given(query))).json()

    async def answer(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """The whole answer: its headers, its bytes."""
        async with httpx2.AsyncClient(**self._options) as client:
            answer = await client.request(method, path, **options)
        if answer.is_success:
            return answer
        raise _refused(answer)


def _given(query: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value not in (None, "")}


def _refused(answer: httpx2.Response) -> Refused:
    try:
        body = answer.json()
        error = body["error"]
        return Refused(answer.status_code, str(error["message"]), str(error["code"]), body)
    except (json.JSONDecodeError, KeyError, TypeError):
        return Refused(answer.status_code, f"The API answered {answer.status_code}.", "refused")
