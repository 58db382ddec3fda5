"""A worker whose main process stands still does not say that it lives, whatever its children could say."""

from pathlib import Path

import pytest

from infra.settings import Settings
from infra.worker_heartbeats import signs_of_life
from pipeline.errors import StenopoolError
from tests.support.waiting import wait_until
from workers import worker_context
from workers.worker_context import MainPulse, StopTime, WorkerContext, WorkerContextFactory


class Pulse(MainPulse):
    """One that the test stops; counts who asks for it."""

    def __init__(self) -> None:
        super().__init__()
        self.still, self.asked = True, 0

    @property
    def is_lost(self) -> bool:
        self.asked += 1
        return self.still


class Child(WorkerContextFactory):
    signs = 0

    def _show_sign(self) -> None:
        self.signs += 1

    def get(self) -> WorkerContext:
        raise StenopoolError("nothing of it is needed")


def test_a_pulse_is_lost_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    pulse = MainPulse()
    assert not pulse.is_lost, "it has not begun"
    pulse.beat()
    assert not pulse.is_lost
    monkeypatch.setattr(worker_context, "PULSE_LOST", -1.0)
    assert pulse.is_lost


def test_children_keep_silent_while_it_stands_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for pause in ("LOOK_SECONDS", "PULSE_SECONDS"):
        monkeypatch.setattr(worker_context, pause, 0.01)
    child, pulse = Child(Settings(home=tmp_path), "cpu", StopTime()), Pulse()
    child.main_pulse = pulse
    child.show_up()
    wait_until(lambda: pulse.asked >= 3)
    assert (child.signs, signs_of_life(tmp_path, "cpu", 3600.0)) == (0, 0)
    pulse.still = False
    wait_until(lambda: child.signs == 1)
    wait_until(lambda: signs_of_life(tmp_path, "cpu", 3600.0) == 1)
    child.stop_time.set(0)
    child.take_leave()
    wait_until(lambda: signs_of_life(tmp_path, "cpu", 3600.0) == 0)
