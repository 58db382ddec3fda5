"""How long work learns that nobody wants it any more: whoever asks for it says how to look, and it looks between its pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Check = Callable[[], None]


def _go_on() -> None:
    """Nobody has said how to look."""


_CHECK: ContextVar[Check] = ContextVar("stopping", default=_go_on)


@contextmanager
def stopped_by(check: Check) -> Iterator[None]:
    """Around the work: `check` raises what is to end it, besides what others around it say. Counts in this context, and in threads
    that inherit it."""
    before = _CHECK.get()

    def all_checks() -> None:
        before()
        check()

    token = _CHECK.set(all_checks)
    try:
        yield
    finally:
        _CHECK.reset(token)


def stop_if_unwanted() -> None:
    """Between two pieces of work. Raises what a `stopped_by` around us raises."""
    _CHECK.get()()
