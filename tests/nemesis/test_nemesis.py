"""A few seconds of the nemesis: nothing is lost, wrong, told twice or paid twice, however slow the machine is."""

import pytest

from tests.nemesis.run import Run, perform

pytestmark = pytest.mark.processes


@pytest.mark.parametrize(
    "run",
    [Run(seed=4, duration=15.0, jobs=12), Run(seed=3, duration=8.0, jobs=6, embedded=True)],
    ids=["cluster", "embedded"],
)
def test_a_few_seconds_of_everything(run: Run) -> None:
    said: list[str] = []
    lines = perform(run, said.append)
    report = "\n".join([*said, *map(str, lines)])
    assert all(line.holds or line.of_speed for line in lines), report
