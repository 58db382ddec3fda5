"""The measure itself: what it counts as missed, false and confused."""

import pytest

from tests.support.diarization_error import Turns, errors

TRUTH = [(0, 5000, "x"), (5000, 10_000, "y")]


@pytest.mark.parametrize(
    ("told", "missed", "false", "confused"),
    [
        ([(0, 5000, "B"), (5000, 10_000, "A")], 0, 0, 0),
        ([(0, 10_000, "A")], 0, 0, 500),
        ([(0, 5000, "A")], 500, 0, 0),
        ([(0, 5000, "A"), (5000, 10_000, "B"), (2000, 4000, "C")], 0, 200, 0),
        ([], 1000, 0, 0),
    ],
)
def test_what_is_wrong(told: Turns, missed: int, false: int, confused: int) -> None:
    found = errors(TRUTH, told, collar=0)
    assert (found.missed, found.false, found.confused, found.spoken) == (missed, false, confused, 1000)


def test_what_is_near_a_change_does_not_count() -> None:
    shifted = [(0, 5200, "A"), (5200, 10_000, "B")]
    assert errors(TRUTH, shifted).rate == 0 and errors(TRUTH, shifted, collar=0).rate > 0
