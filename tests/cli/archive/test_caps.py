"""Caps are kept whatever runs at once."""

import threading

import pytest

from cli.archive.caps import Budget, CapReached, Room
from cli.archive.plan import Caps
from tests.support.waiting import wait_until


def test_a_hard_cap_is_never_passed() -> None:
    budget = Budget(Caps(cost_micro=100), (40, 0, 1))
    budget.take(Room(cost_micro=60))
    budget.settle(Room(cost_micro=60), Room(cost_micro=60))
    with pytest.raises(CapReached, match="--max-cost"):
        budget.take(Room(cost_micro=1))


def test_what_is_not_needed_makes_room_for_another() -> None:
    budget, took = Budget(Caps(audio_ms=100), (0, 0, 0)), threading.Event()
    budget.take(Room(audio_ms=80))

    def another() -> None:
        budget.take(Room(audio_ms=50))
        took.set()

    thread = threading.Thread(target=another)
    thread.start()
    assert not took.wait(0.1)
    budget.settle(Room(audio_ms=80), Room(audio_ms=30))
    wait_until(took.is_set)
    thread.join()


def test_a_soft_cap_lets_go_on_until_it_is_reached() -> None:
    budget = Budget(Caps(cost_micro=100, cutoff="soft"), (0, 0, 0))
    for _ in range(3):
        budget.take(Room(cost_micro=80))
    for _ in range(2):
        budget.settle(Room(cost_micro=80), Room(cost_micro=80))
    budget.settle(Room(cost_micro=80), Room(cost_micro=80))
    with pytest.raises(CapReached):
        budget.take(Room(cost_micro=80))


@pytest.mark.parametrize("cutoff", ["hard", "soft"])
def test_files_are_counted_over_all_runs(cutoff: str) -> None:
    budget = Budget(Caps(files=3, cutoff=cutoff), (0, 0, 2))
    budget.take(Room())
    budget.settle(Room(), Room())
    with pytest.raises(CapReached, match="--max-files: 3"):
        budget.take(Room())
