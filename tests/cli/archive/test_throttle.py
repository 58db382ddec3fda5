"""Turns: a gentle start, pauses, and an end that keeps nobody waiting."""

import threading

import pytest

from cli.archive.throttle import Stopped, Throttle
from tests.support.waiting import wait_until


class Crowd:
    """As many as ask, each holding its turn until it is let go."""

    def __init__(self, throttle: Throttle, count: int) -> None:
        self.inside, self.stopped, self.go = 0, 0, threading.Event()
        self._lock = threading.Lock()
        self.threads = [threading.Thread(target=self._enter, args=(throttle,)) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def _enter(self, throttle: Throttle) -> None:
        try:
            with throttle.turn():
                self._count("inside")
                self.go.wait(600)
        except Stopped:
            self._count("stopped")

    def _count(self, what: str) -> None:
        with self._lock:
            setattr(self, what, getattr(self, what) + 1)

    def leave(self) -> None:
        self.go.set()
        for thread in self.threads:
            thread.join()


def test_few_begin_and_each_success_lets_in_one_more() -> None:
    throttle = Throttle(4, first=2)
    crowd = Crowd(throttle, 6)
    wait_until(lambda: crowd.inside == 2)
    for allowed in (3, 4, 4):
        throttle.went_well()
        wait_until(lambda allowed=allowed: crowd.inside == allowed)
    crowd.leave()
    assert crowd.inside == 6


def test_who_waits_when_it_ends_is_stopped_and_who_runs_is_not() -> None:
    throttle = Throttle(2, first=2)
    crowd = Crowd(throttle, 5)
    wait_until(lambda: crowd.inside == 2)
    throttle.pause(3600)
    throttle.shut()
    wait_until(lambda: crowd.stopped == 3)
    throttle.check()  # those may go on
    crowd.leave()


def test_a_sleeper_wakes_when_it_ends() -> None:
    throttle, woken = Throttle(1), threading.Event()

    def sleeper() -> None:
        with pytest.raises(Stopped):
            throttle.sleep(3600)
        woken.set()

    thread = threading.Thread(target=sleeper)
    thread.start()
    throttle.stop()
    wait_until(woken.is_set)
    thread.join()
    with pytest.raises(Stopped):
        throttle.check()
