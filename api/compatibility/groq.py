"""Groq's clients: they put `/openai` before every path, and look for `x_groq` in an answer."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from starlette.types import Scope

_PREFIX = "/openai"


def with_our_path(scope: Scope) -> None:
    """A path of theirs becomes the one that is meant, before anybody asks what it is: keys, scopes, rates and routes see ours."""
    if scope["path"].startswith(f"{_PREFIX}/v1/"):
        scope["path"] = scope["path"].removeprefix(_PREFIX)
        scope["state"]["groq"] = True


def x_groq(request: Request) -> dict[str, Any]:
    """What the JSON of a transcript has besides, for who came by such a path."""
    return {"x_groq": {"id": request.state.own_id}} if getattr(request.state, "groq", False) else {}
