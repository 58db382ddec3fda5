"""Rows of living processes."""

from sqlalchemy import update
from sqlmodel import col

from infra.database.session import Database
from infra.database.tables.workers import Worker
from infra.worker_heartbeats import WorkerStore


def test_who_beats_is_alive(database: Database) -> None:
    workers = WorkerStore(database)
    workers.beat("cpu@a:1", "cpu", "a", 1, {"sandbox": "bubblewrap"})
    workers.beat("io@a:2", "io", "a", 2)
    workers.beat("cpu@a:1", "cpu", "a", 1)
    alive = workers.alive(60)
    assert [(row.id, row.role, row.pid, row.facts) for row in alive] == [
        ("cpu@a:1", "cpu", 1, {"sandbox": "bubblewrap"}),
        ("io@a:2", "io", 2, None),
    ]
    with database.write() as session:
        session.execute(update(Worker).where(col(Worker.id) == "io@a:2").values(seen_at=1.0))
    assert [row.id for row in workers.alive(60)] == ["cpu@a:1"]
    assert workers.forget(600) == 1
    workers.leave("cpu@a:1")
    workers.leave("nobody")
    assert workers.alive(60) == []
