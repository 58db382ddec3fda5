"""The living processes: one row each, and a file in the home, which they touch as long as they live."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select
from sqlmodel import col

from infra.database.clock import now, read_clock
from infra.database.session import Database
from infra.database.tables.workers import Worker

FORGOTTEN_SECONDS = 3600.0
PACES = "paces"  # the name of a fact


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

    def paces(self, within_seconds: float) -> dict[str, float]:
        """By model, how many seconds the workers alive have lately worked for a second of sound, on average."""
        seen: dict[str, list[float]] = {}
        for worker in self.alive(within_seconds):
            for model, pace in ((worker.facts or {}).get(PACES) or {}).items():
                seen.setdefault(model, []).append(float(pace))
        return {model: sum(paces) / len(paces) for model, paces in seen.items()}

    def forget(self, older_than_seconds: float) -> int:
        """Delete the rows of those who fell silent that long ago; returns how many."""
        silent = delete(Worker).where(col(Worker.seen_at) < now() - older_than_seconds).returning(col(Worker.id))
        with self._database.write() as session:
            return len(session.execute(silent).all())


class SignOfLife:
    """The file of one process. It tells whoever looks on the same machine what no database need be asked for."""

    def __init__(self, home: Path, role: str, pid: int) -> None:
        self._path = _folder(home) / f"{role}@{socket.gethostname()}:{pid}"

    def give(self) -> None:
        """This process runs. Raises OSError where the home cannot be written."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.touch()

    def withdraw(self) -> None:
        """It ends in good order."""
        self._path.unlink(missing_ok=True)


def signs_of_life(home: Path, role: str, within_seconds: float) -> int:
    """How many processes of the role run on this machine; what others left behind long ago is removed."""
    found = 0
    for path in _folder(home).glob(f"{role}@{socket.gethostname()}:*"):
        with suppress(FileNotFoundError):  # it ends at this moment
            age = time.time() - path.stat().st_mtime
            found += age < within_seconds
            if age > FORGOTTEN_SECONDS:
                path.unlink()
    return found


def _folder(home: Path) -> Path:
    return home / "alive"
