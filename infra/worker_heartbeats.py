"""The living processes: one row each, which they touch as long as they live."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select
from sqlmodel import col

from infra.database.clock import now, read_clock
from infra.database.session import Database
from infra.database.tables import Worker


class WorkerStore:
    """Who is alive, by the database's own clock."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def beat(self, worker_id: str, role: str, host: str, pid: int, facts: dict[str, Any] | None = None) -> None:
        """Say that this process lives; the first beat makes its row. Facts are kept when none are given."""
        with self._database.write() as session:
            time = read_clock(session)
            worker = session.get(Worker, worker_id)
            if worker is None:
                worker = Worker(id=worker_id, role=role, host=host, pid=pid, started_at=time, seen_at=time)
                session.add(worker)
            worker.seen_at = time
            worker.facts = facts if facts is not None else worker.facts

    def leave(self, worker_id: str) -> None:
        """Say that it ended in good order."""
        with self._database.write() as session:
            session.execute(delete(Worker).where(col(Worker.id) == worker_id))

    def alive(self, within_seconds: float) -> list[Worker]:
        """Who has beaten within that time, by role and id."""
        recent = select(Worker).where(col(Worker.seen_at) > now() - within_seconds)
        with self._database.read() as session:
            return list(session.scalars(recent.order_by(col(Worker.role), col(Worker.id))))

    def forget(self, older_than_seconds: float) -> int:
        """Delete the rows of those who fell silent that long ago; returns how many."""
        silent = delete(Worker).where(col(Worker.seen_at) < now() - older_than_seconds).returning(col(Worker.id))
        with self._database.write() as session:
            return len(session.execute(silent).all())
