"""How many connections an installation may open, against what PostgreSQL allows."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select, text
from sqlmodel import col

from infra.database.clock import now
from infra.database.postgres_engine import is_pooled
from infra.database.session import Database
from infra.database.tables.workers import Worker

FACT = "connections"  # of a living process: how many it may open


@dataclass(frozen=True)
class ConnectionBudget:
    """`allowed` by the server for ordinary users; `taken` of them now, by anybody; `claimed`: what the living worker processes
    may open together, of which there are `workers`. `is_pooled`: through a pooler, which has a bound of its own."""

    allowed: int
    taken: int
    claimed: int
    workers: int
    is_pooled: bool

    def suffices(self, more: int) -> bool:
        """Also for a process that may open so many more."""
        return self.is_pooled or self.claimed + more <= self.allowed


def connection_budget(database: Database, alive_seconds: float) -> ConnectionBudget | None:
    """None for SQLite, which is a file. Raises DatabaseUnavailable."""
    if database.kind != "postgresql":
        return None
    with database.connection() as connection:
        allowed, taken = connection.execute(_SERVER).one()
        facts = connection.execute(select(col(Worker.facts)).where(col(Worker.seen_at) > now() - alive_seconds))
        claimed = [int((one or {}).get(FACT, 0)) for (one,) in facts]
        return ConnectionBudget(int(allowed), int(taken), sum(claimed), len(claimed), is_pooled(connection))


_SERVER = select(
    text("current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"),
    select(func.count())
    .select_from(text("pg_stat_activity"))
    .where(text("backend_type = 'client backend'"))
    .scalar_subquery(),
)
