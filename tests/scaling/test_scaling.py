"""Workers follow what waits, and none is stopped with work in its hands; and the simulation is one of queues."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.lifecycle import JobStatus
from tests.e2e.stack import Stack
from tests.scaling.driver import Driver, load
from tests.scaling.policy import Policy, Scaler
from tests.scaling.simulation import ARCHIVE, NORMAL, Costs, House, Simulation, Work, quantile
from tests.support.database_servers import PostgresServer
from tests.support.recordings import short
from tests.support.waiting import wait_until

FREE = Costs(prepare=0.0, hear=0.0, finish=0.0, cut=0.0, start=0.0)
FIXED = {role: Policy(least=1, most=1, target=1.0, patience=0.0) for role in ("cpu", "io")}


def test_as_many_as_the_load_wants_and_fewer_only_after_a_while() -> None:
    scaler = Scaler(Policy(least=1, most=5, target=100.0, patience=10.0))
    loads = [(0, 0.0), (1, 101.0), (2, 9999.0), (3, 0.0), (12, 250.0), (13, 250.0), (24, 0.0)]
    assert [scaler.decide(at, load) for at, load in loads] == [1, 2, 5, 5, 5, 3, 1]


def test_clips_through_one_line_wait_for_each_other() -> None:
    """Ten that come at once, one at a time, a second each: the n-th takes n seconds."""
    house = House(cores=99, slots={"cpu": 99, "io": 1}, policies=FIXED)
    took = Simulation(Work(clips=10, archives=0, chunks=0, latency=1.0), house, FREE).run().took[NORMAL]
    assert took == pytest.approx(range(1, 11))


def test_cores_are_shared_by_all() -> None:
    house = House(cores=2, slots={"cpu": 99, "io": 99}, policies=FIXED)
    costs = Costs(prepare=1.0, hear=0.0, finish=0.0, cut=0.0, start=0.0)
    took = Simulation(Work(clips=10, archives=0, chunks=0, latency=0.0), house, costs).run().took[NORMAL]
    assert max(took) == pytest.approx(5.0)


def test_an_archive_has_what_is_left_over() -> None:
    house = House(cores=99, slots={"cpu": 99, "io": 1}, policies=FIXED)
    ran = Simulation(Work(clips=10, archives=1, chunks=5, latency=1.0), house, FREE).run()
    assert quantile(ran.took[NORMAL], 0.99) <= 11.0  # one chunk of it may have been first
    assert ran.took[ARCHIVE] == pytest.approx([15.0])


def test_more_workers_come_and_take_their_time_to_start() -> None:
    policies = FIXED | {"io": Policy(least=1, most=4, target=4.0, patience=5.0)}
    house = House(cores=99, slots={"cpu": 99, "io": 1}, policies=policies)
    work = Work(clips=40, archives=0, chunks=0, latency=1.0)
    at_once, late = (
        max(Simulation(work, house, Costs(0.0, 0.0, 0.0, 0.0, start)).run().took[NORMAL]) for start in (0.0, 8.0)
    )
    assert at_once == pytest.approx(10.0, abs=1.0)
    assert late == pytest.approx(8.0 + (40 - 8) / 4, abs=1.0)


@pytest.fixture
def stack(postgres: PostgresServer, postgres_template: str, tmp_path: Path) -> Iterator[Stack]:
    with postgres.fresh(postgres_template) as url:
        made = Stack(tmp_path, database_url=url, grace=240, io_threads=4, database_pool=8)
        try:
            yield made
        finally:
            made.stop()


@pytest.mark.processes
def test_workers_come_with_the_load_and_leave_when_their_work_is_handed_over(stack: Stack) -> None:
    """The provider answers nothing until more workers are there; then some are told to stop with calls in their hands."""
    policies = {
        "cpu": Policy(least=1, most=1, target=1.0, patience=0.0),
        "io": Policy(least=1, most=3, target=10.0, patience=0.0),
    }
    driver = Driver(stack, policies)
    driver.start()
    recordings = [short(number) for number in range(3000, 3016)]
    jobs = {stack.submit(recording, "until=go", model="far"): recording for recording in recordings}
    driver.until(lambda: len(driver.running["io"]) == 3, every=0.1, seconds=240)
    wait_until(lambda: sum(stack.calls().values()) >= 12)  # each of them holds what it can
    driver._scalers["io"] = Scaler(Policy(least=1, most=1, target=10.0, patience=0.0))
    driver.look()
    stack.let("go")
    ended = stack.ended(*jobs)
    driver.settle()
    assert {job.status for job in ended} == {JobStatus.COMPLETED}
    assert driver.exits == {0: 2}
    assert sum(stack.calls().values()) == len(jobs), "a call was made again"
    assert not any(job.lost for job in ended)
    assert set(load(stack.services.database).values()) == {0.0}
