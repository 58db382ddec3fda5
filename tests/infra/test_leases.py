"""The keeper of leases: beats for all at once, tells work that it is void, gives everything back when the worker stops."""

import time
from collections.abc import Iterator, Sequence

import pytest

from infra import leases
from infra.jobs.claims import Lease
from infra.leases import LeaseKeeper
from pipeline.errors import DatabaseUnavailable, LeaseLost
from tests.support.waiting import pause, wait_until

A = Lease("job_a", None, "token-a", 1)
B = Lease("job_b", 3, "token-b", 2)


class Rows:
    """A store with leases as a plain set; it stands for the database, which the real store is tested with."""

    def __init__(self, *held: Lease) -> None:
        self.held = set(held)
        self.beats: list[set[Lease]] = []
        self.released: list[Lease] = []
        self.forgiven: list[Lease] = []
        self.trouble: Exception | None = None

    def heartbeat(self, leases: Sequence[Lease]) -> set[Lease]:
        self.beats.append(set(leases))
        if self.trouble:
            raise self.trouble
        return self.held & set(leases)

    def release(self, lease: Lease) -> None:
        self.released.append(lease)

    def forgive(self, leases: Sequence[Lease]) -> None:
        self.forgiven += leases


@pytest.fixture
def rows() -> Rows:
    return Rows(A, B)


@pytest.fixture
def stop() -> list[float]:
    return []


@pytest.fixture
def keeper(rows: Rows, stop: list[float]) -> Iterator[LeaseKeeper]:
    made = LeaseKeeper(rows, lease_seconds=0.15, stop_at=lambda: stop[0] if stop else None)
    yield made
    made.close()


def test_who_is_told_to_stop_is_ending_and_keeps_its_leases_until_then(
    keeper: LeaseKeeper, rows: Rows, stop: list[float]
) -> None:
    assert not keeper.is_ending
    with keeper.holding(A) as held:
        stop.append(time.monotonic() + 60)
        assert keeper.is_ending
        before = len(rows.beats)
        wait_until(lambda: len(rows.beats) > before + 1)
        held.check()
    assert rows.released == []


def test_all_leases_are_renewed_in_one_call(keeper: LeaseKeeper, rows: Rows) -> None:
    with keeper.holding(A) as first, keeper.holding(B) as second:
        wait_until(lambda: {A, B} in rows.beats)
        first.check()
        second.check()
    before = len(rows.beats)
    pause(0.2)
    assert len(rows.beats) <= before + 1


def test_nothing_is_asked_without_a_lease(rows: Rows) -> None:
    LeaseKeeper(rows, lease_seconds=0.01).close()
    assert not rows.beats


def test_work_learns_that_it_is_void_and_the_others_go_on(keeper: LeaseKeeper, rows: Rows) -> None:
    with keeper.holding(A) as lost, keeper.holding(B) as kept:
        rows.held.discard(A)
        wait_until(lambda: lost.void_since)
        with pytest.raises(LeaseLost):
            lost.check()
        kept.check()
        wait_until(lambda: keeper.stuck_for() > 0)
        wait_until(lambda: rows.beats[-1] == {B})
    assert keeper.stuck_for() == 0


@pytest.mark.parametrize("trouble", [DatabaseUnavailable(), RuntimeError("a bug")])
def test_a_database_that_is_away_voids_nothing(keeper: LeaseKeeper, rows: Rows, trouble: Exception) -> None:
    rows.trouble = trouble
    with keeper.holding(A) as hold:
        wait_until(lambda: len(rows.beats) >= 3)
        hold.check()
        rows.trouble = None
        seen = len(rows.beats)
        wait_until(lambda: len(rows.beats) > seen)
        hold.check()


def test_a_stopping_worker_gives_everything_back(keeper: LeaseKeeper, rows: Rows, stop: list[float]) -> None:
    with keeper.holding(A) as first, keeper.holding(B) as second:
        stop.append(time.monotonic() + 0.1)
        wait_until(lambda: len(rows.released) == 2)
        assert set(rows.released) == {A, B}
        for hold in (first, second):
            with pytest.raises(LeaseLost):
                hold.check()


def beaten_again(rows: Rows) -> None:
    """Twice: the first beat may have begun before."""
    before = len(rows.beats)
    wait_until(lambda: len(rows.beats) > before + 1)


@pytest.mark.parametrize(("patience", "told"), [(60.0, True), (0.0, False)])
def test_who_is_cut_off_from_the_database_says_elsewhere_that_it_lives(
    rows: Rows, monkeypatch: pytest.MonkeyPatch, patience: float, told: bool
) -> None:
    """For as long as a call may last."""
    monkeypatch.setattr(leases, "CUT_OFF_SECONDS", patience)
    said: list[bool] = []
    rows.trouble = DatabaseUnavailable()
    keeper = LeaseKeeper(rows, lease_seconds=0.15, still_here=lambda: said.append(True))
    try:
        with keeper.holding(A):
            wait_until(lambda: len(rows.beats) > 3)
            assert bool(said) is told
            rows.trouble = None
            beaten_again(rows)
            before = len(said)
            beaten_again(rows)
            assert len(said) == before
    finally:
        keeper.close()


def test_whoever_was_cut_off_from_the_database_says_so_when_it_is_back(keeper: LeaseKeeper, rows: Rows) -> None:
    rows.trouble = DatabaseUnavailable()
    with keeper.holding(A) as taken, keeper.holding(B) as kept:
        wait_until(lambda: rows.beats)
        rows.held.discard(A)
        rows.trouble = None
        wait_until(lambda: taken.void_since)
        wait_until(lambda: rows.forgiven)
        kept.check()
    assert rows.forgiven == [A]


def test_whoever_was_silent_without_a_reason_does_not(keeper: LeaseKeeper, rows: Rows) -> None:
    with keeper.holding(A) as taken, keeper.holding(B):
        wait_until(lambda: rows.beats)
        rows.held.discard(A)
        wait_until(lambda: taken.void_since)
        seen = len(rows.beats)
        wait_until(lambda: len(rows.beats) > seen)
    assert rows.forgiven == []
