"""The worker's app: its tasks, and what it does with messages that lead nowhere."""

import logging
from pathlib import Path

import pytest

from infra.broker import TASKS
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


def test_the_command_line_says_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STENOPOOL_HOME", str(tmp_path))
    handlers = logging.getLogger().handlers[:]
    try:
        assert main(["io"]) == 78
    finally:
        logging.getLogger().handlers = handlers
    assert "stenopool up" in capfd.readouterr().err
