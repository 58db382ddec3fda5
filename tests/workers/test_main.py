"""The worker's app: its tasks, and what it does with messages that lead nowhere."""

import contextlib
import json
import logging
import os
import signal
from pathlib import Path

import pytest
from sqlalchemy import text

from infra.broker import TASKS
from infra.database.migrations.newer_schema import NewerSchema
from infra.database.session import Database
from infra.diagnosis.startup import EXIT_CODE
from infra.settings import Settings
from pipeline.errors import BrokerUnavailable, DatabaseUnavailable
from workers.__main__ import main
from workers.main import run_worker, worker_app
from workers.worker_context import StopTime, WorkerContextFactory

NOWHERE = "redis://127.0.0.1:1/0"


def test_every_message_has_a_task(tmp_path: Path) -> None:
    app = worker_app(NOWHERE, WorkerContextFactory(Settings(home=tmp_path), "cpu", StopTime()))
    assert {name for name in app.tasks if not name.startswith("celery.")} == set(TASKS)


def test_two_apps_do_not_share_their_tasks(tmp_path: Path) -> None:
    one, two = (worker_app(NOWHERE, WorkerContextFactory(Settings(home=tmp_path), "cpu", StopTime())) for _ in range(2))
    assert one.tasks[TASKS[0]] is not two.tasks[TASKS[0]]


@pytest.mark.parametrize("trouble", [DatabaseUnavailable(), ZeroDivisionError("a bug")])
def test_a_message_that_cannot_be_acted_on_is_left_to_the_sweep(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, trouble: Exception
) -> None:
    class Closed(WorkerContextFactory):
        def get(self) -> None:
            raise trouble

    app = worker_app(NOWHERE, Closed(Settings(home=tmp_path), "cpu", StopTime()))
    caplog.set_level(logging.WARNING)
    app.tasks[TASKS[0]]("job_1")
    assert "job_1" in caplog.text


def test_a_worker_without_a_broker_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BrokerUnavailable, match="STENOPOOL_REDIS_URL"):
        run_worker(Settings(home=tmp_path), "cpu")


@pytest.mark.processes
def test_the_command_line_says_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STENOPOOL_HOME", str(tmp_path))
    handlers = logging.getLogger().handlers[:]
    try:
        assert main(["io"]) == EXIT_CODE
    finally:
        logging.getLogger().handlers = handlers
    assert "stenopool up" in capfd.readouterr().err


@pytest.mark.parametrize("role", ["cpu", "io", "scheduler"])
def test_what_waiting_does_not_mend_ends_every_role_with_the_same_words_and_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], role: str
) -> None:
    monkeypatch.setenv("STENOPOOL_HOME", str(tmp_path))
    monkeypatch.setenv("STENOPOOL_REDIS_URL", NOWHERE)
    with contextlib.closing(Database(Settings(home=tmp_path).database)) as database:
        database.migrate()
        with database.write() as session:
            session.execute(text("UPDATE alembic_version SET version_num = 'tomorrow'"))
    handlers = logging.getLogger().handlers[:]
    try:
        assert main([role]) == EXIT_CODE == 3
    finally:
        logging.getLogger().handlers = handlers
    told = json.loads(capfd.readouterr().err.splitlines()[-1])
    assert (told["level"], told["message"].split(":")[0]) == (
        "CRITICAL", "The database is at step tomorrow, which this version does not know",
    )  # fmt: skip
    assert "update Stenopool" in told["message"]


def test_a_pool_child_that_meets_a_newer_schema_ends_its_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr("os.kill", lambda *given: told.append(given))
    contexts = WorkerContextFactory(Settings(home=tmp_path), "cpu", StopTime())
    monkeypatch.setattr(contexts, "get", lambda: (_ for _ in ()).throw(NewerSchema("The database is at step 9.")))
    for _ in range(2):
        contexts._show_sign()
    assert told == [(os.getpid(), signal.SIGTERM)]
    assert contexts.newer_database.is_met
