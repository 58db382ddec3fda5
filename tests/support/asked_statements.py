"""What is asked of a database while a block runs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import CacheStats


@dataclass
class Asked:
    """What was asked, and which of it SQLAlchemy had not compiled before."""

    statements: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    transactions: int = 0


@contextmanager
def listening() -> Iterator[Asked]:
    """To whatever the block asks in its own thread: a heartbeat, which comes by the clock, is none of it."""
    asked, own = Asked(), threading.get_ident()

    def begun(_connection: Any) -> None:
        asked.transactions += threading.get_ident() == own

    def executed(_connection: Any, _cursor: Any, statement: str, _values: Any, context: Any, _many: bool) -> None:
        if threading.get_ident() != own:
            return
        asked.statements.append(statement)
        if context.cache_hit is CacheStats.CACHE_MISS:
            asked.unknown.append(statement)

    event.listen(Engine, "begin", begun)
    event.listen(Engine, "before_cursor_execute", executed)
    try:
        yield asked
    finally:
        event.remove(Engine, "begin", begun)
        event.remove(Engine, "before_cursor_execute", executed)
