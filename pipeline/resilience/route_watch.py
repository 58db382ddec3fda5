"""Who is being asked at this moment, for one who has to say so before there is an answer."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Self


class RouteWatch:
    """Around the work. `model` is what the last provider that was asked calls the model; empty while nobody was.

    Counts in this context, and in threads that inherit it.
    """

    __slots__ = ("_token", "model")

    def __init__(self) -> None:
        self.model = ""

    def __enter__(self) -> Self:
        self._token: Token[RouteWatch | None] = _WATCH.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _WATCH.reset(self._token)


_WATCH: ContextVar[RouteWatch | None] = ContextVar("route_watch", default=None)


def asking(model: str) -> None:
    """A provider is about to be asked."""
    watch = _WATCH.get()
    if watch is not None:
        watch.model = model
