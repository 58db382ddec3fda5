"""What providers have said they no longer have: a model, or the endpoint of a task.

It is no failure of theirs, and no caller should wait for the same answer again. Each process remembers it by itself, and only for
some minutes: a server that comes back, or was asked while it was put in place, is found again without anybody's doing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from pipeline.catalog.model import Route
from pipeline.options import Task

REMEMBERED_S = 300.0

_LOG = logging.getLogger(__name__)


class GoneRoutes:
    """Thread-safe; `clock` counts seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[tuple[str, str, Task], float] = {}
        self._lock = threading.Lock()

    def note(self, route: Route, task: Task) -> None:
        """The provider has just said so."""
        key = (route.provider, route.model, task)
        with self._lock:
            known = key in self._until
            self._until[key] = self._clock() + REMEMBERED_S
        if not known:
            _LOG.warning("%s has no %r for %s any more: whoever is next answers instead", *key)

    def left(self, routes: list[Route], task: Task) -> list[Route]:
        """Those that are there, as far as one knows."""
        return [route for route in routes if not self.knows(route, task)] if self._until else routes

    def knows(self, route: Route, task: Task) -> bool:
        """Whether it was said a short while ago."""
        until = self._until.get((route.provider, route.model, task))
        return until is not None and self._clock() < until
