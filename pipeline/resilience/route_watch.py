"""Who is being asked at this moment, for one who has to say so before there is an answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class RouteWatch:
    """`model` is what the last provider that was asked calls the model; empty while nobody was."""

    def __init__(self) -> None:
        self.model = ""


_WATCH: ContextVar[RouteWatch | None] = ContextVar("route_watch", default=None)


@contextmanager
def watched_by(watch: RouteWatch) -> Iterator[None]:
    """Around the work. Counts in this context, and in threads that inherit it."""
    token = _WATCH.set(watch)
    try:
        yield
    finally:
        _WATCH.reset(token)


def asking(model: str) -> None:
    """A provider is about to be asked."""
    watch = _WATCH.get()
    if watch is not None:
        watch.model = model
