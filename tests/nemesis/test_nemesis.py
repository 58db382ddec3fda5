"""Fifteen seconds of the nemesis: nothing is lost, wrong, told twice or paid twice, however slow the machine is."""

import pytest

from tests.nemesis.run import Run, perform

pytestmark = pytest.mark.processes


def test_fifteen_seconds_of_everything() -> None:
    said: list[str] = []
    lines = perform(Run(seed=4, duration=15.0, jobs=20), said.append)
    report = "\n".join([*said, *map(str, lines)])
    assert all(line.holds or line.of_speed for line in lines), report
