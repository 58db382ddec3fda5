"""Whether another route could answer instead: then nobody waits until a provider is below its limit again."""

from __future__ import annotations

from contextvars import ContextVar

_FALLBACK: ContextVar[bool] = ContextVar("fallback", default=False)


class fallback_available:  # noqa: N801 - it is used as a function with a block
    """Around one route's call; `there` is whether a further route would be asked next. Counts in this context only."""

    __slots__ = ("_there", "_token")

    def __init__(self, there: bool) -> None:
        self._there = there

    def __enter__(self) -> None:
        self._token = _FALLBACK.set(self._there)

    def __exit__(self, *_: object) -> None:
        _FALLBACK.reset(self._token)


def has_fallback() -> bool:
    """What the innermost `fallback_available` around us says; False outside of any."""
    return _FALLBACK.get()
