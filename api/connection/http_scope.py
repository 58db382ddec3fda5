"""A request's head as ASGI tells it to an application."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from api.connection.request_parser import Field


def http_scope(method: bytes, target: bytes, minor: bytes, fields: list[Field]) -> dict[str, Any]:
    """What the head says; the connection adds who speaks to whom."""
    raw_path, _, query = _origin_form(target).partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": f"1.{minor.decode()}",
        "method": method.decode(),
        "root_path": "",
        "path": unquote(raw_path.decode()),
        "raw_path": raw_path,
        "query_string": query,
        "headers": fields,
    }


def asks_to_close(fields: list[Field]) -> bool:
    """Whether the connection shall end with this request."""
    return any(
        name == b"connection" and b"close" in [token.strip() for token in value.lower().split(b",")]
        for name, value in fields
    )


def awaits_continue(fields: list[Field]) -> bool:
    """Whether the client sends its body only when it is told to."""
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in fields)


def _origin_form(target: bytes) -> bytes:
    """`/path?query`, also of `http://host/path?query`, which a proxy may send (RFC 9112, 3.2.2)."""
    if not target.startswith(b"http"):
        return target
    authority, question, query = target.partition(b"://")[2].partition(b"?")
    path = authority.partition(b"/")[2]
    return b"/" + path + question + query
