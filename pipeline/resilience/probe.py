"""Whether a call is made to see if a provider is back, or because others have seen it: then an open circuit lets it through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_PROBE: ContextVar[bool] = ContextVar("probe", default=False)


@contextmanager
def probing(probe: bool = True) -> Iterator[None]:
    """Around one call. Counts in this context only."""
    token = _PROBE.set(probe)
    try:
        yield
    finally:
        _PROBE.reset(token)


def is_probe() -> bool:
    """What the innermost `probing` around us says; False outside of any."""
    return _PROBE.get()
