"""Whether another route could answer instead: then nobody waits until a provider is below its limit again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_SPARE: ContextVar[bool] = ContextVar("spare", default=False)


@contextmanager
def spare_route(there: bool) -> Iterator[None]:
    """Around one route's call; `there` is whether a further route would be asked next. Counts in this thread only."""
    token = _SPARE.set(there)
    try:
        yield
    finally:
        _SPARE.reset(token)


def has_spare_route() -> bool:
    """What the innermost `spare_route` around us says; False outside of any."""
    return _SPARE.get()
