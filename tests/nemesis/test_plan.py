"""The same seed is the same plan, and every plan has what the runs are there for."""

import pytest

from tests.nemesis.customers import orders
from tests.nemesis.plan import CLUSTER, COSTS_CALLS, EMBEDDED, IO, Script, plan

SCRIPTS = pytest.mark.parametrize("script", [CLUSTER, EMBEDDED], ids=["cluster", "embedded"])
SEEDS = range(1, 30)


@SCRIPTS
@pytest.mark.parametrize("duration", [15.0, 120.0, 300.0])
def test_a_seed_is_a_plan(script: Script, duration: float) -> None:
    plans = {seed: plan(script, seed, duration) for seed in SEEDS}
    assert plans == {seed: plan(script, seed, duration) for seed in SEEDS}
    assert len(set(plans.values())) == len(SEEDS)
    for faults in plans.values():
        assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
        assert all(fault.at > 0 and fault.at + fault.seconds < duration for fault in faults)
        for outage in script.outages:
            assert sum(fault.what == outage.what for fault in faults) == outage.times
        assert len(faults) > duration / 8


@SCRIPTS
def test_one_thing_at_a_time_befalls_a_role(script: Script) -> None:
    for seed in SEEDS:
        free: dict[str, float] = {}
        for fault in plan(script, seed, 120.0):
            if fault.whom:
                assert free.get(fault.whom, 0.0) <= fault.at
                free[fault.whom] = fault.at + fault.seconds


def test_even_seeds_spare_the_io_workers_of_a_cluster() -> None:
    for seed in SEEDS:
        costs = [fault for fault in plan(CLUSTER, seed, 120.0) if fault.whom in IO and fault.what in COSTS_CALLS]
        assert bool(costs) == bool(seed % 2), f"seed {seed}"


def test_orders_are_drawn_and_all_of_them_sound_different() -> None:
    ordered = orders(3, 40, 120.0)
    assert [(order.at, order.recording, order.model) for order in ordered] == [
        (order.at, order.recording, order.model) for order in orders(3, 40, 120.0)
    ]
    assert len({order.recording.wav for order in ordered}) == 40
    assert {order.model for order in ordered} == {"far", "near"}
